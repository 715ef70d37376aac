//! Bytes from anybody: nothing panics, only provable lies are accused.

use super::fixture::*;
use crate::{
    Engine, Input, Output,
    qbft::messages::{Justification, Message},
};
use medina_types::{Round, SealedBlock};
use proptest::prelude::*;

fn accused(out: &[Output]) -> bool {
    out.iter()
        .any(|output| matches!(output, Output::PeerMisbehaved { .. }))
}

/// GoQuorum `qbft/core/commit.go` counts COMMITs without verifying the seal.
#[test]
fn bad_seal_is_accused_and_does_not_count() {
    let proposed = block(0, 1);
    let (mut engine, _) = prepared_to_prepare(&proposed);
    for author in [0, 2] {
        hear(&mut engine, author, &commit(author, 0, &proposed));
    }
    let Message::Commit(mut bad) = commit(3, 0, &proposed) else {
        unreachable!()
    };
    bad.seal = nobody();
    let out = hear(&mut engine, 3, &Message::Commit(bad));
    assert!(
        accused(&out)
            && !out
                .iter()
                .any(|output| matches!(output, Output::Commit { .. }))
    );
    let out = hear(&mut engine, 3, &commit(3, 0, &proposed));
    assert!(
        matches!(out.first(), Some(Output::Commit { .. })),
        "the true seal still counts"
    );
}

/// GoQuorum `verifyCommittedSeals` takes f + 1 seals; 2f + 1 is too few where n
/// is not 3f + 1 (`ceil2Nby3Block` unset).
#[test]
fn quorum_is_two_thirds_of_any_number_of_validators() {
    for (count, quorum) in [(4, 3), (5, 4), (6, 4), (7, 5)] {
        let mut engine = engine(1, count);
        let proposed = block(0, 1);
        hear(
            &mut engine,
            0,
            &proposal(0, 0, &proposed, Justification::default()),
        );
        checked(&mut engine, &proposed, true);
        // Our own PREPARE is one of the quorum, our COMMIT follows with it.
        for other in 2..quorum {
            let out = hear(&mut engine, other, &prepare(other, 0, &proposed));
            assert!(out.is_empty(), "{other} of {quorum} PREPAREs");
        }
        let out = hear(&mut engine, 0, &prepare(0, 0, &proposed));
        let is_commit = |message: &Message| matches!(message, Message::Commit(_));
        assert!(said(&out).iter().any(is_commit), "{count} validators");
        let is_decided = |output: &Output| matches!(output, Output::Commit { .. });
        for other in 2..quorum {
            let out = hear(&mut engine, other, &commit(other, 0, &proposed));
            assert!(!out.iter().any(is_decided), "{other} of {quorum} COMMITs");
        }
        let out = hear(&mut engine, 0, &commit(0, 0, &proposed));
        assert!(out.iter().any(is_decided), "{count} validators");
    }
}

#[test]
fn vote_does_not_count_as_another_kind_round_or_author() {
    let proposed = block(0, 1);
    let (mut engine, _) = prepared_to_prepare(&proposed);
    let Message::Prepare(prepared) = prepare(2, 0, &proposed) else {
        unreachable!()
    };
    let Message::Commit(mut as_commit) = commit(2, 0, &proposed) else {
        unreachable!()
    };
    as_commit.seal = prepared.signature;
    assert!(accused(&hear(&mut engine, 2, &Message::Commit(as_commit))));
    let mut other_round = prepared.clone();
    other_round.round = Round(1);
    assert!(accused(&hear(
        &mut engine,
        2,
        &Message::Prepare(other_round)
    )));
    assert!(accused(&hear(&mut engine, 3, &Message::Prepare(prepared))));
}

