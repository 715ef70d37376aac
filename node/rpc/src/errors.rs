//! Every error that a caller can see: code and text.
//!
//! Clients tell errors apart by text, so geth's words are kept where geth has
//! some; the codes are those of EIP-1474 and execution-apis.

use alloy_primitives::{B256, Bytes};
use jsonrpsee::types::{
    ErrorObjectOwned,
    error::{
        INTERNAL_ERROR_CODE, INVALID_PARAMS_CODE, INVALID_REQUEST_CODE, METHOD_NOT_FOUND_CODE,
        PARSE_ERROR_CODE,
    },
};
use medina_storage::StorageError;
use std::{fmt::Display, num::NonZeroU32, time::Duration};

use crate::{
    PeerChangeError, SubmitError,
    privacy::{PrivateError, Tombstone},
    revert::revert_message,
};

/// What a method answers.
pub(crate) type Answer<T> = Result<T, ErrorObjectOwned>;

/// geth's code for whatever has none of its own.
const SERVER_ERROR: i32 = -32000;
/// EIP-1474: resource not found.
const NOT_FOUND: i32 = -32001;
/// EIP-1474: resource unavailable; the same request may pass later.
const UNAVAILABLE: i32 = -32002;
/// EIP-1474: method not supported.
const UNSUPPORTED: i32 = -32004;
/// EIP-1474: limit exceeded.
const LIMIT_EXCEEDED: i32 = -32005;
/// execution-apis: execution reverted, with the returned bytes as data.
const REVERTED: i32 = 3;
/// EIP-7966: no receipt within the time asked for, with the hash as data.
const RECEIPT_TIMEOUT: i32 = 4;
/// Ours: a private payload was erased, with what is left of it as data.
const ERASED: i32 = -32010;
/// A block's body or receipts are no longer kept (execution API specification).
const PRUNED: i32 = 4444;

fn plain(code: i32, message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message, None::<()>)
}

/// -32000 with geth's words.
pub(crate) fn server(message: impl Into<String>) -> ErrorObjectOwned {
    plain(SERVER_ERROR, message)
}

/// The caller's arguments do not fit.
pub(crate) fn invalid_params(message: impl Into<String>) -> ErrorObjectOwned {
    plain(INVALID_PARAMS_CODE, message)
}

/// Something that must exist for the request does not.
pub(crate) fn not_found(message: impl Into<String>) -> ErrorObjectOwned {
    plain(NOT_FOUND, message)
}

/// A simulation that cannot be, with the code that execution-apis gives it.
pub(crate) fn simulation(code: i32, message: impl Into<String>) -> ErrorObjectOwned {
    plain(code, message)
}

/// State of a block that we do not have.
pub(crate) fn unknown_block() -> ErrorObjectOwned {
    server("header not found")
}

/// A polling filter that is not installed, or not any more.
pub(crate) fn unknown_filter() -> ErrorObjectOwned {
    server("filter not found")
}

/// One of our bounds; the text names it.
pub(crate) fn limit_exceeded(message: impl Into<String>) -> ErrorObjectOwned {
    plain(LIMIT_EXCEEDED, message)
}

/// Something that this chain or this node does not do; the text says what does.
pub(crate) fn unsupported(message: impl Into<String>) -> ErrorObjectOwned {
    plain(UNSUPPORTED, message)
}

/// Nobody knows such a method; geth's words.
pub(crate) fn unknown_method(method: &str) -> ErrorObjectOwned {
    let text = format!(
        "the method {} does not exist/is not available",
        shown(method)
    );
    plain(METHOD_NOT_FOUND_CODE, text)
}

/// A method that is not open to this caller. It has the code of one that does not
/// exist, since clients probe; the text says how it can be opened.
pub(crate) fn closed_method(method: &str) -> ErrorObjectOwned {
    let namespace = method.split_once('_').map_or(method, |(name, _)| name);
    let text = format!(
        "the method {} does not exist/is not available: {namespace} is closed to this caller; give \
         an API key that opens it, or name it in [rpc] namespaces of config.toml",
        shown(method)
    );
    plain(METHOD_NOT_FOUND_CODE, text)
}

/// A method that answers only for a private party. It has the code of one that
/// does not exist, as [`closed_method`].
pub(crate) fn private_method(method: &str) -> ErrorObjectOwned {
    let text = format!(
        "the method {} does not exist/is not available: give an API key or token that opens it \
         and holds a scope psi://PARTY for a party of this node",
        shown(method)
    );
    plain(METHOD_NOT_FOUND_CODE, text)
}

/// Subscriptions need a WebSocket; geth's code and words.
pub(crate) fn no_notifications() -> ErrorObjectOwned {
    plain(METHOD_NOT_FOUND_CODE, "notifications not supported")
}

/// No request at all.
pub(crate) fn invalid_request(message: impl Into<String>) -> ErrorObjectOwned {
    plain(INVALID_REQUEST_CODE, message)
}

/// Not even text.
pub(crate) fn no_json() -> ErrorObjectOwned {
    plain(PARSE_ERROR_CODE, "Parse error")
}

