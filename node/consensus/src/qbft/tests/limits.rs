//! What peers can cost this node: memory, signature checks, empty blocks.

use super::fixture::*;
use crate::{
    Engine, HeadInfo, Input, Output, Qbft, Timer, VoteCrypto,
    qbft::messages::{Message, PreparedClaim},
};
use medina_types::{Height, NodePublicKey, NodeSignature, Round, SealedBlock, limits};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

const BIG: usize = 512 * 1024;

fn big_block(proposer: usize, salt: u64) -> SealedBlock {
    let mut header = block(proposer, salt).header().clone();
    header.extra_data = vec![0xab; BIG].into();
    SealedBlock::new(medina_types::Block::new(header, Default::default()))
}

fn next_height(message: Message) -> Message {
    let next = HEIGHT.next();
    match message {
        Message::Proposal(mut proposal) => {
            proposal.height = next;
            Message::Proposal(proposal)
        }
        Message::RoundChange(mut change) => {
            change.statement.height = next;
            Message::RoundChange(change)
        }
        other => other,
    }
}

/// Proposals, round changes with proofs and votes for this height and the
/// next, many rounds each, from every other validator and from strangers.
#[test]
fn floods_of_future_heights_and_rounds_keep_bounded_bytes() {
    let mut engine = engine(1, 4);
    let mut peak = 0;
    for round in (1..60).chain((1..40).rev()) {
        let proven = big_block(0, u64::from(round));
        for author in [0, 2, 3] {
            let own = big_block(author, 1_000 + u64::from(round));
            let claimed = prepared_round_change(author, round, round - 1, &proven, &[0, 2, 3]);
            let proposed = proposal(author, round, &own, unprepared(&[0, 2, 3], round));
            for message in [claimed, proposed] {
                hear(&mut engine, author, &message);
                hear(&mut engine, author, &next_height(message.clone()));
                hear(&mut engine, author + 10, &next_height(message));
            }
            hear(&mut engine, author, &prepare(author, round, &own));
            hear(&mut engine, author, &commit(author, round, &own));
        }
        // Time passes, so that the flood is not stopped by its signatures.
        engine.handle(
            NOW + 1_000 * u64::from(round),
            Input::TimerFired {
                timer: Timer::Resend,
            },
        );
        peak = peak.max(engine.kept_bytes());
        assert!(peak <= Qbft::KEPT_BYTES_MAX, "round {round}: {peak} bytes");
    }
    // The flood is real: it fills every author's room for the next height, and
    // several blocks of this one; yet not one block per message.
    let future = 3 * (limits::FUTURE_MESSAGE_BYTES_PER_VALIDATOR_MAX - 2 * BIG);
    assert!(peak > future + 4 * BIG, "{peak} bytes");
    let kept = super::super::height::BLOCKS_KEPT_MAX * (BIG + 1_024);
    let room = 3 * limits::FUTURE_MESSAGE_BYTES_PER_VALIDATOR_MAX + 64 * 1_024;
    assert!(peak < kept + room, "{peak} bytes");
}

/// Counts the signatures that it checks.
#[derive(Debug)]
struct Counting(Arc<AtomicU64>);

impl VoteCrypto for Counting {
    fn sign(&self, message: &[u8]) -> NodeSignature {
        secret(1).sign(message)
    }

    fn verify(&self, key: &NodePublicKey, message: &[u8], signature: &NodeSignature) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        key.verify(message, signature).is_ok()
    }
}

fn counted() -> (Qbft, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let crypto = Box::new(Counting(count.clone()));
    let engine = Qbft::new(config(1), crypto, head(), context(4), None).unwrap();
    (engine, count)
}

fn hear_at(engine: &mut Qbft, now_ms: u64, from: usize, message: &Message) -> Vec<Output> {
    let (from, bytes) = (key(from), message.encode());
    engine.handle(now_ms, Input::MessageReceived { from, bytes })
}

#[test]
fn one_validator_causes_a_bounded_number_of_signature_checks_per_time() {
    let (mut engine, count) = counted();
    let proven = block(0, 1);
    let flood = |engine: &mut Qbft, now_ms, rounds: std::ops::Range<u32>| {
        for round in rounds {
            let change = prepared_round_change(3, round, 0, &proven, &[0, 2, 3]);
            hear_at(engine, now_ms, 3, &change);
        }
    };
    flood(&mut engine, NOW, 1..500);
    let at_once = count.load(Ordering::Relaxed);
    assert!((60..=200).contains(&at_once), "{at_once} checks");
    flood(&mut engine, NOW + 1_000, 500..1_000);
    let later = count.load(Ordering::Relaxed) - at_once;
    assert!((20..=100).contains(&later), "{later} checks a second later");
    // Others are heard all the same.
    hear_at(&mut engine, NOW + 1_000, 0, &prepare(0, 0, &proven));
    assert_eq!(count.load(Ordering::Relaxed), at_once + later + 1);
}

