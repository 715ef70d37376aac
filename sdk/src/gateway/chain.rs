//! What the gateway asks of the chain, so that its rules can be tested without one.

use alloy_primitives::{Address, B256, Bytes};
use futures::future::BoxFuture;
use thiserror::Error;

use crate::client::{Coupon, CouponStatus};

/// Why the chain gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChainError {
    /// The node did not answer.
    #[error("the node does not answer: {0}")]
    Unreachable(String),
    /// The contract refused.
    #[error("the contract refused: {0}")]
    Refused(String),
}

/// The chain as the gateway sees it. Implemented by the market client.
pub trait GatewayChain: Send + Sync + 'static {
    /// Whether the account may read the listing now.
    fn has_access(&self, listing: u64, account: Address)
    -> BoxFuture<'_, Result<bool, ChainError>>;

    /// Whether a coupon holds.
    fn coupon_status<'a>(
        &'a self,
        coupon: &'a Coupon,
    ) -> BoxFuture<'a, Result<CouponStatus, ChainError>>;

    /// Takes one use of a coupon; gives the transaction.
    fn consume(
        &self,
        key: B256,
        resource: B256,
        holder_signature: Bytes,
    ) -> BoxFuture<'_, Result<B256, ChainError>>;
}
