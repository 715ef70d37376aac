//! What people do in the market, at random: every action in any order, most of them refused.

use crate::harness::TOKEN;
use proptest::prelude::*;

/// Accounts that act; 0 is also the arbiter.
pub(crate) const ACTORS: usize = crate::actors::PEOPLE;
/// Fixed of two sellers, Free, PerUnit, Period, and Fixed with the judge SealedDelivery.
pub(crate) const LISTINGS: u64 = 6;
/// The listing with a judge.
pub(crate) const JUDGED: u64 = 6;

/// Steps of a sealed delivery.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SealStep {
    /// With a ciphertext that is wrong in one chunk, or right.
    Offer {
        is_right: bool,
    },
    Accept,
    Reveal,
    Complain,
    Settle,
    /// Offer, acceptance and reveal, each by who does it.
    UpToReveal {
        is_right: bool,
    },
}

fn seal_step() -> impl Strategy<Value = SealStep> {
    prop_oneof![
        3 => any::<bool>().prop_map(|is_right| SealStep::Offer { is_right }),
        3 => Just(SealStep::Accept),
        3 => Just(SealStep::Reveal),
        6 => Just(SealStep::Complain),
        4 => prop::bool::weighted(0.3).prop_map(|is_right| SealStep::UpToReveal { is_right }),
        1 => Just(SealStep::Settle),
    ]
}

fn orders() -> std::ops::Range<u64> {
    1..6
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
    Buy {
        listing: u64,
        units: u64,
        user: usize,
    },
    Deliver {
        order: u64,
        with_proof: bool,
    },
    Confirm {
        order: u64,
    },
    Claim {
        order: u64,
    },
    Cancel {
        order: u64,
    },
    Dispute {
        order: u64,
    },
    Resolve {
        order: u64,
        buyer_bps: u16,
    },
    Expire {
        order: u64,
    },
    ClaimUnits {
        order: u64,
        cumulative: u64,
        is_signed: bool,
    },
    Renew {
        order: u64,
        periods: u64,
    },
    Rate {
        order: u64,
        score: u16,
    },
    UseOrder {
        order: u64,
    },
    SetPrice {
        listing: u64,
        price: u128,
    },
    Withdraw,
    Collect {
        amount: u128,
    },
    /// The next step of a sealed delivery, whatever state the order is in.
    Seal {
        order: u64,
        step: SealStep,
    },
    Upgrade,
    Wait {
        seconds: u64,
    },
}

pub(crate) fn action() -> impl Strategy<Value = (usize, Action)> {
    let order = orders();
    let kind = prop_oneof![
        4 => (prop_oneof![2 => 1_u64..=LISTINGS, 1 => Just(JUDGED)], 0_u64..4, 0..ACTORS)
            .prop_map(|(listing, units, user)| Action::Buy { listing, units, user }),
        4 => (order.clone(), any::<bool>())
            .prop_map(|(order, with_proof)| Action::Deliver { order, with_proof }),
        3 => order.clone().prop_map(|order| Action::Confirm { order }),
        2 => order.clone().prop_map(|order| Action::Claim { order }),
        2 => order.clone().prop_map(|order| Action::Cancel { order }),
        3 => order.clone().prop_map(|order| Action::Dispute { order }),
        3 => (order.clone(), 0_u16..=10_001)
            .prop_map(|(order, buyer_bps)| Action::Resolve { order, buyer_bps }),
        2 => order.clone().prop_map(|order| Action::Expire { order }),
        3 => (order.clone(), 0_u64..6, prop::bool::weighted(0.8))
            .prop_map(|(order, cumulative, is_signed)| Action::ClaimUnits { order, cumulative, is_signed }),
        2 => (order.clone(), 0_u64..4).prop_map(|(order, periods)| Action::Renew { order, periods }),
        3 => (order.clone(), 0_u16..=10_000).prop_map(|(order, score)| Action::Rate { order, score }),
        1 => order.prop_map(|order| Action::UseOrder { order }),
        1 => (1_u64..=LISTINGS, 0..3 * TOKEN).prop_map(|(listing, price)| Action::SetPrice { listing, price }),
        2 => Just(Action::Withdraw),
        1 => (0..TOKEN).prop_map(|amount| Action::Collect { amount }),
        6 => (orders(), seal_step()).prop_map(|(order, step)| Action::Seal { order, step }),
        1 => Just(Action::Upgrade),
        3 => prop_oneof![Just(60_u64), Just(3_601), Just(7_201), Just(700_000)]
            .prop_map(|seconds| Action::Wait { seconds }),
    ];
    // Sellers 1 and 2, buyer 3 and the arbiter act more often than the rest.
    (prop_oneof![3 => 0_usize..4, 1 => 4..ACTORS], kind)
}
