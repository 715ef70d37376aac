//! The `[private]` section of `config.toml`.

use alloy_primitives::B256;
use medina_enclave::EnclaveAddress;
use medina_types::{NodePublicKey, limits};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Transactions of one sender per minute, unless the section says otherwise.
const SENDER_PER_MINUTE: u32 = 600;
/// Blocks of whose private states a group's store keeps: a week of blocks a second.
const STATE_BLOCKS: u64 = 604_800;
/// Blocks by which pruning of the public history waits for a group that is behind.
const PRUNING_WAITS_BLOCKS: u64 = 1_000_000;
/// Groups of one other organisation that this node follows.
const GROUPS_PER_CREATOR: usize = 64;
/// Bytes of a state that is taken from other members: 16 GiB.
const SNAPSHOT_BYTES: u64 = 16 << 30;
/// Groups that may be named one by one.
const NAMED_GROUPS_MAX: usize = 1_024;
/// Parties that one node acts for.
const PARTIES_MAX: usize = 64;

/// Private transactions; without the section, or with `enabled = false`, the node
/// follows no private group and offers no private method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivateSection {
    /// Follow the private groups of the parties below.
    #[serde(default)]
    pub enabled: bool,
    /// Where keys and payloads are kept: `in-process`, or `unix:PATH` for an enclave
    /// that runs as a process of its own on this machine (`medina enclave run`), or
    /// `tls://HOST:PORT` for one on another.
    #[serde(default = "in_process")]
    pub enclave: String,
    /// How the enclave behind `tls://` and this node know each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSection>,
    /// File of the secp256k1 key that signs markers, in hexadecimal; made in the
    /// private folder at the first start if this is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker_key_file: Option<PathBuf>,
    /// Groups to follow, by who made them: `"all"`, `"own"` for those of the parties
    /// below, or a list of further organisations. Nobody asks a member whether it wants
    /// to be one; a group that is not followed costs nothing.
    #[serde(default)]
    pub follow: Follow,
    /// Groups that are followed whoever made them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<B256>,
    /// Organisations that this node acts for.
    #[serde(default, rename = "party")]
    pub parties: Vec<PartySection>,
    /// Bounds.
    #[serde(default)]
    pub limits: PrivateLimitsSection,
}

/// How a node and an enclave on another machine know each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    /// File of the node's key for this (`medina enclave key FILE`).
    pub key_file: PathBuf,
    /// Public key that the enclave proves.
    pub peer: NodePublicKey,
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

/// Whose groups are followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Follow {
    /// In one word.
    Word(FollowWord),
    /// Of this node's own parties and of these organisations.
    Organisations(Vec<B256>),
}

impl Default for Follow {
    fn default() -> Self {
        Self::Word(FollowWord::All)
    }
}

/// Whose groups are followed, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FollowWord {
    /// Everybody's.
    All,
    /// Those of this node's own parties.
    Own,
}

impl Follow {
    /// Whether groups of an organisation, not one of this node, are followed.
    pub(crate) fn takes(&self, creator: Option<B256>) -> bool {
        match self {
            Self::Word(FollowWord::All) => true,
            Self::Word(FollowWord::Own) => false,
            Self::Organisations(orgs) => creator.is_some_and(|org| orgs.contains(&org)),
        }
    }
}

/// Bounds of what this node takes from its own clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrivateLimitsSection {
    /// Bytes of one payload: call data or init code.
    pub payload_bytes: usize,
    /// Gas of one private transaction or call of its clients; as much as genesis says if
    /// this does not say less. What others send may use up to that in any case: all
    /// members must come to the same state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gas: Option<u64>,
    /// Private transactions of one sender per minute.
    pub sender_per_minute: u32,
    /// Groups that this node follows.
    pub groups: usize,
    /// Of them, groups that one other organisation made.
    pub groups_per_creator: usize,
    /// Bytes of a group's state that is taken from other members.
    pub snapshot_bytes: u64,
    /// Blocks of whose private states a group's store keeps; what contracts have
    /// overwritten before leaves the disk. Receipts stay.
    pub state_blocks: u64,
    /// Pruning of the public history waits for the slowest group up to so many
    /// blocks; a group further behind takes its state from other members.
    pub pruning_waits_blocks: u64,
}

