//! The set of validators changes by ballots while four real processes and those
//! that join them go on making blocks.

use alloy_network::{EthereumWallet, TransactionBuilder as _};
use alloy_primitives::{Address, B256, Bytes, TxHash, U256};
use alloy_provider::{DynProvider, Provider as _, ProviderBuilder};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer_local::{MnemonicBuilder, PrivateKeySigner, coins_bip39::English};
use alloy_sol_types::SolValue as _;
use medina_contracts::bindings::permissioning::Permissioning::{self, PermissioningInstance};
use medina_tests::processes::{NetworkOfProcesses, PATIENCE, eventually};
use serde_json::json;
use std::time::Duration;

const MNEMONIC: &str = "test test test test test test test test test test test junk";
/// Kinds of ballots, as the contract numbers them.
const ADD_VALIDATOR: u8 = 1;
const REMOVE_VALIDATOR: u8 = 2;

fn signer(account: usize) -> PrivateKeySigner {
    MnemonicBuilder::<English>::default()
        .phrase(MNEMONIC)
        .index(u32::try_from(account).expect("a small number"))
        .and_then(|builder| builder.build())
        .expect("the test mnemonic has this account")
}

/// A network whose validator `i` is operated by test account `i`, which is also
/// the admin of an organisation of its own.
struct Story {
    network: NetworkOfProcesses,
    permissioning: Address,
    paid: u64,
}

impl Story {
    async fn start(validators: u16, engine: &str) -> Self {
        let mut network = NetworkOfProcesses::create_with(validators, &["--consensus", engine]);
        for index in 0..network.len() {
            network.run(index);
        }
        for index in 0..network.len() {
            network.ready(index).await;
            network.linked(index, usize::from(validators) - 1).await;
        }
        let contracts = network.call(0, "medina_contracts", json!([])).await;
        let permissioning = contracts["permissioning"].as_str().expect("deployed");
        let permissioning = permissioning.parse().expect("an address");
        Self {
            network,
            permissioning,
            paid: 0,
        }
    }

    fn provider(&self, node: usize, account: usize) -> DynProvider {
        let url = self.network.rpc_url(node).parse().expect("a URL");
        let provider = ProviderBuilder::new()
            .with_simple_nonce_management()
            .wallet(EthereumWallet::from(signer(account)))
            .connect_http(url)
            .erased();
        provider
            .client()
            .set_poll_interval(Duration::from_millis(20));
        provider
    }

    fn contract(&self, node: usize, account: usize) -> PermissioningInstance<DynProvider> {
        Permissioning::new(self.permissioning, self.provider(node, account))
    }

    async fn key(&self, node: usize) -> B256 {
        let text = std::fs::read_to_string(self.network.node_folder(node).join("node.key"))
            .expect("every node has a key");
        let secret = medina_types::NodeSecretKey::from_hex(&text).expect("a key");
        secret.public_key().0.into()
    }

    /// Waits until a transaction sent through `node` has succeeded.
    async fn succeeds(&self, node: usize, hash: TxHash) {
        let provider = self.provider(node, 0);
        let what = format!("the receipt of {hash} at node {node}");
        let receipt = eventually(&what, || async {
            provider.get_transaction_receipt(hash).await.ok().flatten()
        })
        .await;
        assert!(receipt.status(), "{hash} failed");
    }

    /// More than half of the operators vote, through one node.
    async fn ballot(&self, through: usize, voters: &[usize], kind: u8, data: Vec<u8>) {
        let contract = self.contract(through, voters[0]);
        let sent = contract.propose(kind, Bytes::from(data)).send().await;
        let hash = *sent.expect("a proposal").tx_hash();
        self.succeeds(through, hash).await;
        let count = contract.ballotCount().call().await.expect("a count");
        let needed = voters.len() / 2 + 1;
        for voter in &voters[..needed] {
            let contract = self.contract(through, *voter);
            let sent = contract.vote(count, true).send().await;
            let hash = *sent.expect("a vote").tx_hash();
            self.succeeds(through, hash).await;
        }
        let sent = contract.execute(count).send().await;
        let hash = *sent.expect("an execution").tx_hash();
        self.succeeds(through, hash).await;
    }

    /// Admits a node and lets its operator activate it.
    async fn admit(&self, through: usize, validators: &[usize], node: usize) {
        let key = self.key(node).await;
        let contract = self.contract(through, node);
        let known = contract.getNode(key).call().await.expect("a node");
        if known.state == 0 {
            let org = alloy_primitives::keccak256(format!("org-{node}"));
            let sent = contract.addNode(org, key).send().await;
            let hash = *sent.expect("a node is added").tx_hash();
            self.succeeds(through, hash).await;
        }
        let data = (key, signer(node).address()).abi_encode();
        self.ballot(through, validators, ADD_VALIDATOR, data).await;
        let sent = contract.activate(key).send().await;
        let hash = *sent.expect("an activation").tx_hash();
        self.succeeds(through, hash).await;
    }

    async fn remove(&self, through: usize, validators: &[usize], node: usize) {
        let data = self.key(node).await.abi_encode();
        self.ballot(through, validators, REMOVE_VALIDATOR, data)
            .await;
    }

