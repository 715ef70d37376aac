//! Networks of real processes whose nodes act for organisations in private groups.

use crate::processes::{NetworkOfProcesses, PATIENCE, eventually, free_ports, medina_binary};
use alloy_network::{EthereumWallet, TransactionBuilder as _};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_provider::{Provider as _, ProviderBuilder};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer_local::{MnemonicBuilder, coins_bip39::English};
use medina_sdk::{
    client::MarketClient,
    private::{GroupStatus, GroupTerms, Groups, PrivateClient, PrivateMode, PrivateReceipt},
    wallet::{Account, Mnemonic, TEST_MNEMONIC},
};
use serde_json::{Value, json};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::time::Instant;

pub mod contracts;
pub mod load;
pub mod scan;
pub mod tap;
mod tls;

pub use contracts::{adding, counter, looper, teller};
pub use scan::{files_with, rows_with};
use tap::Tap;

/// Any account, for what is not signed.
const ANYBODY: u32 = 0;
/// An account of the test mnemonic that belongs to no organisation.
pub const STRANGER: u32 = 40;
/// Pays for public blocks.
const PAYER: u32 = 9;
/// How long private things may take on two busy cores, beyond what public ones may.
const PRIVATE_PATIENCE: Duration = Duration::from_secs(120);

/// A network of validators whose nodes act for organisations.
pub struct PrivateNetwork {
    /// The processes.
    pub network: NetworkOfProcesses,
    /// The organisations: genesis has them, with the first test accounts as their
    /// admins.
    pub orgs: Vec<B256>,
    /// What went between the nodes, where the set-up asked for it.
    pub tap: Option<Tap>,
    /// Port of every node's transaction manager, where the set-up asked for one.
    pub managers: Vec<u16>,
    setup: Setup,
    enclaves: Vec<Option<EnclaveChild>>,
    /// First port of the enclaves that are asked over TLS.
    enclave_ports: u16,
}

/// An enclave process; it dies with the value.
#[derive(Debug)]
struct EnclaveChild(Child);

impl Drop for EnclaveChild {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where the nodes of a network keep their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enclaves {
    /// In their own processes.
    InProcess,
    /// In a process of its own for each.
    Apart,
    /// The same, asked over TLS as if it were on another machine.
    OverTls,
}

/// How a network is made.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Number of validators.
    pub validators: u16,
    /// Where their keys are.
    pub enclaves: Enclaves,
    /// The node that acts for each organisation.
    pub places: Vec<usize>,
    /// All links lead through a [`Tap`].
    pub is_tapped: bool,
    /// The chain takes `GoQuorum`'s marked transactions, and every node has a
    /// transaction manager's port.
    pub allows_quorum: bool,
    /// Further arguments of `medina network new`.
    pub arguments: Vec<&'static str>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            validators: 4,
            enclaves: Enclaves::InProcess,
            places: vec![0, 1, 2, 3],
            is_tapped: false,
            allows_quorum: false,
            arguments: Vec::new(),
        }
    }
}

impl Setup {
    /// Organisations of a node, in order.
    fn orgs_at(&self, node: usize) -> impl Iterator<Item = usize> {
        let places = self.places.iter().enumerate();
        places
            .filter(move |(_, place)| **place == node)
            .map(|(org, _)| org)
    }
}

impl PrivateNetwork {
    /// Makes a network of four validators with a party each, registers all of them and
    /// waits until others can encrypt to them.
    ///
    /// # Panics
    /// When anything of it fails.
    pub async fn start() -> Self {
        Self::start_as(Setup::default()).await
    }

    /// The same with enclaves somewhere else.
    ///
    /// # Panics
    /// When anything of it fails.
    pub async fn start_with(enclaves: Enclaves) -> Self {
        let setup = Setup {
            enclaves,
            ..Setup::default()
        };
        Self::start_as(setup).await
    }

    /// The same of any form.
    ///
    /// # Panics
    /// When anything of it fails.
    pub async fn start_as(setup: Setup) -> Self {
        let mut network = NetworkOfProcesses::create_with(setup.validators, &setup.arguments);
        let orgs: Vec<_> = (0..setup.places.len())
            .map(|index| keccak256(name_of(index)))
            .collect();
        let mut managers = Vec::new();
        if setup.allows_quorum {
            allow_quorum(&network);
            let first = free_ports(setup.validators);
            managers.extend(first..first + setup.validators);
        }
        let enclave_ports = free_ports(setup.validators);
        for node in 0..network.len() {
            let config = network.node_folder(node).join("config.toml");
            configure(&config, node, &setup, managers.get(node).copied());
            if setup.enclaves == Enclaves::OverTls {
                tls::configure(network.node_folder(node), port_of(enclave_ports, node));
            }
        }
        let tap = match setup.is_tapped {
            true => Some(Tap::start(&network).await.expect("ports for a tap")),
            false => None,
        };
        let others = network.len() - 1;
        for node in 0..network.len() {
            network.run(node);
        }
        for node in 0..network.len() {
            network.ready(node).await;
        }
        for node in 0..network.len() {
            network.linked(node, others).await;
        }
        let mut network = Self {
            enclaves: (0..network.len()).map(|_| None).collect(),
            network,
            orgs,
            tap,
            managers,
            setup,
            enclave_ports,
        };
        if network.setup.enclaves != Enclaves::InProcess {
            // Which of the two starts first does not matter.
            for node in 0..network.network.len() {
                network.run_enclave(node);
            }
        }
        let registered = (0..network.orgs.len()).map(|org| network.register(org));
        futures::future::join_all(registered).await;
        network.published().await;
        network
    }

