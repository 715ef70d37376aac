//! The built command as people type it: what is printed, what is written, how it ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Output},
};

/// Runs `medina` in a folder, with nothing of the caller's settings.
fn medina(folder: &Path, line: &str, variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_medina"))
        .args(line.split_whitespace())
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .envs(variables.iter().copied())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

fn succeed(folder: &Path, line: &str, variables: &[(&str, &str)]) -> Value {
    let output = medina(folder, &format!("{line} --json"), variables);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn fail(folder: &Path, line: &str, variables: &[(&str, &str)]) -> String {
    let output = medina(folder, line, variables);
    assert!(!output.status.success(), "{line} succeeded");
    assert!(output.stdout.is_empty(), "{line} printed a result");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn network_is_made_once_and_extended() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let made = succeed(
        folder,
        "network new --validators 3 --dir net --base-port 9100 --chain-id 77",
        &[],
    );
    assert_eq!(
        (
            made["chainId"].as_u64(),
            made["nodes"].as_array().unwrap().len()
        ),
        (Some(77), 3)
    );
    assert_eq!(made["nodes"][2]["rpc"], "http://127.0.0.1:9120");
    assert!(folder.join("net/node-2/config.toml").exists());
    let error = fail(folder, "network new --validators 3 --dir net", &[]);
    assert!(error.contains("net exists already"), "{error}");
    let added = succeed(folder, "network add --dir net --follower", &[]);
    assert_eq!(
        (added["name"].as_str(), added["p2pPort"].as_u64()),
        (Some("node-3"), Some(9131))
    );
}

#[test]
fn failures_say_what_where_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (line, expected) in [
        (
            "node status --rpc http://127.0.0.1:9",
            ["127.0.0.1:9", "medina dev"],
        ),
        (
            "node status --rpc nonsense",
            ["nonsense", "http://HOST:PORT"],
        ),
        (
            "node run --config missing.toml",
            ["missing.toml", "No such file"],
        ),
        (
            "gateway run --config missing.toml",
            ["missing.toml", "No such file"],
        ),
        ("network add --dir .", ["network.toml", "No such file"]),
        (
            "network new --validators 4 --dir a --base-port 65530",
            ["65530", "below 65536"],
        ),
        (
            "validator list --rpc http://127.0.0.1:9",
            ["127.0.0.1:9", "medina dev"],
        ),
        ("validator vote 1 yes", ["no account", "medina account new"]),
        (
            "validator propose remove 0x12",
            ["0x12", "64 hexadecimal digits"],
        ),
        (
            "account sign --message hi",
            ["no account", "medina account new"],
        ),
        (
            "account import --private-key-file missing",
            ["missing", "No such file"],
        ),
        ("market buy 1 --account 0", ["keystore", "no number 0"]),
        (
            "coupon show --file missing.json",
            ["missing.json", "No such file"],
        ),
        (
            "demo --readings missing.csv",
            ["missing.csv", "No such file"],
        ),
    ] {
        let error = medina(folder, line, &[]);
        assert!(!error.status.success(), "{line} succeeded");
        let error = String::from_utf8(error.stderr).unwrap();
        for part in expected {
            assert!(error.contains(part), "{line}: {error}");
        }
        assert!(!error.contains("panicked"), "{line}: {error}");
    }
    assert!(!folder.join("a").exists());
}

#[test]
fn failure_is_one_json_document_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let error = fail(
        folder.path(),
        "--json node peers --rpc http://127.0.0.1:9",
        &[],
    );
    let error: Value = serde_json::from_str(&error).unwrap();
    assert!(error["error"].as_str().unwrap().contains("127.0.0.1:9"));
    assert!(error["hint"].is_string());
}

#[test]
fn account_is_kept_listed_and_signs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    let address = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
    std::fs::write(folder.join("key"), key).unwrap();
    std::fs::write(folder.join("password"), "open sesame\n").unwrap();
    let line = "account import --private-key-file key --password-file password";
    let kept = succeed(folder, line, &[]);
    assert_eq!(kept["address"].as_str().unwrap().to_lowercase(), address);
    let listed = succeed(folder, "account list", &[]);
    assert_eq!(listed.as_array().unwrap().len(), 1);

    let sign = "account sign --message hello --account 0";
    let from_keystore = succeed(folder, sign, &[("MEDINA_PASSWORD", "open sesame")]);
    let from_key = succeed(
        folder,
        "account sign --message hello",
        &[("MEDINA_PRIVATE_KEY", key)],
    );
    assert_eq!(from_keystore["signature"], from_key["signature"]);
    let error = fail(folder, sign, &[("MEDINA_PASSWORD", "wrong")]);
    assert!(error.contains("wrong password"), "{error}");
    assert!(fail(folder, sign, &[]).contains("--password-file"));
    assert!(fail(folder, line, &[]).contains("already in the keystore"));
}

#[test]
fn named_account_must_be_the_one_that_signs() {
    let folder = tempfile::tempdir().unwrap();
    let mnemonic = "test test test test test test test test test test test junk";
    let variables = [("MEDINA_MNEMONIC", mnemonic)];
    let second = succeed(
        folder.path(),
        "account sign --message a --account 1",
        &variables,
    );
    let address = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
    assert_eq!(second["address"].as_str().unwrap().to_lowercase(), address);
    let line = format!("account sign --message a --account {address}");
    assert_eq!(succeed(folder.path(), &line, &variables), second);
    let other = "account sign --message a --account 0x00000000000000000000000000000000000000aa";
    assert!(fail(folder.path(), other, &variables).contains("none of the first 100"));
}

#[test]
fn completion_scripts_name_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let script = medina(folder.path(), "completions bash", &[]);
    assert!(
        String::from_utf8(script.stdout)
            .unwrap()
            .contains("validator")
    );
}

#[test]
fn manual_has_a_page_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let written = succeed(folder.path(), "man --dir man", &[]);
    assert!(written["pages"].as_u64().unwrap() > 100, "{written}");
    for page in ["medina.1", "medina-market-buy.1", "medina-consent-grant.1"] {
        let text = std::fs::read_to_string(folder.path().join("man").join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}");
    }
    for shell in ["zsh", "fish"] {
        let script = medina(folder.path(), &format!("completions {shell}"), &[]);
        assert!(
            String::from_utf8(script.stdout)
                .unwrap()
                .contains("incident")
        );
    }
}
