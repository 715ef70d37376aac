//! JSON-RPC to one node, for what is not about accounts and contracts.

use crate::errors::{Failure, Outcome};
use medina_sdk::url::place_of;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

/// Time after which a node counts as gone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// A node's JSON-RPC.
#[derive(Clone)]
pub(crate) struct NodeClient {
    /// It may carry a token, which no text shows.
    url: String,
    http: reqwest::Client,
}

impl NodeClient {
    /// Nothing is sent yet.
    pub(crate) fn new(url: &str) -> Outcome<Self> {
        let http = reqwest::Client::builder()
            .timeout(ANSWER_TIMEOUT)
            .no_proxy()
            .build()?;
        Ok(Self {
            url: url.to_owned(),
            http,
        })
    }

    /// Calls a method and reads its result.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        parameters: Value,
    ) -> Outcome<T> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters });
        let sent = self.http.post(&self.url).json(&body).send().await;
        let response = sent.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let answer: Value = response.json().await.map_err(|error| {
            Failure::new(format!(
                "{} answered HTTP {status} and no JSON-RPC: {}",
                self.place(),
                error.without_url()
            ))
            .hint("is --rpc the URL of a node?")
        })?;
        if let Some(message) = answer.pointer("/error/message") {
            let message = message.as_str().unwrap_or("an error without a message");
            return Err(Failure::new(format!(
                "{} refused {method}: {message}",
                self.place()
            )));
        }
        let result = answer.get("result").cloned().unwrap_or_default();
        serde_json::from_value(result).map_err(|error| {
            Failure::new(format!(
                "{}: unexpected answer to {method}: {error}",
                self.place()
            ))
        })
    }

    fn place(&self) -> String {
        place_of(&self.url)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        if error.is_builder() {
            let failure = Failure::new(format!("{:?} is no URL", self.place()));
            return failure.hint("give --rpc as http://HOST:PORT");
        }
        if error.is_timeout() {
            return Failure::new(format!("the node at {} does not answer", self.place()));
        }
        Failure::new(format!("no node listens at {}", self.place()))
            .hint("start one (`medina dev`, `medina node run`) or name another with --rpc URL")
    }
}
