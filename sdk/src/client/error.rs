//! What can go wrong between a client and the chain, with the contracts' errors by name.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use alloy_primitives::{Address, B256, U256};
use alloy_provider::transport::TransportError;
use thiserror::Error;

use super::PlannedTransaction;
use crate::device::DeviceError;
use crate::url::{place_of, without_secrets};
use crate::wallet::WalletError;

/// Why the chain did not do what it was asked.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Not a URL; what is shown of it ends before its path and query.
    #[error("`{0}` is no URL; expected one like http://127.0.0.1:8545")]
    BadUrl(String),
    /// The node cannot be reached or refused the request.
    #[error("{method} failed at {url}: {reason}")]
    Rpc {
        /// Which method.
        method: &'static str,
        /// Which node, if known, without its token.
        url: String,
        /// What it or the connection said.
        reason: String,
    },
    /// The contract refused.
    #[error("{} was refused: {reason}", name_of(.call))]
    Reverted {
        /// Which function.
        call: &'static str,
        /// The contract's error by name.
        reason: String,
    },
    /// An answer that this version cannot read.
    #[error("the node answered {0} with something else than expected; is it another version?")]
    BadAnswer(&'static str),
    /// The node did not say where a contract is.
    #[error(
        "medina_contracts lacks an address: {0}; is this a Medina chain with the market deployed?"
    )]
    BadContracts(String),
    /// The client has no account to send with.
    #[error("this needs an account to send with")]
    NoAccount,
    /// The account belongs to no organisation.
    #[error("account {0} belongs to no organisation; have it enrolled first")]
    NoOrganisation(Address),
    /// The transaction was sent but no receipt came.
    #[error("transaction {hash} has no receipt after {seconds} s; it may still be included")]
    NoReceipt {
        /// Which transaction.
        hash: B256,
        /// How long was waited.
        seconds: u64,
    },
    /// Another program that signs for the account used the transaction's nonce.
    #[error("transaction {hash} will not be included: nonce {nonce} was used by another one")]
    NonceTaken {
        /// Which transaction.
        hash: B256,
        /// Its nonce.
        nonce: u64,
    },
    /// Nothing was sent, because the client only shows what it would send.
    #[error("not sent: this was a dry run of {}", name_of(.0.call))]
    DryRun(Box<PlannedTransaction>),
    /// The suite of this chain lacks a contract.
    #[error("this chain has no {0}; it was made before that contract existed")]
    NoContract(&'static str),
    /// The chain behind the URL is not the one that was read before.
    #[error(
        "block {block} is not the one seen before ({expected}): the node follows another chain"
    )]
    ForeignChain {
        /// Which block.
        block: u64,
        /// Its hash when it was read.
        expected: B256,
    },
    /// The transaction is included but its event is not there.
    #[error("transaction {hash} is included but has no {event} event")]
    NoEvent {
        /// Which transaction.
        hash: B256,
        /// Which event.
        event: &'static str,
    },
    /// Nothing on chain under this name.
    #[error("there is no {what} {id}")]
    Unknown {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        id: String,
    },
    /// Something given cannot be put into a transaction.
    #[error("{0}")]
    BadInput(String),
    /// The account cannot sign.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The device cannot sign.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl ClientError {
    pub(super) fn bad_url(url: &str) -> Self {
        Self::BadUrl(place_of(url))
    }

    pub(super) fn rpc(method: &'static str, url: &str, error: &TransportError) -> Self {
        Self::Rpc {
            method,
            url: place_of(url),
            reason: transport_reason(error),
        }
    }

    /// An error of `eth_call` or `eth_estimateGas`: a refusal if it carries revert data.
    pub(super) fn from_call(call: &'static str, error: &TransportError) -> Self {
        match revert_reason(error) {
            Some(reason) => Self::Reverted { call, reason },
            None => Self::Rpc {
                method: call,
                url: "the node".into(),
                reason: transport_reason(error),
            },
        }
    }

    /// What to do about it, in a sentence for people, if that can be said without knowing more.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Reverted { call, reason } => super::advice::advice(call, reason),
            Self::NonceTaken { .. } => Some(
                "another program sends with the same account: let only one do so, and look whether \
                 this still has to be done",
            ),
            Self::Rpc {
                method: "medina_contracts",
                ..
            } => Some(
                "this answers JSON-RPC but is no node of a Medina chain: give another URL with --rpc",
            ),
            Self::NoReceipt { .. } => {
                Some("look for it later by its hash; do not send it again before")
            }
            Self::NoOrganisation(_) => Some(
                "a certifier enrols it (`medina user enrol`), then the organisation's admin \
                 approves it (`medina user approve`)",
            ),
            _ => None,
        }
    }

    /// Whether the contract refused with the error of this name.
    pub fn is_refusal(&self, name: &str) -> bool {
        matches!(self, Self::Reverted { reason, .. } if reason.split('(').next() == Some(name))
    }
}

