//! The whole story with four real processes: what `--report` promises holds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::Value;
use std::{path::Path, process::Command};

fn demo(folder: &Path, arguments: &[&str]) -> (bool, Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_medina"))
        .args([
            "demo",
            "--readings",
            "readings.csv",
            "--report",
            "report.json",
        ])
        .args(arguments)
        .current_dir(folder)
        // Its networks are made here, and must be gone at the end.
        .env("TMPDIR", folder)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let report = std::fs::read_to_string(folder.join("report.json")).unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let report = serde_json::from_str(&report).unwrap();
    (
        output.status.success(),
        report,
        String::from_utf8(printed).unwrap(),
    )
}

const READINGS: &str = "\
time,temperature,humidity,note
2024-03-01T10:00:00Z,20.5,40,a
2024-03-01T10:01:00Z,-200,41,b
2024-03-01T10:02:00Z,21,,c
2024-03-01T10:03:00Z,21.25,43,d
";

#[test]
fn story_is_told_and_every_step_holds() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("readings.csv"), READINGS).unwrap();
    let (ok, report, printed) = demo(folder.path(), &["--missing", "-200"]);
    assert!(ok, "{printed}");
    let steps = report["steps"].as_array().unwrap();
    assert!(steps.len() > 15 && steps.iter().all(|step| step["ok"] == true));
    let readings = &report["readings"];
    assert_eq!(
        (readings["rows"].as_u64(), readings["skipped"].as_u64()),
        (Some(4), Some(2))
    );
    for count in ["accepted", "anchored", "verified"] {
        assert_eq!(readings[count], 6, "{count}");
    }
    let amount = |name: &str| {
        report["payment"][name]
            .as_str()
            .unwrap()
            .parse::<u128>()
            .unwrap()
    };
    assert_eq!(
        amount("buyer_before") - amount("buyer_after"),
        amount("price")
    );
    assert!(amount("seller_after") > amount("seller_before"));
    assert_ne!(report["trust"]["before"], report["trust"]["after"]);
    for held in ["issued", "consumed", "second_use_refused"] {
        assert_eq!(report["coupon"][held], true, "{held}");
    }
    let nodes = report["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 4);
    assert!(
        nodes
            .iter()
            .all(|node| node["head_hash"] == nodes[0]["head_hash"]
                && node["state_root"] == nodes[0]["state_root"])
    );
    assert_eq!(left_behind(folder.path()), 0);
}

#[test]
fn broken_row_is_named_by_its_line_and_fails_the_demo() {
    let folder = tempfile::tempdir().unwrap();
    let broken = READINGS.replace("10:02:00Z,21", "yesterday,21");
    std::fs::write(folder.path().join("readings.csv"), broken).unwrap();
    let (ok, report, printed) = demo(folder.path(), &[]);
    assert!(!ok);
    assert!(
        printed.contains("line 4") && printed.contains("--skip-bad"),
        "{printed}"
    );
    assert_eq!(report["steps"][0]["ok"], false);
    assert_eq!(left_behind(folder.path()), 0);
}

/// Folders of networks that were not removed.
fn left_behind(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with("medina-demo")
        })
        .count()
}
