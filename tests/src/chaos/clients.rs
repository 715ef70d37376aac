//! Clients that send numbered transfers through JSON-RPC until each has a receipt.
//!
//! Every client owns an account. It signs a handful of transfers, sends them in
//! any order to any node, asks any node for their receipts, and sends again what
//! has none. Some nonces are signed twice with different numbers and sent to
//! different nodes: only one of the two may ever count.

use super::history::Acknowledgement;
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use alloy_signer::SignerSync as _;
use alloy_signer_local::{MnemonicBuilder, PrivateKeySigner, coins_bip39::English};
use medina_genesis::TEST_MNEMONIC;
use rand::{Rng as _, SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use tokio::{sync::watch, time::Instant};

/// Transfers of one client that wait for a receipt at the same time.
const WINDOW_MAX: usize = 8;
/// One transfer in so many is signed twice.
const CONTESTED_ONE_IN: u32 = 10;
/// How long a client waits for an answer. A paused node never answers.
const ANSWER_PATIENCE: Duration = Duration::from_millis(1_500);
/// Time between two looks for receipts.
const LOOK_PERIOD: Duration = Duration::from_millis(50);
/// Looks after which everything without a receipt is sent again.
const LOOKS_PER_RESEND: u32 = 10;
/// Gas of a transfer with a number.
const TRANSFER_GAS: u64 = 30_000;

/// JSON-RPC of all nodes.
#[derive(Clone, Debug)]
pub struct Nodes {
    client: reqwest::Client,
    urls: Vec<String>,
}

impl Nodes {
    /// Nodes at these addresses.
    ///
    /// # Panics
    /// When no HTTP client can be made.
    #[must_use]
    pub fn new(urls: Vec<String>) -> Self {
        let client = reqwest::Client::builder()
            .timeout(ANSWER_PATIENCE)
            .build()
            .expect("an HTTP client without special needs");
        Self { client, urls }
    }

    /// Number of nodes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a network has nodes")]
    pub fn len(&self) -> usize {
        self.urls.len()
    }

    /// Calls a node: its answer or error object, `None` when it does not answer.
    pub async fn call(&self, node: usize, method: &str, params: Value) -> Option<Value> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = self.client.post(&self.urls[node]).json(&body);
        request.send().await.ok()?.json().await.ok()
    }

    /// Sends a batch of calls: the answers, `None` when there are none.
    pub async fn batch(&self, node: usize, calls: &Value) -> Option<Value> {
        let request = self.client.post(&self.urls[node]).json(calls);
        request.send().await.ok()?.json().await.ok()
    }

    /// Result of a call, `None` when there is none.
    pub async fn result(&self, node: usize, method: &str, params: Value) -> Option<Value> {
        let answer = self.call(node, method, params).await?;
        answer
            .get("result")
            .filter(|result| !result.is_null())
            .cloned()
    }
}

/// What a client has to tell in the end.
#[derive(Clone, Debug, Default)]
pub struct ClientReport {
    /// Receipts that it read.
    pub acknowledged: Vec<Acknowledgement>,
    /// Everything it signed, with the receiver.
    pub offered: BTreeMap<B256, Address>,
    /// From signing to receipt, one entry per nonce.
    pub waits_ms: Vec<u64>,
    /// Nonces without a receipt when its patience ended.
    pub unanswered: Vec<u64>,
}

/// One account and its transfers.
#[derive(Debug)]
pub struct Client {
    signer: PrivateKeySigner,
    receiver: Address,
    chain_id: u64,
    random: ChaCha8Rng,
    nodes: Nodes,
    next_nonce: u64,
    number: u64,
    report: ClientReport,
}

/// A nonce and the transactions that claim it.
struct Waiting {
    nonce: u64,
    versions: Vec<(B256, String)>,
    since: Instant,
}

/// Receiver of a client's transfers: an account that nobody else pays.
#[must_use]
pub fn receiver(index: u32) -> Address {
    Address::left_padding_from(&[0xc0, 0xff, 0xee, index.to_le_bytes()[0]])
}

/// Account `index` of the test mnemonic.
///
/// # Panics
/// Never: the mnemonic is valid.
#[must_use]
pub fn test_account(index: u32) -> PrivateKeySigner {
    MnemonicBuilder::<English>::default()
        .phrase(TEST_MNEMONIC)
        .index(index)
        .and_then(|builder| builder.build())
        .expect("the test mnemonic has this account")
}

/// A signed transfer of one wei that carries a number: hash and encoding.
///
/// # Panics
/// Never: a key in memory signs anything.
#[must_use]
pub fn numbered_transfer(
    signer: &PrivateKeySigner,
    to: Address,
    (chain_id, nonce): (u64, u64),
    number: u64,
) -> (B256, String) {
    let transaction = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: TRANSFER_GAS,
        to: TxKind::Call(to),
        value: U256::from(1),
        input: Bytes::copy_from_slice(&number.to_be_bytes()),
        ..TxEip1559::default()
    };
    let signature = signer
        .sign_hash_sync(&transaction.signature_hash())
        .expect("a key in memory signs anything");
    let signed = TxEnvelope::from(transaction.into_signed(signature));
    (
        *signed.tx_hash(),
        hex::encode_prefixed(signed.encoded_2718()),
    )
}