impl Default for PrivateLimitsSection {
    fn default() -> Self {
        Self {
            payload_bytes: limits::PRIVATE_DATA_BYTES_MAX,
            gas: None,
            sender_per_minute: SENDER_PER_MINUTE,
            groups: limits::PRIVATE_GROUPS_MAX,
            groups_per_creator: GROUPS_PER_CREATOR,
            snapshot_bytes: SNAPSHOT_BYTES,
            state_blocks: STATE_BLOCKS,
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
            tls: None,
            marker_key_file: None,
            follow: Follow::default(),
            groups: Vec::new(),
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
    /// In a process of its own.
    Elsewhere(EnclaveAddress),
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
        if let Some(tls) = &mut self.tls {
            tls.key_file = folder.join(&tls.key_file);
        }
        if let Ok(EnclaveAddress::Unix(path)) = self.enclave.parse() {
            self.enclave = EnclaveAddress::Unix(folder.join(path)).to_string();
        }
    }

    /// Where the enclave is.
    pub(crate) fn place(&self) -> EnclavePlace {
        match self.enclave.parse() {
            Ok(address) => EnclavePlace::Elsewhere(address),
            Err(_) => EnclavePlace::InProcess,
        }
    }

    /// What is wrong with it, if anything is.
    pub(crate) fn fault(&self) -> Option<String> {
        if !self.enabled {
            return None;
        }
        self.fault_of_parties()
            .or_else(|| self.fault_of_groups())
            .or_else(|| self.fault_of_enclave())
            .or_else(|| self.limits.fault())
    }

    fn fault_of_enclave(&self) -> Option<String> {
        let enclave = &self.enclave;
        let place = self.place();
        if place == EnclavePlace::InProcess && *enclave != in_process() {
            return Some(format!(
                "private.enclave is {enclave:?}: say \"in-process\", \"unix:PATH\" or \"tls://HOST:PORT\""
            ));
        }
        let is_tls = matches!(place, EnclavePlace::Elsewhere(EnclaveAddress::Tls(_)));
        match (is_tls, self.tls.is_some()) {
            (true, false) => Some(format!(
                "private.enclave is {enclave:?} without [private.tls]: name key_file and peer"
            )),
            (false, true) => Some(format!(
                "[private.tls] is for an enclave at tls://HOST:PORT; private.enclave is {enclave:?}"
            )),
            _ => None,
        }
    }

    fn fault_of_groups(&self) -> Option<String> {
        let orgs = match &self.follow {
            Follow::Organisations(orgs) => orgs.len(),
            Follow::Word(_) => 0,
        };
        let (groups, max) = (self.groups.len(), NAMED_GROUPS_MAX);
        if orgs > max || groups > max {
            return Some(format!(
                "private.follow names {orgs} organisations and private.groups {groups} groups, at most {max}"
            ));
        }
        None
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
    /// Gas that its clients may use where genesis gives so much.
    pub(crate) fn gas_within(&self, genesis: u64) -> u64 {
        self.gas.map_or(genesis, |gas| gas.min(genesis))
    }

    fn fault(&self) -> Option<String> {
        let bounds = [
            (
                "payload_bytes",
                self.payload_bytes as u64,
                limits::PRIVATE_DATA_BYTES_MAX as u64,
            ),
            ("gas", self.gas.unwrap_or(u64::MAX), u64::MAX),
            (
                "groups",
                self.groups as u64,
                limits::PRIVATE_GROUPS_MAX as u64,
            ),
            (
                "groups_per_creator",
                self.groups_per_creator as u64,
                limits::PRIVATE_GROUPS_MAX as u64,
            ),
            ("snapshot_bytes", self.snapshot_bytes, u64::MAX),
            ("state_blocks", self.state_blocks, u64::MAX),
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
    fn groups_to_follow_are_said_in_a_word_or_one_by_one() {
        let (bank, stranger) = (B256::repeat_byte(7), B256::repeat_byte(8));
        let takes = |text: &str| {
            let follow = read(text).follow;
            (follow.takes(Some(bank)), follow.takes(Some(stranger)))
        };
        assert_eq!(takes(""), (true, true));
        assert_eq!(takes("follow = \"all\""), (true, true));
        assert_eq!(takes("follow = \"own\""), (false, false));
        assert_eq!(takes(&format!("follow = [\"{bank}\"]")), (true, false));
        assert!(toml::from_str::<PrivateSection>("follow = \"some\"").is_err());
        let section = read(&format!("follow = [\"{bank}\"]\ngroups = [\"{stranger}\"]"));
        let written = toml::to_string(&section).expect("a section");
        assert_eq!(read(&written), section);
    }

    #[test]
    fn socket_lies_beside_the_configuration() {
        let mut section = read("enclave = \"unix:enclave.sock\"");
        section.place_in(Path::new("/some/where"));
        let socket = PathBuf::from("/some/where/enclave.sock");
        let expected = EnclavePlace::Elsewhere(EnclaveAddress::Unix(socket));
        assert_eq!(section.place(), expected);
    }

    #[test]
    fn enclave_on_another_machine_needs_keys_of_both_sides() {
        let org = B256::repeat_byte(7);
        let peer = medina_types::NodeSecretKey::from_bytes([3; 32]).public_key();
        let party = format!("[[party]]\nname = \"a\"\norg = \"{org}\"\n");
        let tls = format!("[tls]\nkey_file = \"tls.key\"\npeer = \"{peer}\"\n");
        let section = |enclave: &str, tls: &str| {
            read(&format!(
                "enabled = true\nenclave = \"{enclave}\"\n{tls}{party}"
            ))
        };
        let mut whole = section("tls://enclave.example:7443", &tls);
        assert_eq!(whole.fault(), None);
        let written = toml::to_string(&whole).expect("a section");
        assert_eq!(read(&written), whole);
        whole.place_in(Path::new("/some/where"));
        let key_file = whole.tls.as_ref().map(|tls| tls.key_file.clone());
        assert_eq!(key_file, Some("/some/where/tls.key".into()));
        let place = EnclaveAddress::Tls("enclave.example:7443".into());
        assert_eq!(whole.place(), EnclavePlace::Elsewhere(place));
        for (wrong, word) in [
            (section("tls://enclave.example:7443", ""), "[private.tls]"),
            (section("unix:enclave.sock", &tls), "[private.tls]"),
            (section("tls://enclave.example", &tls), "tls://HOST:PORT"),
        ] {
            let fault = wrong.fault().expect("wrong");
            assert!(fault.contains(word), "{fault}");
        }
    }
}
