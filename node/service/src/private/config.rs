//! The `[private]` section of `config.toml`.

use alloy_primitives::B256;
use medina_types::limits;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Transactions of one sender per minute, unless the section says otherwise.
const SENDER_PER_MINUTE: u32 = 600;
/// Blocks by which pruning of the public history waits for a group that is behind.
const PRUNING_WAITS_BLOCKS: u64 = 1_000_000;
/// Parties that one node acts for.
const PARTIES_MAX: usize = 64;
/// Prefix of an enclave that is a process of its own.
const UNIX: &str = "unix:";

/// Private transactions; without the section, or with `enabled = false`, the node
/// follows no private group and offers no private method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivateSection {
    /// Follow the private groups of the parties below.
    #[serde(default)]
    pub enabled: bool,
    /// Where keys and payloads are kept: `in-process`, or `unix:PATH` for an enclave
    /// that runs as a process of its own (`medina enclave run`).
    #[serde(default = "in_process")]
    pub enclave: String,
    /// File of the secp256k1 key that signs markers, in hexadecimal; made in the
    /// private folder at the first start if this is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker_key_file: Option<PathBuf>,
    /// Organisations that this node acts for.
    #[serde(default, rename = "party")]
    pub parties: Vec<PartySection>,
    /// Bounds.
    #[serde(default)]
    pub limits: PrivateLimitsSection,
}

/// An organisation that this node acts for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartySection {
    /// Its name on this node, in scopes of API keys and tokens (`psi://NAME`):
    /// letters, digits, `-` and `_`.
    pub name: String,
    /// Its identifier on the chain.
    pub org: B256,
}

/// Bounds of what this node takes from its own clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrivateLimitsSection {
    /// Bytes of one payload: call data or init code.
    pub payload_bytes: usize,
    /// Gas of one private transaction or call. Blocks of all members must come to
    /// the same state, so what others send may use up to the chain's own bound.
    pub gas: u64,
    /// Private transactions of one sender per minute.
    pub sender_per_minute: u32,
    /// Groups that this node follows.
    pub groups: usize,
    /// Pruning of the public history waits for the slowest group up to so many
    /// blocks; a group further behind takes its state from other members.
    pub pruning_waits_blocks: u64,
}

impl Default for PrivateLimitsSection {
    fn default() -> Self {
        Self {
            payload_bytes: limits::PRIVATE_DATA_BYTES_MAX,
            gas: limits::PRIVATE_GAS_MAX,
            sender_per_minute: SENDER_PER_MINUTE,
            groups: limits::PRIVATE_GROUPS_MAX,
            pruning_waits_blocks: PRUNING_WAITS_BLOCKS,
        }
    }
}

fn in_process() -> String {
    "in-process".to_owned()
}

impl Default for PrivateSection {
    fn default() -> Self {
        Self {
            enabled: false,
            enclave: in_process(),
            marker_key_file: None,
            parties: Vec::new(),
            limits: PrivateLimitsSection::default(),
        }
    }
}

/// Where the enclave is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EnclavePlace {
    /// In this process.
    InProcess,
    /// Behind this socket.
    Unix(PathBuf),
}

impl PrivateSection {
    /// Whether it says nothing, so that it need not be written.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Makes its paths relative to the working folder.
    pub(crate) fn place_in(&mut self, folder: &Path) {
        if let Some(file) = &mut self.marker_key_file {
            *file = folder.join(&*file);
        }
        if let Some(path) = self.enclave.strip_prefix(UNIX) {
            self.enclave = format!("{UNIX}{}", folder.join(path).display());
        }
    }

    /// Where the enclave is.
    pub(crate) fn place(&self) -> EnclavePlace {
        match self.enclave.strip_prefix(UNIX) {
            Some(path) => EnclavePlace::Unix(PathBuf::from(path)),
            None => EnclavePlace::InProcess,
        }
    }

    /// What is wrong with it, if anything is.
    pub(crate) fn fault(&self) -> Option<String> {
        if !self.enabled {
            return None;
        }
        self.fault_of_parties()
            .or_else(|| self.fault_of_enclave())
            .or_else(|| self.limits.fault())
    }

