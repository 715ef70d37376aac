//! `[rpc]` of a node's `config.toml`: what an operator types, and what it means.

use serde::{Deserialize, Serialize};
use std::{
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    AllowedOrigins, RpcConfig, RpcError,
    access::{Access, ApiKeys, JwtSecret},
};

/// Where JSON-RPC listens, whom it lets in and what each may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RpcSection {
    /// Address and port for HTTP and WebSocket.
    pub listen: SocketAddr,
    /// Address and port of the transaction manager for `GoQuorum`'s clients; by
    /// default there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_manager: Option<SocketAddr>,
    /// Origins that browsers may call from; `*` for any.
    #[serde(default = "any_origin")]
    pub cors_origins: Vec<String>,
    /// Host headers to accept; by default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,
    /// What everybody may call, as namespaces and methods, `*` for everything; by
    /// default everything on loopback, elsewhere
    /// [`SAFE_NAMESPACES`](crate::SAFE_NAMESPACES).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
    /// Adds the namespace `admin` for everybody, or takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<bool>,
    /// Adds `debug`, `trace` and `ots` for everybody, or takes them away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracing: Option<bool>,
    /// File of API keys, see [`ApiKeys`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_file: Option<PathBuf>,
    /// File with the secret of JSON Web Tokens, see [`JwtSecret`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt_secret_file: Option<PathBuf>,
    /// Bounds that differ from the usual ones.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub limits: RpcLimits,
}

/// `[rpc.limits]`: what is left out has its usual bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RpcLimits {
    /// Bytes of a request body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_bytes: Option<u32>,
    /// Bytes of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<u32>,
    /// Calls in a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_calls: Option<u32>,
    /// Connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    /// Connections of one address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_per_address: Option<u32>,
    /// Subscriptions of one connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscriptions_per_connection: Option<u32>,
    /// Calls per second of one connection; 0 for any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u32>,
    /// Installed polling filters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filters: Option<u32>,
    /// Blocks of one log query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_blocks: Option<u64>,
    /// Logs of one answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<u32>,
    /// Gas of one call or estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_gas: Option<u64>,
    /// Seconds of a trace whose caller names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_seconds: Option<u32>,
    /// Seconds that the caller of a trace may name at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_seconds_max: Option<u32>,
    /// Seconds for the head of a request, and for an idle connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_seconds: Option<u32>,
    /// Seconds for the body of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_seconds: Option<u32>,
    /// Seconds for which a client may take no byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_seconds: Option<u32>,
    /// Seconds for which a subscriber may be too slow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_subscriber_seconds: Option<u32>,
}

fn any_origin() -> Vec<String> {
    vec!["*".to_owned()]
}

fn is_usual(limits: &RpcLimits) -> bool {
    *limits == RpcLimits::default()
}

impl RpcSection {
    /// The usual settings for an address.
    #[must_use]
    pub fn listening_on(listen: SocketAddr) -> Self {
        Self {
            listen,
            transaction_manager: None,
            cors_origins: any_origin(),
            hosts: None,
            namespaces: None,
            admin: None,
            tracing: None,
            keys_file: None,
            jwt_secret_file: None,
            limits: RpcLimits::default(),
        }
    }

    /// Makes paths relative to the configuration's folder.
    pub fn place_in(&mut self, folder: &Path) {
        for path in [&mut self.keys_file, &mut self.jwt_secret_file] {
            *path = path.take().map(|path| folder.join(path));
        }
    }

    /// What it means; reads the files that it names.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub fn to_config(&self) -> Result<RpcConfig, RpcError> {
        let mut config = RpcConfig::new(self.listen);
        config.transaction_manager = self.transaction_manager;
        config.origins = AllowedOrigins::from_list(&self.cors_origins);
        config.hosts = self.hosts.clone();
        config.public = self.public()?;
        if let Some(path) = &self.keys_file {
            config.keys = ApiKeys::load(path)?;
        }
        config.jwt = self
            .jwt_secret_file
            .as_deref()
            .map(JwtSecret::load)
            .transpose()?;
        self.limits.apply_to(&mut config)?;
        Ok(config)
    }

    fn public(&self) -> Result<Access, RpcError> {
        let mut public = match &self.namespaces {
            Some(entries) => Access::of(entries)?,
            None if self.listen.ip().is_loopback() => Access::everything(),
            None => Access::safe(),
        };
        for (switch, namespaces) in [
            (self.admin, &["admin"][..]),
            (self.tracing, &["debug", "trace", "ots"]),
        ] {
            for namespace in namespaces {
                match switch {
                    Some(true) => public.add(namespace)?,
                    Some(false) => public.close(namespace),
                    None => {}
                }
            }
        }
        Ok(public)
    }
}

