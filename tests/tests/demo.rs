//! `medina demo` as a newcomer runs it: four processes, a gateway, a kill.

use medina_tests::processes::medina_binary;
use serde_json::Value;
use std::{
    fmt::Write as _,
    path::Path,
    process::{Command, Output},
};

/// Hourly readings of two sensors, with one missing value and a text column.
fn readings(rows: u32) -> String {
    let mut text = String::from("time,station,temperature,humidity\n");
    for row in 0..rows {
        let humidity = if row == 3 {
            "NA".to_owned()
        } else {
            format!("{}.5", 40 + row % 20)
        };
        let (day, hour) = (1 + row / 24, row % 24);
        writeln!(
            text,
            "2026-03-{day:02}T{hour:02}:00:00Z,harbour,{}.25,{humidity}",
            5 + row % 10
        )
        .expect("writing to memory");
    }
    text
}

fn demo(folder: &Path, csv: &str, more: &[&str]) -> Output {
    let file = folder.join("readings.csv");
    std::fs::write(&file, csv).expect("a writable folder");
    Command::new(medina_binary())
        .arg("demo")
        .arg("--readings")
        .arg(&file)
        .arg("--report")
        .arg(folder.join("report.json"))
        .args(more)
        .output()
        .expect("the binary can be started")
}

#[test]
fn whole_story_holds_and_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let output = demo(folder.path(), &readings(48), &[]);
    let errors = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{errors}");

    let report = std::fs::read(folder.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    for step in report["steps"].as_array().unwrap() {
        assert_eq!(step["ok"], true, "{step}");
        assert!(step["name"].is_string() && step["ms"].is_number(), "{step}");
    }
    let readings = &report["readings"];
    assert_eq!(readings["rows"], 48);
    assert_eq!(readings["accepted"], 95);
    assert_eq!(readings["skipped"], 1);
    assert_eq!(readings["anchored"], 95);
    assert_eq!(readings["verified"], 95);

    let amount =
        |name: &str| -> u128 { report["payment"][name].as_str().unwrap().parse().unwrap() };
    assert_eq!(
        amount("buyer_before") - amount("buyer_after"),
        amount("price")
    );
    let earned = amount("seller_after") - amount("seller_before");
    assert!(earned > 0 && earned <= amount("price"));
    let trust = |name: &str| report["trust"][name].as_f64().unwrap();
    assert!(trust("after") > trust("before"));
    for fact in ["issued", "consumed", "second_use_refused"] {
        assert_eq!(report["coupon"][fact], true, "{fact}");
    }
    let nodes = report["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 4);
    for node in nodes {
        for field in ["height", "head_hash", "state_root"] {
            assert_eq!(node[field], nodes[0][field], "{field}");
        }
    }
}

#[test]
fn broken_row_is_named_by_its_line_and_fails_unless_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let broken = readings(48).replacen("2026-03-01T05:00:00Z", "yesterday", 1);
    let output = demo(folder.path(), &broken, &[]);
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("line 7"), "{errors}");

    let output = demo(folder.path(), &broken, &["--skip-bad"]);
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{errors}");
}