/// The hash names the header only: a true certificate with another body would
/// make the next proposer repeat a block that nobody can execute.
#[test]
fn prepared_block_with_another_body_is_accused_and_not_proposed_again() {
    let proposed = block(0, 1);
    let mut with_ommer = proposed.block().clone();
    with_ommer.body.ommers.push(Default::default());
    let swapped = SealedBlock::new(with_ommer);
    assert_eq!(swapped.hash(), proposed.hash());
    let mut engine = engine(1, 4);
    let claimed = |block| prepared_round_change(3, 1, 0, block, &[0, 2, 3]);
    assert!(accused(&hear(&mut engine, 3, &claimed(&swapped))));
    hear(&mut engine, 3, &claimed(&proposed));
    let out = hear(&mut engine, 0, &round_change(0, 1));
    let blocks = said(&out).into_iter().filter_map(|message| match message {
        Message::Proposal(proposal) => Some(proposal.block),
        _ => None,
    });
    assert_eq!(blocks.collect::<Vec<_>>(), [proposed]);
}

#[test]
fn undecodable_bytes_cost_the_connection_and_strangers_are_not_heard() {
    let mut engine = engine(1, 4);
    let bytes = vec![9, 9, 9];
    let tell = |from| Input::MessageReceived {
        from,
        bytes: bytes.clone(),
    };
    assert!(accused(&engine.handle(NOW, tell(key(2)))));
    assert_eq!(engine.handle(NOW, tell(key(8))), []);
    assert_eq!(
        engine.handle(NOW, tell(key(1))),
        [],
        "our own key is not a peer"
    );
}

#[test]
fn unjustified_proposal_is_ignored_without_accusation() {
    let mut engine = engine(3, 4);
    let out = hear(
        &mut engine,
        2,
        &proposal(2, 2, &block(2, 1), Justification::default()),
    );
    assert_eq!(out, []);
}

fn some_message(kind: u8, author: usize, round: u32, salt: u64) -> Message {
    let (own, first) = (block(author, salt), block(0, salt));
    let round = round % 12;
    match kind % 6 {
        0 => proposal(author, round, &own, unprepared(&[0, 1, 2], round)),
        1 => proposal(author, round, &own, Justification::default()),
        2 => prepare(author, round, &first),
        3 => commit(author, round, &first),
        4 => round_change(author, round),
        _ => prepared_round_change(author, round, 0, &first, &[0, 1, 2]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn decoders_survive_any_bytes(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Message::decode(&bytes);
        bytes.insert(0, 1);
        let _ = Message::decode(&bytes);
    }

    #[test]
    fn messages_read_back(kind: u8, author in 0..4_usize, round: u32, salt: u64) {
        let message = some_message(kind, author, round, salt);
        prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn damaged_messages_never_panic(
        kind: u8, author in 0..4_usize, round: u32, position: usize, value: u8,
    ) {
        let mut engine = engine(3, 4);
        let mut bytes = some_message(kind, author, round, 1).encode();
        let position = position % bytes.len();
        bytes[position] = value;
        engine.handle(NOW, Input::MessageReceived { from: key(author), bytes });
    }

    /// Any order of valid messages, checks and timers: the engine never panics
    /// and never signs two things for one kind and round.
    #[test]
    fn random_histories_never_panic_nor_equivocate(
        steps in proptest::collection::vec((any::<u8>(), 0..3_usize, any::<u32>(), 0..3_u64), 1..60),
    ) {
        use crate::Timer;
        let mut engine = engine(3, 4);
        let mut signed = std::collections::BTreeMap::new();
        for (step, (kind, author, round, salt)) in steps.into_iter().enumerate() {
            let now_ms = NOW + 2_000 * step as u64;
            let input = match kind % 10 {
                0 => Input::BlockChecked { hash: block(author, salt).hash(), valid: round % 4 > 0 },
                1 => Input::TimerFired { timer: Timer::Round },
                2 => Input::WorkWaiting { waiting: round % 2 > 0 },
                3 => Input::BlockBuilt {
                    height: HEIGHT, round: Round(round % 12), block: Some(block(3, salt)),
                },
                _ => {
                    let bytes = some_message(kind / 10, author, round, salt).encode();
                    Input::MessageReceived { from: key(author), bytes }
                }
            };
            let out = engine.handle(now_ms, input);
            for message in said(&out) {
                let subject = (message.kind(), message.round());
                let first = signed.entry(subject).or_insert_with(|| message.clone());
                prop_assert_eq!(&*first, &message);
            }
        }
    }
}
