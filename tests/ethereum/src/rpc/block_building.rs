//! `testing_buildBlockV1`: a block from attributes and transactions, by the
//! production execution, and forgotten again.
//!
//! A Medina node orders no blocks from outside, so the method is answered by this
//! runner and not by the server.

use super::{chain::RpcChain, node::RpcNode};
use alloy_consensus::{
    BlockBody, EMPTY_OMMER_ROOT_HASH, Header, Transaction as _, TxReceipt as _,
    proofs::{calculate_transaction_root, calculate_withdrawals_root},
};
use alloy_eips::{
    eip2718::{Decodable2718, Encodable2718},
    eip4844::DATA_GAS_PER_BLOB,
    eip4895::{Withdrawal, Withdrawals},
};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use medina_execution::next_base_fee;
use medina_storage::Head;
use medina_types::{Block, Fork, RecoveredTransaction, SealedBlock, Transaction};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// geth's code for arguments that do not fit.
const INVALID_PARAMS: i64 = -32602;
/// geth's code for everything else.
const FAILED: i64 = -32000;
/// Gas limit that geth's miner moves towards.
const GAS_TARGET: u64 = 60_000_000;
/// The gas limit moves by less than this part per block.
const GAS_LIMIT_BOUND_DIVISOR: u64 = 1_024;

/// Code and words of a refusal.
pub(super) type Refusal = (i64, String);

/// The attributes of the block.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    timestamp: U64,
    prev_randao: B256,
    suggested_fee_recipient: Address,
    #[serde(default)]
    withdrawals: Option<Vec<Withdrawal>>,
    #[serde(default)]
    parent_beacon_block_root: Option<B256>,
}

pub(super) fn build(node: &RpcNode, params: &Value) -> Result<Value, Refusal> {
    let chain = &node.chain;
    let head = chain.store.head();
    let parent: B256 = argument(params, 0)?;
    let attributes: Attributes = argument(params, 1)?;
    let transactions: Option<Vec<Bytes>> = argument(params, 2)?;
    let extra_data: Option<Bytes> = argument(params, 3)?;
    if parent != head.hash {
        return Err((FAILED, "unknown parent block".to_owned()));
    }
    if attributes.timestamp.to::<u64>() <= head.header.timestamp {
        return Err((FAILED, "invalid timestamp".to_owned()));
    }
    let header = header(chain, &head, &attributes, extra_data.unwrap_or_default());
    let withdrawals = attributes.withdrawals;
    let Some(transactions) = transactions else {
        // Nobody chose: what waits in the pool, as far as it fits.
        let chosen = Chosen::ByUs(node.waiting().collect());
        return execute(chain, header, withdrawals, chosen);
    };
    let transactions = transactions.iter().map(decode);
    let transactions: Vec<_> = transactions.collect::<Result<_, _>>()?;
    execute(chain, header, withdrawals, Chosen::ByCaller(transactions))
}

fn argument<T: serde::de::DeserializeOwned>(params: &Value, index: usize) -> Result<T, Refusal> {
    let value = params.get(index).cloned().unwrap_or(Value::Null);
    let read = serde_json::from_value(value);
    read.map_err(|error| (INVALID_PARAMS, format!("invalid argument {index}: {error}")))
}

fn decode(bytes: &Bytes) -> Result<Arc<RecoveredTransaction>, Refusal> {
    let refused = |error: String| (FAILED, error);
    let transaction = Transaction::decode_2718_exact(bytes);
    let transaction = transaction.map_err(|error| refused(error.to_string()))?;
    let recovered = RecoveredTransaction::recover(transaction);
    Ok(Arc::new(
        recovered.map_err(|error| refused(error.to_string()))?,
    ))
}

/// The header before its execution.
fn header(chain: &RpcChain, head: &Head, attributes: &Attributes, extra_data: Bytes) -> Header {
    let (parent, timestamp) = (&head.header, attributes.timestamp.to());
    let rules = chain.spec.forks.at_block(head.height.next().0, timestamp);
    let has = |fork: Fork| rules.fork >= fork;
    let base_fee = next_base_fee(&chain.spec, parent);
    let excess = rules.blobs.next_block_excess_blob_gas_osaka(
        parent.excess_blob_gas.unwrap_or(0),
        parent.blob_gas_used.unwrap_or(0),
        parent.base_fee_per_gas.unwrap_or(0),
    );
    let withdrawals = attributes.withdrawals.as_deref().unwrap_or_default();
    Header {
        parent_hash: head.hash,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: attributes.suggested_fee_recipient,
        number: parent.number + 1,
        gas_limit: next_gas_limit(parent.gas_limit),
        timestamp,
        extra_data,
        mix_hash: attributes.prev_randao,
        base_fee_per_gas: Some(base_fee),
        withdrawals_root: has(Fork::Shanghai).then(|| calculate_withdrawals_root(withdrawals)),
        blob_gas_used: has(Fork::Cancun).then_some(0),
        excess_blob_gas: has(Fork::Cancun).then_some(excess),
        parent_beacon_block_root: has(Fork::Cancun)
            .then(|| attributes.parent_beacon_block_root.unwrap_or_default()),
        ..Header::default()
    }
}

