//! Which block a caller means, and the state there.
//!
//! `safe` = `finalized` = `latest`: a decided block never goes away. `pending`
//! is the head's state in the next block's environment.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::B256;
use medina_execution::CallEnvironment;
use medina_storage::HistoricalState;
use medina_types::{Height, RecoveredBlock};

use crate::{
    context::Context,
    errors::{self, Answer, unknown_block},
};

/// A block, or the one that does not exist yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// A decided block.
    At(Height),
    /// The block after the head.
    Pending,
}

impl Context {
    /// Finds the block that a caller names; `None` if we do not have it.
    pub(crate) fn locate(&self, id: BlockId) -> Answer<Option<Position>> {
        match id {
            BlockId::Hash(hash) => Ok(self.height_of_hash(hash.block_hash)?.map(Position::At)),
            BlockId::Number(number) => Ok(self.locate_number(number)),
        }
    }

    /// As [`Self::locate`] for numbers and tags alone.
    pub(crate) fn locate_number(&self, number: BlockNumberOrTag) -> Option<Position> {
        let head = self.head().height;
        match number {
            BlockNumberOrTag::Latest | BlockNumberOrTag::Safe | BlockNumberOrTag::Finalized => {
                Some(Position::At(head))
            }
            BlockNumberOrTag::Earliest => Some(Position::At(Height::GENESIS)),
            BlockNumberOrTag::Pending => Some(Position::Pending),
            BlockNumberOrTag::Number(number) => {
                (number <= head.0).then_some(Position::At(Height(number)))
            }
        }
    }

    /// As [`Self::locate`], for methods that need the block: an unknown one is an error.
    pub(crate) fn locate_known(&self, id: BlockId) -> Answer<Position> {
        self.locate(id)?.ok_or_else(unknown_block)
    }

    /// Height of a block of the chain.
    pub(crate) fn height_of_hash(&self, hash: B256) -> Answer<Option<Height>> {
        self.store().number_of_hash(hash).map_err(errors::storage)
    }

    /// The decided block that a caller names; `None` for unknown ones and `pending`.
    pub(crate) fn block(&self, id: BlockId) -> Answer<Option<RecoveredBlock>> {
        match self.locate(id)? {
            Some(Position::At(height)) => self.block_at(height),
            Some(Position::Pending) | None => Ok(None),
        }
    }

    /// A decided block by height.
    pub(crate) fn block_at(&self, height: Height) -> Answer<Option<RecoveredBlock>> {
        self.store()
            .block_by_number(height)
            .map_err(errors::storage)
    }

    /// State after a block; `pending` is the head's. The store fixes the state at
    /// its height, so a block committed meanwhile changes nothing.
    pub(crate) fn state(&self, position: Position) -> Answer<HistoricalState<'_>> {
        let height = match position {
            Position::At(height) => height,
            Position::Pending => self.head().height,
        };
        self.store().state_at(height).map_err(errors::storage)
    }

    /// State after the block that a caller names, the head's by default.
    pub(crate) fn state_of(&self, id: Option<BlockId>) -> Answer<HistoricalState<'_>> {
        self.state(self.locate_known(id.unwrap_or_default())?)
    }

    /// Environment in which calls at a position run.
    pub(crate) fn environment(&self, position: Position) -> Answer<CallEnvironment> {
        let head = self.head();
        let executor = self.node.executor();
        match position {
            Position::Pending => Ok(executor.pending_environment(&head, self.node.clock_s())),
            Position::At(height) if height == head.height => {
                Ok(executor.environment_of(&head.header))
            }
            Position::At(height) => {
                let header = self
                    .store()
                    .header_by_number(height)
                    .map_err(errors::storage)?;
                Ok(executor.environment_of(&header.ok_or_else(unknown_block)?))
            }
        }
    }
}
