//! Transactions: gas, fees, nonces, receipts.
//!
//! Gas is what the node estimates plus a quarter, because state may move until inclusion. Fees are
//! twice the base fee plus the node's proposed tip; on a free chain both are 0. The nonce is
//! counted here, so that many transactions can be on their way at once; when the node calls one
//! wrong, it is asked for anew. A lock is held from nonce to acceptance, not while waiting.

use std::time::Duration;

use alloy_consensus::TxEip1559;
use alloy_eips::BlockNumberOrTag;
use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, B256, Bytes};
use alloy_provider::Provider;
use alloy_provider::transport::TransportError;
use alloy_rpc_types_eth::{Log, TransactionReceipt, TransactionRequest};
use alloy_sol_types::{SolCall, SolEvent};
use tokio::sync::Mutex;

use super::error::decode_revert;
use super::{ClientError, MarketClient};
use crate::limits::{NONCE_RETRIES_MAX, RECEIPT_SECONDS_MAX};
use crate::wallet::{Account, SignedTransaction};

/// First pause between two looks for a receipt; each next one is longer by half, up to the last.
const RECEIPT_PAUSE_FIRST: Duration = Duration::from_millis(10);
const RECEIPT_PAUSE_LAST: Duration = Duration::from_millis(250);

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

/// An account and the nonce of its next transaction, if known.
#[derive(Debug)]
pub(super) struct Sender {
    account: Account,
    next_nonce: Mutex<Option<u64>>,
}

impl Sender {
    pub(super) fn new(account: Account) -> Self {
        Self {
            account,
            next_nonce: Mutex::new(None),
        }
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }
}

/// Fees per gas, in base units.
struct Fees {
    max: u128,
    tip: u128,
}

impl MarketClient {
    /// Sends a call as a transaction and waits for its receipt. A refusal names the contract's
    /// error; nothing is sent if the estimate already shows it.
    pub async fn send<C: SolCall>(&self, to: Address, call: C) -> Result<Receipt, ClientError> {
        let input = Bytes::from(call.abi_encode());
        let hash = self.submit(to, input.clone(), C::SIGNATURE).await?;
        let receipt = self.wait_for_receipt(hash).await?;
        if !receipt.status() {
            let reason = self.reason_of(to, input, &receipt).await;
            return Err(ClientError::Reverted {
                call: C::SIGNATURE,
                reason,
            });
        }
        Ok(Receipt {
            hash,
            block: receipt.block_number.unwrap_or_default(),
            gas_used: receipt.gas_used,
            logs: receipt.logs().to_vec(),
        })
    }

    /// Sends without waiting; gives the transaction's hash.
    pub async fn submit(
        &self,
        to: Address,
        input: Bytes,
        what: &'static str,
    ) -> Result<B256, ClientError> {
        let sender = self.sender.as_ref().ok_or(ClientError::NoAccount)?;
        let from = sender.account.address();
        let request = TransactionRequest::default()
            .with_from(from)
            .with_to(to)
            .with_input(input.clone());
        let estimate = self
            .provider
            .estimate_gas(request)
            .block(alloy_eips::BlockId::pending());
        let gas = estimate
            .await
            .map_err(|error| ClientError::from_call(what, &error))?;
        let fees = self.fees().await?;
        let template = TxEip1559 {
            chain_id: self.chain_id,
            gas_limit: gas.saturating_add(gas / 4),
            max_fee_per_gas: fees.max,
            max_priority_fee_per_gas: fees.tip,
            to: to.into(),
            input,
            ..TxEip1559::default()
        };
        self.send_with_nonce(sender, template).await
    }

    async fn send_with_nonce(
        &self,
        sender: &Sender,
        template: TxEip1559,
    ) -> Result<B256, ClientError> {
        let mut next_nonce = sender.next_nonce.lock().await;
        let mut tries = 0;
        loop {
            let nonce = match *next_nonce {
                Some(nonce) => nonce,
                None => self.pending_nonce(sender.account.address()).await?,
            };
            let signed = sender.account.sign_transaction(TxEip1559 {
                nonce,
                ..template.clone()
            })?;
            match self.send_signed(&signed).await {
                Ok(()) => {
                    *next_nonce = Some(nonce + 1);
                    return Ok(signed.hash);
                }
                Err(error) => {
                    // Whatever went wrong, what was counted here may be wrong as well.
                    *next_nonce = None;
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
        match self.provider.send_raw_transaction(&signed.raw).await {
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
        let found = tokio::time::timeout(patience, self.poll_receipt(hash)).await;
        found.unwrap_or(Err(ClientError::NoReceipt {
            hash,
            seconds: RECEIPT_SECONDS_MAX,
        }))
    }

    async fn poll_receipt(&self, hash: B256) -> Result<TransactionReceipt, ClientError> {
        let mut pause = RECEIPT_PAUSE_FIRST;
        loop {
            match self.provider.get_transaction_receipt(hash).await {
                Ok(Some(receipt)) => return Ok(receipt),
                Ok(None) => {}
                // The node may be restarting; the transaction is on its way all the same.
                Err(error) if error.is_transport_error() => {
                    tracing::debug!(%error, "the node does not answer, asking again");
                }
                Err(error) => {
                    return Err(ClientError::rpc(
                        "eth_getTransactionReceipt",
                        "the node",
                        &error,
                    ));
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(RECEIPT_PAUSE_LAST);
        }
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