    /// Starts the enclave process of a node.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run_enclave(&mut self, index: usize) {
        let folder = self.network.node_folder(index).to_owned();
        let config = folder.join("enclave.toml");
        let mut text = "folder = \"enclave/data\"\n".to_owned();
        text += &match self.setup.enclaves {
            Enclaves::OverTls => tls::section(&folder, port_of(self.enclave_ports, index)),
            _ => "socket = \"enclave/enclave.sock\"\n".to_owned(),
        };
        std::fs::write(&config, text).expect("a configuration");
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder.join("enclave.log"))
            .expect("a log file");
        let child = Command::new(medina_binary())
            .args(["enclave", "run", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.enclaves[index] = Some(EnclaveChild(child.expect("the binary can be started")));
    }

    /// SIGKILL for the enclave process of a node.
    pub fn kill_enclave(&mut self, index: usize) {
        self.enclaves[index] = None;
    }

    /// Sends a signal such as `STOP` to the enclave process of a node.
    ///
    /// # Panics
    /// When there is none.
    pub fn signal_enclave(&self, index: usize, name: &str) {
        let child = self.enclaves[index].as_ref().expect("an enclave process");
        let pid = child.0.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
        assert!(sent.expect("kill exists").success(), "kill -{name} {pid}");
    }

    /// Folder of a node's enclave, wherever it runs.
    #[must_use]
    pub fn enclave_folder(&self, node: usize) -> PathBuf {
        match self.setup.enclaves {
            Enclaves::InProcess => self.private_folder(node).join("enclave"),
            Enclaves::Apart | Enclaves::OverTls => {
                self.network.node_folder(node).join("enclave").join("data")
            }
        }
    }

    /// The chain, as one of the test accounts.
    ///
    /// # Panics
    /// When the node does not answer.
    pub async fn chain(&self, node: usize, account: u32) -> MarketClient {
        let client = MarketClient::connect(&self.network.rpc_url(node)).await;
        client
            .expect("the node answers")
            .with_account(account_of(account))
    }

    /// The private side of a node, as its first party and as one of the test accounts.
    ///
    /// # Panics
    /// When the node does not answer.
    pub async fn party(&self, node: usize, account: u32) -> PrivateClient {
        let org = self.setup.orgs_at(node).next().expect("it has a party");
        self.tenant(org, account).await
    }

    /// The private side of an organisation's node, as that organisation.
    ///
    /// # Panics
    /// When the node does not answer.
    pub async fn tenant(&self, org: usize, account: u32) -> PrivateClient {
        let node = self.setup.places[org];
        let chain = self.chain(node, account).await;
        let url = self.network.rpc_url(node);
        PrivateClient::new(chain, &url, Some(&token_of(org))).expect("a client")
    }

    /// Folder of everything private of a node.
    #[must_use]
    pub fn private_folder(&self, node: usize) -> PathBuf {
        self.network.node_folder(node).join("data").join("private")
    }

    async fn register(&self, index: usize) {
        let number = u32::try_from(index).expect("small");
        let path = self
            .private_folder(self.setup.places[index])
            .join("parties")
            .join(format!("{}.json", name_of(index)));
        let party: Value = eventually("the node to know its party", || async {
            serde_json::from_str(&std::fs::read_to_string(&path).ok()?).ok()
        })
        .await;
        let word = |field: &str| -> B256 {
            let text = party[field].as_str().expect("a text");
            text.parse().expect("a word")
        };
        let proof: Bytes = serde_json::from_value(party["proof"].clone()).expect("bytes");
        let chain = self.chain(0, number).await;
        let groups = Groups::of(&chain).expect("the chain has the contract");
        let registered =
            groups.register_party(word("org"), word("identityKey"), word("nodeKey"), proof);
        registered.await.expect("a party is registered");
    }

    /// Waits until every party has an encryption key on the chain.
    async fn published(&self) {
        let chain = self.chain(0, ANYBODY).await;
        let groups = Groups::of(&chain).expect("the chain has the contract");
        for org in &self.orgs {
            eventually("a party's encryption key on the chain", || async {
                groups.key(*org).await.ok().flatten()
            })
            .await;
        }
    }

    /// Makes a group of organisations, and waits until their nodes follow it.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn group(&self, orgs: &[usize], mode: PrivateMode) -> B256 {
        self.group_with(orgs, mode, &[], 0).await
    }

    /// As [`Self::group`] with a delivery policy.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn group_with(
        &self,
        orgs: &[usize],
        mode: PrivateMode,
        mandatory: &[usize],
        quorum: u16,
    ) -> B256 {
        let names: Vec<_> = orgs.iter().map(ToString::to_string).collect();
        let id = keccak256(format!("{} {mode:?} {quorum}", names.join(",")));
        let creator = u32::try_from(orgs[0]).expect("small");
        let chain = self.chain(0, creator).await;
        let groups = Groups::of(&chain).expect("the chain has the contract");
        let of = |orgs: &[usize]| orgs.iter().map(|org| self.orgs[*org]).collect();
        let terms = GroupTerms {
            id,
            name: B256::ZERO,
            orgs: of(orgs),
            mode,
            mandatory: of(mandatory),
            quorum,
            attest_every: 4,
        };
        groups.create(&terms).await.expect("a group is made");
        for org in orgs {
            let party = self.tenant(*org, creator).await;
            eventually("a member to know its group", || async {
                party.status(id).await.ok()
            })
            .await;
        }
        id
    }

    /// What a node says of a group.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn status(&self, node: usize, group: B256) -> GroupStatus {
        let party = self.party(node, ANYBODY).await;
        party.status(group).await.expect("a status")
    }

    /// Waits until the members have followed to the head and have the same root.
    pub async fn same_root(&self, nodes: &[usize], group: B256) -> B256 {
        patiently("the members of a group at one root", || async {
            let height = self.network.height(nodes[0]).await?;
            let mut roots = Vec::new();
            for node in nodes {
                let party = self.try_party(*node).await?;
                let status = party.status(group).await.ok()?;
                if status.height < height {
                    return None;
                }
                roots.push(status.root);
            }
            roots.dedup();
            (roots.len() == 1).then(|| roots[0])
        })
        .await
    }

    async fn try_party(&self, node: usize) -> Option<PrivateClient> {
        let url = self.network.rpc_url(node);
        let chain = MarketClient::connect(&url).await.ok()?;
        let chain = chain.with_account(account_of(ANYBODY));
        let org = self.setup.orgs_at(node).next()?;
        PrivateClient::new(chain, &url, Some(&token_of(org))).ok()
    }

    /// Makes public blocks.
    ///
    /// # Panics
    /// When a block does not come.
    pub async fn blocks(&self, node: usize, count: u64) {
        for _ in 0..count {
            self.say(node, Bytes::new()).await;
        }
    }

    /// Sends a public transaction with some data and waits for its block.
    ///
    /// # Panics
    /// When the block does not come.
    pub async fn say(&self, node: usize, data: Bytes) {
        let url = self.network.rpc_url(node).parse().expect("a URL");
        let payer = MnemonicBuilder::<English>::default()
            .phrase(TEST_MNEMONIC)
            .index(PAYER)
            .and_then(|builder| builder.build())
            .expect("the test mnemonic has this account");
        let provider = ProviderBuilder::new()
            .wallet(EthereumWallet::from(payer))
            .connect_http(url)
            .erased();
        provider
            .client()
            .set_poll_interval(Duration::from_millis(20));
        let request = TransactionRequest::default()
            .with_to(Address::repeat_byte(0x77))
            .with_input(data)
            .with_value(U256::from(1));
        let pending = provider.send_transaction(request).await;
        let pending = pending.expect("the pool takes it");
        let pending = pending.with_timeout(Some(PATIENCE));
        pending.get_receipt().await.expect("a receipt");
    }

    /// Stops everything at once, so that what is on the disks can be read.
    pub async fn stop(&mut self, node: usize) {
        let _ = self.network.terminate(node).await;
    }
}

