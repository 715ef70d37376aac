//! Justifications that justify nothing.

use super::{Attacks, Verdict, must};
use crate::mutants::voices::*;
use medina_consensus::qbft::messages::{Justification, Message, MessageKind, PreparedProof};
use medina_types::{Height, SealedBlock};

pub(super) const ATTACKS: Attacks = &[
    ("round 2 without justification", || {
        refuses_fresh(Justification::default())
    }),
    ("round changes of f + 1", || {
        refuses_fresh(unprepared(&[0, 1], 2))
    }),
    ("one round change thrice", || {
        refuses_fresh(unprepared(&[2, 2, 2], 2))
    }),
    ("forged round changes", forged_changes),
    ("round changes of another height", other_height),
    ("round changes of another round", || {
        refuses_fresh(unprepared(&[0, 1, 3], 3))
    }),
    ("forged PREPAREs for a prepared block", forged_proof),
    ("f + 1 PREPAREs for a prepared block", few_prepares),
    ("older prepared block", not_highest),
    (
        "fresh block although one is prepared",
        fresh_despite_prepared,
    ),
    ("block prepared in the proposal's own round", not_below),
    ("round changes that nobody signed", unsigned_changes),
    ("round change with a forged proof", forged_claim),
    ("round change with a claim and no proof", bare_claim),
];

/// Validator 2 proposes a fresh block in round 2 with this justification.
fn refuses_fresh(justification: Justification) -> Verdict {
    let fresh = block(2, 1);
    refuses(&fresh, justification)
}

fn refuses(proposed: &SealedBlock, justification: Justification) -> Verdict {
    let mut stage = Stage::new(3, 4);
    stage.hear(2, &proposal(2, 2, proposed, justification));
    must(stage.checks_of(proposed).is_none(), "takes the proposal")
}

fn forged_changes() -> Verdict {
    let mut justification = unprepared(&[0, 1, 2], 2);
    for named in &mut justification.round_changes[..2] {
        named.statement.signature = FORGED;
    }
    refuses_fresh(justification)
}

/// True round changes for round 2, but of the height before.
fn other_height() -> Verdict {
    let mut justification = unprepared(&[0, 1, 3], 2);
    for (named, author) in justification.round_changes.iter_mut().zip([0, 1, 3]) {
        named.statement = statement_at(Height(HEIGHT.0 - 1), author, 2, None);
    }
    refuses_fresh(justification)
}

fn with_claim(block: &SealedBlock) -> Justification {
    let mut justification = unprepared(&[1, 3], 2);
    justification
        .round_changes
        .push(named(2, 2, Some(claim(0, block))));
    justification
}

fn forged_proof() -> Verdict {
    let invented = block(2, 7);
    let mut justification = with_claim(&invented);
    justification.prepares = Some(forged_prepares(&[0, 1, 3], 0));
    refuses(&invented, justification)
}

fn few_prepares() -> Verdict {
    let invented = block(2, 7);
    let mut justification = with_claim(&invented);
    justification.prepares = Some(prepares(&[2, 3], 0, &invented));
    refuses(&invented, justification)
}

fn not_highest() -> Verdict {
    let (older, newer) = (block(0, 1), block(1, 1));
    let round_changes = vec![
        named(0, 2, Some(claim(0, &older))),
        named(1, 2, Some(claim(1, &newer))),
        named(3, 2, None),
    ];
    let prepares = Some(prepares(&[0, 1, 2], 0, &older));
    refuses(
        &older,
        Justification {
            round_changes,
            prepares,
        },
    )
}

fn fresh_despite_prepared() -> Verdict {
    let (prepared, fresh) = (block(0, 1), block(2, 1));
    let round_changes = vec![
        named(0, 2, Some(claim(0, &prepared))),
        named(1, 2, None),
        named(3, 2, None),
    ];
    refuses(
        &fresh,
        Justification {
            round_changes,
            prepares: None,
        },
    )
}

fn not_below() -> Verdict {
    let prepared = block(0, 1);
    let round_changes = vec![
        named(0, 2, Some(claim(2, &prepared))),
        named(1, 2, None),
        named(3, 2, None),
    ];
    let prepares = Some(prepares(&[0, 1, 2], 2, &prepared));
    refuses(
        &prepared,
        Justification {
            round_changes,
            prepares,
        },
    )
}

fn unsigned_changes() -> Verdict {
    let mut stage = Stage::new(1, 4);
    for author in [0, 2, 3] {
        let mut statement = statement_at(HEIGHT, author, 1, None);
        statement.signature = FORGED;
        stage.hear(author, &round_change_of(statement, None));
    }
    must(
        stage.round() == 0,
        "follows round changes that nobody signed",
    )
}

/// A liar claims that its own block was prepared; an honest proposer must not
/// propose it for that.
fn forged_claim() -> Verdict {
    let invented = block(2, 7);
    let mut stage = Stage::new(1, 4);
    let forged = forged_prepares(&[0, 2, 3], 0);
    stage.hear(2, &claiming(2, 1, claim(0, &invented), &invented, forged));
    stage.hear(0, &round_change(0, 1));
    stage.hear(3, &round_change(3, 1));
    let is_proposed = stage.has_said(MessageKind::Proposal);
    must(!is_proposed, "proposes a block for a forged proof")
}

/// A claim that cannot be justified would make every proposal of the round
/// invalid.
fn bare_claim() -> Verdict {
    let invented = block(2, 7);
    let mut stage = Stage::new(1, 4);
    let statement = statement_at(HEIGHT, 2, 1, Some(claim(0, &invented)));
    let no_proof: Option<PreparedProof> = None;
    stage.hear(2, &round_change_of(statement, no_proof));
    stage.hear(0, &round_change(0, 1));
    let asked = stage.said();
    let is_alone = asked
        .iter()
        .all(|message| !matches!(message, Message::Proposal(_)));
    must(
        is_alone && !stage.has_built(),
        "counts a claim without proof",
    )
}
