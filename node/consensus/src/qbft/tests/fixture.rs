//! A validator under test and the voices of the others.
//!
//! The chain stands at height 5; validator 0 proposes round 0 of height 6,
//! validator 1 round 1, and so on.

use crate::{
    Ed25519Crypto, Engine, HeadInfo, Input, Output, Qbft, QbftConfig, VoteCrypto,
    qbft::messages::{
        Commit, Justification, Message, NamedRoundChange, Prepare, PreparedClaim, PreparedProof,
        Proposal, RoundChange, RoundChangeStatement, prepare_message,
    },
};
use alloy_primitives::{Address, B256};
use medina_types::{
    Certificate, ConsensusParameters, Height, HeightContext, NodePublicKey, NodeSecretKey,
    NodeSignature, Round, SealedBlock, Validator, ValidatorSet, commit_message,
};

pub(super) const GENESIS: B256 = B256::repeat_byte(0x11);
pub(super) const HEAD: B256 = B256::repeat_byte(0x22);
pub(super) const HEIGHT: Height = Height(6);
/// Later than anything the engine waits for before it proposes.
pub(super) const NOW: u64 = 1_000_000;

fn byte(index: usize) -> u8 {
    u8::try_from(index).unwrap() + 1
}

pub(super) fn secret(index: usize) -> NodeSecretKey {
    NodeSecretKey::from_bytes([byte(index); 32])
}

pub(super) fn key(index: usize) -> NodePublicKey {
    secret(index).public_key()
}

pub(super) fn operator(index: usize) -> Address {
    Address::repeat_byte(byte(index))
}

pub(super) fn context(count: usize) -> HeightContext {
    let validator = |index| Validator {
        key: key(index),
        operator: operator(index),
    };
    HeightContext::genesis(ValidatorSet::new((0..count).map(validator).collect()).unwrap())
}

pub(super) fn head() -> HeadInfo {
    HeadInfo {
        height: Height(5),
        hash: HEAD,
        timestamp_s: 0,
        committed_at_ms: 0,
    }
}

pub(super) fn config(index: usize) -> QbftConfig {
    QbftConfig {
        genesis_hash: GENESIS,
        own_key: key(index),
        operator: operator(index),
        parameters: ConsensusParameters::default(),
        observe_only: false,
        accept_lost_record: true,
    }
}

pub(super) fn crypto(index: usize) -> Box<dyn VoteCrypto> {
    Box::new(Ed25519Crypto::new(secret(index)))
}

pub(super) fn engine_of(config: QbftConfig, count: usize, record: Option<Vec<u8>>) -> Qbft {
    let index = (0..count)
        .find(|&index| key(index) == config.own_key)
        .unwrap_or(count);
    let mut engine = Qbft::new(config, crypto(index), head(), context(count), record).unwrap();
    engine.handle(NOW, Input::Started { now_ms: NOW });
    engine
}

/// Validator `index` of `count`, voting.
pub(super) fn engine(index: usize, count: usize) -> Qbft {
    engine_of(config(index), count, None)
}

pub(super) fn block(proposer: usize, salt: u64) -> SealedBlock {
    let header = alloy_consensus::Header {
        number: HEIGHT.0,
        parent_hash: HEAD,
        beneficiary: operator(proposer),
        timestamp: salt,
        ..alloy_consensus::Header::default()
    };
    SealedBlock::new(medina_types::Block::new(header, Default::default()))
}

pub(super) fn prepare(author: usize, round: u32, block: &SealedBlock) -> Message {
    let (round, digest) = (Round(round), block.hash());
    let signature = secret(author).sign(&prepare_message(GENESIS, HEIGHT, round, digest));
    Message::Prepare(Prepare {
        height: HEIGHT,
        round,
        digest,
        signature,
    })
}

pub(super) fn commit(author: usize, round: u32, block: &SealedBlock) -> Message {
    let (round, digest) = (Round(round), block.hash());
    let seal = secret(author).sign(&commit_message(GENESIS, HEIGHT, round, digest));
    Message::Commit(Commit {
        height: HEIGHT,
        round,
        digest,
        seal,
    })
}

/// PREPAREs of these validators for a block.
pub(super) fn prepares(signers: &[usize], round: u32, block: &SealedBlock) -> Certificate {
    let message = prepare_message(GENESIS, HEIGHT, Round(round), block.hash());
    let votes = signers
        .iter()
        .map(|&index| (index, secret(index).sign(&message)));
    Certificate::new(Round(round), votes)
}

