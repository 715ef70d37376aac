//! The formulas of trust and reputation, bit by bit as the contracts compute them.
//!
//! Twin of `TrustMath.sol` (contracts specification, section 7), for wallets that show why a
//! score is what it is and for tests that compare both. Scores are basis points, evidence is in
//! 1e-6 units, times in seconds; every formula rounds half up, once, at its end. `None` stands
//! where the contract reverts: an overflow of 256 bits or a division by zero.

use alloy_primitives::U256;

/// One unit of evidence.
pub const UNIT: u64 = 1_000_000;
/// 100.00 as a score.
pub const FULL: u64 = 10_000;
/// What an unknown reputation counts as.
pub const UNKNOWN: u64 = 5_000;
/// Precision of the single ratios inside [`history`].
pub const RATIO: u64 = 1_000_000_000_000_000_000;

fn word(number: u64) -> U256 {
    U256::from(number)
}

/// `a / b`, half up.
pub fn ratio_half_up(a: U256, b: U256) -> Option<U256> {
    let twice = word(2);
    twice
        .checked_mul(a)?
        .checked_add(b)?
        .checked_div(twice.checked_mul(b)?)
}

/// What is left of `value` after `elapsed`, if half is lost every `half`: whole halvings by
/// shift, then `v - v·f(4-f)/6` with `f` the part of the next one.
pub fn decay(value: U256, elapsed: U256, half: U256) -> Option<U256> {
    if half.is_zero() {
        return Some(value);
    }
    let halvings = elapsed / half;
    if halvings >= word(64) {
        return Some(U256::ZERO);
    }
    let rest = elapsed % half;
    let whole = word(6).checked_mul(half)?.checked_mul(half)?;
    let lost = rest.checked_mul(word(4).checked_mul(half)?.checked_sub(rest)?)?;
    let kept = whole.checked_sub(lost)?;
    ratio_half_up((value >> halvings).checked_mul(kept)?, whole)
}

/// Weight of an order as evidence, at most one unit: the size of the payment, the reputation of
/// the buyer's organisation, halved for each earlier piece of evidence of the same pair.
pub fn weight(paid: U256, dust: U256, reputation: U256, earlier: U256) -> Option<U256> {
    if paid < dust || earlier >= word(64) {
        return Some(U256::ZERO);
    }
    let size = log2(paid / dust.max(word(1))).min(word(10));
    Some(size.checked_mul(reputation)?.checked_mul(word(10))? >> earlier)
}

/// ⌊log2(x)⌋, 0 for 0.
pub fn log2(x: U256) -> U256 {
    U256::from(x.bit_len().saturating_sub(1))
}

/// The part of a weight for which a score speaks; the rest speaks against.
pub fn share(weight: U256, score: U256) -> Option<U256> {
    ratio_half_up(weight.checked_mul(score)?, word(FULL))
}

/// F = (r + a·W) / (r + s + W), with `prior` a in basis points and `prior_weight` W in whole units.
pub fn feedback(good: U256, bad: U256, prior: U256, prior_weight: U256) -> Option<U256> {
    let prior_units = prior_weight.checked_mul(word(UNIT))?;
    let all = good.checked_add(bad)?.checked_add(prior_units)?;
    if all.is_zero() {
        return Some(prior);
    }
    let prior_part = prior.checked_mul(prior_weight)?.checked_mul(word(UNIT))?;
    ratio_half_up(good.checked_mul(word(FULL))?.checked_add(prior_part)?, all)
}

/// (r + s) / (r + s + W).
pub fn confidence(good: U256, bad: U256, prior_weight: U256) -> Option<U256> {
    let seen = good.checked_add(bad)?;
    if seen.is_zero() {
        return Some(U256::ZERO);
    }
    let all = seen.checked_add(prior_weight.checked_mul(word(UNIT))?)?;
    ratio_half_up(seen.checked_mul(word(FULL))?, all)
}

/// Value of the first step whose bound is above `x`, else `last`.
fn step(x: U256, steps: &[(u64, u64)], last: u64) -> U256 {
    let found = steps.iter().find(|(bound, _)| x < word(*bound));
    word(found.map_or(last, |(_, value)| *value))
}

/// Factor of the violations within 24 h, percent.
pub fn violation_factor(violations: U256) -> U256 {
    step(
        violations,
        &[(5, 100), (10, 95), (15, 80), (25, 60), (40, 30)],
        10,
    )
}

/// RT = 100·A·VF·F, basis points; `None` if the availability is unknown.
pub fn resource_trust(up: U256, down: U256, violations: U256, feedback: U256) -> Option<U256> {
    let earned = up
        .checked_mul(violation_factor(violations))?
        .checked_mul(feedback)?;
    ratio_half_up(earned, up.checked_add(down)?.checked_mul(word(100))?)
}

