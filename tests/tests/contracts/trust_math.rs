//! TrustMath in Solidity against the SDK's, bit by bit, and the specification's vectors.

use crate::{harness::Chain, sdk_trust_math as sdk};
use alloy_primitives::{Address, U256};
use alloy_sol_types::SolCall;
use medina_contracts::trust_math_harness::TrustMathHarness::{self, *};
use proptest::prelude::*;

/// The formulas on chain.
struct Formulas {
    chain: Chain,
    at: Address,
}

impl Formulas {
    fn new() -> Self {
        let mut chain = Chain::new();
        let at = chain.create(&TrustMathHarness::BYTECODE);
        Self { chain, at }
    }

    fn ask<C: SolCall>(&self, call: &C) -> C::Return {
        self.chain.view(self.at, call)
    }
}

fn n(value: u64) -> U256 {
    U256::from(value)
}

#[test]
fn vectors_of_the_specification_hold() {
    let math = Formulas::new();
    let trust = |violations| {
        math.ask(&resourceTrustCall {
            up: n(8),
            down: n(2),
            violations: n(violations),
            feedback_: n(10_000),
        })
    };
    assert_eq!([trust(4), trust(5)], [n(8_000), n(7_600)]);
    let adaptive = [
        (9_010, 2_500),
        (7_010, 2_475),
        (5_010, 2_400),
        (3_010, 2_300),
        (1_010, 2_150),
        (1_000, 2_050),
    ];
    for (reputation, expected) in adaptive {
        let call = adaptiveTrustCall {
            trust: n(1_000),
            reputation: n(reputation),
            known: true,
            earlier: n(4_000),
        };
        assert_eq!(math.ask(&call), n(expected), "PR {reputation}");
    }
    let ratio = |member, federation| {
        math.ask(&membershipRatioCall {
            memberTime: n(member),
            federationTime: n(federation),
        })
    };
    assert_eq!(
        math.ask(&historyCall {
            ratios: ratio(10, 100) + ratio(20, 200),
            count: n(2)
        }),
        n(1_000)
    );
    let feedback = |good: u64, bad: u64, prior| {
        let (good, bad) = (n(good * 1_000_000), n(bad * 1_000_000));
        math.ask(&feedbackCall {
            good,
            bad,
            prior: n(prior),
            priorWeight: n(4),
        })
    };
    assert_eq!(
        [
            feedback(0, 0, 5_000),
            feedback(10, 0, 5_000),
            feedback(2, 8, 5_000)
        ],
        [5_000, 8_571, 2_857].map(n)
    );
    assert_eq!(
        feedback(0, 0, 2_857),
        n(2_857),
        "a new sensor of that organisation"
    );
    for half in [1, 604_800, 7_776_000] {
        let decay = |halves| {
            math.ask(&decayCall {
                value: n(1_000_000_000),
                elapsed: n(halves * half),
                half: n(half),
            })
        };
        assert_eq!([decay(1), decay(2)], [500_000_000, 250_000_000].map(n));
    }
}

/// Inputs of every formula: 10^5 of them are compared.
const INPUTS: u64 = 100_000;
/// Each with inputs of its own.
const THREADS: usize = 4;
/// The same inputs in every run; a failure names the input's number.
const SEED: u64 = 0x6d65_6469_6e61;

/// SplitMix64: numbers without a library whose versions differ.
struct Numbers(u64);

impl Numbers {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Of any size: as many numbers of three digits as of fifteen, and now and then an end of the range.
    fn any(&mut self, bits: u32) -> u64 {
        let max = u64::MAX >> (64 - bits);
        match self.draw() % 16 {
            0 => 0,
            1 => max,
            2 => 1,
            _ => (self.draw() & max) >> (self.draw() % u64::from(bits)),
        }
    }

    fn wide(&mut self) -> U256 {
        (U256::from(self.any(64)) << 64) | U256::from(self.any(64))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }
}

