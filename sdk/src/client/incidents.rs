//! Incidents: an alert, who judges it, what it does, who is asked to act, who answers.

use alloy_primitives::{Address, B256, U256};
use serde::Serialize;

use super::abi::Incidents;
use super::logs::Indexed;
use super::{ClientError, MarketClient, Receipt};
use crate::device::time48;

/// What an assignee says of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertVerdict {
    /// It is an incident.
    Confirmed = 1,
    /// It is none.
    Rejected = 2,
    /// Somebody else is to judge.
    Passed = 3,
}

impl AlertVerdict {
    fn read(number: u8) -> Option<Self> {
        [Self::Confirmed, Self::Rejected, Self::Passed]
            .into_iter()
            .find(|verdict| *verdict as u8 == number)
    }
}

/// Something that was noticed and that somebody is to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentAlert {
    /// Hash that other systems know it by; may be zero.
    pub reference: B256,
    /// Hash of what kind of thing it is.
    pub class: B256,
    /// How bad, in the site's own scale.
    pub severity: u8,
    /// The organisation or resource it is about.
    pub site: B256,
    /// What is touched.
    pub assets: Vec<B256>,
    /// Hash of a salted document.
    pub document: B256,
    /// The user or organisation that judges it.
    pub assignee: B256,
}

/// An incident reported without an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IncidentReport {
    /// Hash of what kind of thing it is.
    pub class: B256,
    /// How bad, in the site's own scale.
    pub severity: u8,
    /// The organisation or resource it is about.
    pub site: B256,
    /// What is touched.
    pub asset: B256,
    /// Hash of a salted document.
    pub document: B256,
}

/// What the site wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The incident.
    pub incident: U256,
    /// Hash of the plan.
    pub plan: B256,
    /// Users or organisations that are to act.
    pub recipients: Vec<B256>,
    /// Until when they answer, Unix seconds.
    pub timeout: u64,
    /// Whether an answer is asked for.
    pub needs_answer: bool,
}

/// An alert as events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertRecord {
    /// Its number.
    pub alert: U256,
    /// What it is about.
    pub site: B256,
    /// Who judges it now.
    pub assignee: B256,
    /// Hash of its class.
    pub class: B256,
    /// How bad.
    pub severity: u8,
    /// What is touched.
    pub assets: Vec<B256>,
    /// The last verdict.
    pub verdict: Option<AlertVerdict>,
    /// The incident it became.
    pub incident: Option<U256>,
}

/// An incident as events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IncidentRecord {
    /// Its number.
    pub incident: U256,
    /// What it is about.
    pub site: B256,
    /// Hash of its class.
    pub class: B256,
    /// How bad.
    pub severity: u8,
    /// The alert it was, 0 if it was reported at once.
    pub alert: U256,
    /// It is over.
    pub is_closed: bool,
}

/// A risk to an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImpactRecord {
    /// The incident.
    pub incident: U256,
    /// Number of the publication.
    pub impact: U256,
    /// What is touched.
    pub asset: B256,
    /// Hash of the risk.
    pub risk: B256,
    /// How likely, basis points.
    pub score: u16,
    /// Users of the site that agreed.
    pub agreed: u64,
    /// Users of the site that did not.
    pub disagreed: u64,
}

/// A response to one recipient, and the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponseRecord {
    /// Its number.
    pub response: U256,
    /// The incident.
    pub incident: U256,
    /// Who is asked.
    pub recipient: B256,
    /// Hash of the plan.
    pub plan: B256,
    /// Until when, Unix seconds.
    pub timeout: u64,
    /// Whether an answer is asked for.
    pub needs_answer: bool,
    /// Whether the recipient can do it; `None` if it has not answered.
    pub answer: Option<bool>,
    /// It was too late and somebody said so.
    pub is_escalated: bool,
}

/// Everything about an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IncidentHistory {
    /// What it is.
    pub incident: IncidentRecord,
    /// What it does.
    pub impacts: Vec<ImpactRecord>,
    /// What was asked of whom.
    pub responses: Vec<ResponseRecord>,
}

impl MarketClient {
    fn incident_registry(&self) -> Result<Address, ClientError> {
        self.contract("IncidentRegistry")
    }

