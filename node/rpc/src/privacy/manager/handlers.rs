//! What the transaction manager's port answers.

use alloy_primitives::Bytes;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::{Method, StatusCode};
use jsonrpsee::{
    server::{HttpRequest, HttpResponse},
    types::ErrorObjectOwned,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::sync::Arc;

use super::{Failure, credentials::Address, json as json_answer, plain};
use crate::{
    access::PrivateAccess,
    context::Context,
    front::read_body,
    privacy::{
        PrivateError, PrivateParty,
        asking::Asking,
        quorum::{CompatArguments, key_of, party_of_key, recipients},
    },
    workers::Lane,
};

/// Bytes beside the payload in a request's body: names of fields and keys.
const BODY_OVERHEAD_BYTES: usize = 64 * 1024;

type Handled = Result<HttpResponse, Failure>;

/// Answers one request.
pub(super) async fn answer(context: Arc<Context>, request: HttpRequest) -> HttpResponse {
    let address = Address::of(&request);
    let handled = match (request.method(), address.path.as_str()) {
        (&Method::GET, "/upcheck") => Ok(plain(StatusCode::OK, "I'm up!")),
        (&Method::GET, "/version") => Ok(plain(StatusCode::OK, env!("CARGO_PKG_VERSION"))),
        (&Method::GET, "/keys") => keys(context, &address).await,
        (&Method::GET, "/partyinfo/keys") => party_keys(context, &address).await,
        (&Method::POST, "/storeraw") => store_raw(context, &address, request).await,
        (&Method::POST, "/send") => send(context, &address, request).await,
        (_, "/upcheck" | "/version" | "/keys" | "/partyinfo/keys" | "/storeraw" | "/send") => Err(
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
        ),
        _ => Err(Failure::new(StatusCode::NOT_FOUND, "Not Found")),
    };
    handled.unwrap_or_else(Failure::answer)
}

/// Keys in Tessera's shape.
fn shown<'a>(parties: impl IntoIterator<Item = &'a PrivateParty>) -> HttpResponse {
    let key = |party: &PrivateParty| json!({ "key": key_of(party) });
    let keys: Vec<Value> = parties.into_iter().map(key).collect();
    json_answer(StatusCode::OK, &json!({ "keys": keys }))
}

/// Those parties of this node that the caller may act as.
async fn keys(context: Arc<Context>, address: &Address) -> Handled {
    let private = address.authorize(&context, "priv_keys")?;
    let node = context.node.private().ok_or_else(none)?;
    let parties = in_lane(&context, move || Ok(node.parties())).await?;
    let own = |party: &&PrivateParty| private.scope(&party.name).is_some();
    Ok(shown(parties.iter().filter(own)))
}

async fn party_keys(context: Arc<Context>, address: &Address) -> Handled {
    address.authorize(&context, "priv_partyKeys")?;
    let node = context.node.private().ok_or_else(none)?;
    let read = move || node.directory().map_err(crate::errors::private);
    Ok(shown(&in_lane(&context, read).await?))
}

#[derive(Deserialize)]
struct StoreRequest {
    payload: String,
    #[serde(default)]
    from: Option<String>,
}