    /// A block is made by whoever validates now, and all `nodes` have it.
    async fn lives(&mut self, through: usize, nodes: &[usize]) {
        let request = TransactionRequest::default()
            .with_to(Address::repeat_byte(0x77))
            .with_value(U256::from(1));
        // Else a node that is behind would number the payment as one that is old.
        self.network.agree(nodes).await;
        let provider = self.provider(through, 9);
        let sent = provider.send_transaction(request).await.expect("taken");
        let receipt = sent.with_timeout(Some(PATIENCE)).get_receipt().await;
        assert!(receipt.expect("a receipt").status());
        self.paid += 1;
        self.network.agree(nodes).await;
        let params = json!([Address::repeat_byte(0x77), "latest"]);
        let balance = self.network.call(through, "eth_getBalance", params).await;
        assert_eq!(balance, format!("{:#x}", self.paid), "nothing is lost");
    }

    async fn votes(&self, node: usize, expected: bool) {
        eventually(&format!("node {node} votes: {expected}"), || async {
            let status = self.network.try_call(node, "medina_consensus", json!([]));
            let votes = status.await?["votes"].as_bool()?;
            (votes == expected).then_some(())
        })
        .await;
    }

    async fn set_size(&self, through: usize) -> usize {
        let contract = self.contract(through, 0);
        let operators = contract.getValidators().call().await;
        operators.expect("the operators").len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_validators_become_seven_four_one_and_two_and_the_chain_goes_on() {
    grow_and_shrink("qbft").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn raft_group_follows_the_ballots_from_four_to_seven_four_one_and_two() {
    grow_and_shrink("raft").await;
}

async fn grow_and_shrink(engine: &str) {
    let mut story = Story::start(4, engine).await;
    story.lives(0, &[0, 1, 2, 3]).await;
    for node in 4..7 {
        assert_eq!(story.network.add_follower(), node);
    }
    for node in [4, 5] {
        story.network.run(node);
        story.network.ready(node).await;
    }
    let mut validators = vec![0, 1, 2, 3];
    // The last of them is admitted while it is not up yet.
    for node in [4, 5, 6] {
        story.admit(0, &validators, node).await;
        validators.push(node);
    }
    assert_eq!(story.set_size(0).await, 7);
    for _ in 0..8 {
        story.lives(0, &[0, 1, 2, 3, 4, 5]).await;
    }
    for node in [4, 5] {
        story.votes(node, true).await;
    }
    story.network.run(6);
    story.network.ready(6).await;
    story.network.linked(6, 6).await;
    // It has no record of votes: it watches, or learns, before it votes.
    for _ in 0..4 {
        story.lives(6, &[0, 1, 2, 3, 4, 5, 6]).await;
    }
    story.votes(6, true).await;
    // Now its vote is needed with QBFT, whose quorum of 7 is 5.
    for node in [4, 5] {
        story.network.kill(node);
    }
    story.lives(0, &[0, 1, 2, 3, 6]).await;

    // Also two whose nodes are down; their operators vote through others.
    for node in [4, 5, 0] {
        story.remove(1, &validators, node).await;
        validators.retain(|validator| *validator != node);
        story.lives(1, &[0, 1, 2, 3, 6]).await;
    }
    assert_eq!(story.set_size(1).await, 4);
    story.votes(0, false).await;

    for node in [6, 3, 2] {
        story.remove(1, &validators, node).await;
        validators.retain(|validator| *validator != node);
        story.lives(1, &[0, 1, 2, 3, 6]).await;
    }
    assert_eq!(validators, [1]);
    story.votes(1, true).await;
    refuses_to_lose_the_last(&story, 1).await;
    story.lives(1, &[0, 1, 2, 3, 6]).await;

    story.admit(1, &validators, 2).await;
    story.votes(2, true).await;
    story.lives(2, &[0, 1, 2, 3, 6]).await;
    assert_eq!(story.set_size(1).await, 2);
}

async fn refuses_to_lose_the_last(story: &Story, node: usize) {
    let data = story.key(node).await.abi_encode();
    let contract = story.contract(node, node);
    let sent = contract.propose(REMOVE_VALIDATOR, data.into()).send().await;
    story
        .succeeds(node, *sent.expect("a proposal").tx_hash())
        .await;
    let count = contract.ballotCount().call().await.expect("a count");
    let sent = contract.vote(count, true).send().await;
    story.succeeds(node, *sent.expect("a vote").tx_hash()).await;
    let refused = contract.execute(count).call().await;
    assert!(refused.is_err(), "one validator must remain");
}

#[tokio::test(flavor = "multi_thread")]
async fn validator_that_proposes_next_is_removed_and_nobody_waits_for_it() {
    removed_leader("qbft").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn raft_leader_is_removed_and_nobody_waits_for_it() {
    removed_leader("raft").await;
}

async fn removed_leader(engine: &str) {
    let mut story = Story::start(4, engine).await;
    for _ in 0..2 {
        story.lives(0, &[0, 1, 2, 3]).await;
    }
    let status = story.network.call(0, "medina_consensus", json!([])).await;
    let proposer = status["proposer"].as_str().expect("a key").to_owned();
    let mut leader = None;
    for node in 0..4 {
        if story.key(node).await.to_string() == proposer {
            leader = Some(node);
        }
    }
    let leader = leader.expect("one of them proposes");
    let others: Vec<_> = (0..4).filter(|node| *node != leader).collect();
    story.remove(others[0], &[0, 1, 2, 3], leader).await;
    story.votes(leader, false).await;
    // All of the three must vote now: the removed one is not waited for.
    story.network.kill(leader);
    for _ in 0..4 {
        story.lives(others[0], &others).await;
    }
}