/// Waits as [`eventually`] does, for longer.
///
/// # Panics
/// When it does not come.
pub async fn patiently<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        let patience = PATIENCE.max(PRIVATE_PATIENCE);
        assert!(started.elapsed() < patience, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Deploys the counter in a group and answers its address.
///
/// # Panics
/// When it is not deployed.
pub async fn deploy_counter(party: &PrivateClient, group: B256) -> Address {
    deploy(party, group, counter()).await
}

/// Deploys a contract in a group and answers its address.
///
/// # Panics
/// When it is not deployed.
pub async fn deploy(party: &PrivateClient, group: B256, code: Bytes) -> Address {
    let sent = party
        .deploy(group, code, Some(500_000))
        .await
        .expect("the node takes it");
    let receipt = party.wait(sent.digest).await.expect("it runs");
    receipt.contract_address.expect("a contract")
}

/// Calls a contract, such as a counter, and waits for the receipt.
///
/// # Panics
/// When it fails.
pub async fn add(
    party: &PrivateClient,
    group: B256,
    counter: Address,
    input: Bytes,
) -> PrivateReceipt {
    let sent = party
        .send(group, counter, input, Some(200_000))
        .await
        .expect("the node takes it");
    party.wait(sent.digest).await.expect("it runs")
}

/// The number of a counter.
///
/// # Panics
/// When it cannot be read.
pub async fn count(party: &PrivateClient, group: B256, counter: Address) -> U256 {
    let word = party.call(group, counter, Bytes::new()).await;
    U256::from_be_slice(&word.expect("the counter answers"))
}

/// One of the test accounts.
///
/// # Panics
/// Never: the phrase is good.
#[must_use]
pub fn account_of(index: u32) -> Account {
    let phrase = Mnemonic::parse(TEST_MNEMONIC).expect("a phrase");
    phrase.account(index).expect("an account")
}

/// Name of an organisation's party.
#[must_use]
pub fn name_of(org: usize) -> String {
    format!("org-{org}")
}

/// Secret of the API key that acts for an organisation.
#[must_use]
pub fn token_of(org: usize) -> String {
    format!("a_private_token_of_org_{org}")
}

/// Secret of the API key that reads for an organisation.
#[must_use]
pub fn reading_token_of(org: usize) -> String {
    format!("a_reading_token_of_org_{org}")
}

/// Secret of an API key that opens every method, for no party.
pub const PUBLIC_TOKEN: &str = "a_token_for_no_party_at_all";

/// Turns the chain into one that takes marked transactions. What the header carries
/// of the section is filled in anew.
fn allow_quorum(network: &NetworkOfProcesses) {
    let path = network.directory().join("genesis.json");
    let text = std::fs::read_to_string(&path).expect("the network has a genesis file");
    let mut genesis: Value = serde_json::from_str(&text).expect("it is JSON");
    genesis["medina"]["quorumCompat"] = json!(true);
    let members = genesis.as_object_mut().expect("it is an object");
    members.remove("mixHash");
    std::fs::write(&path, genesis.to_string()).expect("it can be written");
}

/// Turns the private side on in a node's configuration, where it has a party.
fn configure(path: &Path, node: usize, setup: &Setup, manager: Option<u16>) {
    let orgs: Vec<_> = setup.orgs_at(node).collect();
    if orgs.is_empty() {
        return;
    }
    let text = std::fs::read_to_string(path).expect("a configuration");
    let mut config: toml::Table = text.parse().expect("TOML");
    let rpc = config["rpc"].as_table_mut().expect("a section");
    rpc.insert("keys_file".to_owned(), "keys.toml".into());
    if let Some(port) = manager {
        let listen = format!("127.0.0.1:{port}");
        rpc.insert("transaction_manager".to_owned(), listen.into());
    }
    let mut private = "enabled = true\n".to_owned();
    let mut keys = key("public", PUBLIC_TOKEN, "");
    for org in orgs {
        let name = name_of(org);
        let id = keccak256(&name);
        private += &format!("[[party]]\nname = \"{name}\"\norg = \"{id}\"\n");
        let reads = format!("psi://{name}");
        let writes = format!("{reads}?self.eoa=0x0&node.eoa=0x0");
        keys += &key(&format!("{name} writes"), &token_of(org), &writes);
        keys += &key(&format!("{name} reads"), &reading_token_of(org), &reads);
    }
    let mut private: toml::Table = private.parse().expect("TOML");
    if setup.enclaves == Enclaves::Apart {
        let place = "unix:enclave/enclave.sock".to_owned();
        private.insert("enclave".to_owned(), place.into());
    }
    config.insert("private".to_owned(), private.into());
    std::fs::write(path, config.to_string()).expect("a configuration");
    let path = path.with_file_name("keys.toml");
    std::fs::write(&path, keys).expect("a file of keys");
    let only_its_owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, only_its_owner).expect("its owner may");
}

/// Port of a node's enclave.
fn port_of(first: u16, node: usize) -> u16 {
    first + u16::try_from(node).expect("a small network")
}

/// An entry of a key file; all methods, for one scope or none.
fn key(name: &str, secret: &str, scope: &str) -> String {
    let private = match scope {
        "" => String::new(),
        scope => format!("private = [\"{scope}\"]\n"),
    };
    format!("[[key]]\nname = \"{name}\"\nsecret = \"{secret}\"\nnamespaces = [\"*\"]\n{private}\n")
}
