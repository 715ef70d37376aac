//! Who may connect and validate: the nodes, validators and ballots of the `Permissioning` contract.
//!
//! Changing the set takes five steps, each by whom the contract asks for: the node's organisation
//! registers it ([`register_node`](MarketClient::register_node)), an operator opens a ballot
//! ([`propose_validator`](MarketClient::propose_validator)), operators vote, one per organisation
//! ([`vote_ballot`](MarketClient::vote_ballot)), anyone executes what has passed
//! ([`execute_ballot`](MarketClient::execute_ballot)), and the new operator activates its node once
//! it is synced ([`activate_validator`](MarketClient::activate_validator)). Removing ends with the
//! fourth.
//!
//! A node is named by its ed25519 key.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolValue;
use medina_contracts::permissioning::Permissioning;
use medina_contracts::values::{BallotKind, NodeState};
use serde::Serialize;

use super::{ClientError, MarketClient, Receipt};
use crate::limits::BALLOTS_LISTED_MAX;

/// What a ballot would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum BallotSubject {
    /// Sets what the accounts of an organisation may do.
    OrgAccess {
        /// The organisation.
        org: B256,
        /// 0 read, 1 transact, 2 deploy, 3 full.
        access: u8,
    },
    /// Admits a validator; it counts after its operator's activation.
    AddValidator {
        /// Its ed25519 key.
        node: B256,
        /// Who operates it.
        operator: Address,
    },
    /// Removes a validator, or takes its admission back.
    RemoveValidator {
        /// Its ed25519 key.
        node: B256,
    },
    /// Sets a node's state, also of a blacklisted one.
    Recover {
        /// Its ed25519 key.
        node: B256,
        /// 1 active, 2 inactive, 3 blacklisted.
        state: u8,
    },
    /// Sets a parameter.
    Parameter {
        /// Its name.
        name: B256,
        /// Its value.
        value: U256,
    },
    /// Sets an account's state.
    Account {
        /// The account.
        account: Address,
        /// 0 as its id says, 1 blocked, 2 system.
        state: u8,
    },
}

impl BallotSubject {
    /// Reads a ballot's kind and data; `None` for what this version does not know.
    fn read(kind: u8, data: &[u8]) -> Option<Self> {
        let words = || <(B256, U256)>::abi_decode(data).ok();
        let with_byte = || {
            let (first, second) = words()?;
            Some((first, u8::try_from(second).ok()?))
        };
        match BallotKind::try_from(kind).ok()? {
            BallotKind::OrgAccess => {
                with_byte().map(|(org, access)| Self::OrgAccess { org, access })
            }
            BallotKind::AddValidator => {
                let (node, operator) = <(B256, Address)>::abi_decode(data).ok()?;
                Some(Self::AddValidator { node, operator })
            }
            BallotKind::RemoveValidator => {
                let node = B256::abi_decode(data).ok()?;
                Some(Self::RemoveValidator { node })
            }
            BallotKind::Recover => with_byte().map(|(node, state)| Self::Recover { node, state }),
            BallotKind::Parameter => words().map(|(name, value)| Self::Parameter { name, value }),
            BallotKind::Account => {
                let (account, state) = <(Address, U256)>::abi_decode(data).ok()?;
                let state = u8::try_from(state).ok()?;
                Some(Self::Account { account, state })
            }
        }
    }

    /// Kind and data as the contract takes them.
    fn encoded(&self) -> (BallotKind, Vec<u8>) {
        match *self {
            Self::OrgAccess { org, access } => (
                BallotKind::OrgAccess,
                (org, U256::from(access)).abi_encode(),
            ),
            Self::AddValidator { node, operator } => {
                (BallotKind::AddValidator, (node, operator).abi_encode())
            }
            Self::RemoveValidator { node } => (BallotKind::RemoveValidator, node.abi_encode()),
            Self::Recover { node, state } => {
                (BallotKind::Recover, (node, U256::from(state)).abi_encode())
            }
            Self::Parameter { name, value } => (BallotKind::Parameter, (name, value).abi_encode()),
            Self::Account { account, state } => (
                BallotKind::Account,
                (account, U256::from(state)).abi_encode(),
            ),
        }
    }
}

