//! Ratings, trust in resources, reputation of organisations.

use alloy_primitives::{Address, B256, U256};
use medina_contracts::trust_and_reputation::TrustAndReputation;

use super::{ClientError, MarketClient, Receipt};
use crate::trust_math::FULL;

/// A score and how much stands behind it, in basis points (10000 = 100.00).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Score {
    /// The score.
    pub value: u16,
    /// How much evidence there is.
    pub confidence: u16,
    /// Whether there is any.
    pub known: bool,
}

impl Score {
    /// The score, if there is evidence for it.
    pub fn known(&self) -> Option<u16> {
        self.known.then_some(self.value)
    }
}

/// Everything the chain says about trust in a resource and its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct TrustReport {
    /// Of the resource.
    pub resource: Score,
    /// Of the owner.
    pub organisation: Score,
}

impl MarketClient {
    /// The buyer rates a closed order once: 0 to 10000 basis points, with the hash of a comment.
    pub async fn rate(
        &self,
        order: U256,
        score: u16,
        comment: B256,
    ) -> Result<Receipt, ClientError> {
        if u64::from(score) > FULL {
            return Err(ClientError::BadInput(format!(
                "a score is 0 to {FULL}, not {score}"
            )));
        }
        self.send(
            self.trust(),
            TrustAndReputation::rateCall {
                order,
                score,
                comment,
            },
        )
        .await
    }

    /// Counts anchored coverage since the last time; anyone may ask for it.
    pub async fn refresh_trust(&self, resource: B256) -> Result<Receipt, ClientError> {
        self.send(self.trust(), TrustAndReputation::refreshCall { resource })
            .await
    }

    /// The seller's organisation answers a rating; `reply` is a hash.
    pub async fn respond_rating(&self, order: U256, reply: B256) -> Result<Receipt, ClientError> {
        self.send(
            self.trust(),
            TrustAndReputation::respondCall { order, reply },
        )
        .await
    }

    /// A Moderator asks readers to hide a comment; the score stays.
    pub async fn hide_rating(&self, order: U256, reason: B256) -> Result<Receipt, ClientError> {
        self.send(self.trust(), TrustAndReputation::hideCall { order, reason })
            .await
    }

    /// A monitor reports seconds up and down of a resource that does not anchor.
    pub async fn report_uptime(
        &self,
        resource: B256,
        up: u32,
        down: u32,
    ) -> Result<Receipt, ClientError> {
        let call = TrustAndReputation::reportCall { resource, up, down };
        self.send(self.trust(), call).await
    }

    /// Computes the sender's organisation's own trust in resources.
    pub async fn refresh_adaptive(&self, resources: &[B256]) -> Result<Receipt, ClientError> {
        let call = TrustAndReputation::refreshAdaptiveCall {
            resources: resources.to_vec(),
        };
        self.send(self.trust(), call).await
    }

    /// An organisation's own trust in a resource, basis points, if it is known.
    pub async fn adaptive_trust(
        &self,
        observer: B256,
        resource: B256,
    ) -> Result<Option<u16>, ClientError> {
        let call = TrustAndReputation::adaptiveTrustCall {
            observerOrg: observer,
            id: resource,
        };
        let found = self.call(self.trust(), call).await?;
        Ok(found.known.then_some(found.value))
    }

    /// Trust in a resource.
    pub async fn resource_trust(&self, id: B256) -> Result<Score, ClientError> {
        let call = TrustAndReputation::resourceTrustCall { id };
        let score = self.call(self.trust(), call).await?;
        Ok(Score {
            value: score.value,
            confidence: score.confidence,
            known: score.known,
        })
    }

    /// Reputation of an organisation.
    pub async fn platform_reputation(&self, org: B256) -> Result<Score, ClientError> {
        let call = TrustAndReputation::platformReputationCall { org };
        let score = self.call(self.trust(), call).await?;
        Ok(Score {
            value: score.value,
            confidence: score.confidence,
            known: score.known,
        })
    }

    /// Both of a resource.
    pub async fn trust_report(&self, resource: B256) -> Result<TrustReport, ClientError> {
        let org = self.sensor(resource).await?.org;
        Ok(TrustReport {
            resource: self.resource_trust(resource).await?,
            organisation: self.platform_reputation(org).await?,
        })
    }

    fn trust(&self) -> Address {
        self.contracts.trust_and_reputation
    }
}
