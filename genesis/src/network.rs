//! Makes the folder of a network, and adds nodes to it.
//!
//! A new network is made beside its place and moved there in one step: a
//! failure leaves nothing behind, and nothing is ever overwritten.

use crate::{
    ForeignGenesis, GenesisFile, LoadedGenesis, NetworkError, PrivateBounds,
    defaults::{BASE_PORT, CHAIN_ID, CHAIN_NAME},
    network_files::{
        CONFIG_FILE, GENESIS_FILE, ListedNode, NETWORK_FILE, NodeList, NodePorts,
        OPERATOR_KEY_FILE, loopback, write_new, write_node, write_secret,
    },
    new_chain::{ChainOptions, GovernanceDelays, new_chain_with},
    test_accounts::test_account,
};
use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use medina_types::{
    ConsensusParameters, NodePublicKey, NodeSecretKey, PermissionMode, Validator, ValidatorSet,
    limits::VALIDATORS_MAX,
};
use std::path::{Path, PathBuf};

/// What a new network should be.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// Folder to make. It must not exist, or be empty.
    pub directory: PathBuf,
    /// Validators, 1 to [`VALIDATORS_MAX`].
    pub validators: usize,
    /// Name of the chain.
    pub name: String,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// RPC port of node 0.
    pub base_port: u16,
    /// Engine and times.
    pub consensus: ConsensusParameters,
    /// Whether permissions are enforced.
    pub permissions: PermissionMode,
    /// Holds all coins and roles in place of the test accounts.
    pub admin: Option<Address>,
    /// How long governance waits; `None` is the usual: not at all for test accounts, else as the
    /// contracts specification says.
    pub governance: Option<GovernanceDelays>,
    /// Time of the genesis block, Unix seconds.
    pub timestamp_s: u64,
    /// Whether nodes take the private transactions of `GoQuorum`'s clients.
    pub quorum_compat: bool,
    /// Bounds that private state depends on.
    pub private: PrivateBounds,
    /// A genesis of geth or Besu whose chain id, forks, accounts and times the
    /// network takes over; its chain id goes before [`Self::chain_id`].
    pub foreign: Option<ForeignGenesis>,
}

impl NetworkOptions {
    /// Four QBFT validators on the default ports, for the current time.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, timestamp_s: u64) -> Self {
        Self {
            directory: directory.into(),
            validators: 4,
            name: CHAIN_NAME.to_owned(),
            chain_id: CHAIN_ID,
            base_port: BASE_PORT,
            consensus: ConsensusParameters::default(),
            permissions: PermissionMode::Open,
            admin: None,
            governance: None,
            timestamp_s,
            quorum_compat: false,
            private: PrivateBounds::default(),
            foreign: None,
        }
    }
}

/// A node whose files were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedNode {
    /// `node-I`.
    pub name: String,
    /// Its public key.
    pub key: NodePublicKey,
    /// Its configuration.
    pub config: PathBuf,
    /// Its ports on this machine.
    pub ports: NodePorts,
    /// Operator account, for a validator.
    pub operator: Option<Address>,
}

/// A network whose files were written.
#[derive(Clone, Debug)]
pub struct GeneratedNetwork {
    /// The genesis file.
    pub genesis_path: PathBuf,
    /// The list of nodes.
    pub nodes_path: PathBuf,
    /// The chain.
    pub genesis: LoadedGenesis,
    /// The nodes, all validators.
    pub nodes: Vec<GeneratedNode>,
    /// What of a foreign genesis has no effect, a sentence each.
    pub notes: Vec<String>,
}

struct Member {
    name: String,
    secret: NodeSecretKey,
    operator: Address,
    /// Private key of the operator, unless it is a test account.
    operator_key: Option<B256>,
    ports: NodePorts,
}

/// Makes a network.
///
/// # Errors
/// See [`NetworkError`]; after an error nothing was left behind.
pub fn generate_network(options: &NetworkOptions) -> Result<GeneratedNetwork, NetworkError> {
    check_options(options)?;
    let members = (0..options.validators).map(|index| new_member(options, index));
    let members = members.collect::<Result<Vec<_>, _>>()?;
    let mut chain = chain_options(options, &members)?;
    let mut foreign = options.foreign.clone();
    if let Some(foreign) = &mut foreign {
        chain.chain_id = foreign.chain_id();
        chain.timestamp_s = foreign.timestamp_s(options.timestamp_s)?;
    }
    let usual = GovernanceDelays::usual(options.admin);
    let mut file = new_chain_with(&chain, options.governance.unwrap_or(usual))?;
    if let Some(foreign) = &foreign {
        file = foreign.apply_to(file)?;
    }
    let genesis = LoadedGenesis::new(&file)?;
    write_network(&options.directory, &file, &members)?;
    Ok(GeneratedNetwork {
        genesis_path: options.directory.join(GENESIS_FILE),
        nodes_path: options.directory.join(NETWORK_FILE),
        genesis,
        nodes: members
            .iter()
            .map(|member| member.described(&options.directory))
            .collect(),
        notes: foreign.map_or_else(Vec::new, |foreign| foreign.notes().to_vec()),
    })
}

/// Adds one admitted node that does not vote to the network in `directory`.
/// Running nodes admit it without a restart.
///
/// # Errors
/// See [`NetworkError`].
pub fn add_node(directory: &Path) -> Result<GeneratedNode, NetworkError> {
    let mut list = NodeList::load(directory)?;
    let base_port = base_port_of(directory, &list)?;
    let index = first_free_index(directory, &list);
    let name = format!("node-{index}");
    let ports = NodePorts::of(base_port, index)?;
    let secret = NodeSecretKey::from_bytes(random_bytes()?);
    let key = secret.public_key();
    write_node(&directory.join(&name), &name, ports, &secret)?;
    list.nodes.push(ListedNode {
        name: name.clone(),
        key,
        address: Some(loopback(ports.p2p)),
    });
    list.save(directory)?;
    let config = directory.join(&name).join(CONFIG_FILE);
    Ok(GeneratedNode {
        name,
        key,
        config,
        ports,
        operator: None,
    })
}

