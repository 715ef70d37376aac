//! The marker account: signs markers, and what the private side has to tell the
//! contract, and sends each again until it is in a block.
//!
//! Which transaction has which nonce is decided in `nonces` and written before the
//! transaction leaves, so that a restart sends the same bytes again.

mod account;
mod bids;
mod pool;

pub(crate) use account::{AccountError, load_account};

use crate::{
    chain::HeadAccounts,
    private::{
        members::blocking,
        nonces::{Assigned, Nonces},
        rows::SentMarker,
        shared::Shared,
    },
};
use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, keccak256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use bids::{bid, bid_of};
use medina_pool::AccountView as _;
use medina_storage::StorageError;
use medina_types::{MARKER_ADDRESS, Marker};
use parking_lot::Mutex;
use pool::{input_of, outcome, submit};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Notify, watch};
use tracing::{debug, info, warn};

/// Gas limit of a marker: 21,000, its 64 bytes, the precompile, and room.
const MARKER_GAS_LIMIT: u64 = 40_000;
/// How often transactions that wait are looked at without being told to.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// How often the same trouble is said again.
const COMPLAINT_PERIOD_MS: u64 = 60_000;

/// A transaction that is to get into a block.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Job {
    to: Address,
    input: Bytes,
    gas: u64,
}

#[derive(Debug, Default)]
struct Jobs {
    nonces: Nonces,
    jobs: BTreeMap<B256, Job>,
    /// As in the private database.
    sent: BTreeMap<u64, SentMarker>,
    complained_at_ms: Option<u64>,
}

/// The account and what it has to send.
pub(crate) struct Sending {
    signer: PrivateKeySigner,
    jobs: Mutex<Jobs>,
    wake: Notify,
}

impl Sending {
    /// With the transactions that were sent before a restart.
    pub(crate) fn new(signer: PrivateKeySigner, sent: Vec<(u64, SentMarker)>) -> Self {
        let mut jobs = Jobs::default();
        for (nonce, sent) in sent {
            jobs.nonces.restore(B256::from(sent.digest), nonce);
            jobs.sent.insert(nonce, sent);
        }
        Self {
            signer,
            jobs: Mutex::new(jobs),
            wake: Notify::new(),
        }
    }

    /// The account.
    pub(crate) const fn address(&self) -> Address {
        self.signer.address()
    }

    /// Sends a marker until it is in a block.
    pub(crate) fn send_marker(&self, marker: &Marker) {
        let job = Job {
            to: MARKER_ADDRESS,
            input: marker.input(),
            gas: MARKER_GAS_LIMIT,
        };
        self.add(marker.digest, job);
    }

    /// Sends a call until it is in a block; the same one is sent once. Answers
    /// its name.
    pub(crate) fn send_call(&self, to: Address, input: Bytes, gas: u64) -> B256 {
        let name = keccak256([to.as_slice(), &input].concat());
        self.add(name, Job { to, input, gas });
        name
    }

    fn add(&self, name: B256, job: Job) {
        let mut jobs = self.jobs.lock();
        // Another job of the same name is the same marker with another tag.
        if jobs.jobs.insert(name, job.clone()) != Some(job) {
            jobs.nonces.add(name);
            self.wake.notify_one();
        }
    }

    /// Sends a transaction no more; one that has a nonce is sent on until the chain
    /// has passed it, since those behind it need it.
    pub(crate) fn finish(&self, name: B256) {
        let mut jobs = self.jobs.lock();
        jobs.nonces.remove(name);
        jobs.jobs.remove(&name);
    }

    /// Gives up a transaction that nobody has signed yet; false for one that may be in a
    /// pool or a block.
    pub(crate) fn withdraw(&self, name: B256) -> bool {
        let mut jobs = self.jobs.lock();
        let mut sent = jobs.sent.values();
        if sent.any(|sent| B256::from(sent.digest) == name) || jobs.nonces.has_nonce(name) {
            return false;
        }
        jobs.nonces.remove(name);
        jobs.jobs.remove(&name);
        true
    }

    /// How many wait for a block.
    pub(crate) fn len(&self) -> usize {
        self.jobs.lock().nonces.len()
    }

