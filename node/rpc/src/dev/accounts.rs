//! Accounts that a development network signs for, and those it only pretends to be.

use alloy_consensus::SignableTransaction as _;
use alloy_dyn_abi::TypedData;
use alloy_eips::{BlockId, BlockNumberOrTag, eip2718::Encodable2718 as _};
use alloy_primitives::{Address, B256, Bytes, Signature, U64, eip191_hash_message};
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee::{server::RegisterMethodError, types::Params};
use medina_storage::StateReader as _;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{control, controls};
use crate::{
    CommittedBlock,
    arguments::Arguments,
    context::Context,
    errors::{self, Answer, fault, invalid_params, server},
    eth::call::estimate_gas,
    registry::Registry,
    workers::Lane,
};

/// EIP-7825.
const TRANSACTION_GAS_MAX: u64 = 1 << 24;
/// How long a sent transaction's block is waited for before the hash is answered.
const BLOCK_WAIT: Duration = Duration::from_secs(5);

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    control(registry, "eth_sendTransaction", send_transaction)?;
    control(registry, "eth_signTransaction", sign_transaction)?;
    control(registry, "eth_sign", sign)?;
    control(registry, "personal_sign", sign_for_person)?;
    for name in ["eth_signTypedData", "eth_signTypedData_v4"] {
        control(registry, name, sign_typed_data)?;
    }
    for name in ["anvil_impersonateAccount", "hardhat_impersonateAccount"] {
        control(registry, name, impersonate)?;
    }
    for name in [
        "anvil_stopImpersonatingAccount",
        "hardhat_stopImpersonatingAccount",
    ] {
        control(registry, name, stop_impersonating)?;
    }
    control(registry, "anvil_autoImpersonateAccount", impersonate_all)
}

async fn impersonate(context: Arc<Context>, mut arguments: Arguments) -> Answer<bool> {
    controls(&context)?.impersonate(arguments.required()?, true);
    Ok(true)
}

async fn stop_impersonating(context: Arc<Context>, mut arguments: Arguments) -> Answer<bool> {
    controls(&context)?.impersonate(arguments.required()?, false);
    Ok(true)
}

async fn impersonate_all(context: Arc<Context>, mut arguments: Arguments) -> Answer<Option<()>> {
    controls(&context)?.impersonate_all(arguments.required()?);
    Ok(None)
}

fn signature_of(context: &Context, account: Address, hash: B256) -> Answer<Bytes> {
    let signature = controls(context)?.sign(account, hash);
    let signature = signature.ok_or_else(|| unknown_account(account))?;
    Ok(signature.as_bytes().into())
}

fn unknown_account(account: Address) -> jsonrpsee::types::ErrorObjectOwned {
    server(format!("unknown account {account}"))
}

async fn sign(context: Arc<Context>, mut arguments: Arguments) -> Answer<Bytes> {
    let account = arguments.required()?;
    let message: Bytes = arguments.required()?;
    signature_of(&context, account, eip191_hash_message(message))
}

/// As [`sign`], with the message first.
async fn sign_for_person(context: Arc<Context>, mut arguments: Arguments) -> Answer<Bytes> {
    let message: Bytes = arguments.required()?;
    let account = arguments.required()?;
    signature_of(&context, account, eip191_hash_message(message))
}

async fn sign_typed_data(context: Arc<Context>, mut arguments: Arguments) -> Answer<Bytes> {
    let account = arguments.required()?;
    // Wallets send it as text within the JSON.
    let data = match arguments.required()? {
        Value::String(text) => serde_json::from_str(&text),
        value => serde_json::from_value::<TypedData>(value),
    };
    let data = data.map_err(|error| invalid_params(format!("no typed data: {error}")))?;
    let hash = data.eip712_signing_hash();
    let hash = hash.map_err(|error| invalid_params(format!("no typed data: {error}")))?;
    signature_of(&context, account, hash)
}

pub(crate) async fn send_transaction(
    context: Arc<Context>,
    mut arguments: Arguments,
) -> Answer<B256> {
    let raw = signed(&context, arguments.required()?).await?;
    let heads = context.node.subscribe_heads();
    let submitted = context.node.submit_transaction(raw).await;
    let hash = submitted.map_err(|error| errors::submit(&error))?;
    settle(&context, heads, hash).await;
    Ok(hash)
}