pub(super) fn claim(round: u32, block: &SealedBlock) -> PreparedClaim {
    PreparedClaim {
        round: Round(round),
        digest: block.hash(),
    }
}

pub(super) fn statement(
    author: usize,
    round: u32,
    prepared: Option<PreparedClaim>,
) -> RoundChangeStatement {
    let round = Round(round);
    let bytes = RoundChangeStatement::signed_bytes(GENESIS, HEIGHT, round, prepared);
    let signature = secret(author).sign(&bytes);
    RoundChangeStatement {
        height: HEIGHT,
        round,
        prepared,
        signature,
    }
}

/// A round change of somebody who prepared nothing.
pub(super) fn round_change(author: usize, round: u32) -> Message {
    let statement = statement(author, round, None);
    Message::RoundChange(Box::new(RoundChange {
        statement,
        proof: None,
    }))
}

/// A round change of somebody who saw `signers` prepare a block.
pub(super) fn prepared_round_change(
    author: usize,
    round: u32,
    prepared_round: u32,
    block: &SealedBlock,
    signers: &[usize],
) -> Message {
    let statement = statement(author, round, Some(claim(prepared_round, block)));
    let prepares = prepares(signers, prepared_round, block);
    let proof = Some(PreparedProof {
        prepares,
        block: block.clone(),
    });
    Message::RoundChange(Box::new(RoundChange { statement, proof }))
}

pub(super) fn named(
    author: usize,
    round: u32,
    prepared: Option<PreparedClaim>,
) -> NamedRoundChange {
    NamedRoundChange {
        author: key(author),
        statement: statement(author, round, prepared),
    }
}

/// Round changes of these authors who prepared nothing.
pub(super) fn unprepared(authors: &[usize], round: u32) -> Justification {
    let round_changes = authors
        .iter()
        .map(|&author| named(author, round, None))
        .collect();
    Justification {
        round_changes,
        prepares: None,
    }
}

pub(super) fn proposal_of(
    author: usize,
    round: u32,
    block: &SealedBlock,
    justification: Justification,
) -> Proposal {
    let (round, block) = (Round(round), block.clone());
    let bytes = Proposal::signed_bytes(GENESIS, HEIGHT, round, block.hash());
    let signature = secret(author).sign(&bytes);
    Proposal {
        height: HEIGHT,
        round,
        block,
        justification,
        signature,
    }
}

pub(super) fn proposal(
    author: usize,
    round: u32,
    block: &SealedBlock,
    justification: Justification,
) -> Message {
    Message::Proposal(Box::new(proposal_of(author, round, block, justification)))
}

pub(super) fn nobody() -> NodeSignature {
    NodeSignature([7; 64])
}

/// Hears a message of another validator.
pub(super) fn hear(engine: &mut Qbft, from: usize, message: &Message) -> Vec<Output> {
    engine.handle(
        NOW,
        Input::MessageReceived {
            from: key(from),
            bytes: message.encode(),
        },
    )
}

pub(super) fn checked(engine: &mut Qbft, block: &SealedBlock, valid: bool) -> Vec<Output> {
    engine.handle(
        NOW,
        Input::BlockChecked {
            hash: block.hash(),
            valid,
        },
    )
}

/// Messages broadcast among these orders.
pub(super) fn said(out: &[Output]) -> Vec<Message> {
    let bytes = out.iter().filter_map(|output| match output {
        Output::Broadcast { bytes } => Some(bytes),
        _ => None,
    });
    bytes.map(|bytes| Message::decode(bytes).unwrap()).collect()
}

pub(super) fn is_check(output: &Output, of: &SealedBlock, as_fresh: bool) -> bool {
    matches!(output, Output::Check { block, fresh } if block == of && *fresh == as_fresh)
}

pub(super) fn record_of(out: &[Output]) -> Option<Vec<u8>> {
    out.iter().find_map(|output| match output {
        Output::Persist { record } => Some(record.clone()),
        _ => None,
    })
}

/// Validator 1 of 4 that heard and checked the proposal of round 0.
pub(super) fn prepared_to_prepare(block: &SealedBlock) -> (Qbft, Vec<Output>) {
    let mut engine = engine(1, 4);
    let out = hear(
        &mut engine,
        0,
        &proposal(0, 0, block, Justification::default()),
    );
    assert!(
        out.iter().any(|output| is_check(output, block, true)),
        "{out:?}"
    );
    let out = checked(&mut engine, block, true);
    (engine, out)
}
