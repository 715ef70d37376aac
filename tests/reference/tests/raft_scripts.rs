//! Scripts of etcd/raft against the `raft` crate that Medina uses.
//!
//! The quorum and configuration change scripts come with the crate's source.
//! `MEDINA_RAFT_SCRIPTS` may name a checkout of etcd-io/raft instead, whose
//! interaction scripts are run too.

use medina_reference_checker::scripts::{Results, Suite};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

const PATH_VARIABLE: &str = "MEDINA_RAFT_SCRIPTS";

/// Interaction scripts whose end the crate does not reach, and why.
const KNOWN_DIFFERENCES: [(&str, &str); 5] = [
    (
        "snapshot_succeed_via_app_resp.txt",
        "the crate probes after a snapshot until the next entry; Go replicates at once",
    ),
    (
        "confchange_v1_remove_leader.txt",
        "a leader that has removed itself and commits further panics in the crate",
    ),
    (
        "heartbeat_resp_recovers_from_probing.txt",
        "the crate probes on until the next entry; Go recovers by a heartbeat",
    ),
    (
        "slow_follower_after_compaction.txt",
        "the crate probes on until the next entry; Go recovers by an answer",
    ),
    (
        "snapshot_succeed_via_app_resp_behind.txt",
        "the crate waits for the snapshot's own index; Go for any that the log has",
    ),
];

/// Source folder of the `raft` crate in cargo's registry.
fn crate_folder() -> Option<PathBuf> {
    let arguments = ["metadata", "--format-version", "1", "--offline"];
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output = Command::new(std::env::var_os("CARGO")?)
        .args(arguments)
        .args(["--manifest-path", manifest])
        .output()
        .ok()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    let packages = metadata["packages"].as_array()?;
    let raft = packages.iter().find(|package| package["name"] == "raft")?;
    let manifest = Path::new(raft["manifest_path"].as_str()?);
    Some(manifest.parent()?.join("src"))
}

fn run(suite: Suite, folder: &Path) -> Vec<Results> {
    if !folder.is_dir() {
        eprintln!("skipped: no folder {}", folder.display());
        return Vec::new();
    }
    let results = suite.run(folder).expect("scripts can be read");
    for result in &results {
        eprintln!("{result}");
    }
    let sum = |count: fn(&Results) -> usize| results.iter().map(count).sum::<usize>();
    eprintln!(
        "{suite:?}: {} files; commands: {} passed, {} failed, {} skipped",
        results.len(),
        sum(|one| one.passed),
        sum(|one| one.failed.len()),
        sum(|one| one.skipped.len())
    );
    results
}

fn assert_passed(results: &[Results]) {
    let failed: Vec<_> = results
        .iter()
        .filter(|one| !one.failed.is_empty())
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn quorum_and_configuration_scripts_of_the_crate_pass() {
    let Some(folder) = crate_folder() else {
        println!("skipped: cargo does not say where the raft crate's source is");
        return;
    };
    assert_passed(&run(Suite::Quorum, &folder.join("quorum/testdata")));
    assert_passed(&run(Suite::ConfChange, &folder.join("confchange/testdata")));
}

#[test]
fn scripts_of_the_original_pass() {
    let Some(folder) = std::env::var_os(PATH_VARIABLE).map(PathBuf::from) else {
        println!("skipped: {PATH_VARIABLE} does not name a checkout of etcd-io/raft");
        return;
    };
    assert_passed(&run(Suite::Quorum, &folder.join("quorum/testdata")));
    assert_passed(&run(Suite::ConfChange, &folder.join("confchange/testdata")));
    let results = run(Suite::Interaction, &folder.join("testdata"));
    assert!(!results.is_empty(), "no scripts in {}", folder.display());
    for (name, why) in KNOWN_DIFFERENCES {
        println!("known difference: {name}: {why}");
        let known = results.iter().find(|one| one.name == name);
        let is_gone = known.is_some_and(|one| one.failed.is_empty());
        assert!(!is_gone, "{name} passes now: remove it from the list");
    }
    let unknown: Vec<_> = results
        .iter()
        .filter(|one| !one.failed.is_empty())
        .filter(|one| KNOWN_DIFFERENCES.iter().all(|(name, _)| *name != one.name))
        .collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}