async fn store_raw(context: Arc<Context>, address: &Address, request: HttpRequest) -> Handled {
    let private = address.authorize(&context, "priv_storeRaw")?;
    let given: StoreRequest = body(&context, request).await?;
    let asking = asking(&context, private, address, given.from.as_deref()).await?;
    let payload = payload(&asking, &given.payload)?;
    if let Some(from) = &given.from {
        check_own(&asking, from)?;
    }
    let handle = asking.node.store_raw(&asking.tenant, payload).await;
    let handle = handle.map_err(refused)?;
    Ok(json_answer(
        StatusCode::OK,
        &json!({ "key": STANDARD.encode(handle) }),
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SendRequest {
    payload: String,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    privacy_flag: Option<Value>,
    #[serde(default)]
    mandatory_recipients: Option<Vec<String>>,
}

async fn send(context: Arc<Context>, address: &Address, request: HttpRequest) -> Handled {
    let private = address.authorize(&context, "priv_send")?;
    let given: SendRequest = body(&context, request).await?;
    let asking = asking(&context, private, address, given.from.as_deref()).await?;
    let payload = payload(&asking, &given.payload)?;
    let arguments = CompatArguments {
        private_from: given.from,
        private_for: Some(given.to),
        privacy_flag: given.privacy_flag,
        mandatory_for: given.mandatory_recipients,
    };
    let read = move || {
        let to = recipients(&asking, &arguments)?;
        Ok((asking, to))
    };
    let (asking, to) = in_lane(&context, read).await?;
    let handle = asking.node.send_payload(&asking.tenant, payload, to).await;
    let handle = handle.map_err(refused)?;
    let own = key_of(&asking.party);
    let answer = json!({
        "key": STANDARD.encode(handle),
        "managedParties": [own],
        "senderKey": own,
    });
    Ok(json_answer(StatusCode::CREATED, &answer))
}

/// On whose behalf a request comes: the party that it names, or whose key it gives.
async fn asking(
    context: &Arc<Context>,
    private: Arc<PrivateAccess>,
    address: &Address,
    from: Option<&str>,
) -> Result<Asking, Failure> {
    let (party, from) = (address.party.clone(), from.map(str::to_owned));
    let shared = context.clone();
    let select = move || {
        let parties = shared.node.private().map(|node| node.parties());
        let parties = parties.unwrap_or_default();
        let of_key = from.as_deref().and_then(|key| party_of_key(&parties, key));
        let named = party.or_else(|| of_key.map(|party| party.name.clone()));
        let asking = Asking::select(&shared, &private, named.as_deref())?;
        asking.check_writer()?;
        Ok(asking)
    };
    in_lane(context, select).await
}

fn check_own(asking: &Asking, from: &str) -> Result<(), Failure> {
    let own = std::slice::from_ref(&asking.party);
    match from.is_empty() || party_of_key(own, from).is_some() {
        true => Ok(()),
        false => Err(Failure::new(
            StatusCode::NOT_FOUND,
            format!("{} is no key of this party", clipped(from)),
        )),
    }
}

fn payload(asking: &Asking, text: &str) -> Result<Bytes, Failure> {
    let decoded = STANDARD.decode(text);
    let payload =
        decoded.map_err(|_| Failure::new(StatusCode::BAD_REQUEST, "payload is no base64"))?;
    if payload.is_empty() {
        return Err(Failure::new(StatusCode::BAD_REQUEST, "payload is empty"));
    }
    asking.check_payload(payload.len()).map_err(of_json_rpc)?;
    Ok(payload.into())
}

/// Reads a body of JSON within its time and size.
async fn body<T: DeserializeOwned>(context: &Context, request: HttpRequest) -> Result<T, Failure> {
    let node = context.node.private().ok_or_else(none)?;
    // Four characters of base64 are three bytes.
    let max = node.limits().payload_bytes.div_ceil(3) * 4 + BODY_OVERHEAD_BYTES;
    let too_large = || {
        let text = format!("the request is larger than {max} bytes");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, text)
    };
    // Whoever announces too much is heard out all the same, or would not hear the answer.
    let reading = read_body(request.into_body(), max);
    let read = tokio::time::timeout(context.config.body_timeout, reading).await;
    let read = read.map_err(|_| {
        Failure::new(
            StatusCode::REQUEST_TIMEOUT,
            "the request did not arrive in time",
        )
    })?;
    let broken = |_| Failure::new(StatusCode::BAD_REQUEST, "the request broke off");
    let bytes = read.map_err(broken)?.ok_or_else(too_large)?;
    let wrong = |error| {
        Failure::new(
            StatusCode::BAD_REQUEST,
            format!("malformed request: {error}"),
        )
    };
    serde_json::from_slice(&bytes).map_err(wrong)
}

async fn in_lane<T: Send + 'static>(
    context: &Context,
    work: impl FnOnce() -> Result<T, ErrorObjectOwned> + Send + 'static,
) -> Result<T, Failure> {
    let done = context.workers.run(Lane::Private, work).await;
    done.map_err(of_json_rpc)
}

fn none() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "this node keeps no private state")
}

/// What the private side says, with Tessera's codes.
fn refused(error: PrivateError) -> Failure {
    let status = match &error {
        PrivateError::UnknownGroup | PrivateError::UnknownBlock(_) => StatusCode::NOT_FOUND,
        PrivateError::Erased(_) => StatusCode::GONE,
        PrivateError::Refused(_) => StatusCode::BAD_REQUEST,
        PrivateError::Limit(_) => StatusCode::PAYLOAD_TOO_LARGE,
        PrivateError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        PrivateError::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
        PrivateError::Reverted(_) | PrivateError::Halted(_) => StatusCode::BAD_REQUEST,
        PrivateError::Fault(_) => {
            tracing::error!(%error, "a request to the transaction manager failed");
            let text = "internal error; see the node's log";
            return Failure::new(StatusCode::INTERNAL_SERVER_ERROR, text);
        }
    };
    Failure::new(status, error.to_string())
}

/// An error that JSON-RPC would have answered.
fn of_json_rpc(error: ErrorObjectOwned) -> Failure {
    let text = error.message();
    let status = match error.code() {
        _ if text.starts_with("unauthorized") => StatusCode::FORBIDDEN,
        _ if text.starts_with("Recipient not found") => StatusCode::NOT_FOUND,
        -32005 if text.contains("payload") => StatusCode::PAYLOAD_TOO_LARGE,
        -32005 => StatusCode::TOO_MANY_REQUESTS,
        -32002 => StatusCode::SERVICE_UNAVAILABLE,
        -32603 => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    Failure::new(status, text)
}

fn clipped(text: &str) -> String {
    text.chars().take(64).collect()
}
