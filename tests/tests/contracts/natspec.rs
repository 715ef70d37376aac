//! Every external function of the suite is documented in its interface, and says what its numbers are counted in.

use medina_contracts::artifacts;
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

/// Words of which one must stand where a function takes or returns an amount, a time, a score or a share.
const UNITS: [&str; 24] = [
    "second",
    "seconds",
    " s ",
    " s,",
    "120 s",
    "minute",
    "hour",
    "day",
    "basis point",
    "base unit",
    "token unit",
    "gas",
    "bytes",
    "percent",
    "0..10000",
    "in units",
    "units of access",
    "whole unit",
    "times are",
    "all times",
    "amounts are",
    "number of",
    " min",
    " h ",
];

/// Types and names that have a unit: amounts, times and scores.
fn has_unit(parameter: &str) -> bool {
    let kind = parameter.split_whitespace().next().unwrap_or_default();
    let name = parameter.split_whitespace().last().unwrap_or_default();
    kind == "uint48"
        || kind == "uint128"
        || name.ends_with("Bps")
        || [
            "deadline", "expires", "until", "timeout", "interval", "amount", "value",
        ]
        .contains(&name)
}

struct Function {
    name: String,
    docs: String,
    parameters: Vec<String>,
}

/// Functions of an interface with the comment above each, and the comment above the interface.
fn read(path: &Path) -> (String, Vec<Function>) {
    let text = fs::read_to_string(path).expect("an interface");
    let mut docs: Vec<&str> = Vec::new();
    let mut title = String::new();
    let mut functions = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(doc) = line.strip_prefix("///") {
            docs.push(doc);
            continue;
        }
        if line.starts_with("interface ")
            || line.starts_with("abstract contract ")
            || line.starts_with("contract ")
        {
            title = docs.join(" ").to_lowercase();
        }
        if line.starts_with("function ") {
            let mut signature = line.to_owned();
            while !signature.contains(';') && !signature.contains('{') {
                signature.push(' ');
                signature.push_str(lines.next().expect("a signature ends").trim());
            }
            functions.push(function(&signature, &docs.join(" ")));
        }
        docs.clear();
    }
    (title, functions)
}

fn function(signature: &str, docs: &str) -> Function {
    let rest = signature.trim_start_matches("function ");
    let name = rest.split('(').next().unwrap_or_default().to_owned();
    let parameters = rest
        .split(['(', ')', ','])
        .skip(1)
        .map(|parameter| parameter.trim().to_owned())
        .filter(|parameter| parameter.contains(' ') || parameter.starts_with("uint"))
        .collect();
    Function {
        name,
        docs: docs.to_owned(),
        parameters,
    }
}

fn interfaces() -> BTreeMap<String, (String, Vec<Function>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/solidity/interfaces");
    let entries = fs::read_dir(folder).expect("the interfaces");
    entries
        .map(|entry| {
            let path = entry.expect("a file").path();
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, read(&path))
        })
        .collect()
}

#[test]
fn every_function_of_an_interface_says_what_it_does_and_in_what_units() {
    let mut bare = Vec::new();
    for (interface, (title, functions)) in interfaces() {
        assert!(title.contains("@title"), "{interface} has no title");
        for f in functions {
            if !f.docs.contains("@notice") {
                bare.push(format!("{interface}.{}: no @notice", f.name));
                continue;
            }
            let said = format!(" {title} {} ", f.docs.to_lowercase());
            let needs = f.parameters.iter().find(|parameter| has_unit(parameter));
            if let Some(parameter) = needs
                && !UNITS.iter().any(|unit| said.contains(unit))
            {
                bare.push(format!("{interface}.{}: in what is {parameter}?", f.name));
            }
        }
    }
    assert!(bare.is_empty(), "{bare:#?}");
}

/// What the suite inherits from OpenZeppelin, documented there.
const INHERITED: [&str; 30] = [
    "DOMAIN_SEPARATOR",
    "UPGRADE_INTERFACE_VERSION",
    "allowance",
    "approve",
    "authority",
    "balanceOf",
    "cap",
    "decimals",
    "eip712Domain",
    "initialize",
    "isConsumingScheduledOp",
    "name",
    "nonces",
    "permit",
    "proxiableUUID",
    "setAuthority",
    "symbol",
    "totalSupply",
    "transfer",
    "transferFrom",
    "upgradeToAndCall",
    "close",
    "open",
    "verify",
    "MANAGER",
    "isOpen",
    "BALLOTS",
    "propose",
    "vote",
    "execute",
];

/// The ABI has nothing that an interface does not document.
#[test]
fn every_function_of_the_abi_is_in_an_interface() {
    let interfaces = interfaces();
    for artifact in artifacts::all() {
        let Some((_, functions)) = interfaces.get(&format!("I{}", artifact.name)) else {
            continue;
        };
        let json: Value = serde_json::from_str(artifact.json).expect("an artifact is JSON");
        for entry in json["abi"].as_array().expect("an ABI is a list") {
            let name = entry["name"].as_str().unwrap_or_default();
            if entry["type"] != "function" || INHERITED.contains(&name) {
                continue;
            }
            let is_known = functions.iter().any(|f| f.name == name);
            assert!(is_known, "{}.{name} is documented nowhere", artifact.name);
        }
    }
}
