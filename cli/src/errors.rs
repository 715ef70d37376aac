//! What went wrong, where, and what to do: one message per failure, never a backtrace.

use medina_sdk::client::{ClientError, PlannedTransaction};
use medina_sdk::private::PrivateClientError;
use std::{error::Error, fmt};

/// Why a command failed. Its text is for the person who typed the command.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    hint: Option<String>,
    /// What a dry run would have sent: no failure in the end.
    planned: Option<Box<PlannedTransaction>>,
}

/// What commands answer.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure with nothing to advise beyond its own text.
    pub(crate) fn new(what: impl fmt::Display) -> Self {
        Self {
            what: what.to_string(),
            hint: None,
            planned: None,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts what was being done in front.
    #[must_use]
    pub(crate) fn during(mut self, what: impl fmt::Display) -> Self {
        self.what = format!("{what}: {}", self.what);
        self
    }

    /// What a dry run would have sent, if this is one's end.
    pub(crate) fn planned(&self) -> Option<&PlannedTransaction> {
        self.planned.as_deref()
    }

    /// The form that programs read.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "error": self.what, "hint": self.hint })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(formatter, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

/// Every error of our crates says what, where and what to do by itself. Causes
/// that the text does not repeat are added behind it, and what a contract's
/// refusal asks for.
impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut what = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let text = inner.to_string();
            if !what.contains(&text) {
                what = format!("{what}: {text}");
            }
            cause = inner.source();
        }
        let mut failure = Self::new(what);
        let of_private = (&error as &dyn Error).downcast_ref::<PrivateClientError>();
        failure.hint = of_private
            .and_then(PrivateClientError::advice)
            .map(str::to_owned);
        let of_chain = match of_private {
            Some(PrivateClientError::Client(inner)) => Some(inner),
            _ => (&error as &dyn Error).downcast_ref::<ClientError>(),
        };
        if let Some(error) = of_chain {
            failure.hint = error.advice().map(str::to_owned);
            if let ClientError::DryRun(planned) = error {
                failure.planned = Some(planned.clone());
            }
        }
        failure
    }
}

/// A failure that says what was tried with which file.
pub(crate) fn cannot(action: &str, path: &std::path::Path, error: impl fmt::Display) -> Failure {
    Failure::new(format!("cannot {action} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_says_what_and_what_to_do() {
        let failure = Failure::new("port 1 is taken")
            .hint("use another")
            .during("node-0");
        assert_eq!(
            failure.to_string(),
            "node-0: port 1 is taken\n  use another"
        );
        assert_eq!(failure.to_json()["hint"], "use another");
    }

    #[test]
    fn refusal_of_a_contract_comes_with_advice() {
        let refused = ClientError::Reverted {
            call: "vote(uint256,bool)",
            reason: "NotOpen".to_owned(),
        };
        let text = Failure::from(refused).during("ballot 1").to_string();
        assert!(
            text.contains("NotOpen") && text.contains("30 days"),
            "{text}"
        );
    }
}
