//! What an account does with private contracts, by the node of its organisation.

use std::collections::BTreeMap;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, TxKind, U64};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{
    DeliveryStatus, Erasure, GroupStatus, GroupSummary, Groups, LocalParty, MemberRecord,
    PRIVATE_GAS_MAX, PrivateClientError, PrivateLog, PrivateReceipt, PrivateRpc,
    PrivateTransaction, Sent, SentTransaction, SignedPrivateTransaction,
};
use crate::client::MarketClient;
use crate::limits::PRIVATE_RECEIPT_SECONDS_MAX;

/// First pause between two looks for a receipt; each next one is longer by half, up to the last.
const RECEIPT_PAUSE_FIRST: Duration = Duration::from_millis(50);
const RECEIPT_PAUSE_LAST: Duration = Duration::from_millis(500);

/// A client of private contracts: the chain with an account, and the private side of a node.
#[derive(Debug)]
pub struct PrivateClient {
    chain: MarketClient,
    rpc: PrivateRpc,
    /// Next nonces that this client would use: the node counts only what was executed.
    nonces: Mutex<BTreeMap<(B256, Address), u64>>,
}

/// A private transaction with what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrivateDetails {
    /// Itself; none where its payload was erased.
    pub transaction: Option<SentTransaction>,
    /// What it did; none before its block is final.
    pub receipt: Option<PrivateReceipt>,
    /// Whether its payload was erased.
    pub is_erased: bool,
}

impl PrivateClient {
    /// A client of the private side at `url`; the token is a party's, and may stand in the URL.
    ///
    /// # Errors
    /// [`PrivateClientError`]; as all below.
    pub fn new(
        chain: MarketClient,
        url: &str,
        token: Option<&str>,
    ) -> Result<Self, PrivateClientError> {
        Ok(Self::with_rpc(chain, PrivateRpc::new(url, token)?))
    }

    /// A client of the private side that is connected already.
    #[must_use]
    pub fn with_rpc(chain: MarketClient, rpc: PrivateRpc) -> Self {
        Self {
            chain,
            rpc,
            nonces: Mutex::default(),
        }
    }

    /// The chain, for what is public.
    pub fn chain(&self) -> &MarketClient {
        &self.chain
    }

    /// The node's private methods, for what this client has no function for.
    pub fn rpc(&self) -> &PrivateRpc {
        &self.rpc
    }

    /// Makes a private contract. Answers as soon as the node has it: [`Self::wait`] says what
    /// became of it.
    pub async fn deploy(
        &self,
        group: B256,
        init_code: Bytes,
        gas: Option<u64>,
    ) -> Result<Sent, PrivateClientError> {
        self.transact(group, TxKind::Create, init_code, gas).await
    }

    /// Sends a transaction to a private contract; as [`Self::deploy`].
    pub async fn send(
        &self,
        group: B256,
        to: Address,
        data: Bytes,
        gas: Option<u64>,
    ) -> Result<Sent, PrivateClientError> {
        self.transact(group, TxKind::Call(to), data, gas).await
    }

    /// Reads from a private contract.
    pub async fn call(
        &self,
        group: B256,
        to: Address,
        data: Bytes,
    ) -> Result<Bytes, PrivateClientError> {
        self.call_as(None, group, to, data).await
    }

    /// As [`Self::call`], as an account; nobody signs it.
    pub async fn call_as(
        &self,
        from: Option<Address>,
        group: B256,
        to: Address,
        data: Bytes,
    ) -> Result<Bytes, PrivateClientError> {
        let mut request = self.request(TxKind::Call(to), &data);
        if let Some(from) = from {
            request["from"] = json!(from);
        }
        self.rpc
            .call("priv_call", json!([group, request, "latest"]))
            .await
    }

    /// A private transaction with its receipt.
    pub async fn show(&self, digest: B256) -> Result<PrivateDetails, PrivateClientError> {
        let found: Result<Option<SentTransaction>, _> = self
            .rpc
            .call("priv_getTransactionByDigest", json!([digest]))
            .await;
        let (transaction, is_erased) = match found {
            Ok(transaction) => (transaction, false),
            Err(PrivateClientError::Erased(_)) => (None, true),
            Err(error) => return Err(error),
        };
        let receipt = match self.receipt(digest).await {
            Ok(receipt) => receipt,
            Err(PrivateClientError::Erased(_)) => None,
            Err(error) => return Err(error),
        };
        if transaction.is_none() && receipt.is_none() && !is_erased {
            return Err(PrivateClientError::Unknown {
                what: "private transaction",
                id: digest.to_string(),
            });
        }
        Ok(PrivateDetails {
            transaction,
            receipt,
            is_erased,
        })
    }

