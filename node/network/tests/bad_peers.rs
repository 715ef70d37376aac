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
    wire::{self, PeerMessage, SyncRequest},
};
use std::io;
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
        io.flush().await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, _: &mut T, (): ()) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        Ok(())
    }
}

type RawSwarm = Swarm<request_response::Behaviour<RawCodec>>;

fn raw_swarm(node: u8, protocol: &'static str) -> RawSwarm {
    let keypair = identity::Keypair::ed25519_from_bytes(secret(node).to_bytes()).expect("key");
    let protocols = [(StreamProtocol::new(protocol), ProtocolSupport::Outbound)];
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

/// Connects as an admitted node, sends bytes, and waits until it is thrown out.
async fn send_raw(victim: &Node, protocol: &'static str, bytes: Vec<u8>) {
    let mut swarm = raw_swarm(2, protocol);
    let peer: PeerId = identity::Keypair::ed25519_from_bytes(secret(1).to_bytes())
        .expect("key")
        .public()
        .to_peer_id();
    let address = Multiaddr::from(victim.address.ip()).with(Protocol::Tcp(victim.address.port()));
    swarm.add_peer_address(peer, address);
    swarm.behaviour_mut().send_request(&peer, bytes);
    let thrown_out = async {
        let mut was_connected = false;
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => was_connected = true,
                SwarmEvent::ConnectionClosed { .. } if was_connected => break,
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, thrown_out)
        .await
        .expect("thrown out in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_messages_cost_the_connection_and_never_the_node() {
    let hello = frame(&PeerMessage::Status(status(GENESIS)));
    let cases: [(&str, &'static str, Vec<u8>); 5] = [
        (
            "length beyond the limit",
            "/medina/messages/1",
            vec![0xff; 4],
        ),
        (
            "garbage instead of a status",
            "/medina/messages/1",
            [0, 0, 0, 3, 9, 9, 9].to_vec(),
        ),
        (
            "length beyond the limit after the status",
            "/medina/messages/1",
            { [hello.as_slice(), &[0xff; 4]].concat() },
        ),
        ("vote on the wrong stream", "/medina/messages/1", {
            [hello.as_slice(), &frame(&consensus(3))].concat()
        }),
        (
            "no such block request",
            "/medina/sync/1",
            [0, 0, 0, 3, 9, 9, 9].to_vec(),
        ),
    ];
    for (case, protocol, bytes) in cases {
        let mut victim = Node::start(1, &[2, 3], vec![]).await;
        send_raw(&victim, protocol, bytes).await;
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
}
