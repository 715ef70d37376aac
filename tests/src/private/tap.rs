//! Listens in on every link between the nodes of a network: a TCP proxy that keeps
//! what it passes on.

use super::scan::contains;
use crate::{chaos::known_nodes, processes::NetworkOfProcesses};
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
};

/// Bytes kept of all links together; a test that says more would prove nothing.
const KEPT_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Bytes read at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// Bytes by sender and receiver.
type Heard = Arc<Mutex<BTreeMap<(usize, usize), Vec<u8>>>>;

/// All links of a network, with what went over them.
#[derive(Debug)]
pub struct Tap {
    heard: Heard,
    /// Ends with the tap.
    _listeners: JoinSet<()>,
}

impl Tap {
    /// Leads all links of a network whose nodes do not run yet through a tap.
    ///
    /// # Errors
    /// When the machine has no port left or a configuration cannot be written.
    pub async fn start(network: &NetworkOfProcesses) -> io::Result<Self> {
        let targets = known_nodes::targets(network)?;
        let heard = Heard::default();
        let mut addresses = BTreeMap::new();
        let mut listeners = JoinSet::new();
        let count = targets.len();
        for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            addresses.insert((from, to), listener.local_addr()?);
            listeners.spawn(accept(listener, targets[to], (from, to), heard.clone()));
        }
        let through = |from, to| addresses.get(&(from, to)).copied();
        known_nodes::lead(network, &targets, &through)?;
        Ok(Self {
            heard,
            _listeners: listeners,
        })
    }

    /// Links of a node over which a text went as it is.
    ///
    /// # Panics
    /// When more was said than is kept.
    #[must_use]
    pub fn links_with(&self, node: usize, needle: &[u8]) -> Vec<(usize, usize)> {
        let heard = self.heard.lock().expect("nobody panics while holding it");
        let all: usize = heard.values().map(Vec::len).sum();
        assert!(all < KEPT_BYTES_MAX, "more was said than the tap keeps");
        let of_node = heard
            .iter()
            .filter(|((from, to), _)| *from == node || *to == node);
        of_node
            .filter(|(_, bytes)| contains(bytes, needle))
            .map(|(link, _)| *link)
            .collect()
    }

    /// Bytes that a node and the others said to each other.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn bytes_of(&self, node: usize) -> usize {
        let heard = self.heard.lock().expect("nobody panics while holding it");
        let of_node = heard
            .iter()
            .filter(|((from, to), _)| *from == node || *to == node);
        of_node.map(|(_, bytes)| bytes.len()).sum()
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, link: (usize, usize), heard: Heard) {
    let mut connections = JoinSet::new();
    while let Ok((dialler, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let heard = heard.clone();
        connections.spawn(async move {
            // Either end may close at any time; the other then sees it.
            let _ = connect(dialler, target, link, heard).await;
        });
    }
}

async fn connect(
    dialler: TcpStream,
    target: SocketAddr,
    (from, to): (usize, usize),
    heard: Heard,
) -> io::Result<()> {
    let target = TcpStream::connect(target).await?;
    dialler.set_nodelay(true)?;
    target.set_nodelay(true)?;
    let (from_dialler, to_dialler) = dialler.into_split();
    let (from_target, to_target) = target.into_split();
    tokio::select! {
        ended = pass(from_dialler, to_target, (from, to), &heard) => ended,
        ended = pass(from_target, to_dialler, (to, from), &heard) => ended,
    }
}

async fn pass(
    mut reader: OwnedReadHalf,
    mut writer: OwnedWriteHalf,
    link: (usize, usize),
    heard: &Heard,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = reader.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        keep(heard, link, &chunk[..length]);
        writer.write_all(&chunk[..length]).await?;
    }
}

fn keep(heard: &Heard, link: (usize, usize), bytes: &[u8]) {
    let mut heard = heard.lock().expect("nobody panics while holding it");
    let kept: usize = heard.values().map(Vec::len).sum();
    if kept < KEPT_BYTES_MAX {
        heard.entry(link).or_default().extend_from_slice(bytes);
    }
}
