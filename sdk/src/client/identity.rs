//! Organisations and people: who there is, who vouches for whom, what each may do.
//!
//! Nothing personal goes on chain: an id is random, a person is known by a hash that only its
//! certifier can make again ([`MarketClient::nullifier`]).

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::Eip712Domain;
use hmac::{Hmac, Mac};
use medina_contracts::eip712;
use medina_contracts::federation_registry::FederationRegistry;
use medina_contracts::identity::{IIdentity, Identity};
use medina_contracts::sensor_registry::SensorRegistry;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::logs::Indexed;
use super::{BusinessRole, ClientError, IdentityStatus, MarketClient, Receipt};
use crate::device::{domain, time48};

/// What a certifier signs to get its own secret: the same words give the same secret.
const NULLIFIER_MESSAGE: &[u8] =
    b"Medina: secret by which I recognise people I have enrolled. Sign this for nobody else.";

/// An organisation as the contract knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OrgRecord {
    /// Its id.
    pub org: B256,
    /// Who acts for it.
    pub admin: Address,
    /// Since when it is there, Unix seconds.
    pub since: u64,
    /// Whether it may act.
    pub status: IdentityStatus,
    /// Hash of a salted document about it.
    pub meta: B256,
}

/// A user as the contract knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserRecord {
    /// Its id.
    pub user: B256,
    /// Its organisation.
    pub org: B256,
    /// Its account.
    pub account: Address,
    /// Until when, Unix seconds; of an erased one the time of the erasure.
    pub expires: u64,
    /// What it may do.
    pub role: BusinessRole,
    /// Whether it may act.
    pub status: IdentityStatus,
    /// Who suspended it: 1 the organisation's admin, 2 the certifier, 3 Moderator, 4 Administrator.
    pub level: u8,
    /// Who vouches for it.
    pub certifier: Address,
}

/// What a certifier vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnrolmentTerms {
    /// The new id: random.
    pub user: B256,
    /// Hash by which the certifier knows the person.
    pub nullifier: B256,
    /// The organisation; the id itself for an individual.
    pub org: B256,
    /// The person's account.
    pub account: Address,
    /// What it may do, at most Manager.
    pub role: BusinessRole,
    /// Until when, Unix seconds.
    pub expires: u64,
    /// Hash of the terms the person agreed to.
    pub terms: B256,
    /// Until when the signature is good, Unix seconds.
    pub deadline: u64,
}

/// An enrolment with its certifier's signature, as it travels to whoever brings it on chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedEnrolment {
    /// What is vouched for.
    pub enrolment: EnrolmentTerms,
    /// Who vouches.
    pub certifier: Address,
    /// The certifier's signature.
    pub signature: Bytes,
}

impl MarketClient {
    fn identity(&self) -> Address {
        self.contracts.identity
    }

    fn identity_domain(&self) -> Eip712Domain {
        domain("Identity", self.chain_id, self.identity())
    }