async fn sign_transaction(context: Arc<Context>, mut arguments: Arguments) -> Answer<Bytes> {
    signed(&context, arguments.required()?).await
}

/// Fills in what a request leaves open, and signs it.
async fn signed(context: &Arc<Context>, mut request: TransactionRequest) -> Answer<Bytes> {
    let controls = controls(context)?;
    let account = request
        .from
        .or_else(|| controls.accounts().first().copied());
    let account = account.ok_or_else(|| invalid_params("say who sends it"))?;
    request.from = Some(account);
    let is_pretended = controls.impersonation_of(account);
    if is_pretended.is_none() && !controls.accounts().contains(&account) {
        return Err(unknown_account(account));
    }
    fill(context, account, &mut request).await?;
    let transaction = request
        .build_typed_tx()
        .map_err(|_| invalid_params("the transaction is incomplete, or of a type of its own"))?;
    let hash = transaction.signature_hash();
    let pretended = || is_pretended;
    let signature: Option<Signature> = controls.sign(account, hash).or_else(pretended);
    let signature = signature.ok_or_else(|| unknown_account(account))?;
    Ok(transaction.into_envelope(signature).encoded_2718().into())
}

async fn fill(
    context: &Arc<Context>,
    account: Address,
    request: &mut TransactionRequest,
) -> Answer<()> {
    request.chain_id.get_or_insert(context.spec().chain_id);
    // A creation says so by naming nobody; the builder wants it said.
    request.to.get_or_insert_default();
    if request.nonce.is_none() {
        request.nonce = Some(next_nonce(context, account)?);
    }
    let base_fee = medina_execution::next_base_fee(context.spec(), &context.head().header);
    if request.gas_price.is_none() {
        let tip = *request.max_priority_fee_per_gas.get_or_insert(0);
        let fee = 2 * u128::from(base_fee) + tip;
        request.max_fee_per_gas.get_or_insert(fee);
    }
    request.gas = Some(match request.gas {
        // Hardhat offers a whole block's gas on networks that it takes for its own.
        Some(gas) => gas.min(TRANSACTION_GAS_MAX),
        None => estimated(context, request).await?,
    });
    Ok(())
}

fn next_nonce(context: &Context, account: Address) -> Answer<u64> {
    let stored = context.store().state().account(account);
    let nonce = stored.map_err(errors::storage)?.unwrap_or_default().nonce;
    let waiting = context.node.pool().pending_nonce(account);
    Ok(waiting.unwrap_or(nonce).max(nonce))
}

/// As `eth_estimateGas` says, so that a transaction that would revert is refused
/// with the reason.
async fn estimated(context: &Arc<Context>, request: &TransactionRequest) -> Answer<u64> {
    let block = BlockId::Number(BlockNumberOrTag::Pending);
    let asked = serde_json::to_string(&(request, block)).map_err(fault)?;
    let shared = context.clone();
    let estimate = move || {
        let mut arguments = Arguments::of(&Params::new(Some(&asked)))?;
        estimate_gas(&shared, &mut arguments)
    };
    let gas: U64 = context.workers.run(Lane::Compute, estimate).await?;
    Ok(gas.to())
}

/// Where transactions make blocks at once, waits for the block of one that can run:
/// test suites read what it did without asking for its receipt.
pub(crate) async fn settle(
    context: &Context,
    mut heads: Receiver<Arc<CommittedBlock>>,
    hash: B256,
) {
    let is_awaited = context.node.dev().is_some_and(|dev| dev.automine());
    if !is_awaited || !can_run(context, hash) {
        return;
    }
    let included = async {
        loop {
            match heads.recv().await {
                Ok(committed) if contains(&committed, hash) => return,
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    };
    // Its receipt will say whether it came; the hash is answered in any case.
    let _ = tokio::time::timeout(BLOCK_WAIT, included).await;
}

/// Whether it waits for nothing but a block.
fn can_run(context: &Context, hash: B256) -> bool {
    let pool = context.node.pool();
    let Some(waiting) = pool.get(&hash) else {
        return false;
    };
    let nonce = alloy_consensus::Transaction::nonce(waiting.transaction());
    let end = pool.pending_nonce(waiting.sender());
    end.is_some_and(|end| nonce < end)
}

fn contains(committed: &CommittedBlock, hash: B256) -> bool {
    let mut transactions = committed.block.sealed.transactions().iter();
    transactions.any(|transaction| *transaction.tx_hash() == hash)
}
