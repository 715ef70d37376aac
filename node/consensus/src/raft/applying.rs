//! From committed entry to committed block.
//!
//! An entry is applied on top of everything before it in the log, so what it
//! does is the same on every node: it extends the chain, it changes the group,
//! or it is skipped, everywhere for the same reason. Blocks may also come by
//! sync meanwhile; then their entries are found to be there already.

use super::{
    Raft,
    membership::{Group, MemberChange},
    messages::{RaftMessage, Seal, entry_block},
    seals::Uncertified,
};
use crate::{
    HeadInfo, Output,
    mutants::{Mutant, is_on},
};
use alloy_primitives::B256;
use medina_types::{
    HeightContext, NodeSignature, Round, SealedBlock, ValidatorSet, commit_message, limits,
};
use raft::eraftpb::{Entry, EntryType};
use std::sync::Arc;

/// Bytes of blocks without certificate that are kept whatever a leader does;
/// beyond it the lowest go.
const UNCERTIFIED_KEPT_BYTES_MAX: usize = 4 * limits::BLOCK_BYTES_MAX;

/// The block on its way into the chain.
#[derive(Clone, Debug)]
pub(super) struct Applying {
    /// Index and term of its entry; `None` for a block that a snapshot wants.
    pub(super) entry: Option<(u64, u64)>,
    pub(super) block: SealedBlock,
    /// Once it is being committed.
    pub(super) seals: Option<Uncertified>,
}

impl Applying {
    pub(super) fn is_committing(&self) -> bool {
        self.seals.is_some()
    }
}

impl Raft {
    /// Takes the next committed entry; false when there is none or a block is
    /// on its way.
    pub(super) fn apply_next(&mut self) -> bool {
        if self.applying.is_some() || self.missing.is_some() || self.node.is_none() {
            return false;
        }
        let Some(entry) = self.queue.pop_front() else {
            return false;
        };
        let at = (entry.index, entry.term);
        if entry.get_entry_type() != EntryType::EntryNormal {
            self.apply_member_change(&entry);
        } else if entry.data.is_empty() {
            self.finish_entry(at);
        } else {
            match entry_block(&entry.data) {
                Ok(block) => self.apply_block(at, block),
                Err(reason) => self.refuse(at, reason),
            }
        }
        true
    }

    fn apply_block(&mut self, at: (u64, u64), block: SealedBlock) {
        let is_checked = !is_on(Mutant::RaftTwoInFlight);
        if is_checked && block.height() <= self.head.height {
            return match self.seals.recent_hash(block.height()) {
                Some(hash) if hash != block.hash() => {
                    self.refuse(at, "the chain has another block at its height".into());
                }
                _ => self.finish_entry(at),
            };
        }
        if is_checked && !self.extends_head(&block) {
            return self.refuse(at, "the block does not extend the chain".into());
        }
        self.applying = Some(Applying {
            entry: Some(at),
            block,
            seals: None,
        });
        // Our own as well: a builder at fault must not make us the only one with
        // a block that all others skip.
        let is_ours = self.is_leader() && is_on(Mutant::RaftOwnBlockUnchecked);
        if is_ours || is_on(Mutant::RaftApplyUnchecked) {
            self.commit_block();
        } else {
            self.order_check();
        }
    }

    pub(super) fn extends_head(&self, block: &SealedBlock) -> bool {
        block.height() == self.head.height.next() && block.header().parent_hash == self.head.hash
    }

    pub(super) fn order_check(&mut self) {
        if let Some(applying) = &self.applying {
            let block = applying.block.clone();
            if is_on(Mutant::RaftSealBeforeApply) {
                let (height, hash) = (block.height(), block.hash());
                let signature = self.own_seal(height, hash);
                let seal = Seal::new(height, hash, signature, false);
                self.send_to_everybody(&RaftMessage::Seal(seal));
            }
            self.out.push(Output::CheckDecided { block });
        }
    }

    pub(super) fn on_block_checked(&mut self, hash: B256, valid: bool) {
        let Some(applying) = &self.applying else {
            return;
        };
        if applying.is_committing() || applying.block.hash() != hash {
            return;
        }
        match applying.entry {
            _ if valid => self.commit_block(),
            Some(at) => {
                self.applying = None;
                self.refuse(at, "the block is invalid".into());
            }
            None => self.applying = None,
        }
    }

    /// The block is decided and valid: into the chain, with the seals so far.
    fn commit_block(&mut self) {
        let Some(applying) = &self.applying else {
            return;
        };
        let block = applying.block.clone();
        let validators = self.context.validators.clone();
        let seals = self.seals_for(validators, block.clone());
        let certificate = seals.certificate();
        if let Some(applying) = &mut self.applying {
            applying.seals = Some(seals);
        }
        self.out.push(Output::Commit {
            block,
            certificate,
            // Filled in when all that this input leads to is known.
            record: Some(Vec::new()),
        });
    }

    /// Own seal, and those that came before.
    fn seals_for(&self, validators: ValidatorSet, block: SealedBlock) -> Uncertified {
        let (height, hash) = (block.height(), block.hash());
        let mut seals = Uncertified::new(validators, block);
        seals.add(&self.config.own_key, self.own_seal(height, hash));
        self.add_early(&mut seals);
        seals
    }

