//! How fast a new node takes over a chain of empty blocks, certificates checked
//! at full quorum and every block executed.
//!
//! The chain is made here: real blocks by the executor, signed with the
//! validators' own keys, written to their databases. Making it through the
//! network would take hours.

use super::{Figure, load::processor_s, outage::nodes_of, watch::HeightWatch};
use alloy_primitives::Bytes;
use medina_execution::{BuildAttributes, Executor};
use medina_genesis::LoadedGenesis;
use medina_storage::{BlockCommit, OpenOptions, Store, SyncMode};
use medina_tests::processes::NetworkOfProcesses;
use medina_types::{
    Certificate, ConsensusEngine, HeightContext, NodeSecretKey, Round, commit_message,
};
use std::{path::Path, sync::Arc, time::Duration};

/// How long catching up may take at all.
const PATIENCE: Duration = Duration::from_secs(300);
const GOAL: f64 = 5_000.0;
/// Blocks that the clock does not count, until all workers are busy.
const START_UP: u64 = 1_000;

/// Why the chain could not be made.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Four validators, three with a chain of `count` empty blocks, one with nothing.
///
/// # Errors
/// When the chain cannot be made.
///
/// # Panics
/// When the network does not start.
pub async fn measure(count: u64, arguments: &[&str]) -> Result<Figure, BoxError> {
    let mut network = NetworkOfProcesses::create_with(4, arguments);
    let genesis = medina_genesis::load(&network.directory().join("genesis.json"))?;
    make_chain(&network, &genesis, count)?;
    for node in 1..3 {
        copy_folder(
            &network.node_folder(0).join("data"),
            &network.node_folder(node).join("data"),
        )?;
    }
    for node in 0..3 {
        network.run(node);
    }
    for node in 0..3 {
        network.ready(node).await;
    }
    let nodes = nodes_of(&network);
    let watch = HeightWatch::start(&nodes, 3);
    network.run(3);
    let end = watch.reaches(count, PATIENCE).await;
    let processor_s = network.pid(3).map(processor_s).unwrap_or_default();
    let first = watch.seen().into_iter().find(|(seen, _)| *seen >= START_UP);
    let name = format!("catch-up of {count} empty blocks");
    let (Some((already, first)), Some(end)) = (first, end) else {
        return Ok(Figure::at_least(
            name + " did not finish",
            0.0,
            GOAL,
            "blocks/s",
        ));
    };
    let took = (end - first).as_secs_f64().max(f64::EPSILON);
    let per_second = count.saturating_sub(already) as f64 / took;
    let each_us = processor_s * 1e6 / count as f64;
    let name = format!("{name} (processor time {each_us:.0} us each)");
    Ok(Figure::at_least(name, per_second, GOAL, "blocks/s"))
}

/// Writes the chain into the database of node 0.
fn make_chain(
    network: &NetworkOfProcesses,
    genesis: &LoadedGenesis,
    count: u64,
) -> Result<(), BoxError> {
    let keys = (0..network.len())
        .map(|node| {
            let text = std::fs::read_to_string(network.node_folder(node).join("node.key"))?;
            Ok(NodeSecretKey::from_hex(&text)?)
        })
        .collect::<Result<Vec<_>, BoxError>>()?;
    let data = network.node_folder(0).join("data");
    let store = Store::open(data, OpenOptions::default())?;
    store.initialize_genesis(&genesis.state())?;
    let executor = Executor::new(Arc::new(genesis.spec().clone()));
    for _ in 0..count {
        extend(&store, &executor, genesis, &keys)?;
    }
    store.flush()?;
    Ok(())
}

fn extend(
    store: &Store,
    executor: &Executor,
    genesis: &LoadedGenesis,
    keys: &[NodeSecretKey],
) -> Result<(), BoxError> {
    let head = store.head();
    let height = head.height.next();
    let context = &head.context;
    let proposer = context.proposer(height, Round(0)).operator;
    let attributes = BuildAttributes {
        beneficiary: proposer,
        timestamp_s: genesis.spec().genesis_header.timestamp,
        extra_data: Bytes::new(),
    };
    let built = executor.build(store, &head, &attributes, &mut || None, &mut || false)?;
    let hash = built.block.hash();
    let message = commit_message(genesis.spec().genesis_hash, height, Round(0), hash);
    let set = &context.validators;
    let quorum = ConsensusEngine::Qbft.quorum(set);
    let votes = keys.iter().take(quorum).filter_map(|key| {
        let index = set.index_of_key(&key.public_key())?;
        Some((index, key.sign(&message)))
    });
    let certificate = Certificate::new(Round(0), votes);
    let next: HeightContext = context.after(height, proposer, built.next_validators.clone());
    store.commit(BlockCommit {
        block: &built.block,
        receipts: &built.receipts,
        changes: &built.changes,
        root: built.root,
        certificate: &certificate,
        context: &next,
        consensus_record: None,
        sync: SyncMode::Deferred,
    })?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
