//! Crashes, lost records, and what was promised before them.

use super::{Attacks, Verdict, must};
use crate::mutants::voices::*;
use medina_consensus::{
    Engine, Input, Output,
    qbft::messages::{Justification, Message, MessageKind},
};
use medina_types::Height;

pub(super) const ATTACKS: Attacks = &[
    ("crash after preparing a block", lock_survives),
    ("second proposal after a restart", vote_survives),
    ("restart at the next height", other_height),
    ("crash between vote and disk", record_goes_first),
    ("lost record", lost_record),
    ("lost record, then blocks of old", synced_blocks),
];

fn lock_survives() -> Verdict {
    let prepared = block(0, 1);
    let mut stage = Stage::new(2, 4).with_proposal(&prepared);
    for author in [0, 1] {
        stage.hear(author, &prepare(author, 0, &prepared));
    }
    let mut stage = stage.restart();
    stage.hear(0, &round_change(0, 1));
    stage.hear(1, &round_change(1, 1));
    let is_claimed = stage.said().iter().any(|message| match message {
        Message::RoundChange(change) => change.statement.prepared.is_some(),
        _ => false,
    });
    must(is_claimed, "restart loses what was prepared")
}

fn vote_survives() -> Verdict {
    let (first, second) = (block(0, 1), block(0, 2));
    let mut stage = Stage::new(2, 4).with_proposal(&first).restart();
    stage.hear(0, &proposal(0, 0, &second, Justification::default()));
    stage.checked(&second, true);
    let other = prepare(2, 0, &second);
    must(!stage.said().contains(&other), "votes twice in one round")
}

/// The record is of height 6, the chain has it already.
fn other_height() -> Verdict {
    let prepared = block(0, 1);
    let mut stage = Stage::new(2, 4).with_proposal(&prepared);
    for author in [0, 1] {
        stage.hear(author, &prepare(author, 0, &prepared));
    }
    let record = stage.orders.iter().rev().find_map(|order| match order {
        Output::Persist { record } => Some(record.clone()),
        _ => None,
    });
    let stage = Stage::open(2, 4, HEIGHT.next(), record, false);
    must(stage.said().is_empty(), "repeats votes at another height")
}

/// Everything signed follows a record written in the same call.
fn record_goes_first() -> Verdict {
    let proposed = block(0, 1);
    let mut stage = Stage::new(2, 4);
    stage.hear(0, &proposal(0, 0, &proposed, Justification::default()));
    stage.checked(&proposed, true);
    let is_vote = |order: &Output| matches!(order, Output::Broadcast { .. });
    let is_record = |order: &Output| matches!(order, Output::Persist { .. });
    let vote = stage.last.iter().position(is_vote);
    let record = stage.last.iter().position(is_record);
    must(vote.is_some(), "does not vote")?;
    must(
        record.is_some() && record < vote,
        "a vote leaves before its record",
    )
}

fn lost_record() -> Verdict {
    let proposed = block(0, 1);
    let stage = Stage::open(2, 4, HEIGHT, None, false).with_proposal(&proposed);
    let has_voted = stage.has_said(MessageKind::Prepare);
    must(!has_voted, "votes although its record is lost")
}

fn synced_blocks() -> Verdict {
    let mut stage = Stage::open(2, 4, HEIGHT, None, false);
    for peer in [0, 1, 3] {
        stage.tell(Input::PeerConnected { peer: key(peer) });
    }
    for height in 0..5 {
        stage.decide(Height(HEIGHT.0 + height), 4);
    }
    let votes = stage.engine.status().votes;
    must(!votes, "takes blocks of the past for the present")
}
