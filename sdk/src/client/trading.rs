//! Coupons between platforms: swaps, barter for one access, rules, numbers.

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::Eip712Domain;
use medina_contracts::bartering_coupons::BarteringCoupons;
use medina_contracts::eip712;
use serde::{Deserialize, Serialize};

use super::logs::Indexed;
use super::{ClientError, Coupon, MarketClient, Receipt};
use crate::device::{domain, time48};
use crate::limits::CONTRACT_BATCH_MAX;

/// A holder's word to give `theirs` for `mine`, as the one who calls sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SwapOffer {
    /// Key of the coupon that the caller gives.
    pub mine: B256,
    /// Key of the coupon that the signer gives.
    pub theirs: B256,
    /// How often the signer's coupon has moved so far.
    pub moves: u64,
    /// The signer's signature: 20-byte signer ‖ signature.
    pub signature: Bytes,
}

/// What an organisation asks of those it barters with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CouponRules {
    /// Least reputation, basis points.
    pub min_reputation: u16,
    /// Types of resources, bit by bit; 0 is all.
    pub types: u8,
}

/// An organisation's coupons in a federation, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CouponStats {
    /// Coupons it issued.
    pub issued: u64,
    /// Its coupons that were used up, or begun if they are timed.
    pub consumed: u64,
    /// Coupons it came to hold.
    pub received: u64,
    /// Uses made of its coupons.
    pub uses: u64,
}

impl MarketClient {
    fn coupon_contract(&self) -> Address {
        self.contracts.bartering_coupons
    }

    fn trading_domain(&self) -> Eip712Domain {
        domain("BarteringCoupons", self.chain_id, self.coupon_contract())
    }

    /// How often a coupon has changed hands.
    pub async fn coupon_moves(&self, key: B256) -> Result<u64, ClientError> {
        let of_it = Indexed {
            first: Some(key),
            ..Indexed::default()
        };
        let moved: Vec<BarteringCoupons::Moved> =
            self.events(self.coupon_contract(), of_it).await?;
        Ok(moved.len() as u64)
    }

    /// The sender, a Manager of the holder of `theirs`, offers it for `mine`.
    pub async fn sign_swap(&self, mine: B256, theirs: B256) -> Result<SwapOffer, ClientError> {
        let moves = self.coupon_moves(theirs).await?;
        let payload = eip712::Swap {
            mine,
            theirs,
            moves,
        };
        let account = self.account()?;
        let signature = account.sign_typed(&payload, &self.trading_domain())?;
        Ok(SwapOffer {
            mine,
            theirs,
            moves,
            signature: account.packed(&signature),
        })
    }

    /// The sender gives its coupon and gets the signer's, both or neither.
    pub async fn swap_coupons(&self, offer: &SwapOffer) -> Result<Receipt, ClientError> {
        let call = BarteringCoupons::swapCall {
            mine: offer.mine,
            theirs: offer.theirs,
            theirSig: offer.signature.clone(),
        };
        self.send(self.coupon_contract(), call).await
    }

    /// The sender, for the client or the owner, signs the trade of a coupon for one access:
    /// 20-byte signer ‖ signature.
    pub fn sign_barter(&self, give: &Coupon, resource: B256) -> Result<Bytes, ClientError> {
        let payload = eip712::Barter {
            give: eip712::Coupon {
                issuer: give.issuer,
                fed: give.fed,
                kind: give.kind.into(),
                val: give.val,
                number: give.number,
                issuedAt: time48(give.issued_at)?,
                holder: give.holder,
                scope: give.scope,
            },
            resource,
        };
        let account = self.account()?;
        let signature = account.sign_typed(&payload, &self.trading_domain())?;
        Ok(account.packed(&signature))
    }

    /// Brings a trade that both have signed: the client's coupon for one access now.
    pub async fn barter(
        &self,
        give: &Coupon,
        client_signature: Bytes,
        resource: B256,
        owner_signature: Bytes,
    ) -> Result<Receipt, ClientError> {
        let call = BarteringCoupons::barterCall {
            give: give.on_chain()?,
            giveSig: client_signature,
            resource,
            acceptSig: owner_signature,
        };
        self.send(self.coupon_contract(), call).await
    }

    /// Sets what the sender's organisation asks of those it barters with in a federation.
    pub async fn set_coupon_rules(
        &self,
        fed: B256,
        rules: CouponRules,
    ) -> Result<Receipt, ClientError> {
        let call = BarteringCoupons::setRulesCall {
            fed,
            minReputation: rules.min_reputation,
            types: rules.types,
        };
        self.send(self.coupon_contract(), call).await
    }

    /// The issuer forgets consumed coupons that were last used before a time, Unix seconds.
    pub async fn clean_coupons(
        &self,
        keys: &[B256],
        before: u64,
    ) -> Result<Vec<Receipt>, ClientError> {
        let mut receipts = Vec::new();
        for chunk in keys.chunks(CONTRACT_BATCH_MAX) {
            let call = BarteringCoupons::cleanupCall {
                keys: chunk.to_vec(),
                before: time48(before)?,
            };
            receipts.push(self.send(self.coupon_contract(), call).await?);
        }
        Ok(receipts)
    }

    /// An organisation's coupons in a federation, counted.
    pub async fn coupon_stats(&self, org: B256, fed: B256) -> Result<CouponStats, ClientError> {
        let call = BarteringCoupons::statsCall { org, fed };
        let found = self.call(self.coupon_contract(), call).await?;
        Ok(CouponStats {
            issued: found.issued,
            consumed: found.consumed,
            received: found.received,
            uses: found.uses,
        })
    }

    /// Keys of the coupons that an organisation issued, oldest first.
    pub async fn coupons_issued(&self, org: B256) -> Result<Vec<B256>, ClientError> {
        let indexed = Indexed {
            second: Some(org),
            ..Indexed::default()
        };
        let events: Vec<BarteringCoupons::Issued> =
            self.events(self.coupon_contract(), indexed).await?;
        Ok(events.into_iter().map(|event| event.key).collect())
    }
}
