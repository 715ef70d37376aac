//! Transactions: gas, fees, nonces, receipts.
//!
//! Gas is what the node estimates plus a quarter, because state may move until inclusion. Fees are
//! twice the base fee plus the node's proposed tip; on a free chain both are 0. The nonce is
//! counted here, so that many transactions can be on their way at once; when the node calls one
//! wrong, it is asked for anew. A lock is held from nonce to acceptance, not while waiting.
//!
//! Nothing sticks: whoever waits for a receipt longer than [`STUCK_SECONDS`] looks at what is in the
//! way. A transaction that the node has lost (it was restarted) is sent again, one whose fee has
//! become too small is replaced by itself with a higher one, and a nonce that nobody uses any more
//! is filled with a payment of nothing to oneself.

use std::time::Duration;

use alloy_consensus::TxEip1559;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_provider::Provider;
use alloy_provider::transport::TransportError;
use alloy_rpc_types_eth::{Log, TransactionReceipt, TransactionRequest};
use alloy_sol_types::{SolCall, SolEvent};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::{decode_revert, transport_reason};
use super::outbox::{Fees, Outbox};
use super::{ClientError, MarketClient};
use crate::limits::{NONCE_HOLES_MAX, NONCE_RETRIES_MAX, RECEIPT_SECONDS_MAX, STUCK_SECONDS};
use crate::wallet::{Account, SignedTransaction};

/// First pause between two looks for a receipt; each next one is longer by half, up to the last.
const RECEIPT_PAUSE_FIRST: Duration = Duration::from_millis(10);
const RECEIPT_PAUSE_LAST: Duration = Duration::from_millis(250);
/// Gas of a payment.
const PAYMENT_GAS: u64 = 21_000;

/// What became of a transaction.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The transaction.
    pub hash: B256,
    /// The block it is in.
    pub block: u64,
    /// Gas it used.
    pub gas_used: u64,
    /// What the contracts said.
    pub logs: Vec<Log>,
    /// In a [simulation](MarketClient::simulation): every transaction so far as it would be sent, this
    /// one last. Empty where it was sent.
    pub planned: Vec<PlannedTransaction>,
}

impl Receipt {
    /// The first event of this kind from `contract`.
    pub fn event<E: SolEvent>(&self, contract: Address) -> Result<E, ClientError> {
        self.logs
            .iter()
            .filter(|log| log.address() == contract)
            .find_map(|log| E::decode_log(&log.inner).ok())
            .map(|log| log.data)
            .ok_or(ClientError::NoEvent {
                hash: self.hash,
                event: E::SIGNATURE,
            })
    }
}

/// A transaction as it would be sent: what a dry run answers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedTransaction {
    /// The function that would be called.
    pub call: &'static str,
    /// The contract's name, if it is one of the suite.
    pub contract: Option<String>,
    /// Who would send.
    pub from: Address,
    /// The contract.
    pub to: Address,
    /// Function and arguments as they would be sent.
    pub input: Bytes,
    /// Gas that the node estimates.
    pub gas: u64,
    /// Most gas that it may use: a quarter more.
    pub gas_limit: u64,
    /// Most it may cost per gas, base units of the chain's coin.
    #[serde(with = "decimal")]
    pub max_fee_per_gas: u128,
    /// Of it, what the block's maker gets at most.
    #[serde(with = "decimal")]
    pub max_priority_fee_per_gas: u128,
    /// What it would cost at most, base units of the chain's coin.
    pub cost_max: U256,
}

/// JSON numbers end at 2^53.
mod decimal {
    pub(super) fn serialize<S: serde::Serializer>(
        value: &u128,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }
}

/// An account and its transactions on their way.
#[derive(Debug)]
pub(super) struct Sender {
    account: Account,
    outbox: Mutex<Outbox>,
}

impl Sender {
    pub(super) fn new(account: Account) -> Self {
        Self {
            account,
            outbox: Mutex::default(),
        }
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }
}

impl MarketClient {
    /// Sends a call as a transaction and waits for its receipt. A refusal names the contract's
    /// error; nothing is sent if the estimate already shows it, or in a
    /// [dry run](Self::dry_run).
    pub async fn send<C: SolCall>(&self, to: Address, call: C) -> Result<Receipt, ClientError> {
        self.send_input(to, call.abi_encode().into(), C::SIGNATURE)
            .await
    }

