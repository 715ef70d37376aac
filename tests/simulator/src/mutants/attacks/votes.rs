//! Votes that must not count.

use super::{Attacks, Verdict, must};
use crate::mutants::voices::*;
use medina_consensus::{
    Input, Output,
    qbft::messages::{Justification, Message, MessageKind},
};

pub(super) const ATTACKS: Attacks = &[
    ("three PREPAREs of five validators", three_of_five),
    ("PREPARE of the proposer alone", proposer_alone),
    ("COMMITs of f + 1 validators", few_seals),
    ("PREPAREs that nobody signed", forged_prepares_sent),
    ("one PREPARE many times", copies),
    ("COMMITs that nobody signed", forged_seals),
    ("round changes of strangers", strangers),
    ("PREPAREs of an earlier round", earlier_votes),
    ("next height with another set", other_set),
];

fn three_of_five() -> Verdict {
    let proposed = block(0, 1);
    let mut stage = Stage::new(1, 5).with_proposal(&proposed);
    stage.hear(0, &prepare(0, 0, &proposed));
    stage.hear(2, &prepare(2, 0, &proposed));
    let is_committed = stage.has_said(MessageKind::Commit);
    must(!is_committed, "COMMIT after 3 PREPAREs of 5 validators")
}

fn proposer_alone() -> Verdict {
    let proposed = block(0, 1);
    let mut stage = Stage::new(1, 4).with_proposal(&proposed);
    stage.hear(0, &prepare(0, 0, &proposed));
    let is_committed = stage.has_said(MessageKind::Commit);
    must(!is_committed, "COMMIT after 2 PREPAREs of 4 validators")
}

fn few_seals() -> Verdict {
    let proposed = block(0, 1);
    let mut stage = Stage::new(1, 4).with_proposal(&proposed);
    stage.hear(0, &commit(0, 0, &proposed));
    stage.hear(2, &commit(2, 0, &proposed));
    must(!stage.has_decided(), "decides with 2 seals of 4 validators")
}

fn forged_prepares_sent() -> Verdict {
    let proposed = block(0, 1);
    let mut stage = Stage::new(1, 4).with_proposal(&proposed);
    for author in [0, 2, 3] {
        let Message::Prepare(mut forged) = prepare(author, 0, &proposed) else {
            unreachable!("made as a PREPARE")
        };
        forged.signature = FORGED;
        stage.hear(author, &Message::Prepare(forged));
    }
    let is_committed = stage.has_said(MessageKind::Commit);
    must(!is_committed, "COMMIT after forged PREPAREs")
}

fn copies() -> Verdict {
    let proposed = block(0, 1);
    let mut stage = Stage::new(1, 4).with_proposal(&proposed);
    for _ in 0..5 {
        stage.hear(0, &prepare(0, 0, &proposed));
    }
    let is_committed = stage.has_said(MessageKind::Commit);
    must(!is_committed, "COMMIT after copies of one PREPARE")
}

fn forged_seals() -> Verdict {
    let proposed = block(0, 1);
    let mut stage = Stage::new(1, 4).with_proposal(&proposed);
    for author in [0, 2, 3] {
        let Message::Commit(mut forged) = commit(author, 0, &proposed) else {
            unreachable!("made as a COMMIT")
        };
        forged.seal = FORGED;
        stage.hear(author, &Message::Commit(forged));
    }
    must(!stage.has_decided(), "decides with forged seals")
}

fn strangers() -> Verdict {
    let mut stage = Stage::new(1, 4);
    for author in [7, 8, 9] {
        stage.hear(author, &round_change(author, 1));
    }
    let is_moved = stage.round() != 0 || stage.has_built();
    must(!is_moved, "strangers change the round")
}

fn earlier_votes() -> Verdict {
    let proposed = block(0, 1);
    let mut stage = Stage::new(3, 4);
    stage.hear(0, &prepare(0, 0, &proposed));
    stage.hear(1, &prepare(1, 0, &proposed));
    let mut justification = unprepared(&[0, 1], 1);
    justification
        .round_changes
        .push(named(2, 1, Some(claim(0, &proposed))));
    justification.prepares = Some(prepares(&[0, 1, 2], 0, &proposed));
    stage.hear(1, &proposal(1, 1, &proposed, justification));
    stage.checked(&proposed, true);
    let is_committed = stage.has_said(MessageKind::Commit);
    must(!is_committed, "COMMIT in round 1 with PREPAREs of round 0")
}

/// Three validators become five: what three of them say decides nothing.
fn other_set() -> Verdict {
    let mut stage = Stage::new(0, 3);
    stage.decide(HEIGHT, 5);
    let parent = HEAD;
    let mut header = block_on(parent, 0, 1, 0).header().clone();
    header.number = HEIGHT.0 + 1;
    let next = medina_types::SealedBlock::new(medina_types::Block::new(
        header,
        alloy_consensus::BlockBody::default(),
    ));
    stage.work();
    stage.tell(Input::BlockBuilt {
        height: HEIGHT.next(),
        round: medina_types::Round(0),
        block: Some(next.clone()),
    });
    let votes = [1, 2].map(|author| (author, prepare_at(HEIGHT.next(), author, 0, next.hash())));
    stage.hear_all(&votes);
    let is_early = stage.has_said(MessageKind::Commit);
    stage.hear(4, &prepare_at(HEIGHT.next(), 4, 0, next.hash()));
    must(!is_early, "COMMIT with the quorum of the set before")?;
    let refuses = |order: &Output| matches!(order, Output::PeerMisbehaved { .. });
    must(!stage.orders.iter().any(refuses), "accuses a new validator")?;
    let is_committed = stage.has_said(MessageKind::Commit);
    let plain = Justification::default();
    must(
        plain.is_empty() && is_committed,
        "a new validator's PREPARE does not count",
    )
}
