//! The blocks that callers ask for again and again.
//!
//! A thousand wallets that wait for the receipts of one block ask for that block
//! a thousand times; it is read and decoded once.

use medina_types::{Height, limits};
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc};

use crate::{
    CommittedBlock,
    context::Context,
    errors::{self, Answer},
};

/// The last blocks that were asked for, newest use at the back.
#[derive(Debug, Default)]
pub(crate) struct BlockCache(Mutex<VecDeque<Arc<CommittedBlock>>>);

impl BlockCache {
    fn get(&self, height: Height) -> Option<Arc<CommittedBlock>> {
        let mut blocks = self.0.lock();
        let index = blocks
            .iter()
            .position(|kept| kept.block.height() == height)?;
        let found = blocks.remove(index)?;
        blocks.push_back(found.clone());
        Some(found)
    }

    fn put(&self, block: Arc<CommittedBlock>) {
        let mut blocks = self.0.lock();
        blocks.retain(|kept| kept.block.height() != block.block.height());
        if blocks.len() >= limits::RPC_BLOCKS_CACHED_MAX {
            blocks.pop_front();
        }
        blocks.push_back(block);
    }
}

impl Context {
    /// A decided block with its receipts.
    pub(crate) fn committed(&self, height: Height) -> Answer<Option<Arc<CommittedBlock>>> {
        // On a development network a height may be decided anew.
        if self.node.dev().is_some() {
            return Ok(self.committed_uncached(height)?.map(Arc::new));
        }
        if let Some(block) = self.blocks.get(height) {
            return Ok(Some(block));
        }
        let Some(block) = self.committed_uncached(height)? else {
            return Ok(None);
        };
        let block = Arc::new(block);
        self.blocks.put(block.clone());
        Ok(Some(block))
    }

    /// As [`Self::committed`], for scans that would push everything else out.
    pub(crate) fn committed_uncached(&self, height: Height) -> Answer<Option<CommittedBlock>> {
        let block = self
            .store()
            .block_by_number(height)
            .map_err(errors::storage)?;
        let receipts = self.store().receipts(height).map_err(errors::storage)?;
        let (Some(block), Some(receipts)) = (block, receipts) else {
            return Ok(None);
        };
        Ok(Some(CommittedBlock {
            block,
            receipts: Arc::new(receipts),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use medina_types::{Block, RecoveredBlock, SealedBlock};

    fn block(number: u64) -> Arc<CommittedBlock> {
        let mut block = Block::default();
        block.header.number = number;
        let block = RecoveredBlock::new_unchecked(SealedBlock::new(block), Vec::new());
        Arc::new(CommittedBlock {
            block,
            receipts: Arc::new(Vec::new()),
        })
    }

    #[test]
    fn least_recently_used_block_goes_first() {
        let cache = BlockCache::default();
        for number in 0..limits::RPC_BLOCKS_CACHED_MAX as u64 {
            cache.put(block(number));
        }
        assert!(cache.get(Height(0)).is_some());
        cache.put(block(1_000));
        assert!(cache.get(Height(0)).is_some());
        assert!(cache.get(Height(1)).is_none());
        assert_eq!(cache.0.lock().len(), limits::RPC_BLOCKS_CACHED_MAX);
    }
}