    /// The same for a call that is encoded already.
    pub(super) async fn send_input(
        &self,
        to: Address,
        input: Bytes,
        what: &'static str,
    ) -> Result<Receipt, ClientError> {
        if let Some(receipt) = self.simulate_sending(to, &input, what).await? {
            return Ok(receipt);
        }
        let nonce = self.enqueue(to, input.clone(), what).await?;
        let receipt = self.wait_for_nonce(nonce).await?;
        if !receipt.status() {
            let reason = self.reason_of(to, input, &receipt).await;
            return Err(ClientError::Reverted { call: what, reason });
        }
        Ok(Receipt {
            hash: receipt.transaction_hash,
            block: receipt.block_number.unwrap_or_default(),
            gas_used: receipt.gas_used,
            logs: receipt.logs().to_vec(),
            planned: Vec::new(),
        })
    }

    /// Sends without waiting; gives the transaction's hash.
    pub async fn submit(
        &self,
        to: Address,
        input: Bytes,
        what: &'static str,
    ) -> Result<B256, ClientError> {
        let nonce = self.enqueue(to, input, what).await?;
        let sender = self.sender.as_ref().ok_or(ClientError::NoAccount)?;
        let hashes = sender.outbox.lock().await.hashes(nonce);
        hashes
            .first()
            .copied()
            .ok_or(ClientError::BadAnswer("eth_sendRawTransaction"))
    }

    /// What a call would cost now; an error if the contract would refuse it.
    pub async fn plan(
        &self,
        to: Address,
        input: Bytes,
        what: &'static str,
    ) -> Result<PlannedTransaction, ClientError> {
        let from = self.account()?.address();
        let request = TransactionRequest::default()
            .with_from(from)
            .with_to(to)
            .with_input(input.clone());
        let estimate = self
            .provider
            .estimate_gas(request)
            .block(BlockId::pending());
        let gas = estimate
            .await
            .map_err(|error| ClientError::from_call(what, &error))?;
        self.planned(to, input, what, gas).await
    }

    /// A transaction that needs this much gas.
    pub(super) async fn planned(
        &self,
        to: Address,
        input: Bytes,
        what: &'static str,
        gas: u64,
    ) -> Result<PlannedTransaction, ClientError> {
        let from = self.account()?.address();
        let fees = self.fees().await?;
        let gas_limit = gas.saturating_add(gas / 4);
        Ok(PlannedTransaction {
            call: what,
            contract: self.contract_name(to),
            from,
            to,
            input,
            gas,
            gas_limit,
            max_fee_per_gas: fees.max,
            max_priority_fee_per_gas: fees.tip,
            cost_max: U256::from(fees.max).saturating_mul(U256::from(gas_limit)),
        })
    }

    /// Signs and sends; gives the nonce.
    async fn enqueue(
        &self,
        to: Address,
        input: Bytes,
        what: &'static str,
    ) -> Result<u64, ClientError> {
        let sender = self.sender.as_ref().ok_or(ClientError::NoAccount)?;
        let plan = self.plan(to, input, what).await?;
        if self.dry_run.is_some() {
            return Err(ClientError::DryRun(Box::new(plan)));
        }
        let template = TxEip1559 {
            chain_id: self.chain_id,
            gas_limit: plan.gas_limit,
            max_fee_per_gas: plan.max_fee_per_gas,
            max_priority_fee_per_gas: plan.max_priority_fee_per_gas,
            to: to.into(),
            input: plan.input,
            ..TxEip1559::default()
        };
        self.send_with_nonce(sender, template).await
    }

    async fn send_with_nonce(
        &self,
        sender: &Sender,
        template: TxEip1559,
    ) -> Result<u64, ClientError> {
        let mut outbox = sender.outbox.lock().await;
        let mut tries = 0;
        loop {
            let nonce = match outbox.next {
                Some(nonce) => nonce,
                None => self.pending_nonce(sender.account.address()).await?,
            };
            let transaction = TxEip1559 {
                nonce,
                ..template.clone()
            };
            let signed = sender.account.sign_transaction(transaction.clone())?;
            match self.send_signed(&signed).await {
                Ok(()) => {
                    outbox.remember(transaction, signed.raw, signed.hash);
                    return Ok(nonce);
                }
                Err(error) => {
                    // Whatever went wrong, what was counted here may be wrong as well.
                    outbox.next = None;
                    tries += 1;
                    if !is_about_nonce(&error) || tries > NONCE_RETRIES_MAX {
                        return Err(ClientError::rpc(
                            "eth_sendRawTransaction",
                            "the node",
                            &error,
                        ));
                    }
                }
            }
        }
    }