    /// The groups of the token's party, as its node has them.
    pub async fn groups(&self) -> Result<Vec<GroupSummary>, PrivateClientError> {
        self.rpc.call("priv_getGroups", json!([])).await
    }

    /// The members of a group with their keys.
    pub async fn members(&self, group: B256) -> Result<Vec<MemberRecord>, PrivateClientError> {
        Ok(Groups::of(&self.chain)?.members(group).await?)
    }

    /// Has a payload forgotten by every holder.
    pub async fn erase(&self, digest: B256, reason: &str) -> Result<Erasure, PrivateClientError> {
        self.rpc.call("priv_erase", json!([digest, reason])).await
    }

    /// How far an erasure has come; `None` where there is none.
    pub async fn erasure(&self, digest: B256) -> Result<Option<Erasure>, PrivateClientError> {
        self.rpc.call("priv_getErasure", json!([digest])).await
    }

    /// How far a group has come on the node.
    pub async fn status(&self, group: B256) -> Result<GroupStatus, PrivateClientError> {
        self.rpc.call("priv_getGroupStatus", json!([group])).await
    }

    /// How far the delivery of a transaction has come; `None` for those of others.
    pub async fn delivery(
        &self,
        digest: B256,
    ) -> Result<Option<DeliveryStatus>, PrivateClientError> {
        self.rpc
            .call("priv_getDeliveryStatus", json!([digest]))
            .await
    }

    /// The party that the token acts as.
    pub async fn party(&self) -> Result<LocalParty, PrivateClientError> {
        #[derive(serde::Deserialize)]
        struct Found {
            party: LocalParty,
        }
        let found: Found = self.rpc.call("priv_getParty", json!([])).await?;
        Ok(found.party)
    }

    /// What a transaction did; `None` before its block is final.
    pub async fn receipt(
        &self,
        digest: B256,
    ) -> Result<Option<PrivateReceipt>, PrivateClientError> {
        self.rpc
            .call("priv_getTransactionReceipt", json!([digest]))
            .await
    }

    /// Waits until a transaction has run; its failure is an error.
    pub async fn wait(&self, digest: B256) -> Result<PrivateReceipt, PrivateClientError> {
        let end = Instant::now() + Duration::from_secs(PRIVATE_RECEIPT_SECONDS_MAX);
        let mut pause = RECEIPT_PAUSE_FIRST;
        loop {
            if let Some(receipt) = self.receipt(digest).await? {
                return settled(receipt);
            }
            let delivery = self.delivery(digest).await?;
            if let Some(reason) = delivery.and_then(|delivery| delivery.failure) {
                return Err(PrivateClientError::NotDelivered { digest, reason });
            }
            if Instant::now() + pause > end {
                return Err(PrivateClientError::NoReceipt {
                    digest,
                    seconds: PRIVATE_RECEIPT_SECONDS_MAX,
                });
            }
            tokio::time::sleep(pause).await;
            pause = (pause + pause / 2).min(RECEIPT_PAUSE_LAST);
        }
    }

    /// Code of a private contract; empty where there is none.
    pub async fn code(&self, group: B256, address: Address) -> Result<Bytes, PrivateClientError> {
        self.rpc
            .call("priv_getCode", json!([group, address, "latest"]))
            .await
    }

    /// Logs of private contracts; `filter` as `eth_getLogs` takes it.
    pub async fn logs(
        &self,
        group: B256,
        filter: Value,
    ) -> Result<Vec<PrivateLog>, PrivateClientError> {
        self.rpc.call("priv_getLogs", json!([group, filter])).await
    }

    /// Transactions of an account in a group that were executed.
    pub async fn transaction_count(
        &self,
        group: B256,
        address: Address,
    ) -> Result<u64, PrivateClientError> {
        let count: U64 = self
            .rpc
            .call("priv_getTransactionCount", json!([group, address]))
            .await?;
        Ok(count.to())
    }

