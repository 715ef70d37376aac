//! Blocks of a simulation and what they do: transactions are bits of the
//! header's gas used, and some change the validator set.

use crate::{
    crypto::SimulatedCrypto,
    disk::Disk,
    scenario::{Change, Scenario, changed},
};
use alloy_primitives::{Address, B256, Bytes};
use medina_types::{Block, SealedBlock, Validator, ValidatorSet};

/// Hash of block 0 of every simulated chain.
pub(crate) const GENESIS: B256 = B256::repeat_byte(0x6d);
/// Bit of the transaction that arrives everywhere after the faults.
pub(crate) const LAST_TRANSACTION: u64 = 1 << 63;

/// Extra data of a block that no honest node accepts.
const BAD: &[u8] = b"bad";

/// What a node puts into a block of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft {
    pub(crate) node: usize,
    pub(crate) clock_s: u64,
    pub(crate) salt: u64,
    pub(crate) is_bad: bool,
    pub(crate) transactions: u64,
}

/// The rules of execution, the same at every node.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    validators: Vec<Validator>,
    genesis_members: u64,
    /// Bits of all transactions that there are.
    pub(crate) transactions: u64,
    /// Changes of the set with their bits, in order.
    changes: Vec<(u64, Change)>,
    /// Sets after so many changes.
    sets: Vec<ValidatorSet>,
}

impl Ledger {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let validators: Vec<_> = (0..scenario.nodes)
            .map(|node| Validator {
                key: SimulatedCrypto::secret(node).public_key(),
                operator: operator(node),
            })
            .collect();
        let numbered = scenario.transactions.iter().enumerate();
        let changes = numbered.filter_map(|(number, each)| Some((1 << number, each.change?)));
        let mut ledger = Self {
            validators,
            genesis_members: (1 << scenario.validators) - 1,
            transactions: LAST_TRANSACTION | ((1 << scenario.transactions.len()) - 1),
            changes: changes.collect(),
            sets: Vec::new(),
        };
        ledger.sets = (0..=ledger.changes.len())
            .map(|count| ledger.set_after(count))
            .collect();
        ledger
    }

    fn set_after(&self, count: usize) -> ValidatorSet {
        let members = self.changes[..count]
            .iter()
            .fold(self.genesis_members, |members, (_, change)| {
                changed(members, *change).unwrap_or(members)
            });
        let numbered = self.validators.iter().enumerate();
        let chosen = numbered.filter(|(node, _)| members >> node & 1 == 1);
        let chosen = chosen.map(|(_, validator)| *validator).collect();
        ValidatorSet::new(chosen).expect("at least one member, and all are distinct")
    }

    /// The set that follows from all transactions so far.
    pub(crate) fn validators_after(&self, included: u64) -> ValidatorSet {
        let count = self
            .changes
            .iter()
            .take_while(|(bit, _)| included & bit != 0)
            .count();
        self.sets[count].clone()
    }

    /// Those of the known transactions that can be included next: a change
    /// waits for the changes before it.
    pub(crate) fn executable(&self, known: u64, included: u64) -> u64 {
        let mut waiting = known & !included;
        let mut is_blocked = false;
        for (bit, _) in &self.changes {
            is_blocked |= (known | included) & bit == 0;
            if is_blocked {
                waiting &= !bit;
            }
        }
        waiting
    }

    /// A block on the head of a disk.
    pub(crate) fn build(&self, disk: &Disk, draft: Draft) -> SealedBlock {
        let extra = if draft.is_bad {
            [BAD, &draft.salt.to_be_bytes()].concat()
        } else {
            salted(draft.salt)
        };
        let header = alloy_consensus::Header {
            number: disk.height().next().0,
            parent_hash: disk.head_hash(),
            beneficiary: operator(draft.node),
            timestamp: disk.head_time_s().max(draft.clock_s),
            gas_used: draft.transactions,
            extra_data: Bytes::from(extra),
            ..alloy_consensus::Header::default()
        };
        SealedBlock::new(Block::new(header, alloy_consensus::BlockBody::default()))
    }

    /// What execution says about a block on the head of a disk, the clock apart.
    pub(crate) fn accepts(&self, disk: &Disk, block: &SealedBlock) -> bool {
        let header = block.header();
        let included = disk.included();
        let executable = self.executable(header.gas_used, included);
        header.number == disk.height().next().0
            && header.parent_hash == disk.head_hash()
            && header.gas_used & included == 0
            && header.gas_used & !self.transactions == 0
            && header.gas_used & !executable == 0
            && header.timestamp >= disk.head_time_s()
            && !header.extra_data.starts_with(BAD)
            && disk
                .context()
                .validators
                .index_of_operator(&header.beneficiary)
                .is_some()
    }
}

/// Whether a fresh proposal's time is too far ahead, by the node's own rule: the
/// parent's time is always right.
pub(crate) fn is_from_the_future(
    block: &SealedBlock,
    disk: &Disk,
    clock_s: u64,
    tolerance_s: u64,
) -> bool {
    let time_s = block.header().timestamp;
    time_s > clock_s.saturating_add(tolerance_s) && time_s > disk.head_time_s()
}

/// The same block under another hash, for those who propose two.
pub(crate) fn another(block: &SealedBlock) -> SealedBlock {
    let mut copy = block.block().clone();
    let mut extra = copy.header.extra_data.to_vec();
    if let Some(last) = extra.last_mut() {
        *last ^= 0xff;
    }
    copy.header.extra_data = Bytes::from(extra);
    SealedBlock::new(copy)
}

/// Bytes that occur in a block and, by their chance, nowhere else.
pub(crate) fn fingerprint(block: &SealedBlock) -> &[u8] {
    block.header().extra_data.as_ref()
}

fn salted(salt: u64) -> Vec<u8> {
    alloy_primitives::keccak256(salt.to_be_bytes())[..16].to_vec()
}

/// Operator account of a node.
pub(crate) fn operator(node: usize) -> Address {
    Address::left_padding_from(&(node as u64 + 1).to_be_bytes())
}