    async fn send_signed(&self, signed: &SignedTransaction) -> Result<(), TransportError> {
        self.send_raw(&signed.raw).await
    }

    async fn send_raw(&self, raw: &[u8]) -> Result<(), TransportError> {
        match self.provider.send_raw_transaction(raw).await {
            Ok(_) => Ok(()),
            Err(error) if is_known(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn pending_nonce(&self, account: Address) -> Result<u64, ClientError> {
        let asked = self.provider.get_transaction_count(account).pending().await;
        asked.map_err(|error| ClientError::rpc("eth_getTransactionCount", "the node", &error))
    }

    async fn fees(&self) -> Result<Fees, ClientError> {
        let latest = self
            .provider
            .get_block_by_number(BlockNumberOrTag::Latest)
            .await;
        let latest =
            latest.map_err(|error| ClientError::rpc("eth_getBlockByNumber", "the node", &error))?;
        let latest = latest.ok_or(ClientError::BadAnswer("eth_getBlockByNumber"))?;
        let base = u128::from(latest.header.base_fee_per_gas.unwrap_or_default());
        // A node without an opinion on tips wants none.
        let tip = self
            .provider
            .get_max_priority_fee_per_gas()
            .await
            .unwrap_or_default();
        Ok(Fees {
            max: base.saturating_mul(2).saturating_add(tip),
            tip,
        })
    }

    /// Waits until the transaction's receipt can be read.
    pub async fn wait_for_receipt(&self, hash: B256) -> Result<TransactionReceipt, ClientError> {
        let patience = Duration::from_secs(RECEIPT_SECONDS_MAX);
        let poll = async {
            let mut pause = RECEIPT_PAUSE_FIRST;
            loop {
                if let Some(receipt) = self.receipt(hash).await? {
                    return Ok(receipt);
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 3 / 2).min(RECEIPT_PAUSE_LAST);
            }
        };
        let found = tokio::time::timeout(patience, poll).await;
        found.unwrap_or(Err(ClientError::NoReceipt {
            hash,
            seconds: RECEIPT_SECONDS_MAX,
        }))
    }

    /// Waits until the sender's transaction of this nonce is included, under whichever of its
    /// hashes, and clears its way.
    async fn wait_for_nonce(&self, nonce: u64) -> Result<TransactionReceipt, ClientError> {
        let sender = self.sender.as_ref().ok_or(ClientError::NoAccount)?;
        let started = Instant::now();
        let mut pause = RECEIPT_PAUSE_FIRST;
        let mut next_look = Duration::from_secs(STUCK_SECONDS);
        let mut hashes = sender.outbox.lock().await.hashes(nonce);
        loop {
            for hash in &hashes {
                if let Some(receipt) = self.receipt(*hash).await? {
                    return Ok(receipt);
                }
            }
            if started.elapsed() >= Duration::from_secs(RECEIPT_SECONDS_MAX) {
                return Err(ClientError::NoReceipt {
                    hash: hashes.last().copied().unwrap_or_default(),
                    seconds: RECEIPT_SECONDS_MAX,
                });
            }
            if started.elapsed() >= next_look {
                self.clear_way(sender, nonce).await?;
                hashes = sender.outbox.lock().await.hashes(nonce);
                next_look += Duration::from_secs(STUCK_SECONDS);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(RECEIPT_PAUSE_LAST);
        }
    }

    /// The receipt, if there is one. A node that does not answer may be restarting; the transaction
    /// is on its way all the same.
    async fn receipt(&self, hash: B256) -> Result<Option<TransactionReceipt>, ClientError> {
        match self.provider.get_transaction_receipt(hash).await {
            Ok(receipt) => Ok(receipt),
            Err(error) if error.is_transport_error() => {
                let error = transport_reason(&error);
                tracing::debug!(error, "the node does not answer, asking again");
                Ok(None)
            }
            Err(error) => Err(ClientError::rpc(
                "eth_getTransactionReceipt",
                "the node",
                &error,
            )),
        }
    }

    /// Makes every transaction up to this nonce move again.
    async fn clear_way(&self, sender: &Sender, nonce: u64) -> Result<(), ClientError> {
        let account = sender.account.address();
        let (Ok(included), Ok(usual)) = (
            self.provider.get_transaction_count(account).latest().await,
            self.fees().await,
        ) else {
            // The node is away; there is time for another look.
            return Ok(());
        };
        let mut outbox = sender.outbox.lock().await;
        if included > nonce {
            return self.taken(&outbox, nonce).await;
        }
        outbox.forget_below(included);
        let known = self.pending_nonce(account).await.unwrap_or(included);
        for number in (included..=nonce).take(usize::try_from(NONCE_HOLES_MAX).unwrap_or(64)) {
            if let Some(sent) = outbox.get(number).cloned() {
                let raised = Fees::of(&sent.transaction).raised(usual, sent.first);
                // Lost, or still there: sending again harms neither.
                let is_taken = self.send_raw(&sent.raw).await.is_ok();
                let is_too_cheap = Fees::of(&sent.transaction).max < usual.max;
                if let Some(fees) = raised.filter(|_| is_too_cheap || !is_taken) {
                    let replacement = TxEip1559 {
                        max_fee_per_gas: fees.max,
                        max_priority_fee_per_gas: fees.tip,
                        ..sent.transaction
                    };
                    self.replace(sender, &mut outbox, replacement).await?;
                }
            } else if number >= known {
                // Nobody's: neither ours nor in the node's pool, so everything behind it waits.
                let filler = TxEip1559 {
                    chain_id: self.chain_id,
                    nonce: number,
                    gas_limit: PAYMENT_GAS,
                    max_fee_per_gas: usual.max,
                    max_priority_fee_per_gas: usual.tip,
                    to: account.into(),
                    ..TxEip1559::default()
                };
                self.replace(sender, &mut outbox, filler).await?;
            }
        }
        Ok(())
    }

    /// Sends a transaction in the place of whatever has its nonce. A pool that refuses it has its
    /// reasons; the next look comes soon.
    async fn replace(
        &self,
        sender: &Sender,
        outbox: &mut Outbox,
        transaction: TxEip1559,
    ) -> Result<(), ClientError> {
        let signed = sender.account.sign_transaction(transaction.clone())?;
        match self.send_signed(&signed).await {
            Ok(()) => outbox.remember(transaction, signed.raw, signed.hash),
            Err(error) => {
                let nonce = transaction.nonce;
                let error = transport_reason(&error);
                tracing::debug!(nonce, error, "a replacement was not taken");
            }
        }
        Ok(())
    }

    /// The nonce is used: by one of our own, whose receipt comes, or by another program that signs
    /// for this account.
    async fn taken(&self, outbox: &Outbox, nonce: u64) -> Result<(), ClientError> {
        let hashes = outbox.hashes(nonce);
        for hash in &hashes {
            if self.receipt(*hash).await?.is_some() {
                return Ok(());
            }
        }
        Err(ClientError::NonceTaken {
            hash: hashes.first().copied().unwrap_or_default(),
            nonce,
        })
    }

    /// Runs a failed transaction again on the state it failed on, to learn why.
    async fn reason_of(&self, to: Address, input: Bytes, receipt: &TransactionReceipt) -> String {
        let parent = receipt.block_number.unwrap_or_default().saturating_sub(1);
        let request = TransactionRequest::default()
            .with_from(receipt.from)
            .with_to(to)
            .with_input(input);
        match self.provider.call(request).number(parent).await {
            Ok(_) => "reverted; the reason depends on the transactions before it".into(),
            Err(error) => match error
                .as_error_resp()
                .and_then(|answer| answer.as_revert_data())
            {
                Some(data) => decode_revert(&data),
                None => "reverted without a reason".into(),
            },
        }
    }
}

/// Nodes say it in words: `nonce too low`, `replacement transaction underpriced`.
fn is_about_nonce(error: &TransportError) -> bool {
    let answer = error
        .as_error_resp()
        .map(|answer| answer.message.to_lowercase());
    answer.is_some_and(|text| text.contains("nonce") || text.contains("replacement"))
}

/// Sent before, by a try whose answer was lost.
fn is_known(error: &TransportError) -> bool {
    let answer = error.as_error_resp();
    answer.is_some_and(|answer| answer.message.to_lowercase().contains("already known"))
}
