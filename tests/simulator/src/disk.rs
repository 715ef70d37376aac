//! What a node's disk holds: the consensus record and the chain, written in
//! order like a write-ahead log. A synced write makes everything before it
//! durable; a crash may take any number of the latest unsynced ones, newest
//! first.

use crate::{
    block::{GENESIS, Ledger},
    scenario::Damage,
};
use alloy_primitives::B256;
use medina_types::{Certificate, Height, HeightContext, SealedBlock};

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

/// How to take back a write that was not synced.
#[derive(Clone, Debug)]
enum Undo {
    Block,
    Certificate(Height, Certificate),
}

/// A synced write.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Record(Vec<u8>),
    Commit {
        block: SealedBlock,
        certificate: Certificate,
        record: Option<Vec<u8>>,
    },
    /// Makes imported blocks durable.
    Flush,
}

/// What survives a crash.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) record: Option<Vec<u8>>,
    pub(crate) chain: Vec<Decided>,
    genesis_context: HeightContext,
    unsynced: Vec<Undo>,
    /// Writes so far, synced or not.
    pub(crate) writes: u64,
}

impl Disk {
    pub(crate) fn new(genesis_context: HeightContext) -> Self {
        Self {
            record: None,
            chain: Vec::new(),
            genesis_context,
            unsynced: Vec::new(),
            writes: 0,
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

    pub(crate) fn head_time_s(&self) -> u64 {
        self.chain
            .last()
            .map_or(0, |decided| decided.block.header().timestamp)
    }

    /// Context of the height that follows the head.
    pub(crate) fn context(&self) -> &HeightContext {
        self.chain
            .last()
            .map_or(&self.genesis_context, |decided| &decided.context)
    }

    /// Context of a height, known once the block before it is there.
    pub(crate) fn context_of(&self, height: Height) -> Option<&HeightContext> {
        let before = height.previous()?;
        if before == Height::GENESIS {
            return Some(&self.genesis_context);
        }
        self.at(before).map(|decided| &decided.context)
    }

    pub(crate) fn included(&self) -> u64 {
        self.chain.last().map_or(0, |decided| decided.included)
    }

    pub(crate) fn at(&self, height: Height) -> Option<&Decided> {
        self.chain
            .get(usize::try_from(height.0.checked_sub(1)?).ok()?)
    }

    /// Carries out a synced write; a block that is there already is left alone.
    pub(crate) fn write(&mut self, write: Write, ledger: &Ledger) {
        self.writes += 1;
        self.unsynced.clear();
        match write {
            Write::Record(record) => self.record = Some(record),
            Write::Commit {
                block,
                certificate,
                record,
            } => {
                if block.height() == self.height().next() {
                    self.push(block, certificate, ledger);
                    self.record = record.or(self.record.take());
                }
            }
            Write::Flush => {}
        }
    }

    /// Appends an imported block, not synced.
    pub(crate) fn import(&mut self, block: SealedBlock, certificate: Certificate, ledger: &Ledger) {
        self.writes += 1;
        self.push(block, certificate, ledger);
        self.unsynced.push(Undo::Block);
    }

    /// Replaces a block's certificate, not synced.
    pub(crate) fn put_certificate(&mut self, height: Height, certificate: Certificate) {
        let index = usize::try_from(height.0.saturating_sub(1)).unwrap_or(usize::MAX);
        if let Some(decided) = self.chain.get_mut(index) {
            self.writes += 1;
            let old = std::mem::replace(&mut decided.certificate, certificate);
            self.unsynced.push(Undo::Certificate(height, old));
        }
    }

    /// Writes that a crash may take.
    pub(crate) fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// Takes back the latest unsynced writes, as a power cut does.
    pub(crate) fn lose(&mut self, count: usize) {
        for _ in 0..count {
            match self.unsynced.pop() {
                Some(Undo::Block) => {
                    self.chain.pop();
                }
                Some(Undo::Certificate(height, old)) => {
                    let index = usize::try_from(height.0.saturating_sub(1)).unwrap_or(usize::MAX);
                    if let Some(decided) = self.chain.get_mut(index) {
                        decided.certificate = old;
                    }
                }
                None => {}
            }
        }
        self.unsynced.clear();
    }

    /// Damages the record at rest, or mixes it with a `new` one.
    pub(crate) fn damage(&mut self, damage: Damage, new: Option<&[u8]>, dice: usize) {
        let Some(old) = self.record.take() else {
            self.record = new.filter(|_| damage == Damage::Torn).map(|new| {
                let cut = dice % new.len().max(1);
                new[..cut].to_vec()
            });
            return;
        };
        self.record = match damage {
            Damage::Missing => None,
            Damage::Truncated => Some(old[..dice % old.len().max(1)].to_vec()),
            Damage::Flipped => {
                let mut bytes = old;
                let index = dice % bytes.len().max(1);
                // The version byte is another matter: such a record is refused.
                if let Some(byte) = bytes.get_mut(index.max(1)) {
                    *byte ^= 1 << (dice % 8);
                }
                Some(bytes)
            }
            Damage::Torn => {
                let new = new.unwrap_or_default();
                let cut = dice % new.len().max(1);
                let mut bytes = new[..cut].to_vec();
                bytes.extend(old.get(cut..).unwrap_or_default());
                Some(bytes)
            }
        };
    }

    /// An empty disk in place of this one.
    pub(crate) fn wipe(&mut self) {
        let writes = self.writes;
        *self = Self::new(self.genesis_context.clone());
        self.writes = writes;
    }

    fn push(&mut self, block: SealedBlock, certificate: Certificate, ledger: &Ledger) {
        let included = self.included() | block.header().gas_used;
        let next = ledger.validators_after(included);
        let (height, beneficiary) = (block.height(), block.header().beneficiary);
        let context = self.context().after(height, beneficiary, next);
        self.chain.push(Decided {
            block,
            certificate,
            context,
            included,
        });
    }
}