/// One term of [`history`]: time as a member over the federation's time; 1 where both are 0.
pub fn membership_ratio(member_time: U256, federation_time: U256) -> Option<U256> {
    if federation_time.is_zero() {
        return Some(word(RATIO));
    }
    Some(member_time.checked_mul(word(RATIO))? / federation_time)
}

/// FH, basis points: the mean of `count` membership ratios with sum `ratios`.
pub fn history(ratios: U256, count: U256) -> Option<U256> {
    ratio_half_up(
        ratios.checked_mul(word(FULL))?,
        count.checked_mul(word(RATIO))?,
    )
}

/// BT, basis points, by own coupons used within 12 h.
pub fn bartering(uses: U256) -> U256 {
    let steps = [
        (7, 1_000),
        (13, 3_000),
        (26, 6_000),
        (51, 8_000),
        (101, 9_500),
    ];
    step(uses, &steps, 10_000)
}

/// AD, basis points, by misdeeds in 1e-6 units.
pub fn access_denied(misdeeds: U256) -> U256 {
    let steps = [
        (10 * UNIT, 10_000),
        (100 * UNIT, 9_500),
        (1_000 * UNIT, 8_000),
        (10_000 * UNIT, 6_000),
        (100_000 * UNIT, 3_000),
    ];
    step(misdeeds, &steps, 1_000)
}

/// Weighted mean of the known parts, basis points; `None` if all weights are 0.
pub fn weighted_mean(values: [U256; 4], weights: [U256; 4]) -> Option<U256> {
    let mut sum = U256::ZERO;
    let mut all = U256::ZERO;
    for (value, weight) in values.into_iter().zip(weights) {
        sum = sum.checked_add(value.checked_mul(weight)?)?;
        all = all.checked_add(weight)?;
    }
    ratio_half_up(sum, all)
}

/// CF, percent, by the reputation of the owner in basis points.
pub fn credibility(reputation: U256) -> U256 {
    let steps = [
        (1_001, 10),
        (3_001, 30),
        (5_001, 60),
        (7_001, 80),
        (9_001, 95),
    ];
    step(reputation, &steps, 100)
}

