//! Federations: platforms that let each other in, by barter or otherwise.
//!
//! What members decide together is in [`super::ballots`], refused accesses in [`super::denials`].

use alloy_primitives::{Address, B256};
use medina_contracts::federation_registry::FederationRegistry;
use serde::Serialize;

use super::abi::{Constraint as AbiConstraint, Federations};
use super::logs::Indexed;
use super::{ClientError, MarketClient, Receipt};
use crate::limits::CONTRACT_BATCH_MAX;

/// A federation as the registry knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FederationRecord {
    /// Hash of its name.
    pub name: B256,
    /// When it was made, Unix seconds.
    pub created: u64,
    /// When it ended, Unix seconds; 0 while it lasts.
    pub removed: u64,
    /// Whether anyone may join without an invitation.
    pub open: bool,
    /// How many members must agree, basis points; 0 is more than half, and any member invites.
    pub quorum: u16,
    /// Version of its terms, which a member accepts.
    pub version: u32,
    /// How many members.
    pub members: u16,
}

/// What a member of a federation looks for; empty is any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WishRecord {
    /// Which organisation.
    pub org: B256,
    /// Types of resources, bit by bit; 0 is all.
    pub types: u8,
    /// Hashes of properties or capabilities.
    pub topics: Vec<B256>,
    /// Coarse grid cells.
    pub cells: Vec<u64>,
}

/// What members of a federation promise of their resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Constraint {
    /// 0 availability in basis points, 1 load, others by agreement.
    pub metric: u8,
    /// 0 `>`, 1 `>=`, 2 `=`, 3 `<`, 4 `<=`.
    pub comparator: u8,
    /// What is compared with.
    pub threshold: i64,
    /// Length of a window in days; 0 is an hour.
    pub days: u16,
    /// Types of resources it is about, bit by bit; 0 is all.
    pub types: u8,
}

impl From<&Constraint> for AbiConstraint {
    fn from(constraint: &Constraint) -> Self {
        Self {
            metric: constraint.metric,
            op: constraint.comparator,
            threshold: constraint.threshold,
            durationDays: constraint.days,
            resourceType: constraint.types,
        }
    }
}

impl From<&AbiConstraint> for Constraint {
    fn from(constraint: &AbiConstraint) -> Self {
        Self {
            metric: constraint.metric,
            comparator: constraint.op,
            threshold: constraint.threshold,
            days: constraint.durationDays,
            types: constraint.resourceType,
        }
    }
}

/// What a federation is founded with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FederationTerms {
    /// Its id: any 32 bytes nobody has.
    pub id: B256,
    /// Hash of its name.
    pub name: B256,
    /// Whether anyone may join without an invitation.
    pub open: bool,
    /// How many members must agree, basis points; 0 is more than half, and any member invites.
    pub quorum: u16,
    /// Hash of its information model.
    pub info_model: B256,
    /// What members promise.
    pub constraints: Vec<Constraint>,
    /// Organisations that are invited at once.
    pub invites: Vec<B256>,
}

/// An organisation in a federation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MembershipRecord {
    /// The organisation.
    pub org: B256,
    /// Since when, Unix seconds.
    pub joined: u64,
    /// When it left, Unix seconds; 0 while it is in.
    pub left: u64,
    /// The version of the terms it accepted.
    pub version: u32,
    /// Whether it counts as a member now.
    pub is_member: bool,
}

