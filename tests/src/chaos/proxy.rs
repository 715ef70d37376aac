//! A TCP proxy between every two nodes, so that links can be cut, slowed and
//! broken one direction at a time.
//!
//! Each node has its own file of known nodes, in which the address of every
//! other node is a port of this proxy. TCP loses nothing: a cut link holds bytes
//! back until it is open again or one end gives up.

use super::script::Link;
use std::{collections::BTreeMap, io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};

/// Bytes read at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks on their way in one direction of a connection; then it is not read.
const CHUNKS_MAX: usize = 64;
/// Connections of one node to another at once; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 64;

/// All links of a network.
#[derive(Debug)]
pub struct Mesh {
    /// By sender and receiver of bytes.
    links: BTreeMap<(usize, usize), watch::Sender<Link>>,
    /// By dialling and dialled node: changes when connections shall end.
    breaks: BTreeMap<(usize, usize), watch::Sender<u64>>,
    /// By dialling and dialled node.
    addresses: BTreeMap<(usize, usize), SocketAddr>,
    /// Ends with the mesh.
    _listeners: JoinSet<()>,
}

impl Mesh {
    /// Listens for every node that may dial every other.
    ///
    /// # Errors
    /// When the machine has no port left.
    pub async fn start(targets: &[SocketAddr]) -> io::Result<Self> {
        let pairs = || {
            let count = targets.len();
            (0..count)
                .flat_map(move |from| (0..count).map(move |to| (from, to)))
                .filter(|(from, to)| from != to)
        };
        let links: BTreeMap<_, _> = pairs()
            .map(|pair| (pair, watch::Sender::new(Link::Open)))
            .collect();
        let breaks: BTreeMap<_, _> = pairs().map(|pair| (pair, watch::Sender::new(0))).collect();
        let mut addresses = BTreeMap::new();
        let mut listeners = JoinSet::new();
        for (from, to) in pairs() {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            addresses.insert((from, to), listener.local_addr()?);
            let route = Route {
                target: targets[to],
                there: links[&(from, to)].subscribe(),
                back: links[&(to, from)].subscribe(),
                broken: breaks[&(from, to)].subscribe(),
            };
            listeners.spawn(accept(listener, route));
        }
        Ok(Self {
            links,
            breaks,
            addresses,
            _listeners: listeners,
        })
    }

    /// Where node `from` has to dial to reach node `to`.
    #[must_use]
    pub fn address(&self, from: usize, to: usize) -> Option<SocketAddr> {
        self.addresses.get(&(from, to)).copied()
    }

    /// What happens from now on to bytes that `from` sends to `to`, on whichever
    /// connection.
    pub fn set(&self, from: usize, to: usize, link: Link) {
        if let Some(sender) = self.links.get(&(from, to)) {
            sender.send_replace(link);
        }
    }

    /// Opens all links.
    pub fn open_all(&self) {
        for sender in self.links.values() {
            sender.send_replace(Link::Open);
        }
    }

    /// Closes every connection of a node.
    pub fn break_connections(&self, node: usize) {
        for ((from, to), sender) in &self.breaks {
            if *from == node || *to == node {
                sender.send_modify(|count| *count += 1);
            }
        }
    }
}

#[derive(Clone)]
struct Route {
    target: SocketAddr,
    there: watch::Receiver<Link>,
    back: watch::Receiver<Link>,
    broken: watch::Receiver<u64>,
}

async fn accept(listener: TcpListener, route: Route) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(connect(stream, route.clone())); }
                // Out of files: the dialling node tries again later.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Ends when either end does or the route is broken; both ends then see a closed connection.
async fn connect(dialler: TcpStream, mut route: Route) {
    route.broken.mark_unchanged();
    let is_refused = [&route.there, &route.back].map(|link| *link.borrow() == Link::Refused);
    if is_refused.contains(&true) {
        return;
    }
    let Ok(target) = TcpStream::connect(route.target).await else {
        return;
    };
    let _ = (dialler.set_nodelay(true), target.set_nodelay(true));
    let (from_dialler, to_dialler) = dialler.into_split();
    let (from_target, to_target) = target.into_split();
    tokio::select! {
        _ = pump(from_dialler, to_target, route.there) => {}
        _ = pump(from_target, to_dialler, route.back) => {}
        _ = route.broken.changed() => {}
    }
}

