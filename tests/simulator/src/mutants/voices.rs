//! One engine on a stage, and the voices of everybody else: what an adversary
//! that holds their keys can say to it.
//!
//! The chain stands at height 5; validator 0 proposes round 0 of height 6,
//! validator 1 round 1, and so on.

use alloy_primitives::{Address, B256};
use medina_consensus::{
    Ed25519Crypto, Engine, HeadInfo, Input, Output, Qbft, QbftConfig, Timer,
    qbft::messages::{
        Commit, Justification, Message, MessageKind, NamedRoundChange, Prepare, PreparedClaim,
        PreparedProof, Proposal, RoundChange, RoundChangeStatement, prepare_message,
    },
};
use medina_types::{
    Block, Certificate, ConsensusParameters, Height, HeightContext, NodePublicKey, NodeSecretKey,
    NodeSignature, Round, SealedBlock, Validator, ValidatorSet, commit_message,
};

pub(super) const GENESIS: B256 = B256::repeat_byte(0x11);
pub(super) const HEAD: B256 = B256::repeat_byte(0x22);
pub(super) const HEIGHT: Height = Height(6);
/// Later than anything the engine waits for before it proposes.
pub(super) const NOW: u64 = 1_000_000;
/// A signature of nobody.
pub(super) const FORGED: NodeSignature = NodeSignature([7; 64]);

fn byte(index: usize) -> u8 {
    u8::try_from(index + 1).expect("stages are small")
}

pub(super) fn secret(index: usize) -> NodeSecretKey {
    NodeSecretKey::from_bytes([byte(index); 32])
}

pub(super) fn key(index: usize) -> NodePublicKey {
    secret(index).public_key()
}

fn operator(index: usize) -> Address {
    Address::repeat_byte(byte(index))
}

pub(super) fn context(count: usize) -> HeightContext {
    let validator = |index| Validator {
        key: key(index),
        operator: operator(index),
    };
    let set = ValidatorSet::new((0..count).map(validator).collect());
    HeightContext::genesis(set.expect("the keys of a stage are distinct"))
}

pub(super) fn head_at(height: Height) -> HeadInfo {
    HeadInfo {
        height,
        hash: HEAD,
        timestamp_s: 0,
        committed_at_ms: 0,
    }
}

/// The engine of one validator, and what it said so far.
pub(super) struct Stage {
    pub(super) engine: Qbft,
    pub(super) now_ms: u64,
    index: usize,
    count: usize,
    /// Every order of every call.
    pub(super) orders: Vec<Output>,
    /// The orders of the last call.
    pub(super) last: Vec<Output>,
}

impl Stage {
    /// Validator `index` of `count`, voting.
    pub(super) fn new(index: usize, count: usize) -> Self {
        Self::open(index, count, HEIGHT, None, true)
    }

    /// A process that starts at `height` with this record. `is_trusted`: the
    /// operator lets it vote without one.
    pub(super) fn open(
        index: usize,
        count: usize,
        height: Height,
        record: Option<Vec<u8>>,
        is_trusted: bool,
    ) -> Self {
        let config = QbftConfig {
            genesis_hash: GENESIS,
            own_key: key(index),
            operator: operator(index),
            parameters: ConsensusParameters::default(),
            observe_only: false,
            accept_lost_record: is_trusted,
        };
        let head = head_at(Height(height.0 - 1));
        let crypto = Box::new(Ed25519Crypto::new(secret(index)));
        let engine = Qbft::new(config, crypto, head, context(count), record);
        let mut stage = Self {
            engine: engine.expect("the record is its own"),
            now_ms: NOW,
            index,
            count,
            orders: Vec::new(),
            last: Vec::new(),
        };
        stage.tell(Input::Started { now_ms: NOW });
        stage
    }

    /// The process dies and starts again with what it wrote.
    pub(super) fn restart(self) -> Self {
        let record = self.orders.iter().rev().find_map(|order| match order {
            Output::Persist { record } => Some(record.clone()),
            _ => None,
        });
        // Without any record it would have to be a fresh node: keep it voting.
        let is_trusted = record.is_none();
        Self::open(self.index, self.count, HEIGHT, record, is_trusted)
    }

    pub(super) fn tell(&mut self, input: Input) -> &mut Self {
        self.last = self.engine.handle(self.now_ms, input);
        self.orders.extend(self.last.iter().cloned());
        self
    }

    pub(super) fn hear(&mut self, from: usize, message: &Message) -> &mut Self {
        let (from, bytes) = (key(from), message.encode());
        self.tell(Input::MessageReceived { from, bytes })
    }

    pub(super) fn hear_all(&mut self, messages: &[(usize, Message)]) -> &mut Self {
        for (from, message) in messages {
            self.hear(*from, message);
        }
        self
    }

    pub(super) fn checked(&mut self, block: &SealedBlock, valid: bool) -> &mut Self {
        let hash = block.hash();
        self.tell(Input::BlockChecked { hash, valid })
    }

    pub(super) fn work(&mut self) -> &mut Self {
        self.tell(Input::WorkWaiting { waiting: true })
    }

    /// The round's time is over.
    pub(super) fn time_out(&mut self) -> &mut Self {
        self.now_ms += 60_000;
        let timer = Timer::Round;
        self.tell(Input::TimerFired { timer })
    }

    pub(super) fn decide(&mut self, height: Height, count: usize) -> &mut Self {
        let (head, context) = (head_at(height), context(count));
        self.tell(Input::HeightDecided {
            height,
            head,
            context,
        })
    }

