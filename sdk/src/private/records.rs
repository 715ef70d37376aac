//! What a node's private side answers.
//!
//! Fields that this version does not know are passed over, and most may be missing: a node of the
//! next version has more of them, and tells only what it knows.

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use super::wire;

/// What a sent transaction is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// Digest of its envelope.
    pub digest: B256,
    /// Hash of the public marker; none before it is signed.
    #[serde(default, alias = "marker")]
    pub marker_hash: Option<B256>,
}

/// A party as a node knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalParty {
    /// Its name on the node, its private state identifier.
    #[serde(default)]
    pub name: String,
    /// Its organisation.
    pub org: B256,
    /// Ed25519 key that it signs with.
    pub identity_key: B256,
    /// X25519 key of its current epoch.
    #[serde(default)]
    pub encryption_key: Option<B256>,
    /// The epoch.
    #[serde(default, deserialize_with = "wire::number")]
    pub epoch: u64,
    /// Ed25519 key of the node.
    pub node_key: B256,
    /// What `registerParty` takes: the identity key's signature.
    #[serde(default)]
    pub proof: Option<Bytes>,
}

/// What a private transaction did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrivateReceipt {
    /// Digest of its envelope.
    pub digest: B256,
    /// Its group.
    pub group: B256,
    /// Its public transaction.
    #[serde(default, alias = "transactionHash")]
    pub marker_hash: Option<B256>,
    /// The public block.
    #[serde(deserialize_with = "wire::number")]
    pub block_number: u64,
    /// Whether it ran to a good end.
    #[serde(deserialize_with = "wire::flag")]
    pub status: bool,
    /// What it came to: `executed`, `refused`, `stale`, `erased`, `skipped`.
    #[serde(default)]
    pub outcome: Option<String>,
    /// Who signed it.
    #[serde(default)]
    pub from: Option<Address>,
    /// The contract that was called.
    #[serde(default)]
    pub to: Option<Address>,
    /// The contract that was made.
    #[serde(default)]
    pub contract_address: Option<Address>,
    /// Private gas used.
    #[serde(default, deserialize_with = "wire::number")]
    pub gas_used: u64,
    /// Its logs.
    #[serde(default)]
    pub logs: Vec<PrivateLog>,
    /// What it returned or reverted with.
    #[serde(default)]
    pub output: Bytes,
    /// Why it failed, in the node's words.
    #[serde(default, alias = "revertReason")]
    pub reason: Option<String>,
}

impl PrivateReceipt {
    /// Why it failed, in words.
    #[must_use]
    pub fn failure(&self) -> String {
        let has_reason = self.output.len() >= 4;
        let revert = has_reason.then(|| crate::client::decode_revert(&self.output));
        let known = revert.filter(|text| !text.starts_with("unknown error"));
        known
            .or_else(|| self.reason.clone())
            .or_else(|| self.outcome.clone())
            .unwrap_or_else(|| "no reason given".to_owned())
    }
}

/// A log of a private contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrivateLog {
    /// Which contract.
    pub address: Address,
    /// Topics.
    #[serde(default)]
    pub topics: Vec<B256>,
    /// What is not indexed.
    #[serde(default)]
    pub data: Bytes,
    /// The public block.
    #[serde(default, deserialize_with = "wire::optional")]
    pub block_number: Option<u64>,
    /// The public transaction.
    #[serde(default)]
    pub transaction_hash: Option<B256>,
    /// Digest of the private transaction.
    #[serde(default)]
    pub digest: Option<B256>,
    /// Its number.
    #[serde(default, deserialize_with = "wire::optional")]
    pub log_index: Option<u64>,
}

/// A private transaction as a member reads it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SentTransaction {
    /// Digest of its envelope.
    pub digest: B256,
    /// Its group.
    pub group: B256,
    /// Who signed it.
    pub from: Address,
    /// The contract it calls; none where it makes one.
    #[serde(default)]
    pub to: Option<Address>,
    /// Transactions of the sender in this group before it.
    #[serde(deserialize_with = "wire::number")]
    pub nonce: u64,
    /// Gas limit.
    #[serde(default, deserialize_with = "wire::number")]
    pub gas: u64,
    /// The group's mode.
    #[serde(default, deserialize_with = "wire::number")]
    pub mode: u64,
    /// Call data or init code.
    #[serde(default, alias = "input")]
    pub data: Bytes,
    /// Its public transaction.
    #[serde(default, alias = "transactionHash")]
    pub marker_hash: Option<B256>,
    /// The public block.
    #[serde(default, deserialize_with = "wire::optional")]
    pub block_number: Option<u64>,
}

