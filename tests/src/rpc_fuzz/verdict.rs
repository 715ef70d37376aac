//! What an answer must be, and what was found otherwise.

use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::wire::Answer;

/// Examples of each finding that are kept.
const EXAMPLES_MAX: usize = 5;
/// Characters of an example.
const EXAMPLE_CHARACTERS_MAX: usize = 600;
/// A fault of the node, which no request may cause.
const INTERNAL_ERROR: i64 = -32603;

/// What went wrong so far, with counts.
#[derive(Debug, Default)]
pub struct Findings {
    requests: AtomicU64,
    answers: AtomicU64,
    results: AtomicU64,
    errors: AtomicU64,
    found: Mutex<BTreeMap<String, Vec<String>>>,
}

/// What came of an attack.
#[derive(Clone, Debug)]
pub struct Report {
    /// How long it took.
    pub lasted: Duration,
    /// Requests sent.
    pub requests: u64,
    /// JSON-RPC answers, those in batches one by one.
    pub answers: u64,
    /// Those with a result.
    pub results: u64,
    /// Those with an error.
    pub errors: u64,
    /// Memory of the node after the warm-up and at the end, bytes.
    pub resident_bytes: Option<(u64, u64)>,
    /// What must not be, with examples.
    pub findings: BTreeMap<String, Vec<String>>,
}

impl Findings {
    /// Counts requests.
    pub(super) fn sent(&self, requests: usize) {
        self.requests.fetch_add(requests as u64, Ordering::Relaxed);
    }

    /// Notes what must not be.
    pub(super) fn add(&self, what: &str, example: &str) {
        let mut found = self.found.lock().expect("nobody panics while holding it");
        let examples = found.entry(what.to_owned()).or_default();
        if examples.len() < EXAMPLES_MAX {
            examples.push(example.chars().take(EXAMPLE_CHARACTERS_MAX).collect());
        }
    }

    /// Judges an HTTP answer; nothing at all may be answered to notifications only.
    pub(super) fn judge(&self, asked: &[u8], answer: &Answer, may_be_empty: bool) {
        if answer.body.is_empty() {
            if !may_be_empty || answer.status != 200 {
                let text = format!("status {} to {}", answer.status, shown(asked));
                self.add("an empty answer", &text);
            }
            return;
        }
        self.judge_message(asked, &answer.body);
    }

    /// Judges a JSON-RPC message: an answer, a list of them, or an announcement.
    pub(super) fn judge_message(&self, asked: &[u8], message: &[u8]) {
        let Ok(value) = serde_json::from_slice::<Value>(message) else {
            let text = format!("{} to {}", shown(message), shown(asked));
            return self.add("an answer that is no JSON", &text);
        };
        match &value {
            Value::Array(answers) if !answers.is_empty() => {
                answers.iter().for_each(|one| self.judge_one(asked, one));
            }
            value => self.judge_one(asked, value),
        }
    }

    fn judge_one(&self, asked: &[u8], answer: &Value) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        if let Err(reason) = check(answer) {
            let text = format!(
                "{} to {}",
                shown(answer.to_string().as_bytes()),
                shown(asked)
            );
            return self.add(reason, &text);
        }
        let counter = if answer.get("error").is_some() {
            &self.errors
        } else {
            &self.results
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if is_internal_error(&answer["error"]) {
            let text = format!("{} to {}", answer["error"], shown(asked));
            self.add("an internal error", &text);
        }
    }

    pub(super) fn report(&self, lasted: Duration, warm: Option<u64>, end: Option<u64>) -> Report {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let found = self.found.lock().expect("nobody panics while holding it");
        Report {
            lasted,
            requests: count(&self.requests),
            answers: count(&self.answers),
            results: count(&self.results),
            errors: count(&self.errors),
            resident_bytes: warm.zip(end),
            findings: found.clone(),
        }
    }
}

/// Whether something is a JSON-RPC answer or announcement.
fn check(answer: &Value) -> Result<(), &'static str> {
    let Some(fields) = answer.as_object() else {
        return Err("an answer that is no object");
    };
    if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err("an answer without jsonrpc 2.0");
    }
    if fields.contains_key("method") {
        let is_announcement = fields.get("params").is_some_and(Value::is_object);
        return is_announcement
            .then_some(())
            .ok_or("an announcement without params");
    }
    if !fields.contains_key("id") {
        return Err("an answer without an id");
    }
    match (fields.get("result"), fields.get("error")) {
        (Some(_), None) => Ok(()),
        (None, Some(error)) => {
            let is_error = error["code"].is_i64() && error["message"].is_string();
            is_error
                .then_some(())
                .ok_or("an error without code and message")
        }
        _ => Err("an answer without result or error, or with both"),
    }
}

fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(EXAMPLE_CHARACTERS_MAX)]);
    text.into_owned()
}

impl Report {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, examples) in &self.findings {
            writeln!(formatter, "FOUND {what}")?;
            for example in examples {
                writeln!(formatter, "    {example}")?;
            }
        }
        write!(
            formatter,
            "{:.0} s, {} requests, {} answers ({} results, {} errors)",
            self.lasted.as_secs_f64(),
            self.requests,
            self.answers,
            self.results,
            self.errors
        )?;
        if let Some((warm, end)) = self.resident_bytes {
            let megabytes = |bytes: u64| bytes / 1_000_000;
            write!(
                formatter,
                ", memory {} -> {} MB",
                megabytes(warm),
                megabytes(end)
            )?;
        }
        write!(formatter, ", {} kinds of findings", self.findings.len())
    }
}

/// One cause is the caller's: the public cases of `eth_simulateV1` want this code,
/// as geth answers it, for an account that has used its last nonce.
fn is_internal_error(error: &Value) -> bool {
    let message = error["message"].as_str().unwrap_or_default();
    error["code"].as_i64() == Some(INTERNAL_ERROR) && !message.contains("nonce has max value")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_no_answer_is_noticed() {
        let good = [
            json!({ "jsonrpc": "2.0", "id": 1, "result": null }),
            json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -1, "message": "" } }),
            json!({ "jsonrpc": "2.0", "method": "eth_subscription", "params": {} }),
        ];
        let bad = [
            json!(1),
            json!({ "id": 1, "result": 1 }),
            json!({ "jsonrpc": "2.0", "result": 1 }),
            json!({ "jsonrpc": "2.0", "id": 1 }),
            json!({ "jsonrpc": "2.0", "id": 1, "error": "no" }),
            json!({ "jsonrpc": "2.0", "id": 1, "result": 1, "error": { "code": 1, "message": "" } }),
        ];
        assert!(good.iter().all(|answer| check(answer).is_ok()));
        assert!(bad.iter().all(|answer| check(answer).is_err()));
        let findings = Findings::default();
        findings.judge_message(b"", b"[]");
        findings.judge_message(b"", b"not JSON");
        let internal =
            json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -32603, "message": "" } });
        findings.judge_message(b"", internal.to_string().as_bytes());
        let report = findings.report(Duration::ZERO, None, None);
        assert_eq!(report.findings.len(), 3, "{report}");
    }
}
