//! Who may call what.
//!
//! Everybody has the methods of [`RpcConfig::public`](crate::RpcConfig): all of
//! them on loopback, elsewhere the safe namespaces ([`SAFE_NAMESPACES`]). An API
//! key ([`ApiKeys`]) or a JSON Web Token ([`JwtSecret`]) opens what it names. A
//! method that is closed to a caller answers as one that does not exist (-32601),
//! since clients probe.
//!
//! What is private (`priv_*` and its kin) is open to nobody by this: see
//! [`PrivateScope`].
//!
//! Secrets are read from files of their own, kept as digests where that will do,
//! and shown by no `Debug`.

mod jwt;
mod keys;
mod private;

pub use jwt::JwtSecret;
pub use keys::{ApiKeys, KeysError};

pub(crate) use keys::ApiKey;
pub(crate) use private::{PrivateAccess, PrivateScope, is_party_name, is_private};

use std::{collections::BTreeSet, fmt};

/// Namespaces that strangers beyond loopback may use: they read the chain and
/// submit signed transactions, each at a bounded cost.
pub const SAFE_NAMESPACES: [&str; 8] = [
    "eth", "istanbul", "medina", "net", "qbft", "raft", "rpc", "web3",
];

/// Namespaces and methods that a caller may use.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Access {
    is_everything: bool,
    namespaces: BTreeSet<String>,
    methods: BTreeSet<String>,
    /// Namespaces that everything does not hold.
    closed: BTreeSet<String>,
}

/// What is no namespace and no method.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no namespace and no method; write a namespace such as eth, a method such as \
     debug_traceTransaction, or * for everything"
)]
pub struct NoScope(String);

impl Access {
    /// Every method.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            is_everything: true,
            ..Self::default()
        }
    }

    /// [`SAFE_NAMESPACES`].
    #[must_use]
    pub fn safe() -> Self {
        let namespaces = SAFE_NAMESPACES.iter().map(|name| (*name).to_owned());
        Self {
            namespaces: namespaces.collect(),
            ..Self::default()
        }
    }

    /// Reads a list: `eth`, `eth:*` and `eth_*` are a namespace, `eth_call` and
    /// `eth:call` a method, `*` is everything.
    ///
    /// # Errors
    /// The entry that is none of these.
    pub fn of<S: AsRef<str>>(entries: impl IntoIterator<Item = S>) -> Result<Self, NoScope> {
        let mut access = Self::default();
        for entry in entries {
            access.add(entry.as_ref())?;
        }
        Ok(access)
    }

    /// Opens one entry of a list as [`Self::of`] reads it.
    ///
    /// # Errors
    /// When it is no such entry.
    pub fn add(&mut self, entry: &str) -> Result<(), NoScope> {
        let is_name = |part: &str| {
            let letters = part.chars().all(|c| c.is_ascii_alphanumeric());
            letters && !part.is_empty()
        };
        match entry.split_once([':', '_']) {
            None if entry == "*" => self.is_everything = true,
            Some(("*", "*")) => self.is_everything = true,
            None if is_name(entry) => _ = self.namespaces.insert(entry.to_owned()),
            Some((namespace, "*")) if is_name(namespace) => {
                self.namespaces.insert(namespace.to_owned());
            }
            Some((namespace, method)) if is_name(namespace) && is_name(method) => {
                self.methods.insert(format!("{namespace}_{method}"));
            }
            _ => return Err(NoScope(entry.to_owned())),
        }
        Ok(())
    }

    /// Closes a namespace again.
    pub fn close(&mut self, namespace: &str) {
        self.closed.insert(namespace.to_owned());
    }

    /// Both together; what one closes the other may open by its name.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let both = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.union(b).cloned().collect();
        Self {
            is_everything: self.is_everything || other.is_everything,
            namespaces: both(&self.namespaces, &other.namespaces),
            methods: both(&self.methods, &other.methods),
            // Who was promised everything without exception gets it.
            closed: match (self.is_everything, other.is_everything) {
                (true, true) => self.closed.intersection(&other.closed).cloned().collect(),
                (true, false) => self.closed.clone(),
                (false, _) => other.closed.clone(),
            },
        }
    }

    /// Whether a method may be called.
    #[must_use]
    pub fn allows(&self, method: &str) -> bool {
        // What is open is no secret.
        method == "rpc_modules"
            || self.allows_namespace(namespace_of(method))
            || self.methods.contains(method)
    }

    /// Whether a whole namespace may be used.
    #[must_use]
    pub fn allows_namespace(&self, namespace: &str) -> bool {
        let is_among_all = self.is_everything && !self.closed.contains(namespace);
        is_among_all || self.namespaces.contains(namespace)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_everything {
            return write!(formatter, "Access(* but {:?})", self.closed);
        }
        let entries = self.namespaces.iter().chain(&self.methods);
        formatter.write_str("Access")?;
        formatter.debug_list().entries(entries).finish()
    }
}

/// The namespace that opens a method; names that other clients use for the same
/// belong to what they are another name of.
fn namespace_of(method: &str) -> &str {
    match method.split_once('_').map_or(method, |(name, _)| name) {
        "erigon" => "ots",
        "ibft" => "qbft",
        namespace => namespace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_namespaces_methods_or_everything() {
        let access = Access::of(["eth", "net:*", "web3_*", "debug_traceCall", "txpool:status"]);
        let access = access.unwrap();
        for (method, is_allowed) in [
            ("eth_call", true),
            ("ethx_call", false),
            ("net_version", true),
            ("web3_sha3", true),
            ("debug_traceCall", true),
            ("debug_traceTransaction", false),
            ("txpool_status", true),
            ("txpool_content", false),
            ("rpc_modules", true),
            ("admin_peers", false),
        ] {
            assert_eq!(access.allows(method), is_allowed, "{method}");
        }
        for everything in ["*", "*:*"] {
            let access = Access::of([everything]).unwrap();
            assert!(access.allows("admin_peers"), "{everything}");
        }
        for nonsense in ["", "eth.call", "eth_", "_", "eth_call_x", "eth call"] {
            let error = Access::of([nonsense]).unwrap_err();
            assert_eq!(error, NoScope(nonsense.to_owned()));
        }
    }

    #[test]
    fn strangers_beyond_loopback_neither_trace_nor_administer() {
        let safe = Access::safe();
        for method in ["eth_call", "eth_subscribe", "ibft_getPendingVotes"] {
            assert!(safe.allows(method), "{method}");
        }
        for method in [
            "debug_traceCall",
            "trace_block",
            "ots_getApiLevel",
            "erigon_getHeaderByNumber",
            "admin_peers",
            "txpool_content",
            "anvil_setBalance",
            "evm_mine",
            "hardhat_reset",
        ] {
            assert!(!safe.allows(method), "{method}");
        }
    }
}
