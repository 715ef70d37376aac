//! Consent: who lets whom read what for which purpose, who did, and what people ask about it.

use alloy_primitives::{Address, B256, Bytes, U256};
use medina_contracts::consent_and_access::{ConsentAndAccess, IConsentAndAccess};
use medina_contracts::eip712;
use serde::{Deserialize, Serialize};

use super::logs::Indexed;
use super::{ClientError, MarketClient, Receipt, RequestKind};
use crate::device::{domain, time48};
use crate::limits::CONTRACT_BATCH_MAX;

/// What an owner allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantTerms {
    /// A user's own id, or a resource.
    pub scope: B256,
    /// A user, an organisation, or a business role as a number.
    pub grantee: B256,
    /// Hash of the purpose.
    pub purpose: B256,
    /// Create 1, read 2, update 4, delete 8.
    pub ops: u8,
    /// From when, Unix seconds.
    pub from: u64,
    /// First second without it.
    pub until: u64,
    /// Hash of the form that was agreed to.
    pub form: B256,
}

/// A grant as events tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantRecord {
    /// Its number, which a later grant of the same scope, grantee and purpose has too.
    pub id: U256,
    /// What was allowed, as amended.
    #[serde(flatten)]
    pub terms: GrantTerms,
    /// It was revoked, alone or with all others.
    pub is_revoked: bool,
}

/// Somebody read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessRecord {
    /// What was read.
    pub scope: B256,
    /// Who read.
    pub actor: B256,
    /// The organisation whose gateway says so.
    pub by: B256,
    /// What was done: create 1, read 2, update 4, delete 8.
    pub action: u8,
    /// In which capacity, in the organisation's own numbers.
    pub profile: u8,
    /// Hash of the purpose.
    pub purpose: B256,
    /// Hash of more.
    pub detail: B256,
    /// The block it is in.
    pub block: u64,
}

/// Somebody asked about data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestRecord {
    /// Its number.
    pub id: U256,
    /// The resource or organisation.
    pub scope: B256,
    /// Who asked.
    pub by: B256,
    /// For what; the contract's number if this version does not know it.
    pub kind: Result<RequestKind, u8>,
    /// Hash of the request's document.
    pub document: B256,
    /// Until when an answer is due, Unix seconds.
    pub due: u64,
    /// Hash of the answer, if there is one.
    pub answer: Option<B256>,
}

impl MarketClient {
    fn consent(&self) -> Address {
        self.contracts.consent_and_access
    }

    /// The owner or a delegate allows; gives the grant's number. Replaces what was allowed to the
    /// same grantee for the same purpose.
    pub async fn grant(&self, terms: &GrantTerms) -> Result<(U256, Receipt), ClientError> {
        let call = ConsentAndAccess::grantCall {
            g: on_chain(terms)?,
        };
        let receipt = self.send(self.consent(), call).await?;
        let granted: ConsentAndAccess::Granted = receipt.event(self.consent())?;
        Ok((granted.id, receipt))
    }

    /// The sender, an owner, signs a grant that somebody else brings, until `deadline`:
    /// 20-byte signer ‖ signature.
    pub fn sign_grant(&self, terms: &GrantTerms, deadline: u64) -> Result<Bytes, ClientError> {
        let payload = eip712::GrantFor {
            scope: terms.scope,
            grantee: terms.grantee,
            purpose: terms.purpose,
            ops: terms.ops,
            from: time48(terms.from)?,
            until: time48(terms.until)?,
            form: terms.form,
            deadline: time48(deadline)?,
        };
        let domain = domain("ConsentAndAccess", self.chain_id, self.consent());
        let account = self.account()?;
        Ok(account.packed(&account.sign_typed(&payload, &domain)?))
    }

    /// Brings a signed grant on chain; anyone may. Gives its number.
    pub async fn grant_for(
        &self,
        terms: &GrantTerms,
        deadline: u64,
        signature: Bytes,
    ) -> Result<(U256, Receipt), ClientError> {
        let call = ConsentAndAccess::grantForCall {
            g: on_chain(terms)?,
            deadline: time48(deadline)?,
            ownerSig: signature,
        };
        let receipt = self.send(self.consent(), call).await?;
        let granted: ConsentAndAccess::Granted = receipt.event(self.consent())?;
        Ok((granted.id, receipt))
    }

