//! Proposals that must not be taken, and those that must.

use super::{Attacks, Verdict, must};
use crate::mutants::voices::*;
use alloy_primitives::B256;
use medina_consensus::qbft::messages::{Justification, MessageKind};
use std::collections::BTreeSet;

pub(super) const ATTACKS: Attacks = &[
    ("proposal of another validator", usurper),
    ("fresh block that pays another", thief),
    ("block on another parent", other_parent),
    ("justified proposal in round 0", round_zero),
    ("two proposals in one round", two_proposals),
    ("block that execution refuses", invalid_block),
    ("prepared block proposed again", reproposal),
    ("fresh block and the clock", clock),
    ("proposal of a round left behind", left_round),
];

fn usurper() -> Verdict {
    let own = block(2, 1);
    let mut stage = Stage::new(1, 4);
    stage.hear(2, &proposal(2, 0, &own, Justification::default()));
    // Paying the proposer of the round does not help.
    let other = block(0, 1);
    stage.hear(2, &proposal(2, 0, &other, Justification::default()));
    let is_taken = stage.checks_of(&own).or(stage.checks_of(&other)).is_some();
    must(!is_taken, "takes a proposal of who is not the proposer")
}

fn thief() -> Verdict {
    let stolen = block(3, 1);
    let mut stage = Stage::new(1, 4);
    stage.hear(0, &proposal(0, 0, &stolen, Justification::default()));
    let is_taken = stage.checks_of(&stolen).is_some();
    must(!is_taken, "takes a fresh block that pays another")
}

fn other_parent() -> Verdict {
    let elsewhere = block_on(B256::repeat_byte(9), 0, 1, 0);
    let mut stage = Stage::new(1, 4);
    stage.hear(0, &proposal(0, 0, &elsewhere, Justification::default()));
    let is_taken = stage.checks_of(&elsewhere).is_some();
    must(!is_taken, "takes a block that does not extend the head")
}

fn round_zero() -> Verdict {
    let stolen = block(3, 1);
    let mut stage = Stage::new(1, 4);
    stage.hear(0, &proposal(0, 0, &stolen, unprepared(&[0, 2, 3], 0)));
    let is_taken = stage.checks_of(&stolen).is_some();
    must(!is_taken, "takes a justification in round 0")
}

fn two_proposals() -> Verdict {
    let (first, second) = (block(0, 1), block(0, 2));
    let mut stage = Stage::new(1, 4).with_proposal(&first);
    stage.hear(0, &proposal(0, 0, &second, Justification::default()));
    stage.checked(&second, true);
    let said = stage.said();
    let prepared = said
        .iter()
        .filter(|message| message.kind() == MessageKind::Prepare);
    let distinct: BTreeSet<_> = prepared.map(|message| message.encode()).collect();
    must(distinct.len() == 1, "prepares two blocks in one round")
}

fn invalid_block() -> Verdict {
    let bad = block(0, 1);
    let mut stage = Stage::new(1, 4);
    stage.hear(0, &proposal(0, 0, &bad, Justification::default()));
    stage.checked(&bad, false);
    let is_prepared = stage.has_said(MessageKind::Prepare);
    must(!is_prepared, "prepares a block that is invalid")
}

fn reproposal() -> Verdict {
    let prepared = block(0, 1);
    let mut stage = Stage::new(3, 4);
    let mut justification = unprepared(&[0, 2], 1);
    justification
        .round_changes
        .push(named(1, 1, Some(claim(0, &prepared))));
    justification.prepares = Some(prepares(&[0, 1, 2], 0, &prepared));
    stage.hear(1, &proposal(1, 1, &prepared, justification));
    match stage.checks_of(&prepared) {
        Some(false) => Ok(()),
        Some(true) => Err("judges a re-proposal by the clock".to_owned()),
        None => Err("refuses a justified re-proposal".to_owned()),
    }
}

fn clock() -> Verdict {
    let fresh = block(0, 1);
    let mut stage = Stage::new(1, 4);
    stage.hear(0, &proposal(0, 0, &fresh, Justification::default()));
    let is_judged = stage.checks_of(&fresh) == Some(true);
    must(is_judged, "judges a fresh proposal without the clock")
}

/// A proposal of round 0 arrives after we asked for round 1.
fn left_round() -> Verdict {
    let late = block(0, 1);
    let mut stage = Stage::new(2, 4);
    stage.work().time_out();
    stage.hear(0, &proposal(0, 0, &late, Justification::default()));
    stage.checked(&late, true);
    let votes = [0, 1, 3].map(|author| (author, prepare(author, 0, &late)));
    stage.hear_all(&votes);
    let has_voted = stage.has_said(MessageKind::Prepare) || stage.has_said(MessageKind::Commit);
    must(!has_voted, "votes in a round that it has left")
}
