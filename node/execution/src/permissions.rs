//! What the `Permissioning` contract answers: who may connect, and who validates.
//!
//! Every question is a call with one fixed gas cap in the environment of a block, so that all nodes that ask on the
//! same state get the same answer. The validators of height h+1 are asked for on the state after block h, by whoever
//! builds and whoever checks it; where the contract gives no usable answer, those of h stay. So a broken contract
//! can stop changes of the set, and never the chain.
//!
//! Only a failing disk is an error of the block: it says nothing about what the contract would have answered.

use crate::{
    CallEnvironment, CallOutcome, CallRequest, CallStatus, ExecutionError, Executor,
    genesis::Nothing,
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use medina_storage::{StateReader, StorageError};
use medina_types::{
    AccountState, NodePublicKey, StateChanges, Validator, ValidatorSet, ValidatorSetError, limits,
};

/// Name of the contract in the chain spec's directory.
pub const PERMISSIONING: &str = "permissioning";

const CONNECTION_ALLOWED: &str = "connectionAllowed(bytes32)";
const GET_NODE: &str = "getNode(bytes32)";
const VALIDATOR_KEYS: &str = "validatorKeys()";
const GET_VALIDATORS: &str = "getValidators()";

/// Bytes of an ABI word.
const WORD: usize = 32;

/// What the contract says of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeStanding {
    /// It may connect.
    Allowed,
    /// The contract knows it and keeps it out: blacklisted, inactive, or its organisation is.
    Refused,
    /// The contract has never heard of it.
    Unknown,
}

/// Why the contract's answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PermissionsError {
    /// The chain has no such contract.
    #[error("this chain has no Permissioning contract")]
    NotDeployed,
    /// The call reverted, ran out of gas or hit an invalid instruction.
    #[error("{question} failed: {reason}")]
    Failed {
        /// Signature of the function.
        question: &'static str,
        /// What stopped it.
        reason: String,
    },
    /// The answer is not what the function's signature promises.
    #[error("{question} answered {bytes} bytes that are not what its signature says")]
    Malformed {
        /// Signature of the function.
        question: &'static str,
        /// Length of the answer.
        bytes: usize,
    },
    /// The two lists do not belong together.
    #[error("{keys} validator keys for {operators} operators")]
    Mismatch {
        /// Length of the list of keys.
        keys: usize,
        /// Length of the list of operators.
        operators: usize,
    },
    /// A key with which nobody can sign.
    #[error("validator key {0} is no usable ed25519 key")]
    UnusableKey(NodePublicKey),
    /// A validator that nobody operates.
    #[error("validator {0} has no operator")]
    NoOperator(NodePublicKey),
    /// Too many, none, or one of them twice.
    #[error(transparent)]
    NoSet(#[from] ValidatorSetError),
    /// This node could not ask.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
}

/// Validators of the height after a block.
#[derive(Debug)]
pub(crate) struct NextValidators {
    pub(crate) set: ValidatorSet,
    /// Why the parent's set stayed although the contract changed.
    pub(crate) refused: Option<PermissionsError>,
}

impl Executor {
    /// Whether the contract lets a node connect, on a state and in a block's environment.
    ///
    /// # Errors
    /// See [`PermissionsError`]; the caller decides what holds then.
    pub fn connection_allowed(
        &self,
        state: &dyn StateReader,
        environment: CallEnvironment,
        key: &NodePublicKey,
    ) -> Result<bool, PermissionsError> {
        let input = [&selector(CONNECTION_ALLOWED)[..], &key.0].concat();
        let answer = self.ask(state, environment, CONNECTION_ALLOWED, input.into())?;
        read_bool(&answer).ok_or(PermissionsError::Malformed {
            question: CONNECTION_ALLOWED,
            bytes: answer.len(),
        })
    }

    /// What the contract says of a node, on a state and in a block's environment.
    ///
    /// # Errors
    /// See [`PermissionsError`]; the caller decides what holds then.
    pub fn node_standing(
        &self,
        state: &dyn StateReader,
        environment: CallEnvironment,
        key: &NodePublicKey,
    ) -> Result<NodeStanding, PermissionsError> {
        if self.connection_allowed(state, environment, key)? {
            return Ok(NodeStanding::Allowed);
        }
        let input = [&selector(GET_NODE)[..], &key.0].concat();
        let answer = self.ask(state, environment, GET_NODE, input.into())?;
        // The second member of the record: None, Active, Inactive, Blacklisted.
        let node_state = answer.get(WORD..2 * WORD).map(U256::from_be_slice);
        let node_state = node_state.ok_or(PermissionsError::Malformed {
            question: GET_NODE,
            bytes: answer.len(),
        })?;
        if node_state.is_zero() {
            Ok(NodeStanding::Unknown)
        } else {
            Ok(NodeStanding::Refused)
        }
    }

