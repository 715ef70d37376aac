//! Round changes, timers, repetition and those who are behind or ahead.

use super::fixture::*;
use crate::{Engine, Input, Output, Qbft, Timer, qbft::messages::Message};
use medina_types::{Height, Round};
use std::time::Duration;

fn fire(engine: &mut Qbft, timer: Timer, now_ms: u64) -> Vec<Output> {
    engine.handle(now_ms, Input::TimerFired { timer })
}

fn sets_round_timer(out: &[Output]) -> Option<Duration> {
    out.iter().find_map(|output| match output {
        Output::SetTimer {
            timer: Timer::Round,
            after,
        } => Some(*after),
        _ => None,
    })
}

/// Validator 3 whose round 0 timed out.
fn timed_out() -> Qbft {
    let mut engine = engine(3, 4);
    engine.handle(NOW, Input::WorkWaiting { waiting: true });
    let out = fire(&mut engine, Timer::Round, NOW + 1_000);
    assert!(matches!(out[0], Output::Persist { .. }), "{out:?}");
    assert_eq!(said(&out), [round_change(3, 1)]);
    assert_eq!(sets_round_timer(&out), None, "no quorum asked for round 1");
    engine
}

#[test]
fn timer_of_a_higher_round_starts_with_a_quorum_for_it_or_later() {
    let mut engine = timed_out();
    let peer = key(1);
    engine.handle(NOW, Input::PeerConnected { peer });
    assert_eq!(
        sets_round_timer(&hear(&mut engine, 0, &round_change(0, 1))),
        None
    );
    let out = hear(&mut engine, 2, &round_change(2, 2));
    assert_eq!(sets_round_timer(&out), Some(Duration::from_secs(1)));
    assert_eq!(engine.status().round, Round(1));
}

#[test]
fn without_quorum_the_round_stands_and_is_asked_for_again_every_base_timeout() {
    let mut engine = timed_out();
    for second in 2..100 {
        let out = fire(&mut engine, Timer::Resend, NOW + 1_000 * second);
        assert_eq!(said(&out), [round_change(3, 1)], "second {second}");
        assert!(
            matches!(
                out[..],
                [
                    _,
                    Output::SetTimer {
                        timer: Timer::Resend,
                        ..
                    }
                ]
            ),
            "{out:?}"
        );
    }
    assert_eq!(engine.status().round, Round(1));
}

#[test]
fn reconnecting_peer_is_told_everything_of_the_round() {
    let mut engine = timed_out();
    let out = engine.handle(NOW, Input::PeerConnected { peer: key(0) });
    let bytes = round_change(3, 1).encode();
    assert_eq!(out, [Output::Send { to: key(0), bytes }]);
}

#[test]
fn more_than_f_higher_round_changes_pull_to_the_lowest_of_them() {
    let mut engine = engine(3, 4);
    assert_eq!(
        said(&hear(&mut engine, 0, &round_change(0, 7))),
        [],
        "f may be liars"
    );
    assert_eq!(engine.status().round, Round(0));
    let out = hear(&mut engine, 1, &round_change(1, 5));
    assert_eq!(said(&out), [round_change(3, 5)]);
    assert_eq!(engine.status().round, Round(5));
}

#[test]
fn valid_round_change_wakes_an_idle_validator() {
    let mut engine = engine(3, 4);
    let out = hear(&mut engine, 0, &round_change(0, 1));
    assert_eq!(sets_round_timer(&out), Some(Duration::from_secs(1)));
}

#[test]
fn proposer_of_a_higher_round_builds_even_without_work() {
    let mut engine = engine(1, 4);
    hear(&mut engine, 0, &round_change(0, 1));
    let out = hear(&mut engine, 2, &round_change(2, 1));
    assert_eq!(said(&out), [round_change(1, 1)], "pulled by f + 1");
    let build = Output::Build {
        height: HEIGHT,
        round: Round(1),
        parent: HEAD,
    };
    assert!(out.contains(&build), "{out:?}");
    let own = block(1, 1);
    let built = Input::BlockBuilt {
        height: HEIGHT,
        round: Round(1),
        block: Some(own.clone()),
    };
    let mut justification = unprepared(&[0, 1, 2], 1);
    justification
        .round_changes
        .sort_by_key(|named| named.author);
    let expected = [proposal(1, 1, &own, justification), prepare(1, 1, &own)];
    assert_eq!(said(&engine.handle(NOW, built)), expected);
}

#[test]
fn proposer_of_a_higher_round_repeats_the_highest_prepared_block_of_another() {
    let mut engine = engine(1, 4);
    let prepared = block(0, 1);
    hear(
        &mut engine,
        0,
        &prepared_round_change(0, 1, 0, &prepared, &[0, 2, 3]),
    );
    let out = hear(&mut engine, 2, &round_change(2, 1));
    let proposed = said(&out).into_iter().find_map(|message| match message {
        Message::Proposal(proposal) => Some(proposal),
        _ => None,
    });
    let proposed = proposed.expect("a quorum asked for our round");
    assert_eq!(proposed.block, prepared);
    assert_eq!(
        proposed.justification.prepares,
        Some(prepares(&[0, 2, 3], 0, &prepared))
    );
    assert!(
        out.iter().any(|output| is_check(output, &prepared, false)),
        "no clock: {out:?}"
    );
    assert_eq!(
        said(&checked(&mut engine, &prepared, true)),
        [prepare(1, 1, &prepared)]
    );
}

