//! The marker account: signs markers, and what the private side has to tell the
//! contract, and sends each again until it is in a block.
//!
//! Which transaction has which nonce is decided in `nonces` and written before the
//! transaction leaves, so that a restart sends the same bytes again.

use crate::{
    chain::HeadAccounts,
    private::{
        members::blocking,
        nonces::{Assigned, Nonces},
        rows::SentMarker,
        shared::Shared,
    },
    transactions::SubmitError,
};
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxReceipt as _};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, keccak256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use medina_pool::{AccountView as _, PoolError};
use medina_storage::StorageError;
use medina_types::{MARKER_ADDRESS, Marker, limits};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
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
/// Fee over the next block's base fee, so that a few fuller blocks do not matter.
const BASE_FEE_FACTOR: u128 = 2;

/// Why there is no marker account.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    /// The file cannot be read or made.
    #[error("the key of the marker account, {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file holds no key.
    #[error("{} holds no secp256k1 key: 64 hexadecimal digits are expected", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// Others may read it.
    #[error("{} may be read by others (mode {mode:o}): chmod 600 it", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

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

/// Reads the account's key, or makes one that only this user can read.
pub(crate) fn load_account(path: &Path) -> Result<PrivateKeySigner, AccountError> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let failed = |error: std::io::Error| AccountError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    if path.exists() {
        return read_account(path);
    }
    let signer = PrivateKeySigner::random();
    // Under its own name only once it is whole.
    let unfinished = path.with_extension("unfinished");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(failed)?;
    let text = format!("{}\n", hex::encode(signer.to_bytes()));
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&unfinished, path).map_err(failed)?;
    Ok(signer)
}

fn read_account(path: &Path) -> Result<PrivateKeySigner, AccountError> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = |error: std::io::Error| AccountError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let mode = std::fs::metadata(path)
        .map_err(failed)?
        .permissions()
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(AccountError::Open { path, mode });
    }
    let not_a_key = || AccountError::NotAKey {
        path: path.to_owned(),
    };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let bytes = hex::decode(digits).map_err(|_| not_a_key())?;
    PrivateKeySigner::from_slice(&bytes).map_err(|_| not_a_key())
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
        if jobs.jobs.insert(name, job).is_none() {
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
        let mut trouble = None;
        for assigned in jobs.nonces.assign(next) {
            let Some(sent) = self.transaction(&mut jobs, assigned, shared)? else {
                break;
            };
            match submit(shared, &sent.raw) {
                Ok(true) => self.note_sent(shared, assigned.digest, keccak256(&sent.raw))?,
                Ok(false) => {}
                Err(reason) => {
                    trouble = Some(reason);
                    break;
                }
            }
        }
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
            let is_marker = |job: &Job| job.to == MARKER_ADDRESS;
            let is_marker = jobs.jobs.get(&name).is_some_and(is_marker);
            // A call that was taken back would be so again; whoever asked looks
            // whether it is still wanted.
            let is_done = match outcome(shared, keccak256(&sent.raw))? {
                Some(has_succeeded) => has_succeeded || !is_marker,
                None => false,
            };
            if is_done {
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
    ) -> Result<Option<SentMarker>, StorageError> {
        let Assigned { digest, nonce } = assigned;
        let known = jobs.sent.get(&nonce);
        let base_fee = u128::from(shared.chain.next_base_fee());
        if let Some(sent) = known.filter(|sent| bid_of(shared, &sent.raw).fee >= base_fee) {
            return Ok(Some(sent.clone()));
        }
        let Some(job) = jobs.jobs.get(&digest) else {
            // Sent before a restart, and nobody has asked for it since.
            return Ok(known.cloned());
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
                return Ok(None);
            }
        };
        let sent = SentMarker {
            digest: digest.0,
            raw: transaction.into_signed(signature).encoded_2718_envelope(),
        };
        shared.rows.put_sent_marker(nonce, &sent)?;
        jobs.sent.insert(nonce, sent.clone());
        Ok(Some(sent))
    }

    fn note_sent(
        &self,
        shared: &Shared,
        digest: B256,
        transaction: B256,
    ) -> Result<(), StorageError> {
        let changed = shared.outbox.lock().on_sent(digest, transaction);
        match changed {
            Some(delivery) => shared.write_delivery(&delivery),
            None => Ok(()),
        }
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

/// What a transaction offers for its gas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bid {
    /// At most, all in all.
    fee: u128,
    /// Of it to the proposer.
    tip: u128,
}

