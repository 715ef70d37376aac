//! Nodes as operators write them.
//!
//! Ethereum names a peer `enode://KEY@HOST:PORT`, the key being its network
//! identity in hexadecimal. So is it here, with the 32-byte ed25519 node key:
//! `enode://` may be left out, and so may the key's `0x` and the address, where
//! a key is enough. A query (`?discport=0`) is ignored. Hosts are IP addresses.

use medina_types::NodePublicKey;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{fmt, net::SocketAddr, str::FromStr};

use crate::{PeerSummary, context::Context};

const SCHEME: &str = "enode://";

/// A node by key, and where it listens if that was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeAddress {
    /// Its key.
    pub(crate) key: NodePublicKey,
    /// Where it listens.
    pub(crate) listens: Option<SocketAddr>,
}

impl FromStr for NodeAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = |what: &str| {
            format!("expected a node as enode://KEY@IP:PORT, KEY being its ed25519 key: {what}")
        };
        let rest = text.strip_prefix(SCHEME).unwrap_or(text);
        let rest = rest.split('?').next().unwrap_or_default();
        let (key, address) = match rest.split_once('@') {
            Some((key, address)) => (key, Some(address)),
            None => (rest, None),
        };
        let key = key
            .parse()
            .map_err(|error: medina_types::KeyError| expected(&error.to_string()))?;
        let listens = address.map(str::parse).transpose();
        let listens = listens.map_err(|_| expected("the address is no IP:PORT"))?;
        Ok(Self { key, listens })
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.to_string();
        let digits = key.strip_prefix("0x").unwrap_or(&key);
        write!(formatter, "{SCHEME}{digits}")?;
        match self.listens {
            Some(listens) => write!(formatter, "@{listens}"),
            None => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for NodeAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl Context {
    /// Where a node listens: as the file of known nodes says, else where it is
    /// connected, which is another port of it when it dialled us.
    pub(crate) fn listens(
        &self,
        key: &NodePublicKey,
        peer: Option<&PeerSummary>,
    ) -> Option<SocketAddr> {
        let listed = self.node.listen_address_of(key);
        listed.or_else(|| socket_of(&peer?.address))
    }
}

/// Reads where a peer is from what the network says of it: `IP:PORT`, or libp2p's
/// `/ip4/IP/tcp/PORT…`.
fn socket_of(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let mut parts = text.strip_prefix('/')?.split('/');
    let ip = match parts.next()? {
        "ip4" => parts.next()?.parse::<std::net::Ipv4Addr>().ok()?.into(),
        "ip6" => parts.next()?.parse::<std::net::Ipv6Addr>().ok()?.into(),
        _ => return None,
    };
    let port = match parts.next()? {
        "tcp" => parts.next()?.parse().ok()?,
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use medina_types::NodeSecretKey;
    use proptest::prelude::*;

    fn key() -> NodePublicKey {
        NodeSecretKey::from_bytes([7; 32]).public_key()
    }

    #[test]
    fn every_spelling_of_a_node_means_the_same() {
        let full = NodeAddress {
            key: key(),
            listens: Some(([10, 0, 0, 1], 30303).into()),
        };
        let digits = key().to_string();
        let bare = digits.strip_prefix("0x").unwrap();
        for text in [
            full.to_string(),
            format!("enode://{bare}@10.0.0.1:30303?discport=0&raftport=1"),
            format!("{digits}@10.0.0.1:30303"),
        ] {
            assert_eq!(text.parse(), Ok(full), "{text}");
        }
        let keyed = NodeAddress {
            key: key(),
            listens: None,
        };
        assert_eq!(digits.parse(), Ok(keyed));
        assert_eq!(keyed.to_string().parse(), Ok(keyed));
    }

    #[test]
    fn nonsense_says_what_was_expected() {
        for text in ["", "enode://", "0x12@1.2.3.4:5"] {
            let error = text.parse::<NodeAddress>().unwrap_err();
            assert!(error.contains("enode://KEY@IP:PORT"), "{error}");
        }
        let error = format!("{}@somewhere", key());
        let error = error.parse::<NodeAddress>().unwrap_err();
        assert!(error.contains("no IP:PORT"), "{error}");
    }

    #[test]
    fn addresses_of_both_notations_are_read() {
        let place = Some(([127, 0, 0, 1], 4001).into());
        assert_eq!(socket_of("127.0.0.1:4001"), place);
        assert_eq!(socket_of("/ip4/127.0.0.1/tcp/4001"), place);
        assert_eq!(socket_of("/ip4/127.0.0.1/tcp/4001/p2p/12D3"), place);
        for text in ["", "/", "/dns/a/tcp/1", "/ip4/127.0.0.1", "/ip4/1/tcp/x"] {
            assert_eq!(socket_of(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = text.parse::<NodeAddress>();
            let _ = socket_of(&text);
        }
    }
}
