//! Calls made from the committed ABI: every function that changes something, with arguments that
//! name things which are there.

use alloy_primitives::{Address, B256, U256, keccak256};
use medina_contracts::{ContractAddresses, artifacts};
use medina_tests::abi::{Changing, changing, list, selector};
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

/// Every function that changes something, of every contract that lies on chain.
pub(crate) fn functions(contracts: &ContractAddresses) -> Vec<Function> {
    let mut functions = Vec::new();
    for artifact in artifacts::all() {
        let Some(at) = address_of(contracts, artifact.name) else {
            continue;
        };
        for Changing {
            name,
            signature,
            inputs,
        } in changing(artifact.json)
        {
            functions.push(Function {
                name: format!("{}.{name}", artifact.name),
                at,
                signature,
                inputs,
            });
        }
    }
    functions
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