    /// The contract's validators, on a state and in a block's environment.
    ///
    /// # Errors
    /// See [`PermissionsError`].
    pub fn validators_of(
        &self,
        state: &dyn StateReader,
        environment: CallEnvironment,
    ) -> Result<ValidatorSet, PermissionsError> {
        let keys = self.ask_list(state, environment, VALIDATOR_KEYS)?;
        let operators = self.ask_list(state, environment, GET_VALIDATORS)?;
        if keys.len() != operators.len() {
            return Err(PermissionsError::Mismatch {
                keys: keys.len(),
                operators: operators.len(),
            });
        }
        // Before any of the keys is looked at, which costs more than the contract paid for naming it.
        let (got, max) = (keys.len(), limits::VALIDATORS_MAX);
        if got > max {
            return Err(ValidatorSetError::TooMany { max, got }.into());
        }
        let validators = keys.into_iter().zip(operators).map(validator);
        Ok(ValidatorSet::new(validators.collect::<Result<_, _>>()?)?)
    }

    /// The contract's validators in a genesis state.
    ///
    /// # Errors
    /// See [`PermissionsError`].
    pub fn validators_of_genesis(
        &self,
        genesis: &StateChanges,
    ) -> Result<ValidatorSet, PermissionsError> {
        let state = StateAfter {
            before: &Nothing,
            changes: genesis,
        };
        let environment = CallEnvironment::of_header(&self.spec.genesis_header);
        self.validators_of(&state, environment)
    }

    /// Validators of the height after a block with these changes to `parent_state`: the contract is asked only if
    /// the block changed it.
    pub(crate) fn next_validators(
        &self,
        parent_state: &dyn StateReader,
        environment: CallEnvironment,
        current: &ValidatorSet,
        changes: &StateChanges,
    ) -> Result<NextValidators, ExecutionError> {
        if !self.changes_permissions(changes) {
            let set = current.clone();
            return Ok(NextValidators { set, refused: None });
        }
        let state = StateAfter {
            before: parent_state,
            changes,
        };
        match self.validators_of(&state, environment) {
            Ok(set) => Ok(NextValidators { set, refused: None }),
            Err(PermissionsError::Execution(error)) => Err(error),
            Err(reason) => {
                let height = environment.number;
                tracing::warn!(height, %reason, "the validators stay: Permissioning named no usable set");
                Ok(NextValidators {
                    set: current.clone(),
                    refused: Some(reason),
                })
            }
        }
    }

    /// Coins sent to the contract do not count.
    fn changes_permissions(&self, changes: &StateChanges) -> bool {
        let address = self.spec.contracts.get(PERMISSIONING);
        let Some(change) = address.and_then(|address| changes.accounts.get(address)) else {
            return false;
        };
        let code_of = |account: Option<AccountState>| account.map(|account| account.code_hash);
        !change.storage.is_empty()
            || change.storage_wiped
            || code_of(change.before) != code_of(change.after)
    }

    fn ask_list(
        &self,
        state: &dyn StateReader,
        environment: CallEnvironment,
        question: &'static str,
    ) -> Result<Vec<B256>, PermissionsError> {
        let answer = self.ask(state, environment, question, selector(question).into())?;
        read_words(&answer).ok_or(PermissionsError::Malformed {
            question,
            bytes: answer.len(),
        })
    }

    fn ask(
        &self,
        state: &dyn StateReader,
        environment: CallEnvironment,
        question: &'static str,
        input: Bytes,
    ) -> Result<Bytes, PermissionsError> {
        let to = self.spec.contracts.get(PERMISSIONING).copied();
        let request = CallRequest {
            to: Some(to.ok_or(PermissionsError::NotDeployed)?),
            input,
            ..CallRequest::default()
        };
        let gas = limits::PERMISSION_CALL_GAS_MAX;
        let outcome = self.ask_with_gas(state, environment, &request, gas)?;
        answer_of(question, outcome)
    }
}

/// What a call returned, unless it failed.
fn answer_of(question: &'static str, outcome: CallOutcome) -> Result<Bytes, PermissionsError> {
    let reason = match outcome.status {
        CallStatus::Success => return Ok(outcome.output),
        CallStatus::Revert => "it reverted".to_owned(),
        CallStatus::Halt { reason, .. } => reason,
    };
    Err(PermissionsError::Failed { question, reason })
}

/// The answer to a question of yes or no.
pub(crate) fn yes_or_no(
    question: &'static str,
    outcome: CallOutcome,
) -> Result<bool, PermissionsError> {
    let answer = answer_of(question, outcome)?;
    read_bool(&answer).ok_or(PermissionsError::Malformed {
        question,
        bytes: answer.len(),
    })
}

