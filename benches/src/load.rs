//! Sends ERC-20 transfers to a running network and measures what comes back.
//!
//! Two figures: the time from submission to receipt on an idle network, one
//! transaction after the other, and the rate of included transfers under full
//! load, with everything signed beforehand so that the generator's own work
//! stays small. Both go through JSON-RPC, as users do.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use alloy_signer::SignerSync as _;
use alloy_signer_local::{MnemonicBuilder, PrivateKeySigner, coins_bip39::English};
use alloy_sol_types::{SolCall as _, sol};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

sol! {
    /// The one call that the load consists of.
    function transfer(address to, uint256 amount) returns (bool);
}

/// Mnemonic of the test accounts.
const MNEMONIC: &str = "test test test test test test test test test test test junk";
/// Test accounts that a new network funds.
const ACCOUNTS: u32 = 10;
/// Gas limit of one transfer.
const TRANSFER_GAS: u64 = 100_000;
/// Transactions in one JSON-RPC batch.
const BATCH: usize = 100;
/// Batches under way at the same time.
const BATCHES_IN_FLIGHT: usize = 8;
/// Time between two looks at the senders' nonces.
const LOOK_PERIOD: Duration = Duration::from_millis(20);
/// Pause before each single transfer: the network is idle again, and the
/// shortest time between two blocks has passed.
const IDLE_PAUSE: Duration = Duration::from_millis(150);
/// How long a load may take to be included.
const PATIENCE: Duration = Duration::from_secs(300);

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The node did not answer.
    #[error("no answer: {0}")]
    Http(#[from] reqwest::Error),
    /// The node answered an error.
    #[error("{method}: {error}")]
    Rpc {
        /// Method called.
        method: String,
        /// The error object.
        error: Value,
    },
    /// The node answered something of another shape.
    #[error("{method}: unexpected answer {answer}")]
    Shape {
        /// Method called.
        method: String,
        /// The answer.
        answer: Value,
    },
    /// Transactions did not get included.
    #[error("{missing} transactions were not included within {PATIENCE:?}")]
    Lost {
        /// How many.
        missing: u64,
    },
    /// An account could not sign.
    #[error("signing failed: {0}")]
    Signing(String),
}

/// Submission to receipt, one transaction after the other.
#[derive(Clone, Debug)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// The time that a share of the transactions stayed below, `share` in 0..=100.
    #[must_use]
    pub fn percentile(&self, share: usize) -> Duration {
        let index = (self.0.len() * share).div_ceil(100).saturating_sub(1);
        self.0.get(index).copied().unwrap_or_default()
    }
}

/// Included transfers and the time that they took, from the first submission
/// to the moment the last sender's nonce was seen to be final.
#[derive(Clone, Copy, Debug)]
pub struct Throughput {
    /// Transfers included.
    pub transfers: u64,
    /// Time taken.
    pub took: Duration,
}

impl Throughput {
    /// Transfers per second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.transfers as f64 / self.took.as_secs_f64()
    }
}

/// A generator bound to one network.
#[derive(Debug)]
pub struct LoadGenerator {
    client: reqwest::Client,
    urls: Vec<String>,
    chain_id: u64,
    token: Address,
    senders: Vec<PrivateKeySigner>,
}

