//! JSON-RPC to the private side of a node: a token in the header, bounded answers.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy_primitives::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::PrivateClientError;
use crate::client::{ClientError, decode_revert};
use crate::limits::{PRIVATE_ANSWER_BYTES_MAX, PRIVATE_REQUEST_SECONDS_MAX};
use crate::url::place_of;

/// JSON-RPC: there is no such method; also what a node says to who may not call it.
const METHOD_NOT_FOUND: i64 = -32601;
/// JSON-RPC: a call that reverted.
const REVERTED: i64 = 3;
/// The same request may pass later: the node has not come to the group's block yet, its enclave is away.
const UNAVAILABLE: i64 = -32002;
/// First pause before such a request is made again; each next one is twice as long.
const AGAIN_PAUSE_FIRST: Duration = Duration::from_millis(200);
/// Times that it is made again: six seconds in all.
const AGAIN_MAX: u32 = 5;
/// A payload that was erased.
const ERASED: i64 = -32010;

/// Header that names one of several parties.
const PARTY_HEADER: HeaderName = HeaderName::from_static("psi");

/// A node's JSON-RPC as somebody with a token sees it. `Debug` shows the host only.
pub struct PrivateRpc {
    url: reqwest::Url,
    token: Option<HeaderValue>,
    party: Option<HeaderValue>,
    http: reqwest::Client,
    next: AtomicU64,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Value,
    error: Option<RpcError>,
}

#[derive(Deserialize)]
struct RpcError {
    code: i64,
    message: String,
    #[serde(default)]
    data: Value,
}

impl PrivateRpc {
    /// A node by its URL, which may carry the token itself (`?token=…`).
    ///
    /// # Errors
    /// [`ClientError::BadUrl`], [`PrivateClientError::BadToken`].
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, PrivateClientError> {
        let bad_url = || ClientError::BadUrl(place_of(url));
        let parsed: reqwest::Url = url.parse().map_err(|_| bad_url())?;
        let token = token.map(header).transpose()?;
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(PRIVATE_REQUEST_SECONDS_MAX))
            .no_proxy()
            .build()
            .map_err(|_| bad_url())?;
        Ok(Self {
            url: parsed,
            token,
            party: None,
            http,
            next: AtomicU64::new(1),
        })
    }

    /// The same node as one of several parties that the token may act as, by its name there.
    ///
    /// # Errors
    /// [`PrivateClientError::BadToken`] if the name is no line of text.
    pub fn with_party(self, name: &str) -> Result<Self, PrivateClientError> {
        let name = HeaderValue::from_str(name).map_err(|_| PrivateClientError::BadToken)?;
        Ok(Self {
            party: Some(name),
            ..self
        })
    }

    /// Where it is, without path and query, which may hold a token.
    #[must_use]
    pub fn place(&self) -> String {
        place_of(self.url.as_str())
    }

    /// Calls a method and reads its result; asks again for a while where the node says that it may
    /// pass later.
    ///
    /// # Errors
    /// [`PrivateClientError`]; a revert in words.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        parameters: Value,
    ) -> Result<T, PrivateClientError> {
        for again in 0..AGAIN_MAX {
            match self.ask(method, &parameters).await {
                Err(PrivateClientError::Refused {
                    code: UNAVAILABLE, ..
                }) => tokio::time::sleep(AGAIN_PAUSE_FIRST * 2_u32.pow(again)).await,
                answer => return answer,
            }
        }
        self.ask(method, &parameters).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        parameters: &Value,
    ) -> Result<T, PrivateClientError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": parameters });
        let bad = |reason: String| PrivateClientError::BadAnswer { method, reason };
        let bytes = self.post(method, &body).await?;
        let answer: Answer =
            serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        if let Some(error) = answer.error {
            return Err(refusal(method, error));
        }
        serde_json::from_value(answer.result).map_err(|error| bad(error.to_string()))
    }

    async fn post(
        &self,
        method: &'static str,
        body: &Value,
    ) -> Result<Vec<u8>, PrivateClientError> {
        let unreachable = |error: reqwest::Error| PrivateClientError::Unreachable {
            url: self.place(),
            method,
            // The error's own text names the URL with its query.
            reason: error.without_url().to_string(),
        };
        let mut request = self.http.post(self.url.clone()).json(body);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        if let Some(party) = &self.party {
            request = request.header(PARTY_HEADER, party.clone());
        }
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if bytes.len() + chunk.len() > PRIVATE_ANSWER_BYTES_MAX {
                let reason = format!("it is larger than {PRIVATE_ANSWER_BYTES_MAX} bytes");
                return Err(PrivateClientError::BadAnswer { method, reason });
            }
            bytes.extend_from_slice(&chunk);
        }
        if status == reqwest::StatusCode::UNAUTHORIZED || status == reqwest::StatusCode::FORBIDDEN {
            return Err(PrivateClientError::Closed(method));
        }
        Ok(bytes)
    }
}

