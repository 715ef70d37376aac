//! `GoQuorum`'s methods that send: transactions over the Homestead hash, marked by
//! v = 37 or 38, with the handle of a stored payload as their data.

use alloy_consensus::{SignableTransaction as _, TxLegacy};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, B512, Bytes, TxKind, U64, U256};
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee::{Extensions, server::RegisterMethodError, types::Params};
use medina_storage::StateReader as _;
use medina_types::{CompatTransaction, Transaction};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

use super::{CompatArguments, reads::group_of, recipients};
use crate::{
    arguments::Arguments,
    context::Context,
    errors::{self, Answer, fault, invalid_params, server},
    privacy::{
        CompatSend, PrivateCall,
        asking::{Asking, sending},
        shapes,
    },
    registry::Registry,
    workers::Lane,
};

/// EIP-155's v of chain 1, which marks a private transaction, is this chain's id.
const MARKING_CHAIN: u64 = 1;

pub(super) fn register(registry: &mut Registry, is_dev: bool) -> Result<(), RegisterMethodError> {
    sending(registry, "eth_sendRawPrivateTransaction", send_raw)?;
    sending(registry, "eth_distributePrivateTransaction", distribute)?;
    registry.module.remove_method("eth_sendRawTransaction");
    registry
        .module
        .register_async_method("eth_sendRawTransaction", send_public)?;
    registry.module.remove_method("eth_fillTransaction");
    registry
        .module
        .register_async_method("eth_fillTransaction", fill)?;
    if is_dev {
        registry.module.remove_method("eth_sendTransaction");
        registry
            .module
            .register_async_method("eth_sendTransaction", send)?;
    }
    Ok(())
}

/// `eth_sendRawTransaction`: a marked transaction, whose payload went out by `POST
/// /send` before, is taken in its public form. There is nothing private about that.
async fn send_public(
    params: Params<'static>,
    context: Arc<Context>,
    _: Extensions,
) -> Answer<B256> {
    let given: Bytes = Arguments::of(&params)?.required()?;
    let is_marked = context.spec().chain_id != MARKING_CHAIN;
    let marked = CompatTransaction::decode(&given).ok().filter(|_| is_marked);
    let bytes = marked.map_or(given, |marked| marked.public_bytes());
    crate::eth::transactions::send_bytes(context, bytes).await
}

/// What a marked transaction and its private arguments say, all of it checked.
async fn read(
    asking: Asking,
    mut arguments: Arguments,
) -> Answer<(Asking, CompatTransaction, CompatSend)> {
    let raw: Bytes = arguments.required()?;
    let private: CompatArguments = arguments.required()?;
    let workers = asking.context.workers.clone();
    let check = move || {
        let transaction = CompatTransaction::decode(&raw);
        let transaction = transaction.map_err(|error| invalid_params(error.to_string()))?;
        asking.check_sender(transaction.sender())?;
        asking.check_gas(transaction.fields().gas_limit)?;
        let to = recipients(&asking, &private)?;
        Ok((asking, transaction, to))
    };
    workers.run(Lane::Private, check).await
}

async fn send_raw(asking: Asking, arguments: Arguments) -> Answer<B256> {
    let (asking, transaction, to) = read(asking, arguments).await?;
    let sent = asking.node.send_marked(&asking.tenant, transaction, to);
    sent.await.map_err(errors::private)
}

async fn distribute(asking: Asking, arguments: Arguments) -> Answer<B512> {
    let (asking, transaction, to) = read(asking, arguments).await?;
    let node = &asking.node;
    let handle = node.distribute_marked(&asking.tenant, transaction, to);
    handle.await.map_err(errors::private)
}

/// The caller's party, which a request that names recipients must have.
async fn required(
    context: &Arc<Context>,
    extensions: Extensions,
    method: &'static str,
) -> Answer<Asking> {
    let workers = context.workers.clone();
    let context = context.clone();
    let who = move || {
        let asking = Asking::of_anybody(&context, &extensions, method)?;
        let text = "unauthorized: privateFor needs an API key or token with a scope psi://PARTY \
                    for a party of this node";
        asking.ok_or_else(|| server(text))
    };
    workers.run(Lane::Read, who).await
}

/// A transaction to make, with its private part.
#[derive(Deserialize)]
struct Request {
    #[serde(flatten)]
    transaction: TransactionRequest,
    #[serde(flatten)]
    private: CompatArguments,
}

/// `None` for requests that name no recipients.
fn private_request(params: &Params<'_>) -> Answer<Option<Request>> {
    let given: Value = Arguments::of(params)?.required()?;
    if given.get("privateFor").is_none_or(Value::is_null) {
        return Ok(None);
    }
    let request = serde_json::from_value(given);
    let wrong = |error| invalid_params(format!("invalid argument 0: {error}"));
    request.map(Some).map_err(wrong)
}