/// A change of the validator set that an operator can propose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValidatorChange {
    /// Admit a registered node with its operator.
    Add {
        /// Its ed25519 key.
        node: B256,
        /// Who operates it.
        operator: Address,
    },
    /// Remove a validator, or take its admission back.
    Remove {
        /// Its ed25519 key.
        node: B256,
    },
}

impl From<ValidatorChange> for BallotSubject {
    fn from(change: ValidatorChange) -> Self {
        match change {
            ValidatorChange::Add { node, operator } => Self::AddValidator { node, operator },
            ValidatorChange::Remove { node } => Self::RemoveValidator { node },
        }
    }
}

/// A node as the contract knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeRecord {
    /// Its ed25519 key.
    pub key: B256,
    /// Whose it is.
    pub org: B256,
    /// Whether it may connect.
    pub state: NodeState,
    /// In the validator set.
    pub is_validator: bool,
    /// Of a validator, or of one that is admitted and not activated.
    pub operator: Option<Address>,
}

impl NodeRecord {
    /// Admitted by ballot, and its operator has not activated it.
    #[must_use]
    pub fn awaits_activation(&self) -> bool {
        !self.is_validator && self.operator.is_some()
    }
}

/// A ballot as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BallotRecord {
    /// Its number, from 1.
    pub number: u64,
    /// What it would do; `None` if this version does not know its kind.
    pub subject: Option<BallotSubject>,
    /// When it was opened, Unix seconds.
    pub opened: u64,
    /// It takes votes and can be executed.
    pub is_open: bool,
    /// It was executed.
    pub is_executed: bool,
    /// Organisations that run a validator now.
    pub organisations: u16,
    /// How many of them said yes.
    pub yes: u16,
    /// How many of them said no.
    pub no: u16,
    /// It has enough votes to be executed.
    pub passes: bool,
}

impl BallotRecord {
    /// Votes for yes that it still lacks.
    #[must_use]
    pub fn missing(&self) -> u16 {
        (self.organisations / 2 + 1).saturating_sub(self.yes)
    }
}

/// An organisation that runs validators, and what it said to a ballot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Voter {
    /// The organisation.
    pub org: B256,
    /// Its operators; one votes for all.
    pub operators: Vec<Address>,
    /// Yes or no; `None` so far.
    pub vote: Option<bool>,
}

impl MarketClient {
    /// The validators as the contract has them now, in its order. The next block's set is what the
    /// node answers; it follows one block later.
    pub async fn validator_nodes(&self) -> Result<Vec<NodeRecord>, ClientError> {
        let keys = self
            .call(self.permissioning(), Permissioning::validatorKeysCall {})
            .await?;
        let mut nodes = Vec::with_capacity(keys.len());
        for key in keys {
            nodes.push(self.permitted_node(key).await?);
        }
        Ok(nodes)
    }

    /// What the contract knows of a node.
    pub async fn permitted_node(&self, key: B256) -> Result<NodeRecord, ClientError> {
        let call = Permissioning::getNodeCall { nodeKey: key };
        let found = self.call(self.permissioning(), call).await?;
        let state = NodeState::try_from(found.state);
        let state = state.map_err(|_| ClientError::BadAnswer("getNode"))?;
        if state == NodeState::None {
            return Err(ClientError::Unknown {
                what: "node in the Permissioning contract with key",
                id: key.to_string(),
            });
        }
        Ok(NodeRecord {
            key,
            org: found.org,
            state,
            is_validator: found.validator,
            operator: (!found.operator.is_zero()).then_some(found.operator),
        })
    }