/// Moves bytes one way until an end closes.
async fn pump(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    mut link: watch::Receiver<Link>,
) -> io::Result<()> {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
    let read = async {
        // Moved in, so that the writer learns of the end.
        let sender = sender;
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let length = reader.read(&mut chunk).await?;
            chunk.truncate(length);
            if length == 0 || sender.send((Instant::now(), chunk)).await.is_err() {
                return io::Result::Ok(());
            }
        }
    };
    let write = async {
        while let Some((arrived, chunk)) = receiver.recv().await {
            pass(&mut link, arrived, chunk.len()).await;
            writer.write_all(&chunk).await?;
        }
        io::Result::Ok(())
    };
    tokio::try_join!(read, write).map(|_| ())
}

/// Waits until a chunk may go on.
async fn pass(link: &mut watch::Receiver<Link>, arrived: Instant, bytes: usize) {
    loop {
        let state = *link.borrow_and_update();
        let due = match state {
            Link::Open => return,
            Link::Cut | Link::Refused => None,
            Link::Slow { delay_ms } => Some(arrived + Duration::from_millis(delay_ms)),
            Link::Narrow { bytes_per_s } => {
                let ms = (bytes as u64).saturating_mul(1_000) / bytes_per_s.max(1);
                Some(Instant::now() + Duration::from_millis(ms))
            }
        };
        let waited = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = waited => return,
            changed = link.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Node 0 dials node 1; both ends of the connection.
    async fn connection() -> (Mesh, TcpStream, TcpStream) {
        let listeners = [
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        ];
        let targets = listeners
            .each_ref()
            .map(|listener| listener.local_addr().unwrap());
        let mesh = Mesh::start(&targets).await.unwrap();
        let dialler = TcpStream::connect(mesh.address(0, 1).unwrap())
            .await
            .unwrap();
        let (target, _) = listeners[1].accept().await.unwrap();
        (mesh, dialler, target)
    }

    async fn arrives(stream: &mut TcpStream, within: Duration) -> bool {
        let mut byte = [0];
        let read = tokio::time::timeout(within, stream.read_exact(&mut byte)).await;
        matches!(read, Ok(Ok(_)))
    }

    const SOON: Duration = Duration::from_secs(10);
    const NEVER: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn one_direction_is_cut_and_opened_without_losing_a_byte() {
        let (mesh, mut dialler, mut target) = connection().await;
        mesh.set(0, 1, Link::Cut);
        dialler.write_all(&[1]).await.unwrap();
        target.write_all(&[2]).await.unwrap();
        assert!(
            arrives(&mut dialler, SOON).await,
            "the other direction is open"
        );
        assert!(!arrives(&mut target, NEVER).await);
        mesh.open_all();
        assert!(arrives(&mut target, SOON).await);
    }

    #[tokio::test]
    async fn slow_link_delays_and_narrow_link_throttles() {
        for link in [
            Link::Slow { delay_ms: 300 },
            Link::Narrow { bytes_per_s: 3 },
        ] {
            let (mesh, mut dialler, mut target) = connection().await;
            mesh.set(0, 1, link);
            let sent = Instant::now();
            dialler.write_all(&[1]).await.unwrap();
            assert!(arrives(&mut target, SOON).await);
            assert!(sent.elapsed() >= Duration::from_millis(290), "{link:?}");
        }
    }

    #[tokio::test]
    async fn refused_connection_is_closed_at_once() {
        let (mesh, ..) = connection().await;
        mesh.set(1, 0, Link::Refused);
        let mut dialler = TcpStream::connect(mesh.address(0, 1).unwrap())
            .await
            .unwrap();
        let ended = tokio::time::timeout(SOON, dialler.read_u8()).await;
        assert!(matches!(ended, Ok(Err(_))), "{ended:?}");
    }

    #[tokio::test]
    async fn broken_connection_ends_at_both_ends() {
        let (mesh, mut dialler, mut target) = connection().await;
        mesh.break_connections(1);
        for end in [&mut dialler, &mut target] {
            let ended = tokio::time::timeout(SOON, end.read_u8()).await;
            assert!(matches!(ended, Ok(Err(_))), "{ended:?}");
        }
    }
}
