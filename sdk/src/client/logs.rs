//! Events of the past, in bounded steps.

use alloy_primitives::{Address, B256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::Filter;
use alloy_sol_types::SolEvent;

use super::{ClientError, MarketClient};
use crate::limits::LOG_RANGE_BLOCKS_MAX;

/// Which indexed fields an event must have; `None` fits all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Indexed {
    pub(super) first: Option<B256>,
    pub(super) second: Option<B256>,
    pub(super) third: Option<B256>,
}

impl MarketClient {
    /// Every event `E` of `contract` since genesis, oldest first.
    pub(super) async fn events<E: SolEvent>(
        &self,
        contract: Address,
        indexed: Indexed,
    ) -> Result<Vec<E>, ClientError> {
        let found = self.events_at(contract, indexed).await?;
        Ok(found.into_iter().map(|(_, event)| event).collect())
    }

    /// Every event `E` of `contract` whose first indexed field is this, with its block, oldest
    /// first.
    pub(crate) async fn events_of<E: SolEvent>(
        &self,
        contract: Address,
        first: B256,
    ) -> Result<Vec<(u64, E)>, ClientError> {
        let indexed = Indexed {
            first: Some(first),
            ..Indexed::default()
        };
        let found = self.events_at(contract, indexed).await?;
        Ok(found
            .into_iter()
            .map(|((block, _), event)| (block, event))
            .collect())
    }

    /// The same, with block and place in it, by which events of several kinds are put in order.
    pub(super) async fn events_at<E: SolEvent>(
        &self,
        contract: Address,
        indexed: Indexed,
    ) -> Result<Vec<((u64, u64), E)>, ClientError> {
        let head = self
            .provider
            .get_block_number()
            .await
            .map_err(|error| ClientError::rpc("eth_blockNumber", "the node", &error))?;
        let mut events = Vec::new();
        let mut from = 0;
        let mut span = LOG_RANGE_BLOCKS_MAX;
        while from <= head {
            let to = head.min(from.saturating_add(span - 1));
            let filter = filter::<E>(contract, indexed).from_block(from).to_block(to);
            match self.provider.get_logs(&filter).await {
                Ok(logs) => {
                    let decoded = logs.iter().filter_map(|log| {
                        let place = (log.block_number?, log.log_index?);
                        Some((place, E::decode_log(&log.inner).ok()?.data))
                    });
                    events.extend(decoded);
                    from = to + 1;
                }
                // Nodes bound blocks and logs of one answer, each as it likes.
                Err(error) if error.is_error_resp() && span > 1 => span /= 2,
                Err(error) => return Err(ClientError::rpc("eth_getLogs", "the node", &error)),
            }
        }
        Ok(events)
    }
}

fn filter<E: SolEvent>(contract: Address, indexed: Indexed) -> Filter {
    let mut filter = Filter::new()
        .address(contract)
        .event_signature(E::SIGNATURE_HASH);
    if let Some(first) = indexed.first {
        filter = filter.topic1(first);
    }
    if let Some(second) = indexed.second {
        filter = filter.topic2(second);
    }
    if let Some(third) = indexed.third {
        filter = filter.topic3(third);
    }
    filter
}
