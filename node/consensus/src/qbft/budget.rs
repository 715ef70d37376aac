//! How much work peers may cause: signature checks per validator and time, and
//! empty blocks forced on an idle chain.

use super::{justification::quorum, messages::Message, timers::milliseconds};
use crate::mutants::{Mutant, is_on};
use medina_types::{ConsensusParameters, NodePublicKey, ValidatorSet, limits};
use std::collections::BTreeMap;

/// Rounds whose every message is checked within one base timeout. An honest
/// validator ends about one, and two when it catches up.
const ROUNDS_PER_BASE_TIMEOUT: u64 = 4;

/// Signature checks that each validator may still cause at this height.
///
/// A credit that refills with time: what finds none is dropped unchecked, and
/// its author repeats it. It starts full at each height, and nobody alone can
/// bring about the next one. Repetitions of what is known cost nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct CheckBudget {
    credits: BTreeMap<NodePublicKey, Credit>,
}

#[derive(Clone, Copy, Debug)]
struct Credit {
    /// In units of one check, times the milliseconds of the base timeout.
    left: u64,
    at_ms: u64,
}

impl CheckBudget {
    /// Takes the checks of a message from its author's credit, if there are enough.
    pub(crate) fn take(
        &mut self,
        author: NodePublicKey,
        message: &Message,
        now_ms: u64,
        set: &ValidatorSet,
        parameters: &ConsensusParameters,
    ) -> bool {
        let base_ms = milliseconds(parameters.base_timeout).max(1);
        let full = round_of_checks(set)
            .saturating_mul(limits::ROUNDS_KEPT_PER_VALIDATOR_MAX as u64)
            .saturating_mul(base_ms);
        let fresh = Credit {
            left: full,
            at_ms: now_ms,
        };
        let credit = self.credits.entry(author).or_insert(fresh);
        let refill = now_ms
            .saturating_sub(credit.at_ms)
            .saturating_mul(ROUNDS_PER_BASE_TIMEOUT)
            .saturating_mul(round_of_checks(set));
        credit.left = credit.left.saturating_add(refill).min(full);
        credit.at_ms = now_ms;
        let cost = checks_of(message).saturating_mul(base_ms);
        match credit.left.checked_sub(cost) {
            Some(left) => {
                credit.left = left;
                true
            }
            None => is_on(Mutant::ChecksUnbounded),
        }
    }
}

/// Signatures of everything that one validator says in one round.
fn round_of_checks(set: &ValidatorSet) -> u64 {
    let (count, quorum) = (set.len() as u64, quorum(set) as u64);
    // PREPARE, COMMIT, ROUND-CHANGE with proof, PROPOSAL with justification.
    1 + 1 + (1 + count) + (1 + count + count.max(quorum))
}

/// Signatures that one message carries.
fn checks_of(message: &Message) -> u64 {
    let count = match message {
        Message::Prepare(_) | Message::Commit(_) => 1,
        Message::RoundChange(change) => {
            let proof = change.proof.as_ref();
            1 + proof.map_or(0, |proof| proof.prepares.signatures().len())
        }
        Message::Proposal(proposal) => {
            let justification = &proposal.justification;
            let prepares = justification.prepares.as_ref();
            let prepares = prepares.map_or(0, |prepares| prepares.signatures().len());
            1 + justification.round_changes.len() + prepares
        }
        Message::Ahead { .. } => 0,
    };
    count as u64
}

/// Doublings of the pause after an empty block that one validator forced.
const DOUBLINGS_MAX: u32 = 6;

/// When a validator alone may wake an idle height again.
///
/// Its ROUND-CHANGE may be honest, for it may hold a transaction that reaches
/// nobody else, so the first is heard at once. If the block comes out empty, it
/// waits; after as many as there are validators, longer each time, for by then
/// an honest one had a turn of its own to propose what it holds. A block with a
/// reason of its own forgives everybody. More than f validators, a prepared block
/// or own work never wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patience {
    forced: BTreeMap<NodePublicKey, Forced>,
}

#[derive(Clone, Copy, Debug)]
struct Forced {
    blocks: u32,
    not_before_ms: u64,
}

impl Patience {
    /// Whether `author` alone may wake the height now.
    pub(crate) fn allows(&self, author: &NodePublicKey, now_ms: u64) -> bool {
        let forced = self.forced.get(author);
        forced.is_none_or(|forced| now_ms >= forced.not_before_ms)
    }

    /// A height is over. `forced_by`: who alone woke it, if its block is empty.
    pub(crate) fn after_block(
        &mut self,
        now_ms: u64,
        forced_by: Option<NodePublicKey>,
        set: &ValidatorSet,
        parameters: &ConsensusParameters,
    ) {
        let Some(author) = forced_by else {
            return self.forced.clear();
        };
        let forced = self.forced.entry(author).or_insert(Forced {
            blocks: 0,
            not_before_ms: 0,
        });
        forced.blocks = forced.blocks.saturating_add(1);
        let turns = u32::try_from(set.len()).unwrap_or(u32::MAX);
        let doublings = (forced.blocks.saturating_sub(turns) + 1).min(DOUBLINGS_MAX);
        let pause = parameters.base_timeout.saturating_mul(1 << doublings);
        forced.not_before_ms = now_ms.saturating_add(milliseconds(pause));
    }

    /// Forgets those who are validators no more.
    pub(crate) fn retain(&mut self, set: &ValidatorSet) {
        self.forced.retain(|key, _| set.index_of_key(key).is_some());
    }
}
