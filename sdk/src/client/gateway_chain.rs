//! The market client as the gateway's view of the chain.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, Bytes};
use futures::future::BoxFuture;
use medina_contracts::data_marketplace::DataMarketplace::Bought;
use medina_contracts::values::operations::READ;

use super::logs::Indexed;
use super::{ClientError, Coupon, CouponStatus, MarketClient, anchors};
use crate::gateway::{ChainError, GatewayChain};

impl MarketClient {
    /// Whether whom a listing is about still agrees to a purpose that the account has bought it
    /// for. The market asks when it is bought; a gateway asks again, so that consent that ends or is
    /// taken back ends what is open, too.
    pub async fn is_consented(&self, listing: u64, user: Address) -> Result<bool, ClientError> {
        let scope = self.listing(listing).await?.consent_scope;
        if scope.is_zero() {
            return Ok(true);
        }
        let indexed = Indexed {
            second: Some(anchors::word(listing)),
            third: Some(user.into_word()),
            ..Indexed::default()
        };
        let bought: Vec<Bought> = self.events(self.market(), indexed).await?;
        // Few: each was granted once, or nothing could have been bought for it.
        let purposes: BTreeSet<B256> = bought.iter().map(|bought| bought.purpose).collect();
        let id = self.id_of(user).await?;
        for purpose in purposes {
            if self.is_allowed(scope, id, purpose, READ).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl GatewayChain for MarketClient {
    fn has_access(
        &self,
        listing: u64,
        account: Address,
    ) -> BoxFuture<'_, Result<bool, ChainError>> {
        Box::pin(async move {
            Ok(Self::has_access(self, listing, account).await?
                && self.is_consented(listing, account).await?)
        })
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
