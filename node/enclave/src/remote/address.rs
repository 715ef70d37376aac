//! Where an enclave of another process is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Prefix of a socket in the file system.
const UNIX: &str = "unix:";
/// Prefix of a port behind mutual TLS.
const TLS: &str = "tls://";

/// Where an enclave listens: `unix:PATH`, or `tls://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnclaveAddress {
    /// A unix socket of this machine.
    Unix(PathBuf),
    /// Host and port, behind TLS with a pinned key on either side.
    Tls(String),
}

/// A text that says no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no place of an enclave: say unix:PATH or tls://HOST:PORT")]
pub struct AddressError(String);

impl FromStr for EnclaveAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.to_owned());
        if let Some(path) = text.strip_prefix(UNIX) {
            return match path.is_empty() {
                true => Err(wrong()),
                false => Ok(Self::Unix(path.into())),
            };
        }
        let place = text.strip_prefix(TLS).ok_or_else(wrong)?;
        let (host, port) = place.rsplit_once(':').ok_or_else(wrong)?;
        let is_open = |character: char| character.is_whitespace() || "/?#@".contains(character);
        if host.is_empty() || host.contains(is_open) || port.parse::<u16>().is_err() {
            return Err(wrong());
        }
        Ok(Self::Tls(place.to_owned()))
    }
}

impl fmt::Display for EnclaveAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "{UNIX}{}", path.display()),
            Self::Tls(place) => write!(formatter, "{TLS}{place}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_place_read_back() {
        for text in [
            "unix:run/enclave.sock",
            "tls://enclave.example:7443",
            "tls://10.0.0.7:1",
            "tls://[::1]:7443",
        ] {
            let address: EnclaveAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "unix:",
            "enclave.sock",
            "tcp://10.0.0.7:7443",
            "tls://",
            "tls://:7443",
            "tls://host",
            "tls://host:70000",
            "tls://host:7443/path",
            "tls://user@host:7443",
        ] {
            assert!(text.parse::<EnclaveAddress>().is_err(), "{text}");
        }
    }
}