/// A resource that is open to a federation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ShareRecord {
    /// The resource.
    pub resource: B256,
    /// Against coupons only.
    pub bartered: bool,
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
            removed: found.removed.to(),
            open: found.open,
            quorum: found.quorumBps,
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

    /// Makes a federation with the sender's organisation as first member.
    pub async fn found_federation(&self, terms: &FederationTerms) -> Result<Receipt, ClientError> {
        let call = Federations::createCall {
            id: terms.id,
            name: terms.name,
            open: terms.open,
            quorumBps: terms.quorum,
            infoModel: terms.info_model,
            c: terms.constraints.iter().map(Into::into).collect(),
            invites: terms.invites.clone(),
        };
        self.send(self.federations(), call).await
    }

    /// The sender's organisation declines an invitation.
    pub async fn decline_federation(&self, fed: B256) -> Result<Receipt, ClientError> {
        self.send(self.federations(), Federations::declineCall { fed })
            .await
    }

    /// The sender's organisation leaves; its shares end. The last one ends the federation.
    pub async fn leave_federation(&self, fed: B256) -> Result<Receipt, ClientError> {
        self.send(self.federations(), Federations::leaveFederationCall { fed })
            .await
    }

    /// Ends the membership of an organisation that did not accept new terms or is no more.
    pub async fn lapse_membership(&self, fed: B256, org: B256) -> Result<Receipt, ClientError> {
        self.send(self.federations(), Federations::lapseCall { fed, org })
            .await
    }

    /// Takes resources back from a federation.
    pub async fn unshare_resources(
        &self,
        fed: B256,
        resources: &[B256],
    ) -> Result<Vec<Receipt>, ClientError> {
        let mut receipts = Vec::new();
        for chunk in resources.chunks(CONTRACT_BATCH_MAX) {
            let call = Federations::unshareCall {
                fed,
                resources: chunk.to_vec(),
            };
            receipts.push(self.send(self.federations(), call).await?);
        }
        Ok(receipts)
    }

    /// Tells the other members what the sender's organisation looks for: types bit by bit,
    /// properties, cells; empty is any.
    pub async fn subscribe_federation(
        &self,
        fed: B256,
        types: u8,
        topics: Vec<B256>,
        cells: Vec<u64>,
    ) -> Result<Receipt, ClientError> {
        let call = Federations::subscribeCall {
            fed,
            types,
            topics,
            cells,
        };
        self.send(self.federations(), call).await
    }

    /// What the members of a federation look for: of each organisation what it said last, oldest
    /// first.
    pub async fn federation_wishes(&self, fed: B256) -> Result<Vec<WishRecord>, ClientError> {
        let of_it = Indexed {
            first: Some(fed),
            ..Indexed::default()
        };
        let events: Vec<FederationRegistry::Subscribed> =
            self.events(self.federations(), of_it).await?;
        let mut found: Vec<WishRecord> = Vec::new();
        for event in events {
            found.retain(|wish| wish.org != event.org);
            found.push(WishRecord {
                org: event.org,
                types: event.types,
                topics: event.topics,
                cells: event.cells,
            });
        }
        Ok(found)
    }

    /// What the members of a federation promise.
    pub async fn constraints(&self, fed: B256) -> Result<Vec<Constraint>, ClientError> {
        let call = Federations::constraintsCall { fed };
        let found = self.call(self.federations(), call).await?;
        Ok(found.iter().map(Into::into).collect())
    }

    /// Membership of an organisation, the newest if there were several.
    pub async fn membership(&self, fed: B256, org: B256) -> Result<MembershipRecord, ClientError> {
        let call = FederationRegistry::membershipCall { fed, org };
        let found = self.call(self.federations(), call).await?;
        Ok(MembershipRecord {
            org,
            joined: found.joined.to(),
            left: found.left.to(),
            version: found.version,
            is_member: self.is_member(fed, org).await?,
        })
    }

    /// Every organisation that ever joined a federation, oldest first.
    pub async fn memberships(&self, fed: B256) -> Result<Vec<MembershipRecord>, ClientError> {
        let of_it = Indexed {
            first: Some(fed),
            ..Indexed::default()
        };
        let joined: Vec<FederationRegistry::Joined> =
            self.events(self.federations(), of_it).await?;
        let mut orgs: Vec<B256> = Vec::new();
        for event in joined {
            if !orgs.contains(&event.org) {
                orgs.push(event.org);
            }
        }
        let mut found = Vec::new();
        for org in orgs {
            found.push(self.membership(fed, org).await?);
        }
        Ok(found)
    }

    /// Every resource that is open to a federation now.
    pub async fn shares(&self, fed: B256) -> Result<Vec<ShareRecord>, ClientError> {
        let of_it = Indexed {
            first: Some(fed),
            ..Indexed::default()
        };
        let events: Vec<FederationRegistry::Shared> =
            self.events(self.federations(), of_it).await?;
        let mut found: Vec<ShareRecord> = Vec::new();
        for event in events {
            let resource = event.resource;
            if found.iter().any(|share| share.resource == resource) {
                continue;
            }
            let call = FederationRegistry::isSharedCall { fed, resource };
            let now = self.call(self.federations(), call).await?;
            if now.shared {
                let bartered = now.bartered;
                found.push(ShareRecord { resource, bartered });
            }
        }
        Ok(found)
    }

    /// Whether an organisation may read a resource through a federation, and whether it costs a
    /// coupon.
    pub async fn federation_access(
        &self,
        fed: B256,
        resource: B256,
        client_org: B256,
    ) -> Result<(bool, bool), ClientError> {
        let call = FederationRegistry::accessAllowedCall {
            fed,
            resource,
            clientOrg: client_org,
        };
        let found = self.call(self.federations(), call).await?;
        Ok((found.allowed, found.bartered))
    }

    /// Every federation there is or was, oldest first.
    pub async fn federation_ids(&self) -> Result<Vec<B256>, ClientError> {
        let events: Vec<FederationRegistry::Created> =
            self.events(self.federations(), Indexed::default()).await?;
        Ok(events.into_iter().map(|event| event.fed).collect())
    }

    fn federations(&self) -> Address {
        self.contracts.federation_registry
    }
}
