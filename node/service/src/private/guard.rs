//! Keeps calls away from an enclave that is known to be away: one of them looks
//! whether it is back, all others fail at once instead of waiting in turn.
//!
//! A call of an enclave that is not there waits for seconds, of one that hangs for
//! longer, each on a thread. Without this every call would wait so long anew.

use medina_enclave::{
    Accepted, AuditEntry, AuditHead, Caller, Certificate, Digest, Enclave, EnclaveError, Envelope,
    EpochKey, ErasureReceipt, GroupId, GroupSecretInfo, Party, PartyId, PayloadStatus, RawHandle,
    RecipientKey, SealedSecret, SignDomain, Tag, Terms, Tombstone,
};
use medina_types::NodeSignature;
use parking_lot::Mutex;
use std::{
    path::Path,
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// Pause after a look for the enclave that found none.
const LOOK_PAUSE: Duration = Duration::from_millis(250);
/// A look that takes longer is not waited for: the next call makes another.
const LOOK_TIME_MAX: Duration = Duration::from_secs(60);

/// Whether a call may go to the enclave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// The enclave answered last time.
    Open,
    /// It did not: this call looks whether it is back.
    Look,
    /// Another call looks, or has just looked.
    Closed,
}

/// What is known of the enclave, told the time since some beginning.
#[derive(Debug, Default)]
struct Breaker {
    /// The enclave is away; it is looked for again from then on.
    away_until: Option<Duration>,
    /// Somebody looks for it since then.
    looking_since: Option<Duration>,
}

impl Breaker {
    fn enter(&mut self, now: Duration) -> Entry {
        let Some(until) = self.away_until else {
            return Entry::Open;
        };
        let is_looking = |since: Duration| now.saturating_sub(since) < LOOK_TIME_MAX;
        if now < until || self.looking_since.is_some_and(is_looking) {
            return Entry::Closed;
        }
        self.looking_since = Some(now);
        Entry::Look
    }

    fn leave(&mut self, entry: Entry, is_there: bool, now: Duration) {
        if is_there {
            *self = Self::default();
            return;
        }
        self.away_until = Some(now + LOOK_PAUSE);
        if entry == Entry::Look {
            self.looking_since = None;
        }
    }
}

/// An enclave of another process, guarded.
pub(crate) struct Guarded<E> {
    enclave: E,
    socket: String,
    breaker: Mutex<Breaker>,
    began: Instant,
}

impl<E: Enclave> Guarded<E> {
    pub(crate) fn new(enclave: E, socket: &Path) -> Self {
        Self {
            enclave,
            socket: socket.display().to_string(),
            breaker: Mutex::default(),
            began: Instant::now(),
        }
    }

    fn call<T>(&self, ask: impl FnOnce(&E) -> Result<T, EnclaveError>) -> Result<T, EnclaveError> {
        let entry = self.breaker.lock().enter(self.began.elapsed());
        if entry == Entry::Closed {
            return Err(EnclaveError::Unreachable {
                socket: self.socket.clone(),
                reason: "it did not answer lately, and is being looked for".to_owned(),
            });
        }
        let answer = ask(&self.enclave);
        let is_there = !matches!(answer, Err(EnclaveError::Unreachable { .. }));
        let now = self.began.elapsed();
        self.breaker.lock().leave(entry, is_there, now);
        answer
    }
}

/// Hands every method on through [`Guarded::call`].
macro_rules! guarded {
    ($(fn $name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($argument: $kind),*) -> Result<$answer, EnclaveError> {
            self.call(|enclave| enclave.$name($($argument),*))
        })*
    };
}

