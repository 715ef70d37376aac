//! The good path of a height, and when it starts.

use super::fixture::*;
use crate::{Engine, HeadInfo, Input, Output, Qbft, Timer, qbft::messages::Message};
use medina_types::{ConsensusEngine, Height, Round, SealedBlock};
use std::time::Duration;

fn work(engine: &mut Qbft, now_ms: u64) -> Vec<Output> {
    engine.handle(now_ms, Input::WorkWaiting { waiting: true })
}

fn built(engine: &mut Qbft, round: u32, block: Option<SealedBlock>) -> Vec<Output> {
    engine.handle(
        NOW,
        Input::BlockBuilt {
            height: HEIGHT,
            round: Round(round),
            block,
        },
    )
}

fn decided(engine: &mut Qbft, block: &SealedBlock, now_ms: u64) -> Vec<Output> {
    let height = block.height();
    let hash = block.hash();
    let head = HeadInfo {
        height,
        hash,
        timestamp_s: 0,
        committed_at_ms: now_ms,
    };
    engine.handle(
        now_ms,
        Input::HeightDecided {
            height,
            head,
            context: context(4),
        },
    )
}

#[test]
fn idle_chain_says_nothing_and_runs_no_timer() {
    let mut engine = engine_of(config(0), 4, None);
    assert_eq!(
        engine.handle(NOW, Input::WorkWaiting { waiting: false }),
        []
    );
    assert_eq!(
        engine.handle(NOW, Input::PeerConnected { peer: key(1) }),
        []
    );
    assert_eq!(engine.status().step, "idle");
}

#[test]
fn work_makes_the_proposer_build_and_everybody_watch_the_clock() {
    let base = Duration::from_secs(1);
    let watch = Output::SetTimer {
        timer: Timer::Round,
        after: base,
    };
    let build = Output::Build {
        height: HEIGHT,
        round: Round::ZERO,
        parent: HEAD,
    };
    assert_eq!(work(&mut engine(0, 4), NOW), [build, watch.clone()]);
    let mut other = engine(1, 4);
    assert_eq!(work(&mut other, NOW), [watch]);
    let stop = Output::CancelTimer {
        timer: Timer::Round,
    };
    assert_eq!(
        other.handle(NOW, Input::WorkWaiting { waiting: false }),
        [stop]
    );
}

#[test]
fn proposer_waits_for_the_minimum_block_interval() {
    // The fixture's context does not rotate: validator 0 proposes height 7 as well.
    let mut proposer = engine(0, 4);
    decided(&mut proposer, &block(0, 0), NOW);
    let out = work(&mut proposer, NOW + 30);
    let wait = Output::SetTimer {
        timer: Timer::Propose,
        after: Duration::from_millis(70),
    };
    assert!(out.contains(&wait), "{out:?}");
    assert!(
        !out.iter()
            .any(|output| matches!(output, Output::Build { .. }))
    );
    let out = proposer.handle(
        NOW + 100,
        Input::TimerFired {
            timer: Timer::Propose,
        },
    );
    assert!(
        matches!(
            out[..],
            [Output::Build {
                height: Height(7),
                ..
            }]
        ),
        "{out:?}"
    );
}

#[test]
fn failed_build_is_tried_again() {
    let mut engine = engine(0, 4);
    work(&mut engine, NOW);
    let out = built(&mut engine, 0, None);
    let retry = Output::SetTimer {
        timer: Timer::Propose,
        after: Duration::from_millis(100),
    };
    assert_eq!(out, [retry]);
    let out = engine.handle(
        NOW + 100,
        Input::TimerFired {
            timer: Timer::Propose,
        },
    );
    assert!(matches!(out[..], [Output::Build { .. }]), "{out:?}");
}

#[test]
fn proposer_proposes_and_prepares_its_own_block_without_executing_it_again() {
    let mut engine = engine(0, 4);
    work(&mut engine, NOW);
    let own = block(0, 1);
    let out = built(&mut engine, 0, Some(own.clone()));
    assert!(
        matches!(out[0], Output::Persist { .. }),
        "the record goes first: {out:?}"
    );
    let expected = [
        proposal(0, 0, &own, Default::default()),
        prepare(0, 0, &own),
    ];
    assert_eq!(said(&out), expected);
    assert!(
        !out.iter()
            .any(|output| matches!(output, Output::Check { .. }))
    );
}

#[test]
fn block_that_is_not_ours_is_not_proposed() {
    let mut engine = engine(0, 4);
    work(&mut engine, NOW);
    assert_eq!(said(&built(&mut engine, 0, Some(block(2, 1)))), []);
}

#[test]
fn valid_proposal_is_prepared_then_committed_then_decided_by_quorums() {
    let proposed = block(0, 1);
    let (mut engine, out) = prepared_to_prepare(&proposed);
    assert_eq!(said(&out), [prepare(1, 0, &proposed)]);
    assert_eq!(
        said(&hear(&mut engine, 0, &prepare(0, 0, &proposed))),
        [],
        "2 of 3 PREPAREs"
    );
    let out = hear(&mut engine, 2, &prepare(2, 0, &proposed));
    assert!(matches!(out[0], Output::Persist { .. }));
    assert_eq!(said(&out), [commit(1, 0, &proposed)]);
    assert_eq!(
        hear(&mut engine, 3, &commit(3, 0, &proposed)),
        [],
        "2 of 3 COMMITs"
    );
    let out = hear(&mut engine, 0, &commit(0, 0, &proposed));
    let Some(Output::Commit {
        block, certificate, ..
    }) = out.first()
    else {
        panic!("{out:?}")
    };
    assert_eq!(block, &proposed);
    let set = context(4).validators;
    assert_eq!(
        certificate.verify(
            GENESIS,
            HEIGHT,
            proposed.hash(),
            &set,
            ConsensusEngine::Qbft
        ),
        Ok(())
    );
    assert_eq!(engine.status().step, "decided");
}

