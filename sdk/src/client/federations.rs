//! Federations: platforms that let each other in, by barter or otherwise.

use alloy_primitives::{Address, B256};
use medina_contracts::federation_registry::FederationRegistry;

use super::{ClientError, MarketClient, Receipt};
use crate::limits::CONTRACT_BATCH_MAX;

/// A federation as the registry knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct FederationRecord {
    /// Hash of its name.
    pub name: B256,
    /// When it was made, Unix seconds.
    pub created: u64,
    /// Whether anyone may join without an invitation.
    pub open: bool,
    /// Version of its terms, which a member accepts.
    pub version: u32,
    /// How many members.
    pub members: u16,
}

impl MarketClient {
    /// Makes a federation with the sender's organisation as first member, and invites others.
    pub async fn create_federation(
        &self,
        id: B256,
        name: B256,
        open: bool,
        invites: &[B256],
    ) -> Result<Receipt, ClientError> {
        let call = FederationRegistry::createCall {
            id,
            name,
            open,
            quorumBps: 0,
            infoModel: B256::ZERO,
            c: Vec::new(),
            invites: invites.to_vec(),
        };
        self.send(self.federations(), call).await
    }

    /// A member invites an organisation.
    pub async fn invite_to_federation(&self, fed: B256, org: B256) -> Result<Receipt, ClientError> {
        self.send(
            self.federations(),
            FederationRegistry::inviteCall { fed, org },
        )
        .await
    }

    /// The sender's organisation joins, accepting the present terms.
    pub async fn join_federation(&self, fed: B256) -> Result<Receipt, ClientError> {
        let version = self.federation(fed).await?.version;
        self.send(
            self.federations(),
            FederationRegistry::acceptCall { fed, version },
        )
        .await
    }

    /// Shares own resources with the members, for barter or freely.
    pub async fn share_resources(
        &self,
        fed: B256,
        resources: &[B256],
        bartered: bool,
    ) -> Result<Vec<Receipt>, ClientError> {
        let mut receipts = Vec::new();
        for chunk in resources.chunks(CONTRACT_BATCH_MAX) {
            let call = FederationRegistry::shareCall {
                fed,
                resources: chunk.to_vec(),
                bartered: vec![bartered; chunk.len()],
            };
            receipts.push(self.send(self.federations(), call).await?);
        }
        Ok(receipts)
    }

    /// What the registry knows of a federation.
    pub async fn federation(&self, fed: B256) -> Result<FederationRecord, ClientError> {
        let found = self
            .call(self.federations(), FederationRegistry::getCall { fed })
            .await?;
        let record = FederationRecord {
            name: found.name,
            created: found.created.to(),
            open: found.open,
            version: found.version,
            members: found.members,
        };
        if record.created == 0 {
            return Err(ClientError::Unknown {
                what: "federation",
                id: fed.to_string(),
            });
        }
        Ok(record)
    }

    /// Whether an organisation is a member.
    pub async fn is_member(&self, fed: B256, org: B256) -> Result<bool, ClientError> {
        self.call(
            self.federations(),
            FederationRegistry::isMemberCall { fed, org },
        )
        .await
    }

    fn federations(&self) -> Address {
        self.contracts.federation_registry
    }
}
