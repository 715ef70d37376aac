//! Who proposes: a function of the validator set and the headers alone.
//!
//! Rotation starts behind the last proposer. A validator that missed its turn
//! (somebody later in the order is the header's beneficiary) goes to the end of
//! the order, so a dead leader costs one timeout and not one in every n blocks.
//! It is probed again after 16 blocks, then 32, and so on up to 1,024: at that
//! height it regains its place in the rotation until it misses again.
//! Certificates differ per node, so they never enter this.

use crate::{Height, Round, Validator, ValidatorSet};
use alloy_primitives::Address;
use borsh::{BorshDeserialize, BorshSerialize};

/// Blocks after its first miss until a validator is probed again.
const PROBE_AFTER_BLOCKS: u64 = 16;
/// Longest distance between two probes, in blocks.
const PROBE_AFTER_BLOCKS_MAX: u64 = 1024;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Standing {
    /// Turns missed in a row; 0 for a validator in good standing.
    misses: u32,
    /// Height from which a missing validator is tried again.
    probe_at: u64,
}

impl Standing {
    const fn is_eligible_at(self, height: Height) -> bool {
        self.misses == 0 || height.0 >= self.probe_at
    }

    fn missed_at(self, height: Height) -> Self {
        let distance = PROBE_AFTER_BLOCKS
            .checked_shl(self.misses)
            .unwrap_or(PROBE_AFTER_BLOCKS_MAX)
            .min(PROBE_AFTER_BLOCKS_MAX);
        Self {
            misses: (self.misses + 1).min(PROBE_AFTER_BLOCKS_MAX.ilog2()),
            probe_at: height.0.saturating_add(distance),
        }
    }
}

/// Order of proposers, carried from block to block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProposerSchedule {
    /// Index behind the last proposer: where the rotation starts.
    start: u32,
    /// One standing per validator of the set, same order.
    standings: Vec<Standing>,
}

impl ProposerSchedule {
    /// Schedule of a fresh chain: everybody in good standing, first validator first.
    #[must_use]
    pub fn new(set: &ValidatorSet) -> Self {
        Self {
            start: 0,
            standings: vec![Standing::default(); set.len()],
        }
    }

    /// Indices of the set in the order in which they propose at this height.
    #[must_use]
    pub fn order(&self, height: Height) -> Vec<usize> {
        let count = self.standings.len();
        let rotation = (0..count).map(|step| (self.start as usize + step) % count);
        let (mut order, late): (Vec<_>, Vec<_>) =
            rotation.partition(|&index| self.standings[index].is_eligible_at(height));
        order.extend(late);
        order
    }

    /// Schedule for the next height, after the block at `height` with this
    /// beneficiary. `next` is the validator set of the next height.
    #[must_use]
    pub fn after(
        &self,
        height: Height,
        beneficiary: Address,
        set: &ValidatorSet,
        next: &ValidatorSet,
    ) -> Self {
        let mut after = self.clone();
        let order = self.order(height);
        let proposer = set.index_of_operator(&beneficiary);
        if let Some(proposer) = proposer {
            for &index in order.iter().take_while(|&&index| index != proposer) {
                after.standings[index] = self.standings[index].missed_at(height);
            }
            after.standings[proposer] = Standing::default();
            after.start = u32::try_from((proposer + 1) % set.len()).unwrap_or(0);
        }
        if set == next {
            after
        } else {
            after.carried_to(set, next)
        }
    }

    /// Keeps the standing of everybody who stays, by key.
    fn carried_to(&self, set: &ValidatorSet, next: &ValidatorSet) -> Self {
        let standing = |validator: &Validator| {
            set.index_of_key(&validator.key)
                .map(|index| self.standings[index])
                .unwrap_or_default()
        };
        let first = set
            .get(self.start as usize)
            .and_then(|v| next.index_of_key(&v.key));
        Self {
            start: first
                .and_then(|index| u32::try_from(index).ok())
                .unwrap_or(0),
            standings: next.validators().iter().map(standing).collect(),
        }
    }
}

/// Everything about a height that follows from the block before it: stored with
/// block h for height h + 1.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct HeightContext {
    /// Validators of the height.
    pub validators: ValidatorSet,
    /// Order in which they propose.
    pub schedule: ProposerSchedule,
}