#[test]
fn same_vote_twice_counts_once() {
    let proposed = block(0, 1);
    let (mut engine, _) = prepared_to_prepare(&proposed);
    for _ in 0..3 {
        assert_eq!(said(&hear(&mut engine, 0, &prepare(0, 0, &proposed))), []);
    }
}

#[test]
fn invalid_block_is_not_prepared() {
    let mut engine = engine(1, 4);
    let bad = block(0, 1);
    hear(&mut engine, 0, &proposal(0, 0, &bad, Default::default()));
    assert_eq!(said(&checked(&mut engine, &bad, false)), []);
}

#[test]
fn only_the_first_proposal_of_a_round_is_prepared() {
    let (first, second) = (block(0, 1), block(0, 2));
    let (mut engine, _) = prepared_to_prepare(&first);
    assert_eq!(
        hear(&mut engine, 0, &proposal(0, 0, &second, Default::default())),
        []
    );
}

#[test]
fn commit_quorum_of_a_past_round_still_decides() {
    let proposed = block(0, 1);
    let (mut engine, _) = prepared_to_prepare(&proposed);
    hear(&mut engine, 2, &round_change(2, 3));
    hear(&mut engine, 3, &round_change(3, 3));
    assert_eq!(engine.status().round, Round(3));
    for author in [0, 2] {
        hear(&mut engine, author, &commit(author, 0, &proposed));
    }
    let out = hear(&mut engine, 3, &commit(3, 0, &proposed));
    assert!(
        matches!(out.first(), Some(Output::Commit { .. })),
        "{out:?}"
    );
}

#[test]
fn commit_quorum_waits_for_the_block_to_be_checked() {
    let mut engine = engine(1, 4);
    let proposed = block(0, 1);
    for author in [0, 2, 3] {
        hear(&mut engine, author, &commit(author, 0, &proposed));
    }
    let out = hear(
        &mut engine,
        0,
        &proposal(0, 0, &proposed, Default::default()),
    );
    assert!(
        is_check(&out[0], &proposed, false),
        "a quorum has judged the clock: {out:?}"
    );
    let out = checked(&mut engine, &proposed, true);
    assert!(
        out.iter()
            .any(|output| matches!(output, Output::Commit { .. })),
        "{out:?}"
    );
}

#[test]
fn validator_alone_commits_at_once_and_writes_no_record() {
    let mut engine = engine(0, 1);
    work(&mut engine, NOW);
    let own = block(0, 1);
    let out = built(&mut engine, 0, Some(own.clone()));
    let Some(Output::Commit {
        block, certificate, ..
    }) = out.first()
    else {
        panic!("{out:?}")
    };
    assert_eq!(block, &own);
    let set = context(1).validators;
    assert_eq!(
        certificate.verify(GENESIS, HEIGHT, own.hash(), &set, ConsensusEngine::Qbft),
        Ok(())
    );
    assert!(record_of(&out).is_none() && said(&out).is_empty());
}

#[test]
fn heartbeat_makes_an_empty_chain_propose() {
    let mut config = config(0);
    config.parameters.empty_block_period = Some(Duration::from_secs(5));
    let mut engine = engine_of(config, 4, None);
    decided(&mut engine, &block(0, 0), NOW);
    let out = engine.handle(
        NOW + 5_000,
        Input::TimerFired {
            timer: Timer::Heartbeat,
        },
    );
    assert!(
        out.iter()
            .any(|output| matches!(output, Output::Build { .. })),
        "{out:?}"
    );
}

#[test]
fn messages_of_the_next_height_wait_for_it() {
    let mut engine = engine(1, 4);
    let mut next = proposal_of(0, 0, &block(0, 0), Default::default());
    let head = block(0, 9);
    let header = alloy_consensus::Header {
        number: 7,
        parent_hash: head.hash(),
        beneficiary: operator(0),
        ..alloy_consensus::Header::default()
    };
    next.height = Height(7);
    next.block = SealedBlock::new(medina_types::Block::new(header, Default::default()));
    let digest = next.block.hash();
    next.signature = secret(0).sign(&crate::qbft::messages::Proposal::signed_bytes(
        GENESIS,
        Height(7),
        Round::ZERO,
        digest,
    ));
    let next_block = next.block.clone();
    let out = hear(&mut engine, 0, &Message::Proposal(Box::new(next)));
    assert!(
        !out.iter()
            .any(|output| matches!(output, Output::Check { .. }))
    );
    let out = decided(&mut engine, &head, NOW);
    assert!(
        out.iter().any(|output| is_check(output, &next_block, true)),
        "{out:?}"
    );
}

#[test]
fn follower_decides_nothing_and_signs_nothing() {
    let mut follower = engine_of(config(9), 4, None);
    let proposed = block(0, 1);
    work(&mut follower, NOW);
    let out = hear(
        &mut follower,
        0,
        &proposal(0, 0, &proposed, Default::default()),
    );
    let out = [out, checked(&mut follower, &proposed, true)].concat();
    assert!(said(&out).is_empty() && record_of(&out).is_none());
    assert!(!follower.status().votes);
}
