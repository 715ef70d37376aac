//! Does anybody notice? Turns on one deliberate defect of the engines after the
//! other and looks for it with two detectors: the simulator's invariants, seed by
//! seed, and [`attacks`] on a single engine.
//!
//! A defect that neither notices is a hole in the tests.

pub mod attacks;
mod report;
mod voices;

pub use report::{Report, caught_share};

use crate::{Scenario, Violation, run};
use attacks::Attack;
use medina_consensus::mutants::{Mutant, MutatedEngine};
use medina_types::ConsensusEngine;
use rayon::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Who noticed a defect, and how.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The defect.
    pub mutant: Mutant,
    /// First run that violates an invariant.
    pub violation: Option<Violation>,
    /// First attack that the engine does not withstand, and what it did.
    pub attack: Option<(&'static str, String)>,
}

impl Finding {
    /// Whether anybody noticed.
    #[must_use]
    pub fn is_caught(&self) -> bool {
        self.violation.is_some() || self.attack.is_some()
    }

    /// Who noticed, in words.
    #[must_use]
    pub fn noticed_by(&self) -> String {
        let seed = self.violation.as_ref().map(|violation| {
            let invariant = violation.invariant;
            format!("{invariant:?} at seed {}", violation.seed)
        });
        let attack = self.attack.as_ref().map(|(name, _)| (*name).to_owned());
        let all: Vec<_> = seed.into_iter().chain(attack).collect();
        if all.is_empty() {
            return "MISSED".to_owned();
        }
        all.join("; ")
    }
}

/// Looks for one defect with both detectors.
#[must_use]
pub fn examine(mutant: Mutant, seeds: u64) -> Finding {
    Finding {
        mutant,
        attack: attacked(mutant),
        violation: simulated(mutant, seeds),
    }
}

fn engine_of(mutant: Mutant) -> ConsensusEngine {
    match mutant.engine() {
        MutatedEngine::Qbft => ConsensusEngine::Qbft,
        MutatedEngine::Raft => ConsensusEngine::Raft,
    }
}

/// The lowest seed that shows the defect: it fails with it and not without.
/// Every worker turns it on for itself.
fn simulated(mutant: Mutant, seeds: u64) -> Option<Violation> {
    let engine = engine_of(mutant);
    let one = |seed| {
        let scenario = Scenario::from_seed(engine, seed);
        let defect = mutant.turn_on();
        let violation = *run(scenario.clone()).err()?;
        drop(defect);
        let is_sound = run(scenario).is_ok();
        is_sound.then_some(violation)
    };
    (0..seeds).into_par_iter().find_map_first(one)
}

fn attacked(mutant: Mutant) -> Option<(&'static str, String)> {
    let _defect = mutant.turn_on();
    attacks::all().into_iter().find_map(|attack| {
        let name = attack.name;
        played(&attack).err().map(|text| (name, text))
    })
}

/// An engine that panics does not withstand an attack.
fn played(attack: &Attack) -> Result<(), String> {
    let end = catch_unwind(AssertUnwindSafe(|| attack.play()));
    end.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(text.unwrap_or_else(|| "panics".to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enough for the defects of Raft that no attack shows.
    const SEEDS: u64 = 50;

    #[test]
    fn engines_without_a_defect_withstand_every_attack() {
        for attack in attacks::all() {
            assert_eq!(attack.play(), Ok(()), "{}", attack.name);
        }
    }

    #[test]
    fn every_defect_is_shown_by_an_attack_or_by_one_of_a_few_seeds() {
        let is_missed = |mutant: Mutant| {
            let is_raft = mutant.engine() == MutatedEngine::Raft;
            let is_seen = attacked(mutant).is_some();
            !is_seen && !(is_raft && simulated(mutant, SEEDS).is_some())
        };
        let mutants = Mutant::ALL.iter().copied();
        let missed: Vec<_> = mutants.filter(|&it| is_missed(it)).collect();
        assert!(missed.is_empty(), "{missed:?}");
    }
}
