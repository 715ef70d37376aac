//! Whose turn it is. Specification: `proposer` in
//! `node_auxiliary_functions.dfy`: the validator after the last block's
//! proposer, and one further with every round.
//!
//! # Deviations of Medina, modelled here
//! A validator that let its turn pass (somebody later in the order made the
//! block) is put at the end of the order until a probe is due: 16 heights after
//! the first miss, then twice as many with each further one, 1,024 at most.
//! Making a block forgives everything.

use alloy_primitives::Address;

const FIRST_PROBE: u64 = 16;
const LAST_PROBE: u64 = 1024;

#[derive(Clone, Copy, Debug, Default)]
struct Absence {
    misses: u32,
    probe_at: u64,
}

/// The order of proposers as the chain so far determines it, for a set that
/// does not change.
#[derive(Clone, Debug)]
pub struct Turns {
    operators: Vec<Address>,
    first: usize,
    absences: Vec<Absence>,
}

impl Turns {
    /// The chain has only its genesis block.
    #[must_use]
    pub fn at_genesis(operators: Vec<Address>) -> Self {
        let absences = vec![Absence::default(); operators.len()];
        Self {
            operators,
            first: 0,
            absences,
        }
    }

    /// Places of the proposers of rounds 0, 1, … at a height; then again from
    /// the start.
    #[must_use]
    pub fn order(&self, height: u64) -> Vec<usize> {
        let count = self.operators.len();
        let is_late = |&place: &usize| {
            let absence = self.absences[place];
            absence.misses > 0 && absence.probe_at > height
        };
        let rotated: Vec<usize> = (self.first..count).chain(0..self.first).collect();
        let in_time = rotated.iter().copied().filter(|place| !is_late(place));
        let late = rotated.iter().copied().filter(is_late);
        in_time.chain(late).collect()
    }

    /// A block of this beneficiary was added at a height.
    pub fn add_block(&mut self, height: u64, beneficiary: Address) {
        let Some(maker) = self.operators.iter().position(|one| *one == beneficiary) else {
            return;
        };
        for place in self.order(height) {
            if place == maker {
                break;
            }
            let absence = &mut self.absences[place];
            let pause = (0..absence.misses).fold(FIRST_PROBE, |pause, _| pause * 2);
            absence.probe_at = height + pause.min(LAST_PROBE);
            absence.misses = (absence.misses + 1).min(10);
        }
        self.absences[maker] = Absence::default();
        self.first = (maker + 1) % self.operators.len();
    }
}