impl LoadGenerator {
    /// Connects to the nodes and learns chain id and token.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn connect(urls: Vec<String>) -> Result<Self, LoadError> {
        let senders = senders()?;
        let client = reqwest::Client::new();
        let mut generator = Self {
            client,
            urls,
            chain_id: 0,
            token: Address::ZERO,
            senders,
        };
        generator.chain_id = generator.number("eth_chainId", json!([])).await?;
        let contracts = generator.call(0, "medina_contracts", json!([])).await?;
        let token = contracts["medinaToken"]
            .as_str()
            .and_then(|text| text.parse().ok());
        generator.token = token.ok_or_else(|| shape("medina_contracts", &contracts))?;
        Ok(generator)
    }

    /// Sends `count` transfers to an idle network, each a pause after the receipt
    /// of the one before.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn latencies(&self, count: u64) -> Result<Latencies, LoadError> {
        let first = self.nonce(0).await?;
        let mut times = Vec::new();
        for nonce in first..first + count {
            let encoded = self.transfer(0, nonce)?;
            tokio::time::sleep(IDLE_PAUSE).await;
            let started = Instant::now();
            let params = json!([encoded]);
            let hash = self.call(0, "eth_sendRawTransaction", params).await?;
            while self
                .call(0, "eth_getTransactionReceipt", json!([hash]))
                .await?
                .is_null()
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            times.push(started.elapsed());
        }
        times.sort_unstable();
        Ok(Latencies(times))
    }

    /// Sends `count` transfers as fast as the nodes take them.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn throughput(&self, count: u64) -> Result<Throughput, LoadError> {
        let per_sender = count / u64::from(ACCOUNTS);
        let mut batches: Vec<Vec<String>> = Vec::new();
        let mut targets = Vec::new();
        let mut signed: Vec<Vec<String>> = Vec::new();
        for sender in 0..self.senders.len() {
            let first = self.nonce(sender).await?;
            targets.push(first + per_sender);
            signed.push(
                (first..first + per_sender)
                    .map(|nonce| self.transfer(sender, nonce))
                    .collect::<Result<_, _>>()?,
            );
        }
        // Batch by sender, senders in turn, so that nonces arrive in order.
        for start in (0..usize::try_from(per_sender).unwrap_or(usize::MAX)).step_by(BATCH) {
            for transactions in &signed {
                let end = (start + BATCH).min(transactions.len());
                batches.push(transactions[start..end].to_vec());
            }
        }
        let started = Instant::now();
        let sending = stream::iter(batches.iter().enumerate())
            .map(|(index, batch)| self.send_batch(index % self.urls.len(), batch))
            .buffered(BATCHES_IN_FLIGHT)
            .try_collect::<Vec<()>>();
        let (sent, included) = futures::join!(sending, self.wait_for(&targets, started));
        sent?;
        let took = included?;
        Ok(Throughput {
            transfers: per_sender * u64::from(ACCOUNTS),
            took,
        })
    }

    async fn wait_for(&self, targets: &[u64], started: Instant) -> Result<Duration, LoadError> {
        loop {
            let mut missing = 0;
            for (sender, target) in targets.iter().enumerate() {
                missing += target.saturating_sub(self.nonce(sender).await?);
            }
            if missing == 0 {
                return Ok(started.elapsed());
            }
            if started.elapsed() > PATIENCE {
                return Err(LoadError::Lost { missing });
            }
            tokio::time::sleep(LOOK_PERIOD).await;
        }
    }

    async fn send_batch(&self, node: usize, batch: &[String]) -> Result<(), LoadError> {
        let calls: Vec<_> = batch
            .iter()
            .enumerate()
            .map(|(id, encoded)| {
                json!({ "jsonrpc": "2.0", "id": id, "method": "eth_sendRawTransaction",
                        "params": [encoded] })
            })
            .collect();
        let request = self.client.post(&self.urls[node]).json(&calls);
        let answers: Vec<Value> = request.send().await?.json().await?;
        match answers
            .into_iter()
            .find(|answer| !answer["error"].is_null())
        {
            Some(answer) => Err(LoadError::Rpc {
                method: "eth_sendRawTransaction".to_owned(),
                error: answer["error"].clone(),
            }),
            None => Ok(()),
        }
    }

    fn transfer(&self, sender: usize, nonce: u64) -> Result<String, LoadError> {
        let signed = signed_transfer(&self.senders, sender, nonce, self.token, self.chain_id)?;
        Ok(hex::encode_prefixed(signed))
    }
    async fn nonce(&self, sender: usize) -> Result<u64, LoadError> {
        let address = self.senders[sender].address();
        self.number("eth_getTransactionCount", json!([address, "latest"]))
            .await
    }

    async fn number(&self, method: &str, params: Value) -> Result<u64, LoadError> {
        let answer = self.call(0, method, params).await?;
        answer
            .as_str()
            .and_then(|text| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok())
            .ok_or_else(|| shape(method, &answer))
    }

    async fn call(&self, node: usize, method: &str, params: Value) -> Result<Value, LoadError> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = self.client.post(&self.urls[node]).json(&body);
        let answer: Value = request.send().await?.json().await?;
        match answer.get("error") {
            Some(error) => Err(LoadError::Rpc {
                method: method.to_owned(),
                error: error.clone(),
            }),
            None => Ok(answer["result"].clone()),
        }
    }
}

/// The test accounts.
///
/// # Errors
/// [`LoadError::Signing`].
pub fn senders() -> Result<Vec<PrivateKeySigner>, LoadError> {
    (0..ACCOUNTS).map(sender).collect()
}

/// EIP-2718 bytes of a transfer of one base unit to the next account.
///
/// # Errors
/// [`LoadError::Signing`].
pub fn signed_transfer(
    senders: &[PrivateKeySigner],
    sender: usize,
    nonce: u64,
    token: Address,
    chain_id: u64,
) -> Result<Vec<u8>, LoadError> {
    let recipient = senders[(sender + 1) % senders.len()].address();
    let call = transferCall {
        to: recipient,
        amount: U256::from(1),
    };
    let transaction = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: TRANSFER_GAS,
        to: TxKind::Call(token),
        input: Bytes::from(call.abi_encode()),
        ..TxEip1559::default()
    };
    let signature = senders[sender]
        .sign_hash_sync(&transaction.signature_hash())
        .map_err(|error| LoadError::Signing(error.to_string()))?;
    Ok(TxEnvelope::from(transaction.into_signed(signature)).encoded_2718())
}

fn sender(index: u32) -> Result<PrivateKeySigner, LoadError> {
    MnemonicBuilder::<English>::default()
        .phrase(MNEMONIC)
        .index(index)
        .and_then(|builder| builder.build())
        .map_err(|error| LoadError::Signing(error.to_string()))
}

fn shape(method: &str, answer: &Value) -> LoadError {
    LoadError::Shape {
        method: method.to_owned(),
        answer: answer.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_taken_from_the_sorted_times() {
        let times = Latencies((1..=100).map(Duration::from_millis).collect());
        assert_eq!(times.percentile(50), Duration::from_millis(50));
        assert_eq!(times.percentile(99), Duration::from_millis(99));
        assert_eq!(times.percentile(100), Duration::from_millis(100));
        assert_eq!(Latencies(vec![]).percentile(50), Duration::ZERO);
    }
}
