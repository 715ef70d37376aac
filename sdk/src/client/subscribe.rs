//! Events as they come, without gaps or duplicates, however often the connection breaks.
//!
//! Blocks of this chain are final, so a place in it (block, index of the log) says exactly what has
//! been seen. A [`Subscription`] asks for everything behind its place, hands it out in order and
//! moves on; a node that does not answer, is restarted or is behind only makes it wait. Its
//! [`Cursor`] can be stored and taken up again by another process or at another node. Before it
//! goes on after a break it makes sure that it is still the same chain.
//!
//! When to ask is told by the node over WebSocket (`eth_subscribe`), on the port of its JSON-RPC; where
//! it does not speak that, the subscription looks five times a second.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Address, B256};
use alloy_provider::transport::TransportError;
use alloy_provider::{Provider, RootProvider};
use alloy_rpc_types_eth::{Filter, Log};
use alloy_sol_types::SolEvent;
use serde::{Deserialize, Serialize};

use super::error::transport_reason;
use super::push::Push;
use super::{ClientError, MarketClient};
use crate::limits::{LOG_RANGE_BLOCKS_MAX, SUBSCRIPTION_PAUSE_MS, SUBSCRIPTION_RETRY_MS_MAX};

/// Which events are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// Of these contracts; empty is all of the chain.
    pub contracts: Vec<Address>,
    /// Of these kinds, by the hash of their signature; empty is all.
    pub kinds: Vec<B256>,
}

impl EventFilter {
    /// Events of one kind of one contract.
    pub fn of<E: SolEvent>(contract: Address) -> Self {
        Self {
            contracts: vec![contract],
            kinds: vec![E::SIGNATURE_HASH],
        }
    }

    fn range(&self, from: u64, to: u64) -> Filter {
        let mut filter = Filter::new().from_block(from).to_block(to);
        if !self.contracts.is_empty() {
            filter = filter.address(self.contracts.clone());
        }
        if !self.kinds.is_empty() {
            filter = filter.event_signature(self.kinds.clone());
        }
        filter
    }
}

/// A place in the chain: everything before it has been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cursor {
    /// The block that comes next.
    pub block: u64,
    /// How many logs of that block have been seen already, by the index of the next one.
    pub log: u64,
    /// Number and hash of the last block that was read, by which the chain is known again.
    pub last: Option<(u64, B256)>,
}

impl Cursor {
    /// From this block on.
    pub fn at(block: u64) -> Self {
        Self {
            block,
            ..Self::default()
        }
    }

    fn is_behind(&self, log: &Log) -> bool {
        let block = log.block_number.unwrap_or_default();
        let index = log.log_index.unwrap_or_default();
        (block, index) >= (self.block, self.log)
    }
}

/// An event that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainEvent {
    /// The event as the node gave it.
    pub log: Log,
    /// The place behind it: what to store once it is dealt with.
    pub cursor: Cursor,
}

impl ChainEvent {
    /// The event as one of this kind, if it is.
    pub fn decode<E: SolEvent>(&self) -> Option<E> {
        E::decode_log(&self.log.inner).ok().map(|log| log.data)
    }
}

/// Events as they come; see the module.
pub struct Subscription {
    provider: RootProvider,
    filter: EventFilter,
    /// Everything before it was fetched.
    fetched: Cursor,
    waiting: VecDeque<Log>,
    /// Where the reader is.
    cursor: Cursor,
    is_sure: bool,
    push: Push,
}

impl MarketClient {
    /// Subscribes to events from a place on.
    ///
    /// ```no_run
    /// use medina_contracts::data_marketplace::DataMarketplace::Bought;
    /// use medina_sdk::client::{Cursor, EventFilter, MarketClient};
    /// # async fn example() -> Result<(), medina_sdk::client::ClientError> {
    /// let client = MarketClient::connect("http://127.0.0.1:8545").await?;
    /// let filter = EventFilter::of::<Bought>(client.contracts().data_marketplace);
    /// let mut purchases = client.subscribe(filter, Cursor::default());
    /// loop {
    ///     let event = purchases.next().await?;
    ///     if let Some(bought) = event.decode::<Bought>() {
    ///         println!("order {} of listing {}", bought.order, bought.listing);
    ///     }
    ///     // Store `event.cursor`, and a restarted program goes on exactly here.
    /// }
    /// # }
    /// ```
    pub fn subscribe(&self, filter: EventFilter, from: Cursor) -> Subscription {
        Subscription {
            provider: self.provider.clone(),
            filter,
            fetched: from,
            waiting: VecDeque::new(),
            cursor: from,
            is_sure: false,
            push: Push::new(self.push_url.clone()),
        }
    }

    /// The place behind the newest block: only what is new comes.
    pub async fn newest_cursor(&self) -> Result<Cursor, ClientError> {
        let head = self.provider.get_block_number().await;
        let head = head.map_err(|error| ClientError::rpc("eth_blockNumber", "the node", &error))?;
        Ok(Cursor::at(head + 1))
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Subscription")
            .field("filter", &self.filter)
            .field("cursor", &self.cursor)
            .field("push", &self.push)
            .finish_non_exhaustive()
    }
}

