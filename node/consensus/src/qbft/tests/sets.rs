//! Validators that come and go while the chain runs.

use super::fixture::*;
use crate::{
    Engine, HeadInfo, Input, Output, Qbft, QbftConfig, Timer,
    qbft::messages::{Justification, Message, Prepare, Proposal, prepare_message},
};
use medina_types::{Height, Round, SealedBlock};

fn strict(index: usize) -> QbftConfig {
    QbftConfig {
        accept_lost_record: false,
        ..config(index)
    }
}

/// A node on a chain of the first `count` validators.
fn node(index: usize, count: usize) -> Qbft {
    let mut engine = Qbft::new(strict(index), crypto(index), head(), context(count), None).unwrap();
    engine.handle(NOW, Input::Started { now_ms: NOW });
    engine
}

/// The next height is decided; from then on `count` validators decide.
fn decide(engine: &mut Qbft, height: u64, count: usize) -> Vec<Output> {
    let height = Height(height);
    let head = HeadInfo { height, ..head() };
    let context = context(count);
    engine.handle(
        NOW,
        Input::HeightDecided {
            height,
            head,
            context,
        },
    )
}

fn settle(engine: &mut Qbft) -> Vec<Output> {
    let timer = Timer::Resend;
    engine.handle(NOW + 1_000, Input::TimerFired { timer })
}

fn connect(engine: &mut Qbft, peers: &[usize]) {
    for &peer in peers {
        engine.handle(NOW, Input::PeerConnected { peer: key(peer) });
    }
}

/// 4 -> 7 in one block: the three that join are needed for the next quorum,
/// and they were connected before they were validators.
#[test]
fn validators_that_join_together_vote_at_once() {
    let mut engine = node(6, 4);
    assert!(!engine.status().votes);
    connect(&mut engine, &[0, 1, 2, 3, 4]);
    let out = decide(&mut engine, 6, 7);
    assert!(!engine.status().votes, "it may be reading old history");
    let record = record_of(&out);
    assert!(record.is_some(), "that it joined must survive a restart");
    settle(&mut engine);
    assert!(engine.status().votes);
    let joined = HeadInfo {
        height: Height(6),
        ..head()
    };
    let mut engine = Qbft::new(strict(6), crypto(6), joined, context(7), record).unwrap();
    engine.handle(NOW, Input::Started { now_ms: NOW });
    connect(&mut engine, &[0, 1, 2, 3]);
    settle(&mut engine);
    assert!(engine.status().votes, "and after a restart");
}

#[test]
fn newcomer_without_a_connected_quorum_waits_for_it() {
    let mut engine = node(6, 4);
    connect(&mut engine, &[0, 1, 2]);
    decide(&mut engine, 6, 7);
    settle(&mut engine);
    assert!(!engine.status().votes, "4 of 5");
    connect(&mut engine, &[3]);
    assert!(engine.status().votes);
}

/// The caller may not have told of links that were up while the node was at
/// genesis; hearing a validator is as good.
#[test]
fn newcomer_that_hears_a_quorum_is_connected_to_it() {
    let mut engine = node(6, 4);
    decide(&mut engine, 6, 7);
    settle(&mut engine);
    for author in 0..4 {
        hear(&mut engine, author, &vote_at(7, author));
    }
    assert!(engine.status().votes);
}

/// A validator that lost its disk reads the block that once admitted it.
#[test]
fn wiped_validator_that_reads_its_own_admission_observes() {
    let mut engine = node(6, 4);
    connect(&mut engine, &[0, 1, 2, 3, 4, 5]);
    for height in 6..20 {
        let out = decide(&mut engine, height, 7);
        assert!(said(&out).is_empty());
    }
    settle(&mut engine);
    assert!(!engine.status().votes);
}

/// 1 -> 2: both are needed, and the second votes at its first height.
#[test]
fn second_validator_votes_at_once() {
    let mut engine = node(1, 1);
    connect(&mut engine, &[0]);
    decide(&mut engine, 6, 2);
    assert!(engine.status().votes);
}

#[test]
fn validator_that_leaves_falls_silent_and_runs_no_timer() {
    let mut engine = engine(3, 4);
    hear(
        &mut engine,
        0,
        &proposal(0, 0, &block(0, 1), Justification::default()),
    );
    let out = decide(&mut engine, 6, 3);
    assert!(!engine.status().votes);
    let sets =
        |output: &&Output| matches!(output, Output::SetTimer { .. } | Output::Persist { .. });
    assert_eq!(out.iter().find(sets), None);
    let out = engine.handle(NOW, Input::WorkWaiting { waiting: true });
    assert_eq!(out, []);
    // Its word counts no more, either.
    let mut other = engine_of(config(1), 4, None);
    decide(&mut other, 6, 3);
    assert_eq!(hear(&mut other, 3, &vote_at(7, 3)), []);
    assert!(other.state.prepares.is_empty());
}

fn vote_at(height: u64, author: usize) -> Message {
    let (height, round, digest) = (Height(height), Round(0), block(0, 1).hash());
    let signature = secret(author).sign(&prepare_message(GENESIS, height, round, digest));
    Message::Prepare(Prepare {
        height,
        round,
        digest,
        signature,
    })
}

/// A validator of the next height only is faster than we are: what it says
/// before we know that it is one waits.
#[test]
fn messages_of_the_next_heights_newcomer_count_there() {
    let mut engine = engine(1, 4);
    assert_eq!(hear(&mut engine, 4, &vote_at(7, 4)), []);
    decide(&mut engine, 6, 5);
    assert_eq!(engine.state.prepares.count_at(Round(0)), 1);
    let mut unchanged = engine_of(config(1), 4, None);
    hear(&mut unchanged, 4, &vote_at(7, 4));
    decide(&mut unchanged, 6, 4);
    assert!(unchanged.state.prepares.is_empty(), "no validator there");
}

/// GoQuorum #1311: the set of the next height decides there, not the old one.
#[test]
fn next_heights_set_decides_quorum_and_proposer() {
    let mut engine = engine(4, 5);
    decide(&mut engine, 6, 5);
    let proposed = next_block();
    let (digest, height) = (proposed.hash(), Height(7));
    let bytes = Proposal::signed_bytes(GENESIS, height, Round(0), digest);
    let proposal = Proposal {
        height,
        round: Round(0),
        block: proposed.clone(),
        justification: Justification::default(),
        signature: secret(0).sign(&bytes),
    };
    hear(&mut engine, 0, &Message::Proposal(Box::new(proposal)));
    checked(&mut engine, &proposed, true);
    let vote = |author| {
        let signature = secret(author).sign(&prepare_message(GENESIS, height, Round(0), digest));
        Message::Prepare(Prepare {
            height,
            round: Round(0),
            digest,
            signature,
        })
    };
    assert_eq!(said(&hear(&mut engine, 0, &vote(0))), []);
    assert_eq!(said(&hear(&mut engine, 1, &vote(1))), [], "3 of 4");
    assert_eq!(said(&hear(&mut engine, 2, &vote(2))).len(), 1);
}

fn next_block() -> SealedBlock {
    let header = alloy_consensus::Header {
        number: 7,
        parent_hash: HEAD,
        beneficiary: operator(0),
        ..alloy_consensus::Header::default()
    };
    SealedBlock::new(medina_types::Block::new(header, Default::default()))
}
