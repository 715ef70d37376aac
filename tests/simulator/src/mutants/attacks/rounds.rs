//! Round changes: when to follow, what to say, what to propose, how long to wait.

use super::{Attacks, Verdict, must};
use crate::mutants::voices::*;
use medina_consensus::{
    Engine, Input, Timer,
    qbft::messages::{Message, MessageKind},
};
use medina_types::{ConsensusParameters, SealedBlock};
use std::time::Duration;

pub(super) const ATTACKS: Attacks = &[
    ("f + 1 validators two rounds ahead", jump),
    ("one validator far ahead", no_jump_on_one),
    ("two prepared blocks in the round changes", highest_of_two),
    ("round change of one other", early_proposer),
    ("round change after preparing", prepared_is_said),
    ("PREPAREs of a round left behind", late_prepares),
    ("lost round change", repeats),
    ("outage of a hundred rounds", timeouts),
    ("later round without quorum", round_timer),
    ("nothing to do", idle),
    ("round change quorum without transactions", empty_block),
];

fn jump() -> Verdict {
    let mut stage = Stage::new(1, 4);
    stage.hear(2, &round_change(2, 3));
    stage.hear(3, &round_change(3, 4));
    must(stage.round() == 3, "stays behind f + 1 others")
}

fn no_jump_on_one() -> Verdict {
    let mut stage = Stage::new(1, 4);
    stage.hear(2, &round_change(2, u32::MAX));
    must(stage.round() == 0, "follows a single validator")
}

fn proposed(stage: &Stage) -> Option<SealedBlock> {
    stage.said().into_iter().find_map(|message| match message {
        Message::Proposal(proposal) => Some(proposal.block),
        _ => None,
    })
}

fn highest_of_two() -> Verdict {
    let (older, newer) = (block(0, 1), block(1, 1));
    let mut stage = Stage::new(2, 4);
    let (first, second) = (
        prepares(&[0, 1, 3], 0, &older),
        prepares(&[0, 1, 3], 1, &newer),
    );
    stage.hear(0, &claiming(0, 2, claim(0, &older), &older, first));
    stage.hear(1, &claiming(1, 2, claim(1, &newer), &newer, second));
    let is_highest = proposed(&stage) == Some(newer);
    must(is_highest, "does not propose the highest prepared block")
}

fn early_proposer() -> Verdict {
    let mut stage = Stage::new(1, 4);
    stage.work().time_out();
    stage.hear(0, &round_change(0, 1));
    must(!stage.has_built(), "proposes after 2 round changes of 4")
}

fn claims_it(stage: &Stage, round: u32, prepared: &SealedBlock) -> bool {
    stage.said().iter().any(|message| match message {
        Message::RoundChange(change) if change.statement.round.0 == round => {
            let claimed = change.statement.prepared;
            claimed.is_some_and(|claim| claim.digest == prepared.hash())
        }
        _ => false,
    })
}

/// What it prepared goes into this round change and the one after.
fn prepared_is_said() -> Verdict {
    let prepared = block(0, 1);
    let mut stage = Stage::new(2, 4).with_proposal(&prepared);
    for author in [0, 1, 3] {
        stage.hear(author, &prepare(author, 0, &prepared));
    }
    stage.time_out();
    must(claims_it(&stage, 1, &prepared), "forgets what it prepared")?;
    stage.hear(0, &round_change(0, 2));
    stage.hear(3, &round_change(3, 2));
    must(claims_it(&stage, 2, &prepared), "forgets it a round later")
}

fn late_prepares() -> Verdict {
    let late = block(0, 1);
    let mut stage = Stage::new(2, 4).with_proposal(&late);
    stage.time_out();
    let votes = [0, 1, 3].map(|author| (author, prepare(author, 0, &late)));
    stage.hear_all(&votes);
    let is_committed = stage.has_said(MessageKind::Commit);
    must(!is_committed, "COMMIT in a round that it has left")
}

fn repeats() -> Verdict {
    let mut stage = Stage::new(2, 4);
    stage.work().time_out();
    stage.now_ms += 60_000;
    let timer = Timer::Resend;
    stage.tell(Input::TimerFired { timer });
    let again = said_in(&stage.last);
    must(!again.is_empty(), "says its round change once only")?;
    stage.tell(Input::PeerConnected { peer: key(0) });
    let to_peer = said_in(&stage.last);
    must(!to_peer.is_empty(), "does not tell a peer that connects")
}

fn timeouts() -> Verdict {
    let parameters = ConsensusParameters::default();
    let bounds = parameters.base_timeout..=parameters.timeout_max;
    for round in [1, 7, 31, 33, 64, 100] {
        let mut stage = Stage::new(3, 4);
        for author in [0, 1, 2] {
            stage.hear(author, &round_change(author, round));
        }
        let timeout = stage.engine.status().timeout;
        let what = format!("waits {timeout:?} in round {round}");
        must(bounds.contains(&timeout) && timeout > Duration::ZERO, &what)?;
    }
    Ok(())
}

/// Alone in round 1: the clock stands still, so that rounds do not drift apart.
fn round_timer() -> Verdict {
    let mut stage = Stage::new(2, 4);
    stage.work().time_out();
    stage.orders.clear();
    for _ in 0..5 {
        stage.time_out();
    }
    let is_alone = stage.round() == 1 && !stage.sets(Timer::Round);
    must(is_alone, "goes through rounds alone")
}

fn idle() -> Verdict {
    let mut stage = Stage::new(0, 4);
    stage.tell(Input::WorkWaiting { waiting: false });
    let is_idle = stage.orders.is_empty();
    must(is_idle, "an idle chain does something")
}

fn empty_block() -> Verdict {
    let mut stage = Stage::new(1, 4);
    for author in [0, 2, 3] {
        stage.hear(author, &round_change(author, 1));
    }
    must(
        stage.has_built(),
        "proposes nothing after a quorum of round changes",
    )
}
