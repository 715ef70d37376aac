//! A search index in this process, built from events alone.
//!
//! It follows the registry, the market and trust by a [`Subscription`](super::Subscription)'s
//! cursor, so that keeping it up to date costs what is new, and a search asks nobody. It can be
//! stored and taken up again. Trust in it is as of the last event about it; what a buyer decides by
//! is asked of the chain ([`MarketClient::found`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use alloy_primitives::B256;
use medina_contracts::data_marketplace::DataMarketplace;
use medina_contracts::sensor_registry::SensorRegistry;
use medina_contracts::trust_and_reputation::TrustAndReputation;
use medina_contracts::values::STATUS_LIVE;
use serde::{Deserialize, Serialize};

use super::{
    ChainEvent, ClientError, Cursor, EventFilter, FoundListing, ListingKind, MarketClient, Price,
};
use crate::limits::INDEX_BYTES_MAX;

/// A resource as its events tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedSensor {
    /// Whose it is.
    pub org: B256,
    /// Hash of the property or capability.
    pub topic: B256,
    /// Coarse grid cell; 0 is unknown.
    pub cell: u64,
    /// Promised seconds between readings.
    pub period: u32,
    /// 1 live, 2 paused, 3 retired, +128 while flagged.
    pub status: u8,
    /// Trust in it, basis points, if it was computed.
    pub trust: Option<u16>,
}

/// A listing as its events tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedListing {
    /// Whose it is.
    pub org: B256,
    /// Hash of the property.
    pub topic: B256,
    /// What is sold, as the market's number.
    pub kind: u8,
    /// How it is paid, as the market's number.
    pub price: u8,
    /// Price of a unit, base units.
    #[serde(with = "decimal")]
    pub unit_price: u128,
    /// Resource id, root or allow list.
    pub subject: B256,
    /// Zero, an organisation or a federation.
    pub audience: B256,
    /// 1 live, 2 paused, 3 retired, +128 while flagged.
    pub status: u8,
}

/// JSON numbers end at 2^53.
mod decimal {
    use serde::Deserialize as _;

    pub(super) fn serialize<S: serde::Serializer>(
        value: &u128,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What a buyer looks for; what is `None` does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexQuery {
    /// Hash of the property.
    pub topic: Option<B256>,
    /// Only in these cells (see [`crate::place`]).
    pub cells: Option<BTreeSet<u64>>,
    /// The seller's organisation.
    pub org: Option<B256>,
    /// What is sold.
    pub kind: Option<ListingKind>,
    /// How it is paid.
    pub price: Option<Price>,
    /// The resource, root or allow list.
    pub subject: Option<B256>,
    /// The most a unit may cost, base units.
    pub max_unit_price: Option<u128>,
    /// The least trust in the resource, basis points; unknown trust does not pass.
    pub min_trust: Option<u16>,
    /// The least reputation of the seller, basis points; unknown reputation does not pass.
    pub min_reputation: Option<u16>,
    /// Paused, retired and flagged ones as well.
    pub include_closed: bool,
}

/// Listings and resources by their events; see the module.
///
/// ```no_run
/// use medina_sdk::client::{IndexQuery, MarketClient, SearchIndex};
/// # async fn example() -> Result<(), medina_sdk::client::ClientError> {
/// let client = MarketClient::connect("http://127.0.0.1:8545").await?;
/// let mut index = SearchIndex::default();
/// client.update_index(&mut index).await?;
/// let query = IndexQuery {
///     topic: Some(alloy_primitives::keccak256("temperature")),
///     cells: Some(medina_sdk::place::cells_around(41.39, 2.17, 10_000.0).unwrap_or_default()),
///     ..IndexQuery::default()
/// };
/// for listing in index.search(&query) {
///     println!("listing {listing}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SearchIndex {
    /// Which chain it is of; 0 before the first update.
    chain_id: u64,
    cursor: Cursor,
    sensors: BTreeMap<B256, IndexedSensor>,
    listings: BTreeMap<u64, IndexedListing>,
    reputation: BTreeMap<B256, u16>,
}

impl SearchIndex {
    /// What it has seen so far.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// A resource, if there is one.
    pub fn sensor(&self, id: B256) -> Option<&IndexedSensor> {
        self.sensors.get(&id)
    }

    /// A listing, if there is one.
    pub fn listing(&self, id: u64) -> Option<&IndexedListing> {
        self.listings.get(&id)
    }

    /// Reputation of an organisation, basis points, if it was computed.
    pub fn reputation(&self, org: B256) -> Option<u16> {
        self.reputation.get(&org).copied()
    }