    /// Gas with which a call would succeed as a transaction, and a quarter more, because state may
    /// move until it runs.
    pub async fn estimate(
        &self,
        group: B256,
        kind: TxKind,
        data: &Bytes,
    ) -> Result<u64, PrivateClientError> {
        let request = self.request(kind, data);
        let gas: U64 = self
            .rpc
            .call("priv_estimateGas", json!([group, request]))
            .await?;
        let gas: u64 = gas.to();
        Ok(gas.saturating_add(gas / 4).min(PRIVATE_GAS_MAX))
    }

    /// A transaction ready to be sent, for [`Self::submit`] or for another node of the party.
    pub async fn sign(
        &self,
        group: B256,
        kind: TxKind,
        data: Bytes,
        gas: Option<u64>,
    ) -> Result<SignedPrivateTransaction, PrivateClientError> {
        let (mode, gas) = self.terms(group, kind, &data, gas).await?;
        let nonce = self.next_nonce(group).await?;
        let transaction = PrivateTransaction::new(group, mode, kind, nonce, gas, data)?;
        let account = self.chain.account()?;
        Ok(transaction.sign(account, self.chain.chain_id())?)
    }

    /// Gives a signed transaction to the node.
    pub async fn submit(
        &self,
        transaction: &SignedPrivateTransaction,
    ) -> Result<Sent, PrivateClientError> {
        self.rpc
            .call("priv_sendTransaction", json!([transaction]))
            .await
    }

    async fn transact(
        &self,
        group: B256,
        kind: TxKind,
        data: Bytes,
        gas: Option<u64>,
    ) -> Result<Sent, PrivateClientError> {
        let (mode, gas) = self.terms(group, kind, &data, gas).await?;
        let account = self.chain.account()?;
        let key = (group, account.address());
        // From nonce to acceptance nobody else of this client signs in this group.
        let mut nonces = self.nonces.lock().await;
        let executed = self.transaction_count(group, key.1).await?;
        let nonce = executed.max(nonces.get(&key).copied().unwrap_or_default());
        let transaction = PrivateTransaction::new(group, mode, kind, nonce, gas, data)?;
        let signed = transaction.sign(account, self.chain.chain_id())?;
        match self.submit(&signed).await {
            Ok(sent) => {
                nonces.insert(key, nonce + 1);
                Ok(sent)
            }
            Err(error) => {
                // Whether it counts is the node's to say next time.
                nonces.remove(&key);
                Err(error)
            }
        }
    }

    async fn terms(
        &self,
        group: B256,
        kind: TxKind,
        data: &Bytes,
        gas: Option<u64>,
    ) -> Result<(u8, u64), PrivateClientError> {
        let gas = match gas {
            Some(gas) => gas,
            None => self.estimate(group, kind, data).await?,
        };
        // The node knows groups that the contract does not: those made of a list of recipients.
        let groups = self.groups().await?;
        let found = groups.iter().find(|summary| summary.id == group);
        let found = found.ok_or_else(|| PrivateClientError::Unknown {
            what: "private group of this party",
            id: group.to_string(),
        })?;
        let mode = u8::try_from(found.mode).map_err(|_| PrivateClientError::BadAnswer {
            method: "priv_getGroups",
            reason: format!("{} is no mode", found.mode),
        })?;
        Ok((mode, gas))
    }

    async fn next_nonce(&self, group: B256) -> Result<u64, PrivateClientError> {
        let address = self.chain.account()?.address();
        let executed = self.transaction_count(group, address).await?;
        let nonces = self.nonces.lock().await;
        let own = nonces.get(&(group, address)).copied();
        Ok(executed.max(own.unwrap_or_default()))
    }

    fn request(&self, kind: TxKind, data: &Bytes) -> Value {
        let mut request = json!({ "input": data });
        if let Some(to) = kind.to() {
            request["to"] = json!(to);
        }
        if let Ok(account) = self.chain.account() {
            request["from"] = json!(account.address());
        }
        request
    }
}

fn settled(receipt: PrivateReceipt) -> Result<PrivateReceipt, PrivateClientError> {
    if receipt.status {
        Ok(receipt)
    } else {
        Err(PrivateClientError::Failed(Box::new(receipt)))
    }
}
