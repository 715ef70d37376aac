//! One node of a simulation: an engine, what its disk holds, what is pending.

use super::{
    crypto::SimulatedCrypto,
    scenario::{Habit, Moment},
};
use alloy_primitives::{Address, B256, Bytes};
use medina_consensus::{HeadInfo, Qbft, QbftConfig, Timer};
use medina_types::{
    Block, Certificate, ConsensusParameters, Height, HeightContext, NodePublicKey, SealedBlock,
};
use std::collections::{BTreeMap, BTreeSet};

/// Hash of block 0 of every simulated chain.
pub(crate) const GENESIS: B256 = B256::repeat_byte(0x6d);

/// Extra data of a block that no honest node accepts.
const BAD: &[u8] = b"bad";

/// A block on a node's chain.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    pub(crate) block: SealedBlock,
    pub(crate) certificate: Certificate,
    /// Context of the height that follows.
    pub(crate) context: HeightContext,
    /// Bits of all transactions up to this block.
    pub(crate) included: u64,
}

/// What survives a crash.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) record: Option<Vec<u8>>,
    pub(crate) chain: Vec<Decided>,
    genesis_context: HeightContext,
}

impl Disk {
    pub(crate) fn new(genesis_context: HeightContext) -> Self {
        Self {
            record: None,
            chain: Vec::new(),
            genesis_context,
        }
    }

    pub(crate) fn height(&self) -> Height {
        Height(self.chain.len() as u64)
    }

    pub(crate) fn head_hash(&self) -> B256 {
        self.chain
            .last()
            .map_or(GENESIS, |decided| decided.block.hash())
    }

    pub(crate) fn context(&self) -> &HeightContext {
        self.chain
            .last()
            .map_or(&self.genesis_context, |decided| &decided.context)
    }

    pub(crate) fn included(&self) -> u64 {
        self.chain.last().map_or(0, |decided| decided.included)
    }

    pub(crate) fn at(&self, height: Height) -> Option<&Decided> {
        self.chain
            .get(usize::try_from(height.0.checked_sub(1)?).ok()?)
    }

    /// Appends a block that extends the head.
    pub(crate) fn append(&mut self, block: SealedBlock, certificate: Certificate) {
        let next = self.context().validators.clone();
        let context = self
            .context()
            .after(block.height(), block.header().beneficiary, next);
        let included = self.included() | block.header().gas_used;
        self.chain.push(Decided {
            block,
            certificate,
            context,
            included,
        });
    }
}

/// A running or crashed node. A lying validator's twin is a node of its own
/// with the same key.
pub(crate) struct Node {
    /// Index of its key in the validator set.
    pub(crate) validator: usize,
    pub(crate) habit: Option<Habit>,
    /// Validators that hear this node; `None` for everybody.
    pub(crate) audience: Option<BTreeSet<usize>>,
    pub(crate) engine: Option<Qbft>,
    /// Counts restarts, so that what was pending for a dead process is dropped.
    pub(crate) incarnation: u32,
    pub(crate) disk: Disk,
    /// Running timers with the number of their latest setting.
    pub(crate) timers: BTreeMap<Timer, u64>,
    /// Bits of the transactions in its pool.
    pub(crate) known: u64,
    pub(crate) crash_at_persist: Option<(Moment, u64)>,
    pub(crate) crash_at_commit: Option<(Moment, u64)>,
    /// Its record was torn once, so it may have forgotten votes.
    pub(crate) has_lost_record: bool,
    /// The operator vouches that nothing is forgotten.
    pub(crate) is_vouched_for: bool,
}

impl Node {
    pub(crate) fn new(validator: usize, habit: Option<Habit>, context: HeightContext) -> Self {
        Self {
            validator,
            habit,
            audience: None,
            engine: None,
            incarnation: 0,
            disk: Disk::new(context),
            timers: BTreeMap::new(),
            known: 0,
            crash_at_persist: None,
            crash_at_commit: None,
            has_lost_record: false,
            is_vouched_for: false,
        }
    }

    pub(crate) fn is_honest(&self) -> bool {
        self.habit.is_none()
    }

    /// Starts a process on what the disk holds.
    pub(crate) fn start(
        &mut self,
        own_key: NodePublicKey,
        crypto: SimulatedCrypto,
        parameters: ConsensusParameters,
        accept_lost_record: bool,
    ) {
        let config = QbftConfig {
            genesis_hash: GENESIS,
            own_key,
            operator: operator(self.validator),
            parameters,
            observe_only: false,
            accept_lost_record,
        };
        let height = self.disk.height();
        let hash = self.disk.head_hash();
        let head = HeadInfo {
            height,
            hash,
            timestamp_s: 0,
            committed_at_ms: 0,
        };
        let context = self.disk.context().clone();
        let boxed = || Box::new(crypto.clone());
        let record = self.disk.record.clone();
        let engine = Qbft::new(config.clone(), boxed(), head, context.clone(), record);
        let engine = engine.or_else(|_| Qbft::new(config, boxed(), head, context, None));
        self.engine = Some(engine.expect("without a record nothing can be wrong with it"));
        self.incarnation += 1;
        self.timers.clear();
    }

    pub(crate) fn crash(&mut self) {
        self.engine = None;
        self.incarnation += 1;
        self.timers.clear();
        self.crash_at_persist = None;
        self.crash_at_commit = None;
    }

    /// Transactions to put into a block.
    pub(crate) fn waiting(&self) -> u64 {
        self.known & !self.disk.included()
    }

    /// A block on the head with everything that waits.
    pub(crate) fn build(&self, salt: u64) -> SealedBlock {
        let is_bad = self.habit == Some(Habit::BadBlocks);
        let extra = if is_bad {
            BAD.to_vec()
        } else {
            salt.to_be_bytes().to_vec()
        };
        let header = alloy_consensus::Header {
            number: self.disk.height().next().0,
            parent_hash: self.disk.head_hash(),
            beneficiary: operator(self.validator),
            gas_used: self.waiting(),
            extra_data: Bytes::from(extra),
            ..alloy_consensus::Header::default()
        };
        SealedBlock::new(Block::new(header, alloy_consensus::BlockBody::default()))
    }

    /// What execution would say about a block, the clock apart.
    pub(crate) fn accepts(&self, block: &SealedBlock) -> bool {
        let header = block.header();
        header.parent_hash == self.disk.head_hash()
            && header.gas_used & self.disk.included() == 0
            && header.extra_data.as_ref() != BAD
    }
}

/// Operator account of a validator.
pub(crate) fn operator(validator: usize) -> Address {
    Address::left_padding_from(&(validator as u64 + 1).to_be_bytes())
}
