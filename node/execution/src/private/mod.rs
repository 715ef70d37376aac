//! Private transactions: a group's own state above the public one.
//!
//! ```text
//! public block N --> markers --> items of one group, in order
//!                                   |
//!   public state after N-1 --read--> PrivateExecutor --> receipts, changes, root
//!   the group's state      --read-->      |
//!                                   GroupStore::apply   (one batch with the position)
//! ```
//!
//! A follower of final blocks calls this, never the import of a block: the public
//! chain does not wait (reference "privacy", section 5, row 2). Everything here is a
//! function of the public chain and the items, so that all members of a group come
//! to the same root.
//!
//! Rules of a private execution in public block N:
//!
//! - It sees the group's accounts first, else the public state after N-1, and N's
//!   number, time, beneficiary and randomness. Balances are the public ones.
//! - It changes accounts of the group alone. A transaction that changes anything of a
//!   public account, or moves value, fails as a whole; its nonce counts.
//! - Gas is Ethereum's schedule under a limit of its own, at price zero.
//! - A sender has a private nonce per group. Inside the machine it is offset by a
//!   number that follows from the group ([`nonce_offset`]), which no public nonce ever
//!   reaches: private contracts never have a public contract's address.
//! - What `GoQuorum`'s clients send (compat) keeps its public nonce instead, because
//!   they compute the contract's address from it.

mod call;
mod error;
mod executor;
mod group_changes;
mod group_reads;
mod group_store;
mod group_stores;
mod group_upkeep;
mod import;
mod item;
mod machine;
pub mod marker;
mod nonces;
mod overlay;
mod placed;
mod read_only;
mod receipt;
mod run;

pub use call::PrivateCallRequest;
pub use error::PrivateError;
pub use executor::{Below, ExecutedItems, Preview, PrivateExecutor, PrivateRules};
pub use group_store::{Applied, GroupStore, PublicBlock};
pub use group_stores::{GroupOpening, GroupStores};
pub use import::GroupImport;
pub use item::{CompatCall, Position, PrivateCommand, PrivateInput, PrivateItem, RootClaim};
pub use marker::{MARKER_GAS, PRIVATE_GROUPS, has_marker, is_marker};
pub use nonces::nonce_offset;
pub use overlay::Overlay;
pub use placed::PlacedReceipt;
pub use receipt::{PrivateReceipt, PrivateStatus};
