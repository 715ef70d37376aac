//! Gossip of transactions in batches and of heads: gossipsub, signed, checked
//! before it is passed on.

use libp2p::{gossipsub, identity::Keypair};
use medina_types::{
    limits,
    wire::{self, HashBytes, PeerStatus, WireError},
};
use std::time::Duration;

/// Room for author, signature, topic and sequence number around a batch.
const ENVELOPE_BYTES_MAX: usize = 16 * 1024;

/// The two things that are gossiped.
#[derive(Clone, Debug)]
pub(crate) struct Topics {
    /// Batches of transactions.
    pub(crate) transactions: gossipsub::TopicHash,
    /// Heads.
    pub(crate) heads: gossipsub::TopicHash,
}

impl Topics {
    /// Topics of one chain: other chains have others.
    pub(crate) fn of(genesis: HashBytes) -> Self {
        let chain = alloy_primitives::hex::encode(&genesis[..8]);
        let topic = |name| gossipsub::IdentTopic::new(format!("medina/{chain}/{name}/1")).hash();
        Self {
            transactions: topic("transactions"),
            heads: topic("heads"),
        }
    }
}

/// What a gossiped message said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Gossip {
    Transactions(Vec<Vec<u8>>),
    Head(PeerStatus),
}

/// Gossipsub for small networks: a message goes to every connected subscriber
/// at once (`flood_publish`), meshes matter beyond a handful of nodes only.
pub(crate) fn behaviour(
    keypair: &Keypair,
    topics: &Topics,
) -> Result<gossipsub::Behaviour, String> {
    let config = gossipsub::ConfigBuilder::default()
        .max_transmit_size(limits::GOSSIP_BYTES_MAX + ENVELOPE_BYTES_MAX)
        .validation_mode(gossipsub::ValidationMode::Strict)
        .validate_messages()
        .flood_publish(true)
        .mesh_outbound_min(1)
        .mesh_n_low(3)
        .mesh_n(4)
        .mesh_n_high(8)
        .heartbeat_interval(Duration::from_millis(700))
        .connection_handler_queue_len(1_024)
        .build()
        .map_err(|error| error.to_string())?;
    let signed = gossipsub::MessageAuthenticity::Signed(keypair.clone());
    let mut behaviour = gossipsub::Behaviour::new(signed, config).map_err(str::to_owned)?;
    for topic in [&topics.transactions, &topics.heads] {
        let topic = gossipsub::IdentTopic::new(topic.as_str());
        behaviour
            .subscribe(&topic)
            .map_err(|error| error.to_string())?;
    }
    Ok(behaviour)
}

/// Splits transactions into encoded batches within the bound; a transaction
/// that is too large for any pool is left out.
pub(crate) fn batches(transactions: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut batches = Vec::new();
    let (mut batch, mut bytes) = (Vec::new(), 4);
    for transaction in transactions {
        if transaction.is_empty() || transaction.len() > limits::TRANSACTION_BYTES_MAX {
            continue;
        }
        let added = 4 + transaction.len();
        if bytes + added > limits::GOSSIP_BYTES_MAX {
            batches.push(wire::encode(&std::mem::take(&mut batch)));
            bytes = 4;
        }
        bytes += added;
        batch.push(transaction);
    }
    if !batch.is_empty() {
        batches.push(wire::encode(&batch));
    }
    batches
}

/// Reads a gossiped message.
///
/// # Errors
/// [`WireError`]: whoever passed it on did not check it and loses its link.
pub(crate) fn decode(
    topics: &Topics,
    topic: &gossipsub::TopicHash,
    bytes: &[u8],
) -> Result<Gossip, WireError> {
    if *topic == topics.heads {
        return wire::decode(bytes, limits::GOSSIP_BYTES_MAX).map(Gossip::Head);
    }
    let transactions: Vec<Vec<u8>> = wire::decode(bytes, limits::GOSSIP_BYTES_MAX)?;
    for transaction in &transactions {
        let (got, max) = (transaction.len(), limits::TRANSACTION_BYTES_MAX);
        if got > max {
            return Err(WireError::TooLarge { got, max });
        }
        if got == 0 {
            return Err(WireError::Malformed(
                "empty transaction in a batch".to_owned(),
            ));
        }
    }
    Ok(Gossip::Transactions(transactions))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn many_transactions_are_split_into_batches_that_all_read_back() {
        let topics = Topics::of([1; 32]);
        let transactions = vec![vec![2; 100_000]; 25];
        let batches = batches(transactions.clone());
        assert_eq!(batches.len(), 3);
        let mut read = Vec::new();
        for batch in &batches {
            match decode(&topics, &topics.transactions, batch) {
                Ok(Gossip::Transactions(transactions)) => read.extend(transactions),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(read, transactions);
    }

    #[test]
    fn oversized_transaction_makes_no_batch_and_is_refused_in_one() {
        let topics = Topics::of([1; 32]);
        let large = vec![vec![2; limits::TRANSACTION_BYTES_MAX + 1]];
        assert!(batches(large.clone()).is_empty());
        let refused = decode(&topics, &topics.transactions, &wire::encode(&large));
        assert!(matches!(refused, Err(WireError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_gossip_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let topics = Topics::of([1; 32]);
            let _ = decode(&topics, &topics.transactions, &bytes);
            let _ = decode(&topics, &topics.heads, &bytes);
        }
    }
}