/// What a signed transaction offers.
fn bid_of(shared: &Shared, raw: &[u8]) -> Bid {
    use alloy_consensus::Transaction as _;
    let Ok(decoded) = shared.chain.decode(raw) else {
        return Bid::default();
    };
    let transaction = decoded.transaction();
    Bid {
        fee: transaction.max_fee_per_gas(),
        tip: transaction.max_priority_fee_per_gas().unwrap_or_default(),
    }
}

/// What to offer: nothing to the proposer at first, so that a chain without fees takes
/// it from an account without coins. Instead of another it is as much more, in fee
/// and in tip, as the pool wants.
fn bid(base_fee: u128, before: Option<Bid>) -> Bid {
    let fee = base_fee.saturating_mul(BASE_FEE_FACTOR);
    let Some(before) = before else {
        return Bid { fee, tip: 0 };
    };
    let percent = 100 + limits::POOL_REPLACEMENT_BUMP_PERCENT;
    let above = |old: u128| old.saturating_mul(percent).div_ceil(100).max(old + 1);
    let tip = above(before.tip);
    let fee = fee.max(above(before.fee)).max(tip);
    Bid { fee, tip }
}

/// Whether a transaction succeeded, `None` if it is in no block.
fn outcome(shared: &Shared, hash: B256) -> Result<Option<bool>, StorageError> {
    let Some((height, index)) = shared.chain.store.transaction_location(hash)? else {
        return Ok(None);
    };
    let receipts = shared.chain.store.receipts(height)?;
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let receipt = receipts.as_deref().and_then(|receipts| receipts.get(index));
    Ok(Some(receipt.is_some_and(|receipt| receipt.status())))
}

/// Puts a transaction into the pool unless it is there; false where another of the
/// account stands in its place.
fn submit(shared: &Shared, raw: &[u8]) -> Result<bool, String> {
    if shared.chain.pool.contains(&keccak256(raw)) {
        return Ok(true);
    }
    match shared.transactions.submit(raw) {
        Ok(_) => Ok(true),
        // In the pool or in a block by now.
        Err(SubmitError::Pool(PoolError::AlreadyKnown | PoolError::NonceTooLow { .. })) => Ok(true),
        Err(SubmitError::Pool(PoolError::ReplacementUnderpriced)) => Ok(false),
        Err(error) => Err(error.to_string()),
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
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn key_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("marker.key");
        let made = load_account(&path).unwrap().address();
        assert_eq!(load_account(&path).unwrap().address(), made);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refused = load_account(&path).unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }

    #[test]
    fn file_without_a_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("marker.key");
        std::fs::write(&path, "hello").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let refused = load_account(&path).unwrap_err();
        assert!(refused.to_string().contains("64 hexadecimal"), "{refused}");
    }

    #[test]
    fn replacement_offers_more_in_fee_and_in_tip() {
        let first = bid(100, None);
        assert_eq!(first, Bid { fee: 200, tip: 0 });
        // The base fee has tripled: it takes the place of the first in the pool.
        let mut before = first;
        for base_fee in [300, 301, 5_000] {
            let next = bid(base_fee, Some(before));
            let is_enough = |new: u128, old: u128| new > old && new * 100 >= old * 110;
            assert!(is_enough(next.fee, before.fee), "{next:?} after {before:?}");
            assert!(is_enough(next.tip, before.tip), "{next:?} after {before:?}");
            assert!(next.fee >= base_fee && next.tip <= next.fee);
            before = next;
        }
        assert_eq!(
            bid(0, None),
            Bid::default(),
            "without fees it costs nothing"
        );
    }
}
