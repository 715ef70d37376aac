//! Parties, keys and groups as the contract `PrivateGroups` has them.
//!
//! Who acts for an organisation (its admin or a Manager) creates groups and votes for it; only its
//! admin registers its party. Everything here is public.

use alloy_primitives::aliases::U48;
use alloy_primitives::{Address, B256, Bytes, U256};
use medina_contracts::private_groups::PrivateGroups;
use medina_contracts::values::PrivateMode;
use serde::Serialize;

use crate::client::{ClientError, MarketClient, Receipt};
use crate::limits::PRIVATE_GROUPS_LISTED_MAX;

/// The contract `PrivateGroups` through a client.
#[derive(Clone, Copy, Debug)]
pub struct Groups<'a> {
    client: &'a MarketClient,
    at: Address,
}

/// What a group is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupTerms {
    /// Its id: any 32 bytes nobody has.
    pub id: B256,
    /// A name that everybody reads, or zero.
    pub name: B256,
    /// Its members, 1 to 64.
    pub orgs: Vec<B256>,
    /// What its transactions must satisfy.
    pub mode: PrivateMode,
    /// Members that must acknowledge every transaction.
    pub mandatory: Vec<B256>,
    /// Acknowledgements needed besides theirs; 0 is all.
    pub quorum: u16,
    /// Members sign the state's root at heights divisible by this; 0 is 64.
    pub attest_every: u32,
}

/// A group as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupRecord {
    /// Its id.
    pub id: B256,
    /// Its name, if it has one that everybody reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was made, Unix seconds.
    pub since: u64,
    /// What its transactions must satisfy; a number that this version does not know as it is.
    #[serde(serialize_with = "mode_word")]
    pub mode: Result<PrivateMode, u8>,
    /// Acknowledgements needed besides the mandatory ones; 0 is all.
    pub quorum: u16,
    /// Members sign the state's root at heights divisible by this.
    pub attest_every: u32,
    /// Its members.
    pub members: Vec<B256>,
    /// Those that must acknowledge.
    pub mandatory: Vec<B256>,
}

/// An organisation's presence on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartyRecord {
    /// The organisation.
    pub org: B256,
    /// Ed25519 key that signs for it.
    pub identity_key: B256,
    /// Ed25519 key of the node that serves it.
    pub node_key: B256,
    /// Since when it is so, Unix seconds.
    pub since: u64,
    /// Number of the newest key it published.
    pub epoch: u32,
}

/// The key to which others encrypt now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartyKey {
    /// Its number.
    pub epoch: u32,
    /// X25519.
    pub key: B256,
    /// Since when, Unix seconds.
    pub valid_from: u64,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberRecord {
    /// The organisation.
    pub org: B256,
    /// Block in which it joined.
    pub since_block: u64,
    /// Whether it must acknowledge every transaction.
    pub is_mandatory: bool,
    /// Its keys and node.
    pub party: PartyRecord,
    /// The key to which others encrypt now; none before it has published one.
    pub key: Option<PartyKey>,
    /// The newest root that it wrote on the chain.
    pub anchored: Option<AnchoredState>,
}

/// A root of private state that a member wrote on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnchoredState {
    /// Public block.
    pub height: u64,
    /// Root of the group's state after it.
    pub root: B256,
}

/// How far the erasure of a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErasureRecord {
    /// Block in which more than half of the members had reported it; none before.
    pub height: Option<u64>,
    /// Members of now that reported it.
    pub reports: u8,
}

/// What an organisation recorded of its enclave's audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// Entries of the log.
    pub entries: u64,
    /// Hash of the last one.
    pub head: B256,
    /// Block in which it was recorded.
    pub height: u64,
}

/// What is voted about an organisation: its admission, or its removal if it is a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProposalRecord {
    /// When it was proposed, Unix seconds.
    pub opened: u64,
    /// Takes votes.
    pub is_open: bool,
    /// Members of now that voted for it.
    pub yes: u8,
    /// Members there are.
    pub members: u8,
}

impl<'a> Groups<'a> {
    /// The contract of the chain.
    ///
    /// # Errors
    /// [`ClientError::NoContract`] on a chain that was made without.
    pub fn of(client: &'a MarketClient) -> Result<Self, ClientError> {
        let at = client.contract("PrivateGroups")?;
        Ok(Self { client, at })
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.at
    }

