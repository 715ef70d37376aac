//! Every bound of the enclave: name, unit, reason. What happens at a bound is said beside it.

use medina_types::limits::PRIVATE_TRANSACTION_BYTES_MAX;
use std::time::Duration;

/// Bytes of one private payload; a larger one is refused with an error. It is an encoded private
/// transaction with as much data as one may carry.
pub const PAYLOAD_BYTES_MAX: usize = PRIVATE_TRANSACTION_BYTES_MAX;

/// Parties that one envelope names, the sender included; as many as a group may have.
pub const RECIPIENTS_MAX: usize = 64;

/// Bytes that the compatibility form adds around a payload: key, nonce, tag, sender, lengths.
pub(crate) const RAW_OVERHEAD_BYTES: usize = 256;

/// Bytes of an envelope's ciphertext: the payload, its compatibility form, the tag.
pub const CIPHERTEXT_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + RAW_OVERHEAD_BYTES + 16;

/// Bytes of one encoded envelope; longer input is refused before it is read.
pub const ENVELOPE_BYTES_MAX: usize = CIPHERTEXT_BYTES_MAX + 64 * 1024;

/// Bytes of an actor, a scope, a party's label or a reason; longer text is refused.
pub const TEXT_BYTES_MAX: usize = 256;

/// Bytes that a party signs in one statement; more are refused.
pub const SIGNED_BYTES_MAX: usize = 64 * 1024;

/// Parties in one enclave; a further one is refused.
pub const PARTIES_MAX: usize = 256;

/// Secrets held for one version of one group: twins, which two members made at the same time, and
/// what a member made up to fill the table. A further one is refused.
pub const GROUP_SECRETS_MAX: usize = 256;

/// Entries in one answer about the audit log or tombstones; a longer wish is cut to this.
pub const ENTRIES_MAX: usize = 1024;

/// Seconds for which a party's encryption key is used before the next one takes its place.
pub const EPOCH_S: u64 = 24 * 60 * 60;

/// Seconds for which the former key still opens what was under way when it was replaced.
pub const EPOCH_GRACE_S: u64 = 60 * 60;

/// Seconds for which a payload that a client stored waits to be sent; then it is dropped.
pub const RAW_S: u64 = 24 * 60 * 60;

/// Seconds between two looks for keys that were dropped, and whose buckets then get new keys.
pub(crate) const UPKEEP_S: u64 = 60 * 60;

/// Bytes of one message between node and enclave process.
pub(crate) const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Connections that the enclave process serves at once; further ones are closed.
pub(crate) const CONNECTIONS_MAX: usize = 64;

/// Connections that have not proved yet whose they are; a further one takes the place of the
/// oldest, so that strangers who say nothing keep nobody out.
pub(crate) const UNPROVEN_CONNECTIONS_MAX: usize = 16;

/// Time in which a connection proves whose it is and both sides greet each other.
pub(crate) const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// Time for which a refused connection is listened to, so that the refusal arrives.
pub(crate) const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// Bytes that are listened to meanwhile.
pub(crate) const DRAINED_BYTES_MAX: u64 = 64 * 1024;

/// Idle connections that a client keeps; further ones are closed after their call.
pub(crate) const IDLE_CONNECTIONS_MAX: usize = 8;

/// How long one call may take before the enclave counts as away.
pub(crate) const CALL_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a client looks for an enclave that is away before it says so.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Pause between two attempts to reach the enclave.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(50);
