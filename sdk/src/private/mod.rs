//! Private transactions: contracts that run among some organisations only, on the common chain.
//!
//! Two sides of one thing. What everybody must read alike is on the chain: which organisation has
//! which keys and which node, which organisations form a group, what was skipped or erased
//! ([`Groups`], the contract `PrivateGroups`). What the members exchange is not: it goes to the
//! own organisation's node by its `priv_*` methods, which need a token ([`PrivateClient`]).
//!
//! ```text
//! PrivateTransaction -- signed by an account --> node: seals it, delivers it to the members,
//!                                                puts a marker on the chain
//! marker in a final block                    --> every member's node runs the transaction
//! ```
//!
//! A transaction is signed by EIP-712 over the chain, the group and its mode, so it counts nowhere
//! else. Its nonce is the account's own in the group, from 0.
//!
//! ```no_run
//! use alloy_primitives::{B256, Bytes};
//! use medina_sdk::{client::MarketClient, private::{PrivateClient, PrivateClientError}, wallet::Account};
//! # async fn example(account: Account, group: B256, code: Bytes) -> Result<(), PrivateClientError> {
//! let chain = MarketClient::connect("http://127.0.0.1:8545").await?.with_account(account);
//! let private = PrivateClient::new(chain, "http://127.0.0.1:8545", Some("token"))?;
//! let sent = private.deploy(group, code, None).await?;
//! let receipt = private.wait(sent.digest).await?;
//! println!("{:?}", receipt.contract_address);
//! # Ok(())
//! # }
//! ```

mod client;
mod error;
mod groups;
mod records;
mod rpc;
mod transaction;
mod wire;

pub use self::client::{PrivateClient, PrivateDetails};
pub use self::error::PrivateClientError;
pub use self::groups::{
    AnchoredState, AuditRecord, ErasureRecord, GroupRecord, GroupTerms, Groups, MemberRecord,
    PartyKey, PartyRecord, ProposalRecord,
};
pub use self::records::{
    Attestation, Delivery, DeliveryStatus, Erasure, ErasureReceipt, GroupHalt, GroupStatus,
    GroupSummary, LocalParty, PrivateLog, PrivateReceipt, Sent, SentTransaction,
};
pub use self::rpc::PrivateRpc;
pub use self::transaction::{
    MARKER_ADDRESS, PRIVATE_GAS_MAX, PrivateTransaction, SignedPrivateTransaction, domain,
};
pub use medina_contracts::values::PrivateMode;
