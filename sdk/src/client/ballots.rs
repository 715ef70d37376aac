//! Ballots of federations: what members decide together.
//!
//! Who was a member when a ballot began votes, once per organisation, for 30 days; then anyone
//! executes what has passed.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolValue;
use serde::Serialize;

use super::abi::{Constraint as AbiConstraint, Federations};
use super::federations::Constraint;
use super::logs::Indexed;
use super::sla::PolicyTerms;
use super::{ClientError, MarketClient, Receipt};

/// What a ballot of a federation would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum FederationChange {
    /// Gives it another name.
    Rename {
        /// Hash of the name.
        name: B256,
    },
    /// Sets the information model.
    InfoModel {
        /// Hash of the model.
        model: B256,
    },
    /// Sets what members promise; policies end, everybody accepts anew.
    Constraints {
        /// The new promises.
        constraints: Vec<Constraint>,
    },
    /// Ends a membership.
    Expel {
        /// Whose.
        org: B256,
    },
    /// Sets how many members must agree.
    Quorum {
        /// Basis points of the members; 0 is more than half, and any member invites.
        quorum: u16,
    },
    /// Ends the federation.
    Remove,
    /// Invites an organisation.
    Invite {
        /// Which.
        org: B256,
    },
    /// Sets what a broken constraint costs.
    Policy {
        /// The terms.
        #[serde(flatten)]
        terms: PolicyTerms,
    },
}

impl FederationChange {
    /// Kind and data as the contract takes them.
    fn encoded(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Rename { name } => (0, name.abi_encode()),
            Self::InfoModel { model } => (1, model.abi_encode()),
            Self::Constraints { constraints } => {
                let list: Vec<AbiConstraint> = constraints.iter().map(Into::into).collect();
                (2, list.abi_encode())
            }
            Self::Expel { org } => (3, org.abi_encode()),
            Self::Quorum { quorum } => (4, U256::from(*quorum).abi_encode()),
            Self::Remove => (5, Vec::new()),
            Self::Invite { org } => (6, org.abi_encode()),
            Self::Policy { terms } => (7, policy_words(terms).abi_encode()),
        }
    }

    /// Reads a ballot's kind and data; `None` for what this version does not know.
    fn read(kind: u8, data: &[u8]) -> Option<Self> {
        let word = || B256::abi_decode(data).ok();
        Some(match kind {
            0 => Self::Rename { name: word()? },
            1 => Self::InfoModel { model: word()? },
            2 => {
                let list = Vec::<AbiConstraint>::abi_decode(data).ok()?;
                let constraints = list.iter().map(Into::into).collect();
                Self::Constraints { constraints }
            }
            3 => Self::Expel { org: word()? },
            4 => Self::Quorum {
                quorum: u16::try_from(U256::abi_decode(data).ok()?).ok()?,
            },
            5 => Self::Remove,
            6 => Self::Invite { org: word()? },
            7 => Self::Policy {
                terms: policy_from(data)?,
            },
            _ => return None,
        })
    }
}

type PolicyWords = (U256, U256, U256, U256, U256, U256);

fn policy_words(terms: &PolicyTerms) -> PolicyWords {
    (
        U256::from(terms.constraint),
        U256::from(terms.count),
        U256::from(terms.interval),
        U256::from(terms.penalty_count),
        U256::from(terms.penalty_interval),
        U256::from(terms.amount),
    )
}

fn policy_from(data: &[u8]) -> Option<PolicyTerms> {
    let words = PolicyWords::abi_decode(data).ok()?;
    Some(PolicyTerms {
        constraint: words.0.try_into().ok()?,
        count: words.1.try_into().ok()?,
        interval: words.2.try_into().ok()?,
        penalty_count: words.3.try_into().ok()?,
        penalty_interval: words.4.try_into().ok()?,
        amount: words.5.try_into().ok()?,
    })
}