    /// The sender, admin of its organisation with full access, registers a node of it.
    pub async fn register_node(&self, org: B256, key: B256) -> Result<Receipt, ClientError> {
        let call = Permissioning::addNodeCall { org, nodeKey: key };
        self.send(self.permissioning(), call).await
    }

    /// The sender, an operator, opens a ballot on the validator set. It is not a vote.
    pub async fn propose_validator(
        &self,
        change: ValidatorChange,
    ) -> Result<(u64, Receipt), ClientError> {
        self.propose_ballot(&BallotSubject::from(change)).await
    }

    /// The sender, an operator, opens a ballot on anything. It is not a vote.
    pub async fn propose_ballot(
        &self,
        subject: &BallotSubject,
    ) -> Result<(u64, Receipt), ClientError> {
        let (kind, data) = subject.encoded();
        let contract = self.permissioning();
        let call = Permissioning::proposeCall {
            kind: kind.into(),
            data: data.into(),
        };
        let receipt = self.send(contract, call).await?;
        let opened = receipt.event::<Permissioning::Proposed>(contract)?;
        let number = u64::try_from(opened.ballot).map_err(|_| ClientError::BadAnswer("propose"))?;
        Ok((number, receipt))
    }

    /// The sender, admin of its organisation, switches a node that is no validator.
    pub async fn set_node(&self, key: B256, state: NodeState) -> Result<Receipt, ClientError> {
        let call = Permissioning::setNodeCall {
            nodeKey: key,
            s: state.into(),
        };
        self.send(self.permissioning(), call).await
    }

    /// The sender, admin of its organisation, blocks an account of its users (1) or lets it do as
    /// its id says (0).
    pub async fn set_account_state(
        &self,
        account: Address,
        state: u8,
    ) -> Result<Receipt, ClientError> {
        let call = Permissioning::setAccountCall { a: account, state };
        self.send(self.permissioning(), call).await
    }

    /// Whether a node may connect.
    pub async fn may_connect(&self, key: B256) -> Result<bool, ClientError> {
        let call = Permissioning::connectionAllowedCall { nodeKey: key };
        self.call(self.permissioning(), call).await
    }

    /// Whether an account may send a transaction to `target`; zero is a creation.
    pub async fn may_transact(
        &self,
        sender: Address,
        target: Address,
    ) -> Result<bool, ClientError> {
        let call = Permissioning::transactionAllowedCall {
            sender,
            target,
            value: U256::ZERO,
            gasPrice: U256::ZERO,
            gasLimit: U256::ZERO,
            payload: alloy_primitives::Bytes::new(),
        };
        self.call(self.permissioning(), call).await
    }

    /// The sender, an operator, votes for its organisation.
    pub async fn vote_ballot(&self, number: u64, yes: bool) -> Result<Receipt, ClientError> {
        let ballot = U256::from(number);
        let call = Permissioning::voteCall { ballot, yes };
        self.send(self.permissioning(), call).await
    }

    /// Does what a ballot that has passed says; anyone may.
    pub async fn execute_ballot(&self, number: u64) -> Result<Receipt, ClientError> {
        let ballot = U256::from(number);
        let call = Permissioning::executeCall { ballot };
        self.send(self.permissioning(), call).await
    }

    /// The sender, operator of an admitted node, makes it a validator from the next block on. A
    /// node that is not synced then counts and does not vote.
    pub async fn activate_validator(&self, key: B256) -> Result<Receipt, ClientError> {
        let call = Permissioning::activateCall { nodeKey: key };
        self.send(self.permissioning(), call).await
    }

