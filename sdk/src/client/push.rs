//! The node's own word that something happened, over WebSocket.
//!
//! What is pushed only wakes: the events themselves are always fetched behind the reader's place, so
//! that a push that was lost, repeated or came during a break changes nothing but the moment. Where
//! there is no WebSocket the reader looks by itself.

use std::fmt;
use std::time::Duration;

use futures::FutureExt as _;
use jsonrpsee::core::client::{Subscription as Pushed, SubscriptionClientT as _};
use jsonrpsee::core::params::ArrayParams;
use jsonrpsee::ws_client::{WsClient, WsClientBuilder};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::EventFilter;
use crate::limits::{
    PUSHES_WAITING_MAX, SUBSCRIPTION_IDLE_MS, SUBSCRIPTION_PAUSE_MS, SUBSCRIPTION_RETRY_MS_MAX,
};
use crate::url::{place_of, without_secrets};

/// A link by which a node tells of events, if it can be had.
pub(super) struct Push {
    url: String,
    link: Option<Link>,
    /// Not tried again before.
    next_try: Option<Instant>,
}

struct Link {
    events: Pushed<Value>,
    /// Its connection ends with it.
    _client: WsClient,
}

impl fmt::Debug for Push {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Push")
            .field("node", &place_of(&self.url))
            .field("is_linked", &self.is_linked())
            .finish_non_exhaustive()
    }
}

impl Push {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            link: None,
            next_try: None,
        }
    }

    /// Whether the node tells by itself.
    pub(super) fn is_linked(&self) -> bool {
        self.link.is_some()
    }

    /// Waits until there may be something new: until the node says so, else a short while. Returns
    /// at once when a link was made, because something may have happened before. Dropping the
    /// future in between loses nothing.
    pub(super) async fn wait(&mut self, filter: &EventFilter) {
        if self.link.is_none() && self.try_link(filter).await {
            return;
        }
        let Some(link) = &mut self.link else {
            tokio::time::sleep(Duration::from_millis(SUBSCRIPTION_PAUSE_MS)).await;
            return;
        };
        // A link may be dead without anybody having said so: look now and then.
        let idle = tokio::time::sleep(Duration::from_millis(SUBSCRIPTION_IDLE_MS));
        let told = tokio::select! {
            told = link.events.next() => told,
            () = idle => return,
        };
        let mut is_alive = matches!(told, Some(Ok(_)));
        // One fetch answers all of them.
        while is_alive && let Some(told) = link.events.next().now_or_never() {
            is_alive = matches!(told, Some(Ok(_)));
        }
        if !is_alive {
            self.link = None;
            self.next_try = Some(Instant::now());
        }
    }

    async fn try_link(&mut self, filter: &EventFilter) -> bool {
        if self.next_try.is_some_and(|moment| Instant::now() < moment) {
            return false;
        }
        let patience = Duration::from_millis(SUBSCRIPTION_RETRY_MS_MAX);
        self.next_try = Some(Instant::now() + patience);
        match tokio::time::timeout(patience, link(&self.url, filter)).await {
            Ok(Ok(link)) => {
                self.link = Some(link);
                true
            }
            Ok(Err(error)) => {
                let (node, error) = (place_of(&self.url), without_secrets(&error.to_string()));
                tracing::debug!(error, node, "events: no push, asking instead");
                false
            }
            Err(_) => false,
        }
    }
}

async fn link(url: &str, filter: &EventFilter) -> Result<Link, jsonrpsee::core::ClientError> {
    let client = WsClientBuilder::default()
        .max_buffer_capacity_per_subscription(PUSHES_WAITING_MAX)
        .build(url)
        .await?;
    let mut parameters = ArrayParams::new();
    let wanted = json!({ "address": filter.contracts, "topics": [filter.kinds] });
    parameters.insert("logs")?;
    parameters.insert(without_empty(wanted))?;
    let events = client.subscribe("eth_subscribe", parameters, "eth_unsubscribe");
    let events = events.await?;
    Ok(Link {
        events,
        _client: client,
    })
}

/// A filter without the parts that would fit nothing: an empty list is everything here.
fn without_empty(mut filter: Value) -> Value {
    let is_empty = |list: &Value| list.as_array().is_some_and(Vec::is_empty);
    let (no_contracts, no_kinds) = (is_empty(&filter["address"]), is_empty(&filter["topics"][0]));
    if let Some(fields) = filter.as_object_mut() {
        if no_contracts {
            fields.remove("address");
        }
        if no_kinds {
            fields.remove("topics");
        }
    }
    filter
}

/// Where the node of a JSON-RPC URL speaks WebSocket: on the same port.
pub(super) fn url_of(rpc_url: &str) -> String {
    swapped(rpc_url, "http", "ws")
}

/// Where it answers over HTTP.
pub(super) fn http_url_of(rpc_url: &str) -> String {
    swapped(rpc_url, "ws", "http")
}

/// `http` and `https` as `ws` and `wss`, or the other way round.
fn swapped(url: &str, from: &str, to: &str) -> String {
    match url.strip_prefix(from) {
        Some(rest) if rest.starts_with("://") || rest.starts_with("s://") => format!("{to}{rest}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, B256};

    #[test]
    fn both_ways_to_a_node_are_known_from_one_url() {
        for (given, ws, http) in [
            ("http://a:1", "ws://a:1", "http://a:1"),
            ("https://a/b", "wss://a/b", "https://a/b"),
            ("ws://a:1", "ws://a:1", "http://a:1"),
            ("wss://a", "wss://a", "https://a"),
            ("wsx", "wsx", "wsx"),
        ] {
            assert_eq!(
                (url_of(given), http_url_of(given)),
                (ws.into(), http.into())
            );
        }
    }

    #[test]
    fn filter_without_a_wish_is_for_everything() {
        let of = |contracts: Vec<Address>, kinds: Vec<B256>| {
            without_empty(json!({ "address": contracts, "topics": [kinds] }))
        };
        assert_eq!(of(vec![], vec![]), json!({}));
        let both = of(vec![Address::ZERO], vec![B256::ZERO]);
        assert_eq!(both["topics"], json!([[B256::ZERO]]));
        assert_eq!(both["address"], json!([Address::ZERO]));
    }
}