/// A ballot of a federation as events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FederationBallot {
    /// Its number.
    pub ballot: U256,
    /// The federation.
    pub fed: B256,
    /// What it would do; `None` if this version does not know its kind.
    pub change: Option<FederationChange>,
    /// Organisations that said yes.
    pub yes: Vec<B256>,
    /// Organisations that said no.
    pub no: Vec<B256>,
    /// It was executed.
    pub is_executed: bool,
}

impl MarketClient {
    fn federation_registry(&self) -> Address {
        self.contracts.federation_registry
    }

    /// A member opens a ballot; gives its number. It is not a vote.
    pub async fn propose_federation(
        &self,
        fed: B256,
        change: &FederationChange,
    ) -> Result<(U256, Receipt), ClientError> {
        let registry = self.federation_registry();
        let (kind, data) = change.encoded();
        let call = Federations::proposeCall {
            fed,
            kind,
            data: data.into(),
        };
        let receipt = self.send(registry, call).await?;
        let opened: Federations::Proposed = receipt.event(registry)?;
        Ok((opened.ballot, receipt))
    }

    /// The sender's organisation votes.
    pub async fn vote_federation(&self, ballot: U256, yes: bool) -> Result<Receipt, ClientError> {
        let call = Federations::voteCall { ballot, yes };
        self.send(self.federation_registry(), call).await
    }

    /// Does what a ballot that has passed says; anyone may.
    pub async fn execute_federation(&self, ballot: U256) -> Result<Receipt, ClientError> {
        let call = Federations::executeCall { ballot };
        self.send(self.federation_registry(), call).await
    }

    /// Every ballot of a federation, oldest first.
    pub async fn federation_ballots(
        &self,
        fed: B256,
    ) -> Result<Vec<FederationBallot>, ClientError> {
        let registry = self.federation_registry();
        let (all, of_it) = (
            Indexed::default(),
            Indexed {
                second: Some(fed),
                ..Indexed::default()
            },
        );
        let opened: Vec<Federations::Proposed> = self.events(registry, of_it).await?;
        let votes: Vec<Federations::Voted> = self.events(registry, all).await?;
        let executed: Vec<Federations::Executed> = self.events(registry, all).await?;
        let record = |event: Federations::Proposed| {
            let said = |yes: bool| {
                let votes = votes.iter();
                let fits = votes.filter(|vote| vote.ballot == event.ballot && vote.yes == yes);
                fits.map(|vote| vote.org).collect()
            };
            FederationBallot {
                ballot: event.ballot,
                fed: event.fed,
                change: FederationChange::read(event.kind, &event.data),
                yes: said(true),
                no: said(false),
                is_executed: executed.iter().any(|done| done.ballot == event.ballot),
            }
        };
        Ok(opened.into_iter().map(record).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_change_reads_back_from_its_data() {
        let hash = B256::repeat_byte(7);
        let constraint = Constraint {
            metric: 0,
            comparator: 1,
            threshold: -9_500,
            days: 7,
            types: 1,
        };
        for change in [
            FederationChange::Rename { name: hash },
            FederationChange::InfoModel { model: hash },
            FederationChange::Constraints {
                constraints: vec![constraint, constraint],
            },
            FederationChange::Expel { org: hash },
            FederationChange::Quorum { quorum: 6_600 },
            FederationChange::Remove,
            FederationChange::Invite { org: hash },
            FederationChange::Policy {
                terms: PolicyTerms {
                    constraint: 1,
                    count: 2,
                    interval: 3,
                    penalty_count: 4,
                    penalty_interval: 5,
                    amount: u128::MAX,
                },
            },
        ] {
            let (kind, data) = change.encoded();
            assert_eq!(FederationChange::read(kind, &data), Some(change));
        }
    }

    proptest! {
        #[test]
        fn no_data_panics(kind in any::<u8>(), data in any::<Vec<u8>>()) {
            let _ = FederationChange::read(kind, &data);
        }
    }
}
