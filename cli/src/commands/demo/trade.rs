//! Money against data, while a validator dies and comes back.

use super::{
    network::DemoNetwork,
    stage::{Done, Stage},
    story::{Market, Parties, first},
};
use crate::{
    commands::since_epoch,
    errors::{Failure, Outcome},
    values::{money, points_or_unknown},
};
use alloy_primitives::{B256, U256, keccak256};
use medina_sdk::client::{MarketClient, OrderState, Purchase, Score, Target};

/// The validator that is killed. The parties speak to node 0.
const VICTIM: usize = 3;

/// The buyer's rating, basis points.
const RATING: u16 = 9_500;

/// How long the permit of the purchase holds.
const PERMIT_SECONDS: u64 = 3600;

/// Money against data, while a validator dies and comes back.
pub(super) async fn trade(
    stage: &mut Stage,
    network: &mut DemoNetwork,
    market: &Market,
    listing: u64,
) -> Outcome {
    let Parties { seller, buyer, .. } = &market.parties;
    let (seller_address, buyer_address) = (seller.account()?.address(), buyer.account()?.address());
    let seller_org = seller.own_org().await?;
    stage.report.payment.buyer_before = buyer.balance(buyer_address).await?;
    stage.report.payment.seller_before = seller.balance(seller_address).await?;
    stage.report.trust.before = Some(buyer.platform_reputation(seller_org).await?);

    let resource = first(&market.devices)?.sensor.id;
    stage.report.trust.sensor_before = Some(buyer.resource_trust(resource).await?);

    let order = buy(stage, buyer, listing).await?;
    stage
        .step("kill a validator", async {
            network.kill_node(VICTIM).await?;
            Ok(Done::quiet((), format!("SIGKILL for node-{VICTIM}")))
        })
        .await?;
    stage
        .step("deliver", async {
            let receipt = seller.deliver(order, market.proof).await?;
            Ok(Done::sent((), [&receipt], "with three of four validators"))
        })
        .await?;
    receive(stage, market, listing).await?;
    stage
        .step("confirm", async {
            let receipt = buyer.confirm(order).await?;
            let state = buyer.order(order).await?.state;
            if state != Ok(OrderState::Completed) {
                return Err(Failure::new(format!(
                    "the order is {state:?}, not completed"
                )));
            }
            Ok(Done::sent((), [&receipt], "the price leaves escrow"))
        })
        .await?;
    stage.report.payment.buyer_after = buyer.balance(buyer_address).await?;
    stage.report.payment.seller_after = pay_out(stage, seller).await?;
    check_payment(stage)?;
    rate(stage, market, order, seller_org).await?;
    stage
        .step("bring the validator back", async {
            network.start_node(VICTIM)?;
            network.wait_until_connected(VICTIM, 2).await?;
            Ok(Done::quiet(
                (),
                format!("node-{VICTIM} runs again and catches up"),
            ))
        })
        .await
}

async fn buy(stage: &mut Stage, buyer: &MarketClient, listing: u64) -> Outcome<U256> {
    let before = stage.report.payment.buyer_before;
    let price = stage.report.payment.price;
    stage
        .step("buy", async {
            let purchase = Purchase {
                listing,
                units: 1,
                user: None,
                max_amount: None,
                purpose: keccak256("demo"),
                deadline: since_epoch().as_secs() + PERMIT_SECONDS,
            };
            let (order, receipt) = buyer.buy(&purchase).await?;
            let address = buyer.account()?.address();
            let paid = before.saturating_sub(buyer.balance(address).await?);
            if paid != price {
                return Err(Failure::new(format!(
                    "{} left the buyer's account, not the price",
                    money(paid)
                )));
            }
            if !buyer.has_access(listing, address).await? {
                return Err(Failure::new("the buyer paid and has no access"));
            }
            Ok(Done::sent(
                order,
                [&receipt],
                format!("order {order}, {} in escrow", money(price)),
            ))
        })
        .await
}

async fn receive(stage: &mut Stage, market: &Market, listing: u64) -> Outcome {
    let buyer = &market.parties.buyer;
    let anchored = stage.report.readings.anchored;
    let verified = stage
        .step("receive and prove the readings", async {
            let session = market
                .gateway
                .open_session(buyer.account()?, listing)
                .await?;
            let delivery = market
                .gateway
                .fetch_verified(buyer, &session, Target::Listing(listing))
                .await?;
            let verified = delivery.readings.len() as u64;
            if verified != anchored {
                return Err(Failure::new(format!(
                    "{verified} readings were received and proven of {anchored}"
                )));
            }
            let note = format!(
                "{verified} readings lead to the roots of {} batches",
                delivery.batches
            );
            Ok(Done::quiet(verified, note))
        })
        .await?;
    stage.report.readings.verified = verified;
    Ok(())
}

async fn pay_out(stage: &mut Stage, seller: &MarketClient) -> Outcome<U256> {
    let before = stage.report.payment.seller_before;
    stage
        .step("pay the seller", async {
            let address = seller.account()?.address();
            let credit = seller.credits(address).await?;
            let receipt = seller.withdraw(address).await?;
            let balance = seller.balance(address).await?;
            if balance != before + U256::from(credit) {
                return Err(Failure::new(format!(
                    "the seller was owed {} and has {}",
                    money(credit),
                    money(balance)
                )));
            }
            Ok(Done::sent(
                balance,
                [&receipt],
                format!("{} after the market's fee", money(credit)),
            ))
        })
        .await
}

/// The seller earned what the buyer paid, less the fee of at most 5 %.
fn check_payment(stage: &Stage) -> Outcome {
    let payment = &stage.report.payment;
    let paid = payment.buyer_before.saturating_sub(payment.buyer_after);
    let earned = payment.seller_after.saturating_sub(payment.seller_before);
    let least = paid - paid / U256::from(20);
    if paid != payment.price || earned > paid || earned < least {
        let (paid, earned) = (money(paid), money(earned));
        return Err(Failure::new(format!(
            "the buyer paid {paid} and the seller earned {earned}"
        )));
    }
    Ok(())
}

async fn rate(stage: &mut Stage, market: &Market, order: U256, seller_org: B256) -> Outcome {
    let buyer = &market.parties.buyer;
    let resource = first(&market.devices)?.sensor.id;
    let (before, sensor_before) = (stage.report.trust.before, stage.report.trust.sensor_before);
    let (after, sensor_after) = stage
        .step("rate the seller", async {
            let rated = buyer.rate(order, RATING, keccak256("as promised")).await?;
            let after = buyer.platform_reputation(seller_org).await?;
            if Some(after) == before {
                return Err(Failure::new("the rating changed nothing"));
            }
            // Counts what the sensor has anchored as time it was up.
            let refreshed = buyer.refresh_trust(resource).await?;
            let sensor_after = buyer.resource_trust(resource).await?;
            let changed = |from: Option<Score>, to: Score| {
                let from = points_or_unknown(from.and_then(|score| score.known()));
                format!("{from} -> {}", points_or_unknown(to.known()))
            };
            let note = format!(
                "trust in seller {}, in sensor {}",
                changed(before, after),
                changed(sensor_before, sensor_after)
            );
            Ok(Done::sent(
                (after, sensor_after),
                [&rated, &refreshed],
                note,
            ))
        })
        .await?;
    stage.report.trust.after = Some(after);
    stage.report.trust.sensor_after = Some(sensor_after);
    Ok(())
}
