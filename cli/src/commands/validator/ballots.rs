//! `medina validator propose`, `vote` and `execute`: changing the set.

use super::{
    ExecuteArgs, ProposeAddArgs, ProposeRemoveArgs, VoteArgs, YesNo,
    explain::{Step, explained},
    key_of,
    list::{ballot_json, ballot_text, operators, subject, with_voters},
};
use crate::{
    errors::{Failure, Outcome},
    output::Output,
    values,
};
use alloy_primitives::B256;
use medina_sdk::client::{
    BallotRecord, BallotSubject, ClientError, MarketClient, NodeState, Receipt, ValidatorChange,
    Voter,
};
use serde_json::{Value, json};

/// What was done to a ballot and where it stands after it.
struct Done {
    proposed: Option<Receipt>,
    voted: Option<Receipt>,
    executed: Option<Receipt>,
    ballot: BallotRecord,
    voters: Vec<Voter>,
}

/// Proposes to admit a node.
pub(super) async fn add(args: &ProposeAddArgs, output: Output) -> Outcome {
    let client = args.sender.connect_several().await?;
    let node = key_of(args.node);
    check_addition(&client, node).await?;
    let operator = args.operator;
    propose(&client, ValidatorChange::Add { node, operator }, output).await
}

/// Finds out before a ballot is opened what would make it useless.
async fn check_addition(client: &MarketClient, node: B256) -> Outcome {
    let known = match client.permitted_node(node).await {
        Ok(known) => known,
        Err(error @ ClientError::Unknown { .. }) => {
            return Err(Failure::from(error).hint(format!(
                "the admin of its organisation registers it first: medina validator register {node}"
            )));
        }
        Err(error) => return Err(error.into()),
    };
    if known.is_validator {
        return Err(Failure::new(format!("node {node} is a validator already")));
    }
    if known.state != NodeState::Active {
        let failure = Failure::new(format!("node {node} is switched off in the contract"));
        return Err(failure.hint("its organisation must activate it there first"));
    }
    Ok(())
}

/// Proposes to remove a validator.
pub(super) async fn remove(args: &ProposeRemoveArgs, output: Output) -> Outcome {
    let client = args.sender.connect_several().await?;
    let node = key_of(args.node);
    let known = client.permitted_node(node).await;
    let known = known.map_err(|error| {
        Failure::from(error).hint("`medina validator list` shows the keys of the validators")
    })?;
    if !known.is_validator && !known.awaits_activation() {
        let failure = Failure::new(format!("node {node} is no validator"));
        return Err(failure.hint("`medina validator list` shows the keys of the validators"));
    }
    if known.is_validator && client.validator_nodes().await?.len() == 1 {
        let failure = Failure::new(format!("node {node} is the only validator"));
        return Err(
            failure.hint("a chain keeps at least one: admit and activate another one first")
        );
    }
    propose(&client, ValidatorChange::Remove { node }, output).await
}

/// Opens a ballot and says yes to it: who proposes is for it.
async fn propose(client: &MarketClient, change: ValidatorChange, output: Output) -> Outcome {
    let same = client
        .ballots()
        .await?
        .into_iter()
        .find(|ballot| ballot.is_open && ballot.subject == Some(BallotSubject::from(change)));
    if let Some(open) = same {
        let failure = Failure::new(format!("ballot {} proposes the same already", open.number));
        return Err(failure.hint(format!("medina validator vote {} yes", open.number)));
    }
    let (number, receipt) = client
        .propose_validator(change)
        .await
        .map_err(|error| explained(Step::Ballot, error))?;
    let mut done = cast(client, number, true).await?;
    done.proposed = Some(receipt);
    show(&done, output);
    Ok(())
}

/// Votes, and executes what has passed by it.
pub(super) async fn vote(args: &VoteArgs, output: Output) -> Outcome {
    let client = args.sender.connect_several().await?;
    let done = cast(&client, args.ballot, args.vote == YesNo::Yes).await?;
    show(&done, output);
    Ok(())
}

