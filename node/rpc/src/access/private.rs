//! Who may ask for what is private, and as which party.
//!
//! Nothing private is open to everybody, on loopback or elsewhere, and `*` for
//! everybody opens nothing of it. A key or token must open the method by itself,
//! and hold a scope for a party of this node, written as `GoQuorum` writes it:
//!
//! ```text
//! psi://clinic                              reads what the party clinic may read
//! psi://clinic?self.eoa=0x0                 and sends what any account has signed
//! psi://clinic?self.eoa=0xAB..&self.eoa=..  what these accounts have signed
//! psi://clinic?node.eoa=0x0                 and has the node's accounts sign
//! ```
//!
//! Erasing and storing payloads needs one of the latter three.

use alloy_primitives::Address;
use std::{collections::BTreeSet, fmt, sync::Arc};

use super::Access;

/// What a private scope begins with.
const SCHEME: &str = "psi://";
/// Characters of a party's name.
const NAME_CHARACTERS_MAX: usize = 64;
/// Accounts of one scope.
const ACCOUNTS_MAX: usize = 256;
/// Scopes of one key or token.
const SCOPES_MAX: usize = 64;

/// Methods of shared namespaces that are private, beside the whole of `priv`.
const PRIVATE_METHODS: [&str; 13] = [
    "debug_dumpAddress",
    "debug_privateStateRoot",
    "eth_decryptQuorumPayload",
    "eth_distributePrivateTransaction",
    "eth_getContractPrivacyMetadata",
    "eth_getPSI",
    "eth_getPrivateTransactionByHash",
    "eth_getPrivateTransactionReceipt",
    "eth_getQuorumPayload",
    "eth_getQuorumPayloadExtra",
    "eth_sendRawPrivateTransaction",
    "eth_storageRoot",
    "priv_getPrivacyPrecompileAddress",
];

/// Whether a method answers nobody without a private scope.
pub(crate) fn is_private(method: &str) -> bool {
    method.starts_with("priv_") || PRIVATE_METHODS.contains(&method)
}

/// Accounts that somebody may act for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Accounts {
    #[default]
    None,
    These(BTreeSet<Address>),
    Any,
}

impl Accounts {
    fn add(&mut self, account: Address) -> Result<(), &'static str> {
        match self {
            _ if account.is_zero() => *self = Self::Any,
            Self::Any => {}
            Self::None => *self = Self::These([account].into()),
            Self::These(accounts) if accounts.len() < ACCOUNTS_MAX => _ = accounts.insert(account),
            Self::These(_) => return Err("a private scope names too many accounts"),
        }
        Ok(())
    }

    fn contains(&self, account: Address) -> bool {
        match self {
            Self::None => false,
            Self::These(accounts) => accounts.contains(&account),
            Self::Any => true,
        }
    }
}

/// What somebody may do as one party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PrivateScope {
    /// The party's name on this node.
    pub(crate) psi: String,
    own: Accounts,
    of_node: Accounts,
}

impl PrivateScope {
    /// Reads `psi://NAME?self.eoa=…&node.eoa=…`; `None` for what is no such scope
    /// at all.
    pub(crate) fn read(entry: &str) -> Option<Result<Self, &'static str>> {
        entry.strip_prefix(SCHEME).map(Self::parse)
    }

    fn parse(rest: &str) -> Result<Self, &'static str> {
        let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !is_party_name(name) {
            return Err("psi:// is followed by the name of a party");
        }
        let mut scope = Self {
            psi: name.to_owned(),
            own: Accounts::None,
            of_node: Accounts::None,
        };
        for parameter in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let accounts = match name {
                "self.eoa" => &mut scope.own,
                "node.eoa" => &mut scope.of_node,
                _ => return Err("a private scope knows self.eoa and node.eoa"),
            };
            let no_account = "self.eoa and node.eoa are accounts, 0x0 for any";
            let account = match value {
                "0x0" => Address::ZERO,
                text => text.parse().map_err(|_| no_account)?,
            };
            accounts.add(account)?;
        }
        Ok(scope)
    }

    /// Whether it opens anything but reads.
    pub(crate) fn may_write(&self) -> bool {
        self.own != Accounts::None || self.of_node != Accounts::None
    }

    /// Whether transactions that this account signed may be sent.
    pub(crate) fn may_send_for(&self, account: Address) -> bool {
        self.own.contains(account)
    }

    /// Whether the node may sign with this account of its own.
    pub(crate) fn may_sign_with(&self, account: Address) -> bool {
        self.of_node.contains(account)
    }
}

