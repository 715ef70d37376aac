//! What survives a restart, and what a validator without memory may do.

use super::fixture::*;
use crate::{Engine, HeadInfo, Input, Output, Qbft, QbftConfig, RecordError, Timer};
use medina_types::{Height, Round};

fn strict(index: usize) -> QbftConfig {
    QbftConfig {
        accept_lost_record: false,
        ..config(index)
    }
}

fn sent_to(engine: &mut Qbft, peer: usize) -> Vec<crate::qbft::messages::Message> {
    let out = engine.handle(NOW, Input::PeerConnected { peer: key(peer) });
    let bytes = out.iter().filter_map(|output| match output {
        Output::Send { bytes, .. } => Some(bytes),
        _ => None,
    });
    bytes
        .map(|bytes| crate::qbft::messages::Message::decode(bytes).unwrap())
        .collect()
}

#[test]
fn restarted_validator_repeats_its_vote_and_gives_no_other() {
    let proposed = block(0, 1);
    let (_, out) = prepared_to_prepare(&proposed);
    let mut engine = engine_of(strict(1), 4, record_of(&out));
    assert!(engine.status().votes);
    assert_eq!(sent_to(&mut engine, 2), [prepare(1, 0, &proposed)]);
    // The proposer equivocates after our restart.
    let other = block(0, 2);
    assert_eq!(
        said(&hear(
            &mut engine,
            0,
            &proposal(0, 0, &other, Default::default())
        )),
        []
    );
    assert_eq!(said(&checked(&mut engine, &other, true)), []);
}

#[test]
fn restarted_validator_has_its_block_checked_again_and_goes_on() {
    let proposed = block(0, 1);
    let (_, out) = prepared_to_prepare(&proposed);
    let record = record_of(&out);
    let mut engine = Qbft::new(strict(1), crypto(1), head(), context(4), record).unwrap();
    let out = engine.handle(NOW, Input::Started { now_ms: NOW });
    assert_eq!(said(&out), [prepare(1, 0, &proposed)]);
    assert!(
        out.iter().any(|output| is_check(output, &proposed, false)),
        "{out:?}"
    );
    checked(&mut engine, &proposed, true);
    hear(&mut engine, 0, &prepare(0, 0, &proposed));
    let out = hear(&mut engine, 2, &prepare(2, 0, &proposed));
    assert_eq!(
        said(&out),
        [commit(1, 0, &proposed)],
        "its own vote still counts"
    );
}

#[test]
fn prepared_block_survives_restart_and_enters_the_round_change() {
    let proposed = block(0, 1);
    let (mut engine, _) = prepared_to_prepare(&proposed);
    hear(&mut engine, 0, &prepare(0, 0, &proposed));
    let out = hear(&mut engine, 2, &prepare(2, 0, &proposed));
    let mut engine = engine_of(strict(1), 4, record_of(&out));
    let out = engine.handle(
        NOW + 1_000,
        Input::TimerFired {
            timer: Timer::Round,
        },
    );
    let expected = prepared_round_change(1, 1, 0, &proposed, &[0, 1, 2]);
    assert_eq!(said(&out), [expected]);
}

#[test]
fn restarted_proposer_repeats_its_proposal_instead_of_building_another() {
    let mut engine = engine(0, 4);
    engine.handle(NOW, Input::WorkWaiting { waiting: true });
    let own = block(0, 1);
    let built = Input::BlockBuilt {
        height: HEIGHT,
        round: Round(0),
        block: Some(own.clone()),
    };
    let out = engine.handle(NOW, built);
    let mut engine = engine_of(strict(0), 4, record_of(&out));
    let out = engine.handle(NOW, Input::WorkWaiting { waiting: true });
    assert!(
        !out.iter()
            .any(|output| matches!(output, Output::Build { .. })),
        "{out:?}"
    );
    let expected = [
        proposal(0, 0, &own, Default::default()),
        prepare(0, 0, &own),
    ];
    assert_eq!(sent_to(&mut engine, 2), expected);
}

#[test]
fn round_asked_for_survives_restart() {
    let mut engine = engine(1, 4);
    engine.handle(NOW, Input::WorkWaiting { waiting: true });
    let out = engine.handle(
        NOW + 1_000,
        Input::TimerFired {
            timer: Timer::Round,
        },
    );
    assert_eq!(said(&out), [round_change(1, 1)]);
    let mut engine = engine_of(strict(1), 4, record_of(&out));
    assert_eq!(engine.status().round, Round(1));
    assert_eq!(sent_to(&mut engine, 3), [round_change(1, 1)]);
    assert_eq!(
        said(&hear(
            &mut engine,
            0,
            &proposal(0, 0, &block(0, 1), Default::default())
        )),
        []
    );
}

#[test]
fn damaged_record_counts_as_lost_and_is_reported() {
    let (_, out) = prepared_to_prepare(&block(0, 1));
    let record = record_of(&out).unwrap();
    let damage = |record: Vec<u8>| {
        let engine = Qbft::new(strict(1), crypto(1), head(), context(4), Some(record)).unwrap();
        let damage = engine.record_damage().cloned();
        assert_eq!(engine.status().votes, damage.is_none());
        damage
    };
    assert_eq!(damage(record.clone()), None);
    let torn = record[..20].to_vec();
    assert_eq!(damage(torn), Some(RecordError::Truncated(20)));
    assert_eq!(damage(Vec::new()), Some(RecordError::Truncated(0)));
    let torn = record[..record.len() - 1].to_vec();
    assert_eq!(damage(torn), Some(RecordError::Checksum));
    for position in 1..record.len() {
        let mut torn = record.clone();
        torn[position] ^= 1;
        let found = damage(torn);
        assert_eq!(found, Some(RecordError::Checksum), "byte {position}");
    }
    let body = [9; 40];
    let checksum = alloy_primitives::keccak256(body);
    let no_record = [&[1][..], &checksum[..], &body[..]].concat();
    let found = damage(no_record);
    assert!(
        matches!(found, Some(RecordError::Malformed(_))),
        "{found:?}"
    );
}