    /// The admin of an organisation registers its party, or replaces it; `proof` is the identity
    /// key's signature (`medina_contracts::private_messages::party`).
    ///
    /// # Errors
    /// [`ClientError`]; as all below.
    pub async fn register_party(
        &self,
        org: B256,
        identity_key: B256,
        node_key: B256,
        proof: Bytes,
    ) -> Result<Receipt, ClientError> {
        let call = PrivateGroups::registerPartyCall {
            org,
            identityKey: identity_key,
            nodeKey: node_key,
            proof,
        };
        self.client.send(self.at, call).await
    }

    /// Publishes an epoch key with the identity key's signature; anybody may bring it.
    pub async fn publish_key(
        &self,
        org: B256,
        key: PartyKey,
        signature: Bytes,
    ) -> Result<Receipt, ClientError> {
        let too_late = |_| ClientError::BadInput("this moment is too far away".to_owned());
        let call = PrivateGroups::publishKeyCall {
            org,
            epoch: key.epoch,
            key: key.key,
            validFrom: U48::try_from(key.valid_from).map_err(too_late)?,
            signature,
        };
        self.client.send(self.at, call).await
    }

    /// Makes a group; the sender's organisation is one of its members.
    pub async fn create(&self, terms: &GroupTerms) -> Result<Receipt, ClientError> {
        let call = PrivateGroups::createGroupCall {
            id: terms.id,
            name: terms.name,
            orgs: terms.orgs.clone(),
            mode: terms.mode.into(),
            mandatory: terms.mandatory.clone(),
            quorum: terms.quorum,
            attestEvery: terms.attest_every,
        };
        self.client.send(self.at, call).await
    }

    /// A member proposes a party and votes for it, or a party asks to be admitted.
    pub async fn propose_member(&self, id: B256, org: B256) -> Result<Receipt, ClientError> {
        let call = PrivateGroups::proposeMemberCall { id, org };
        self.client.send(self.at, call).await
    }

    /// A member proposes to remove a member, and votes for it.
    pub async fn propose_removal(&self, id: B256, org: B256) -> Result<Receipt, ClientError> {
        let call = PrivateGroups::proposeRemovalCall { id, org };
        self.client.send(self.at, call).await
    }

    /// A member votes for what is proposed about an organisation.
    pub async fn vote(&self, id: B256, org: B256) -> Result<Receipt, ClientError> {
        let call = PrivateGroups::voteCall { id, org };
        self.client.send(self.at, call).await
    }

    /// The sender's organisation leaves.
    pub async fn leave(&self, id: B256) -> Result<Receipt, ClientError> {
        let call = PrivateGroups::leaveGroupCall { id };
        self.client.send(self.at, call).await
    }

    /// A member votes for a marker to have no effect, because nobody serves its payload.
    pub async fn skip(&self, id: B256, digest: B256) -> Result<Receipt, ClientError> {
        let call = PrivateGroups::skipCall { id, digest };
        self.client.send(self.at, call).await
    }

    /// A member writes the root of the private state on the chain.
    pub async fn anchor(&self, id: B256, height: u64, root: B256) -> Result<Receipt, ClientError> {
        let call = PrivateGroups::anchorCall { id, height, root };
        self.client.send(self.at, call).await
    }

    /// As [`Self::anchor`] for a member, with the attestation that its identity key signed.
    pub async fn anchor_for(
        &self,
        id: B256,
        org: B256,
        state: AnchoredState,
        signature: Bytes,
    ) -> Result<Receipt, ClientError> {
        let call = PrivateGroups::anchorForCall {
            id,
            org,
            height: state.height,
            root: state.root,
            signature,
        };
        self.client.send(self.at, call).await
    }

    /// A member reports, once, that a payload is erased. The report with which more than half of the
    /// members have said so takes effect.
    pub async fn report_erased(
        &self,
        id: B256,
        digest: B256,
        receipts_hash: B256,
    ) -> Result<Receipt, ClientError> {
        let call = PrivateGroups::reportErasedCall {
            id,
            digest,
            receiptsHash: receipts_hash,
        };
        self.client.send(self.at, call).await
    }

    /// Who acts for an organisation writes on the chain how far its enclave's audit log is; entries
    /// only grow.
    pub async fn record_audit(
        &self,
        org: B256,
        entries: u64,
        head: B256,
    ) -> Result<Receipt, ClientError> {
        let call = PrivateGroups::recordAuditCall { org, entries, head };
        self.client.send(self.at, call).await
    }