impl<E: Enclave> Enclave for Guarded<E> {
    guarded! {
        fn parties() -> Vec<Party>;
        fn ensure_party(caller: &Caller, label: &str) -> PartyId;
        fn epoch_keys(party: &PartyId) -> Vec<EpochKey>;
        fn rotate(caller: &Caller, party: &PartyId, from_epoch: u32) -> EpochKey;
        fn keep_time(caller: &Caller) -> Vec<(PartyId, EpochKey)>;
        fn destroy_epochs_before(caller: &Caller, party: &PartyId, epoch: u32) -> ();
        fn certify(party: &PartyId, certificate: &Certificate) -> NodeSignature;
        fn sign(party: &PartyId, domain: SignDomain, message: &[u8]) -> NodeSignature;
        fn seal(caller: &Caller, terms: &Terms, payload: &[u8], to: &[RecipientKey]) -> Envelope;
        fn accept(caller: &Caller, envelope: &Envelope) -> Accepted;
        fn open(caller: &Caller, digest: &Digest, party: &PartyId) -> Zeroizing<Vec<u8>>;
        fn status(digest: &Digest) -> PayloadStatus;
        fn rewrap(caller: &Caller, digest: &Digest, by: &PartyId, to: &[RecipientKey]) -> Envelope;
        fn discard(caller: &Caller, digest: &Digest) -> ();
        fn erase(caller: &Caller, digest: &Digest, by: &PartyId, reason: &str) -> ErasureReceipt;
        fn tombstones(after: Option<&Digest>, limit: usize) -> Vec<Tombstone>;
        fn ensure_group_secret(caller: &Caller, group: &GroupId, version: u32) -> GroupSecretInfo;
        fn group_secrets() -> Vec<GroupSecretInfo>;
        fn share_group_secrets(
            caller: &Caller, group: &GroupId, by: &PartyId, to: &RecipientKey
        ) -> Vec<SealedSecret>;
        fn accept_group_secret(caller: &Caller, sealed: &SealedSecret) -> GroupSecretInfo;
        fn tag(group: &GroupId, digest: &Digest) -> Tag;
        fn secret_of(digest: &Digest, tag: &Tag) -> Option<GroupSecretInfo>;
        fn store_raw(caller: &Caller, payload: &[u8], from: &PartyId) -> RawHandle;
        fn open_raw(caller: &Caller, handle: &RawHandle, party: &PartyId) -> Zeroizing<Vec<u8>>;
        fn seal_raw(
            caller: &Caller, handle: &RawHandle, terms: &Terms, to: &[RecipientKey]
        ) -> Envelope;
        fn digest_of(handle: &RawHandle) -> Option<Digest>;
        fn audit_head() -> AuditHead;
        fn audit_entries(from_seq: u64, limit: usize) -> Vec<AuditEntry>;
        fn verify_audit() -> AuditHead;
        fn back_up(folder: &Path) -> ();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn calls_of_an_enclave_that_is_away_fail_at_once_but_for_one_at_a_time() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.enter(at(0)), Entry::Open);
        breaker.leave(Entry::Open, false, at(5_000));
        assert_eq!(breaker.enter(at(5_001)), Entry::Closed);
        assert_eq!(breaker.enter(at(5_250)), Entry::Look);
        assert!((0..200).all(|ms| breaker.enter(at(5_300 + ms)) == Entry::Closed));
        breaker.leave(Entry::Look, false, at(10_000));
        assert_eq!(breaker.enter(at(10_100)), Entry::Closed);
        assert_eq!(breaker.enter(at(10_250)), Entry::Look);
        breaker.leave(Entry::Look, true, at(10_300));
        assert!((0..200).all(|ms| breaker.enter(at(10_300 + ms)) == Entry::Open));
    }

    #[test]
    fn look_that_never_ends_does_not_close_the_way_for_ever() {
        let mut breaker = Breaker::default();
        breaker.leave(Entry::Open, false, at(0));
        assert_eq!(breaker.enter(at(1_000)), Entry::Look);
        assert_eq!(breaker.enter(at(60_999)), Entry::Closed);
        assert_eq!(breaker.enter(at(61_000)), Entry::Look);
    }

    #[test]
    fn dead_socket_is_waited_for_once() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("enclave.sock");
        let patience = Duration::from_millis(300);
        let remote = medina_enclave::RemoteEnclave::new(&socket).with_patience(patience);
        let guarded = Guarded::new(remote, &socket);
        assert!(guarded.parties().is_err());
        // None of these goes to the socket.
        for _ in 0..100 {
            guarded.breaker.lock().away_until = Some(Duration::MAX);
            let refused = guarded.parties().unwrap_err();
            assert!(refused.to_string().contains("looked for"), "{refused}");
        }
    }
}
