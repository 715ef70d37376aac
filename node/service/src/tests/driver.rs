//! The order of the driver's deeds, and what it imports.

use super::support::*;
use crate::{driver::ImportError, fatal::Fatal};
use medina_consensus::{Input, Output};
use medina_types::{Block, Certificate, Height, Round, SealedBlock};
use std::sync::Arc;

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
    let blocks = (1..=3).map(|height| stored(&source, height)).collect();
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
    let gap = driver.handle.import(vec![stored(&source, 2)]).await;
    assert!(matches!(gap, Err(ImportError::NotNext { .. })), "{gap:?}");
    let unsealed = vec![(first.clone(), Certificate::new(Round::ZERO, []))];
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
        .import(vec![(swapped, certificate.clone())])
        .await;
    assert!(
        matches!(swapped, Err(ImportError::OtherBody(_))),
        "{swapped:?}"
    );
    let imported = driver.handle.import(vec![(first, certificate)]).await;
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
    let result = driver.handle.import(vec![(block, certificate)]).await;
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
