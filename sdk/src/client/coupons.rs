//! Bartering coupons: issue, show, use.

use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::SolValue;
use medina_contracts::bartering_coupons::{BarteringCoupons, IBarteringCoupons};
use medina_contracts::eip712;
use serde::{Deserialize, Serialize};

use super::logs::Indexed;
use super::{ClientError, CouponKind, CouponState, MarketClient, Receipt};
use crate::device::{domain, time48};

/// A promise of access, as its issuer signs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Coupon {
    /// The organisation that promises.
    pub issuer: B256,
    /// The federation of both.
    pub fed: B256,
    /// Counted or timed.
    pub kind: CouponKind,
    /// Uses, or seconds from the first use on.
    pub val: u64,
    /// Each number of an issuer works once.
    pub number: u64,
    /// When it was issued, Unix seconds.
    pub issued_at: u64,
    /// The organisation it was issued to.
    pub holder: B256,
    /// Zero for any bartered resource of the issuer, else this one.
    pub scope: B256,
}

/// What the chain says of a coupon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CouponStatus {
    /// Whether it can be used.
    pub state: CouponState,
    /// Uses left of a counted one.
    pub remaining_uses: u64,
    /// Seconds left of a timed one.
    pub remaining_seconds: u64,
}

/// What a holder signs to use a coupon once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UseRequest {
    /// The coupon's key.
    pub key: B256,
    /// The resource to read.
    pub resource: B256,
    /// Uses of the coupon, this one counted.
    pub uses: u64,
}

impl Coupon {
    /// What it is registered under.
    pub fn key(&self) -> B256 {
        keccak256((self.issuer, self.number).abi_encode())
    }

    fn typed(&self) -> Result<eip712::Coupon, ClientError> {
        Ok(eip712::Coupon {
            issuer: self.issuer,
            fed: self.fed,
            kind: self.kind.into(),
            val: self.val,
            number: self.number,
            issuedAt: time48(self.issued_at)?,
            holder: self.holder,
            scope: self.scope,
        })
    }

    pub(super) fn on_chain(&self) -> Result<IBarteringCoupons::Coupon, ClientError> {
        Ok(IBarteringCoupons::Coupon {
            issuer: self.issuer,
            fed: self.fed,
            kind: self.kind.into(),
            val: self.val,
            number: self.number,
            issuedAt: time48(self.issued_at)?,
            holder: self.holder,
            scope: self.scope,
        })
    }
}

/// A coupon's state in words.
pub fn coupon_state_text(state: CouponState) -> &'static str {
    match state {
        CouponState::NotRegistered => "not registered",
        CouponState::Valid => "valid",
        CouponState::Consumed => "consumed",
        CouponState::Revoked => "revoked",
        CouponState::Mismatch => "registered with other fields",
    }
}

impl MarketClient {
    /// The sender, a Manager of the issuer, signs a coupon: 20-byte signer ‖ signature.
    pub fn sign_coupon(&self, coupon: &Coupon) -> Result<Bytes, ClientError> {
        let account = self.account()?;
        let signature = account.sign_typed(&coupon.typed()?, &self.coupon_domain())?;
        Ok(account.packed(&signature))
    }

    /// Brings a signed coupon on chain; anyone may.
    pub async fn register_coupon(
        &self,
        coupon: &Coupon,
        signature: Bytes,
    ) -> Result<Receipt, ClientError> {
        let call = BarteringCoupons::registerCall {
            c: coupon.on_chain()?,
            sig: signature,
        };
        self.send(self.coupons(), call).await
    }

    /// Whether a coupon holds now.
    pub async fn coupon_status(&self, coupon: &Coupon) -> Result<CouponStatus, ClientError> {
        let call = BarteringCoupons::validityCall {
            c: coupon.on_chain()?,
        };
        let validity = self.call(self.coupons(), call).await?;
        let state = CouponState::try_from(validity.status)
            .map_err(|_| ClientError::BadAnswer("validity"))?;
        Ok(CouponStatus {
            state,
            remaining_uses: validity.remainingUses,
            remaining_seconds: validity.remainingTime,
        })
    }

    /// Who holds a coupon now; zero if nobody.
    pub async fn coupon_holder(&self, key: B256) -> Result<B256, ClientError> {
        self.call(self.coupons(), BarteringCoupons::holderOfCall { key_: key })
            .await
    }

    /// How often a coupon was used so far.
    pub async fn coupon_uses(&self, key: B256) -> Result<u64, ClientError> {
        let indexed = Indexed {
            first: Some(key),
            ..Indexed::default()
        };
        let events: Vec<BarteringCoupons::Used> = self.events(self.coupons(), indexed).await?;
        Ok(events.last().map_or(0, |used| used.uses))
    }

    /// The sender, a Manager of the holder, signs one use: 20-byte signer ‖ signature.
    pub fn sign_use(&self, request: UseRequest) -> Result<Bytes, ClientError> {
        let UseRequest {
            key,
            resource,
            uses,
        } = request;
        let account = self.account()?;
        let payload = eip712::Use {
            key,
            resource,
            uses,
        };
        let signature = account.sign_typed(&payload, &self.coupon_domain())?;
        Ok(account.packed(&signature))
    }

    /// The issuer's gateway takes one use.
    pub async fn consume_coupon(
        &self,
        key: B256,
        resource: B256,
        holder_signature: Bytes,
    ) -> Result<Receipt, ClientError> {
        let call = BarteringCoupons::consumeCall {
            key_: key,
            resource,
            holderSig: holder_signature,
        };
        self.send(self.coupons(), call).await
    }

    /// The issuer takes an unused coupon back.
    pub async fn revoke_coupon(&self, key: B256) -> Result<Receipt, ClientError> {
        self.send(self.coupons(), BarteringCoupons::revokeCall { key_: key })
            .await
    }

    /// The holder hands a coupon on.
    pub async fn transfer_coupon(&self, key: B256, to_org: B256) -> Result<Receipt, ClientError> {
        self.send(
            self.coupons(),
            BarteringCoupons::transferCall {
                key_: key,
                toOrg: to_org,
            },
        )
        .await
    }

    fn coupons(&self) -> Address {
        self.contracts.bartering_coupons
    }

    fn coupon_domain(&self) -> alloy_sol_types::Eip712Domain {
        domain("BarteringCoupons", self.chain_id, self.coupons())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coupon_is_the_json_of_its_fields_and_its_key_is_issuer_and_number() {
        let coupon = Coupon {
            issuer: B256::repeat_byte(1),
            fed: B256::repeat_byte(2),
            kind: CouponKind::Discrete,
            val: 1,
            number: 7,
            issued_at: 1_700_000_000,
            holder: B256::repeat_byte(3),
            scope: B256::ZERO,
        };
        let json = serde_json::to_value(&coupon).expect("serializes");
        assert_eq!(
            (&json["kind"], &json["issuedAt"]),
            (&"discrete".into(), &1_700_000_000_u64.into())
        );
        assert_eq!(
            serde_json::from_value::<Coupon>(json).expect("reads"),
            coupon
        );
        let mut packed = [0; 64];
        packed[..32].fill(1);
        packed[63] = 7;
        assert_eq!(coupon.key(), keccak256(packed));
    }
}