    /// The owner or a delegate changes a grant that has not ended.
    pub async fn amend_grant(&self, id: U256, ops: u8, until: u64) -> Result<Receipt, ClientError> {
        let call = ConsentAndAccess::amendCall {
            id,
            ops,
            until: time48(until)?,
        };
        self.send(self.consent(), call).await
    }

    /// The owner or a delegate ends a grant at once.
    pub async fn revoke_grant(&self, id: U256) -> Result<Receipt, ClientError> {
        self.send(self.consent(), ConsentAndAccess::revokeCall { id })
            .await
    }

    /// The owner ends all grants and delegations at once.
    pub async fn revoke_all_grants(&self, scope: B256) -> Result<Receipt, ClientError> {
        self.send(self.consent(), ConsentAndAccess::revokeAllCall { scope })
            .await
    }

    /// The owner lets a user act for it until then; a past time ends that.
    pub async fn delegate_consent(
        &self,
        scope: B256,
        helper: B256,
        until: u64,
        form: B256,
    ) -> Result<Receipt, ClientError> {
        let call = ConsentAndAccess::delegateCall {
            scope,
            helper,
            until: time48(until)?,
            form,
        };
        self.send(self.consent(), call).await
    }

    /// Whether a user may do all of `ops` now.
    pub async fn is_allowed(
        &self,
        scope: B256,
        user: B256,
        purpose: B256,
        ops: u8,
    ) -> Result<bool, ClientError> {
        let call = ConsentAndAccess::allowedCall {
            scope,
            who: user,
            purpose,
            op: ops,
        };
        self.call(self.consent(), call).await
    }

    /// A Manager of the organisation that runs a gateway says that somebody read.
    pub async fn log_access(
        &self,
        scope: B256,
        actor: B256,
        action: u8,
        purpose: B256,
        detail: B256,
    ) -> Result<Receipt, ClientError> {
        let call = ConsentAndAccess::logAccessCall {
            scope,
            actor,
            profile: 0,
            action,
            purpose,
            detail,
        };
        self.send(self.consent(), call).await
    }

    /// The sender asks about a resource or an organisation; gives the request's number.
    pub async fn ask(
        &self,
        scope: B256,
        kind: RequestKind,
        document: B256,
    ) -> Result<(U256, Receipt), ClientError> {
        let call = ConsentAndAccess::askCall {
            scope,
            kind: kind.into(),
            doc: document,
        };
        let receipt = self.send(self.consent(), call).await?;
        let asked: ConsentAndAccess::Asked = receipt.event(self.consent())?;
        Ok((asked.id, receipt))
    }

    /// The organisation answers a request, once.
    pub async fn answer(&self, id: U256, document: B256) -> Result<Receipt, ClientError> {
        let call = ConsentAndAccess::answerCall { id, doc: document };
        self.send(self.consent(), call).await
    }

    /// Whether a request is unanswered past its time.
    pub async fn is_overdue(&self, id: U256) -> Result<bool, ClientError> {
        self.call(self.consent(), ConsentAndAccess::overdueCall { id })
            .await
    }

    /// A Manager tells the owners of scopes of a breach at its organisation.
    pub async fn notify_breach(
        &self,
        scopes: &[B256],
        notice: B256,
    ) -> Result<Vec<Receipt>, ClientError> {
        let mut receipts = Vec::new();
        for chunk in scopes.chunks(CONTRACT_BATCH_MAX) {
            let call = ConsentAndAccess::notifyBreachCall {
                scopes: chunk.to_vec(),
                notice,
            };
            receipts.push(self.send(self.consent(), call).await?);
        }
        Ok(receipts)
    }

    /// The owner or a delegate says how private a scope is, in its own scale.
    pub async fn set_privacy(&self, scope: B256, level: u8) -> Result<Receipt, ClientError> {
        let call = ConsentAndAccess::setPrivacyCall { scope, level };
        self.send(self.consent(), call).await
    }

