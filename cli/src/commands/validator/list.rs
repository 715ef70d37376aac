//! `medina validator list` and `ballots`: how things stand.

use super::BallotsArgs;
use crate::{
    args::RpcArgs,
    errors::Outcome,
    node_client::NodeClient,
    output::{Output, number, table},
    signer::connect,
};
use alloy_primitives::Address;
use medina_sdk::client::{BallotRecord, BallotSubject, MarketClient, Voter};
use serde::Deserialize;
use serde_json::{Value, json};

/// A validator without a seal or proposal in this many blocks counts as not seen.
const QUIET_BLOCKS: u64 = 32;

/// What `medina_validators` answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    height: u64,
    engine: String,
    quorum: usize,
    last_seen_block: Option<u64>,
    validators: Vec<Seen>,
    admitted: Vec<Admitted>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    key: String,
    operator: Address,
    name: Option<String>,
    is_self: bool,
    is_connected: bool,
    last_proposed: Option<u64>,
    last_signed: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Admitted {
    key: String,
    operator: Address,
    name: Option<String>,
}

/// Shows the validator set of the next block.
pub(crate) async fn list(rpc: &RpcArgs, output: Output) -> Outcome {
    let node = NodeClient::new(&rpc.rpc)?;
    let value: Value = node.call("medina_validators", json!([])).await?;
    let answer: Answer = serde_json::from_value(value.clone())?;
    output.result(&value, || text(&answer));
    Ok(())
}

fn text(answer: &Answer) -> String {
    let mut rows = table(&["name", "key", "operator", "voting", "last proposed"]);
    for validator in &answer.validators {
        rows.add_row([
            name(validator.name.as_ref()).into(),
            validator.key.clone().into(),
            validator.operator.to_string().into(),
            voting(validator, answer.last_seen_block).into(),
            number(block(validator.last_proposed)),
        ]);
    }
    let mut text = format!(
        "{rows}\n{} of {} votes decide block {} ({})",
        answer.quorum,
        answer.validators.len(),
        answer.height,
        answer.engine
    );
    for admitted in &answer.admitted {
        text += &format!(
            "\n{} {} is admitted and awaits its operator {}: medina validator activate {}",
            name(admitted.name.as_ref()),
            admitted.key,
            admitted.operator,
            admitted.key
        );
    }
    text
}

/// A certificate holds a quorum, not everybody: an old seal is old, not proof of
/// absence.
fn voting(validator: &Seen, head: Option<u64>) -> String {
    let last = validator.last_signed.max(validator.last_proposed);
    match (last, head) {
        (_, None) => "no block yet".to_owned(),
        (Some(last), Some(head)) if head - last.min(head) < QUIET_BLOCKS => "yes".to_owned(),
        (Some(last), Some(_)) => format!("not since block {last}"),
        (None, Some(_)) if validator.is_self || validator.is_connected => "not seen yet".to_owned(),
        (None, Some(_)) => "not seen, not connected".to_owned(),
    }
}

fn name(name: Option<&String>) -> String {
    name.cloned().unwrap_or_else(|| "-".to_owned())
}

fn block(number: Option<u64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

/// Shows ballots with what every organisation said.
pub(super) async fn ballots(args: &BallotsArgs, output: Output) -> Outcome {
    let client = connect(&args.rpc.rpc).await?;
    let mut found = Vec::new();
    for ballot in client.ballots().await? {
        if args.all || ballot.is_open {
            let voters = client.voters(ballot.number).await?;
            found.push((ballot, voters));
        }
    }
    let value: Vec<_> = found
        .iter()
        .map(|(ballot, voters)| ballot_json(ballot, voters))
        .collect();
    output.result(&value, || {
        if found.is_empty() {
            return "no open ballot".to_owned();
        }
        let texts = found
            .iter()
            .map(|(ballot, voters)| ballot_text(ballot, voters));
        texts.collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

/// A ballot for programs.
pub(super) fn ballot_json(ballot: &BallotRecord, voters: &[Voter]) -> Value {
    json!({ "ballot": ballot, "voters": voters })
}

/// A ballot for people.
pub(super) fn ballot_text(ballot: &BallotRecord, voters: &[Voter]) -> String {
    let mut text = format!(
        "ballot {}: {}\n  {}\n",
        ballot.number,
        subject(ballot.subject.as_ref()),
        standing(ballot)
    );
    for voter in voters {
        let vote = match voter.vote {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        text += &format!("  {vote:4} {}\n", operators(voter));
    }
    text
}

/// What a ballot would do.
pub(super) fn subject(subject: Option<&BallotSubject>) -> String {
    match subject {
        Some(BallotSubject::AddValidator { node, operator }) => {
            format!("add validator {node}, operated by {operator}")
        }
        Some(BallotSubject::RemoveValidator { node }) => format!("remove validator {node}"),
        Some(BallotSubject::OrgAccess { org, access }) => {
            format!("set access of organisation {org} to {access}")
        }
        Some(BallotSubject::Recover { node, state }) => format!("set node {node} to state {state}"),
        Some(BallotSubject::Parameter { name, value }) => {
            format!("set parameter {name} to {value}")
        }
        Some(BallotSubject::Account { account, state }) => {
            format!("set account {account} to state {state}")
        }
        None => "of a kind that this version does not know".to_owned(),
    }
}

fn standing(ballot: &BallotRecord) -> String {
    let votes = format!(
        "{} yes, {} no of {} organisations",
        ballot.yes, ballot.no, ballot.organisations
    );
    if ballot.is_executed {
        format!("executed; today {votes}")
    } else if !ballot.is_open {
        format!("over; {votes}")
    } else if ballot.passes {
        format!(
            "{votes}; it has passed: medina validator execute {}",
            ballot.number
        )
    } else {
        format!("{votes}; {} more yes needed", ballot.missing())
    }
}

/// Operators of an organisation, any of whom votes for it.
pub(super) fn operators(voter: &Voter) -> String {
    let operators = voter.operators.iter().map(ToString::to_string);
    operators.collect::<Vec<_>>().join(" or ")
}

/// A ballot with its voters.
pub(super) async fn with_voters(
    client: &MarketClient,
    number: u64,
) -> Outcome<(BallotRecord, Vec<Voter>)> {
    Ok((client.ballot(number).await?, client.voters(number).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voting_is_judged_by_the_last_seal_or_proposal() {
        let seen = |last_proposed, last_signed| Seen {
            last_proposed,
            last_signed,
            ..Seen::default()
        };
        for (validator, head, expected) in [
            (seen(None, None), None, "no block yet"),
            (seen(Some(3), None), Some(5), "yes"),
            (seen(Some(3), Some(90)), Some(100), "yes"),
            (seen(Some(3), Some(9)), Some(100), "not since block 9"),
            (seen(None, None), Some(100), "not seen, not connected"),
        ] {
            assert_eq!(voting(&validator, head), expected);
        }
    }
}
