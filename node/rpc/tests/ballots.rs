//! Open ballots and sets of the past, on the real contract and real blocks.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{SolCall, SolValue};
use medina_contracts::permissioning::Permissioning;
use medina_genesis::test_account;
use medina_rpc::NodeView as _;
use medina_types::NodePublicKey;
use serde_json::{Value, json};
use std::sync::Arc;
use support::*;

/// The newcomer: its number as validator, account and organisation.
const NEW: u8 = 4;

fn operator_of(number: u8) -> Address {
    test_account(number.into()).address
}

/// Key of a JSON object as addresses are written there.
fn field(address: Address) -> String {
    address.to_string().to_lowercase()
}

struct Chain {
    node: Arc<TestNode>,
    rpc: Rpc,
    nonces: [u64; 8],
}

impl Chain {
    async fn of(validators: u8) -> Self {
        let node = TestNode::generated(validators);
        let rpc = Rpc::of(node.clone(), |_| {}).await;
        Self {
            node,
            rpc,
            nonces: [0; 8],
        }
    }

    /// Sends a call and puts it into a block, where it must succeed.
    async fn send(&mut self, from: u8, call: impl SolCall) {
        let nonce = &mut self.nonces[usize::from(from)];
        let contract = self.node.spec().contracts["permissioning"];
        let input = call.abi_encode();
        let transaction = signed_call(from.into(), *nonce, contract, &input);
        *nonce += 1;
        let hash = self.rpc.send(&transaction).await;
        self.node.mine();
        let receipt = self.rpc.call("eth_getTransactionReceipt", json!([hash]));
        assert_eq!(receipt.await["status"], "0x1");
    }

    async fn vote(&mut self, from: u8, ballot: u64, yes: bool) {
        let ballot = U256::from(ballot);
        self.send(from, Permissioning::voteCall { ballot, yes })
            .await;
    }

    async fn execute(&mut self, ballot: u64) {
        let ballot = U256::from(ballot);
        self.send(0, Permissioning::executeCall { ballot }).await;
    }

    /// Opens ballot 1, which admits the newcomer.
    async fn propose_newcomer(&mut self) {
        let node = key_of(NEW);
        let org = alloy_primitives::keccak256(format!("org-{NEW}"));
        let call = Permissioning::addNodeCall { org, nodeKey: node };
        self.send(NEW, call).await;
        let data = (node, operator_of(NEW)).abi_encode().into();
        self.send(0, Permissioning::proposeCall { kind: 1, data })
            .await;
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        self.rpc.call(method, params).await
    }
}

fn key_of(number: u8) -> B256 {
    validator_key(number).public_key().0.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn open_ballots_are_pending_votes_and_candidates_what_we_said_yes_to() {
    let mut chain = Chain::of(4).await;
    assert_eq!(
        chain.call("qbft_getPendingVotes", json!([])).await,
        json!({})
    );
    chain.propose_newcomer().await;
    let expected = json!({ field(operator_of(NEW)): true });
    for method in ["qbft_getPendingVotes", "ibft_getPendingVotes"] {
        assert_eq!(chain.call(method, json!([])).await, expected);
    }
    // Nobody of this node's organisation has voted.
    assert_eq!(
        chain.call("istanbul_candidates", json!([])).await,
        json!({})
    );
    chain.vote(0, 1, true).await;
    assert_eq!(chain.call("istanbul_candidates", json!([])).await, expected);

    let data = key_of(3).abi_encode().into();
    chain
        .send(1, Permissioning::proposeCall { kind: 2, data })
        .await;
    let both = json!({ field(operator_of(NEW)): true, field(operator_of(3)): false });
    assert_eq!(chain.call("qbft_getPendingVotes", json!([])).await, both);
    // A ballot on something else is no vote on a validator.
    let data = (B256::repeat_byte(1), U256::from(5)).abi_encode().into();
    chain
        .send(1, Permissioning::proposeCall { kind: 4, data })
        .await;
    assert_eq!(chain.call("qbft_getPendingVotes", json!([])).await, both);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_has_the_votes_of_its_block() {
    let mut chain = Chain::of(4).await;
    chain.propose_newcomer().await;
    chain.vote(0, 1, true).await;
    chain.vote(2, 1, true).await;
    chain.vote(3, 1, false).await;
    let vote = |number: u8, block: u64| {
        json!({
            "validator": operator_of(number),
            "block": block,
            "address": operator_of(NEW),
            "authorize": true,
        })
    };
    let now = chain.call("istanbul_getSnapshot", json!([])).await;
    assert_eq!(now["votes"], json!([vote(0, 5), vote(2, 5)]));
    let tally = json!({ field(operator_of(NEW)): { "authorize": true, "votes": 2 } });
    assert_eq!(now["tally"], tally);
    let before = chain.call("istanbul_getSnapshot", json!(["0x3"])).await;
    assert_eq!(before["votes"], json!([vote(0, 3)]));
    let genesis = chain.call("istanbul_getSnapshot", json!(["0x0"])).await;
    assert_eq!(
        (&genesis["votes"], &genesis["tally"]),
        (&json!([]), &json!({}))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_of_the_past_stay_while_the_set_changes() {
    let mut chain = Chain::of(1).await;
    chain.propose_newcomer().await;
    chain.vote(0, 1, true).await;
    chain.execute(1).await;
    assert_eq!(
        chain.call("qbft_getPendingVotes", json!([])).await,
        json!({})
    );
    let waiting = chain.call("medina_validators", json!([])).await;
    let admitted = json!([{
        "key": NodePublicKey(key_of(NEW).0),
        "operator": operator_of(NEW),
        "name": null,
    }]);
    assert_eq!(waiting["admitted"], admitted);

    let node_key = key_of(NEW);
    chain
        .send(NEW, Permissioning::activateCall { nodeKey: node_key })
        .await;
    let now = chain.call("medina_validators", json!([])).await;
    assert_eq!(now["admitted"], json!([]));
    assert_eq!(now["validators"].as_array().unwrap().len(), 2);
    let (one, two) = (
        json!([operator_of(0)]),
        json!([operator_of(0), operator_of(NEW)]),
    );
    // Block 5 activated: it was decided by one, the next by two.
    for (block, by_number, after) in [
        ("0x4", &one, &one),
        ("0x5", &one, &two),
        ("latest", &one, &two),
        ("pending", &two, &two),
    ] {
        let params = json!([block]);
        let deciders = chain.call("qbft_getValidatorsByBlockNumber", params.clone());
        assert_eq!(&deciders.await, by_number, "{block}");
        let set = chain.call("istanbul_getValidators", params).await;
        assert_eq!(&set, after, "{block}");
    }
}