impl Client {
    /// The client of account `index`, with randomness of its own.
    #[must_use]
    pub fn new(nodes: Nodes, index: u32, chain_id: u64, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(u64::from(index) + 1);
        Self {
            signer: test_account(index),
            receiver: receiver(index),
            chain_id,
            random,
            nodes,
            next_nonce: 0,
            number: 0,
            report: ClientReport::default(),
        }
    }

    /// Sends until told to stop, then until everything has a receipt or
    /// `patience` is over.
    pub async fn run(
        mut self,
        mut stop: watch::Receiver<bool>,
        patience: Duration,
    ) -> ClientReport {
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut looks = 0;
        let mut deadline = None;
        loop {
            if *stop.borrow_and_update() {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + patience);
                if waiting.is_empty() || Instant::now() > deadline {
                    break;
                }
            } else if waiting.is_empty() {
                waiting = self.sign_some();
                self.send(&waiting).await;
                looks = 0;
            }
            tokio::time::sleep(LOOK_PERIOD).await;
            self.look(&mut waiting).await;
            looks += 1;
            if looks % LOOKS_PER_RESEND == 0 {
                self.send(&waiting).await;
            }
        }
        let unanswered = waiting.iter().map(|entry| entry.nonce);
        self.report.unanswered = unanswered.collect();
        self.report
    }

    fn sign_some(&mut self) -> Vec<Waiting> {
        let count = self.random.random_range(1..=WINDOW_MAX);
        (0..count).map(|_| self.sign()).collect()
    }

    fn sign(&mut self) -> Waiting {
        let nonce = self.next_nonce;
        self.next_nonce += 1;
        let is_contested = self.random.random_ratio(1, CONTESTED_ONE_IN);
        let versions = (0..=usize::from(is_contested))
            .map(|_| {
                self.number += 1;
                let place = (self.chain_id, nonce);
                numbered_transfer(&self.signer, self.receiver, place, self.number)
            })
            .collect::<Vec<_>>();
        for (hash, _) in &versions {
            self.report.offered.insert(*hash, self.receiver);
        }
        Waiting {
            nonce,
            versions,
            since: Instant::now(),
        }
    }

    fn any_node(&mut self) -> usize {
        let count = self.nodes.len();
        self.random.random_range(0..count)
    }

    /// Each transaction to a node of its own choice, in any order, all at once.
    async fn send(&mut self, waiting: &[Waiting]) {
        let mut orders: Vec<_> = waiting
            .iter()
            .flat_map(|entry| &entry.versions)
            .map(|(_, encoded)| (self.any_node(), encoded.clone()))
            .collect();
        orders.shuffle(&mut self.random);
        let sends = orders.into_iter().map(|(node, encoded)| {
            let nodes = self.nodes.clone();
            // "Already known" and "nonce too low" are fine; receipts decide.
            async move {
                nodes
                    .call(node, "eth_sendRawTransaction", json!([encoded]))
                    .await
            }
        });
        futures::future::join_all(sends).await;
    }

    /// Asks some node for every receipt.
    async fn look(&mut self, waiting: &mut Vec<Waiting>) {
        let node = self.any_node();
        let asked = waiting
            .iter()
            .flat_map(|entry| entry.versions.iter().map(|(hash, _)| (entry.nonce, *hash)));
        let asks = asked.map(|(nonce, hash)| {
            let nodes = self.nodes.clone();
            async move {
                let receipt = nodes
                    .result(node, "eth_getTransactionReceipt", json!([hash]))
                    .await?;
                Some((nonce, hash, height_and_hash(&receipt)?))
            }
        });
        let receipts = futures::future::join_all(asks).await;
        for (nonce, transaction, (height, block)) in receipts.into_iter().flatten() {
            self.report.acknowledged.push(Acknowledgement {
                sender: self.signer.address(),
                nonce,
                transaction,
                height,
                block,
                node,
            });
            if let Some(index) = waiting.iter().position(|entry| entry.nonce == nonce) {
                let answered = waiting.swap_remove(index);
                let waited = answered.since.elapsed().as_millis();
                let waited = u64::try_from(waited).unwrap_or(u64::MAX);
                self.report.waits_ms.push(waited);
            }
        }
    }
}

/// Reads `blockNumber` and `blockHash`.
fn height_and_hash(receipt: &Value) -> Option<(u64, B256)> {
    Some((
        quantity(&receipt["blockNumber"])?,
        receipt["blockHash"].as_str()?.parse().ok()?,
    ))
}

/// Reads a hexadecimal quantity.
#[must_use]
pub fn quantity(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}