fn check_options(options: &NetworkOptions) -> Result<(), NetworkError> {
    if !(1..=VALIDATORS_MAX).contains(&options.validators) {
        return Err(NetworkError::Option {
            what: "number of validators",
            found: options.validators.to_string(),
            expected: format!("1 to {VALIDATORS_MAX}"),
        });
    }
    refuse_existing(&options.directory)
}

fn refuse_existing(directory: &Path) -> Result<(), NetworkError> {
    let is_free = match std::fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    if is_free {
        Ok(())
    } else {
        Err(NetworkError::Exists {
            path: directory.to_owned(),
        })
    }
}

fn new_member(options: &NetworkOptions, index: usize) -> Result<Member, NetworkError> {
    let (operator, operator_key) = match options.admin {
        None => (
            test_account(u32::try_from(index).unwrap_or(u32::MAX)).address,
            None,
        ),
        Some(_) => {
            let signer = new_operator()?;
            (signer.address(), Some(signer.to_bytes()))
        }
    };
    Ok(Member {
        name: format!("node-{index}"),
        secret: NodeSecretKey::from_bytes(random_bytes()?),
        operator,
        operator_key,
        ports: NodePorts::of(options.base_port, index)?,
    })
}

fn new_operator() -> Result<PrivateKeySigner, NetworkError> {
    loop {
        // Nearly every 32 bytes are a key; the few that are not are drawn again.
        if let Ok(signer) = PrivateKeySigner::from_bytes(&random_bytes()?.into()) {
            return Ok(signer);
        }
    }
}

fn random_bytes() -> Result<[u8; 32], NetworkError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| NetworkError::NoRandomness(error.to_string()))?;
    Ok(bytes)
}

fn chain_options(
    options: &NetworkOptions,
    members: &[Member],
) -> Result<ChainOptions, NetworkError> {
    let validator = |member: &Member| Validator {
        key: member.secret.public_key(),
        operator: member.operator,
    };
    let validators = ValidatorSet::new(members.iter().map(validator).collect());
    let validators = validators.map_err(|error| NetworkError::Option {
        what: "validators",
        found: members.len().to_string(),
        expected: error.to_string(),
    })?;
    Ok(ChainOptions {
        name: options.name.clone(),
        chain_id: options.chain_id,
        consensus: options.consensus,
        permissions: options.permissions,
        validators,
        admin: options.admin,
        timestamp_s: options.timestamp_s,
        quorum_compat: options.quorum_compat,
        private: options.private,
    })
}

fn write_network(
    directory: &Path,
    file: &GenesisFile,
    members: &[Member],
) -> Result<(), NetworkError> {
    let io = |action| {
        move |source| NetworkError::Io {
            action,
            path: directory.to_owned(),
            source,
        }
    };
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(parent).map_err(io("create"))?;
    let draft = tempfile::Builder::new()
        .prefix(".medina-")
        .tempdir_in(parent);
    let draft = draft.map_err(io("create"))?;
    write_files(draft.path(), file, members)?;
    // Renaming onto an empty folder replaces it; onto anything else it fails.
    std::fs::rename(draft.path(), directory).map_err(io("create"))?;
    // Nothing is left to clean up where it was made.
    let _ = draft.keep();
    Ok(())
}

fn write_files(folder: &Path, file: &GenesisFile, members: &[Member]) -> Result<(), NetworkError> {
    write_new(
        &folder.join(GENESIS_FILE),
        &format!("{:#}\n", file.to_json()),
    )?;
    for member in members {
        let node = folder.join(&member.name);
        write_node(&node, &member.name, member.ports, &member.secret)?;
        if let Some(key) = &member.operator_key {
            write_secret(&node.join(OPERATOR_KEY_FILE), key)?;
        }
    }
    NodeList {
        nodes: members.iter().map(Member::listed).collect(),
    }
    .save(folder)
}

impl Member {
    fn listed(&self) -> ListedNode {
        ListedNode {
            name: self.name.clone(),
            key: self.secret.public_key(),
            address: Some(loopback(self.ports.p2p)),
        }
    }

    fn described(&self, directory: &Path) -> GeneratedNode {
        GeneratedNode {
            name: self.name.clone(),
            key: self.secret.public_key(),
            config: directory.join(&self.name).join(CONFIG_FILE),
            ports: self.ports,
            operator: Some(self.operator),
        }
    }
}

/// RPC port of node 0, one below its p2p port.
fn base_port_of(directory: &Path, list: &NodeList) -> Result<u16, NetworkError> {
    let first = list.nodes.iter().find(|node| node.name == "node-0");
    let port = first
        .and_then(|node| node.address)
        .and_then(|at| at.port().checked_sub(1));
    port.ok_or_else(|| NetworkError::Malformed {
        path: directory.join(NETWORK_FILE),
        message: "no node-0 with an address, which says where the ports begin".to_owned(),
    })
}

fn first_free_index(directory: &Path, list: &NodeList) -> usize {
    let is_taken = |index: &usize| {
        let name = format!("node-{index}");
        list.nodes.iter().any(|node| node.name == name) || directory.join(&name).exists()
    };
    (0..)
        .find(|index| !is_taken(index))
        .expect("a folder holds finitely many nodes")
}