/// A record that was there once means that something was signed: a fresh chain
/// does not excuse it.
#[test]
fn damaged_record_observes_at_genesis_unless_the_operator_takes_the_risk() {
    let genesis = HeadInfo {
        height: Height(0),
        ..head()
    };
    let open = |config: QbftConfig| {
        let torn = Some(vec![1, 2, 3]);
        let mut engine = Qbft::new(config, crypto(1), genesis, context(4), torn).unwrap();
        for peer in [0, 2, 3] {
            engine.handle(NOW, Input::PeerConnected { peer: key(peer) });
        }
        engine.status().votes
    };
    assert!(!open(strict(1)));
    assert!(open(config(1)));
}

#[test]
fn whole_record_of_somebody_else_is_refused() {
    let (_, out) = prepared_to_prepare(&block(0, 1));
    let record = record_of(&out).unwrap();
    let open = |config: QbftConfig, record: Vec<u8>| {
        Qbft::new(config, crypto(1), head(), context(4), Some(record)).err()
    };
    let newer = [vec![2], record[1..].to_vec()].concat();
    assert_eq!(
        open(strict(1), newer),
        Some(RecordError::Version {
            found: 2,
            expected: 1
        })
    );
    let (found, expected) = (key(1), key(2));
    assert_eq!(
        open(strict(2), record.clone()),
        Some(RecordError::OtherKey { found, expected })
    );
    let other_chain = QbftConfig {
        genesis_hash: HEAD,
        ..strict(1)
    };
    let (found, expected) = (GENESIS, HEAD);
    assert_eq!(
        open(other_chain, record),
        Some(RecordError::OtherChain { found, expected })
    );
}

#[test]
fn record_of_a_later_height_forbids_signing_below_it() {
    let (_, out) = prepared_to_prepare(&block(0, 1));
    let rolled_back = HeadInfo {
        height: Height(3),
        ..head()
    };
    let engine = Qbft::new(
        strict(1),
        crypto(1),
        rolled_back,
        context(4),
        record_of(&out),
    )
    .unwrap();
    assert!(!engine.status().votes);
}

/// Blocks fetched by sync are not synced to disk one by one, the record is.
#[test]
fn record_is_taken_up_again_when_the_chain_is_back_at_its_height() {
    let proposed = block(0, 1);
    let (mut engine, _) = prepared_to_prepare(&proposed);
    hear(&mut engine, 0, &prepare(0, 0, &proposed));
    let out = hear(&mut engine, 2, &prepare(2, 0, &proposed));
    let behind = HeadInfo {
        height: Height(4),
        ..head()
    };
    let record = record_of(&out);
    let mut engine = Qbft::new(strict(1), crypto(1), behind, context(4), record).unwrap();
    engine.handle(NOW, Input::Started { now_ms: NOW });
    assert!(!engine.status().votes);
    let height = head().height;
    let (head, context) = (head(), context(4));
    engine.handle(
        NOW,
        Input::HeightDecided {
            height,
            head,
            context,
        },
    );
    assert!(engine.status().votes);
    let expected = [prepare(1, 0, &proposed), commit(1, 0, &proposed)];
    assert_eq!(sent_to(&mut engine, 2), expected);
    hear(&mut engine, 2, &round_change(2, 1));
    let out = hear(&mut engine, 3, &round_change(3, 1));
    let expected = prepared_round_change(1, 1, 0, &proposed, &[0, 1, 2]);
    assert!(said(&out).contains(&expected), "{:?}", said(&out));
}

#[test]
fn validator_without_record_observes_until_two_live_blocks() {
    let mut engine = engine_of(strict(1), 4, None);
    assert!(!engine.status().votes);
    for (height, is_live, votes) in [(6, false, false), (7, true, false), (8, true, true)] {
        assert_eq!(
            said(&engine.handle(NOW, Input::WorkWaiting { waiting: true })),
            []
        );
        if is_live {
            for author in [0, 2, 3] {
                let digest = block(0, 1).hash();
                let round = Round(0);
                let message =
                    crate::qbft::messages::prepare_message(GENESIS, Height(height), round, digest);
                let signature = secret(author).sign(&message);
                let height = Height(height);
                let prepare = crate::qbft::messages::Prepare {
                    height,
                    round,
                    digest,
                    signature,
                };
                hear(
                    &mut engine,
                    author,
                    &crate::qbft::messages::Message::Prepare(prepare),
                );
            }
        }
        let head = HeadInfo {
            height: Height(height),
            ..head()
        };
        let height = head.height;
        let out = engine.handle(
            NOW,
            Input::HeightDecided {
                height,
                head,
                context: context(4),
            },
        );
        assert_eq!(engine.status().votes, votes, "after height {height}");
        assert_eq!(
            record_of(&out).is_some(),
            votes,
            "being admitted is remembered"
        );
    }
}

#[test]
fn fresh_chain_starts_once_a_quorum_is_connected() {
    let genesis = HeadInfo {
        height: Height(0),
        ..head()
    };
    let mut engine = Qbft::new(strict(1), crypto(1), genesis, context(4), None).unwrap();
    assert!(!engine.status().votes);
    engine.handle(NOW, Input::PeerConnected { peer: key(0) });
    assert!(!engine.status().votes, "2 of 3");
    engine.handle(NOW, Input::PeerConnected { peer: key(2) });
    assert!(engine.status().votes);
}