#[test]
fn proposer_prefers_the_block_prepared_in_the_higher_round() {
    let (older, newer) = (block(0, 1), block(1, 1));
    let mut engine = engine(2, 4);
    hear(
        &mut engine,
        0,
        &prepared_round_change(0, 2, 0, &older, &[0, 1, 3]),
    );
    let out = hear(
        &mut engine,
        1,
        &prepared_round_change(1, 2, 1, &newer, &[0, 1, 3]),
    );
    let proposed = said(&out).into_iter().find_map(|message| match message {
        Message::Proposal(proposal) => Some(proposal.block),
        _ => None,
    });
    assert_eq!(proposed, Some(newer));
}

#[test]
fn justified_proposal_of_a_higher_round_is_followed_at_once() {
    let mut engine = engine(3, 4);
    let fresh = block(2, 1);
    let out = hear(
        &mut engine,
        2,
        &proposal(2, 2, &fresh, unprepared(&[0, 1, 2], 2)),
    );
    assert_eq!(engine.status().round, Round(2));
    assert!(is_check(&out[0], &fresh, true));
    assert_eq!(sets_round_timer(&out), Some(Duration::from_secs(2)));
    assert_eq!(
        said(&checked(&mut engine, &fresh, true)),
        [prepare(3, 2, &fresh)]
    );
}

#[test]
fn prepares_of_a_left_round_do_not_lead_to_a_commit() {
    let proposed = block(0, 1);
    let (mut engine, _) = prepared_to_prepare(&proposed);
    fire(&mut engine, Timer::Round, NOW + 1_000);
    assert_eq!(engine.status().round, Round(1));
    for author in [0, 2, 3] {
        assert_eq!(
            said(&hear(&mut engine, author, &prepare(author, 0, &proposed))),
            []
        );
    }
}

#[test]
fn block_refused_for_the_clock_is_judged_again_when_proposed_as_prepared() {
    let mut engine = engine(3, 4);
    let late = block(0, 1);
    hear(&mut engine, 0, &proposal(0, 0, &late, Default::default()));
    assert_eq!(said(&checked(&mut engine, &late, false)), []);
    let mut justification = unprepared(&[0, 2], 1);
    justification
        .round_changes
        .push(named(1, 1, Some(claim(0, &late))));
    justification.prepares = Some(prepares(&[0, 1, 2], 0, &late));
    let out = hear(&mut engine, 1, &proposal(1, 1, &late, justification));
    assert!(
        out.iter().any(|output| is_check(output, &late, false)),
        "{out:?}"
    );
    assert_eq!(
        said(&checked(&mut engine, &late, true)),
        [prepare(3, 1, &late)]
    );
}

#[test]
fn laggard_that_changes_rounds_below_is_told_to_synchronise() {
    let mut engine = engine(1, 4);
    let Message::RoundChange(mut change) = round_change(0, 1) else {
        unreachable!()
    };
    change.statement.height = Height(5);
    let out = hear(&mut engine, 0, &Message::RoundChange(change));
    let bytes = Message::Ahead { height: Height(5) }.encode();
    assert_eq!(out, [Output::Send { to: key(0), bytes }]);
    let out = hear(&mut engine, 2, &Message::Ahead { height: Height(6) });
    assert_eq!(
        out,
        [Output::SyncNeeded {
            from: key(2),
            height: Height(6)
        }]
    );
    assert_eq!(
        hear(&mut engine, 2, &Message::Ahead { height: Height(6) }),
        [],
        "asked already"
    );
    assert_eq!(
        hear(&mut engine, 2, &Message::Ahead { height: Height(5) }),
        [],
        "known"
    );
}

#[test]
fn message_from_far_ahead_starts_sync_and_from_just_ahead_only_if_it_lasts() {
    let mut engine = engine(1, 4);
    let at = |height| {
        let Message::Prepare(mut prepare) = prepare(2, 0, &block(0, 1)) else {
            unreachable!()
        };
        prepare.height = Height(height);
        Message::Prepare(prepare)
    };
    let sync = |height| Output::SyncNeeded {
        from: key(2),
        height: Height(height),
    };
    let out = hear(&mut engine, 2, &at(7));
    assert!(!out.contains(&sync(6)));
    assert!(fire(&mut engine, Timer::Resend, NOW + 1_000).contains(&sync(6)));
    let out = hear(&mut engine, 3, &at(9));
    assert_eq!(
        out,
        [Output::SyncNeeded {
            from: key(3),
            height: Height(8)
        }]
    );
}

#[test]
fn cancelled_or_early_timers_change_nothing() {
    let mut engine = engine(1, 4);
    assert_eq!(fire(&mut engine, Timer::Round, NOW), []);
    engine.handle(NOW, Input::WorkWaiting { waiting: true });
    let rest = Output::SetTimer {
        timer: Timer::Round,
        after: Duration::from_millis(1),
    };
    assert_eq!(fire(&mut engine, Timer::Round, NOW + 999), [rest]);
    assert_eq!(engine.status().round, Round(0));
}
