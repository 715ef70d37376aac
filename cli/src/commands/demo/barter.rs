//! Access against a coupon instead of money.

use super::{
    network::DemoNetwork,
    stage::{Done, Stage},
    story::{Market, Parties, first, refused_by_gateway},
};
use crate::{
    commands::since_epoch,
    errors::{Failure, Outcome},
};
use alloy_primitives::{B256, Bytes, keccak256};
use medina_sdk::client::{Coupon, CouponKind, CouponState, MarketClient, Target, UseRequest};

/// A second platform reads against a coupon instead of money.
pub(super) async fn barter(stage: &mut Stage, network: &DemoNetwork, market: &Market) -> Outcome {
    let Parties {
        seller, platform, ..
    } = &market.parties;
    let resource = first(&market.devices)?.sensor.id;
    let fed = keccak256(format!("demo federation {}", network.rpc_url()));
    stage
        .step("form a federation", async {
            let invited = platform.own_org().await?;
            let created = seller
                .create_federation(fed, fed, false, &[invited])
                .await?;
            let mut receipts = vec![created, platform.join_federation(fed).await?];
            receipts.extend(seller.share_resources(fed, &[resource], true).await?);
            Ok(Done::sent(
                (),
                &receipts,
                "seller and second platform; one sensor bartered",
            ))
        })
        .await?;
    let coupon = issue(stage, market, fed, resource).await?;
    consume(stage, market, &coupon, resource).await?;
    refuse_second_use(stage, market, &coupon, resource).await
}

async fn issue(stage: &mut Stage, market: &Market, fed: B256, resource: B256) -> Outcome<Coupon> {
    let Parties {
        seller, platform, ..
    } = &market.parties;
    let coupon = stage
        .step("issue a coupon", async {
            let coupon = Coupon {
                issuer: seller.own_org().await?,
                fed,
                kind: CouponKind::Discrete,
                val: 1,
                number: 1,
                issued_at: since_epoch().as_secs(),
                holder: platform.own_org().await?,
                scope: resource,
            };
            let signature = seller.sign_coupon(&coupon)?;
            let receipt = platform.register_coupon(&coupon, signature).await?;
            let state = platform.coupon_status(&coupon).await?.state;
            if state != CouponState::Valid {
                return Err(Failure::new(format!("the coupon is {state:?}, not valid")));
            }
            Ok(Done::sent(
                coupon,
                [&receipt],
                "one use, checked by its holder: valid",
            ))
        })
        .await?;
    stage.report.coupon.issued = true;
    Ok(coupon)
}

fn use_signature(
    platform: &MarketClient,
    coupon: &Coupon,
    resource: B256,
    uses: u64,
) -> Outcome<Bytes> {
    Ok(platform.sign_use(UseRequest {
        key: coupon.key(),
        resource,
        uses,
    })?)
}

async fn consume(stage: &mut Stage, market: &Market, coupon: &Coupon, resource: B256) -> Outcome {
    let platform = &market.parties.platform;
    stage
        .step("use the coupon", async {
            let signature = use_signature(platform, coupon, resource, 1)?;
            let session = market
                .gateway
                .open_session_with_coupon(coupon, resource, signature)
                .await?;
            let target = Target::Resource(resource);
            let delivery = market
                .gateway
                .fetch_verified(platform, &session, target)
                .await?;
            let state = platform.coupon_status(coupon).await?.state;
            if delivery.readings.is_empty() || state != CouponState::Consumed {
                return Err(Failure::new(format!(
                    "{} readings, coupon {state:?}",
                    delivery.readings.len()
                )));
            }
            let note = format!(
                "the gateway consumed it and gave {} proven readings",
                delivery.readings.len()
            );
            Ok(Done::quiet((), note))
        })
        .await?;
    stage.report.coupon.consumed = true;
    Ok(())
}

async fn refuse_second_use(
    stage: &mut Stage,
    market: &Market,
    coupon: &Coupon,
    resource: B256,
) -> Outcome {
    let Parties {
        seller, platform, ..
    } = &market.parties;
    stage
        .step("second use is refused", async {
            let signature = use_signature(platform, coupon, resource, 2)?;
            let again = market
                .gateway
                .open_session_with_coupon(coupon, resource, signature.clone())
                .await;
            let by_gateway = refused_by_gateway(again)?;
            match seller
                .consume_coupon(coupon.key(), resource, signature)
                .await
            {
                Err(error) if error.is_refusal("NotValid") => Ok(Done::quiet(
                    (),
                    format!("gateway: {by_gateway}; contract: NotValid"),
                )),
                Err(other) => Err(other.into()),
                Ok(_) => Err(Failure::new("the contract took the coupon twice")),
            }
        })
        .await?;
    stage.report.coupon.second_use_refused = true;
    Ok(())
}
