//! What `GoQuorum`'s clients ask for, where genesis says `quorumCompat`.
//!
//! Departures, each because the original cannot be had safely:
//! - parties are named by their identity keys (base64), which do not change with
//!   the epochs of the encryption keys; those and organisations are taken, too;
//! - the parties of a `privateFor` list, the sender's among them, are a group, and
//!   its state is theirs alone: another list is another state;
//! - nothing is answered without a scope, `eth_getQuorumPayload` least of all;
//! - the node signs for nobody outside `medina dev`;
//! - `eth_decryptQuorumPayload` decrypts nothing: it would be an oracle for
//!   whatever a caller brings;
//! - `quorumExtension_*` is not there: a contract belongs to a group, and groups
//!   take members in by the vote of more than half of them.

mod merged;
mod parties;
mod reads;
mod sends;

pub(super) use parties::{CompatArguments, key_of, party_of_key, recipients};

use jsonrpsee::server::RegisterMethodError;

use crate::registry::Registry;

/// Registers the dialect over the public methods of the same names.
pub(super) fn register(registry: &mut Registry, is_dev: bool) -> Result<(), RegisterMethodError> {
    reads::register(registry)?;
    sends::register(registry, is_dev)?;
    merged::register(registry)
}
