//! Transactions that are only thought: what each would do upon those before it (`eth_simulateV1`).

use alloy_primitives::{Address, B256, Bytes};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{Log, TransactionRequest};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::decode_revert;
use super::{ClientError, MarketClient, PlannedTransaction, Receipt};
use crate::limits::SIMULATED_TRANSACTIONS_MAX;

/// How a client that sends nothing goes on.
#[derive(Debug)]
pub(super) enum DryRun {
    /// Not beyond its first transaction.
    First,
    /// As if it had sent these.
    All(Mutex<Vec<PlannedTransaction>>),
}

impl DryRun {
    pub(super) fn all() -> Self {
        Self::All(Mutex::default())
    }
}

/// A call's part of the answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SimulatedCall {
    #[serde(default)]
    return_data: Bytes,
    #[serde(default)]
    logs: Vec<Log>,
    gas_used: alloy_primitives::U64,
    status: alloy_primitives::U64,
    #[serde(default)]
    error: Option<SimulatedError>,
}

#[derive(Debug, Deserialize)]
struct SimulatedError {
    message: String,
    #[serde(default)]
    data: Option<Bytes>,
}

#[derive(Debug, Deserialize)]
struct SimulatedBlock {
    number: alloy_primitives::U64,
    calls: Vec<SimulatedCall>,
}

impl MarketClient {
    /// What a transaction would do, where only thought of; `None` where it is to be sent.
    pub(super) async fn simulate_sending(
        &self,
        to: Address,
        input: &Bytes,
        what: &'static str,
    ) -> Result<Option<Receipt>, ClientError> {
        let Some(DryRun::All(before)) = self.dry_run.as_deref() else {
            return Ok(None);
        };
        let earlier = before.lock().clone();
        if earlier.len() >= SIMULATED_TRANSACTIONS_MAX {
            return Err(ClientError::BadInput(format!(
                "a simulation ends at {SIMULATED_TRANSACTIONS_MAX} transactions"
            )));
        }
        let from = self.account()?.address();
        let call = json!({ "from": from, "to": to, "input": input });
        let (block, done) = self.run_upon(&earlier, call, what).await?;
        let gas = done.gas_used.to();
        let planned = self.planned(to, input.clone(), what, gas).await?;
        before.lock().push(planned);
        Ok(Some(Receipt {
            hash: B256::ZERO,
            block,
            gas_used: gas,
            logs: done.logs,
            planned: before.lock().clone(),
        }))
    }

    /// What a call would answer after the transactions that were thought of; `None` where there
    /// are none.
    pub(super) async fn simulated(
        &self,
        request: &TransactionRequest,
        what: &'static str,
    ) -> Result<Option<Bytes>, ClientError> {
        let Some(DryRun::All(before)) = self.dry_run.as_deref() else {
            return Ok(None);
        };
        let earlier = before.lock().clone();
        if earlier.is_empty() {
            return Ok(None);
        }
        let call =
            serde_json::to_value(request).map_err(|_| ClientError::BadAnswer("eth_simulateV1"))?;
        let (_, done) = self.run_upon(&earlier, call, what).await?;
        Ok(Some(done.return_data))
    }

    /// The outcome of a call in the next block behind these transactions, and the block's number.
    async fn run_upon(
        &self,
        earlier: &[PlannedTransaction],
        call: Value,
        what: &'static str,
    ) -> Result<(u64, SimulatedCall), ClientError> {
        let mut calls: Vec<Value> = earlier
            .iter()
            .map(
                |planned| json!({ "from": planned.from, "to": planned.to, "input": planned.input }),
            )
            .collect();
        calls.push(call);
        let payload = json!({
            "blockStateCalls": [{
                "blockOverrides": { "time": self.next_time().await? },
                "calls": calls,
            }],
            "validation": false,
        });
        let answer: Result<Vec<SimulatedBlock>, _> = self
            .provider
            .raw_request("eth_simulateV1".into(), (payload, "latest"))
            .await;
        let blocks =
            answer.map_err(|error| ClientError::rpc("eth_simulateV1", "the node", &error))?;
        let block = blocks.into_iter().next_back();
        let block = block.ok_or(ClientError::BadAnswer("eth_simulateV1"))?;
        let number = block.number.to();
        let done = block.calls.into_iter().next_back();
        let done = done.ok_or(ClientError::BadAnswer("eth_simulateV1"))?;
        if done.status.is_zero() {
            return Err(ClientError::Reverted {
                call: what,
                reason: reason_of(&done),
            });
        }
        Ok((number, done))
    }

    /// Time of the next block as a simulation wants it: behind the head's, which on our chains may be
    /// the same.
    async fn next_time(&self) -> Result<Value, ClientError> {
        let head = self.block_time("latest").await?;
        let next = self.next_block_time().await?.max(head.saturating_add(1));
        Ok(json!(format!("{next:#x}")))
    }

    /// Time of the next block, Unix seconds: the head's own time is old on an idle chain.
    pub async fn next_block_time(&self) -> Result<u64, ClientError> {
        self.block_time("pending").await
    }

    async fn block_time(&self, which: &'static str) -> Result<u64, ClientError> {
        const METHOD: &str = "eth_getBlockByNumber";
        let block: Result<Value, _> = self
            .provider
            .raw_request(METHOD.into(), (which, false))
            .await;
        let block = block.map_err(|error| ClientError::rpc(METHOD, "the node", &error))?;
        let time = block["timestamp"]
            .as_str()
            .and_then(|text| text.strip_prefix("0x"))
            .and_then(|digits| u64::from_str_radix(digits, 16).ok());
        time.ok_or(ClientError::BadAnswer(METHOD))
    }
}

fn reason_of(call: &SimulatedCall) -> String {
    let error = call.error.as_ref();
    let data = error.and_then(|error| error.data.as_ref());
    let data = data.filter(|data| !data.is_empty());
    match (data.or(Some(&call.return_data)), error) {
        (Some(data), _) if !data.is_empty() => decode_revert(data),
        (_, Some(error)) => error.message.clone(),
        _ => "reverted without a reason".into(),
    }
}
