//! The market client as the gateway's view of the chain.

use alloy_primitives::{Address, B256, Bytes};
use futures::future::BoxFuture;

use super::{ClientError, Coupon, CouponStatus, MarketClient};
use crate::gateway::{ChainError, GatewayChain};

impl GatewayChain for MarketClient {
    fn has_access(
        &self,
        listing: u64,
        account: Address,
    ) -> BoxFuture<'_, Result<bool, ChainError>> {
        Box::pin(async move { Ok(Self::has_access(self, listing, account).await?) })
    }

    fn coupon_status<'a>(
        &'a self,
        coupon: &'a Coupon,
    ) -> BoxFuture<'a, Result<CouponStatus, ChainError>> {
        Box::pin(async move { Ok(Self::coupon_status(self, coupon).await?) })
    }

    fn consume(
        &self,
        key: B256,
        resource: B256,
        holder_signature: Bytes,
    ) -> BoxFuture<'_, Result<B256, ChainError>> {
        Box::pin(async move {
            let receipt = self.consume_coupon(key, resource, holder_signature).await?;
            Ok(receipt.hash)
        })
    }
}

impl From<ClientError> for ChainError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Reverted { reason, .. } => Self::Refused(reason),
            other => Self::Unreachable(other.to_string()),
        }
    }
}
