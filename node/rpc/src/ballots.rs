//! Ballots on validators, as the Permissioning contract tells them.
//!
//! The validator set itself comes from stored contexts, never from here: it is
//! what blocks were decided by, whatever a contract says now.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{SolCall, SolValue, sol};
use jsonrpsee::types::ErrorObjectOwned;
use medina_execution::{CallEnvironment, CallRequest, PERMISSIONING};
use medina_storage::HistoricalState;
use medina_types::{Height, NodePublicKey};
use parking_lot::Mutex;
use std::sync::Arc;

use crate::{
    context::Context,
    errors::{self, Answer, server, unsupported},
    reading::Position,
};

/// Newest ballots that are looked at; older ones are long closed.
const BALLOTS_READ_MAX: u64 = 256;
/// Kind of a ballot that admits a validator.
const ADD_VALIDATOR: u8 = 1;
/// Kind of a ballot that removes one.
const REMOVE_VALIDATOR: u8 = 2;

sol! {
    /// A node as the contract knows it.
    struct Node {
        bytes32 org;
        uint8 state;
        bool validator;
        address operator;
        bool listed;
        bool held;
    }

    /// A ballot as the contract knows it.
    struct BallotView {
        uint8 kind;
        bytes data;
        uint48 opened;
        bool executed;
        bool open;
        uint16 organisations;
        uint16 yes;
        uint16 no;
        bool passes;
    }

    /// What is read here of the contract.
    interface Permissioning {
        function ballotCount() external view returns (uint256);
        function getBallot(uint256 ballot) external view returns (BallotView memory);
        function getNode(bytes32 nodeKey) external view returns (Node memory);
        function voteOf(uint256 ballot, bytes32 org) external view returns (uint8);
    }
}

/// What a ballot would do to the validator set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Admits a node; it counts after its operator's `activate`.
    Add {
        /// Its key.
        key: NodePublicKey,
        /// Its operator.
        operator: Address,
    },
    /// Removes a validator, or takes an admission back.
    Remove {
        /// Its key.
        key: NodePublicKey,
    },
}

impl Change {
    /// Reads a ballot's data; `None` for ballots on something else.
    fn of(ballot: &BallotView) -> Option<Self> {
        match ballot.kind {
            ADD_VALIDATOR => {
                let (key, operator) = <(B256, Address)>::abi_decode(&ballot.data).ok()?;
                let key = NodePublicKey(key.0);
                Some(Self::Add { key, operator })
            }
            REMOVE_VALIDATOR => {
                let key = NodePublicKey(B256::abi_decode(&ballot.data).ok()?.0);
                Some(Self::Remove { key })
            }
            _ => None,
        }
    }

    /// Whether it makes a validator.
    pub(crate) const fn authorizes(self) -> bool {
        matches!(self, Self::Add { .. })
    }
}

/// A ballot on the validator set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ballot {
    number: U256,
    /// What it would do.
    pub(crate) change: Change,
    /// Operator of the node it is about; zero if nobody knows it.
    pub(crate) operator: Address,
    /// Takes votes and can be executed.
    pub(crate) is_open: bool,
    /// Was executed.
    pub(crate) is_executed: bool,
    /// Organisations that said yes.
    pub(crate) yes: u16,
}

/// The contract on the state after one block.
pub(crate) struct Ballots<'a> {
    context: &'a Context,
    contract: Address,
    /// Block after which the state is.
    height: Height,
    state: HistoricalState<'a>,
    environment: CallEnvironment,
}

/// The last list that was asked for, with its block and the time that it was asked for.
pub(crate) type BallotsKept = Mutex<Option<((Height, u64), Arc<Vec<Ballot>>)>>;

impl Context {
    /// The Permissioning contract at a position.
    pub(crate) fn ballots(&self, position: Position) -> Answer<Ballots<'_>> {
        let contract = self.spec().contracts.get(PERMISSIONING);
        let contract = contract.ok_or_else(no_contract)?;
        Ok(Ballots {
            context: self,
            contract: *contract,
            height: match position {
                Position::At(height) => height,
                Position::Pending => self.head().height,
            },
            state: self.state(position)?,
            environment: self.environment(position)?,
        })
    }
}

/// The chain has no such contract, so nobody can vote.
fn no_contract() -> ErrorObjectOwned {
    unsupported(
        "this chain has no Permissioning contract: its validators are those of its genesis file",
    )
}