/// `eth_fillTransaction`: the public method's, but for requests with `privateFor`.
async fn fill(
    params: Params<'static>,
    context: Arc<Context>,
    extensions: Extensions,
) -> Answer<Value> {
    let Some(request) = private_request(&params)? else {
        let workers = context.workers.clone();
        let public = move || crate::eth::fill::fill(&context, &mut Arguments::of(&params)?);
        return workers.run(Lane::Compute, public).await;
    };
    let asking = required(&context, extensions, "eth_fillTransaction").await?;
    let (_, legacy, _) = stored(asking, request).await?;
    let mut raw = Vec::new();
    legacy.encode_for_signing(&mut raw);
    Ok(json!({
        "raw": Bytes::from(raw),
        "tx": {
            "type": "0x0",
            "nonce": U64::from(legacy.nonce),
            "gasPrice": U256::from(legacy.gas_price),
            "gas": U64::from(legacy.gas_limit),
            "to": legacy.to.to(),
            "value": "0x0",
            "input": legacy.input,
            "v": "0x25",
            "r": "0x0",
            "s": "0x0",
        },
    }))
}

/// `eth_sendTransaction` of a development network: the only one whose node signs.
async fn send(
    params: Params<'static>,
    context: Arc<Context>,
    extensions: Extensions,
) -> Answer<B256> {
    let Some(request) = private_request(&params)? else {
        let arguments = Arguments::of(&params)?;
        return crate::dev::send_transaction(context, arguments).await;
    };
    let asking = required(&context, extensions, "eth_sendTransaction").await?;
    let from = request.transaction.from;
    let from = from.ok_or_else(|| invalid_params("say who sends it"))?;
    asking.check_signer(from)?;
    let (asking, mut legacy, to) = stored(asking, request).await?;
    let controls = crate::dev::controls(&context)?;
    let signature = controls.sign(from, legacy.signature_hash());
    let signature = signature.ok_or_else(|| server(format!("unknown account {from}")))?;
    legacy.chain_id = Some(MARKING_CHAIN);
    let marked = Transaction::from(legacy.into_signed(signature)).encoded_2718();
    let transaction = CompatTransaction::decode(&marked).map_err(fault)?;
    let sent = asking.node.send_marked(&asking.tenant, transaction, to);
    sent.await.map_err(errors::private)
}

/// Stores the payload of a request and fills in the transaction that carries its
/// handle.
async fn stored(asking: Asking, request: Request) -> Answer<(Asking, TxLegacy, CompatSend)> {
    let workers = asking.context.workers.clone();
    let prepare = move || {
        asking.check_writer()?;
        let to = recipients(&asking, &request.private)?;
        let (legacy, payload) = prepared(&asking, request.transaction)?;
        Ok((asking, legacy, to, payload))
    };
    let (asking, mut legacy, to, payload) = workers.run(Lane::Compute, prepare).await?;
    let handle = asking.node.store_raw(&asking.tenant, payload).await;
    legacy.input = handle.map_err(errors::private)?.into();
    Ok((asking, legacy, to))
}

/// The transaction without its handle, and its payload.
fn prepared(asking: &Asking, request: TransactionRequest) -> Answer<(TxLegacy, Bytes)> {
    let from = request.from.unwrap_or_default();
    let nonce = match request.nonce {
        Some(nonce) => nonce,
        None => next_nonce(&asking.context, from)?,
    };
    let gas_price = request.gas_price.unwrap_or_default();
    let given = request.gas;
    let call = shapes::read_call(request)?;
    asking.check_payload(call.input.len())?;
    let gas_limit = match given {
        Some(gas) => gas,
        None => estimated(asking, &call)?,
    };
    asking.check_gas(gas_limit)?;
    let legacy = TxLegacy {
        chain_id: None,
        nonce,
        gas_price,
        gas_limit,
        to: call.to.map_or(TxKind::Create, TxKind::Call),
        value: U256::ZERO,
        input: Bytes::new(),
    };
    Ok((legacy, call.input))
}

/// Gas of a call to a private contract; for all else as much as there is, since the
/// state that it runs on depends on recipients whose group may be new.
fn estimated(asking: &Asking, call: &PrivateCall) -> Answer<u64> {
    let group = match call.to {
        Some(address) => group_of(asking, address)?,
        None => None,
    };
    match group {
        Some(group) => {
            let gas = asking.node.estimate_gas(&asking.tenant, group, call, None);
            gas.map_err(errors::private)
        }
        None => Ok(asking.node.limits().gas),
    }
}

fn next_nonce(context: &Context, account: Address) -> Answer<u64> {
    let stored = context.store().state().account(account);
    let nonce = stored.map_err(errors::storage)?.unwrap_or_default().nonce;
    let waiting = context.node.pool().pending_nonce(account);
    Ok(waiting.unwrap_or(nonce).max(nonce))
}