    fn fault_of_enclave(&self) -> Option<String> {
        let enclave = &self.enclave;
        let is_known = enclave == "in-process"
            || enclave
                .strip_prefix(UNIX)
                .is_some_and(|path| !path.is_empty());
        (!is_known)
            .then(|| format!("private.enclave is {enclave:?}: say \"in-process\" or \"unix:PATH\""))
    }

    fn fault_of_parties(&self) -> Option<String> {
        if self.parties.is_empty() {
            return Some(
                "private.enabled without a [[private.party]]: name the organisations that this node acts for"
                    .to_owned(),
            );
        }
        if self.parties.len() > PARTIES_MAX {
            let got = self.parties.len();
            return Some(format!("{got} private parties, at most {PARTIES_MAX}"));
        }
        let (mut names, mut orgs) = (BTreeSet::new(), BTreeSet::new());
        for PartySection { name, org } in &self.parties {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            if name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) {
                return Some(format!(
                    "private.party name {name:?}: 1 to 64 letters, digits, - and _"
                ));
            }
            if org.is_zero() {
                return Some(format!("private.party {name}: org is zero"));
            }
            if !names.insert(name) || !orgs.insert(org) {
                return Some(format!("private.party {name} ({org}) is named twice"));
            }
        }
        None
    }
}

impl PrivateLimitsSection {
    fn fault(&self) -> Option<String> {
        let bounds = [
            (
                "payload_bytes",
                self.payload_bytes as u64,
                limits::PRIVATE_DATA_BYTES_MAX as u64,
            ),
            ("gas", self.gas, limits::PRIVATE_GAS_MAX),
            (
                "groups",
                self.groups as u64,
                limits::PRIVATE_GROUPS_MAX as u64,
            ),
            (
                "sender_per_minute",
                self.sender_per_minute.into(),
                u32::MAX.into(),
            ),
        ];
        for (name, value, max) in bounds {
            if !(1..=max).contains(&value) {
                return Some(format!("private.limits.{name} is {value}: 1 to {max}"));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> PrivateSection {
        toml::from_str(text).expect("a section")
    }

    #[test]
    fn section_is_off_unless_enabled_and_then_names_its_parties() {
        assert_eq!(read(""), PrivateSection::default());
        assert_eq!(PrivateSection::default().fault(), None);
        let fault = read("enabled = true").fault().expect("no party");
        assert!(fault.contains("[[private.party]]"), "{fault}");
        let org = B256::repeat_byte(7);
        let section = read(&format!(
            "enabled = true\n[[party]]\nname = \"bank\"\norg = \"{org}\"\n"
        ));
        assert_eq!(section.fault(), None);
        assert_eq!(section.place(), EnclavePlace::InProcess);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let org = B256::repeat_byte(7);
        let party = |name: &str| format!("[[party]]\nname = \"{name}\"\norg = \"{org}\"\n");
        let table = [
            (format!("enabled = true\n{}", party("a b")), "letters"),
            (
                format!("enabled = true\n{}{}", party("a"), party("a")),
                "twice",
            ),
            (
                format!("enabled = true\nenclave = \"tcp:x\"\n{}", party("a")),
                "unix:PATH",
            ),
            (
                format!("enabled = true\nenclave = \"unix:\"\n{}", party("a")),
                "unix:PATH",
            ),
            (
                format!("enabled = true\n{}[limits]\ngas = 0\n", party("a")),
                "limits.gas",
            ),
            (
                format!(
                    "enabled = true\n{}[limits]\npayload_bytes = 999999999\n",
                    party("a")
                ),
                "payload_bytes",
            ),
        ];
        for (text, word) in table {
            let fault = read(&text).fault().expect("wrong");
            assert!(fault.contains(word), "{fault}");
        }
    }

    #[test]
    fn socket_lies_beside_the_configuration() {
        let mut section = read("enclave = \"unix:enclave.sock\"");
        section.place_in(Path::new("/some/where"));
        let expected = EnclavePlace::Unix(PathBuf::from("/some/where/enclave.sock"));
        assert_eq!(section.place(), expected);
    }
}
