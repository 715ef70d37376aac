//! Nodes that behave: links, messages, gossip, block requests, restarts.

mod support;

use medina_network::{KnownPeer, Network, NetworkConfig, NetworkError, NetworkEvent, PeerGate};
use medina_types::{
    Certificate, Height, NodePublicKey, Round, limits,
    wire::{CertifiedBlock, PeerMessage, PeerStatus, SyncRequest, SyncResponse},
};
use std::{sync::Arc, time::Duration};
use support::{GENESIS, Node, PATIENCE, consensus, key, loopback, pair, secret, status};

#[tokio::test(flavor = "multi_thread")]
async fn messages_arrive_in_order_in_both_directions() {
    let (mut first, mut second) = pair().await;
    for number in 0..200_u8 {
        assert!(
            first
                .handle
                .send(second.key, PeerMessage::Consensus(vec![number]))
        );
        assert!(
            second
                .handle
                .send(first.key, PeerMessage::PoolHashes(vec![[number; 32]]))
        );
    }
    for number in 0..200_u8 {
        let expected = PeerMessage::Consensus(vec![number]);
        assert_eq!(second.message().await, (first.key, expected));
        let expected = PeerMessage::PoolHashes(vec![[number; 32]]);
        assert_eq!(first.message().await, (second.key, expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn largest_consensus_message_passes() {
    let (first, mut second) = pair().await;
    let message = consensus(limits::CONSENSUS_MESSAGE_BYTES_MAX);
    assert!(first.handle.send(second.key, message.clone()));
    assert_eq!(second.message().await, (first.key, message));
}

#[tokio::test(flavor = "multi_thread")]
async fn vote_overtakes_bulk_that_was_sent_before() {
    let (first, mut second) = pair().await;
    let bulk = PeerMessage::Transactions(vec![vec![1; 100_000]; 35]);
    for _ in 0..4 {
        assert!(first.handle.send(second.key, bulk.clone()));
    }
    assert!(first.handle.send(second.key, consensus(100)));
    let mut before = 0;
    while !matches!(second.message().await.1, PeerMessage::Consensus(_)) {
        before += 1;
    }
    assert!(before < 4, "the vote came after all bulk");
}

#[tokio::test(flavor = "multi_thread")]
async fn four_nodes_that_dial_each_other_at_once_are_all_linked() {
    let all = [1, 2, 3, 4];
    let mut nodes = Vec::new();
    for number in all {
        nodes.push(Node::start(number, &all, vec![]).await);
    }
    let known: Vec<KnownPeer> = nodes.iter().map(Node::known).collect();
    for node in &nodes {
        node.handle
            .set_known_peers(known.clone())
            .await
            .expect("runs");
    }
    for node in &mut nodes {
        let mut missing: Vec<NodePublicKey> = known
            .iter()
            .map(|peer| peer.key)
            .filter(|key| *key != node.key)
            .collect();
        while !missing.is_empty() {
            match node.next().await {
                NetworkEvent::PeerConnected { key, .. } => missing.retain(|other| *other != key),
                NetworkEvent::PeerDisconnected { key } => missing.push(key),
                _ => {}
            }
        }
        assert_eq!(node.handle.peers().len(), 3);
    }
    let keys: Vec<NodePublicKey> = known.iter().map(|peer| peer.key).collect();
    assert_eq!(nodes[0].handle.send_to_all(keys, consensus(10)), 3);
    let from = nodes[0].key;
    for node in &mut nodes[1..] {
        assert_eq!(node.message().await, (from, consensus(10)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_that_restarts_is_linked_again() {
    let (mut first, second) = pair().await;
    let address = second.address;
    second.handle.shutdown().await;
    drop(second);
    assert_eq!(first.disconnected().await, key(2));
    assert!(!first.handle.send(key(2), consensus(1)), "there is no link");
    let peers = vec![first.known()];
    let mut second = Node::start_at(2, &[1, 2], peers, address, GENESIS).await;
    assert_eq!(second.connected().await, first.key);
    assert_eq!(first.connected().await, second.key);
    assert!(first.handle.send(second.key, consensus(1)));
    assert_eq!(second.message().await, (first.key, consensus(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn dialler_finds_a_peer_that_starts_later() {
    let probe = Node::start(2, &[1], vec![]).await;
    let peer = probe.known();
    probe.handle.shutdown().await;
    let mut first = Node::start(1, &[2], vec![peer.clone()]).await;
    let mut second = Node::start_at(2, &[1], vec![], peer.addresses[0], GENESIS).await;
    assert_eq!(first.connected().await, second.key);
    assert_eq!(second.connected().await, first.key);
}

#[tokio::test(flavor = "multi_thread")]
async fn newly_known_peer_is_dialled() {
    let mut first = Node::start(1, &[2], vec![]).await;
    let mut second = Node::start(2, &[1], vec![]).await;
    first
        .handle
        .set_known_peers(vec![second.known()])
        .await
        .expect("runs");
    assert_eq!(first.connected().await, second.key);
    assert_eq!(second.connected().await, first.key);
    let peers = second.handle.peers();
    assert_eq!(peers.len(), 1);
    assert_eq!(peers[0].status, status(GENESIS));
}

#[tokio::test(flavor = "multi_thread")]
async fn block_request_is_answered() {
    let (first, mut second) = pair().await;
    let block = CertifiedBlock {
        block: vec![3; 1_000_000],
        certificate: Certificate::new(Round(1), []),
        senders: vec![[4; 20]; 100],
    };
    let response = SyncResponse {
        blocks: vec![block; 3],
    };
    let expected = response.clone();
    let request = SyncRequest {
        from: Height(4),
        count: 3,
    };
    let handle = first.handle.clone();
    let peer = second.key;
    let asking = tokio::spawn(async move { handle.request_blocks(peer, request).await });
    match second.next().await {
        NetworkEvent::SyncRequested {
            from,
            request: asked,
            reply,
        } => {
            assert_eq!((from, asked), (first.key, request));
            reply.send(response);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(asking.await.expect("no panic").expect("answer"), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn block_request_without_answer_fails_at_once() {
    let (first, mut second) = pair().await;
    let request = SyncRequest {
        from: Height(4),
        count: 3,
    };
    let (handle, peer) = (first.handle.clone(), second.key);
    let asking = tokio::spawn(async move { handle.request_blocks(peer, request).await });
    drop(second.next().await);
    let error = asking.await.expect("no panic").expect_err("no answer");
    assert!(
        matches!(error, NetworkError::RequestFailed { .. }),
        "{error}"
    );
    let stranger = first.handle.request_blocks(key(9), request).await;
    assert!(matches!(stranger, Err(NetworkError::NotConnected(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn gossip_beyond_64_kib_reaches_nodes_without_a_direct_link() {
    let all = [1, 2, 3];
    let middle = Node::start(2, &all, vec![]).await;
    let first = Node::start(1, &all, vec![middle.known()]).await;
    let mut last = Node::start(3, &all, vec![middle.known()]).await;
    let transactions = vec![vec![7; 100_000]; 5];
    let sent = transactions.clone();
    let handle = first.handle.clone();
    // Gossip is best effort until the subscriptions are known: say it again.
    let sending = tokio::spawn(async move {
        let mut again = tokio::time::interval(Duration::from_millis(200));
        loop {
            again.tick().await;
            handle.broadcast_transactions(sent.clone());
            handle.announce_head(PeerStatus {
                height: Height(8),
                ..status(GENESIS)
            });
        }
    });
    let (from, received) = last
        .wait_for(|event| match event {
            NetworkEvent::Gossip { from, transactions } => Some((from, transactions)),
            _ => None,
        })
        .await;
    assert_eq!((from, received), (first.key, transactions));
    let (from, height) = last
        .wait_for(|event| match event {
            NetworkEvent::HeadAnnounced { from, status } => Some((from, status.height)),
            _ => None,
        })
        .await;
    assert_eq!((from, height), (first.key, Height(8)));
    sending.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_port_is_named() {
    struct Nobody;
    impl PeerGate for Nobody {
        fn is_admitted(&self, _: &NodePublicKey) -> bool {
            false
        }
        fn our_status(&self) -> PeerStatus {
            status(GENESIS)
        }
    }
    let taken = std::net::TcpListener::bind(loopback()).expect("any port");
    let listen = taken.local_addr().expect("bound");
    let config = NetworkConfig {
        secret: secret(1),
        listen,
        peers: vec![],
    };
    match Network::start(config, Arc::new(Nobody)) {
        Err(error @ NetworkError::Listen { .. }) => {
            assert!(error.to_string().contains(&listen.to_string()));
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("two listeners on one port"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_is_prompt_and_later_orders_are_refused() {
    let (first, mut second) = pair().await;
    tokio::time::timeout(Duration::from_secs(2), first.handle.shutdown())
        .await
        .expect("prompt");
    assert_eq!(second.disconnected().await, first.key);
    let error = first.handle.request_blocks(
        second.key,
        SyncRequest {
            from: Height(1),
            count: 1,
        },
    );
    assert!(
        tokio::time::timeout(PATIENCE, error)
            .await
            .expect("answers")
            .is_err()
    );
}
