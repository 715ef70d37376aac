//! Networks of real processes whose nodes act for organisations in private groups.

use crate::processes::{NetworkOfProcesses, PATIENCE, eventually, medina_binary};
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
use serde_json::Value;
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::time::Instant;

/// Any account, for what is not signed.
const ANYBODY: u32 = 0;
/// Secret of the API key with which a test acts as a node's party.
pub const TOKEN: &str = "a private token of a test";
/// How long private things may take on two busy cores, beyond what public ones may.
const PRIVATE_PATIENCE: Duration = Duration::from_secs(120);

/// A counter, made by hand: called without input it returns its number; with a word
/// it adds the word and logs it; with a zero word it reverts. What follows the word is
/// ignored.
///
/// ```text
/// calldatasize PUSH add JUMPI  sload(0) return
/// add:  calldataload(0) DUP1 PUSH ok JUMPI  revert
/// ok:   sstore(0, sload(0) + word)  log1(word, topic 7)  stop
/// ```
#[must_use]
pub fn counter() -> Bytes {
    let init = "6030600c60003960306000f3";
    let read = "36600f5760005460005260206000f3";
    let word = "5b60003580601c5760006000fd";
    let add = "5b8060005401600055600052600760206000a100";
    hex::decode(format!("{init}{read}{word}{add}"))
        .expect("hexadecimal digits")
        .into()
}

/// Input that adds a number, with something behind it that stays private.
#[must_use]
pub fn adding(number: u64, secret: &str) -> Bytes {
    let mut input = U256::from(number).to_be_bytes::<32>().to_vec();
    input.extend_from_slice(secret.as_bytes());
    input.into()
}

/// A network of validators, each of which acts for one organisation.
pub struct PrivateNetwork {
    /// The processes.
    pub network: NetworkOfProcesses,
    /// The organisations, by node: genesis has them, with the first test accounts as
    /// their admins.
    pub orgs: Vec<B256>,
    enclaves: Vec<Option<EnclaveChild>>,
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
}

impl PrivateNetwork {
    /// Makes a network of four validators with a party each, registers all of them and
    /// waits until others can encrypt to them.
    ///
    /// # Panics
    /// When anything of it fails.
    pub async fn start() -> Self {
        Self::start_with(Enclaves::InProcess).await
    }