/// Executes a ballot that has passed.
pub(super) async fn execute(args: &ExecuteArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    // An unknown number is said as such, not as a refusal.
    client.ballot(args.ballot).await?;
    let executed = client
        .execute_ballot(args.ballot)
        .await
        .map_err(|error| explained(Step::Execute, error))?;
    let (ballot, voters) = with_voters(&client, args.ballot).await?;
    let done = Done {
        proposed: None,
        voted: None,
        executed: Some(executed),
        ballot,
        voters,
    };
    show(&done, output);
    Ok(())
}

async fn cast(client: &MarketClient, number: u64, yes: bool) -> Outcome<Done> {
    client.ballot(number).await?;
    let voted = client
        .vote_ballot(number, yes)
        .await
        .map_err(|error| explained(Step::Ballot, error))?;
    let executed = match client.ballot(number).await?.passes {
        true => execute_passed(client, number).await?,
        false => None,
    };
    let (ballot, voters) = with_voters(client, number).await?;
    Ok(Done {
        proposed: None,
        voted: Some(voted),
        executed,
        ballot,
        voters,
    })
}

/// Two last voters may both see that a ballot has passed; one of them executes it.
async fn execute_passed(client: &MarketClient, number: u64) -> Outcome<Option<Receipt>> {
    let error = match client.execute_ballot(number).await {
        Ok(receipt) => return Ok(Some(receipt)),
        Err(error) => error,
    };
    if client.ballot(number).await?.is_executed {
        return Ok(None);
    }
    let what = format!("your vote counts and ballot {number} has passed, but it was not executed");
    Err(explained(Step::Execute, error).during(what))
}

fn show(done: &Done, output: Output) {
    let receipts = [&done.proposed, &done.voted, &done.executed];
    let receipts: Vec<_> = receipts.into_iter().flatten().cloned().collect();
    if receipts.iter().any(|receipt| !receipt.planned.is_empty()) {
        let outcome = ballot_json(&done.ballot, &done.voters);
        return crate::show::sent_all_as(output, outcome, &receipts, || {
            ballot_text(&done.ballot, &done.voters)
        });
    }
    output.result(&described(done), || text(done));
}

fn described(done: &Done) -> Value {
    let transaction = |receipt: &Option<Receipt>| receipt.as_ref().map(values::transaction);
    let mut value = ballot_json(&done.ballot, &done.voters);
    value["missing"] = json!(done.ballot.missing());
    value["transactions"] = json!({
        "proposed": transaction(&done.proposed),
        "voted": transaction(&done.voted),
        "executed": transaction(&done.executed),
    });
    value
}

fn text(done: &Done) -> String {
    let mut lines = Vec::new();
    for (what, receipt) in [
        ("opened", &done.proposed),
        ("voted", &done.voted),
        ("executed", &done.executed),
    ] {
        if let Some(receipt) = receipt {
            lines.push(format!("{what:8} {}", values::transaction_line(receipt)));
        }
    }
    if done.ballot.is_executed {
        lines.push(outcome(&done.ballot));
        return lines.join("\n");
    }
    lines.push(ballot_text(&done.ballot, &done.voters));
    lines.push(whose_turn(done));
    lines.join("\n")
}

/// What an executed ballot means for people.
fn outcome(ballot: &BallotRecord) -> String {
    let number = ballot.number;
    match ballot.subject {
        Some(BallotSubject::AddValidator { node, operator }) => format!(
            "ballot {number} has passed and is executed: {node} is admitted.\n\
             Its operator {operator} activates it once it is synced: medina validator activate {node}"
        ),
        Some(BallotSubject::RemoveValidator { node }) => {
            format!("ballot {number} has passed and is executed: {node} validates no more.")
        }
        ref other => format!(
            "ballot {number} has passed and is executed: {}",
            subject(other.as_ref())
        ),
    }
}

fn whose_turn(done: &Done) -> String {
    let ballot = &done.ballot;
    let waiting = done.voters.iter().filter(|voter| voter.vote.is_none());
    let waiting: Vec<_> = waiting.map(operators).collect();
    if waiting.is_empty() {
        return format!(
            "everybody has voted; ballot {} has not passed",
            ballot.number
        );
    }
    format!(
        "{} more yes needed, of: {}\nEach runs: medina validator vote {} yes",
        ballot.missing(),
        waiting.join(", "),
        ballot.number
    )
}