    /// A group by its id.
    pub async fn get(&self, id: B256) -> Result<GroupRecord, ClientError> {
        let call = PrivateGroups::groupCall { id };
        let found = self.client.call(self.at, call).await?;
        if found.since.is_zero() {
            return Err(ClientError::Unknown {
                what: "private group",
                id: id.to_string(),
            });
        }
        Ok(GroupRecord {
            id,
            name: name_text(found.name),
            since: found.since.to(),
            mode: PrivateMode::try_from(found.mode).map_err(|unknown| unknown.value),
            quorum: found.quorum,
            attest_every: found.attestEvery,
            members: found.members,
            mandatory: found.mandatory,
        })
    }

    /// Ids of the newest groups, newest first; at most [`PRIVATE_GROUPS_LISTED_MAX`].
    pub async fn ids(&self) -> Result<Vec<B256>, ClientError> {
        let count = self
            .client
            .call(self.at, PrivateGroups::groupCountCall {})
            .await?;
        let mut ids = Vec::new();
        for index in newest(count) {
            let call = PrivateGroups::groupAtCall { index };
            ids.push(self.client.call(self.at, call).await?);
        }
        Ok(ids)
    }

    /// The groups that an organisation is a member of, newest first.
    pub async fn of_org(&self, org: B256) -> Result<Vec<GroupRecord>, ClientError> {
        let mut found = Vec::new();
        for id in self.ids().await? {
            if self.is_member(id, org).await? {
                found.push(self.get(id).await?);
            }
        }
        Ok(found)
    }

    /// Whether an organisation is a member now.
    pub async fn is_member(&self, id: B256, org: B256) -> Result<bool, ClientError> {
        let call = PrivateGroups::isMemberCall { id, org };
        self.client.call(self.at, call).await
    }

    /// The members of a group with their keys.
    pub async fn members(&self, id: B256) -> Result<Vec<MemberRecord>, ClientError> {
        let group = self.get(id).await?;
        let mut found = Vec::with_capacity(group.members.len());
        for org in group.members {
            let since = PrivateGroups::memberSinceCall { id, org };
            found.push(MemberRecord {
                org,
                since_block: self.client.call(self.at, since).await?,
                is_mandatory: group.mandatory.contains(&org),
                party: self.party(org).await?,
                key: self.key(org).await?,
                anchored: self.anchored(id, org).await?,
            });
        }
        Ok(found)
    }

    /// An organisation's party.
    pub async fn party(&self, org: B256) -> Result<PartyRecord, ClientError> {
        let call = PrivateGroups::partyCall { org };
        let found = self.client.call(self.at, call).await?;
        if found.since.is_zero() {
            return Err(ClientError::Unknown {
                what: "party of organisation",
                id: org.to_string(),
            });
        }
        Ok(PartyRecord {
            org,
            identity_key: found.identityKey,
            node_key: found.nodeKey,
            since: found.since.to(),
            epoch: found.epoch,
        })
    }

    /// The newest parties, newest first; at most [`PRIVATE_GROUPS_LISTED_MAX`].
    pub async fn parties(&self) -> Result<Vec<PartyRecord>, ClientError> {
        let count = self
            .client
            .call(self.at, PrivateGroups::partyCountCall {})
            .await?;
        let mut found = Vec::new();
        for index in newest(count) {
            let call = PrivateGroups::partyAtCall { index };
            let org = self.client.call(self.at, call).await?;
            found.push(self.party(org).await?);
        }
        Ok(found)
    }

    /// The key to which others encrypt to an organisation now.
    pub async fn key(&self, org: B256) -> Result<Option<PartyKey>, ClientError> {
        let call = PrivateGroups::currentKeyCall { org };
        let found = self.client.call(self.at, call).await?;
        Ok((!found.key.is_zero()).then(|| PartyKey {
            epoch: found.epoch,
            key: found.key,
            valid_from: found.validFrom.to(),
        }))
    }

    /// What is voted about an organisation; `None` if nothing ever was.
    pub async fn proposal(
        &self,
        id: B256,
        org: B256,
    ) -> Result<Option<ProposalRecord>, ClientError> {
        let call = PrivateGroups::proposalOfCall { id, org };
        let found = self.client.call(self.at, call).await?;
        Ok((!found.opened.is_zero()).then(|| ProposalRecord {
            opened: found.opened.to(),
            is_open: found.open,
            yes: found.yes,
            members: found.members,
        }))
    }

