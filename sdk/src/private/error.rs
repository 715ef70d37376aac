//! What can go wrong between a client and the private side of a node.

use alloy_primitives::{B256, Bytes};
use thiserror::Error;

use super::PrivateReceipt;
use crate::client::ClientError;
use crate::wallet::WalletError;

/// Why the private side did not do what it was asked.
#[derive(Debug, Error)]
pub enum PrivateClientError {
    /// The node cannot be reached.
    #[error("the node at {url} does not answer {method}: {reason}")]
    Unreachable {
        /// Which node, without its token.
        url: String,
        /// Which method.
        method: &'static str,
        /// What the connection said.
        reason: String,
    },
    /// The node opens nothing private to this caller.
    #[error("the node opens no {0} to this caller: give a token of your party (--token)")]
    Closed(&'static str),
    /// The node refused.
    #[error("{method}: {message} (code {code})")]
    Refused {
        /// Which method.
        method: &'static str,
        /// Its words.
        message: String,
        /// JSON-RPC's code.
        code: i64,
    },
    /// The payload was there and was forgotten.
    #[error("{0}")]
    Erased(String),
    /// The private contract reverted.
    #[error("the private contract refused: {reason}")]
    Reverted {
        /// Its error in words.
        reason: String,
        /// What it returned.
        data: Bytes,
    },
    /// The transaction is in the group's history, but had no effect.
    #[error("private transaction {} failed: {}", .0.digest, .0.failure())]
    Failed(Box<PrivateReceipt>),
    /// The marker will not come.
    #[error("private transaction {digest} was not ordered: {reason}")]
    NotDelivered {
        /// Which.
        digest: B256,
        /// Why.
        reason: String,
    },
    /// No receipt came in time.
    #[error(
        "private transaction {digest} has no receipt after {seconds} s; it may still come \
         (`medina private status {digest}`)"
    )]
    NoReceipt {
        /// Which.
        digest: B256,
        /// How long was waited.
        seconds: u64,
    },
    /// An answer that this version cannot read.
    #[error("the node answered {method} with something else than expected: {reason}")]
    BadAnswer {
        /// Which method.
        method: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The payload is too large.
    #[error("a private transaction carries at most {max} bytes, not {got}")]
    TooLarge {
        /// Bytes given.
        got: usize,
        /// The bound.
        max: usize,
    },
    /// Nothing under this name.
    #[error("there is no {what} {id}")]
    Unknown {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        id: String,
    },
    /// A token that cannot be sent.
    #[error("a token is one line of printable characters")]
    BadToken,
    /// The public side.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The account cannot sign.
    #[error(transparent)]
    Wallet(#[from] WalletError),
}

impl PrivateClientError {
    /// What to do about it, in a sentence for people, if that can be said without knowing more.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Closed(_) => Some(
                "the operator of your organisation's node issues tokens with a scope psi://PARTY \
                 (docs/private-transactions.md)",
            ),
            Self::NotDelivered { .. } => {
                Some("see which members have not acknowledged: medina private status DIGEST")
            }
            Self::Client(error) => error.advice(),
            _ => None,
        }
    }
}