    /// A Manager raises an alert; gives its number.
    pub async fn raise_alert(&self, alert: &IncidentAlert) -> Result<(U256, Receipt), ClientError> {
        let registry = self.incident_registry()?;
        let call = Incidents::raiseAlertCall {
            r#ref: alert.reference,
            class: alert.class,
            severity: alert.severity,
            site: alert.site,
            assets: alert.assets.clone(),
            doc: alert.document,
            assignee: alert.assignee,
        };
        let receipt = self.send(registry, call).await?;
        let raised: Incidents::Alerted = receipt.event(registry)?;
        Ok((raised.alert, receipt))
    }

    /// The assignee judges; gives the incident if it is one. `pass_to` counts for `Passed` only.
    pub async fn evaluate_alert(
        &self,
        alert: U256,
        verdict: AlertVerdict,
        pass_to: B256,
        document: B256,
    ) -> Result<(Option<U256>, Receipt), ClientError> {
        let registry = self.incident_registry()?;
        let call = Incidents::evaluateCall {
            alert,
            v: verdict as u8,
            passTo: pass_to,
            doc: document,
        };
        let receipt = self.send(registry, call).await?;
        let incident = receipt.event::<Incidents::Incident>(registry);
        Ok((incident.ok().map(|event| event.incident), receipt))
    }

    /// A Member reports an incident without an alert; gives its number.
    pub async fn report_incident(
        &self,
        report: &IncidentReport,
    ) -> Result<(U256, Receipt), ClientError> {
        let registry = self.incident_registry()?;
        let call = Incidents::reportCall {
            class: report.class,
            severity: report.severity,
            site: report.site,
            asset: report.asset,
            doc: report.document,
        };
        let receipt = self.send(registry, call).await?;
        let reported: Incidents::Incident = receipt.event(registry)?;
        Ok((reported.incident, receipt))
    }

    /// A Manager of the site says which risks there are to which assets (asset, risk, basis
    /// points); gives the number of the publication.
    pub async fn publish_impact(
        &self,
        incident: U256,
        risks: &[(B256, B256, u16)],
        document: B256,
    ) -> Result<(U256, Receipt), ClientError> {
        let registry = self.incident_registry()?;
        let call = Incidents::publishImpactCall {
            incident,
            assets: risks.iter().map(|(asset, ..)| *asset).collect(),
            risks: risks.iter().map(|(_, risk, _)| *risk).collect(),
            scores: risks.iter().map(|(.., score)| *score).collect(),
            doc: document,
        };
        let receipt = self.send(registry, call).await?;
        let published: Incidents::Impact = receipt.event(registry)?;
        Ok((published.impact, receipt))
    }

    /// A Member of the site agrees with an impact, or not.
    pub async fn evaluate_impact(
        &self,
        impact: U256,
        agree: bool,
        document: B256,
    ) -> Result<Receipt, ClientError> {
        let call = Incidents::evaluateImpactCall {
            impact,
            agree,
            doc: document,
        };
        self.send(self.incident_registry()?, call).await
    }

    /// A Manager of the site asks recipients to act; gives the number of the response.
    pub async fn respond_incident(
        &self,
        response: &Response,
    ) -> Result<(U256, Receipt), ClientError> {
        let registry = self.incident_registry()?;
        let call = Incidents::respondCall {
            incident: response.incident,
            plan: response.plan,
            recipients: response.recipients.clone(),
            timeout: time48(response.timeout)?,
            needsAck: response.needs_answer,
        };
        let receipt = self.send(registry, call).await?;
        let asked: Incidents::Response = receipt.event(registry)?;
        Ok((asked.response, receipt))
    }

    /// A recipient says whether it can do what it is asked for.
    pub async fn acknowledge_response(
        &self,
        response: U256,
        can_execute: bool,
        note: B256,
    ) -> Result<Receipt, ClientError> {
        let call = Incidents::acknowledgeCall {
            response,
            canExecute: can_execute,
            note,
        };
        self.send(self.incident_registry()?, call).await
    }

    /// Anyone says that the time to answer is over.
    pub async fn escalate_response(&self, response: U256) -> Result<Receipt, ClientError> {
        let call = Incidents::escalateCall { response };
        self.send(self.incident_registry()?, call).await
    }

    /// A Manager of the site ends an incident.
    pub async fn close_incident(
        &self,
        incident: U256,
        document: B256,
    ) -> Result<Receipt, ClientError> {
        let call = Incidents::closeCall {
            incident,
            doc: document,
        };
        self.send(self.incident_registry()?, call).await
    }