/// More calls than somebody may make.
pub(crate) fn too_often(who: &str, per_second: NonZeroU32) -> ErrorObjectOwned {
    limit_exceeded(format!(
        "request rate exceeded: at most {per_second} per second of one {who}; slow down"
    ))
}

/// The same request may pass later.
pub(crate) fn unavailable(message: impl Into<String>) -> ErrorObjectOwned {
    plain(UNAVAILABLE, message)
}

/// A search that ran out of time; the data says from which block it goes on.
pub(crate) fn search_time_over(message: String, resume: u64) -> ErrorObjectOwned {
    let data = serde_json::json!({ "resumeFrom": resume });
    ErrorObjectOwned::owned(UNAVAILABLE, message, Some(data))
}

/// The beginning of a name from outside.
fn shown(name: &str) -> String {
    const SHOWN_CHARACTERS_MAX: usize = 80;
    name.chars().take(SHOWN_CHARACTERS_MAX).collect()
}

/// What became of a private request that is not answered.
pub(crate) fn private(error: PrivateError) -> ErrorObjectOwned {
    let text = error.to_string();
    match error {
        PrivateError::UnknownGroup => not_found(text),
        PrivateError::UnknownBlock(_) | PrivateError::Refused(_) | PrivateError::Halted(_) => {
            server(text)
        }
        PrivateError::Erased(tombstone) => erased(&tombstone),
        PrivateError::Limit(_) => limit_exceeded(text),
        PrivateError::Unavailable(_) => unavailable(text),
        PrivateError::Unsupported(_) => unsupported(text),
        PrivateError::Reverted(output) => reverted(&output),
        PrivateError::Fault(_) => fault(text),
    }
}

/// A payload that was there and is no more: another answer than for one that never was.
pub(crate) fn erased(tombstone: &Tombstone) -> ErrorObjectOwned {
    let text = format!(
        "payload {} was erased: {}",
        tombstone.digest, tombstone.reason
    );
    ErrorObjectOwned::owned(ERASED, text, Some(tombstone))
}

/// All threads and waiting places are taken.
pub(crate) fn busy() -> ErrorObjectOwned {
    limit_exceeded("the node is busy; try again later")
}

/// A fault of ours.
pub(crate) fn internal(message: impl Into<String>) -> ErrorObjectOwned {
    plain(INTERNAL_ERROR_CODE, message)
}

/// A fault of ours whose details belong into the log only.
pub(crate) fn fault(error: impl Display) -> ErrorObjectOwned {
    tracing::error!(%error, "JSON-RPC request failed");
    internal("internal error; see the node's log")
}

/// A read that failed: an unknown block is the caller's business, the rest ours.
pub(crate) fn storage(error: StorageError) -> ErrorObjectOwned {
    match error {
        StorageError::UnknownHeight { .. } => unknown_block(),
        StorageError::StatePruned { .. } => server(error.to_string()),
        StorageError::BlockPruned { .. } => plain(PRUNED, error.to_string()),
        error => fault(error),
    }
}

/// An EVM run that reverted.
pub(crate) fn reverted(output: &Bytes) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(REVERTED, revert_message(output), Some(output))
}

/// No receipt in time; the transaction stays in the pool.
pub(crate) fn receipt_timeout(hash: B256, waited: Duration) -> ErrorObjectOwned {
    let message = format!(
        "the transaction was added to the pool but was not included within {} ms",
        waited.as_millis()
    );
    ErrorObjectOwned::owned(RECEIPT_TIMEOUT, message, Some(hash))
}

/// The server stops while a caller waits.
pub(crate) fn stopping() -> ErrorObjectOwned {
    plain(UNAVAILABLE, "the node is stopping")
}

/// A transaction that the pool did not take.
pub(crate) fn submit(error: &SubmitError) -> ErrorObjectOwned {
    match error {
        SubmitError::Refused(message) => server(message.clone()),
        SubmitError::Unavailable(message) => plain(UNAVAILABLE, message.clone()),
    }
}

/// Peers that stay as they are.
pub(crate) fn peer_change(error: &PeerChangeError) -> ErrorObjectOwned {
    match error {
        PeerChangeError::NotAdmitted(_)
        | PeerChangeError::Validator(_)
        | PeerChangeError::Oneself(_) => server(error.to_string()),
        PeerChangeError::Unavailable(message) => plain(UNAVAILABLE, message.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words_are_those_that_clients_look_for() {
        let table = [
            (
                submit(&SubmitError::Refused("nonce too low".into())),
                -32000,
                "nonce too low",
            ),
            (unknown_block(), -32000, "header not found"),
            (unknown_filter(), -32000, "filter not found"),
            (busy(), -32005, "the node is busy; try again later"),
            (reverted(&Bytes::new()), 3, "execution reverted"),
            (invalid_params("missing value"), -32602, "missing value"),
        ];
        for (error, code, message) in table {
            assert_eq!((error.code(), error.message()), (code, message));
        }
    }

    #[test]
    fn timeout_carries_the_hash() {
        let error = receipt_timeout(B256::repeat_byte(1), Duration::from_secs(2));
        assert_eq!(error.code(), 4);
        assert_eq!(
            error.data().unwrap().get(),
            format!("\"{}\"", B256::repeat_byte(1))
        );
    }
}
