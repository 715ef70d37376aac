//! The figures of `docs/private-transactions.md`: private transactions per second
//! where all four nodes are members, and how much longer a private receipt takes than
//! a public one, both in one run.

use crate::reliability::{Figure, percentile};
use alloy_primitives::{Address, B256, TxKind, U256};
use alloy_signer_local::PrivateKeySigner;
use medina_sdk::private::{PrivateMode, PrivateTransaction, SignedPrivateTransaction};
use medina_tests::{
    chaos::clients::{numbered_transfer, test_account},
    private::{PrivateNetwork, account_of, adding, deploy_counter, token_of},
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{task::JoinSet, time::Instant};

/// Accounts that send at the same time by each node.
const ACCOUNTS_PER_NODE: u32 = 20;
/// First of the accounts that send.
const FIRST_ACCOUNT: u32 = 100;
/// Account that waits for one receipt after the other, private and public in turn.
const WAITING: u32 = 8;
/// Gas of a private transaction.
const GAS: u64 = 200_000;
/// Time between two looks for a receipt, private or public.
const LOOK_PERIOD: Duration = Duration::from_millis(2);
/// How long anything may take at all.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Amounts {
    /// Private transactions of the run for the rate.
    pub transactions: u32,
    /// Receipts that are waited for, of each kind.
    pub receipts: u32,
}

/// One node's JSON-RPC, as its party.
#[derive(Clone, Debug)]
struct Place {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Place {
    async fn ask(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = self.client.post(&self.url).json(&body);
        let request = request.header("x-api-key", &self.token);
        let answer = request.send().await.expect("the node answers");
        let mut answer: Value = answer.json().await.expect("it answers JSON");
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].take()
    }

    /// From sending to the receipt, looked for as often as the other kind's.
    async fn waited(&self, send: (&str, Value), receipt: (&str, &str)) -> Duration {
        let (method, field) = receipt;
        let started = Instant::now();
        let sent = self.ask(send.0, send.1).await;
        let name = if field.is_empty() {
            sent
        } else {
            sent[field].clone()
        };
        while self.ask(method, json!([name])).await.is_null() {
            assert!(started.elapsed() < PATIENCE, "no receipt for {name}");
            tokio::time::sleep(LOOK_PERIOD).await;
        }
        started.elapsed()
    }
}

/// A group of all four nodes' organisations and a contract in it.
struct Deal {
    chain_id: u64,
    group: B256,
    counter: Address,
}

impl Deal {
    fn addition(&self, account: u32, nonce: u64, number: u64) -> SignedPrivateTransaction {
        let to = TxKind::Call(self.counter);
        let transaction =
            PrivateTransaction::new(self.group, 0, to, nonce, GAS, adding(number, ""));
        let signed = transaction.map(|one| one.sign(&account_of(account), self.chain_id));
        signed.expect("a small one").expect("the account signs")
    }
}

/// Four validators that share a group: rate first, receipts afterwards.
///
/// # Panics
/// When the network does not start, or a transaction is not taken or does not settle.
pub async fn measure(amounts: Amounts) -> Vec<Figure> {
    let network = PrivateNetwork::start().await;
    let group = network.group(&[0, 1, 2, 3], PrivateMode::Standard).await;
    let first = network.party(0, 0).await;
    let deal = Deal {
        chain_id: first.chain().chain_id(),
        group,
        counter: deploy_counter(&first, group).await,
    };
    network.same_root(&[0, 1, 2, 3], group).await;
    let client = reqwest::Client::new();
    let places: Vec<_> = (0..4)
        .map(|node| Place {
            client: client.clone(),
            url: network.network.rpc_url(node),
            token: token_of(node),
        })
        .collect();
    let mut figures = vec![rate(&deal, &places, amounts.transactions).await];
    figures.extend(receipts(&deal, &places[0], amounts.receipts).await);
    network.same_root(&[0, 1, 2, 3], group).await;
    figures
}

/// From the first transaction sent to the last one executed at all four nodes.
async fn rate(deal: &Deal, places: &[Place], transactions: u32) -> Figure {
    let senders = ACCOUNTS_PER_NODE * u32::try_from(places.len()).expect("four");
    let each = u64::from(transactions.div_ceil(senders));
    // Signed before the clock starts: signing is the clients' work.
    let mut rows = Vec::new();
    for sender in 0..senders {
        let place = &places[sender as usize % places.len()];
        let account = FIRST_ACCOUNT + sender;
        let row: Vec<_> = (0..each)
            .map(|nonce| deal.addition(account, nonce, 1))
            .collect();
        rows.push((place.clone(), row));
    }
    let started = Instant::now();
    let mut sending = JoinSet::new();
    for (place, row) in rows {
        sending.spawn(async move {
            for signed in row {
                place.ask("priv_sendTransaction", json!([signed])).await;
            }
        });
    }
    sending.join_all().await;
    let taken = started.elapsed();
    let all = each * u64::from(senders);
    for place in places {
        let call = json!([deal.group, { "to": deal.counter, "input": "0x" }]);
        loop {
            let word = place.ask("priv_call", call.clone()).await;
            let count: Option<U256> = serde_json::from_value(word).ok();
            if count == Some(U256::from(all)) {
                break;
            }
            assert!(started.elapsed() < PATIENCE, "{count:?} of {all} settled");
            tokio::time::sleep(LOOK_PERIOD).await;
        }
    }
    let settled = started.elapsed();
    Figure {
        name: format!(
            "{all} private transactions of {senders} accounts, four members (taken in {:.1} s)",
            taken.as_secs_f64()
        ),
        measured: format!("{:.1} /s", all as f64 / settled.as_secs_f64()),
        goal: "none".to_owned(),
        is_met: true,
    }
}

/// Private and public in turn, so that both meet the same machine.
async fn receipts(deal: &Deal, place: &Place, count: u32) -> Vec<Figure> {
    let payer: PrivateKeySigner = test_account(WAITING);
    let (mut private, mut public) = (Vec::new(), Vec::new());
    for number in 0..u64::from(count) {
        let signed = deal.addition(WAITING, number, 1);
        let send = ("priv_sendTransaction", json!([signed]));
        let receipt = ("priv_getTransactionReceipt", "digest");
        private.push(place.waited(send, receipt).await);
        let to = Address::repeat_byte(0xfe);
        let (_, encoded) = numbered_transfer(&payer, to, (deal.chain_id, number), number);
        let send = ("eth_sendRawTransaction", json!([encoded]));
        let receipt = ("eth_getTransactionReceipt", "");
        public.push(place.waited(send, receipt).await);
    }
    let figure = |kind: &str, times: &[Duration]| Figure {
        name: format!("from sending to a {kind} receipt, {count} in a row"),
        measured: format!(
            "p50 {:.0} ms, p99 {:.0} ms",
            percentile(times, 50).as_secs_f64() * 1_000.0,
            percentile(times, 99).as_secs_f64() * 1_000.0
        ),
        goal: "none".to_owned(),
        is_met: true,
    };
    vec![figure("private", &private), figure("public", &public)]
}