impl Ballots<'_> {
    /// Ballots on validators, newest first, at most the newest
    /// [`BALLOTS_READ_MAX`] ballots of any kind. Each costs runs of the EVM, so the
    /// answer is kept while it is good: a ballot changes with the state and the time.
    pub(crate) fn on_validators(&self) -> Answer<Arc<Vec<Ballot>>> {
        let key = (self.height, self.environment.timestamp);
        let mut kept = self.context.ballots_kept.lock();
        if let Some((_, ballots)) = kept.as_ref().filter(|(of, _)| *of == key) {
            return Ok(ballots.clone());
        }
        // The lock is held: who asks for the same meanwhile waits instead of doing
        // the same work.
        let ballots = Arc::new(self.read_all()?);
        *kept = Some((key, ballots.clone()));
        Ok(ballots)
    }

    fn read_all(&self) -> Answer<Vec<Ballot>> {
        let count = self.call(Permissioning::ballotCountCall {})?;
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let oldest = count.saturating_sub(BALLOTS_READ_MAX) + 1;
        let mut found = Vec::new();
        for number in (oldest..=count).rev() {
            let number = U256::from(number);
            let view = self.call(Permissioning::getBallotCall { ballot: number })?;
            let Some(change) = Change::of(&view) else {
                continue;
            };
            let operator = match change {
                Change::Add { operator, .. } => operator,
                Change::Remove { key } => self.node(&key)?.operator,
            };
            found.push(Ballot {
                number,
                change,
                operator,
                is_open: view.open,
                is_executed: view.executed,
                yes: view.yes,
            });
        }
        Ok(found)
    }

    /// As [`Self::on_validators`], those that take votes.
    pub(crate) fn open(&self) -> Answer<Vec<Ballot>> {
        let all = self.on_validators()?;
        let open = all.iter().filter(|ballot| ballot.is_open);
        Ok(open.copied().collect())
    }

    /// Whether an organisation said yes to a ballot.
    pub(crate) fn has_said_yes(&self, ballot: &Ballot, org: B256) -> Answer<bool> {
        let ballot = ballot.number;
        Ok(self.call(Permissioning::voteOfCall { ballot, org })? == 1)
    }

    /// What the contract knows of a node; all zero if nothing.
    pub(crate) fn node(&self, key: &NodePublicKey) -> Answer<Node> {
        self.call(Permissioning::getNodeCall {
            nodeKey: key.0.into(),
        })
    }

    fn call<C: SolCall>(&self, call: C) -> Answer<C::Return> {
        let request = CallRequest {
            to: Some(self.contract),
            input: call.abi_encode().into(),
            ..CallRequest::default()
        };
        let executor = self.context.node.executor();
        let outcome = executor
            .ask_contract(&self.state, self.environment, &request)
            .map_err(errors::fault)?;
        let answer = outcome.is_success().then_some(outcome.output);
        let answer = answer.and_then(|output| C::abi_decode_returns(&output).ok());
        answer.ok_or_else(|| {
            server(format!(
                "the Permissioning contract gave no answer to {}; did it exist at this block?",
                C::SIGNATURE
            ))
        })
    }
}

/// Why there is no method that votes: a vote is a signed transaction.
pub(crate) fn votes_are_transactions(change: &str) -> ErrorObjectOwned {
    unsupported(format!(
        "validators change by ballot, and votes are transactions signed with an operator's \
         account, which this node does not keep. {change}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Bytes;

    fn ballot(kind: u8, data: Vec<u8>) -> BallotView {
        BallotView {
            kind,
            data: Bytes::from(data),
            opened: alloy_primitives::Uint::ZERO,
            executed: false,
            open: true,
            organisations: 4,
            yes: 1,
            no: 0,
            passes: false,
        }
    }

    #[test]
    fn data_of_ballots_is_read_and_nonsense_is_no_change() {
        let (key, operator) = (B256::repeat_byte(7), Address::repeat_byte(8));
        let add = Change::of(&ballot(1, (key, operator).abi_encode()));
        let key = NodePublicKey(key.0);
        assert_eq!(add, Some(Change::Add { key, operator }));
        let remove = Change::of(&ballot(2, key.0.to_vec()));
        assert_eq!(remove, Some(Change::Remove { key }));
        assert_eq!(Change::of(&ballot(2, vec![1; 31])), None);
        assert_eq!(Change::of(&ballot(1, vec![])), None);
        assert_eq!(Change::of(&ballot(4, key.0.to_vec())), None);
    }
}