impl RpcLimits {
    fn apply_to(&self, config: &mut RpcConfig) -> Result<(), RpcError> {
        set(
            "request_bytes",
            self.request_bytes,
            &mut config.request_bytes_max,
        )?;
        set(
            "response_bytes",
            self.response_bytes,
            &mut config.response_bytes_max,
        )?;
        set("batch_calls", self.batch_calls, &mut config.batch_max)?;
        set("connections", self.connections, &mut config.connections_max)?;
        let per_address = &mut config.connections_per_address_max;
        set(
            "connections_per_address",
            self.connections_per_address,
            per_address,
        )?;
        let subscriptions = &mut config.subscriptions_per_connection_max;
        set(
            "subscriptions_per_connection",
            self.subscriptions_per_connection,
            subscriptions,
        )?;
        set_count("filters", self.filters, &mut config.filters_max)?;
        set("log_blocks", self.log_blocks, &mut config.log_blocks_max)?;
        set_count("logs", self.logs, &mut config.logs_max)?;
        set("call_gas", self.call_gas, &mut config.call_gas_max)?;
        set_seconds("trace_seconds", self.trace_seconds, &mut config.trace_time)?;
        set_seconds(
            "trace_seconds_max",
            self.trace_seconds_max,
            &mut config.trace_time_max,
        )?;
        set_seconds(
            "header_seconds",
            self.header_seconds,
            &mut config.header_timeout,
        )?;
        set_seconds("body_seconds", self.body_seconds, &mut config.body_timeout)?;
        set_seconds(
            "write_seconds",
            self.write_seconds,
            &mut config.write_timeout,
        )?;
        let slow = &mut config.slow_subscriber_timeout;
        set_seconds(
            "slow_subscriber_seconds",
            self.slow_subscriber_seconds,
            slow,
        )?;
        if let Some(rate) = self.requests_per_second {
            config.requests_per_second = NonZeroU32::new(rate);
        }
        Ok(())
    }
}

fn set<T: PartialEq + Default>(
    name: &'static str,
    given: Option<T>,
    bound: &mut T,
) -> Result<(), RpcError> {
    match given {
        Some(given) if given == T::default() => Err(RpcError::ZeroLimit(name)),
        Some(given) => {
            *bound = given;
            Ok(())
        }
        None => Ok(()),
    }
}

fn set_count(name: &'static str, given: Option<u32>, bound: &mut usize) -> Result<(), RpcError> {
    set(name, given.map(|given| given as usize), bound)
}

fn set_seconds(
    name: &'static str,
    given: Option<u32>,
    bound: &mut Duration,
) -> Result<(), RpcError> {
    set(
        name,
        given.map(|given| Duration::from_secs(given.into())),
        bound,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> Result<RpcSection, toml::de::Error> {
        toml::from_str(text)
    }

    fn config(text: &str) -> Result<RpcConfig, RpcError> {
        section(text).unwrap().to_config()
    }

    #[test]
    fn loopback_has_everything_and_other_addresses_what_is_safe() {
        let near = config("listen = \"127.0.0.1:1\"").unwrap();
        assert!(near.public.allows("admin_peers") && near.requests_per_second.is_none());
        let far = config("listen = \"0.0.0.0:1\"").unwrap();
        assert!(far.public.allows("eth_call") && !far.public.allows("debug_traceCall"));
        assert!(far.requests_per_second.is_some());
        let opened = config("listen = \"0.0.0.0:1\"\nadmin = true\ntracing = true").unwrap();
        assert!(opened.public.allows("admin_peers") && opened.public.allows("trace_block"));
        let closed = config("listen = \"127.0.0.1:1\"\nadmin = false").unwrap();
        assert!(!closed.public.allows("admin_peers") && closed.public.allows("trace_block"));
        let nobody = config("listen = \"127.0.0.1:1\"\nnamespaces = []").unwrap();
        assert!(!nobody.public.allows("eth_call"));
    }

    #[test]
    fn every_limit_can_be_set_and_none_to_zero() {
        let names = [
            "request_bytes",
            "response_bytes",
            "batch_calls",
            "connections",
            "connections_per_address",
            "subscriptions_per_connection",
            "filters",
            "log_blocks",
            "logs",
            "call_gas",
            "trace_seconds",
            "trace_seconds_max",
            "header_seconds",
            "body_seconds",
            "write_seconds",
            "slow_subscriber_seconds",
        ];
        let usual = config("listen = \"127.0.0.1:1\"").unwrap();
        for name in names {
            let with = |value| format!("listen = \"127.0.0.1:1\"\n[limits]\n{name} = {value}");
            assert_ne!(config(&with(7)).unwrap(), usual, "{name}");
            let error = config(&with(0)).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        let rate = "listen = \"0.0.0.0:1\"\n[limits]\nrequests_per_second = ";
        assert_eq!(
            config(&format!("{rate}0")).unwrap().requests_per_second,
            None
        );
        let seven = config(&format!("{rate}7")).unwrap().requests_per_second;
        assert_eq!(seven, NonZeroU32::new(7));
    }

    #[test]
    fn what_is_misspelt_is_an_error() {
        for text in [
            "listen = \"127.0.0.1:1\"\n[limits]\nrequest_byte = 1",
            "listen = \"127.0.0.1:1\"\nnamespace = []",
        ] {
            assert!(section(text).is_err(), "{text}");
        }
        let error = config("listen = \"127.0.0.1:1\"\nnamespaces = [\"eth.call\"]").unwrap_err();
        assert!(error.to_string().contains("eth.call"), "{error}");
        let missing = config("listen = \"127.0.0.1:1\"\nkeys_file = \"nowhere\"").unwrap_err();
        assert!(missing.to_string().contains("nowhere"), "{missing}");
    }
}
