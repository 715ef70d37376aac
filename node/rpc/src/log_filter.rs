//! Which logs a caller wants, with the bounds checked.

use alloy_consensus::BlockHeader as _;
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{B256, Bloom};
use alloy_rpc_types_eth::{self as rpc, Filter, FilterBlockOption};
use medina_types::limits;
use serde_json::Value;

use crate::{
    CommittedBlock, convert,
    errors::{Answer, invalid_params, limit_exceeded},
};

/// Blocks that a filter covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogRange {
    /// One block by hash.
    Block(B256),
    /// From and to, both included; `None` where the caller left it open.
    Numbers(Option<BlockNumberOrTag>, Option<BlockNumberOrTag>),
}

/// A checked log filter.
#[derive(Clone, Debug)]
pub(crate) struct LogFilter {
    filter: Filter,
}

impl LogFilter {
    /// Reads the filter object of `eth_getLogs`, `eth_newFilter` and subscriptions.
    pub(crate) fn read(object: Option<Value>) -> Answer<Self> {
        let object = object.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        let filter = serde_json::from_value(object)
            .map_err(|error| invalid_params(format!("invalid argument 0: {error}")))?;
        Self::new(filter)
    }

    /// Checks how many criteria a filter has.
    pub(crate) fn new(filter: Filter) -> Answer<Self> {
        let max = limits::RPC_LOG_CRITERIA_MAX;
        if filter.address.len() > max {
            return Err(limit_exceeded(format!("exceed max addresses: {max}")));
        }
        if filter.topics.iter().any(|topics| topics.len() > max) {
            return Err(limit_exceeded(format!("exceed max topics: {max}")));
        }
        Ok(Self { filter })
    }

    /// What it asks for.
    pub(crate) const fn wanted(&self) -> &Filter {
        &self.filter
    }

    /// Addresses and topics that it names: what it takes in memory.
    pub(crate) fn criteria(&self) -> usize {
        let topics: usize = self.filter.topics.iter().map(|topics| topics.len()).sum();
        self.filter.address.len() + topics
    }

    /// The blocks that the filter covers.
    pub(crate) fn range(&self) -> LogRange {
        match self.filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => LogRange::Block(hash),
            FilterBlockOption::Range {
                from_block,
                to_block,
            } => LogRange::Numbers(from_block, to_block),
        }
    }

    /// True if numbers in the filter's range do not exclude this block; tags
    /// exclude nothing, since they move with the head.
    pub(crate) fn covers(&self, number: u64) -> bool {
        let LogRange::Numbers(from, to) = self.range() else {
            return false;
        };
        let after = |bound: Option<BlockNumberOrTag>| bound.and_then(|tag| tag.as_number());
        after(from).is_none_or(|from| from <= number) && after(to).is_none_or(|to| number <= to)
    }

    /// False if a block with this bloom cannot hold a log that is wanted.
    pub(crate) fn may_match(&self, bloom: Bloom) -> bool {
        self.filter.matches_bloom(bloom)
    }

    /// The wanted logs of a block.
    pub(crate) fn logs_of(&self, committed: &CommittedBlock) -> Vec<rpc::Log> {
        if !self.may_match(committed.block.header().logs_bloom()) {
            return Vec::new();
        }
        convert::logs(&committed.block, &committed.receipts, |log| {
            self.filter.matches_address(log.address)
                && self.filter.matches_topics(log.data.topics())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn too_many_criteria_are_refused_by_name() {
        let addresses = vec![format!("0x{}", "11".repeat(20)); 1];
        assert!(LogFilter::read(Some(json!({ "address": addresses }))).is_ok());
        let address = |index: usize| format!("0x{index:040x}");
        let many: Vec<_> = (0..=limits::RPC_LOG_CRITERIA_MAX).map(address).collect();
        let error = LogFilter::read(Some(json!({ "address": many }))).unwrap_err();
        assert_eq!(
            (error.code(), error.message()),
            (-32005, "exceed max addresses: 1000")
        );
        let topic = |index: usize| format!("0x{index:064x}");
        let many: Vec<_> = (0..=limits::RPC_LOG_CRITERIA_MAX).map(topic).collect();
        let error = LogFilter::read(Some(json!({ "topics": [null, many] }))).unwrap_err();
        assert_eq!(error.message(), "exceed max topics: 1000");
    }

    #[test]
    fn hash_and_numbers_together_are_refused() {
        let both = json!({ "blockHash": B256::ZERO, "fromBlock": "0x1" });
        let error = LogFilter::read(Some(both)).unwrap_err();
        assert_eq!(error.code(), -32602);
        assert!(
            error.message().contains("choose one or the other"),
            "{}",
            error.message()
        );
    }

    #[test]
    fn numbers_bound_a_filter_and_tags_do_not() {
        let filter = LogFilter::read(Some(json!({ "fromBlock": "0x5", "toBlock": "latest" })));
        let filter = filter.unwrap();
        assert!(!filter.covers(4) && filter.covers(5) && filter.covers(1_000));
    }
}