    /// Numbers of the listings that fit, cheapest first, then oldest first.
    pub fn search(&self, query: &IndexQuery) -> Vec<u64> {
        let mut found: Vec<_> = self
            .listings
            .iter()
            .filter(|(_, listing)| self.fits(query, listing))
            .map(|(id, listing)| (listing.unit_price, *id))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, id)| id).collect()
    }

    fn fits(&self, query: &IndexQuery, listing: &IndexedListing) -> bool {
        let same = |asked: Option<B256>, found: B256| asked.is_none_or(|asked| asked == found);
        let sensor = self.sensors.get(&listing.subject);
        let in_cells = |cells: &BTreeSet<u64>| sensor.is_some_and(|at| cells.contains(&at.cell));
        let trusted = |least: u16| {
            sensor
                .and_then(|sensor| sensor.trust)
                .is_some_and(|trust| trust >= least)
        };
        let reputed = |least: u16| {
            self.reputation(listing.org)
                .is_some_and(|found| found >= least)
        };
        (query.include_closed || listing.status == STATUS_LIVE)
            && same(query.topic, listing.topic)
            && same(query.org, listing.org)
            && same(query.subject, listing.subject)
            && query.kind.is_none_or(|kind| listing.kind == u8::from(kind))
            && query
                .price
                .is_none_or(|price| listing.price == u8::from(price))
            && query
                .max_unit_price
                .is_none_or(|max| listing.unit_price <= max)
            && query.cells.as_ref().is_none_or(in_cells)
            && query.min_trust.is_none_or(trusted)
            && query.min_reputation.is_none_or(reputed)
    }

    /// Takes what an event says.
    fn apply(&mut self, event: &ChainEvent) {
        if let Some(event) = event.decode::<DataMarketplace::Listed>() {
            let listing = IndexedListing {
                org: event.org,
                topic: event.topic,
                kind: event.kind,
                price: event.price,
                unit_price: event.unitPrice,
                subject: event.subject,
                audience: event.audience,
                status: STATUS_LIVE,
            };
            self.listings.insert(event.id, listing);
        } else if let Some(event) = event.decode::<DataMarketplace::ListingSet>() {
            if let Some(listing) = self.listings.get_mut(&event.id) {
                (listing.status, listing.unit_price) = (event.status, event.unitPrice);
            }
        } else if let Some(event) = event.decode::<TrustAndReputation::TrustSet>() {
            match event.kind {
                0 => {
                    if let Some(sensor) = self.sensors.get_mut(&event.key) {
                        sensor.trust = Some(event.value);
                    }
                }
                1 => {
                    self.reputation.insert(event.key, event.value);
                }
                _ => {}
            }
        } else {
            self.apply_registry(event);
        }
    }

    fn apply_registry(&mut self, event: &ChainEvent) {
        if let Some(event) = event.decode::<SensorRegistry::Registered>() {
            let sensor = IndexedSensor {
                org: event.org,
                topic: event.topic,
                cell: event.cell,
                period: event.period,
                status: STATUS_LIVE,
                trust: None,
            };
            self.sensors.insert(event.id, sensor);
        } else if let Some(event) = event.decode::<SensorRegistry::Updated>() {
            if let Some(sensor) = self.sensors.get_mut(&event.id) {
                (sensor.cell, sensor.period) = (event.cell, event.period);
            }
        } else if let Some(event) = event.decode::<SensorRegistry::StatusSet>() {
            if let Some(sensor) = self.sensors.get_mut(&event.id) {
                sensor.status = event.status;
            }
        } else if let Some(event) = event.decode::<SensorRegistry::Moved>()
            && let Some(sensor) = self.sensors.get_mut(&event.id)
        {
            sensor.org = event.toOrg;
        }
    }

    /// Reads an index from a file; an empty one where there is none.
    pub fn load(path: &Path) -> std::io::Result<Self> {
        use std::io::Read as _;
        let file = match std::fs::File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            other => other?,
        };
        let mut text = String::new();
        file.take(INDEX_BYTES_MAX).read_to_string(&mut text)?;
        serde_json::from_str(&text).map_err(std::io::Error::other)
    }

    /// Writes the index to a file, whole or not at all.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        let draft = path.with_extension("draft");
        std::fs::write(&draft, serde_json::to_vec(self)?)?;
        std::fs::rename(&draft, path)
    }
}

impl MarketClient {
    /// Brings an index up to date with the chain. One of another chain is begun anew.
    pub async fn update_index(&self, index: &mut SearchIndex) -> Result<(), ClientError> {
        if index.chain_id != self.chain_id {
            *index = SearchIndex {
                chain_id: self.chain_id,
                ..SearchIndex::default()
            };
        }
        let filter = EventFilter {
            contracts: vec![
                self.contracts.data_marketplace,
                self.contracts.sensor_registry,
                self.contracts.trust_and_reputation,
            ],
            kinds: Vec::new(),
        };
        let mut events = self.subscribe(filter, index.cursor);
        let found = match events.drain().await {
            Ok(found) => found,
            // The same id and another history: a development chain that began anew.
            Err(ClientError::ForeignChain { .. }) => {
                *index = SearchIndex {
                    chain_id: self.chain_id,
                    ..SearchIndex::default()
                };
                events = self.subscribe(events.into_filter(), index.cursor);
                events.drain().await?
            }
            Err(error) => return Err(error),
        };
        for event in &found {
            index.apply(event);
        }
        index.cursor = events.cursor();
        Ok(())
    }

