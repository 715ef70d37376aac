//! Promises of federations that cost something when they are broken: bonds, reports, penalties.
//!
//! There is no agreement to store: who is a member has accepted the federation's constraints.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolCall as _;

use super::abi::{SlaReport, Slas};
use super::logs::Indexed;
use super::{ClientError, MarketClient, Receipt};
use crate::device::time48;
use crate::limits::CONTRACT_BATCH_MAX;

/// What was measured of a resource in one window of a constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct SlaReading {
    /// The federation.
    pub fed: B256,
    /// The resource.
    pub resource: B256,
    /// Place of the constraint among the federation's.
    pub constraint: u8,
    /// What was measured, in the constraint's unit (availability: basis points).
    pub value: i64,
    /// Start of the window, Unix seconds.
    pub from: u64,
    /// Its end.
    pub to: u64,
}

/// How a breach becomes a violation and violations a penalty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct PolicyTerms {
    /// Place of the constraint among the federation's.
    pub constraint: u8,
    /// Breaches that make a violation.
    pub count: u8,
    /// Within how many seconds.
    pub interval: u32,
    /// Violations that make a penalty.
    pub penalty_count: u8,
    /// Within how many seconds.
    pub penalty_interval: u32,
    /// What a penalty takes, base units.
    pub amount: u128,
}

/// An organisation's record in a federation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SlaSummary {
    /// Windows that were decided.
    pub reports: u32,
    /// Of them broken.
    pub breaches: u32,
    /// Violations that came of it.
    pub violations: u32,
    /// Bond, base units.
    #[serde(skip)]
    pub bonded: u128,
}

/// A promise that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ViolationRecord {
    /// The federation.
    pub fed: B256,
    /// The resource.
    pub resource: B256,
    /// Whose it was.
    pub org: B256,
    /// Which constraint.
    pub constraint: u8,
    /// What was measured.
    pub value: i64,
    /// Start of the window, Unix seconds.
    pub from: u64,
    /// Its end.
    pub to: u64,
}

/// Money held back for violations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PenaltyRecord {
    /// Its number.
    pub penalty: U256,
    /// The federation.
    pub fed: B256,
    /// Who pays.
    pub org: B256,
    /// How much, base units.
    #[serde(skip)]
    pub amount: u128,
    /// An arbiter has given it back.
    pub is_pardoned: bool,
    /// It was paid out.
    pub is_collected: bool,
}

impl MarketClient {
    fn slas(&self) -> Result<Address, ClientError> {
        self.contract("SlaRegistry")
    }

    /// Puts money behind the promises of the sender's organisation; the allowance that this needs
    /// is given first where it lacks.
    pub async fn bond(&self, fed: B256, amount: u128) -> Result<Receipt, ClientError> {
        let registry = self.slas()?;
        let call = Slas::bondCall { fed, amount };
        // What is refused anyway shall leave no allowance behind.
        let input = call.abi_encode().into();
        match self.plan(registry, input, Slas::bondCall::SIGNATURE).await {
            Err(error) if !error.is_refusal("ERC20InsufficientAllowance") => return Err(error),
            _ => self.allow(registry, amount).await?,
        }
        self.send(registry, call).await
    }

    /// Pays a bond back after its organisation has left.
    pub async fn unbond(&self, fed: B256, org: B256) -> Result<Receipt, ClientError> {
        self.send(self.slas()?, Slas::unbondCall { fed, org }).await
    }

    /// Says what was measured; a monitor or two agreeing consumers decide.
    pub async fn report_sla(&self, readings: &[SlaReading]) -> Result<Vec<Receipt>, ClientError> {
        let mut receipts = Vec::new();
        for chunk in readings.chunks(CONTRACT_BATCH_MAX) {
            let call = Slas::reportCall {
                r: chunk.iter().map(on_chain).collect::<Result<_, _>>()?,
            };
            receipts.push(self.send(self.slas()?, call).await?);
        }
        Ok(receipts)
    }

    /// Judges the availability of a resource by what it has anchored.
    pub async fn evaluate_sla(
        &self,
        fed: B256,
        resource: B256,
        constraint: u8,
    ) -> Result<Receipt, ClientError> {
        let call = Slas::evaluateCall {
            fed,
            resource,
            constraint,
        };
        self.send(self.slas()?, call).await
    }

    /// An arbiter gives a penalty back.
    pub async fn pardon_penalty(&self, penalty: U256) -> Result<Receipt, ClientError> {
        self.send(self.slas()?, Slas::pardonCall { penalty }).await
    }

    /// Pays a penalty out once nobody can pardon it any more.
    pub async fn collect_penalty(&self, penalty: U256) -> Result<Receipt, ClientError> {
        self.send(self.slas()?, Slas::collectCall { penalty }).await
    }

    /// How an organisation keeps its promises.
    pub async fn sla_summary(&self, fed: B256, org: B256) -> Result<SlaSummary, ClientError> {
        let found = self
            .call(self.slas()?, Slas::summaryCall { fed, org })
            .await?;
        Ok(SlaSummary {
            reports: found.reports,
            breaches: found.breaches,
            violations: found.violations,
            bonded: found.bonded,
        })
    }

    /// Every violation in a federation, oldest first.
    pub async fn violations(&self, fed: B256) -> Result<Vec<ViolationRecord>, ClientError> {
        let indexed = Indexed {
            first: Some(fed),
            ..Indexed::default()
        };
        let events: Vec<Slas::Violation> = self.events(self.slas()?, indexed).await?;
        let record = |event: Slas::Violation| ViolationRecord {
            fed: event.fed,
            resource: event.resource,
            org: event.org,
            constraint: event.constraint,
            value: event.value,
            from: event.from.to(),
            to: event.to.to(),
        };
        Ok(events.into_iter().map(record).collect())
    }

    /// Every penalty in a federation, oldest first.
    pub async fn penalties(&self, fed: B256) -> Result<Vec<PenaltyRecord>, ClientError> {
        let registry = self.slas()?;
        let indexed = Indexed {
            second: Some(fed),
            ..Indexed::default()
        };
        let all = Indexed::default();
        let held: Vec<Slas::Penalty> = self.events(registry, indexed).await?;
        let pardoned: Vec<Slas::Pardoned> = self.events(registry, all).await?;
        let collected: Vec<Slas::Collected> = self.events(registry, all).await?;
        let record = |event: Slas::Penalty| PenaltyRecord {
            penalty: event.penalty,
            fed: event.fed,
            org: event.org,
            amount: event.amount,
            is_pardoned: pardoned.iter().any(|other| other.penalty == event.penalty),
            is_collected: collected.iter().any(|other| other.penalty == event.penalty),
        };
        Ok(held.into_iter().map(record).collect())
    }
}

fn on_chain(reading: &SlaReading) -> Result<SlaReport, ClientError> {
    Ok(SlaReport {
        fed: reading.fed,
        resource: reading.resource,
        constraint: reading.constraint,
        value: reading.value,
        from: time48(reading.from)?,
        to: time48(reading.to)?,
    })
}