fn next_gas_limit(parent: u64) -> u64 {
    let step = (parent / GAS_LIMIT_BOUND_DIVISOR).saturating_sub(1);
    GAS_TARGET.clamp(parent.saturating_sub(step), parent.saturating_add(step))
}

/// Who chose the transactions of a block.
enum Chosen {
    /// All of them must fit.
    ByCaller(Vec<Arc<RecoveredTransaction>>),
    /// What does not fit is left out.
    ByUs(Vec<Arc<RecoveredTransaction>>),
}

fn execute(
    chain: &RpcChain,
    mut header: Header,
    withdrawals: Option<Vec<Withdrawal>>,
    chosen: Chosen,
) -> Result<Value, Refusal> {
    let refused = |error: String| (FAILED, error);
    let state = chain.store.state();
    let replay = chain.executor.replay(&state, &header);
    let mut replay = replay.map_err(|error| refused(error.to_string()))?;
    let (transactions, must_fit) = match chosen {
        Chosen::ByCaller(transactions) => (transactions, true),
        Chosen::ByUs(transactions) => (transactions, false),
    };
    let mut signed: Vec<Transaction> = Vec::with_capacity(transactions.len());
    for one in &transactions {
        match replay.execute(one.transaction(), one.sender()) {
            Ok(()) => signed.push(one.transaction().clone()),
            Err(error) if must_fit => return Err(refused(error.to_string())),
            Err(_) => {}
        }
    }
    let withdrawals = withdrawals.unwrap_or_default();
    let executed = replay.finish(&withdrawals, &[]);
    let executed = executed.map_err(|error| refused(error.to_string()))?;
    let root = chain.store.state_root_after(&executed.changes);
    header.state_root = root.map_err(|error| refused(error.to_string()))?.root;
    header.gas_used = executed.gas_used;
    header.receipts_root = executed.receipts_root;
    header.logs_bloom = executed.logs_bloom;
    header.requests_hash = executed.requests_hash;
    header.transactions_root = calculate_transaction_root(&signed);
    let blobs = signed.iter().filter_map(|one| one.blob_versioned_hashes());
    let blob_gas = blobs.flatten().count() as u64 * DATA_GAS_PER_BLOB;
    header.blob_gas_used = header.blob_gas_used.map(|_| blob_gas);
    let value = value_of(&header, &signed, &executed.receipts);
    let body = BlockBody {
        transactions: signed,
        ommers: Vec::new(),
        withdrawals: Some(Withdrawals::new(withdrawals)),
    };
    let block = SealedBlock::new(Block::new(header, body));
    Ok(envelope(
        &block,
        value,
        executed.requests.unwrap_or_default(),
    ))
}

/// What the block's beneficiary earns.
fn value_of(
    header: &Header,
    transactions: &[Transaction],
    receipts: &[medina_types::Receipt],
) -> U256 {
    let base_fee = header.base_fee_per_gas.unwrap_or(0);
    let mut before = 0;
    let mut value = U256::ZERO;
    for (transaction, receipt) in transactions.iter().zip(receipts) {
        let gas = receipt.cumulative_gas_used() - before;
        before = receipt.cumulative_gas_used();
        let tip = transaction.effective_tip_per_gas(base_fee).unwrap_or(0);
        value += U256::from(tip) * U256::from(gas);
    }
    value
}

/// The block as the engine API shows it.
fn envelope(block: &SealedBlock, value: U256, requests: Vec<Bytes>) -> Value {
    let (header, body) = (block.header(), &block.block().body);
    let encoded = |transaction: &Transaction| Bytes::from(transaction.encoded_2718());
    let transactions: Vec<_> = block.transactions().iter().map(encoded).collect();
    // A list without entries stands for no request of its kind (EIP-7685).
    let requests: Vec<_> = requests.into_iter().filter(|one| one.len() > 1).collect();
    json!({
        "executionPayload": {
            "parentHash": header.parent_hash,
            "feeRecipient": header.beneficiary,
            "stateRoot": header.state_root,
            "receiptsRoot": header.receipts_root,
            "logsBloom": header.logs_bloom,
            "prevRandao": header.mix_hash,
            "blockNumber": U64::from(header.number),
            "gasLimit": U64::from(header.gas_limit),
            "gasUsed": U64::from(header.gas_used),
            "timestamp": U64::from(header.timestamp),
            "extraData": header.extra_data,
            "baseFeePerGas": U64::from(header.base_fee_per_gas.unwrap_or(0)),
            "blockHash": block.hash(),
            "transactions": transactions,
            "withdrawals": body.withdrawals,
            "blobGasUsed": header.blob_gas_used.map(U64::from),
            "excessBlobGas": header.excess_blob_gas.map(U64::from),
        },
        "blockValue": value,
        "blobsBundle": { "commitments": [], "proofs": [], "blobs": [] },
        "executionRequests": requests,
        "shouldOverrideBuilder": false,
    })
}
