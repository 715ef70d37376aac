//! SIGKILL in the middle of commits. The test binary starts itself as a child
//! that commits blocks until it is killed; what it said was committed must be
//! there afterwards, whole.

use super::chain::{Chain, simple_model};
use super::pruning::assert_whole_after_a_kill;
use crate::{Kept, OpenOptions, StateReader, StorageError, Store, SyncMode};
use alloy_primitives::{Address, U256};
use medina_types::Height;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const FOLDER: &str = "MEDINA_STORAGE_TEST_FOLDER";
const MODE: &str = "MEDINA_STORAGE_TEST_MODE";
const PRUNED: &str = "MEDINA_STORAGE_TEST_PRUNED";
const BLOCKS_MAX: u64 = 1_000_000;

/// The child's part; without its environment it has nothing to do.
#[test]
fn child_commits_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let is_synced = std::env::var_os(MODE).is_some_and(|mode| mode == "synced");
    let sync = if is_synced {
        SyncMode::Synced
    } else {
        SyncMode::Deferred
    };
    let is_pruned = std::env::var_os(PRUNED).is_some();
    let mut chain = Chain::create(Path::new(&folder), simple_model(4, 0));
    for height in 1..BLOCKS_MAX {
        chain.extend(simple_model(4, height), &Default::default(), sync);
        if is_pruned {
            prune(&chain.store, height);
        }
        println!("committed {height}.");
    }
}

/// Now and then the mark moves; between every two blocks sweeps go a step on.
fn prune(store: &Store, height: u64) {
    if height.is_multiple_of(5) {
        let from = Height(height.saturating_sub(12));
        let kept = Kept {
            state_from: from,
            blocks_from: from,
        };
        store.keep_from(kept).unwrap();
    }
    store.sweep_history(40).unwrap();
    store.sweep_blocks(2).unwrap();
}

fn start_child(folder: &Path, mode: &str) -> Child {
    child_command(folder, mode).spawn().unwrap()
}

fn child_command(folder: &Path, mode: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "tests::crash::child_commits_until_it_is_killed",
            "--exact",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .env(MODE, mode)
        .stdout(Stdio::piped());
    command
}

/// Reads the child's output up to the block.
fn wait_for(child: &mut Child, height: u64) {
    let word = format!("committed {height}.");
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let found = lines.map(Result::unwrap).any(|line| line.contains(&word));
    assert!(found, "the child ended before block {height}");
}

fn assert_whole(store: &Store) {
    let head = store.head();
    let state = store.state();
    for index in 1..=4 {
        let address = Address::repeat_byte(index);
        let account = state.account(address).unwrap().unwrap();
        assert_eq!(account.balance, U256::from(head.height.0));
        let proof = store
            .proof_at(head.height, address, &[U256::from(index)])
            .unwrap();
        assert_eq!(proof.account, Some(account));
        assert_eq!(proof.storage_proofs[0].value, U256::from(head.height.0 + 1));
    }
    assert_eq!(
        store.consensus_record(),
        Ok(Some(head.height.0.to_be_bytes().to_vec()))
    );
    assert_eq!(
        store.block_by_number(head.height).unwrap().unwrap().hash(),
        head.hash
    );
    assert!(store.receipts(head.height).unwrap().is_some());
    assert_eq!(store.header_by_number(head.height.next()), Ok(None));
}

#[test]
fn killed_process_leaves_every_committed_block() {
    for mode in ["synced", "deferred"] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = start_child(folder.path(), mode);
        wait_for(&mut child, 20);
        let while_running = Store::open(folder.path(), OpenOptions::default());
        let locked = StorageError::Locked {
            path: folder.path().into(),
        };
        assert_eq!(while_running.err(), Some(locked), "{mode}");
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(folder.path(), OpenOptions::default()).unwrap();
        assert!(
            store.head().height >= Height(20),
            "{mode}: head {}",
            store.head().height
        );
        assert_whole(&store);
    }
}

#[test]
fn killed_in_the_middle_of_pruning_it_goes_on_where_it_stopped() {
    for (mode, height) in [("synced", 31), ("deferred", 58), ("deferred", 83)] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = child_command(folder.path(), mode);
        let mut child = command.env(PRUNED, "yes").spawn().unwrap();
        wait_for(&mut child, height);
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(folder.path(), OpenOptions::default()).unwrap();
        assert!(store.kept().state_from > Height(0), "{mode}");
        assert_whole(&store);
        assert_whole_after_a_kill(&store);
    }
}

/// Power loss in the middle of a write leaves the log's last record torn.
#[test]
fn torn_last_record_ends_the_chain_one_block_earlier() {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::create(folder.path(), simple_model(4, 0));
    for height in 1..=3 {
        chain.extend(
            simple_model(4, height),
            &Default::default(),
            SyncMode::Synced,
        );
    }
    // The files as they are while the store runs: closing it would tidy up.
    let copy = tempfile::tempdir().unwrap();
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let target = copy.path().join(entry.file_name());
        std::fs::copy(entry.path(), &target).unwrap();
        if target
            .extension()
            .is_some_and(|extension| extension == "log")
        {
            logs.push(target);
        }
    }
    let log = logs.iter().max().unwrap();
    let bytes = std::fs::read(log).unwrap();
    std::fs::write(log, &bytes[..bytes.len() - 9]).unwrap();
    let store = Store::open(copy.path(), OpenOptions::default()).unwrap();
    assert_eq!(store.head().height, Height(2));
    assert_whole(&store);
}
