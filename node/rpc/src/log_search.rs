//! Searches logs over many blocks, skipping those whose bloom says no.

use alloy_consensus::BlockHeader as _;
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::B256;
use alloy_rpc_types_eth::Log;
use medina_types::Height;
use std::ops::RangeInclusive;

use crate::{
    context::Context,
    errors::{self, Answer, invalid_params, limit_exceeded, server},
    log_filter::{LogFilter, LogRange},
    reading::Position,
};

/// Logs found, and where the search would go on.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) logs: Vec<Log>,
    /// First block that was not searched because the answer was full.
    pub(crate) stopped_at: Option<Height>,
}

impl Context {
    /// What `eth_getLogs` answers: all logs of the range, or an error that says
    /// how to ask for less.
    pub(crate) fn logs(&self, filter: &LogFilter) -> Answer<Vec<Log>> {
        let (from, to) = match filter.range() {
            LogRange::Block(hash) => return self.logs_of_block(filter, hash),
            LogRange::Numbers(from, to) => (from, to),
        };
        let Some(range) = self.log_range(from, to)? else {
            return Ok(Vec::new());
        };
        let found = self.search(filter, range.clone())?;
        match found.stopped_at {
            None => Ok(found.logs),
            Some(next) => Err(limit_exceeded(format!(
                "query exceeds max results {}, retry with the range {:#x}-{:#x}",
                self.config.logs_max,
                range.start(),
                next.0.saturating_sub(1),
            ))),
        }
    }

    /// The blocks that a filter asks for, its bounds checked; `None` where they
    /// begin behind the head.
    pub(crate) fn blocks_of(&self, filter: &LogFilter) -> Answer<Option<RangeInclusive<u64>>> {
        match filter.range() {
            LogRange::Numbers(from, to) => self.log_range(from, to),
            LogRange::Block(hash) => {
                let height = self.height_of_hash(hash)?;
                let height = height.ok_or_else(|| server("unknown block"))?;
                Ok(Some(height.0..=height.0))
            }
        }
    }

    fn logs_of_block(&self, filter: &LogFilter, hash: B256) -> Answer<Vec<Log>> {
        let height = self
            .height_of_hash(hash)?
            .ok_or_else(|| server("unknown block"))?;
        let block = self
            .committed(height)?
            .ok_or_else(|| server("unknown block"))?;
        Ok(filter.logs_of(&block))
    }

    /// Checks the range of a query; `None` where it begins behind the head.
    fn log_range(
        &self,
        from: Option<BlockNumberOrTag>,
        to: Option<BlockNumberOrTag>,
    ) -> Answer<Option<RangeInclusive<u64>>> {
        let head = self.head().height.0;
        let number = |bound: Option<BlockNumberOrTag>| match bound {
            Some(BlockNumberOrTag::Number(number)) => number,
            Some(tag) => match self.locate_number(tag) {
                Some(Position::At(height)) => height.0,
                Some(Position::Pending) | None => head,
            },
            None => head,
        };
        let named = |bound: Option<BlockNumberOrTag>| bound.and_then(|tag| tag.as_number());
        if named(from)
            .zip(named(to))
            .is_some_and(|(from, to)| from > to)
        {
            return Err(invalid_params("invalid block range params"));
        }
        let (first, last) = (number(from), number(to));
        if last > head {
            return Err(invalid_params(
                "block range extends beyond current head block",
            ));
        }
        if first > head {
            return Ok(None);
        }
        if first > last {
            return Err(invalid_params("invalid block range params"));
        }
        if last - first >= self.config.log_blocks_max {
            let max = self.config.log_blocks_max;
            return Err(limit_exceeded(format!(
                "query exceeds max block range {max}"
            )));
        }
        Ok(Some(first..=last))
    }

    /// Searches the blocks in order until the answer is full. At least one block
    /// with logs is always answered whole.
    pub(crate) fn search(&self, filter: &LogFilter, range: RangeInclusive<u64>) -> Answer<Found> {
        // A byte of data is two digits in the answer.
        let bytes_max = self.config.response_bytes_max as usize / 2;
        let mut logs = Vec::new();
        let mut bytes = 0;
        for number in range {
            let height = Height(number);
            let header = self
                .store()
                .header_by_number(height)
                .map_err(errors::storage)?;
            if !header.is_some_and(|header| filter.may_match(header.logs_bloom())) {
                continue;
            }
            let Some(block) = self.committed_uncached(height)? else {
                continue;
            };
            let found = filter.logs_of(&block);
            bytes += found.iter().map(bytes_of).sum::<usize>();
            let full = logs.len() + found.len() > self.config.logs_max || bytes > bytes_max;
            if full && !logs.is_empty() {
                return Ok(Found {
                    logs,
                    stopped_at: Some(height),
                });
            }
            logs.extend(found);
        }
        Ok(Found {
            logs,
            stopped_at: None,
        })
    }
}

/// Bytes that a log takes in an answer, halved: data, topics and the fixed fields.
fn bytes_of(log: &Log) -> usize {
    const FIXED_FIELDS_BYTES: usize = 256;
    log.inner.data.data.len() + 32 * log.topics().len() + FIXED_FIELDS_BYTES
}