    /// A ballot by its number.
    pub async fn ballot(&self, number: u64) -> Result<BallotRecord, ClientError> {
        let ballot = U256::from(number);
        let call = Permissioning::getBallotCall { ballot };
        let found = self.call(self.permissioning(), call).await?;
        let opened: u64 = found.opened.to();
        if opened == 0 {
            return Err(ClientError::Unknown {
                what: "ballot",
                id: number.to_string(),
            });
        }
        Ok(BallotRecord {
            number,
            subject: BallotSubject::read(found.kind, &found.data),
            opened,
            is_open: found.open,
            is_executed: found.executed,
            organisations: found.organisations,
            yes: found.yes,
            no: found.no,
            passes: found.passes,
        })
    }

    /// The newest ballots, newest first, at most [`BALLOTS_LISTED_MAX`].
    pub async fn ballots(&self) -> Result<Vec<BallotRecord>, ClientError> {
        let call = Permissioning::ballotCountCall {};
        let count = self.call(self.permissioning(), call).await?;
        let count = u64::try_from(count).map_err(|_| ClientError::BadAnswer("ballotCount"))?;
        let oldest = count.saturating_sub(BALLOTS_LISTED_MAX) + 1;
        let mut found = Vec::new();
        for number in (oldest..=count).rev() {
            found.push(self.ballot(number).await?);
        }
        Ok(found)
    }

    /// Every organisation that may vote now, and what it said to a ballot.
    pub async fn voters(&self, number: u64) -> Result<Vec<Voter>, ClientError> {
        let mut voters: Vec<Voter> = Vec::new();
        for node in self.validator_nodes().await? {
            match voters.iter_mut().find(|voter| voter.org == node.org) {
                Some(voter) => voter.operators.extend(node.operator),
                None => voters.push(Voter {
                    org: node.org,
                    operators: node.operator.into_iter().collect(),
                    vote: self.vote_of(number, node.org).await?,
                }),
            }
        }
        Ok(voters)
    }

    /// What an organisation said to a ballot.
    pub async fn vote_of(&self, number: u64, org: B256) -> Result<Option<bool>, ClientError> {
        let ballot = U256::from(number);
        let call = Permissioning::voteOfCall { ballot, org };
        match self.call(self.permissioning(), call).await? {
            0 => Ok(None),
            1 => Ok(Some(true)),
            2 => Ok(Some(false)),
            _ => Err(ClientError::BadAnswer("voteOf")),
        }
    }

    fn permissioning(&self) -> Address {
        self.contracts.permissioning
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_subject_reads_back_from_its_data() {
        let (hash, account) = (B256::repeat_byte(7), Address::repeat_byte(8));
        for subject in [
            BallotSubject::OrgAccess {
                org: hash,
                access: 3,
            },
            BallotSubject::AddValidator {
                node: hash,
                operator: account,
            },
            BallotSubject::RemoveValidator { node: hash },
            BallotSubject::Recover {
                node: hash,
                state: 2,
            },
            BallotSubject::Parameter {
                name: hash,
                value: U256::MAX,
            },
            BallotSubject::Account { account, state: 1 },
        ] {
            let (kind, data) = subject.encoded();
            assert_eq!(BallotSubject::read(kind.into(), &data), Some(subject));
        }
        assert_eq!(BallotSubject::read(9, &[0; 64]), None);
    }

    #[test]
    fn missing_votes_are_counted_to_more_than_half() {
        let ballot = |organisations, yes| BallotRecord {
            number: 1,
            subject: None,
            opened: 1,
            is_open: true,
            is_executed: false,
            organisations,
            yes,
            no: 0,
            passes: 2 * yes > organisations,
        };
        for (organisations, yes, missing) in [(4, 0, 3), (4, 2, 1), (4, 3, 0), (1, 0, 1), (5, 3, 0)]
        {
            let ballot = ballot(organisations, yes);
            assert_eq!(ballot.missing(), missing);
            assert_eq!(ballot.passes, missing == 0);
        }
    }

    proptest! {
        #[test]
        fn no_data_panics(kind in any::<u8>(), data in any::<Vec<u8>>()) {
            let _ = BallotSubject::read(kind, &data);
        }
    }
}
