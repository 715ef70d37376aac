//! Catching up among peers that lie.

use super::support::*;
use crate::{
    chain::Written,
    sync::{Sync, serve},
};
use medina_types::{Height, NodePublicKey, SealedBlock, limits, wire::SyncRequest};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

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
async fn forged_seals_cost_the_link_and_empty_answers_the_next_requests() {
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
        let disconnected = node.links.disconnected();
        assert!(disconnected.iter().all(|peer| *peer == node.liar()));
        // Whoever has pruned what was asked for answers so, too.
        assert!(!is_empty || disconnected.is_empty());
        let asked = node.links.asked();
        let of_liar = asked.iter().filter(|(peer, _)| *peer == node.liar());
        assert!(of_liar.count() <= 2, "those under way at once: {asked:?}");
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

#[tokio::test(flavor = "multi_thread")]
async fn blocks_come_from_several_peers_at_once_and_each_is_asked_for_once() {
    let (_source_folder, source) = grown_chain(1_000);
    let node = behind();
    for peer in 0..3 {
        node.links
            .connect(key(peer), Height(1_000), honest(&source));
    }
    node.sync.catch_up().await;
    assert_eq!(node.chain.head().height, Height(1_000));
    let asked = node.links.asked();
    let peers: BTreeSet<_> = asked.iter().map(|(peer, _)| *peer).collect();
    let heights: BTreeSet<_> = asked.iter().map(|(_, from)| *from).collect();
    assert_eq!(peers.len(), 3);
    assert_eq!(heights.len(), asked.len(), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_peer_alone_serves_three_nodes_that_lost_everything() {
    // Besu's sync went round in circles here.
    let (_source_folder, source) = grown_chain(300);
    let wiped: Vec<_> = (0..3).map(|_| behind()).collect();
    for node in &wiped {
        node.links
            .connect(key(HONEST), Height(300), honest(&source));
        // The others are there, with nothing.
        for other in 1..3 {
            let nothing = Box::new(|_| None);
            node.links.connect(key(other), Height::GENESIS, nothing);
        }
    }
    let [a, b, c] = wiped.as_slice() else {
        panic!("three nodes");
    };
    tokio::join!(a.sync.catch_up(), b.sync.catch_up(), c.sync.catch_up());
    for node in &wiped {
        assert_eq!(node.chain.head().height, Height(300));
        let asked: BTreeSet<_> = node.links.asked().into_iter().collect();
        assert_eq!(asked.len(), node.links.asked().len(), "nothing twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_peer_does_not_hold_the_import() {
    let (_source_folder, source) = grown_chain(200);
    let node = behind();
    let slow = Duration::from_secs(600);
    node.links.delays.lock().insert(node.liar(), slow);
    node.links
        .connect(node.liar(), Height(200), honest(&source));
    node.links
        .connect(key(HONEST), Height(200), honest(&source));
    let started = Instant::now();
    tokio::time::timeout(Duration::from_secs(30), node.sync.catch_up())
        .await
        .expect("the slow peer is passed by");
    assert_eq!(node.chain.head().height, Height(200));
    assert!(started.elapsed() < Duration::from_secs(20));
    assert!(
        node.links.disconnected().is_empty(),
        "it may have our votes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_that_drips_one_block_per_answer_is_left_alone() {
    let (_source_folder, source) = grown_chain(200);
    let node = behind();
    let old = source.clone();
    let drip = move |request: SyncRequest| {
        Some(serve(
            &old,
            SyncRequest {
                count: 1,
                ..request
            },
        ))
    };
    node.links.connect(node.liar(), Height(200), Box::new(drip));
    node.links
        .connect(key(HONEST), Height(200), honest(&source));
    node.sync.catch_up().await;
    assert_eq!(node.chain.head().height, Height(200));
    let asked = node.links.asked();
    let dripped = asked.iter().filter(|(peer, _)| *peer == node.liar());
    assert!(dripped.count() <= 3, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn catch_up_goes_on_where_it_stopped_when_all_peers_leave_half_way() {
    let (_source_folder, source) = grown_chain(400);
    let node = behind();
    let old = source.clone();
    let half = move |request: SyncRequest| (request.from.0 <= 190).then(|| serve(&old, request));
    node.links.connect(key(HONEST), Height(400), Box::new(half));
    node.sync.catch_up().await;
    let reached = node.chain.head().height;
    // The last answer began at 190 at most.
    assert!((190..=253).contains(&reached.0), "{reached}");
    node.links.peers.lock().clear();
    node.links.requests.lock().clear();
    node.links.connect(key(1), Height(400), honest(&source));
    node.sync.catch_up().await;
    assert_eq!(node.chain.head().height, Height(400));
    let asked = node.links.asked();
    assert!(asked.iter().all(|(_, from)| *from > reached.0), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_names_a_height_that_can_be_believed_and_a_speed() {
    let (_source_folder, source) = grown_chain(130);
    let node = behind();
    node.links
        .connect(node.liar(), Height(u64::MAX), Box::new(|_| None));
    for peer in 0..2 {
        node.links.connect(key(peer), Height(130), honest(&source));
    }
    let mut progress = node.progress.clone();
    node.sync.catch_up().await;
    let seen = progress.borrow_and_update().expect("there was some");
    assert_eq!((seen.started_at, seen.target), (Height(0), Height(130)));
    let speed = seen.blocks_per_second(Height(130), seen.started_ms + 500);
    assert_eq!(speed, Some(260.0));
    assert_eq!(seen.blocks_per_second(Height(0), seen.started_ms), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn raft_block_is_served_and_announced_only_once_a_majority_has_signed_it() {
    let (folder, source) = raft_chain();
    for signers in [0..3, 0..2, 0..3] {
        let (executed, _) = next_block(&source);
        let sealed = seal_by(&source, &executed.block.sealed, signers);
        source
            .commit(executed, &sealed, None, Written::IMPORTED)
            .unwrap();
    }
    let all = SyncRequest {
        from: Height(1),
        count: limits::SYNC_BLOCKS_MAX,
    };
    assert_eq!(source.status().height, Height(1));
    assert_eq!(serve(&source, all).blocks.len(), 1);
    let restarted = chain_on(&source.spec, source.store.clone());
    assert_eq!(restarted.status().height, Height(1));

    let node = behind_on(raft_chain());
    // It believes to have more than it can prove.
    node.links.connect(key(HONEST), Height(3), honest(&source));
    node.sync.catch_up().await;
    assert_eq!(node.chain.head().height, Height(1));
    assert!(node.links.disconnected().is_empty());

    let second = source.store.block_by_number(Height(2)).unwrap().unwrap();
    let whole = seal_by(&source, &second.sealed, 0..4);
    assert!(source.certify(Height(2), &whole).unwrap());
    assert_eq!(source.status().height, Height(3));
    assert_eq!(serve(&source, all).blocks.len(), 3);
    drop(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn block_below_a_majority_is_refused_from_whoever_sends_it() {
    let (_source_folder, source) = raft_chain();
    let (executed, _) = next_block(&source);
    let block = executed.block.sealed.encode().to_vec();
    let certificate = seal_by(&source, &executed.block.sealed, 0..2);
    let answer = move |_: SyncRequest| {
        let certified = medina_types::wire::CertifiedBlock {
            block: block.clone(),
            certificate: certificate.clone(),
            senders: Vec::new(),
        };
        Some(medina_types::wire::SyncResponse {
            blocks: vec![certified],
        })
    };
    let node = behind_on(raft_chain());
    node.links.connect(node.liar(), Height(1), Box::new(answer));
    node.sync.catch_up().await;
    assert_eq!(node.chain.head().height, Height::GENESIS);
    assert_eq!(node.links.disconnected(), [node.liar()]);
}

/// How long a node at genesis takes to fetch the one block that is announced.
async fn time_for_the_next_block(own_key: NodePublicKey) -> Duration {
    let (_source_folder, source) = grown_chain(1);
    let (_folder, chain) = chain();
    let links = Arc::new(FakeLinks::default());
    let driver = run_driver(&chain, idle_engine(&chain), links.clone());
    let sync = Sync::new(
        chain.clone(),
        driver.handle.clone(),
        links.clone(),
        own_key,
        Arc::default(),
    );
    links.connect(key(HONEST), Height(1), honest(&source));
    let started = Instant::now();
    sync.0.catch_up().await;
    assert_eq!(chain.head().height, Height(1));
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn follower_fetches_the_next_block_at_once_and_a_validator_leaves_it_to_consensus() {
    let grace = crate::sync::GRACE;
    assert!(time_for_the_next_block(key(3)).await >= grace);
    assert!(time_for_the_next_block(key(8)).await < grace);
}

#[tokio::test(flavor = "multi_thread")]
async fn body_that_the_header_does_not_name_costs_the_link_and_no_execution() {
    let (_source_folder, source) = grown_chain(5);
    let node = behind();
    let old = source.clone();
    let swapped = move |request| {
        let mut response = serve(&old, request);
        for certified in &mut response.blocks {
            let block = SealedBlock::decode(&certified.block).unwrap();
            let mut block = block.block().clone();
            block.body.ommers.push(Default::default());
            certified.block = SealedBlock::new(block).encode().to_vec();
        }
        Some(response)
    };
    node.links
        .connect(node.liar(), Height(5), Box::new(swapped));
    node.links.connect(key(HONEST), Height(5), honest(&source));
    assert_eq!(node.catch_up_twice().await, Height(5));
    let sent_away = node.links.disconnected();
    assert!(sent_away.iter().all(|peer| *peer == node.liar()));
}
