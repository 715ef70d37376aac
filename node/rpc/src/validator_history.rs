//! Who could sign a block and who did, from what is stored with the blocks.
//!
//! Validators are named by their operator accounts, as other clients name
//! validators by account; keys are in the `medina` namespace.

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Address, B256};
use medina_types::{Height, ValidatorSet};
use serde::Serialize;
use std::ops::RangeInclusive;

use crate::{
    context::Context,
    errors::{self, Answer, invalid_params, limit_exceeded},
    reading::Position,
};

/// Blocks that one question about signers may span.
const SIGNER_BLOCKS_MAX: u64 = 10_000;

/// Who made a block and who signed it, with GoQuorum's names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BlockSigners {
    number: u64,
    hash: B256,
    /// Operator whose node proposed it.
    pub(crate) author: Address,
    /// Operators whose seals are in the certificate that this node keeps.
    pub(crate) committers: Vec<Address>,
}

/// Operators of a set in its order.
pub(crate) fn operators(set: &ValidatorSet) -> Vec<Address> {
    let validators = set.validators().iter();
    validators.map(|validator| validator.operator).collect()
}

impl Context {
    /// The set that decides the block at a height, at most one above the head.
    /// Genesis was decided by nobody; its own set decides the first block.
    pub(crate) fn deciders(&self, height: Height) -> Answer<Option<ValidatorSet>> {
        let height = Height(height.0.max(1));
        let context = self.store().context_at(height).map_err(errors::storage)?;
        Ok(context.map(|context| context.validators))
    }

    /// The set of a position; `pending` is the next block's.
    pub(crate) fn deciders_at(&self, position: Position) -> Answer<Option<ValidatorSet>> {
        match position {
            Position::At(height) => self.deciders(height),
            Position::Pending => Ok(Some(self.head().context.validators.clone())),
        }
    }

    /// Who made and signed a decided block; `None` for unknown ones and genesis.
    pub(crate) fn signers(&self, height: Height) -> Answer<Option<BlockSigners>> {
        let store = self.store();
        let header = store.header_by_number(height).map_err(errors::storage)?;
        let certificate = store.certificate(height).map_err(errors::storage)?;
        let (Some(header), Some(certificate)) = (header, certificate) else {
            return Ok(None);
        };
        let set = self.deciders(height)?;
        let operator = |index| Some(set.as_ref()?.get(index)?.operator);
        Ok(Some(BlockSigners {
            number: height.0,
            hash: header.hash_slow(),
            author: header.beneficiary,
            committers: certificate.signers().filter_map(operator).collect(),
        }))
    }

    /// The last blocks, genesis left out; empty on a fresh chain.
    pub(crate) fn last_blocks(&self, count: u64) -> RangeInclusive<u64> {
        let head = self.head().height.0;
        head.saturating_sub(count.saturating_sub(1)).max(1)..=head
    }

    /// A range as a caller gives it, the last `count` blocks where it does not.
    pub(crate) fn block_range(
        &self,
        from: Option<BlockNumberOrTag>,
        to: Option<BlockNumberOrTag>,
        count: u64,
    ) -> Answer<RangeInclusive<u64>> {
        let number = |tag| match self.locate_number(tag) {
            Some(Position::At(height)) => Ok(height.0),
            Some(Position::Pending) | None => {
                Err(invalid_params(format!("block {tag} does not exist yet")))
            }
        };
        let last = to.map_or(Ok(self.head().height.0), number)?;
        let first = match from {
            Some(from) => number(from)?,
            None => last.saturating_sub(count.saturating_sub(1)),
        };
        if first > last {
            return Err(invalid_params(format!(
                "the first block, {first}, is after the last, {last}"
            )));
        }
        if last - first >= SIGNER_BLOCKS_MAX {
            return Err(limit_exceeded(format!(
                "at most {SIGNER_BLOCKS_MAX} blocks can be asked for at once"
            )));
        }
        // Genesis has no proposer.
        Ok(first.max(1)..=last)
    }
}
