//! Private transactions over JSON-RPC: the `priv` namespace, and the part of
//! `GoQuorum`'s methods that is safe to offer where genesis says `quorumCompat`.
//!
//! Nothing private is answered without authorisation, loopback or not: a caller
//! needs an API key or token that opens the method by itself and holds a scope
//! `psi://PARTY` for a party of this node (see `access`). Every request runs for
//! one tenant; groups of others do not exist for it.

mod asking;
mod data;
mod error;
pub(crate) mod manager;
mod native;
mod node;
mod quorum;
mod shapes;

pub(crate) use asking::PartyPlaces;

pub use data::{
    AccountDump, AuditEntry, CompatSend, ContractPrivacy, DeliveryStatus, Distributed, Erasure,
    ErasureReceipt, GroupPhase, GroupStatus, GroupSummary, Handle, Lookup, MemberAttestation,
    Payload, PrivateCall, PrivateLimits, PrivateLog, PrivateLogQuery, PrivateOutcome, PrivateParty,
    PrivateReceipt, PrivateTransactionView, RecipientDelivery, Sent, Tenant, Tombstone,
};
pub use error::PrivateError;
pub use node::{Blocks, PrivateNode, PrivateResult};

use jsonrpsee::server::RegisterMethodError;

use crate::registry::Registry;

/// Registers what a node with a private side serves.
pub(crate) fn register(
    registry: &mut Registry,
    private: Option<&dyn PrivateNode>,
    is_dev: bool,
) -> Result<(), RegisterMethodError> {
    let Some(private) = private else {
        return Ok(());
    };
    native::register(registry)?;
    if private.is_compat() {
        quorum::register(registry, is_dev)?;
    }
    Ok(())
}