/// Letters, digits, `-`, `_` and `.`: what needs no escaping in an address.
pub(crate) fn is_party_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=NAME_CHARACTERS_MAX).contains(&name.len()) && name.chars().all(is_plain)
}

/// The private scopes of a key or token, with the methods that it opens itself.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PrivateAccess {
    /// Its name or subject, for the audit log.
    pub(crate) actor: String,
    methods: Arc<Access>,
    scopes: Vec<PrivateScope>,
}

impl PrivateAccess {
    /// `None` without a scope.
    ///
    /// # Errors
    /// When there are too many of them.
    pub(crate) fn new(
        actor: String,
        methods: Arc<Access>,
        scopes: Vec<PrivateScope>,
    ) -> Result<Option<Arc<Self>>, &'static str> {
        if scopes.len() > SCOPES_MAX {
            return Err("it holds too many private scopes");
        }
        let access = Self {
            actor,
            methods,
            scopes,
        };
        Ok((!access.scopes.is_empty()).then(|| Arc::new(access)))
    }

    /// Whether it opens a private method.
    pub(crate) fn allows(&self, method: &str) -> bool {
        self.methods.allows(method)
    }

    /// Whether it opens a whole namespace.
    pub(crate) fn allows_namespace(&self, namespace: &str) -> bool {
        self.methods.allows_namespace(namespace)
    }

    /// The scopes in their order.
    pub(crate) fn scopes(&self) -> &[PrivateScope] {
        &self.scopes
    }

    /// The scope for a party.
    pub(crate) fn scope(&self, psi: &str) -> Option<&PrivateScope> {
        self.scopes.iter().find(|scope| scope.psi == psi)
    }
}

impl fmt::Debug for PrivateAccess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parties = self.scopes.iter().map(|scope| &scope.psi);
        formatter.write_str("PrivateAccess")?;
        formatter.debug_list().entries(parties).finish()
    }
}

/// Parts a list into private scopes and the rest.
///
/// # Errors
/// What is wrong with a scope.
pub(super) fn part<'a>(
    entries: impl IntoIterator<Item = &'a str>,
) -> Result<(Vec<PrivateScope>, Vec<&'a str>), &'static str> {
    let mut scopes = Vec::new();
    let mut rest = Vec::new();
    for entry in entries {
        match PrivateScope::read(entry) {
            Some(scope) => scopes.push(scope?),
            None => rest.push(entry),
        }
    }
    Ok((scopes, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::address;

    fn scope(text: &str) -> Result<PrivateScope, &'static str> {
        PrivateScope::read(text).unwrap()
    }

    #[test]
    fn a_scope_without_accounts_reads_and_one_with_accounts_sends_for_them() {
        let alice = address!("0x00000000000000000000000000000000000a11ce");
        let read = scope("psi://clinic").unwrap();
        assert_eq!(read.psi, "clinic");
        assert!(!read.may_send_for(alice) && !read.may_sign_with(alice) && !read.may_write());
        let any = scope("psi://clinic?self.eoa=0x0&node.eoa=0x0").unwrap();
        assert!(any.may_send_for(alice) && any.may_sign_with(alice) && any.may_write());
        let one = scope(&format!("psi://clinic?self.eoa={alice}")).unwrap();
        assert!(one.may_send_for(alice) && !one.may_send_for(Address::repeat_byte(1)));
        assert!(!one.may_sign_with(alice));
    }

    #[test]
    fn what_is_no_scope_is_refused_or_is_left_to_others() {
        for text in [
            "psi://",
            "psi://a b",
            "psi://a/b",
            "psi://a?eoa=0x0",
            "psi://a?self.eoa=",
            "psi://a?self.eoa=0x1",
            "psi://a?self.eoa",
            &format!("psi://{}", "a".repeat(65)),
        ] {
            assert!(scope(text).is_err(), "{text}");
        }
        for text in ["eth", "psi", "PSI://a", "*"] {
            assert!(PrivateScope::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_methods_are_those_that_the_key_opens_itself() {
        let methods = Arc::new(Access::of(["priv_call"]).unwrap());
        let scopes = vec![scope("psi://clinic").unwrap()];
        let access = PrivateAccess::new("key".into(), methods.clone(), scopes).unwrap();
        let access = access.unwrap();
        assert!(access.allows("priv_call") && !access.allows("priv_erase"));
        assert!(access.scope("clinic").is_some() && access.scope("other").is_none());
        let none = PrivateAccess::new("key".into(), methods, Vec::new()).unwrap();
        assert!(none.is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "(psi://)?\\PC{0,80}") {
            let _ = PrivateScope::read(&text);
        }
    }
}