    /// Every alert, oldest first.
    pub async fn alerts(&self) -> Result<Vec<AlertRecord>, ClientError> {
        let registry = self.incident_registry()?;
        let all = Indexed::default();
        let raised: Vec<Incidents::Alerted> = self.events(registry, all).await?;
        let judged: Vec<Incidents::Evaluated> = self.events(registry, all).await?;
        let incidents: Vec<Incidents::Incident> = self.events(registry, all).await?;
        let record = |event: Incidents::Alerted| {
            let mut verdicts = judged.iter().filter(|other| other.alert == event.alert);
            let last = verdicts.clone().next_back();
            let passed = verdicts.rfind(|other| other.v == AlertVerdict::Passed as u8);
            let became = incidents.iter().find(|other| other.alert == event.alert);
            AlertRecord {
                alert: event.alert,
                site: event.site,
                assignee: passed.map_or(event.assignee, |other| other.passTo),
                class: event.class,
                severity: event.severity,
                assets: event.assets.clone(),
                verdict: last.and_then(|other| AlertVerdict::read(other.v)),
                incident: became.map(|other| other.incident),
            }
        };
        Ok(raised.into_iter().map(record).collect())
    }

    /// Every incident, oldest first.
    pub async fn incidents(&self) -> Result<Vec<IncidentRecord>, ClientError> {
        let registry = self.incident_registry()?;
        let all = Indexed::default();
        let found: Vec<Incidents::Incident> = self.events(registry, all).await?;
        let closed: Vec<Incidents::Closed> = self.events(registry, all).await?;
        let record = |event: Incidents::Incident| IncidentRecord {
            incident: event.incident,
            site: event.site,
            class: event.class,
            severity: event.severity,
            alert: event.alert,
            is_closed: closed.iter().any(|other| other.incident == event.incident),
        };
        Ok(found.into_iter().map(record).collect())
    }

    /// Everything about one incident.
    pub async fn incident_history(&self, incident: U256) -> Result<IncidentHistory, ClientError> {
        let known = self.incidents().await?;
        let found = known.into_iter().find(|known| known.incident == incident);
        let unknown = || ClientError::Unknown {
            what: "incident",
            id: incident.to_string(),
        };
        Ok(IncidentHistory {
            incident: found.ok_or_else(unknown)?,
            impacts: self.impacts(incident).await?,
            responses: self.responses(incident).await?,
        })
    }

    async fn impacts(&self, incident: U256) -> Result<Vec<ImpactRecord>, ClientError> {
        let registry = self.incident_registry()?;
        let indexed = Indexed {
            first: Some(incident.into()),
            ..Indexed::default()
        };
        let found: Vec<Incidents::Impact> = self.events(registry, indexed).await?;
        let judged: Vec<Incidents::ImpactEvaluated> =
            self.events(registry, Indexed::default()).await?;
        let count = |impact: U256, agree: bool| {
            let said = |event: &&Incidents::ImpactEvaluated| {
                event.impact == impact && event.agree == agree
            };
            judged.iter().filter(said).count() as u64
        };
        let record = |event: Incidents::Impact| ImpactRecord {
            incident: event.incident,
            impact: event.impact,
            asset: event.asset,
            risk: event.risk,
            score: event.score,
            agreed: count(event.impact, true),
            disagreed: count(event.impact, false),
        };
        Ok(found.into_iter().map(record).collect())
    }

    async fn responses(&self, incident: U256) -> Result<Vec<ResponseRecord>, ClientError> {
        let registry = self.incident_registry()?;
        let indexed = Indexed {
            second: Some(incident.into()),
            ..Indexed::default()
        };
        let all = Indexed::default();
        let found: Vec<Incidents::Response> = self.events(registry, indexed).await?;
        let answers: Vec<Incidents::Acked> = self.events(registry, all).await?;
        let late: Vec<Incidents::Escalated> = self.events(registry, all).await?;
        let record = |event: Incidents::Response| ResponseRecord {
            response: event.response,
            incident: event.incident,
            recipient: event.recipient,
            plan: event.plan,
            timeout: event.timeout.to(),
            needs_answer: event.needsAck,
            answer: answers
                .iter()
                .find(|other| {
                    other.response == event.response && other.recipient == event.recipient
                })
                .map(|other| other.canExecute),
            is_escalated: late.iter().any(|other| other.response == event.response),
        };
        Ok(found.into_iter().map(record).collect())
    }
}