impl fmt::Debug for PrivateRpc {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("PrivateRpc")
            .field(&self.place())
            .finish()
    }
}

fn header(token: &str) -> Result<HeaderValue, PrivateClientError> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
    let mut value = value.map_err(|_| PrivateClientError::BadToken)?;
    value.set_sensitive(true);
    Ok(value)
}

fn refusal(method: &'static str, error: RpcError) -> PrivateClientError {
    let data = error.data.as_str().and_then(|text| text.parse().ok());
    match (error.code, data) {
        (METHOD_NOT_FOUND, _) => PrivateClientError::Closed(method),
        (REVERTED, Some(data)) => reverted(data),
        (ERASED, _) => PrivateClientError::Erased(error.message),
        (code, _) => PrivateClientError::Refused {
            method,
            message: error.message,
            code,
        },
    }
}

fn reverted(data: Bytes) -> PrivateClientError {
    PrivateClientError::Reverted {
        reason: decode_revert(&data),
        data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: i64, data: Value) -> PrivateClientError {
        let message = "no".to_owned();
        refusal(
            "priv_call",
            RpcError {
                code,
                message,
                data,
            },
        )
    }

    #[test]
    fn secrets_stay_out_of_texts() {
        let url = "http://me:secret@127.0.0.1:1/key/secret?token=secret";
        let rpc = PrivateRpc::new(url, Some("hidden")).expect("a URL");
        let text = format!("{rpc:?} {}", rpc.place());
        assert_eq!(rpc.place(), "http://127.0.0.1:1");
        assert!(
            !text.contains("secret") && !text.contains("hidden"),
            "{text}"
        );
        assert!(matches!(
            PrivateRpc::new("no url?token=secret", None),
            Err(PrivateClientError::Client(ClientError::BadUrl(text))) if !text.contains("secret")
        ));
        assert!(matches!(
            PrivateRpc::new(url, Some("two\nlines")),
            Err(PrivateClientError::BadToken)
        ));
    }

    #[test]
    fn refusals_are_told_apart() {
        assert!(matches!(
            error(-32601, Value::Null),
            PrivateClientError::Closed("priv_call")
        ));
        assert!(matches!(
            error(-32000, json!("text")),
            PrivateClientError::Refused { code: -32000, .. }
        ));
        assert!(matches!(
            error(3, Value::Null),
            PrivateClientError::Refused { code: 3, .. }
        ));
        let data = alloy_sol_types::SolError::abi_encode(&alloy_sol_types::Revert::from("no way"));
        let text = error(3, json!(Bytes::from(data))).to_string();
        assert!(text.contains("no way"), "{text}");
    }

    #[tokio::test]
    async fn node_that_is_gone_is_named_without_its_token() {
        let rpc = PrivateRpc::new("http://127.0.0.1:1/?token=secret", None).expect("a URL");
        let answer = rpc.call::<Value>("priv_getGroups", json!([])).await;
        let text = answer.expect_err("nobody listens").to_string();
        assert!(
            text.contains("127.0.0.1:1") && !text.contains("secret"),
            "{text}"
        );
    }
}