/// What became of an envelope at one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Its organisation.
    pub org: B256,
    /// Whether the policy needs it by name.
    #[serde(default)]
    pub is_mandatory: bool,
    /// When it acknowledged, Unix seconds.
    #[serde(default, deserialize_with = "wire::optional")]
    pub acknowledged_at: Option<u64>,
    /// Tries so far.
    #[serde(default, deserialize_with = "wire::number")]
    pub attempts: u64,
    /// What the last try met.
    #[serde(default)]
    pub last_error: Option<String>,
}

/// How far a delivery has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryStatus {
    /// The envelope.
    pub digest: B256,
    /// Its group.
    pub group: B256,
    /// Whether the marker may go out.
    #[serde(default)]
    pub is_policy_met: bool,
    /// Acknowledgements needed beside the mandatory ones.
    #[serde(default, deserialize_with = "wire::number")]
    pub quorum: u64,
    /// The members it goes to.
    #[serde(default)]
    pub recipients: Vec<Delivery>,
    /// The marker's hash, once it was sent.
    #[serde(default, alias = "marker")]
    pub marker_hash: Option<B256>,
    /// Height of its block, once it is in one.
    #[serde(default, deserialize_with = "wire::optional")]
    pub block_number: Option<u64>,
    /// Why the marker will not come, where it will not.
    #[serde(default)]
    pub failure: Option<String>,
}

/// A group as one of its members' nodes sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupSummary {
    /// Its id.
    pub id: B256,
    /// Its mode.
    #[serde(deserialize_with = "wire::number")]
    pub mode: u64,
    /// Its members.
    #[serde(default)]
    pub members: Vec<LocalParty>,
    /// Organisations that must acknowledge every transaction.
    #[serde(default)]
    pub mandatory: Vec<B256>,
    /// Acknowledgements needed besides theirs; 0 is all.
    #[serde(default, deserialize_with = "wire::number")]
    pub quorum: u64,
    /// Public block that made it.
    #[serde(default, deserialize_with = "wire::number")]
    pub created_at: u64,
    /// Whether it was made of a list of recipients, not by name.
    #[serde(default)]
    pub is_implicit: bool,
}

/// Why a group has stopped: roots of members differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupHalt {
    /// Organisation whose root differs.
    pub member: B256,
    /// Public height of the two roots.
    #[serde(deserialize_with = "wire::number")]
    pub height: u64,
    /// What an operator should know.
    #[serde(default)]
    pub reason: String,
}

/// What a member last signed of a group's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attestation {
    /// Its organisation.
    pub org: B256,
    /// Public height.
    #[serde(deserialize_with = "wire::number")]
    pub height: u64,
    /// Root that it signed.
    pub root: B256,
}

/// How far a group has come on the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupStatus {
    /// The group.
    pub id: B256,
    /// What the node does about it: `following`, `waiting`, `waiting-for-secret`,
    /// `rebuilding`, `failing`, `halted`.
    pub phase: String,
    /// Why it cannot go on now, where it tries again by itself.
    #[serde(default)]
    pub reason: Option<String>,
    /// Account that sent the marker whose payload it waits for.
    #[serde(default)]
    pub sent_by: Option<Address>,
    /// Organisation of that account.
    #[serde(default)]
    pub sent_by_org: Option<B256>,
    /// Digest of the payload that it waits for.
    #[serde(default)]
    pub waiting_for: Option<B256>,
    /// Why it has stopped.
    #[serde(default)]
    pub halt: Option<GroupHalt>,
    /// Public block up to which it has followed.
    #[serde(deserialize_with = "wire::number")]
    pub height: u64,
    /// Root of its state there.
    pub root: B256,
    /// Payloads that are missing, at most a few.
    #[serde(default)]
    pub missing: Vec<B256>,
    /// Newest attestation of each member.
    #[serde(default)]
    pub attestations: Vec<Attestation>,
    /// Roots that members signed against ours, which more than half of them signed.
    #[serde(default)]
    pub disputed_by: Vec<Attestation>,
}