    /// The last grant to every grantee and purpose of a scope, oldest first.
    pub async fn grants(&self, scope: B256) -> Result<Vec<GrantRecord>, ClientError> {
        let of_it = Indexed {
            first: Some(scope),
            ..Indexed::default()
        };
        let mut records: Vec<(Place, GrantRecord)> = Vec::new();
        let granted: Vec<(Place, ConsentAndAccess::Granted)> =
            self.events_at(self.consent(), of_it).await?;
        for (place, event) in granted {
            records.retain(|(_, record)| record.id != event.id);
            records.push((place, record_of(&event)));
        }
        let amended: Vec<(Place, ConsentAndAccess::Amended)> =
            self.events_at(self.consent(), of_it).await?;
        for (place, event) in amended {
            for (_, record) in records
                .iter_mut()
                .filter(|(since, record)| *since < place && record.id == event.id)
            {
                (record.terms.ops, record.terms.until) = (event.ops, event.until.to());
            }
        }
        let revoked: Vec<(Place, ConsentAndAccess::Revoked)> =
            self.events_at(self.consent(), of_it).await?;
        let all: Vec<(Place, ConsentAndAccess::RevokedAll)> =
            self.events_at(self.consent(), of_it).await?;
        for (since, record) in &mut records {
            let alone = revoked
                .iter()
                .any(|(place, event)| place > since && event.id == record.id);
            record.is_revoked = alone || all.iter().any(|(place, _)| place > since);
        }
        Ok(records.into_iter().map(|(_, record)| record).collect())
    }

    /// Everybody who read a scope, oldest first.
    pub async fn accesses(&self, scope: B256) -> Result<Vec<AccessRecord>, ClientError> {
        let of_it = Indexed {
            first: Some(scope),
            ..Indexed::default()
        };
        let events: Vec<(Place, ConsentAndAccess::Accessed)> =
            self.events_at(self.consent(), of_it).await?;
        let record = |(place, event): (Place, ConsentAndAccess::Accessed)| AccessRecord {
            scope: event.scope,
            actor: event.actor,
            by: event.by,
            action: event.action,
            profile: event.profile,
            purpose: event.purpose,
            detail: event.detail,
            block: place.0,
        };
        Ok(events.into_iter().map(record).collect())
    }

    /// Every request about a scope, or every request, oldest first.
    pub async fn requests(&self, scope: Option<B256>) -> Result<Vec<RequestRecord>, ClientError> {
        let indexed = Indexed {
            second: scope,
            ..Indexed::default()
        };
        let asked: Vec<ConsentAndAccess::Asked> = self.events(self.consent(), indexed).await?;
        let answered: Vec<ConsentAndAccess::Answered> =
            self.events(self.consent(), Indexed::default()).await?;
        let record = |event: ConsentAndAccess::Asked| RequestRecord {
            id: event.id,
            scope: event.scope,
            by: event.by,
            kind: RequestKind::try_from(event.kind).map_err(|unknown| unknown.value),
            document: event.doc,
            due: event.due.to(),
            answer: answered
                .iter()
                .find(|other| other.id == event.id)
                .map(|other| other.doc),
        };
        Ok(asked.into_iter().map(record).collect())
    }
}

/// Block and place in it of an event.
type Place = (u64, u64);

fn record_of(event: &ConsentAndAccess::Granted) -> GrantRecord {
    GrantRecord {
        id: event.id,
        terms: GrantTerms {
            scope: event.scope,
            grantee: event.grantee,
            purpose: event.purpose,
            ops: event.ops,
            from: event.from.to(),
            until: event.until.to(),
            form: event.form,
        },
        is_revoked: false,
    }
}

fn on_chain(terms: &GrantTerms) -> Result<IConsentAndAccess::Grant, ClientError> {
    Ok(IConsentAndAccess::Grant {
        scope: terms.scope,
        grantee: terms.grantee,
        purpose: terms.purpose,
        ops: terms.ops,
        from: time48(terms.from)?,
        until: time48(terms.until)?,
        form: terms.form,
    })
}
