//! Accesses that a member of a federation refused although it should not have.
//!
//! The client signs what happened to it; the platform of its organisation brings the report. Where
//! the other platform signs too, it counts at once, else it has a day to show the client's receipt.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::Eip712Domain;
use serde::{Deserialize, Serialize};

use super::abi::{self, Federations};
use super::logs::Indexed;
use super::{ClientError, MarketClient, Receipt};
use crate::device::{domain, time48};

/// What a client says it was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeniedAccess {
    /// The federation.
    pub fed: B256,
    /// The resource it asked for.
    pub resource: B256,
    /// The organisation that refused.
    pub target_org: B256,
    /// The organisation of the client.
    pub origin_org: B256,
    /// Hash of the request.
    pub request: B256,
    /// When, Unix seconds; a report is brought within two minutes.
    pub time: u64,
    /// Each number of a client works once.
    pub number: u64,
    /// The client's account.
    pub client: Address,
}

/// A report as events tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DenialReport {
    /// Its number.
    pub report: U256,
    /// The federation.
    pub fed: B256,
    /// The resource.
    pub resource: B256,
    /// The other side has shown the client's receipt.
    pub is_rebutted: bool,
}

impl DeniedAccess {
    fn typed(&self) -> Result<abi::Denied, ClientError> {
        Ok(abi::Denied {
            fed: self.fed,
            resource: self.resource,
            targetOrg: self.target_org,
            originOrg: self.origin_org,
            request: self.request,
            time: time48(self.time)?,
            number: self.number,
            client: self.client,
        })
    }
}

impl MarketClient {
    fn denials(&self) -> Address {
        self.contracts.federation_registry
    }

    fn denials_domain(&self) -> Eip712Domain {
        domain("FederationRegistry", self.chain_id, self.denials())
    }

    /// The sender signs a denial: as the client (`packed` false), or for the organisation that
    /// refused (20-byte signer ‖ signature).
    pub fn sign_denied(&self, denied: &DeniedAccess, packed: bool) -> Result<Bytes, ClientError> {
        let account = self.account()?;
        let signature = account.sign_typed(&denied.typed()?, &self.denials_domain())?;
        Ok(if packed {
            account.packed(&signature)
        } else {
            signature.as_bytes().to_vec().into()
        })
    }

    /// The sender, a client, signs that it has got what it asked for: what [`Self::rebut`] takes.
    pub fn sign_receipt(&self, request: B256, time: u64) -> Result<Bytes, ClientError> {
        let receipt = abi::Receipt {
            request,
            time: time48(time)?,
        };
        let signature = self
            .account()?
            .sign_typed(&receipt, &self.denials_domain())?;
        // Six bytes of time, then the signature.
        let time = time.to_be_bytes();
        Ok([&time[2..], &signature.as_bytes()].concat().into())
    }

    /// Reports a denial; `target_signature` may be empty. Gives the report's number.
    pub async fn report_denied(
        &self,
        denied: &DeniedAccess,
        client_signature: Bytes,
        target_signature: Bytes,
    ) -> Result<(U256, Receipt), ClientError> {
        let call = Federations::reportDeniedCall {
            d: denied.typed()?,
            clientSig: client_signature,
            targetSig: target_signature,
        };
        let receipt = self.send(self.denials(), call).await?;
        let reported: Federations::Reported = receipt.event(self.denials())?;
        Ok((reported.report, receipt))
    }

    /// The organisation that was reported shows the client's receipt.
    pub async fn rebut(&self, report: U256, receipt: Bytes) -> Result<Receipt, ClientError> {
        let call = Federations::rebutCall { report, receipt };
        self.send(self.denials(), call).await
    }

    /// Counts a report that nobody has rebutted in time.
    pub async fn settle_report(&self, report: U256) -> Result<Receipt, ClientError> {
        let call = Federations::settleReportCall { report };
        self.send(self.denials(), call).await
    }

    /// How many refused accesses count against an organisation.
    pub async fn misdeeds(&self, org: B256) -> Result<u64, ClientError> {
        let call = Federations::misdeedsCall { target: org };
        self.call(self.denials(), call).await
    }

    /// Every report in a federation, oldest first.
    pub async fn denial_reports(&self, fed: B256) -> Result<Vec<DenialReport>, ClientError> {
        let of_it = Indexed {
            second: Some(fed),
            ..Indexed::default()
        };
        let found: Vec<Federations::Reported> = self.events(self.denials(), of_it).await?;
        let rebutted: Vec<Federations::Rebutted> =
            self.events(self.denials(), Indexed::default()).await?;
        let record = |event: Federations::Reported| DenialReport {
            report: event.report,
            fed: event.fed,
            resource: event.resource,
            is_rebutted: rebutted.iter().any(|other| other.report == event.report),
        };
        Ok(found.into_iter().map(record).collect())
    }
}
