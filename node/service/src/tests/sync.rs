//! Catching up among peers that lie.

use super::support::*;
use crate::{chain::Chain, sync::Sync};
use medina_types::{Height, NodePublicKey};
use std::sync::Arc;
use tempfile::TempDir;

struct Behind {
    _folder: TempDir,
    chain: Chain,
    links: Arc<FakeLinks>,
    sync: Sync,
    _driver: Running,
}

/// A node at genesis that knows nobody yet.
fn behind() -> Behind {
    let (folder, chain) = chain();
    let links = Arc::new(FakeLinks::default());
    let driver = run_driver(&chain, idle_engine(&chain), links.clone());
    let (sync, _) = Sync::new(
        chain.clone(),
        driver.handle.clone(),
        links.clone(),
        Arc::default(),
    );
    Behind {
        _folder: folder,
        chain,
        links,
        sync,
        _driver: driver,
    }
}

const HONEST: u8 = 0;
const LIAR: u8 = 9;

impl Behind {
    fn liar(&self) -> NodePublicKey {
        key(LIAR)
    }

    async fn catch_up_twice(&self) -> Height {
        self.sync.catch_up().await;
        self.sync.catch_up().await;
        self.chain.head().height
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn boaster_that_never_answers_holds_nobody_up_for_long() {
    let (_source_folder, source) = grown_chain(70);
    let node = behind();
    let silent = Box::new(|_| None);
    node.links.connect(node.liar(), Height(u64::MAX), silent);
    node.links.connect(key(HONEST), Height(70), honest(&source));
    assert_eq!(node.catch_up_twice().await, Height(70));
    let asked = |links: &FakeLinks| {
        let requests = links.requests.lock();
        requests
            .iter()
            .filter(|(peer, _)| *peer == key(LIAR))
            .count()
    };
    let before = asked(&node.links);
    node.sync.catch_up().await;
    assert_eq!(asked(&node.links), before, "it is left alone for a while");
    assert!(node.links.disconnected().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_that_sends_other_blocks_than_asked_for_loses_its_link_and_nobody_else() {
    let (_source_folder, source) = grown_chain(70);
    let node = behind();
    let old = source.clone();
    let first_again = move |request: medina_types::wire::SyncRequest| {
        let from = Height(1);
        let request = medina_types::wire::SyncRequest { from, ..request };
        Some(crate::sync::serve(&old, request))
    };
    node.links
        .connect(node.liar(), Height(500), Box::new(first_again));
    node.links.connect(key(HONEST), Height(70), honest(&source));
    node.sync.catch_up().await;
    assert_eq!(node.catch_up_twice().await, Height(70));
    assert_eq!(node.links.disconnected(), [node.liar()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_answers_and_forged_seals_cost_the_link() {
    let (_source_folder, source) = grown_chain(5);
    for is_empty in [true, false] {
        let node = behind();
        let old = source.clone();
        let answer = move |request| {
            let mut response = crate::sync::serve(&old, request);
            if is_empty {
                response.blocks.clear();
            }
            for block in &mut response.blocks {
                block.certificate.round = medina_types::Round(1);
            }
            Some(response)
        };
        node.links.connect(node.liar(), Height(5), Box::new(answer));
        node.links.connect(key(HONEST), Height(5), honest(&source));
        assert_eq!(node.catch_up_twice().await, Height(5));
        assert!(
            node.links
                .disconnected()
                .iter()
                .all(|peer| *peer == node.liar())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_missed_our_head_are_told_again() {
    let node = behind();
    let (_source_folder, source) = grown_chain(2);
    node.links.connect(key(HONEST), Height(2), honest(&source));
    node.sync.catch_up().await;
    node.links.connect(key(1), Height(1), honest(&source));
    node.links.connect(key(2), Height(7), honest(&source));
    node.links.deeds.lock().clear();
    node.sync.tell_those_behind();
    assert_eq!(*node.links.deeds.lock(), [Deed::Told(key(1), Height(2))]);
}
