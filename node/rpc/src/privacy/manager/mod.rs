//! The transaction manager's port, as `GoQuorum`'s clients know Tessera: off unless
//! `[rpc] transaction_manager` names an address.
//!
//! ```text
//! GET  /upcheck /version           for everybody
//! GET  /keys /partyinfo/keys       parties of this node, of the chain
//! POST /storeraw {payload, from}   -> {key}
//! POST /send {payload, from, to…}  -> {key, managedParties, senderKey}
//! ```
//!
//! All but the first two need a key or token with a private scope, in a header, as
//! the parameter `key`, or before the path (`/key/TOKEN/storeraw`), since the clients
//! can set nothing but an address. The methods that a key must open are
//! `priv_keys`, `priv_partyKeys`, `priv_storeRaw` and `priv_send`. Errors are plain
//! text with Tessera's status codes.

mod credentials;
mod handlers;

use hyper::StatusCode;
use jsonrpsee::{
    core::BoxError,
    server::{HttpBody, HttpRequest, HttpResponse, StopHandle},
};
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;

use crate::{
    RpcConfig, RpcError,
    context::Context,
    front::{self, Doors},
};

/// Binds the port and serves until told to stop.
///
/// # Errors
/// When the port is taken, or this node has no private side.
pub(crate) async fn start(
    config: &RpcConfig,
    context: Context,
    stop: StopHandle,
) -> Result<Option<SocketAddr>, RpcError> {
    let Some(listen) = config.transaction_manager else {
        return Ok(None);
    };
    if context.node.private().is_none() {
        return Err(RpcError::NoPrivateSide);
    }
    let failed = |source| RpcError::Listen { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    let context = Arc::new(context);
    let answer = move |request: HttpRequest, _: u32| {
        let context = context.clone();
        async move { Ok::<HttpResponse, BoxError>(handlers::answer(context, request).await) }
    };
    tokio::spawn(front::serve(listener, Doors::new(config), stop, answer));
    Ok(Some(local))
}

/// What is wrong with a request: Tessera's status and words.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    text: String,
}

impl Failure {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
        }
    }

    fn answer(self) -> HttpResponse {
        plain(self.status, self.text)
    }
}

/// An answer of plain text.
pub(super) fn plain(status: StatusCode, text: impl Into<String>) -> HttpResponse {
    respond(status, "text/plain", text.into())
}

/// An answer of JSON.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> HttpResponse {
    respond(status, "application/json", value.to_string())
}

fn respond(status: StatusCode, kind: &'static str, text: String) -> HttpResponse {
    let mut answer = HttpResponse::new(HttpBody::from(text));
    *answer.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static(kind);
    answer
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, kind);
    answer
}