    /// The block in which a marker was skipped, if it was, and how many members want it now.
    pub async fn skipped(&self, id: B256, digest: B256) -> Result<(Option<u64>, u8), ClientError> {
        let call = PrivateGroups::skipOfCall { id, digest };
        let found = self.client.call(self.at, call).await?;
        Ok(((found.height != 0).then_some(found.height), found.yes))
    }

    /// The block in which a payload's erasure took effect.
    pub async fn erased(&self, id: B256, digest: B256) -> Result<Option<u64>, ClientError> {
        let call = PrivateGroups::erasedAtCall { id, digest };
        let height = self.client.call(self.at, call).await?;
        Ok((height != 0).then_some(height))
    }

    /// How far the erasure of a payload is.
    pub async fn erasure(&self, id: B256, digest: B256) -> Result<ErasureRecord, ClientError> {
        let call = PrivateGroups::erasureOfCall { id, digest };
        let found = self.client.call(self.at, call).await?;
        Ok(ErasureRecord {
            height: (found.height != 0).then_some(found.height),
            reports: found.reports,
        })
    }

    /// How many members left a group so far: its secrets are of this version.
    pub async fn secret_version(&self, id: B256) -> Result<u32, ClientError> {
        let call = PrivateGroups::secretVersionCall { id };
        self.client.call(self.at, call).await
    }

    /// What an organisation last recorded of its audit log.
    pub async fn audit(&self, org: B256) -> Result<Option<AuditRecord>, ClientError> {
        let call = PrivateGroups::auditOfCall { org };
        let found = self.client.call(self.at, call).await?;
        Ok((found.height != 0).then_some(AuditRecord {
            entries: found.entries,
            head: found.head,
            height: found.height,
        }))
    }

    /// Everything that an organisation recorded of its audit log, oldest first.
    pub async fn audits(&self, org: B256) -> Result<Vec<AuditRecord>, ClientError> {
        type Event = PrivateGroups::AuditRecorded;
        let found = self.client.events_of::<Event>(self.at, org).await?;
        let record = |(height, event): (u64, Event)| AuditRecord {
            entries: event.entries,
            head: event.head,
            height,
        };
        Ok(found.into_iter().map(record).collect())
    }

    /// The newest root that a member wrote on the chain.
    pub async fn anchored(
        &self,
        id: B256,
        org: B256,
    ) -> Result<Option<AnchoredState>, ClientError> {
        let call = PrivateGroups::anchorOfCall { id, org };
        let found = self.client.call(self.at, call).await?;
        Ok((found.height != 0).then_some(AnchoredState {
            height: found.height,
            root: found.root,
        }))
    }
}

fn mode_word<S: serde::Serializer>(
    mode: &Result<PrivateMode, u8>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match mode {
        Ok(mode) => mode.serialize(serializer),
        Err(number) => serializer.serialize_u8(*number),
    }
}

/// Places from the last one back, as many as are listed.
fn newest(count: U256) -> impl Iterator<Item = U256> {
    let count: u64 = count.try_into().unwrap_or(u64::MAX);
    let first = count.saturating_sub(PRIVATE_GROUPS_LISTED_MAX);
    (first..count).rev().map(|index| U256::from(index + 1))
}

/// 32 bytes as text: UTF-8 that ends at the first zero; nothing else is shown.
fn name_text(name: B256) -> Option<String> {
    let bytes: Vec<u8> = name.iter().copied().take_while(|byte| *byte != 0).collect();
    let text = String::from_utf8(bytes).ok()?;
    let is_plain = !text.is_empty() && !text.chars().any(char::is_control);
    is_plain.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text_or_nothing() {
        let named = |text: &str| name_text(B256::right_padding_from(text.as_bytes()));
        assert_eq!(named("prices"), Some("prices".to_owned()));
        assert_eq!(named(""), None);
        assert_eq!(named("\u{1b}[31m"), None);
        assert_eq!(name_text(B256::repeat_byte(0xff)), None);
    }

    #[test]
    fn newest_come_first_and_are_bounded() {
        let found: Vec<_> = newest(U256::from(3)).collect();
        assert_eq!(found, [3, 2, 1].map(U256::from));
        assert_eq!(newest(U256::ZERO).count(), 0);
        let max = usize::try_from(PRIVATE_GROUPS_LISTED_MAX).expect("small");
        assert_eq!(newest(U256::MAX).count(), max);
    }
}