    /// The hash by which the sender, a certifier, knows a person it has checked: of an HMAC under
    /// a secret that only its key can make. The same person gives the same hash, so nobody is
    /// enrolled twice; nobody else can go back from the hash to the person.
    pub fn nullifier(&self, person: &str) -> Result<B256, ClientError> {
        let secret = self.account()?.sign_message(NULLIFIER_MESSAGE)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret.as_bytes())
            .expect("HMAC takes keys of any length");
        mac.update(person.trim().as_bytes());
        Ok(keccak256(mac.finalize().into_bytes()))
    }

    /// The sender, a certifier, vouches for a new id.
    pub fn sign_enrolment(&self, terms: EnrolmentTerms) -> Result<SignedEnrolment, ClientError> {
        let payload = eip712::Enrolment {
            userId: terms.user,
            nullifier: terms.nullifier,
            org: terms.org,
            account: terms.account,
            role: terms.role.into(),
            expires: time48(terms.expires)?,
            terms: terms.terms,
            deadline: time48(terms.deadline)?,
        };
        let account = self.account()?;
        let signature = account.sign_typed(&payload, &self.identity_domain())?;
        Ok(SignedEnrolment {
            enrolment: terms,
            certifier: account.address(),
            signature: signature.as_bytes().to_vec().into(),
        })
    }

    /// Brings a certifier's enrolment on chain; anyone may.
    pub async fn enrol(&self, signed: &SignedEnrolment) -> Result<Receipt, ClientError> {
        let terms = &signed.enrolment;
        let call = Identity::enrolCall {
            e: IIdentity::Enrolment {
                userId: terms.user,
                nullifier: terms.nullifier,
                org: terms.org,
                account: terms.account,
                role: terms.role.into(),
                expires: time48(terms.expires)?,
                terms: terms.terms,
                deadline: time48(terms.deadline)?,
            },
            certifier: signed.certifier,
            sig: signed.signature.clone(),
        };
        self.send(self.identity(), call).await
    }

    /// An Administrator registers an organisation.
    pub async fn register_org(
        &self,
        org: B256,
        admin: Address,
        meta: B256,
    ) -> Result<Receipt, ClientError> {
        let call = Identity::registerOrgCall { org, admin, meta };
        self.send(self.identity(), call).await
    }

    /// An Administrator changes an organisation; Revoked is final.
    pub async fn set_org(
        &self,
        org: B256,
        admin: Address,
        status: IdentityStatus,
        meta: B256,
    ) -> Result<Receipt, ClientError> {
        let call = Identity::setOrgCall {
            org,
            admin,
            s: status.into(),
            meta,
        };
        self.send(self.identity(), call).await
    }

    /// The organisation's admin admits a waiting user.
    pub async fn approve_user(&self, user: B256) -> Result<Receipt, ClientError> {
        let call = Identity::approveCall { userId: user };
        self.send(self.identity(), call).await
    }

    /// Sets what a user may do.
    pub async fn set_role(&self, user: B256, role: BusinessRole) -> Result<Receipt, ClientError> {
        let call = Identity::setRoleCall {
            userId: user,
            role: role.into(),
        };
        self.send(self.identity(), call).await
    }

    /// Suspends, restores or revokes a user; `reason` is a hash.
    pub async fn set_user_status(
        &self,
        user: B256,
        status: IdentityStatus,
        reason: B256,
    ) -> Result<Receipt, ClientError> {
        let call = Identity::setStatusCall {
            userId: user,
            s: status.into(),
            reason,
        };
        self.send(self.identity(), call).await
    }

    /// The sender agrees to become the account of an id, until `deadline`, Unix seconds.
    pub fn sign_rotation(&self, user: B256, deadline: u64) -> Result<Bytes, ClientError> {
        let account = self.account()?;
        let payload = eip712::Rotation {
            userId: user,
            next: account.address(),
            deadline: time48(deadline)?,
        };
        let signature = account.sign_typed(&payload, &self.identity_domain())?;
        Ok(signature.as_bytes().to_vec().into())
    }

    /// The holder, or its certifier where the key is lost, moves an id to `next`, whose
    /// [`Self::sign_rotation`] this takes.
    pub async fn rotate_user(
        &self,
        user: B256,
        next: Address,
        deadline: u64,
        signature: Bytes,
    ) -> Result<Receipt, ClientError> {
        let call = Identity::rotateCall {
            userId: user,
            next,
            deadline: time48(deadline)?,
            nextSig: signature,
        };
        self.send(self.identity(), call).await
    }

    /// The sender, a certifier, prolongs an id.
    pub fn sign_renewal(&self, user: B256, expires: u64) -> Result<Bytes, ClientError> {
        let payload = eip712::Renewal {
            userId: user,
            expires: time48(expires)?,
        };
        let signature = self
            .account()?
            .sign_typed(&payload, &self.identity_domain())?;
        Ok(signature.as_bytes().to_vec().into())
    }

    /// Brings a certifier's renewal on chain; anyone may.
    pub async fn renew_user(
        &self,
        user: B256,
        expires: u64,
        certifier: Address,
        signature: Bytes,
    ) -> Result<Receipt, ClientError> {
        let call = Identity::renewCall {
            userId: user,
            expires: time48(expires)?,
            certifier,
            sig: signature,
        };
        self.send(self.identity(), call).await
    }

    /// The holder or its certifier erases an id.
    pub async fn erase_user(&self, user: B256) -> Result<Receipt, ClientError> {
        let call = Identity::eraseCall { userId: user };
        self.send(self.identity(), call).await
    }

    /// The certifier frees a nullifier, 360 days after the erasure.
    pub async fn forget_nullifier(&self, nullifier: B256) -> Result<Receipt, ClientError> {
        self.send(self.identity(), Identity::forgetCall { nullifier })
            .await
    }

    /// The id of an account; zero if it has none.
    pub async fn id_of(&self, account: Address) -> Result<B256, ClientError> {
        self.call(self.identity(), Identity::idOfCall { a: account })
            .await
    }

    /// What the contract knows of an organisation.
    pub async fn org(&self, org: B256) -> Result<OrgRecord, ClientError> {
        let found = self
            .call(self.identity(), Identity::getOrgCall { org })
            .await?;
        let status = status_of(found.status)?;
        if status == IdentityStatus::None {
            return Err(ClientError::Unknown {
                what: "organisation",
                id: org.to_string(),
            });
        }
        Ok(OrgRecord {
            org,
            admin: found.admin,
            since: found.since.to(),
            status,
            meta: found.meta,
        })
    }

    /// What the contract knows of a user.
    pub async fn user(&self, user: B256) -> Result<UserRecord, ClientError> {
        let found = self
            .call(self.identity(), Identity::getUserCall { userId: user })
            .await?;
        let status = status_of(found.status)?;
        if status == IdentityStatus::None {
            return Err(ClientError::Unknown {
                what: "user",
                id: user.to_string(),
            });
        }
        Ok(UserRecord {
            user,
            org: found.org,
            account: found.account,
            expires: found.expires.to(),
            role: BusinessRole::try_from(found.role)
                .map_err(|_| ClientError::BadAnswer("getUser"))?,
            status,
            level: found.level,
            certifier: found.certifier,
        })
    }

    /// Every organisation that has left a trace, oldest first: registered since genesis, running a
    /// validator, owning a resource, in a federation. Genesis itself leaves no events.
    pub async fn org_ids(&self) -> Result<Vec<B256>, ClientError> {
        let all = Indexed::default();
        let mut found: Vec<B256> = Vec::new();
        for node in self.validator_nodes().await? {
            found.push(node.org);
        }
        let set: Vec<Identity::OrgSet> = self.events(self.identity(), all).await?;
        found.extend(set.into_iter().map(|event| event.org));
        let registry = self.contracts.sensor_registry;
        let owned: Vec<SensorRegistry::Registered> = self.events(registry, all).await?;
        found.extend(owned.into_iter().map(|event| event.org));
        let federations = self.contracts.federation_registry;
        let joined: Vec<FederationRegistry::Joined> = self.events(federations, all).await?;
        found.extend(joined.into_iter().map(|event| event.org));
        let mut unique = BTreeSet::new();
        found.retain(|org| unique.insert(*org));
        Ok(found)
    }

    /// Every user that has left a trace, of one organisation or all, oldest first: enrolled since
    /// genesis, or admin of an organisation.
    pub async fn user_ids(&self, org: Option<B256>) -> Result<Vec<B256>, ClientError> {
        let orgs = match org {
            Some(org) => vec![org],
            None => self.org_ids().await?,
        };
        let mut found = Vec::new();
        for id in orgs {
            // An individual is its own organisation and has no admin of record.
            let Ok(known) = self.org(id).await else {
                continue;
            };
            let user = self.id_of(known.admin).await?;
            if !user.is_zero() && self.org_of(known.admin).await? == id {
                found.push(user);
            }
        }
        let indexed = Indexed {
            second: org,
            ..Indexed::default()
        };
        let enrolled: Vec<Identity::Enrolled> = self.events(self.identity(), indexed).await?;
        found.extend(enrolled.into_iter().map(|event| event.userId));
        let mut unique = BTreeSet::new();
        found.retain(|user| unique.insert(*user));
        Ok(found)
    }
}

fn status_of(number: u8) -> Result<IdentityStatus, ClientError> {
    IdentityStatus::try_from(number).map_err(|_| ClientError::BadAnswer("Identity"))
}
