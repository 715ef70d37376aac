//! Floods.

use super::{Attacks, Verdict, must};
use crate::mutants::voices::*;
use medina_consensus::{
    Ed25519Crypto, Engine, Input, Qbft, QbftConfig, VoteCrypto, qbft::messages::Message,
};
use medina_types::{ConsensusParameters, Height, NodePublicKey, NodeSignature, limits};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

pub(super) const ATTACKS: Attacks = &[
    ("flood of the next height", future_flood),
    ("flood of rounds", round_flood),
    ("flood of signatures", signature_flood),
];

fn future_flood() -> Verdict {
    let mut stage = Stage::new(1, 4);
    let room = limits::FUTURE_MESSAGE_BYTES_PER_VALIDATOR_MAX;
    let big = block_on(HEAD, 2, 1, 1024 * 1024);
    for round in 0..20 {
        let Message::Proposal(mut next) = proposal(2, round, &big, unprepared(&[], 0)) else {
            unreachable!("made as a proposal")
        };
        next.height = HEIGHT.next();
        stage.hear(2, &Message::Proposal(next));
    }
    let kept = stage.engine.kept_bytes();
    must(
        kept <= room,
        &format!("keeps {kept} bytes of one validator"),
    )
}

fn round_flood() -> Verdict {
    let mut stage = Stage::new(1, 4);
    let digest = block(0, 1).hash();
    for round in 1..400 {
        stage.now_ms += 1_000;
        stage.hear(2, &prepare_at(HEIGHT, 2, round, digest));
    }
    let kept = stage.engine.kept_bytes();
    must(
        kept < 4_096,
        &format!("keeps {kept} bytes of votes of one validator"),
    )
}

struct Counting(Ed25519Crypto, Arc<AtomicU64>);

impl VoteCrypto for Counting {
    fn sign(&self, message: &[u8]) -> NodeSignature {
        self.0.sign(message)
    }

    fn verify(&self, key: &NodePublicKey, message: &[u8], signature: &NodeSignature) -> bool {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.verify(key, message, signature)
    }
}

fn signature_flood() -> Verdict {
    let checks = Arc::new(AtomicU64::new(0));
    let config = QbftConfig {
        genesis_hash: GENESIS,
        own_key: key(1),
        operator: alloy_primitives::Address::repeat_byte(2),
        parameters: ConsensusParameters::default(),
        observe_only: false,
        accept_lost_record: true,
    };
    let crypto = Counting(Ed25519Crypto::new(secret(1)), checks.clone());
    let head = head_at(Height(HEIGHT.0 - 1));
    let engine = Qbft::new(config, Box::new(crypto), head, context(4), None);
    let mut engine = engine.expect("there is no record");
    let proven = block(0, 1);
    for round in 1..300 {
        let proof = prepares(&[0, 2, 3], 0, &proven);
        let change = claiming(3, round, claim(0, &proven), &proven, proof);
        let bytes = change.encode();
        engine.handle(
            NOW,
            Input::MessageReceived {
                from: key(3),
                bytes,
            },
        );
    }
    let count = checks.load(Ordering::Relaxed);
    must(
        count < 300,
        &format!("checks {count} signatures for one validator at once"),
    )
}