#[test]
fn honest_validators_are_never_limited_in_their_checks() {
    let (mut engine, count) = counted();
    let proven = block(0, 1);
    let mut expected = 0;
    for round in 1..300 {
        let now_ms = NOW + 1_000 * u64::from(round);
        let change = prepared_round_change(3, round, 0, &proven, &[0, 2, 3]);
        hear_at(&mut engine, now_ms, 3, &change);
        hear_at(&mut engine, now_ms, 3, &change);
        hear_at(&mut engine, now_ms, 3, &prepare(3, round, &proven));
        hear_at(&mut engine, now_ms, 3, &commit(3, round, &proven));
        expected += 4 + 1 + 1;
        assert_eq!(count.load(Ordering::Relaxed), expected, "round {round}");
    }
}

fn decided(engine: &mut Qbft, height: Height, now_ms: u64) {
    let head = HeadInfo {
        height,
        hash: HEAD,
        timestamp_s: 0,
        committed_at_ms: now_ms,
    };
    let context = context(4);
    engine.handle(
        now_ms,
        Input::HeightDecided {
            height,
            head,
            context,
        },
    );
}

fn lone_round_change(height: Height) -> Message {
    let bytes = crate::qbft::messages::RoundChangeStatement::signed_bytes(
        GENESIS,
        height,
        Round(1),
        None::<PreparedClaim>,
    );
    let Message::RoundChange(mut change) = round_change(3, 1) else {
        unreachable!()
    };
    change.statement.height = height;
    change.statement.signature = secret(3).sign(&bytes);
    Message::RoundChange(change)
}

fn is_awake(engine: &Qbft) -> bool {
    engine.status().step == "waiting for proposal"
}

/// Lets validator 3 alone wake the engine at each height and decides the empty
/// block that follows. Returns how many heights it woke within `for_ms`.
fn forced_blocks(engine: &mut Qbft, for_ms: u64) -> u64 {
    let (mut height, mut forced, mut since_ms) = (HEIGHT, 0, NOW);
    for now_ms in (NOW..NOW + for_ms).step_by(500) {
        hear_at(engine, now_ms, 3, &lone_round_change(height));
        if is_awake(engine) && now_ms >= since_ms + 1_000 {
            let empty = block_at(height, 0);
            engine
                .state
                .learn_block(empty.clone(), super::super::height::Verdict::Valid);
            let head = HeadInfo {
                height,
                hash: empty.hash(),
                timestamp_s: 0,
                committed_at_ms: now_ms,
            };
            let context = context(4);
            engine.handle(
                now_ms,
                Input::HeightDecided {
                    height,
                    head,
                    context,
                },
            );
            (height, forced, since_ms) = (height.next(), forced + 1, now_ms);
        }
    }
    forced
}

fn block_at(height: Height, proposer: usize) -> SealedBlock {
    let mut header = block(proposer, 1).header().clone();
    header.number = height.0;
    SealedBlock::new(medina_types::Block::new(header, Default::default()))
}

#[test]
fn one_validator_cannot_force_empty_blocks_again_and_again() {
    let mut engine = engine(1, 4);
    let forced = forced_blocks(&mut engine, 600_000);
    assert!((2..=20).contains(&forced), "{forced} blocks in ten minutes");
}

#[test]
fn impatience_with_one_validator_ends_with_a_block_of_use_and_never_binds_two() {
    let mut engine = engine(1, 4);
    forced_blocks(&mut engine, 60_000);
    let now_ms = NOW + 60_000;
    let height = engine.status().height;
    hear_at(&mut engine, now_ms, 3, &lone_round_change(height));
    assert!(!is_awake(&engine));
    let Message::RoundChange(mut second) = lone_round_change(height) else {
        unreachable!()
    };
    let bytes =
        crate::qbft::messages::RoundChangeStatement::signed_bytes(GENESIS, height, Round(1), None);
    second.statement.signature = secret(2).sign(&bytes);
    hear_at(&mut engine, now_ms, 2, &Message::RoundChange(second));
    assert_eq!(
        engine.status().round,
        Round(1),
        "f + 1 are believed at once"
    );
    decided(&mut engine, height, now_ms);
    let height = height.next();
    hear_at(&mut engine, now_ms, 3, &lone_round_change(height));
    assert!(is_awake(&engine), "forgiven");
}