impl HeightContext {
    /// Context of the first height of a chain.
    #[must_use]
    pub fn genesis(validators: ValidatorSet) -> Self {
        let schedule = ProposerSchedule::new(&validators);
        Self {
            validators,
            schedule,
        }
    }

    /// proposer(h, r): validator number r of the order, wrapping around.
    #[must_use]
    pub fn proposer(&self, height: Height, round: Round) -> &Validator {
        let order = self.schedule.order(height);
        &self.validators.validators()[order[round.0 as usize % order.len()]]
    }

    /// Context of the next height after the block at `height`.
    #[must_use]
    pub fn after(&self, height: Height, beneficiary: Address, next: ValidatorSet) -> Self {
        let schedule = self
            .schedule
            .after(height, beneficiary, &self.validators, &next);
        Self {
            validators: next,
            schedule,
        }
    }
}

impl BorshDeserialize for HeightContext {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let context = Self {
            validators: ValidatorSet::deserialize_reader(reader)?,
            schedule: ProposerSchedule::deserialize_reader(reader)?,
        };
        let count = context.validators.len();
        if context.schedule.standings.len() != count || context.schedule.start as usize >= count {
            let text = "proposer schedule does not fit its validator set";
            return Err(borsh::io::Error::new(
                borsh::io::ErrorKind::InvalidData,
                text,
            ));
        }
        Ok(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validators::tests::set_of;

    fn run(
        context: HeightContext,
        heights: std::ops::Range<u64>,
        dead: Option<usize>,
    ) -> (HeightContext, usize) {
        let mut wasted_rounds = 0;
        let mut context = context;
        for height in heights.map(Height) {
            let order = context.schedule.order(height);
            let round = order.iter().position(|index| Some(*index) != dead).unwrap();
            wasted_rounds += round;
            let operator = context.validators.validators()[order[round]].operator;
            let set = context.validators.clone();
            context = context.after(height, operator, set);
        }
        (context, wasted_rounds)
    }

    #[test]
    fn healthy_validators_take_turns() {
        let context = HeightContext::genesis(set_of(4));
        let proposers: Vec<_> = (1..=4)
            .scan(context, |context, height| {
                let operator = context.proposer(Height(height), Round::ZERO).operator;
                *context = context.after(Height(height), operator, context.validators.clone());
                Some(operator)
            })
            .collect();
        assert_eq!(
            proposers,
            set_of(4)
                .validators()
                .iter()
                .map(|v| v.operator)
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn dead_leader_costs_a_handful_of_rounds_in_a_thousand_blocks() {
        let (_, wasted) = run(HeightContext::genesis(set_of(4)), 1..1001, Some(2));
        assert!((1..=8).contains(&wasted), "{wasted} rounds wasted");
    }

    #[test]
    fn returned_leader_proposes_again_after_its_probe() {
        let (context, _) = run(HeightContext::genesis(set_of(4)), 1..20, Some(2));
        let (context, wasted) = run(context, 20..120, None);
        assert_eq!(wasted, 0);
        assert_eq!(context.schedule.standings[2], Standing::default());
    }

    #[test]
    fn every_round_has_a_proposer_and_rounds_wrap_around() {
        let context = HeightContext::genesis(set_of(3));
        let at = |round| *context.proposer(Height(1), Round(round));
        assert_eq!(at(0), at(3));
        assert_ne!(at(0), at(1));
        let _ = at(u32::MAX);
    }

    #[test]
    fn set_change_keeps_the_standing_of_those_who_stay() {
        let set = set_of(4);
        let smaller = ValidatorSet::new(set.validators()[1..].to_vec()).unwrap();
        let (context, _) = run(HeightContext::genesis(set.clone()), 1..10, Some(2));
        let operator = set.validators()[1].operator;
        let after = context.after(Height(10), operator, smaller.clone());
        assert_eq!(after.schedule.standings.len(), 3);
        assert_ne!(after.schedule.standings[1], Standing::default());
        let bytes = borsh::to_vec(&after).unwrap();
        assert_eq!(borsh::from_slice::<HeightContext>(&bytes).unwrap(), after);
    }
}
