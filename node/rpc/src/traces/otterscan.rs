//! The namespace `ots`: what the block explorer Otterscan asks beside `eth`.
//!
//! Sender and nonce, and the creator of a contract, are found without an index:
//! nonces only grow, and code stays, so the block is found by halving the chain.
//! The transactions of an address are in [`super::search`].

use alloy_consensus::{Transaction as _, constants::KECCAK_EMPTY};
use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_rpc_types_trace::otterscan::{ContractCreator, InternalOperation};
use jsonrpsee::server::RegisterMethodError;
use medina_storage::StateReader;
use medina_types::{AccountState, HeaderRules, Height};
use serde_json::{Value, json};

use super::{
    budget::Budget,
    ots_tracers::{CreatorTracer, EntriesTracer, ErrorTracer, OperationsTracer, TraceEntry},
    search::{Way, search},
};
use crate::{
    CommittedBlock,
    arguments::Arguments,
    context::Context,
    convert,
    errors::{self, Answer, fault, invalid_params},
    eth::blocks::{by_hash, by_number, header},
    reading::Position,
    registry::Registry,
};

/// Version of the interface that Otterscan looks for.
const API_LEVEL: u64 = 8;
/// Transactions of one page.
pub(super) const PAGE_SIZE_MAX: usize = 1_000;
/// Characters of the input that a list of transactions shows: `0x` and a selector.
const SELECTOR_CHARACTERS: usize = 10;

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.quick("ots_getApiLevel", |_, _| Ok(API_LEVEL))?;
    registry.read("ots_hasCode", has_code)?;
    registry.read("ots_getBlockDetails", |context, arguments| {
        let id = by_plain_number(arguments)?;
        block_details(context, id)
    })?;
    registry.read("ots_getBlockDetailsByHash", |context, arguments| {
        let id = by_hash(arguments)?;
        block_details(context, id)
    })?;
    registry.read("ots_getBlockTransactions", block_transactions)?;
    registry.read("ots_getTransactionBySenderAndNonce", by_sender_and_nonce)?;
    for name in ["erigon_getHeaderByNumber", "ots_getHeaderByNumber"] {
        registry.read(name, |context, arguments| {
            header(context, by_number(arguments)?)
        })?;
    }
    registry.read(
        "eth_getTransactionBySenderAndNonce",
        |context, arguments| {
            let hash = by_sender_and_nonce(context, arguments)?;
            hash.map_or(Ok(None), |hash| transaction_of_hash(context, hash))
        },
    )?;
    registry.trace("ots_searchTransactionsBefore", |context, arguments| {
        search(context, arguments, Way::Down)
    })?;
    registry.trace("ots_searchTransactionsAfter", |context, arguments| {
        search(context, arguments, Way::Up)
    })?;
    registry.trace("ots_getContractCreator", contract_creator)?;
    registry.trace("ots_getInternalOperations", internal_operations)?;
    registry.trace("ots_getTransactionError", transaction_error)?;
    registry.trace("ots_traceTransaction", trace_transaction)
}

/// Otterscan sends block numbers as JSON numbers, others as quantities.
fn by_plain_number(arguments: &mut Arguments) -> Answer<BlockId> {
    let given: Value = arguments.required()?;
    if let Some(number) = given.as_u64() {
        return Ok(BlockId::from(number));
    }
    serde_json::from_value(given)
        .map(BlockId::Number)
        .map_err(|error| invalid_params(format!("invalid argument 0: {error}")))
}

fn has_code(context: &Context, arguments: &mut Arguments) -> Answer<bool> {
    let address = arguments.required()?;
    let state = context.state_of(arguments.optional()?)?;
    let account = state.account(address).map_err(errors::storage)?;
    Ok(account.is_some_and(|account| has_code_hash(&account)))
}

fn has_code_hash(account: &AccountState) -> bool {
    account.code_hash != KECCAK_EMPTY
}

/// The block without its transactions and bloom.
fn slim(block: &CommittedBlock) -> Answer<Value> {
    let mut slim = serde_json::to_value(convert::block(&block.block, false)).map_err(fault)?;
    if let Some(fields) = slim.as_object_mut() {
        fields.remove("transactions");
    }
    slim["logsBloom"] = Value::Null;
    slim["transactionCount"] = json!(block.block.transactions().len());
    Ok(slim)
}

fn block_details(context: &Context, id: BlockId) -> Answer<Option<Value>> {
    let Some(Position::At(height)) = context.locate(id)? else {
        return Ok(None);
    };
    let Some(block) = context.committed(height)? else {
        return Ok(None);
    };
    let spec = context.spec();
    let is_paid = spec.header_rules == HeaderRules::Medina && height != Height::GENESIS;
    let reward = if is_paid {
        spec.block_reward
    } else {
        U256::ZERO
    };
    Ok(Some(json!({
        "block": slim(&block)?,
        "issuance": {
            "blockReward": reward,
            "uncleReward": U256::ZERO,
            "issuance": reward,
        },
        "totalFees": total_fees(&block),
    })))
}

fn total_fees(block: &CommittedBlock) -> U256 {
    let base_fee = block.block.header().base_fee_per_gas;
    let mut gas_before = 0;
    let mut fees = U256::ZERO;
    for ((transaction, _), receipt) in block.block.transactions().zip(block.receipts.iter()) {
        let gas = receipt.cumulative_gas_used.saturating_sub(gas_before);
        gas_before = receipt.cumulative_gas_used;
        let price = transaction.effective_gas_price(base_fee);
        fees = fees.saturating_add(U256::from(gas).saturating_mul(U256::from(price)));
    }
    fees
}