impl Subscription {
    /// Where the reader is: behind the last event that was handed out.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Whether the node tells of events by itself now; else it is asked for them.
    pub fn is_pushed(&self) -> bool {
        self.push.is_linked()
    }

    pub(super) fn into_filter(self) -> EventFilter {
        self.filter
    }

    /// The next event, when there is one. Waits as long as it takes, through breaks of the
    /// connection too; only another chain is an error, and what a node refuses for good.
    pub async fn next(&mut self) -> Result<ChainEvent, ClientError> {
        let mut pause = SUBSCRIPTION_PAUSE_MS;
        loop {
            if let Some(event) = self.take() {
                return Ok(event);
            }
            match self.fetch().await {
                Ok(true) => pause = SUBSCRIPTION_PAUSE_MS,
                Ok(false) => {
                    pause = SUBSCRIPTION_PAUSE_MS;
                    self.push.wait(&self.filter).await;
                }
                Err(Trouble::Passing(error)) => {
                    let error = transport_reason(&error);
                    tracing::debug!(error, "events: the node does not answer, asking again");
                    self.is_sure = false;
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    pause = (pause * 2).min(SUBSCRIPTION_RETRY_MS_MAX);
                }
                Err(Trouble::Final(error)) => return Err(error),
            }
        }
    }

    /// Every event that is there now and was not handed out, without waiting for more.
    pub async fn drain(&mut self) -> Result<Vec<ChainEvent>, ClientError> {
        let mut found = Vec::new();
        loop {
            while let Some(event) = self.take() {
                found.push(event);
            }
            match self.fetch().await {
                Ok(true) => {}
                Ok(false) => return Ok(found),
                Err(Trouble::Passing(error)) => {
                    return Err(ClientError::rpc("eth_getLogs", "the node", &error));
                }
                Err(Trouble::Final(error)) => return Err(error),
            }
        }
    }

    fn take(&mut self) -> Option<ChainEvent> {
        let log = self.waiting.pop_front()?;
        self.cursor = Cursor {
            block: log.block_number.unwrap_or_default(),
            log: log.log_index.unwrap_or_default() + 1,
            last: self.cursor.last,
        };
        if self.waiting.is_empty() {
            self.cursor = self.fetched;
        }
        let cursor = self.cursor;
        Some(ChainEvent { log, cursor })
    }

    /// Fetches the next stretch of blocks; whether there was one.
    async fn fetch(&mut self) -> Result<bool, Trouble> {
        if !self.is_sure {
            self.make_sure().await?;
            self.is_sure = true;
        }
        let head = self.provider.get_block_number().await?;
        // A node that is behind, as after a restart, will get there.
        if head < self.fetched.block {
            return Ok(false);
        }
        let mut span = LOG_RANGE_BLOCKS_MAX;
        let (logs, to) = loop {
            let to = head.min(self.fetched.block.saturating_add(span - 1));
            let filter = self.filter.range(self.fetched.block, to);
            match self.provider.get_logs(&filter).await {
                Ok(logs) => break (logs, to),
                // Nodes bound blocks and logs of one answer, each as it likes.
                Err(error) if error.is_error_resp() && span > 1 => span /= 2,
                Err(error) => return Err(error.into()),
            }
        };
        let hash = self.hash_of(to).await?;
        let seen = self.fetched;
        let new = logs.into_iter().filter(|log| seen.is_behind(log));
        self.waiting.extend(new);
        self.fetched = Cursor {
            block: to + 1,
            log: 0,
            last: Some((to, hash)),
        };
        if self.waiting.is_empty() {
            self.cursor = self.fetched;
        }
        Ok(true)
    }

    /// The last block that was read must still be the one it was.
    async fn make_sure(&self) -> Result<(), Trouble> {
        let Some((block, expected)) = self.fetched.last else {
            return Ok(());
        };
        let head = self.provider.get_block_number().await?;
        if head < block {
            return Ok(());
        }
        if self.hash_of(block).await? != expected {
            let error = ClientError::ForeignChain { block, expected };
            return Err(Trouble::Final(error));
        }
        Ok(())
    }

    async fn hash_of(&self, block: u64) -> Result<B256, Trouble> {
        let found = self
            .provider
            .get_block_by_number(BlockNumberOrTag::Number(block))
            .await?;
        let unknown = || Trouble::Final(ClientError::BadAnswer("eth_getBlockByNumber"));
        Ok(found.ok_or_else(unknown)?.header.hash)
    }
}

/// What kept a stretch from being fetched.
enum Trouble {
    /// It will do later.
    Passing(TransportError),
    /// It never will.
    Final(ClientError),
}

impl From<TransportError> for Trouble {
    fn from(error: TransportError) -> Self {
        if error.is_transport_error() {
            Self::Passing(error)
        } else {
            Self::Final(ClientError::rpc("eth_getLogs", "the node", &error))
        }
    }
}