fn selector(signature: &str) -> [u8; 4] {
    keccak256(signature).0[..4]
        .try_into()
        .expect("a hash has four bytes")
}

fn validator((key, operator): (B256, B256)) -> Result<Validator, PermissionsError> {
    let key = NodePublicKey(key.0);
    let key = key
        .checked()
        .map_err(|_| PermissionsError::UnusableKey(key))?;
    if operator.is_zero() {
        return Err(PermissionsError::NoOperator(key));
    }
    let malformed = PermissionsError::Malformed {
        question: GET_VALIDATORS,
        bytes: WORD,
    };
    // The upper twelve bytes of an address are zero, or it is none.
    let operator = (operator[..12] == [0; 12]).then(|| Address::from_word(operator));
    Ok(Validator {
        key,
        operator: operator.ok_or(malformed)?,
    })
}

fn read_bool(answer: &[u8]) -> Option<bool> {
    match U256::try_from_be_slice(answer).filter(|_| answer.len() == WORD)? {
        U256::ZERO => Some(false),
        U256::ONE => Some(true),
        _ => None,
    }
}

/// An ABI list of words, exactly as compilers write it: offset, length, words, nothing else.
fn read_words(answer: &[u8]) -> Option<Vec<B256>> {
    if !answer.len().is_multiple_of(WORD) {
        return None;
    }
    let mut words = answer.chunks_exact(WORD).map(B256::from_slice);
    let (offset, length) = (words.next()?, words.next()?);
    let words: Vec<_> = words.collect();
    let is_plain = U256::from_be_bytes(offset.0) == U256::from(WORD)
        && U256::from_be_bytes(length.0) == U256::from(words.len());
    is_plain.then_some(words)
}

/// The state after a block that is not in the store yet.
struct StateAfter<'a> {
    before: &'a dyn StateReader,
    changes: &'a StateChanges,
}

impl StateReader for StateAfter<'_> {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StorageError> {
        match self.changes.accounts.get(&address) {
            Some(change) => Ok(change.after),
            None => self.before.account(address),
        }
    }

    fn slot(&self, address: Address, slot: U256) -> Result<U256, StorageError> {
        let Some(change) = self.changes.accounts.get(&address) else {
            return self.before.slot(address, slot);
        };
        match change.storage.get(&slot) {
            Some(changed) => Ok(changed.after),
            None if change.storage_wiped || change.after.is_none() => Ok(U256::ZERO),
            None => self.before.slot(address, slot),
        }
    }

    fn code(&self, hash: B256) -> Result<Option<Bytes>, StorageError> {
        match self.changes.codes.get(&hash) {
            Some(code) => Ok(Some(code.clone())),
            None => self.before.code(hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<Option<B256>, StorageError> {
        self.before.block_hash(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word(value: u64) -> [u8; WORD] {
        U256::from(value).to_be_bytes()
    }

    #[test]
    fn selectors_are_those_of_the_contract() {
        assert_eq!(selector(GET_VALIDATORS), alloy_primitives::hex!("b7ab4db5"));
    }

    #[test]
    fn lists_are_read_as_compilers_write_them_and_no_other_way() {
        let plain = [word(32), word(2), word(7), word(9)].concat();
        let read = read_words(&plain);
        assert_eq!(read, Some(vec![word(7).into(), word(9).into()]));
        assert_eq!(read_words(&[word(32), word(0)].concat()), Some(Vec::new()));
        for (wrong, why) in [
            (Vec::new(), "nothing"),
            (word(32).to_vec(), "no length"),
            (plain[..plain.len() - 1].to_vec(), "cut"),
            ([word(32), word(3), word(7), word(9)].concat(), "too short"),
            ([word(32), word(1), word(7), word(9)].concat(), "too long"),
            ([word(64), word(2), word(7), word(9)].concat(), "elsewhere"),
            ([[0xff; WORD], [0xff; WORD]].concat(), "huge"),
        ] {
            assert_eq!(read_words(&wrong), None, "{why}");
        }
    }

    #[test]
    fn truth_is_one_word_of_zero_or_one() {
        assert_eq!(read_bool(&word(0)), Some(false));
        assert_eq!(read_bool(&word(1)), Some(true));
        assert_eq!(read_bool(&word(2)), None);
        assert_eq!(read_bool(&[]), None);
        assert_eq!(read_bool(&[word(0), word(1)].concat()), None);
    }

    proptest! {
        #[test]
        fn answers_of_any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_bool(&bytes);
            if let Some(words) = read_words(&bytes) {
                prop_assert_eq!(words.len() * WORD + 2 * WORD, bytes.len());
            }
        }
    }
}
