//! The public blockchain tests, and the golden blocks of Ethereum's executable
//! specification, through our own executor, store and trie.
//!
//! Data of others is not committed: it is looked for in `shared/ethereum-tests`
//! beside the repository, or where `MEDINA_EF_TESTS` says (a folder that holds
//! `BlockchainTests`).

use medina_ethereum_tests::{Outcome, Summary, run_paths};
use std::path::{Path, PathBuf};

fn run(folder: PathBuf) -> Summary {
    let summary = run_paths(&[folder], &|report| {
        if let Outcome::Failed(reason) = &report.outcome {
            eprintln!("{} {}: {reason}", report.file.display(), report.name);
        }
    });
    let summary = summary.expect("a folder that can be read");
    eprintln!("{summary}");
    summary
}

#[test]
fn public_blockchain_tests_pass() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = || crate_folder.join("../../../shared/ethereum-tests");
    let root = std::env::var_os("MEDINA_EF_TESTS").map_or_else(beside, PathBuf::from);
    let folder = root.join("BlockchainTests");
    if !folder.is_dir() {
        eprintln!(
            "skipped: no BlockchainTests beside the repository; MEDINA_EF_TESTS names another place"
        );
        return;
    }
    let summary = run(folder);
    assert!(summary.passed > 0, "an empty folder proves nothing");
    assert_eq!(summary.failed, 0);
    let others = &summary.other_reasons;
    assert!(others.is_empty(), "refused in other words: {others:?}");
}

#[test]
fn golden_blocks_of_the_executable_specification_pass() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let summary = run(crate_folder.join("../executable_specification/blocks"));
    assert!(summary.passed > 0, "no golden blocks");
    assert_eq!((summary.failed, summary.skipped_count()), (0, 0));
}