/// What the node or the connection said, without the URL's secrets.
pub(super) fn transport_reason(error: &TransportError) -> String {
    match error.as_error_resp() {
        Some(answer) => format!("{} (code {})", answer.message, answer.code),
        // A connection's own text names the whole URL; its innermost cause says more.
        None => without_secrets(&innermost(error)),
    }
}

/// What an error comes from in the end.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The function's name in a signature.
fn name_of(call: &str) -> &str {
    call.split('(').next().unwrap_or_default()
}

/// The reason of a refusal, if the node's answer is one.
fn revert_reason(error: &TransportError) -> Option<String> {
    let answer = error.as_error_resp()?;
    if let Some(data) = answer.as_revert_data() {
        return Some(decode_revert(&data));
    }
    answer
        .message
        .contains("revert")
        .then(|| answer.message.to_string())
}

/// The name and arguments of revert data, in the words of the contracts.
pub(crate) fn decode_revert(data: &[u8]) -> String {
    let Some((selector, arguments)) = data.split_first_chunk::<4>() else {
        return "reverted without a reason".into();
    };
    if let Some(error) = known_errors().get(selector) {
        return error.describe(arguments);
    }
    match alloy_sol_types::decode_revert_reason(data) {
        Some(reason) => reason,
        None => format!("unknown error 0x{}", hex::encode(selector)),
    }
}

/// The function of the suite that a call's data names.
pub(super) fn function_name(data: &[u8]) -> Option<String> {
    static FUNCTIONS: OnceLock<BTreeMap<[u8; 4], String>> = OnceLock::new();
    let functions = FUNCTIONS.get_or_init(|| {
        let artifacts = medina_contracts::artifacts::all();
        let named = artifacts
            .iter()
            .flat_map(|artifact| functions_of(artifact.json));
        named.collect()
    });
    functions.get(data.first_chunk::<4>()?).cloned()
}

fn functions_of(artifact: &str) -> Vec<([u8; 4], String)> {
    let abi = serde_json::from_str::<serde_json::Value>(artifact).unwrap_or_default();
    let items = abi["abi"].as_array().cloned().unwrap_or_default();
    let function = |item: &serde_json::Value| {
        let name = item["name"].as_str()?;
        let types: Option<Vec<_>> = item["inputs"].as_array()?.iter().map(type_text).collect();
        let hash = alloy_primitives::keccak256(format!("{name}({})", types?.join(",")));
        Some((hash.first_chunk::<4>().copied()?, name.to_owned()))
    };
    let functions = items.iter().filter(|item| item["type"] == "function");
    functions.filter_map(function).collect()
}

/// A type as signatures spell it: structs as tuples.
fn type_text(input: &serde_json::Value) -> Option<String> {
    let name = input["type"].as_str()?;
    match name.strip_prefix("tuple") {
        None => Some(name.to_owned()),
        Some(array) => {
            let members: Option<Vec<_>> = input["components"]
                .as_array()?
                .iter()
                .map(type_text)
                .collect();
            Some(format!("({}){array}", members?.join(",")))
        }
    }
}

/// An error of the contracts' ABI.
struct KnownError {
    name: String,
    types: Vec<String>,
}

impl KnownError {
    /// `Name` or `Name(1, 0x…)`; all arguments of the suite's errors are one word each.
    fn describe(&self, arguments: &[u8]) -> String {
        if self.types.is_empty() {
            return self.name.clone();
        }
        let words = arguments.chunks_exact(32).zip(&self.types);
        let shown: Vec<_> = words
            .map(|(word, kind)| describe_word(word, kind))
            .collect();
        format!("{}({})", self.name, shown.join(", "))
    }
}