    /// Listings that an index found, as they are on chain now, with trust as it is now. What has
    /// changed so that it fits no more is left out by the next update.
    pub async fn found(&self, listings: &[u64]) -> Result<Vec<FoundListing>, ClientError> {
        let mut found = Vec::new();
        for id in listings {
            let listing = self.listing(*id).await?;
            found.push(FoundListing {
                trust: self.resource_trust(listing.subject).await?.known(),
                reputation: self.platform_reputation(listing.org).await?.known(),
                listing,
            });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, Log as PrimitiveLog};
    use alloy_sol_types::SolEvent;

    fn event<E: SolEvent>(event: &E) -> ChainEvent {
        let inner = PrimitiveLog {
            address: Address::ZERO,
            data: event.encode_log_data(),
        };
        let log = alloy_rpc_types_eth::Log {
            inner,
            ..alloy_rpc_types_eth::Log::default()
        };
        let cursor = Cursor::default();
        ChainEvent { log, cursor }
    }

    fn index() -> SearchIndex {
        let hash = B256::repeat_byte;
        let mut index = SearchIndex::default();
        for (id, cell) in [(1, 7), (2, 8)] {
            index.apply(&event(&SensorRegistry::Registered {
                id: hash(id),
                org: hash(0x10 + id),
                topic: hash(0xaa),
                t: 0,
                cell,
                period: 60,
                meta: B256::ZERO,
            }));
        }
        for (id, subject, price) in [(1, 1, 30), (2, 2, 10), (3, 9, 20)] {
            index.apply(&event(&DataMarketplace::Listed {
                id,
                topic: hash(0xaa),
                org: hash(0x10 + subject),
                kind: 0,
                price: 1,
                unitPrice: price,
                subject: hash(subject),
                audience: B256::ZERO,
                meta: B256::ZERO,
            }));
        }
        index
    }

    #[test]
    fn listings_are_found_by_place_price_and_trust_cheapest_first() {
        let mut index = index();
        let any = IndexQuery::default();
        assert_eq!(index.search(&any), [2, 3, 1]);
        let cells = |cells: &[u64]| IndexQuery {
            cells: Some(cells.iter().copied().collect()),
            ..IndexQuery::default()
        };
        assert_eq!(index.search(&cells(&[7])), [1]);
        assert_eq!(index.search(&cells(&[7, 8, 9])), [2, 1]);
        let cheap = IndexQuery {
            max_unit_price: Some(20),
            ..IndexQuery::default()
        };
        assert_eq!(index.search(&cheap), [2, 3]);
        let trusted = IndexQuery {
            min_trust: Some(6_000),
            ..IndexQuery::default()
        };
        assert!(index.search(&trusted).is_empty());
        index.apply(&event(&TrustAndReputation::TrustSet {
            key: B256::repeat_byte(1),
            kind: 0,
            value: 7_000,
        }));
        assert_eq!(index.search(&trusted), [1]);
    }

    #[test]
    fn changes_move_close_and_price_what_is_found() {
        let mut index = index();
        index.apply(&event(&SensorRegistry::Updated {
            id: B256::repeat_byte(2),
            cell: 7,
            period: 5,
            meta: B256::ZERO,
        }));
        let here = IndexQuery {
            cells: Some([7].into()),
            ..IndexQuery::default()
        };
        assert_eq!(index.search(&here), [2, 1]);
        let set = |status, price| {
            event(&DataMarketplace::ListingSet {
                id: 2,
                status,
                unitPrice: price,
                meta: B256::ZERO,
                policy: B256::ZERO,
            })
        };
        index.apply(&set(1, 50));
        assert_eq!(index.search(&here), [1, 2]);
        index.apply(&set(2, 50));
        assert_eq!(index.search(&here), [1]);
        let closed = IndexQuery {
            include_closed: true,
            ..here
        };
        assert_eq!(index.search(&closed), [1, 2]);
        index.apply(&event(&SensorRegistry::Moved {
            id: B256::repeat_byte(1),
            org: B256::repeat_byte(0x11),
            toOrg: B256::repeat_byte(0x55),
        }));
        let moved = index.sensor(B256::repeat_byte(1)).expect("is known");
        assert_eq!(moved.org, B256::repeat_byte(0x55));
    }

    #[test]
    fn index_reads_back_from_its_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("index.json");
        assert_eq!(
            SearchIndex::load(&path).expect("is empty"),
            SearchIndex::default()
        );
        index().save(&path).expect("writes");
        assert_eq!(SearchIndex::load(&path).expect("reads"), index());
        std::fs::write(&path, "{").expect("writes");
        assert!(SearchIndex::load(&path).is_err());
    }
}
