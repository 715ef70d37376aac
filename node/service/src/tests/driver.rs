//! The order of the driver's deeds, and what it imports.

use super::support::*;
use crate::{driver::ImportError, fatal::Fatal};
use medina_consensus::{Input, Output};
use medina_types::{Block, Certificate, Height, Round, SealedBlock};
use std::{sync::Arc, time::Duration};

fn persist(text: &str) -> Output {
    Output::Persist {
        record: text.as_bytes().to_vec(),
    }
}

fn broadcast(text: &str) -> Output {
    Output::Broadcast {
        bytes: text.as_bytes().to_vec(),
    }
}

fn said(text: &str, record: &str) -> Deed {
    Deed::Said(text.as_bytes().to_vec(), Some(record.as_bytes().to_vec()))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_before_the_record_that_allows_it_is_on_disk() {
    let (_folder, chain) = chain();
    let links = Arc::new(FakeLinks {
        store: Some(chain.store.clone()),
        ..FakeLinks::default()
    });
    let mut engine = idle_engine(&chain);
    let send = Output::Send {
        to: key(1),
        bytes: b"second".to_vec(),
    };
    engine.on_started = vec![persist("a"), broadcast("first"), persist("b"), send];
    let driver = run_driver(&chain, engine, links.clone());
    driver.handle.import(Vec::new()).await.unwrap();
    let deeds: Vec<_> = links.deeds.lock().drain(..).take(2).collect();
    assert_eq!(deeds, [said("first", "a"), said("second", "b")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn block_is_on_disk_before_the_engine_goes_on_and_old_orders_come_first() {
    let (_source_folder, source) = chain();
    let (executed, certificate) = next_block(&source);
    let block = executed.block.sealed.clone();
    let (_folder, chain) = chain();
    let links = Arc::new(FakeLinks {
        store: Some(chain.store.clone()),
        ..FakeLinks::default()
    });
    let mut engine = idle_engine(&chain);
    let commit = Output::Commit {
        block,
        certificate,
        record: None,
    };
    engine.on_started = vec![persist("height 1"), commit, broadcast("of height 1")];
    engine.on_decided = vec![persist("height 2"), broadcast("of height 2")];
    let told = engine.told.clone();
    let driver = run_driver(&chain, engine, links.clone());
    driver.handle.import(Vec::new()).await.unwrap();
    let expected = [
        Deed::Announced(Height(1)),
        said("of height 1", "height 1"),
        said("of height 2", "height 2"),
    ];
    assert_eq!(links.deeds.lock()[..3], expected);
    let told = told.lock();
    assert!(matches!(told[0], (Input::Started { .. }, Height(0))));
    let (Input::HeightDecided { height, head, .. }, stored) = &told[1] else {
        panic!("{told:?}");
    };
    assert_eq!(
        (*height, head.height, *stored),
        (Height(1), Height(1), Height(1))
    );
    assert!(matches!(told[2].0, Input::WorkWaiting { waiting: false }));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_imported_block_is_told_to_the_engine_in_order() {
    let (_source_folder, source) = grown_chain(3);
    let (_folder, chain) = chain();
    let engine = idle_engine(&chain);
    let told = engine.told.clone();
    let driver = run_driver(&chain, engine, Arc::default());
    let blocks = (1..=3)
        .map(|height| stored(&source, height).into())
        .collect();
    assert_eq!(driver.handle.import(blocks).await.unwrap(), Height(3));
    let decided: Vec<_> = told
        .lock()
        .iter()
        .filter_map(|(input, _)| match input {
            Input::HeightDecided { height, .. } => Some(height.0),
            _ => None,
        })
        .collect();
    assert_eq!(decided, [1, 2, 3]);
}

fn stored(chain: &crate::chain::Chain, height: u64) -> (SealedBlock, Certificate) {
    let height = Height(height);
    let block = chain.store.block_by_number(height).unwrap().unwrap();
    (
        block.sealed,
        chain.store.certificate(height).unwrap().unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_blocks_are_refused_and_the_node_goes_on() {
    let (_source_folder, source) = grown_chain(2);
    let (_folder, chain) = chain();
    let driver = run_driver(&chain, idle_engine(&chain), Arc::default());
    let (first, certificate) = stored(&source, 1);
    let gap = driver.handle.import(vec![stored(&source, 2).into()]).await;
    assert!(matches!(gap, Err(ImportError::NotNext { .. })), "{gap:?}");
    let unsealed = vec![(first.clone(), Certificate::new(Round::ZERO, [])).into()];
    let unsealed = driver.handle.import(unsealed).await;
    assert!(
        matches!(unsealed, Err(ImportError::BadCertificate { .. })),
        "{unsealed:?}"
    );
    let mut block: Block = first.block().clone();
    block.body.ommers.push(Default::default());
    let swapped = SealedBlock::new(block);
    assert_eq!(swapped.hash(), first.hash());
    let swapped = driver
        .handle
        .import(vec![(swapped, certificate.clone()).into()])
        .await;
    assert!(
        matches!(swapped, Err(ImportError::OtherBody(_))),
        "{swapped:?}"
    );
    let imported = driver
        .handle
        .import(vec![(first, certificate).into()])
        .await;
    assert_eq!(imported.unwrap(), Height(1));
    driver.stop.send_replace(true);
    driver.task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn block_of_a_quorum_that_does_not_hold_here_stops_the_node() {
    let (_source_folder, source) = chain();
    let (executed, _) = next_block(&source);
    let mut block = executed.block.sealed.block().clone();
    block.header.state_root.0[0] ^= 1;
    let block = SealedBlock::new(block);
    let certificate = seal(&source, &block);
    let (_folder, chain) = chain();
    let driver = run_driver(&chain, idle_engine(&chain), Arc::default());
    let result = driver
        .handle
        .import(vec![(block, certificate).into()])
        .await;
    assert!(matches!(result, Err(ImportError::Stopped)), "{result:?}");
    let fatal = driver.task.await.unwrap().expect_err("stopped");
    assert!(
        matches!(
            fatal,
            Fatal::CertifiedBlockInvalid {
                height: Height(1),
                ..
            }
        ),
        "{fatal}"
    );
    assert_eq!(chain.head().height, Height::GENESIS);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_last_of_several_records_is_written_unless_something_left_between() {
    let (_folder, chain) = chain();
    let links = Arc::new(FakeLinks {
        store: Some(chain.store.clone()),
        ..FakeLinks::default()
    });
    let mut engine = idle_engine(&chain);
    let timer = Output::SetTimer {
        timer: medina_consensus::Timer::Round,
        after: Duration::from_secs(100),
    };
    engine.on_started = vec![
        persist("a"),
        timer.clone(),
        persist("b"),
        broadcast("first"),
        persist("c"),
        timer,
        broadcast("second"),
    ];
    let driver = run_driver(&chain, engine, links.clone());
    driver.handle.import(Vec::new()).await.unwrap();
    let deeds: Vec<_> = links.deeds.lock().drain(..).take(2).collect();
    assert_eq!(deeds, [said("first", "b"), said("second", "c")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn record_of_a_commit_counts_although_sync_was_faster() {
    let (_source_folder, source) = grown_chain(1);
    let (_folder, chain) = chain();
    let (block, certificate) = stored(&source, 1);
    let mut engine = idle_engine(&chain);
    engine.on_decided = vec![Output::Commit {
        block: block.clone(),
        certificate: certificate.clone(),
        record: Some(b"applied".to_vec()),
    }];
    let driver = run_driver(&chain, engine, Arc::default());
    let imported = driver
        .handle
        .import(vec![(block, certificate).into()])
        .await;
    assert_eq!(imported.unwrap(), Height(1));
    let record = chain.store.consensus_record().unwrap();
    assert_eq!(record.as_deref(), Some(&b"applied"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn decided_block_that_the_chain_has_by_now_is_valid_and_another_of_its_height_is_not() {
    let (_source_folder, source) = grown_chain(1);
    let (block, certificate) = stored(&source, 1);
    let mut other = block.block().clone();
    other.header.timestamp += 1;
    let other = SealedBlock::new(other);
    let (_folder, chain) = chain();
    let mut engine = idle_engine(&chain);
    let check = |block: &SealedBlock| Output::CheckDecided {
        block: block.clone(),
    };
    engine.on_decided = vec![check(&block), check(&other)];
    let told = engine.told.clone();
    let driver = run_driver(&chain, engine, Arc::default());
    let import = driver
        .handle
        .import(vec![(block.clone(), certificate).into()]);
    assert_eq!(import.await.unwrap(), Height(1));
    let answers = || {
        let told = told.lock();
        let answers = told.iter().filter_map(|(input, _)| match input {
            Input::BlockChecked { hash, valid } => Some((*hash, *valid)),
            _ => None,
        });
        answers.collect::<std::collections::BTreeMap<_, _>>()
    };
    while answers().len() < 2 {
        tokio::task::yield_now().await;
    }
    let expected = [(block.hash(), true), (other.hash(), false)];
    assert_eq!(answers(), expected.into());
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_that_comes_later_replaces_the_first_and_is_announced() {
    let (_folder, chain) = raft_chain();
    let (executed, _) = next_block(&chain);
    let block = executed.block.sealed.clone();
    let (own, whole) = (seal_by(&chain, &block, 3..4), seal_by(&chain, &block, 1..4));
    let links = Arc::new(FakeLinks::default());
    let mut engine = idle_engine(&chain);
    engine.on_started = vec![Output::Commit {
        block,
        certificate: own,
        record: None,
    }];
    engine.on_decided = vec![Output::Certify {
        height: Height(1),
        certificate: whole.clone(),
    }];
    let driver = run_driver(&chain, engine, links.clone());
    driver.handle.import(Vec::new()).await.unwrap();
    let announced: Vec<_> = links.deeds.lock().drain(..).take(2).collect();
    let expected = [Height(0), Height(1)].map(Deed::Announced);
    assert_eq!(announced, expected);
    assert_eq!(
        chain.store.certificate(Height(1)).unwrap(),
        Some(whole.clone())
    );
    assert_eq!(chain.head().certificate, Some(whole));
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_met_at_genesis_are_named_to_the_engine_once_the_chain_has_begun() {
    let (_source_folder, source) = grown_chain(2);
    let (_folder, chain) = chain();
    let links = Arc::new(FakeLinks::default());
    links.connect(key(1), Height(2), honest(&source));
    links.connect(key(9), Height(2), honest(&source));
    let engine = idle_engine(&chain);
    let told = engine.told.clone();
    let driver = run_driver(&chain, engine, links);
    let blocks = (1..=2).map(|height| stored(&source, height).into());
    driver.handle.import(blocks.collect()).await.unwrap();
    let told = told.lock();
    let greeted: Vec<_> = told
        .iter()
        .filter_map(|(input, head)| match input {
            Input::PeerConnected { peer } => Some((*peer, head.0)),
            _ => None,
        })
        .collect();
    assert_eq!(greeted, [(key(1), 1)], "validators, once");
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_told_at_once_to_peers_that_no_vote_reaches() {
    let (_source_folder, source) = grown_chain(1);
    let (_folder, chain) = chain();
    let links = Arc::new(FakeLinks::default());
    let nothing = || -> Answer { Box::new(|_| None) };
    let (validator, follower, ahead) = (key(1), key(8), key(9));
    links.connect(validator, Height(0), nothing());
    links.connect(follower, Height(0), nothing());
    links.connect(ahead, Height(1), nothing());
    let driver = run_driver(&chain, idle_engine(&chain), links.clone());
    driver
        .handle
        .import(vec![stored(&source, 1).into()])
        .await
        .unwrap();
    let expected = [Deed::Announced(Height(1)), Deed::Told(follower, Height(1))];
    assert_eq!(*links.deeds.lock(), expected);
}