    /// Heard and checked the proposal of round 0.
    pub(super) fn with_proposal(mut self, block: &SealedBlock) -> Self {
        self.hear(0, &proposal(0, 0, block, Justification::default()));
        self.checked(block, true);
        self
    }

    pub(super) fn round(&self) -> u32 {
        self.engine.status().round.0
    }

    /// Messages that it sent to everybody.
    pub(super) fn said(&self) -> Vec<Message> {
        said_in(&self.orders)
    }

    pub(super) fn has_said(&self, kind: MessageKind) -> bool {
        self.said().iter().any(|message| message.kind() == kind)
    }

    pub(super) fn has_decided(&self) -> bool {
        let is_commit = |order: &Output| matches!(order, Output::Commit { .. });
        self.orders.iter().any(is_commit)
    }

    /// Whether it had this block checked, and if so whether by the clock.
    pub(super) fn checks_of(&self, wanted: &SealedBlock) -> Option<bool> {
        self.orders.iter().find_map(|order| match order {
            Output::Check { block, fresh } if block == wanted => Some(*fresh),
            _ => None,
        })
    }

    pub(super) fn has_built(&self) -> bool {
        let is_build = |order: &Output| matches!(order, Output::Build { .. });
        self.orders.iter().any(is_build)
    }

    pub(super) fn sets(&self, wanted: Timer) -> bool {
        let is_set =
            |order: &Output| matches!(order, Output::SetTimer { timer, .. } if *timer == wanted);
        self.orders.iter().any(is_set)
    }
}

pub(super) fn said_in(orders: &[Output]) -> Vec<Message> {
    let sent = orders.iter().filter_map(|order| match order {
        Output::Broadcast { bytes } | Output::Send { bytes, .. } => Some(bytes),
        _ => None,
    });
    sent.map(|bytes| Message::decode(bytes).expect("engines say what can be read"))
        .collect()
}

/// A block on the head that pays `proposer`.
pub(super) fn block(proposer: usize, salt: u64) -> SealedBlock {
    block_on(HEAD, proposer, salt, 0)
}

pub(super) fn block_on(parent: B256, proposer: usize, salt: u64, bytes: usize) -> SealedBlock {
    let header = alloy_consensus::Header {
        number: HEIGHT.0,
        parent_hash: parent,
        beneficiary: operator(proposer),
        timestamp: salt,
        extra_data: vec![0xab; bytes].into(),
        ..alloy_consensus::Header::default()
    };
    SealedBlock::new(Block::new(header, alloy_consensus::BlockBody::default()))
}

pub(super) fn prepare_at(height: Height, author: usize, round: u32, digest: B256) -> Message {
    let round = Round(round);
    let signature = secret(author).sign(&prepare_message(GENESIS, height, round, digest));
    Message::Prepare(Prepare {
        height,
        round,
        digest,
        signature,
    })
}

pub(super) fn prepare(author: usize, round: u32, block: &SealedBlock) -> Message {
    prepare_at(HEIGHT, author, round, block.hash())
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

/// PREPAREs in the names of these validators that nobody signed.
pub(super) fn forged_prepares(names: &[usize], round: u32) -> Certificate {
    Certificate::new(Round(round), names.iter().map(|&index| (index, FORGED)))
}

pub(super) fn claim(round: u32, block: &SealedBlock) -> PreparedClaim {
    PreparedClaim {
        round: Round(round),
        digest: block.hash(),
    }
}

pub(super) fn statement_at(
    height: Height,
    author: usize,
    round: u32,
    prepared: Option<PreparedClaim>,
) -> RoundChangeStatement {
    let round = Round(round);
    let bytes = RoundChangeStatement::signed_bytes(GENESIS, height, round, prepared);
    let signature = secret(author).sign(&bytes);
    RoundChangeStatement {
        height,
        round,
        prepared,
        signature,
    }
}

pub(super) fn round_change_of(
    statement: RoundChangeStatement,
    proof: Option<PreparedProof>,
) -> Message {
    Message::RoundChange(Box::new(RoundChange { statement, proof }))
}

/// A round change of somebody who prepared nothing.
pub(super) fn round_change(author: usize, round: u32) -> Message {
    round_change_of(statement_at(HEIGHT, author, round, None), None)
}

/// A round change that claims a block with this proof.
pub(super) fn claiming(
    author: usize,
    round: u32,
    prepared: PreparedClaim,
    block: &SealedBlock,
    prepares: Certificate,
) -> Message {
    let block = block.clone();
    let proof = PreparedProof { prepares, block };
    round_change_of(
        statement_at(HEIGHT, author, round, Some(prepared)),
        Some(proof),
    )
}

pub(super) fn named(
    author: usize,
    round: u32,
    prepared: Option<PreparedClaim>,
) -> NamedRoundChange {
    NamedRoundChange {
        author: key(author),
        statement: statement_at(HEIGHT, author, round, prepared),
    }
}

/// Round changes of these authors who prepared nothing.
pub(super) fn unprepared(authors: &[usize], round: u32) -> Justification {
    let named = authors.iter().map(|&author| named(author, round, None));
    Justification {
        round_changes: named.collect(),
        prepares: None,
    }
}

pub(super) fn proposal(
    author: usize,
    round: u32,
    block: &SealedBlock,
    justification: Justification,
) -> Message {
    let (round, block) = (Round(round), block.clone());
    let bytes = Proposal::signed_bytes(GENESIS, HEIGHT, round, block.hash());
    let signature = secret(author).sign(&bytes);
    Message::Proposal(Box::new(Proposal {
        height: HEIGHT,
        round,
        block,
        justification,
        signature,
    }))
}