    fn add_early(&self, seals: &mut Uncertified) {
        let (height, hash) = (seals.block.height(), seals.block.hash());
        let message = commit_message(self.config.genesis_hash, height, Round::ZERO, hash);
        for (key, seal) in self.seals.early_for(height, hash) {
            let is_signed = self.crypto.verify(&key, &message, &seal);
            if !seals.has(&key) && (is_signed || is_on(Mutant::RaftSealUnchecked)) {
                seals.add(&key, seal);
            }
        }
    }

    pub(super) fn own_seal(&self, height: medina_types::Height, hash: B256) -> NodeSignature {
        let message = commit_message(self.config.genesis_hash, height, Round::ZERO, hash);
        self.crypto.sign(&message)
    }

    /// Waits for the seals that a stored block lacks.
    pub(super) fn await_seals(&mut self, validators: ValidatorSet, block: SealedBlock) {
        let height = block.height();
        let seals = self.seals_for(validators, block);
        if !seals.is_certified() {
            self.seals.uncertified.insert(height, seals);
        }
    }

    pub(super) fn on_height_decided(&mut self, head: HeadInfo, context: HeightContext) {
        if head.height <= self.head.height {
            return;
        }
        self.head = head;
        self.context = context;
        self.seals.remember(head.height, head.hash);
        self.minting.on_new_head();
        self.missing = self.missing.filter(|height| *height > head.height);
        if let Some(node) = &mut self.node {
            let applied = &mut node.mut_store().applied;
            (applied.height, applied.hash) = (head.height, head.hash);
        }
        if let Some(applying) = self.applying.take_if(|it| it.block.height() <= head.height) {
            // With a higher head, sync went on from our block.
            let (height, hash) = (applying.block.height(), applying.block.hash());
            let is_other = height == head.height && hash != head.hash;
            if let Some(seals) = applying.seals.filter(|_| !is_other) {
                self.seals.remember(height, hash);
                self.seal(seals);
            }
            if let Some(at) = applying.entry {
                self.finish_entry(at);
            }
        }
        self.seals.on_new_head(head.height);
        self.wait_alone_anew();
        self.forget_join_if_not_validator();
        self.join_if_validator();
        self.ask_for_next_block();
    }

    /// Our block is applied: everybody may know, and we want to know of them.
    fn seal(&mut self, mut seals: Uncertified) {
        let (height, hash) = (seals.block.height(), seals.block.hash());
        let was_certified = seals.is_certified();
        self.add_early(&mut seals);
        let is_certified = seals.is_certified();
        if self.is_validator(&self.config.own_key)
            || seals
                .validators
                .index_of_key(&self.config.own_key)
                .is_some()
        {
            let signature = self.own_seal(height, hash);
            let seal = Seal::new(height, hash, signature, !is_certified);
            self.send_to_everybody(&RaftMessage::Seal(seal));
        }
        if is_certified && !was_certified {
            self.out.push(Output::Certify {
                height,
                certificate: seals.certificate(),
            });
        }
        if !is_certified {
            self.seals.uncertified.insert(height, seals);
            self.seals.bound_bytes(UNCERTIFIED_KEPT_BYTES_MAX);
        }
    }

    fn apply_member_change(&mut self, entry: &Entry) {
        let at = (entry.index, entry.term);
        let change = match borsh::from_slice::<MemberChange>(&entry.context) {
            Ok(change) => change,
            Err(_) => return self.refuse(at, "the change of the group is malformed".into()),
        };
        if let Some(reason) = self.group.refusal(&change) {
            return self.refuse(at, reason.into());
        }
        // Known before the crate acts on it: a newcomer's snapshot must have it.
        let before = Arc::clone(&self.group);
        let mut group = Group::clone(&before);
        group.apply(&change);
        self.set_group(group, at.0);
        let is_applied = match &mut self.node {
            Some(node) => node.apply_conf_change(&change.conf_change()).is_ok(),
            None => false,
        };
        if !is_applied {
            self.set_group(Group::clone(&before), at.0);
            return self.refuse(at, "the group does not allow this change".into());
        }
        self.finish_entry(at);
        self.is_dirty = true;
        let own_id = self.identity.map(|identity| identity.id);
        match change {
            MemberChange::Remove { id } if Some(id) == own_id => self.stand_aside(),
            _ => {}
        }
    }

    fn set_group(&mut self, group: Group, applied: u64) {
        self.group = Arc::new(group);
        if let Some(node) = &mut self.node {
            let log = node.mut_store();
            log.group = Arc::clone(&self.group);
            log.applied.index = applied;
        }
    }

    fn refuse(&mut self, at: (u64, u64), reason: String) {
        assert!(!is_on(Mutant::RaftInvalidEntryPanics), "{reason}");
        self.refused += 1;
        let index = at.0;
        self.out.push(Output::EntryRefused { index, reason });
        self.finish_entry(at);
    }

    /// The entry is done with; nothing of it needs the disk now, since applying
    /// it again changes nothing.
    fn finish_entry(&mut self, at: (u64, u64)) {
        if let Some(node) = &mut self.node {
            let log = node.mut_store();
            log.applied.index = at.0;
            (log.applied.height, log.applied.hash) = (self.head.height, self.head.hash);
            log.compact();
            node.advance_apply_to(at.0);
        }
    }
}