    /// The same with enclaves somewhere else.
    ///
    /// # Panics
    /// When anything of it fails.
    pub async fn start_with(enclaves: Enclaves) -> Self {
        let mut network = NetworkOfProcesses::create(4);
        let orgs: Vec<_> = (0..4).map(|index| keccak256(name_of(index))).collect();
        for (index, org) in orgs.iter().enumerate() {
            let config = network.node_folder(index).join("config.toml");
            configure(&config, index, *org, enclaves);
        }
        for index in 0..network.len() {
            network.run(index);
        }
        for index in 0..network.len() {
            network.ready(index).await;
            network.linked(index, 3).await;
        }
        let mut network = Self {
            enclaves: orgs.iter().map(|_| None).collect(),
            network,
            orgs,
        };
        if enclaves == Enclaves::Apart {
            // Which of the two starts first does not matter.
            for index in 0..4 {
                network.run_enclave(index);
            }
        }
        for index in 0..4 {
            network.register(index).await;
        }
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
        let text = "socket = \"enclave/enclave.sock\"\nfolder = \"enclave/data\"\n";
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

    /// The private side of a node, as its party and as one of the test accounts.
    ///
    /// # Panics
    /// When the node does not answer.
    pub async fn party(&self, node: usize, account: u32) -> PrivateClient {
        let chain = self.chain(node, account).await;
        let url = self.network.rpc_url(node);
        PrivateClient::new(chain, &url, Some(TOKEN)).expect("a client")
    }

    /// Folder of everything private of a node.
    #[must_use]
    pub fn private_folder(&self, node: usize) -> PathBuf {
        self.network.node_folder(node).join("data").join("private")
    }

    async fn register(&self, index: usize) {
        let number = u32::try_from(index).expect("small");
        let path = self
            .private_folder(index)
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

    /// Makes a group of the organisations of these nodes, and waits until they follow it.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn group(&self, nodes: &[usize], mode: PrivateMode) -> B256 {
        self.group_with(nodes, mode, &[], 0).await
    }

    /// As [`Self::group`] with a delivery policy.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn group_with(
        &self,
        nodes: &[usize],
        mode: PrivateMode,
        mandatory: &[usize],
        quorum: u16,
    ) -> B256 {
        let names: Vec<_> = nodes.iter().map(|node| node.to_string()).collect();
        let id = keccak256(format!("{} {mode:?} {quorum}", names.join(",")));
        let creator = u32::try_from(nodes[0]).expect("small");
        let chain = self.chain(0, creator).await;
        let groups = Groups::of(&chain).expect("the chain has the contract");
        let of = |nodes: &[usize]| nodes.iter().map(|node| self.orgs[*node]).collect();
        let terms = GroupTerms {
            id,
            name: B256::ZERO,
            orgs: of(nodes),
            mode,
            mandatory: of(mandatory),
            quorum,
            attest_every: 4,
        };
        groups.create(&terms).await.expect("a group is made");
        for node in nodes {
            let party = self.party(*node, creator).await;
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
        PrivateClient::new(chain, &url, Some(TOKEN)).ok()
    }

    /// Makes public blocks.
    ///
    /// # Panics
    /// When a block does not come.
    pub async fn blocks(&self, node: usize, count: u64) {
        let url = self.network.rpc_url(node).parse().expect("a URL");
        let payer = MnemonicBuilder::<English>::default()
            .phrase(TEST_MNEMONIC)
            .index(9)
            .and_then(|builder| builder.build())
            .expect("the test mnemonic has this account");
        let provider = ProviderBuilder::new()
            .wallet(EthereumWallet::from(payer))
            .connect_http(url)
            .erased();
        provider
            .client()
            .set_poll_interval(Duration::from_millis(20));
        for _ in 0..count {
            let request = TransactionRequest::default()
                .with_to(Address::repeat_byte(0x77))
                .with_value(U256::from(1));
            let pending = provider.send_transaction(request).await;
            let pending = pending.expect("the pool takes it");
            let pending = pending.with_timeout(Some(PATIENCE));
            pending.get_receipt().await.expect("a receipt");
        }
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
    let sent = party
        .deploy(group, counter(), Some(500_000))
        .await
        .expect("the node takes it");
    let receipt = party.wait(sent.digest).await.expect("it runs");
    receipt.contract_address.expect("a contract")
}

/// Adds to a counter and waits for the receipt.
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

/// Files below a folder that hold a text, RocksDB's own included.
///
/// # Panics
/// When the folder cannot be read.
#[must_use]
pub fn files_with(folder: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = std::fs::read(&path)
                && bytes.windows(needle.len()).any(|window| window == needle)
            {
                found.push(path);
            }
        }
    }
    found
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

fn name_of(index: usize) -> String {
    format!("org-{index}")
}

/// Turns the private side on in a node's configuration.
fn configure(path: &Path, index: usize, org: B256, enclaves: Enclaves) {
    let text = std::fs::read_to_string(path).expect("a configuration");
    let mut config: toml::Table = text.parse().expect("TOML");
    let rpc = config["rpc"].as_table_mut().expect("a section");
    rpc.insert("keys_file".to_owned(), "keys.toml".into());
    let name = name_of(index);
    let private: toml::Table =
        format!("enabled = true\n[[party]]\nname = \"{name}\"\norg = \"{org}\"\n")
            .parse()
            .expect("TOML");
    let mut private = private;
    if enclaves == Enclaves::Apart {
        let place = "unix:enclave/enclave.sock".to_owned();
        private.insert("enclave".to_owned(), place.into());
    }
    config.insert("private".to_owned(), private.into());
    std::fs::write(path, config.to_string()).expect("a configuration");
    let keys = format!(
        "[[key]]\nname = \"test\"\nsecret = \"{TOKEN}\"\n\
         namespaces = [\"eth\", \"net\", \"web3\", \"medina\", \"priv\"]\n\
         private = [\"psi://{name}?self.eoa=0x0\"]\n"
    );
    let path = path.with_file_name("keys.toml");
    std::fs::write(&path, keys).expect("a file of keys");
    let only_its_owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, only_its_owner).expect("its owner may");
}
