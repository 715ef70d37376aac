//! Calls made from the committed ABI: every function that changes something, with arguments that
//! name things which are there.

use alloy_primitives::{Address, B256, U256, keccak256};
use medina_contracts::{ContractAddresses, artifacts};
use serde_json::Value;
use std::collections::BTreeMap;

/// Bytes of a word.
const WORD: usize = 32;
/// Length of what stands for a signature: 20-byte signer and 65 bytes.
const SIGNATURE_BYTES: usize = 85;

/// What arguments of certain names are; all other numbers are 1.
pub(crate) struct Known {
    /// By the argument's name.
    pub(crate) words: BTreeMap<&'static str, B256>,
    /// For `target`: a contract of the suite.
    pub(crate) target: Address,
    /// For every other address.
    pub(crate) account: Address,
    /// For deadlines and ends.
    pub(crate) later: u64,
}

/// One function, and where it is called.
pub(crate) struct Function {
    /// `Contract.name`.
    pub(crate) name: String,
    pub(crate) at: Address,
    signature: String,
    inputs: Vec<Value>,
}

/// Every function that is neither a view nor pure, of every contract that lies on chain.
pub(crate) fn functions(contracts: &ContractAddresses) -> Vec<Function> {
    let mut functions = Vec::new();
    for artifact in artifacts::all() {
        let Some(at) = address_of(contracts, artifact.name) else {
            continue;
        };
        let abi = &parsed(artifact.json)["abi"];
        for entry in list(abi) {
            let reads = matches!(entry["stateMutability"].as_str(), Some("view" | "pure"));
            if entry["type"] != "function" || reads {
                continue;
            }
            let inputs = list(&entry["inputs"]).to_vec();
            let name = entry["name"].as_str().unwrap();
            let types: Vec<_> = inputs.iter().map(canonical).collect();
            functions.push(Function {
                name: format!("{}.{name}", artifact.name),
                at,
                signature: format!("{name}({})", types.join(",")),
                inputs,
            });
        }
    }
    functions
}

/// Names of all errors of all contracts, by selector.
pub(crate) fn errors() -> BTreeMap<[u8; 4], String> {
    let mut errors = BTreeMap::new();
    for artifact in artifacts::all() {
        for entry in list(&parsed(artifact.json)["abi"]) {
            if entry["type"] == "error" {
                let name = entry["name"].as_str().unwrap();
                let types: Vec<_> = list(&entry["inputs"]).iter().map(canonical).collect();
                let signature = format!("{name}({})", types.join(","));
                errors.insert(selector(&signature), name.to_owned());
            }
        }
    }
    errors
}

impl Function {
    /// The call, with an argument for every input.
    pub(crate) fn call(&self, known: &Known) -> Vec<u8> {
        let arguments = self.inputs.iter().map(|input| known.encode(input));
        [&selector(&self.signature)[..], &tuple(arguments.collect())].concat()
    }
}

/// Where an artifact's functions are called; halves of a contract at the whole.
fn address_of(contracts: &ContractAddresses, artifact: &str) -> Option<Address> {
    let name = match artifact {
        "MarketOrders" => "DataMarketplace",
        "FederationBallots" => "FederationRegistry",
        other => other,
    };
    let named = contracts.named();
    let found = named.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, at)| at)
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn selector(signature: &str) -> [u8; 4] {
    let hash = keccak256(signature);
    [hash[0], hash[1], hash[2], hash[3]]
}

fn canonical(input: &Value) -> String {
    let name = input["type"].as_str().unwrap();
    match name.strip_prefix("tuple") {
        Some(array) => {
            let parts: Vec<_> = list(&input["components"]).iter().map(canonical).collect();
            format!("({}){array}", parts.join(","))
        }
        None => name.to_owned(),
    }
}

/// An encoded value, and whether its length is its own.
struct Encoded {
    is_dynamic: bool,
    bytes: Vec<u8>,
}

/// Heads, then tails.
fn tuple(parts: Vec<Encoded>) -> Vec<u8> {
    let width = |part: &Encoded| {
        if part.is_dynamic {
            WORD
        } else {
            part.bytes.len()
        }
    };
    let mut offset: usize = parts.iter().map(width).sum();
    let (mut heads, mut tails) = (Vec::new(), Vec::new());
    for part in parts {
        if part.is_dynamic {
            heads.extend(U256::from(offset).to_be_bytes::<WORD>());
            offset += part.bytes.len();
            tails.extend(part.bytes);
        } else {
            heads.extend(part.bytes);
        }
    }
    [heads, tails].concat()
}

impl Known {
    fn encode(&self, input: &Value) -> Encoded {
        let kind = input["type"].as_str().unwrap();
        if let Some(element) = kind.strip_suffix("[]") {
            let mut one = input.clone();
            one["type"] = element.into();
            let bytes = [
                U256::ONE.to_be_bytes::<WORD>().to_vec(),
                tuple(vec![self.encode(&one)]),
            ];
            return Encoded {
                is_dynamic: true,
                bytes: bytes.concat(),
            };
        }
        match kind {
            "tuple" => {
                let parts: Vec<_> = list(&input["components"])
                    .iter()
                    .map(|part| self.encode(part))
                    .collect();
                Encoded {
                    is_dynamic: parts.iter().any(|part| part.is_dynamic),
                    bytes: tuple(parts),
                }
            }
            "bytes" | "string" => {
                let mut bytes = U256::from(SIGNATURE_BYTES).to_be_bytes::<WORD>().to_vec();
                bytes.extend(self.account.as_slice());
                bytes.resize(WORD + SIGNATURE_BYTES.next_multiple_of(WORD), 0);
                Encoded {
                    is_dynamic: true,
                    bytes,
                }
            }
            _ => Encoded {
                is_dynamic: false,
                bytes: self.word(kind, input["name"].as_str().unwrap_or_default()),
            },
        }
    }

    fn word(&self, kind: &str, name: &str) -> Vec<u8> {
        let name = name.trim_end_matches('_');
        let word = match (kind, self.words.get(name)) {
            ("address", _) if name == "target" => self.target.into_word(),
            ("address", _) => self.account.into_word(),
            (_, Some(word)) if kind == "bytes32" => *word,
            ("bytes32", None) => keccak256(name),
            ("bytes4", _) => B256::ZERO,
            (_, _) if ["deadline", "expires", "until", "timeout", "end"].contains(&name) => {
                U256::from(self.later).into()
            }
            _ => U256::ONE.into(),
        };
        word.to_vec()
    }
}