fn describe_word(word: &[u8], kind: &str) -> String {
    match kind {
        "address" => Address::from_slice(&word[12..]).to_string(),
        kind if kind.starts_with("uint") => U256::from_be_slice(word).to_string(),
        _ => format!("0x{}", hex::encode(word)),
    }
}

/// Every error of every contract of the suite, read once from the committed artifacts.
fn known_errors() -> &'static BTreeMap<[u8; 4], KnownError> {
    static ERRORS: OnceLock<BTreeMap<[u8; 4], KnownError>> = OnceLock::new();
    ERRORS.get_or_init(|| {
        let artifacts = medina_contracts::artifacts::all();
        artifacts
            .iter()
            .flat_map(|artifact| errors_of(artifact.json))
            .collect()
    })
}

fn errors_of(artifact: &str) -> Vec<([u8; 4], KnownError)> {
    let json: serde_json::Value = serde_json::from_str(artifact).unwrap_or_default();
    let items = json["abi"].as_array().cloned().unwrap_or_default();
    items
        .iter()
        .filter(|item| item["type"] == "error")
        .filter_map(error_of)
        .collect()
}

fn error_of(item: &serde_json::Value) -> Option<([u8; 4], KnownError)> {
    let name = item["name"].as_str()?.to_owned();
    let inputs = item["inputs"].as_array()?;
    let types: Vec<_> = inputs
        .iter()
        .filter_map(|input| Some(input["type"].as_str()?.to_owned()))
        .collect();
    let signature = format!("{name}({})", types.join(","));
    let hash = alloy_primitives::keccak256(signature);
    let selector = hash.first_chunk::<4>().copied()?;
    Some((selector, KnownError { name, types }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_sol_types::{SolError, sol};
    use proptest::prelude::*;

    sol! {
        error TooDear();
        error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
        error Stranger();
    }

    #[test]
    fn refusals_carry_the_contracts_own_names() {
        assert_eq!(decode_revert(&TooDear {}.abi_encode()), "TooDear");
        let sender = Address::repeat_byte(1);
        let error = ERC20InsufficientBalance {
            sender,
            balance: U256::from(5),
            needed: U256::from(7),
        };
        let expected = format!("ERC20InsufficientBalance({sender}, 5, 7)");
        assert_eq!(decode_revert(&error.abi_encode()), expected);
    }

    #[test]
    fn calls_are_named_by_the_suites_own_functions() {
        use alloy_sol_types::SolCall;
        use medina_contracts::medina_token::MedinaToken::mintCall;
        use medina_contracts::trust_and_reputation::TrustAndReputation::setParamsCall;
        let named = |selector: [u8; 4]| function_name(&selector);
        assert_eq!(named(mintCall::SELECTOR).as_deref(), Some("mint"));
        assert_eq!(named(setParamsCall::SELECTOR).as_deref(), Some("setParams"));
        assert_eq!(function_name(&[1, 2, 3, 4]), None);
        assert_eq!(function_name(&[1, 2, 3]), None);
    }

    #[test]
    fn other_reverts_are_told_apart() {
        assert_eq!(decode_revert(&[]), "reverted without a reason");
        assert!(decode_revert(&Stranger {}.abi_encode()).starts_with("unknown error 0x"));
        let text = alloy_sol_types::Revert::from("no way").abi_encode();
        assert!(decode_revert(&text).contains("no way"));
    }

    #[test]
    fn refusals_name_the_function_without_its_types() {
        let error = ClientError::Reverted {
            call: "buy(uint64,uint64,(address,bytes32)[])",
            reason: "TooDear".into(),
        };
        assert_eq!(error.to_string(), "buy was refused: TooDear");
    }

    #[test]
    fn refusal_is_recognised_by_name() {
        let error = ClientError::Reverted {
            call: "buy",
            reason: "TooDear(1)".into(),
        };
        assert!(error.is_refusal("TooDear") && !error.is_refusal("TooLate"));
    }

    proptest! {
        #[test]
        fn no_revert_data_panics(data in any::<Vec<u8>>(), cut in 0_usize..100) {
            let _ = decode_revert(&data);
            let error = ERC20InsufficientBalance { sender: Address::ZERO, balance: U256::MAX, needed: U256::MAX };
            let encoded = error.abi_encode();
            let _ = decode_revert(&encoded[..cut.min(encoded.len())]);
        }
    }
}
