//! What the committed ABI says: functions that change something, errors by selector, and the
//! errors by which a contract says that something is not its caller's to do.

use alloy_primitives::keccak256;
use medina_contracts::artifacts;
use serde_json::Value;
use std::collections::BTreeMap;

/// The words by which contracts say that it is not one's own to do.
pub const NOT_YOURS: [&str; 20] = [
    "AccessManagedUnauthorized",
    "AccessManagerUnauthorizedAccount",
    "NotAdmin",
    "NotAllowed",
    "NotAssignee",
    "NotBuyer",
    "NotCertifier",
    "NotDelegate",
    "NotHolder",
    "NotInvited",
    "NotJudge",
    "NotMember",
    "NotOwner",
    "NotParty",
    "NotPermitted",
    "NotRecipient",
    "NotSeller",
    "NotSite",
    "NotSource",
    "OnlyModule",
];

/// First bytes of a call or of an error.
pub type Selector = [u8; 4];

/// A function that changes something.
#[derive(Clone, Debug)]
pub struct Changing {
    /// Its name alone.
    pub name: String,
    /// `name(types)`.
    pub signature: String,
    /// Its arguments as the ABI has them.
    pub inputs: Vec<Value>,
}

/// Those of one contract; `json` is its artifact.
///
/// # Panics
/// When that is no artifact.
#[must_use]
pub fn changing(json: &str) -> Vec<Changing> {
    let entries = entries(json, "function").into_iter();
    let changes =
        entries.filter(|entry| !matches!(entry["stateMutability"].as_str(), Some("view" | "pure")));
    changes
        .map(|entry| Changing {
            name: name_of(&entry).to_owned(),
            signature: signature(&entry),
            inputs: list(&entry["inputs"]).to_vec(),
        })
        .collect()
}

/// Names of all errors of all contracts.
#[must_use]
pub fn errors() -> BTreeMap<Selector, String> {
    let all = artifacts::all().into_iter();
    let errors = all.flat_map(|artifact| entries(artifact.json, "error"));
    errors
        .map(|error| (selector(&signature(&error)), name_of(&error).to_owned()))
        .collect()
}

/// `name(types)` of an entry of an ABI.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn signature(entry: &Value) -> String {
    format!("{}({})", name_of(entry), types(&entry["inputs"]))
}

/// First bytes of the signature's hash.
#[must_use]
pub fn selector(signature: &str) -> Selector {
    let hash = keccak256(signature);
    [hash[0], hash[1], hash[2], hash[3]]
}

/// The elements of a list, none of anything else.
#[must_use]
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn entries(json: &str, kind: &str) -> Vec<Value> {
    let artifact: Value = serde_json::from_str(json).expect("an artifact is JSON");
    let entries = list(&artifact["abi"]).iter();
    entries
        .filter(|entry| entry["type"] == kind)
        .cloned()
        .collect()
}

fn name_of(entry: &Value) -> &str {
    entry["name"].as_str().expect("what is called has a name")
}

fn types(inputs: &Value) -> String {
    let types: Vec<_> = list(inputs).iter().map(canonical).collect();
    types.join(",")
}

fn canonical(input: &Value) -> String {
    let name = input["type"].as_str().expect("an argument has a type");
    match name.strip_prefix("tuple") {
        Some(array) => format!("({}){array}", types(&input["components"])),
        None => name.to_owned(),
    }
}