/// One input of every formula, in Solidity and in Rust.
fn compare(math: &Formulas, numbers: &mut Numbers) {
    let (good, bad) = (n(numbers.any(64)), n(numbers.any(64)));
    let (elapsed, half) = (n(numbers.any(32)), n(numbers.any(32)));
    let (paid, dust) = (numbers.wide(), numbers.wide());
    let scores = [0; 4].map(|_| numbers.below(10_001));
    let weights = [0; 4].map(|_| numbers.any(8));
    let known = numbers.below(2) == 1;
    let [score, reputation, prior, earlier] = scores.map(n);
    let (count, w) = (n(numbers.below(120)), n(weights[0]));
    let call = decayCall {
        value: good,
        elapsed,
        half,
    };
    assert_eq!(sdk::decay(good, elapsed, half), Some(math.ask(&call)));
    let call = weightCall {
        paid,
        dust,
        reputation,
        earlier: count,
    };
    assert_eq!(
        sdk::weight(paid, dust, reputation, count),
        Some(math.ask(&call))
    );
    let call = shareCall {
        weight_: good,
        score,
    };
    assert_eq!(sdk::share(good, score), Some(math.ask(&call)));
    let call = feedbackCall {
        good,
        bad,
        prior,
        priorWeight: w,
    };
    assert_eq!(sdk::feedback(good, bad, prior, w), Some(math.ask(&call)));
    let call = confidenceCall {
        good,
        bad,
        priorWeight: w,
    };
    assert_eq!(sdk::confidence(good, bad, w), Some(math.ask(&call)));
    let call = violationFactorCall { violations: count };
    assert_eq!(sdk::violation_factor(count), math.ask(&call));
    if !(good + bad).is_zero() {
        let call = resourceTrustCall {
            up: good,
            down: bad,
            violations: count,
            feedback_: score,
        };
        assert_eq!(
            sdk::resource_trust(good, bad, count, score),
            Some(math.ask(&call))
        );
    }
    let call = membershipRatioCall {
        memberTime: elapsed,
        federationTime: half,
    };
    assert_eq!(sdk::membership_ratio(elapsed, half), Some(math.ask(&call)));
    if !count.is_zero() {
        let call = historyCall {
            ratios: paid,
            count,
        };
        assert_eq!(sdk::history(paid, count), Some(math.ask(&call)));
    }
    assert_eq!(
        sdk::bartering(count),
        math.ask(&barteringCall { uses: count })
    );
    assert_eq!(
        sdk::access_denied(good),
        math.ask(&accessDeniedCall { misdeeds: good })
    );
    let (values, parts) = (scores.map(n), weights.map(n));
    if weights.iter().any(|weight| *weight != 0) {
        let call = weightedMeanCall {
            values,
            weights: parts,
        };
        assert_eq!(sdk::weighted_mean(values, parts), Some(math.ask(&call)));
    }
    assert_eq!(
        sdk::credibility(reputation),
        math.ask(&credibilityCall { reputation })
    );
    let call = adaptiveTrustCall {
        trust: score,
        reputation,
        known,
        earlier,
    };
    let earlier = known.then_some(earlier);
    assert_eq!(
        sdk::adaptive_trust(score, reputation, earlier),
        Some(math.ask(&call))
    );
}

#[test]
fn contract_and_sdk_agree_on_a_hundred_thousand_inputs_of_every_formula() {
    let math = Formulas::new();
    std::thread::scope(|scope| {
        for thread in (0..).take(THREADS) {
            let math = &math;
            scope.spawn(move || {
                for number in (thread..INPUTS).step_by(THREADS) {
                    let mut numbers = Numbers(SEED ^ (number << 20));
                    let compared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        compare(math, &mut numbers);
                    }));
                    assert!(compared.is_ok(), "input {number}");
                }
            });
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The ring against a plain list of buckets.
    #[test]
    fn ring_counts_what_falls_into_sixteen_buckets(
        steps in proptest::collection::vec(0_u64..9, 1..40), ahead in 0_u64..20,
    ) {
        let math = Formulas::new();
        let (mut ring, mut bucket, mut counted) = (U256::ZERO, 1_000_u64, Vec::new());
        for step in steps {
            bucket += step;
            ring = math.ask(&ringAddCall { ring, bucket: n(bucket) });
            counted.push(bucket);
        }
        let asked = bucket + ahead;
        let expected = counted.iter().filter(|bucket| **bucket + 15 >= asked).count() as u64;
        prop_assert_eq!(math.ask(&ringSumCall { ring, bucket: n(asked) }), n(expected));
    }
}
