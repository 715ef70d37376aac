//! The contract's refusals in words: what, where, what to do.

use crate::errors::Failure;
use medina_sdk::client::ClientError;

/// What was being tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Entering a node.
    Register,
    /// Opening a ballot, or voting.
    Ballot,
    /// Executing a ballot.
    Execute,
    /// Activating a node.
    Activate,
}

/// A failure of the client, with what to do about it where the contract refused.
pub(super) fn explained(step: Step, error: ClientError) -> Failure {
    let advice = ADVICE
        .iter()
        .find(|(at, name, _)| *at == step && error.is_refusal(name));
    let failure = Failure::from(error);
    match advice {
        Some((_, _, text)) => failure.hint(*text),
        None => failure,
    }
}

const ADVICE: [(Step, &str, &str); 14] = [
    (
        Step::Register,
        "NotAdmin",
        "sign with the admin account of your organisation, which must have full access",
    ),
    (
        Step::Register,
        "Known",
        "it is registered already; go on with `medina validator propose add`",
    ),
    (
        Step::Ballot,
        "NotAdmin",
        "only operators of current validators propose and vote: sign with such an account \
         (`medina validator list`)",
    ),
    (
        Step::Ballot,
        "AlreadyVoted",
        "your organisation has voted, and one vote stands for all its nodes \
         (`medina validator ballots`)",
    ),
    (
        Step::Ballot,
        "NotOpen",
        "it was executed, or its 30 days are over (`medina validator ballots --all`)",
    ),
    (
        Step::Execute,
        "NotOpen",
        "it was executed, or its 30 days are over (`medina validator ballots --all`)",
    ),
    (
        Step::Execute,
        "QuorumMissing",
        "more than half of the organisations that run a validator must say yes \
         (`medina validator ballots` shows who has not voted)",
    ),
    (
        Step::Execute,
        "LastValidator",
        "a chain keeps at least one validator: admit and activate another one first",
    ),
    (
        Step::Execute,
        "Known",
        "the node is a validator already, or the account operates another node",
    ),
    (
        Step::Execute,
        "Locked",
        "the node is switched off: its organisation must activate it in the contract first",
    ),
    (
        Step::Execute,
        "TooMany",
        "the set is full at 128 validators: remove one first",
    ),
    (
        Step::Activate,
        "NotAdmin",
        "sign with the account that the ballot named as operator (`medina validator list` shows \
         who awaits activation)",
    ),
    (
        Step::Activate,
        "Unknown",
        "a ballot must admit the node first: `medina validator propose add NODEKEY OPERATOR`",
    ),
    (
        Step::Activate,
        "Locked",
        "the node or its organisation is not active, or your account is blocked",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        let refusal = |name: &str| ClientError::Reverted {
            call: "execute(uint256)",
            reason: name.to_owned(),
        };
        let known = explained(Step::Execute, refusal("LastValidator")).to_string();
        assert!(known.contains("LastValidator"), "{known}");
        assert!(known.contains("admit and activate another"), "{known}");
        // What a step has no words for has the SDK's.
        let general = explained(Step::Execute, refusal("TooMany")).to_string();
        assert!(general.contains("128 validators"), "{general}");
        let unknown = explained(Step::Execute, refusal("Unheard"));
        assert_eq!(unknown.to_json()["hint"], serde_json::Value::Null);
    }
}