/// One page of a block's transactions, counted from the last one backwards.
fn block_transactions(context: &Context, arguments: &mut Arguments) -> Answer<Option<Value>> {
    let id = by_plain_number(arguments)?;
    let (page, size): (usize, usize) = (arguments.required()?, arguments.required()?);
    if size > PAGE_SIZE_MAX {
        return Err(invalid_params(format!(
            "page size {size}, limit {PAGE_SIZE_MAX}"
        )));
    }
    let Some(Position::At(height)) = context.locate(id)? else {
        return Ok(None);
    };
    let Some(block) = context.committed(height)? else {
        return Ok(None);
    };
    let end = block
        .block
        .transactions()
        .len()
        .saturating_sub(page.saturating_mul(size));
    let on_page = end.saturating_sub(size)..end;
    let mut transactions = Vec::with_capacity(on_page.len());
    for index in on_page.clone() {
        let shown = convert::transaction_of(&block.block, index);
        let mut shown = serde_json::to_value(shown).map_err(fault)?;
        if let Some(Value::String(input)) = shown.get_mut("input") {
            input.truncate(SELECTOR_CHARACTERS);
        }
        transactions.push(shown);
    }
    let mut receipts = Vec::with_capacity(on_page.len());
    let all = convert::receipts(&block.block, &block.receipts);
    for receipt in all.into_iter().skip(on_page.start).take(on_page.len()) {
        let mut shown = serde_json::to_value(receipt).map_err(fault)?;
        shown["logs"] = Value::Null;
        shown["logsBloom"] = Value::Null;
        shown["timestamp"] = json!(U64::from(block.block.header().timestamp));
        receipts.push(shown);
    }
    let mut full = slim(&block)?;
    full["transactions"] = Value::Array(transactions);
    Ok(Some(json!({ "fullblock": full, "receipts": receipts })))
}

impl Context {
    /// The first block after which a condition on an account holds, by halving:
    /// once it holds, it must hold for good. `None` if it does not at the head.
    fn first_block_where(
        &self,
        address: Address,
        holds: impl Fn(Option<AccountState>) -> bool,
    ) -> Answer<Option<Height>> {
        let holds_at = |height: u64| -> Answer<bool> {
            let state = self.state(Position::At(Height(height)))?;
            Ok(holds(state.account(address).map_err(errors::storage)?))
        };
        let (mut low, mut high) = (0, self.head().height.0);
        if !holds_at(high)? {
            return Ok(None);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if holds_at(middle)? {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(Some(Height(low)))
    }
}

/// `null` where a nonce was used by no transaction: by a creation, an
/// authorization, or not at all.
fn by_sender_and_nonce(context: &Context, arguments: &mut Arguments) -> Answer<Option<B256>> {
    let sender: Address = arguments.required()?;
    let nonce: Nonce = arguments.required()?;
    let is_used = |account: Option<AccountState>| {
        account.is_some_and(|account| account.nonce > nonce.value())
    };
    let Some(height) = context.first_block_where(sender, is_used)? else {
        return Ok(None);
    };
    let Some(block) = context.committed(height)? else {
        return Ok(None);
    };
    let found = block
        .block
        .transactions()
        .find(|&(one, from)| from == sender && one.nonce() == nonce.value())
        .map(|(transaction, _)| *transaction.tx_hash());
    Ok(found)
}

/// The whole transaction.
fn transaction_of_hash(context: &Context, hash: B256) -> Answer<Option<Value>> {
    let (block, index) = context.transaction_to_trace(hash)?;
    let shown = convert::transaction_of(&block.block, index);
    serde_json::to_value(shown).map(Some).map_err(fault)
}

/// Otterscan sends a number, others a quantity.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(untagged)]
enum Nonce {
    Number(u64),
    Quantity(U64),
}

impl Nonce {
    fn value(self) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::Quantity(quantity) => quantity.to(),
        }
    }
}

/// `null` for accounts without code and for contracts that genesis brought.
fn contract_creator(
    context: &Context,
    arguments: &mut Arguments,
) -> Answer<Option<ContractCreator>> {
    let address: Address = arguments.required()?;
    let mut budget = Budget::start(context, None)?;
    let is_contract =
        |account: Option<AccountState>| account.is_some_and(|account| has_code_hash(&account));
    let Some(height) = context.first_block_where(address, is_contract)? else {
        return Ok(None);
    };
    let Some(block) = context.committed(height)? else {
        return Ok(None);
    };
    let found = context.trace_block(&block, &mut CreatorTracer(address), &mut budget)?;
    Ok(found.into_iter().flatten().next_back())
}

fn internal_operations(
    context: &Context,
    arguments: &mut Arguments,
) -> Answer<Vec<InternalOperation>> {
    let transaction = context.transaction_to_trace(arguments.required()?)?;
    let mut budget = Budget::start(context, None)?;
    context.trace_transaction(&transaction, &mut OperationsTracer, &mut budget)
}

/// What a failed transaction returned; empty for all others.
fn transaction_error(context: &Context, arguments: &mut Arguments) -> Answer<Bytes> {
    let transaction = context.transaction_to_trace(arguments.required()?)?;
    let mut budget = Budget::start(context, None)?;
    context.trace_transaction(&transaction, &mut ErrorTracer, &mut budget)
}

fn trace_transaction(context: &Context, arguments: &mut Arguments) -> Answer<Vec<TraceEntry>> {
    let transaction = context.transaction_to_trace(arguments.required()?)?;
    let mut budget = Budget::start(context, None)?;
    context.trace_transaction(&transaction, &mut EntriesTracer, &mut budget)
}