    /// Looks at everything that waits. Call on a thread that may block.
    fn step(&self, shared: &Shared) -> Result<(), StorageError> {
        let mut jobs = self.jobs.lock();
        let accounts = HeadAccounts(&shared.chain.store);
        let next = match accounts.nonce_and_balance(self.address()) {
            Ok((next, _)) => next,
            Err(error) => {
                debug!(%error, "the marker account's nonce cannot be read now");
                return Ok(());
            }
        };
        self.forget_passed(&mut jobs, next, shared)?;
        let trouble = self.submit_all(&mut jobs, next, shared)?;
        let now_ms = shared.now_ms();
        let is_due = jobs
            .complained_at_ms
            .is_none_or(|at_ms| now_ms.saturating_sub(at_ms) >= COMPLAINT_PERIOD_MS);
        if let Some(reason) = trouble.as_ref().filter(|_| is_due) {
            jobs.complained_at_ms = Some(now_ms);
            warn!(account = %self.address(), reason,
                "the pool does not take a transaction of the marker account; it is tried again");
        }
        Ok(())
    }

    /// Makes and submits what has a nonce; answers what the pool has against it.
    fn submit_all(
        &self,
        jobs: &mut Jobs,
        next: u64,
        shared: &Shared,
    ) -> Result<Option<String>, StorageError> {
        let mut row = VecDeque::from(jobs.nonces.assign(next));
        while let Some(assigned) = row.pop_front() {
            let sent = match self.transaction(jobs, assigned, shared)? {
                Made::Signed(sent) => sent,
                Made::Unwanted => {
                    // Others move up.
                    let Jobs { nonces, sent, .. } = &mut *jobs;
                    nonces.vacate(assigned.nonce, |nonce| sent.contains_key(&nonce));
                    row = VecDeque::from(jobs.nonces.assign(next));
                    row.retain(|one| one.nonce >= assigned.nonce);
                    continue;
                }
                Made::NotSigned => break,
            };
            match submit(shared, &sent.raw) {
                Ok(true) => note_sent(shared, &sent)?,
                Ok(false) => {}
                Err(reason) => return Ok(Some(reason)),
            }
        }
        Ok(None)
    }

    /// What the chain has passed is done if it is in a block and did what it should.
    fn forget_passed(
        &self,
        jobs: &mut Jobs,
        next: u64,
        shared: &Shared,
    ) -> Result<(), StorageError> {
        let ahead = jobs.sent.split_off(&next);
        let passed = std::mem::replace(&mut jobs.sent, ahead);
        if passed.is_empty() {
            return Ok(());
        }
        for sent in passed.values() {
            let name = B256::from(sent.digest);
            let outcome = outcome(shared, keccak256(&sent.raw))?;
            if is_done(jobs.jobs.get(&name), input_of(&sent.raw).as_ref(), outcome) {
                jobs.nonces.remove(name);
                jobs.jobs.remove(&name);
            }
        }
        let nonces: Vec<_> = passed.into_keys().collect();
        shared.rows.delete_sent_markers(&nonces)
    }

    /// The signed transaction of a nonce: as it was sent before, or made and written.
    fn transaction(
        &self,
        jobs: &mut Jobs,
        assigned: Assigned,
        shared: &Shared,
    ) -> Result<Made, StorageError> {
        let Assigned { digest, nonce } = assigned;
        let known = jobs.sent.get(&nonce);
        let base_fee = u128::from(shared.chain.next_base_fee());
        if let Some(sent) = known.filter(|sent| bid_of(shared, &sent.raw).fee >= base_fee) {
            return Ok(Made::Signed(sent.clone()));
        }
        let Some(job) = jobs.jobs.get(&digest) else {
            // Sent before a restart, and nobody has asked for it since.
            return Ok(known.cloned().map_or(Made::Unwanted, Made::Signed));
        };
        let bid = bid(base_fee, known.map(|sent| bid_of(shared, &sent.raw)));
        let transaction = TxEip1559 {
            chain_id: shared.chain.spec.chain_id,
            nonce,
            gas_limit: job.gas,
            max_fee_per_gas: bid.fee,
            max_priority_fee_per_gas: bid.tip,
            to: TxKind::Call(job.to),
            input: job.input.clone(),
            ..TxEip1559::default()
        };
        let signature = match self.signer.sign_hash_sync(&transaction.signature_hash()) {
            Ok(signature) => signature,
            Err(error) => {
                warn!(%error, "the marker account cannot sign");
                return Ok(Made::NotSigned);
            }
        };
        let sent = SentMarker {
            digest: digest.0,
            raw: transaction.into_signed(signature).encoded_2718_envelope(),
        };
        shared.rows.put_sent_marker(nonce, &sent)?;
        jobs.sent.insert(nonce, sent.clone());
        Ok(Made::Signed(sent))
    }
}

