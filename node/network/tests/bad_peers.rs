//! Nodes that misbehave lose their connection, and only they.

mod support;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder,
    core::multiaddr::Protocol,
    identity, noise,
    request_response::{self, ProtocolSupport},
    swarm::SwarmEvent,
    tcp, yamux,
};
use medina_network::NetworkError;
use medina_types::{
    Height, limits,
    wire::{self, Hello, PeerMessage, SyncRequest},
};
use std::{io, net::SocketAddr};
use support::{GENESIS, Node, PATIENCE, consensus, key, loopback, pair, secret, status};

#[tokio::test(flavor = "multi_thread")]
async fn unknown_key_is_refused_and_others_are_not() {
    let mut first = Node::start(1, &[2], vec![]).await;
    let stranger = Node::start(9, &[1], vec![first.known()]).await;
    first.asked_about(stranger.key, 2).await;
    let friend = Node::start(2, &[1], vec![first.known()]).await;
    assert_eq!(first.connected().await, friend.key);
    assert_eq!(first.handle.peers().len(), 1);
    assert!(stranger.handle.peers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn key_that_only_the_dialled_side_admits_is_refused() {
    let mut first = Node::start(1, &[2, 3], vec![]).await;
    let mut choosy = Node::start(2, &[], vec![first.known()]).await;
    choosy.asked_about(first.key, 2).await;
    let friend = Node::start(3, &[1], vec![first.known()]).await;
    while first.connected().await != friend.key {}
    assert!(choosy.handle.peers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn node_of_another_chain_is_refused() {
    let mut first = Node::start(1, &[2, 3], vec![]).await;
    let other = alloy_primitives::B256::repeat_byte(2);
    let mut foreign = Node::start_at(3, &[1], vec![first.known()], loopback(), other).await;
    // The second time it dials, its first link has ended.
    foreign.asked_about(first.key, 2).await;
    let friend = Node::start(2, &[1], vec![first.known()]).await;
    assert_eq!(first.connected().await, friend.key);
    assert!(foreign.handle.peers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn expelled_peer_is_kept_away() {
    let (mut first, mut second) = pair().await;
    first.handle.disconnect(second.key, "test");
    assert_eq!(first.disconnected().await, second.key);
    assert_eq!(second.disconnected().await, first.key);
    // It dials again and is not let in.
    first.asked_about(second.key, 2).await;
    assert!(first.handle.peers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_that_reads_no_votes_loses_the_link_and_the_sender_notices() {
    let (mut first, second) = pair().await;
    // `second` takes no events out, so its stream stops being read.
    let message = consensus(8 * 1024 * 1024);
    let sent = (0..100)
        .take_while(|_| first.handle.send(second.key, message.clone()))
        .count();
    assert!(
        (4..100).contains(&sent),
        "{sent} messages of 8 MiB were queued"
    );
    assert_eq!(first.disconnected().await, second.key);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_blocks_asked_for_cost_the_link() {
    let (first, mut second) = pair().await;
    let request = SyncRequest {
        from: Height(1),
        count: limits::SYNC_BLOCKS_MAX + 1,
    };
    let error = first
        .handle
        .request_blocks(second.key, request)
        .await
        .expect_err("refused");
    assert!(matches!(error, NetworkError::RequestFailed { .. }));
    assert_eq!(second.disconnected().await, first.key);
}

/// Writes bytes on a stream and waits for its end.
#[derive(Clone)]
struct RawCodec;

impl request_response::Codec for RawCodec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = ();

    async fn read_request<T>(&mut self, _: &StreamProtocol, _: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        std::future::pending().await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<()>
    where
        T: AsyncRead + Unpin + Send,
    {
        io.read_to_end(&mut Vec::new()).await.map(|_| ())
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await?;
        io.flush().await?;
        // Returning would close the stream.
        std::future::pending().await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, _: &mut T, (): ()) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        Ok(())
    }
}

type RawSwarm = Swarm<request_response::Behaviour<RawCodec>>;

/// A swarm that sends on one protocol and takes both of ours.
fn raw_swarm(node: u8, protocol: &'static str) -> RawSwarm {
    let keypair = identity::Keypair::ed25519_from_bytes(secret(node).to_bytes()).expect("key");
    let inbound = ["/medina/messages/1", "/medina/consensus/1"]
        .into_iter()
        .filter(|name| *name != protocol)
        .map(|name| (StreamProtocol::new(name), ProtocolSupport::Inbound));
    let protocols: Vec<_> = [(StreamProtocol::new(protocol), ProtocolSupport::Full)]
        .into_iter()
        .chain(inbound)
        .collect();
    let config = request_response::Config::default().with_request_timeout(PATIENCE);
    SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .expect("transport")
        .with_behaviour(|_| request_response::Behaviour::with_codec(RawCodec, protocols, config))
        .expect("behaviour")
        .build()
}

fn frame(message: &PeerMessage) -> Vec<u8> {
    let bytes = wire::encode(message);
    let length = u32::try_from(bytes.len()).expect("small").to_be_bytes();
    [length.as_slice(), &bytes].concat()
}

/// Connects as node 2, sends bytes, and waits until the connection ends.
async fn send_raw(victim: SocketAddr, protocol: &'static str, bytes: Vec<u8>) {
    let mut swarm = raw_swarm(2, protocol);
    let peer: PeerId = identity::Keypair::ed25519_from_bytes(secret(1).to_bytes())
        .expect("key")
        .public()
        .to_peer_id();
    let address = Multiaddr::from(victim.ip()).with(Protocol::Tcp(victim.port()));
    swarm.add_peer_address(peer, address);
    swarm.behaviour_mut().send_request(&peer, bytes);
    let mut was_connected = false;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } => was_connected = true,
            SwarmEvent::ConnectionClosed { .. } if was_connected => break,
            _ => {}
        }
    }
}

/// Sends bytes to a fresh node as node 2 and checks that node 2 is thrown out
/// and kept away, and that node 3 is served.
async fn expect_expulsion(case: &str, protocol: &'static str, bytes: Vec<u8>) {
    let mut victim = Node::start(1, &[2, 3], vec![]).await;
    let thrown_out = send_raw(victim.address, protocol, bytes);
    tokio::pin!(thrown_out);
    loop {
        tokio::select! {
            () = &mut thrown_out => break,
            // Whoever takes no events out is sent none.
            _ = victim.next() => {}
        }
    }
    let again = Node::start(2, &[1], vec![victim.known()]).await;
    victim.asked_about(again.key, 3).await;
    let friend = Node::start(3, &[1], vec![victim.known()]).await;
    while victim.connected().await != friend.key {}
    let keys: Vec<_> = victim
        .handle
        .peers()
        .into_iter()
        .map(|peer| peer.key)
        .collect();
    assert_eq!(keys, [key(3)], "{case}");
}

fn hello() -> Vec<u8> {
    frame(&PeerMessage::Hello(Hello {
        status: status(GENESIS),
        process: 1,
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_messages_cost_the_connection_and_never_the_node() {
    let garbage = || vec![0, 0, 0, 3, 9, 9, 9];
    let after_hello = |bytes: &[u8]| [hello().as_slice(), bytes].concat();
    let messages = "/medina/messages/1";
    let cases = [
        ("length beyond the limit", messages, vec![0xff; 4]),
        ("garbage instead of a status", messages, garbage()),
        (
            "length beyond the limit after the status",
            messages,
            after_hello(&[0xff; 4]),
        ),
        (
            "garbage after the status",
            messages,
            after_hello(&garbage()),
        ),
        (
            "vote on the wrong stream",
            messages,
            after_hello(&frame(&consensus(3))),
        ),
        ("no such block request", "/medina/sync/2", garbage()),
    ];
    for (case, protocol, bytes) in cases {
        let expulsion = expect_expulsion(case, protocol, bytes);
        assert!(
            tokio::time::timeout(PATIENCE, expulsion).await.is_ok(),
            "{case}: still linked"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_messages_cost_the_connection() {
    let empty = frame(&PeerMessage::PoolHashes(Vec::new()));
    let bytes = [hello(), empty.repeat(200_000)].concat();
    let expulsion = expect_expulsion("flood", "/medina/messages/1", bytes);
    assert!(
        tokio::time::timeout(PATIENCE, expulsion).await.is_ok(),
        "still linked"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_that_came_back_before_its_loss_was_noticed_is_connected_anew() {
    let mut victim = Node::start(1, &[2], vec![]).await;
    let first = tokio::spawn(send_raw(victim.address, "/medina/messages/1", hello()));
    assert_eq!(victim.connected().await, key(2));
    let second = tokio::spawn(send_raw(victim.address, "/medina/messages/1", hello()));
    assert_eq!(victim.disconnected().await, key(2));
    assert_eq!(victim.connected().await, key(2));
    tokio::time::timeout(PATIENCE, first)
        .await
        .expect("the older one ended")
        .expect("no panic");
    assert_eq!(victim.handle.peers().len(), 1);
    second.abort();
}
