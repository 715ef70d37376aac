//! Names and signatures against the specification's list, sizes against the limits.

use crate::harness::Chain;
use medina_contracts::artifacts;
use medina_tests::abi::signature;
use serde_json::Value;
use std::{collections::BTreeSet, path::Path};

/// Deployed code above this many bytes belongs into a library.
const CODE_BYTES_MAX: usize = 22 * 1024;

/// Functions and events by signature, errors by name, as the specification lists them.
fn canonical(abi: &Value, kind: &str) -> BTreeSet<String> {
    let entries = abi
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["type"] == kind);
    entries
        .map(|entry| {
            let name = entry["name"].as_str().unwrap();
            if kind == "error" {
                name.to_owned()
            } else {
                signature(entry)
            }
        })
        .collect()
}

#[test]
fn signatures_are_the_specifications() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/contracts-abi.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: the specification's list is not beside this checkout");
        return;
    };
    let specification: Value = serde_json::from_str(&text).unwrap();
    for (contract, expected) in specification.as_object().unwrap() {
        let artifact = artifacts::by_name(contract).expect("every contract of the list");
        let artifact: Value = serde_json::from_str(artifact.json).unwrap();
        for (list, kind) in [
            ("functions", "function"),
            ("events", "event"),
            ("errors", "error"),
        ] {
            let expected: BTreeSet<_> = expected[list]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap().to_owned())
                .collect();
            let found = canonical(&artifact["abi"], kind);
            let missing: Vec<_> = expected.difference(&found).collect();
            assert!(missing.is_empty(), "{contract} lacks {missing:?}");
            // An overload beside the specification's signature would be a misspelt one.
            let name_of = |signature: &str| signature.split('(').next().unwrap().to_owned();
            for extra in found.difference(&expected) {
                let clash = expected.iter().find(|name| name_of(name) == name_of(extra));
                assert_eq!(clash, None, "{contract} has {extra}");
            }
        }
    }
}

#[test]
fn every_contract_is_below_the_size_limit() {
    let chain = Chain::new();
    for (name, address) in chain.at.named() {
        assert!(
            (1..=CODE_BYTES_MAX).contains(&chain.code_bytes(address)),
            "{name}"
        );
    }
    for artifact in artifacts::all() {
        assert!(
            (1..=CODE_BYTES_MAX).contains(&artifact.deployed_code.len()),
            "{}",
            artifact.name
        );
    }
}

#[test]
fn artifacts_have_the_promised_fields() {
    for artifact in artifacts::all() {
        let json: Value = serde_json::from_str(artifact.json).unwrap();
        assert_eq!(json["contractName"], artifact.name);
        assert_eq!(json["bytecode"], artifact.creation_code.to_string());
        assert_eq!(json["deployedBytecode"], artifact.deployed_code.to_string());
        assert!(json["abi"].is_array());
    }
}