/// What became of a nonce.
enum Made {
    /// A transaction that is to be in the pool.
    Signed(SentMarker),
    /// Nobody asks for it any more, and nothing was signed.
    Unwanted,
    /// The account cannot sign now.
    NotSigned,
}

/// Whether a job is done, of whose transaction the chain has passed the nonce. One that
/// nobody has asked for since a restart is not waited for: who wants it asks again. A
/// marker that was given another tag since is not done. A call that was taken back would
/// be so again; whoever asked looks whether it is still wanted.
fn is_done(job: Option<&Job>, input: Option<&Bytes>, outcome: Option<bool>) -> bool {
    let Some(job) = job else {
        return true;
    };
    match outcome {
        Some(has_succeeded) if job.to == MARKER_ADDRESS => {
            has_succeeded && input == Some(&job.input)
        }
        Some(_) => true,
        None => false,
    }
}

/// A marker is in the pool, with its tag.
fn note_sent(shared: &Shared, sent: &SentMarker) -> Result<(), StorageError> {
    let input = input_of(&sent.raw);
    let tag = input.as_ref().and_then(|input| input.get(32..64));
    let Some(tag) = tag.map(B256::from_slice) else {
        return Ok(());
    };
    let digest = B256::from(sent.digest);
    let changed = shared
        .outbox
        .lock()
        .on_sent(digest, tag, keccak256(&sent.raw));
    match changed {
        Some(delivery) => shared.write_delivery(&delivery),
        None => Ok(()),
    }
}

/// EIP-2718 bytes of a signed transaction.
trait Encoded {
    fn encoded_2718_envelope(self) -> Vec<u8>;
}

impl Encoded for alloy_consensus::Signed<TxEip1559> {
    fn encoded_2718_envelope(self) -> Vec<u8> {
        medina_types::Transaction::from(self).encoded_2718()
    }
}

/// Sends until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    info!(account = %shared.sending.address(), "the marker account");
    let mut height = shared.chain.watch_height();
    let mut tick = tokio::time::interval(LOOK_PERIOD);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = shared.sending.wake.notified() => {}
            changed = height.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            _ = tick.tick() => {}
        }
        if shared.sending.len() == 0 && shared.sending.jobs.lock().sent.is_empty() {
            continue;
        }
        let step = blocking(&shared, |shared| shared.sending.step(shared)).await;
        if let Ok(Err(error)) = step {
            warn!(%error, "the marker account's transactions cannot be written; trying again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(to: Address, input: u8) -> Job {
        Job {
            to,
            input: Bytes::from(vec![input; 64]),
            gas: 1,
        }
    }

    #[test]
    fn passed_transaction_is_done_if_it_did_what_is_still_wanted() {
        let marker = job(MARKER_ADDRESS, 1);
        let (same, other) = (Bytes::from(vec![1; 64]), Bytes::from(vec![2; 64]));
        assert!(is_done(Some(&marker), Some(&same), Some(true)));
        assert!(!is_done(Some(&marker), Some(&same), Some(false)));
        assert!(
            !is_done(Some(&marker), Some(&same), None),
            "something else used its nonce"
        );
        assert!(
            !is_done(Some(&marker), Some(&other), Some(true)),
            "it has another tag now"
        );
        let call = job(Address::repeat_byte(9), 1);
        assert!(is_done(Some(&call), Some(&same), Some(false)));
        // Restored after a restart, and nobody has asked for it: it holds up no other.
        assert!(is_done(None, Some(&same), None));
    }
}