/// One holder's proof that it destroyed a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErasureReceipt {
    /// Its organisation.
    pub org: B256,
    /// When, Unix seconds.
    #[serde(deserialize_with = "wire::number")]
    pub erased_at: u64,
    /// Its identity key's signature.
    pub signature: Bytes,
}

/// How far an erasure has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Erasure {
    /// Digest of the payload.
    pub digest: B256,
    /// Why, as the request said.
    #[serde(default)]
    pub reason: String,
    /// When it was erased here, Unix seconds.
    #[serde(default, deserialize_with = "wire::optional")]
    pub erased_at: Option<u64>,
    /// Its group.
    #[serde(default)]
    pub group: B256,
    /// Receipts so far.
    #[serde(default)]
    pub receipts: Vec<ErasureReceipt>,
    /// Members that have not answered yet.
    #[serde(default)]
    pub pending: Vec<B256>,
    /// Public transaction that reported it.
    #[serde(default)]
    pub event: Option<B256>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn receipts_are_read_as_nodes_write_them() {
        let word = B256::repeat_byte(1);
        let log = json!({
            "address": Address::ZERO, "topics": [word], "data": "0x01", "blockNumber": "0x7",
            "transactionHash": word, "logIndex": "0x0", "removed": false,
        });
        let receipt: PrivateReceipt = serde_json::from_value(json!({
            "digest": word, "group": word, "transactionHash": word, "blockHash": word,
            "blockNumber": "0x7", "transactionIndex": "0x0", "from": Address::ZERO, "to": null,
            "contractAddress": Address::ZERO, "status": "0x1", "outcome": "executed",
            "gasUsed": "0x5208", "logs": [log], "logsBloom": "0x", "output": "0x",
            "revertReason": null,
        }))
        .expect("reads");
        assert!(receipt.status);
        assert_eq!((receipt.block_number, receipt.gas_used), (7, 21_000));
        assert_eq!(receipt.marker_hash, Some(word));
        assert_eq!(receipt.logs[0].block_number, Some(7));
    }

    #[test]
    fn failure_says_the_contracts_reason_first() {
        let word = B256::ZERO;
        let mut receipt: PrivateReceipt = serde_json::from_value(json!({
            "digest": word, "group": word, "blockNumber": 7, "status": "0x0", "outcome": "refused",
        }))
        .expect("reads");
        assert_eq!(receipt.failure(), "refused");
        receipt.reason = Some("nonce too low".to_owned());
        assert_eq!(receipt.failure(), "nonce too low");
        let revert = alloy_sol_types::Revert::from("too cheap");
        receipt.output = alloy_sol_types::SolError::abi_encode(&revert).into();
        assert!(receipt.failure().contains("too cheap"));
    }

    #[test]
    fn statuses_are_read_in_every_phase() {
        let word = B256::repeat_byte(2);
        let with = |phase: &str, name: &str, value: serde_json::Value| {
            let mut status = json!({
                "id": word, "phase": phase, "height": "0x10", "root": word, "missing": [],
                "attestations": [{ "org": word, "height": "0x8", "root": word }],
            });
            status[name] = value;
            serde_json::from_value::<GroupStatus>(status).expect("reads")
        };
        let halt = json!({ "member": word, "height": "0x8", "reason": "roots differ" });
        let halted = with("halted", "halt", halt).halt.expect("says why");
        assert_eq!((halted.member, halted.height), (word, 8));
        let waiting = with("waiting", "waitingFor", json!(word));
        assert_eq!(waiting.waiting_for, Some(word));
        assert_eq!(waiting.attestations[0].height, 8);
        let failing = with("failing", "reason", json!("the enclave is away"));
        assert_eq!(failing.reason.as_deref(), Some("the enclave is away"));
        let dispute = json!([{ "org": word, "height": "0x8", "root": word }]);
        let disputed = with("following", "disputedBy", dispute);
        assert_eq!(disputed.disputed_by[0].org, word);
    }
}