/// ART, basis points: RT·CF, averaged with the earlier value if there is one.
pub fn adaptive_trust(trust: U256, reputation: U256, earlier: Option<U256>) -> Option<U256> {
    let fresh = trust.checked_mul(credibility(reputation))?;
    match earlier {
        Some(earlier) => ratio_half_up(
            fresh.checked_add(earlier.checked_mul(word(100))?)?,
            word(200),
        ),
        None => ratio_half_up(fresh, word(100)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(result: Option<U256>) -> u64 {
        result.expect("does not overflow").to()
    }

    fn units(count: u64) -> U256 {
        word(count * UNIT)
    }

    #[test]
    fn availability_and_violations_make_trust() {
        let trust = |violations| {
            number(resource_trust(
                word(8),
                word(2),
                word(violations),
                word(FULL),
            ))
        };
        assert_eq!(trust(4), 8_000);
        assert_eq!(trust(5), 7_600);
        assert_eq!(
            resource_trust(U256::ZERO, U256::ZERO, U256::ZERO, word(FULL)),
            None
        );
    }

    #[test]
    fn adaptive_trust_follows_the_owner() {
        let vectors = [
            (9_010, 2_500),
            (7_010, 2_475),
            (5_010, 2_400),
            (3_010, 2_300),
            (1_010, 2_150),
            (1_000, 2_050),
        ];
        for (reputation, expected) in vectors {
            let found = adaptive_trust(word(1_000), word(reputation), Some(word(4_000)));
            assert_eq!(number(found), expected, "PR {reputation}");
        }
        assert_eq!(
            number(adaptive_trust(word(1_000), word(9_010), None)),
            1_000
        );
    }

    #[test]
    fn history_is_the_mean_of_memberships() {
        let ratios = number(membership_ratio(word(10), word(100)))
            + number(membership_ratio(word(20), word(200)));
        assert_eq!(number(history(word(ratios), word(2))), 1_000);
        assert_eq!(number(membership_ratio(U256::ZERO, U256::ZERO)), RATIO);
    }

    #[test]
    fn feedback_starts_at_the_prior_and_moves_with_evidence() {
        let of_org = |good, bad| number(feedback(units(good), units(bad), word(5_000), word(4)));
        assert_eq!(of_org(0, 0), 5_000);
        assert_eq!(of_org(10, 0), 8_571);
        assert_eq!(of_org(2, 8), 2_857);
        let new_sensor = feedback(U256::ZERO, U256::ZERO, word(of_org(2, 8)), word(4));
        assert_eq!(number(new_sensor), 2_857);
        assert_eq!(number(confidence(units(10), U256::ZERO, word(4))), 7_143);
    }

    #[test]
    fn evidence_halves_with_its_half_life() {
        let billion = word(1_000_000_000);
        for half in [1_u64, 7, 7_776_000] {
            assert_eq!(number(decay(billion, word(half), word(half))), 500_000_000);
            assert_eq!(
                number(decay(billion, word(2 * half), word(half))),
                250_000_000
            );
            assert_eq!(number(decay(billion, word(64 * half), word(half))), 0);
        }
        assert_eq!(decay(billion, word(9), U256::ZERO), Some(billion));
    }

    #[test]
    fn weight_grows_with_payment_and_halves_with_repetition() {
        let of = |paid, earlier| number(weight(word(paid), word(10), word(FULL), word(earlier)));
        assert_eq!(of(9, 0), 0);
        assert_eq!(of(10, 0), 0);
        assert_eq!(of(40, 0), 200_000);
        assert_eq!(of(1_000_000, 0), UNIT);
        assert_eq!(of(1_000_000, 1), UNIT / 2);
        assert_eq!(of(1_000_000, 64), 0);
        assert_eq!(
            number(weight(word(8), U256::ZERO, word(FULL), U256::ZERO)),
            300_000
        );
    }

    #[test]
    fn steps_turn_where_the_specification_says() {
        let percent = |x| violation_factor(word(x)).to::<u64>();
        assert_eq!(
            [4, 5, 9, 10, 14, 15, 24, 25, 39, 40].map(percent),
            [100, 95, 95, 80, 80, 60, 60, 30, 30, 10]
        );
        let barter = |x| bartering(word(x)).to::<u64>();
        assert_eq!(
            [0, 6, 7, 12, 13, 25, 26, 50, 51, 100, 101].map(barter),
            [
                1_000, 1_000, 3_000, 3_000, 6_000, 6_000, 8_000, 8_000, 9_500, 9_500, 10_000
            ]
        );
        let denied = |x: u64| access_denied(units(x)).to::<u64>();
        assert_eq!(
            [9, 10, 99, 100, 999, 1_000, 9_999, 10_000, 99_999, 100_000].map(denied),
            [
                10_000, 9_500, 9_500, 8_000, 8_000, 6_000, 6_000, 3_000, 3_000, 1_000
            ]
        );
        let credible = |x| credibility(word(x)).to::<u64>();
        assert_eq!(
            [1_000, 1_001, 3_001, 5_001, 7_001, 9_000, 9_001].map(credible),
            [10, 30, 60, 80, 95, 95, 100]
        );
    }

    #[test]
    fn mean_counts_known_parts_only() {
        let values = [10_000, 0, 10_000, 5_000].map(word);
        assert_eq!(
            number(weighted_mean(values, [10, 0, 1, 8].map(word))),
            7_895
        );
        assert_eq!(weighted_mean(values, [U256::ZERO; 4]), None);
    }

    proptest! {
        #[test]
        fn decay_never_grows_and_never_rises_with_time(
            value in 0_u64..u64::MAX, elapsed in 0_u64..1_000_000_000, half in 1_u64..100_000_000,
        ) {
            let now = number(decay(word(value), word(elapsed), word(half)));
            let later = number(decay(word(value), word(elapsed + 1), word(half)));
            prop_assert!(now <= value);
            // Rounding a halved odd number may lift it by half a unit of 1e-6.
            prop_assert!(later <= now + 1);
        }

        #[test]
        fn scores_stay_scores(good in any::<u64>(), bad in any::<u64>(), prior in 0..=FULL, w in 1_u64..=255) {
            prop_assert!(number(feedback(word(good), word(bad), word(prior), word(w))) <= FULL);
            prop_assert!(number(confidence(word(good), word(bad), word(w))) <= FULL);
        }

        #[test]
        fn no_number_panics(a in any::<[u64; 4]>(), b in any::<[u64; 4]>(), c in any::<[u64; 4]>()) {
            let [a, b, c] = [a, b, c].map(U256::from_limbs);
            let _ = (decay(a, b, c), decay(a, b, word(7)), weight(a, b, c, word(3)), weight(a, b, c, a));
            let _ = (share(a, b), feedback(a, b, c, c), confidence(a, b, c), resource_trust(a, b, c, a));
            let _ = (membership_ratio(a, b), history(a, b), weighted_mean([a, b, c, a], [c, b, a, b]));
            let _ = (adaptive_trust(a, b, Some(c)), ratio_half_up(a, b), bartering(a), access_denied(a));
        }
    }
}
