//! A load of private transactions that goes on while nodes and enclaves die: every
//! account sends its nonces in a row, and sends one again until a node has said that
//! it took it.

use super::{PrivateNetwork, account_of, adding, token_of};
use crate::processes::PATIENCE;
use alloy_primitives::{Address, B256, TxKind};
use medina_sdk::{
    private::{PrivateRpc, PrivateTransaction, Sent, SignedPrivateTransaction},
    wallet::Account,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet, time::Instant};

/// Gas of one addition.
const GAS: u64 = 200_000;
/// Pause before a node that did not answer is asked again.
const PAUSE: Duration = Duration::from_millis(50);
/// First of the accounts that send.
const ACCOUNTS: u32 = 20;
/// Taken and not settled, per account; beyond it the sender waits.
const AHEAD_MAX: u64 = 8;

/// A load on some organisations' nodes.
#[derive(Debug)]
pub struct PrivateLoad {
    taken: watch::Receiver<u64>,
    stop: watch::Sender<bool>,
    senders: JoinSet<Outcome>,
}

/// What an account has sent in the end.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Number of the organisation.
    pub org: usize,
    /// The account.
    pub account: Address,
    /// Its transactions: nonces 0 to this number.
    pub sent: u64,
    /// What they add up to.
    pub sum: u64,
    /// Digest of the last answer to each.
    pub digests: Vec<B256>,
}

impl Outcome {
    fn new(org: usize) -> Self {
        Self {
            org,
            account: account_for(org).address(),
            sent: 0,
            sum: 0,
            digests: Vec::new(),
        }
    }
}

fn account_for(org: usize) -> Account {
    account_of(ACCOUNTS + u32::try_from(org).expect("small"))
}

/// Where an account sends.
struct Place {
    url: String,
    token: String,
    chain_id: u64,
    group: B256,
    mode: u8,
    contract: Address,
}

impl PrivateLoad {
    /// Begins to add to a counter from an account of each organisation, by its node.
    ///
    /// # Panics
    /// When the organisations' nodes do not answer now.
    pub async fn start(
        network: &PrivateNetwork,
        orgs: &[usize],
        place: (B256, u8),
        contract: Address,
    ) -> Self {
        let fresh: Vec<_> = orgs.iter().map(|org| Outcome::new(*org)).collect();
        Self::start_from(network, &fresh, place, contract).await
    }

    /// Goes on where a load ended.
    ///
    /// # Panics
    /// When the organisations' nodes do not answer now.
    pub async fn start_from(
        network: &PrivateNetwork,
        outcomes: &[Outcome],
        (group, mode): (B256, u8),
        contract: Address,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (count, taken) = watch::channel(0);
        let count = Arc::new(count);
        let mut senders = JoinSet::new();
        for outcome in outcomes {
            let org = outcome.org;
            let account = account_for(org);
            let place = Place {
                url: network.network.rpc_url(network.setup.places[org]),
                token: token_of(org),
                chain_id: network.tenant(org, 0).await.chain().chain_id(),
                group,
                mode,
                contract,
            };
            let (count, stopped) = (count.clone(), stopped.clone());
            senders.spawn(send(account, place, outcome.clone(), (count, stopped)));
        }
        Self {
            taken,
            stop,
            senders,
        }
    }

    /// Transactions that nodes have taken so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        *self.taken.borrow()
    }

    /// Waits until the nodes have taken so many.
    ///
    /// # Panics
    /// When the senders are gone.
    pub async fn reaches(&mut self, count: u64) {
        let reached = self.taken.wait_for(|taken| *taken >= count).await;
        reached.expect("the senders go on");
    }

    /// Ends the load once every transaction begun is taken.
    ///
    /// # Panics
    /// When a sender failed.
    pub async fn finish(mut self) -> Vec<Outcome> {
        self.stop.send_replace(true);
        let mut outcomes = Vec::new();
        while let Some(outcome) = self.senders.join_next().await {
            outcomes.push(outcome.expect("a sender ends well"));
        }
        outcomes
    }
}

async fn send(
    account: Account,
    place: Place,
    mut outcome: Outcome,
    (count, stop): (Arc<watch::Sender<u64>>, watch::Receiver<bool>),
) -> Outcome {
    while !*stop.borrow() {
        let nonce = outcome.sent;
        let number = nonce % 100 + 1;
        let (to, data) = (TxKind::Call(place.contract), adding(number, ""));
        let transaction = PrivateTransaction::new(place.group, place.mode, to, nonce, GAS, data);
        let signed = transaction
            .expect("a small one")
            .sign(&account, place.chain_id)
            .expect("the account signs");
        outcome.digests.push(take(&place, &signed).await);
        outcome.sent += 1;
        outcome.sum += number;
        count.send_modify(|count| *count += 1);
        while !*stop.borrow() && settled(&place, outcome.account).await + AHEAD_MAX <= outcome.sent
        {
            tokio::time::sleep(PAUSE).await;
        }
    }
    outcome
}

/// Offers a transaction until the node says that it has it.
async fn take(place: &Place, signed: &SignedPrivateTransaction) -> B256 {
    let started = Instant::now();
    loop {
        let rpc = PrivateRpc::new(&place.url, Some(&place.token)).expect("a client");
        let sent: Result<Sent, _> = rpc.call("priv_sendTransaction", json!([signed])).await;
        let error = match sent {
            Ok(sent) => return sent.digest,
            Err(error) => error,
        };
        let has_patience = started.elapsed() < 2 * PATIENCE;
        assert!(has_patience, "nonce {} is not taken: {error}", signed.nonce);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Transactions of an account that were executed, as far as the node says.
async fn settled(place: &Place, account: Address) -> u64 {
    let rpc = PrivateRpc::new(&place.url, Some(&place.token)).expect("a client");
    let params = json!([place.group, account]);
    let count: Result<alloy_primitives::U64, _> =
        rpc.call("priv_getTransactionCount", params).await;
    count.map_or(0, |count| count.to())
}
