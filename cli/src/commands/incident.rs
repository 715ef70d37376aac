//! `medina incident`: from an alert to a closed incident.

use crate::{
    args::RpcArgs,
    errors::{Failure, Outcome},
    ids::{self, Thing},
    output::Output,
    show,
    signer::{SenderArgs, connect},
    values,
};
use alloy_primitives::{B256, U256, keccak256};
use clap::{Args, Subcommand, ValueEnum};
use medina_sdk::client::{
    AlertRecord, AlertVerdict, IncidentAlert, IncidentRecord, IncidentReport, MarketClient,
    Response, ResponseRecord,
};
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum IncidentCommand {
    /// Raise an alert for somebody to judge
    Alert(AlertArgs),
    /// Judge an alert, as its assignee
    Evaluate(EvaluateArgs),
    /// Report an incident without an alert
    Report(ReportArgs),
    /// Say what an incident does to what, as the site
    Impact(ImpactArgs),
    /// Agree with an impact or not, as a member of the site
    Assess(AssessArgs),
    /// Ask somebody to act, as the site
    Respond(RespondArgs),
    /// Say whether one can do what is asked
    Acknowledge(AcknowledgeArgs),
    /// Say that the time to answer is over
    Escalate(EscalateArgs),
    /// End an incident, as the site
    Close(CloseArgs),
    /// Show incidents
    List(RpcArgs),
    /// Show alerts
    Alerts(RpcArgs),
    /// Show an incident, its impacts, responses and answers
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AlertArgs {
    /// What kind of thing it is, such as fire or intrusion; only its hash is stored
    #[arg(value_parser = values::name)]
    class: String,
    /// The organisation or sensor it is about
    #[arg(long, value_name = "ID")]
    site: String,
    /// Who judges it: a user or organisation
    #[arg(long, value_name = "ID")]
    assignee: String,
    /// How bad, in the site's own scale
    #[arg(long, default_value_t = 1)]
    severity: u8,
    /// What is touched: sensors, or names; may be repeated
    #[arg(long, value_name = "ID|NAME", value_parser = values::name)]
    asset: Vec<String>,
    /// What was seen: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document)]
    doc: B256,
    /// What other systems call it
    #[arg(long, value_name = "TEXT|HASH", value_parser = values::hashed, default_value_t = B256::ZERO, hide_default_value = true)]
    reference: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// The alert's number
    alert: U256,
    /// What it is
    #[arg(value_enum)]
    verdict: Verdict,
    /// Who judges instead, with `pass`
    #[arg(long, value_name = "ID", required_if_eq("verdict", "pass"))]
    to: Option<String>,
    /// Why: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document)]
    doc: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

/// What an assignee says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Verdict {
    /// It is an incident
    Confirm,
    /// It is none
    Reject,
    /// Somebody else is to judge (--to)
    Pass,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// What kind of thing it is; only its hash is stored
    #[arg(value_parser = values::name)]
    class: String,
    /// The organisation or sensor it is about
    #[arg(long, value_name = "ID")]
    site: String,
    /// How bad, in the site's own scale
    #[arg(long, default_value_t = 1)]
    severity: u8,
    /// What is touched: a sensor, or a name
    #[arg(long, value_name = "ID|NAME", value_parser = values::name)]
    asset: String,
    /// What was seen: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document)]
    doc: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ImpactArgs {
    /// The incident's number
    incident: U256,
    /// Asset, risk and how likely, as ASSET:RISK:PERCENT; may be repeated
    #[arg(long, value_name = "ASSET:RISK:PERCENT", required = true)]
    risk: Vec<String>,
    /// Why: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document)]
    doc: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AssessArgs {
    /// The impact's number
    impact: U256,
    /// Whether one agrees
    #[arg(value_enum)]
    opinion: Opinion,
    /// Why: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document)]
    doc: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Opinion {
    Agree,
    Disagree,
}

#[derive(Debug, Args)]
pub(crate) struct RespondArgs {
    /// The incident's number
    incident: U256,
    /// What to do: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document)]
    plan: B256,
    /// Who: users or organisations; may be repeated
    #[arg(long, value_name = "ID", required = true)]
    to: Vec<String>,
    /// Until when they answer
    #[arg(long, value_name = "TIME", value_parser = values::when, default_value = "1h")]
    answer_by: u64,
    /// No answer is asked for
    #[arg(long)]
    no_answer: bool,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AcknowledgeArgs {
    /// The response's number
    response: U256,
    /// Cannot do it
    #[arg(long)]
    decline: bool,
    /// A note: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document, default_value_t = B256::ZERO, hide_default_value = true)]
    note: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EscalateArgs {
    /// The response's number
    response: U256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CloseArgs {
    /// The incident's number
    incident: U256,
    /// What came of it: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document)]
    doc: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The incident's number
    incident: U256,
    #[command(flatten)]
    rpc: RpcArgs,
}

pub(crate) async fn run(command: IncidentCommand, output: Output) -> Outcome {
    match command {
        IncidentCommand::Alert(args) => alert(&args, output).await,
        IncidentCommand::Evaluate(args) => evaluate(&args, output).await,
        IncidentCommand::Report(args) => report(&args, output).await,
        IncidentCommand::Impact(args) => impact(&args, output).await,
        IncidentCommand::Assess(args) => {
            let client = args.sender.connect().await?;
            let agrees = args.opinion == Opinion::Agree;
            let receipt = client
                .evaluate_impact(args.impact, agrees, args.doc)
                .await?;
            let facts = json!({ "impact": args.impact.to_string(), "agrees": agrees });
            show::sent(output, facts, &receipt);
            Ok(())
        }
        IncidentCommand::Respond(args) => respond(&args, output).await,
        IncidentCommand::Acknowledge(args) => {
            let client = args.sender.connect().await?;
            let receipt = client
                .acknowledge_response(args.response, !args.decline, args.note)
                .await?;
            let answer = if args.decline { "declined" } else { "accepted" };
            let facts = json!({ "response": args.response.to_string(), "answer": answer });
            show::sent(output, facts, &receipt);
            Ok(())
        }
        IncidentCommand::Escalate(args) => {
            let client = args.sender.connect().await?;
            let receipt = client.escalate_response(args.response).await?;
            let facts = json!({ "response": args.response.to_string(), "state": "escalated" });
            show::sent(output, facts, &receipt);
            Ok(())
        }
        IncidentCommand::Close(args) => {
            let client = args.sender.connect().await?;
            let receipt = client.close_incident(args.incident, args.doc).await?;
            let facts = json!({ "incident": args.incident.to_string(), "state": "closed" });
            show::sent(output, facts, &receipt);
            Ok(())
        }
        IncidentCommand::List(args) => {
            let found = connect(&args.rpc).await?.incidents().await?;
            let rows: Vec<_> = found.iter().map(incident_json).collect();
            let columns = ["incident", "site", "class", "severity", "alert", "state"];
            show::list(output, &rows, &columns, "there are no incidents");
            Ok(())
        }
        IncidentCommand::Alerts(args) => {
            let found = connect(&args.rpc).await?.alerts().await?;
            let rows: Vec<_> = found.iter().map(alert_json).collect();
            let columns = ["alert", "site", "assignee", "severity", "state", "incident"];
            show::list(output, &rows, &columns, "there are no alerts");
            Ok(())
        }
        IncidentCommand::Show(args) => show_one(&args, output).await,
    }
}

fn incident_json(found: &IncidentRecord) -> Value {
    json!({
        "incident": found.incident.to_string(),
        "site": found.site,
        "class": found.class,
        "severity": found.severity,
        "alert": (!found.alert.is_zero()).then(|| found.alert.to_string()),
        "state": if found.is_closed { "closed" } else { "open" },
    })
}

fn alert_json(found: &AlertRecord) -> Value {
    let state = match found.verdict {
        None => "waits",
        Some(AlertVerdict::Passed) => "passed on",
        Some(AlertVerdict::Confirmed) => "confirmed",
        Some(AlertVerdict::Rejected) => "rejected",
    };
    json!({
        "alert": found.alert.to_string(),
        "site": found.site,
        "assignee": found.assignee,
        "class": found.class,
        "severity": found.severity,
        "assets": found.assets,
        "state": state,
        "incident": found.incident.map(|incident| incident.to_string()),
    })
}

async fn site(client: &MarketClient, text: &str) -> Outcome<B256> {
    ids::find_any(client, &[Thing::Sensor, Thing::Org], text).await
}

async fn person(client: &MarketClient, text: &str) -> Outcome<B256> {
    ids::find_any(client, &[Thing::User, Thing::Org], text).await
}

/// A sensor if it is one, else the hash of a name.
async fn asset(client: &MarketClient, text: &str) -> B256 {
    let known = ids::find(client, Thing::Sensor, text).await;
    known.unwrap_or_else(|_| keccak256(text))
}

async fn alert(args: &AlertArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let mut assets = Vec::new();
    for text in &args.asset {
        assets.push(asset(&client, text).await);
    }
    let alert = IncidentAlert {
        reference: args.reference,
        class: keccak256(&args.class),
        severity: args.severity,
        site: site(&client, &args.site).await?,
        assets,
        document: args.doc,
        assignee: person(&client, &args.assignee).await?,
    };
    let (number, receipt) = client.raise_alert(&alert).await?;
    let facts = json!({
        "alert": number.to_string(), "site": alert.site, "assignee": alert.assignee,
        "next": format!("the assignee: medina incident evaluate {number} confirm|reject|pass --doc …"),
    });
    show::sent(output, facts, &receipt);
    Ok(())
}

async fn evaluate(args: &EvaluateArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let verdict = match args.verdict {
        Verdict::Confirm => AlertVerdict::Confirmed,
        Verdict::Reject => AlertVerdict::Rejected,
        Verdict::Pass => AlertVerdict::Passed,
    };
    let pass_to = match &args.to {
        Some(text) => person(&client, text).await?,
        None => B256::ZERO,
    };
    let (incident, receipt) = client
        .evaluate_alert(args.alert, verdict, pass_to, args.doc)
        .await?;
    let facts = json!({
        "alert": args.alert.to_string(),
        "verdict": verdict,
        "incident": incident.map(|incident| incident.to_string()),
        "passedTo": args.to.as_ref().map(|_| pass_to),
    });
    show::sent(output, facts, &receipt);
    Ok(())
}

async fn report(args: &ReportArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let report = IncidentReport {
        class: keccak256(&args.class),
        severity: args.severity,
        site: site(&client, &args.site).await?,
        asset: asset(&client, &args.asset).await,
        document: args.doc,
    };
    let (number, receipt) = client.report_incident(&report).await?;
    let facts = json!({ "incident": number.to_string(), "site": report.site });
    show::sent(output, facts, &receipt);
    Ok(())
}

/// Reads `ASSET:RISK:PERCENT`.
fn risk_parts(text: &str) -> Outcome<(&str, &str, u16)> {
    let wrong = || {
        Failure::new(format!("{text:?} is no risk"))
            .hint("write ASSET:RISK:PERCENT, such as roof:fire:80")
    };
    let (rest, percent) = text.rsplit_once(':').ok_or_else(wrong)?;
    let (asset, risk) = rest.split_once(':').ok_or_else(wrong)?;
    let percent = percent.strip_suffix('%').unwrap_or(percent);
    let score = values::percent(percent).map_err(|_| wrong())?;
    Ok((asset, risk, score))
}

async fn impact(args: &ImpactArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let mut risks = Vec::new();
    for text in &args.risk {
        let (name, risk, score) = risk_parts(text)?;
        risks.push((asset(&client, name).await, keccak256(risk), score));
    }
    let (number, receipt) = client
        .publish_impact(args.incident, &risks, args.doc)
        .await?;
    let facts = json!({
        "incident": args.incident.to_string(), "impact": number.to_string(), "risks": risks.len(),
    });
    show::sent(output, facts, &receipt);
    Ok(())
}

async fn respond(args: &RespondArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let mut recipients = Vec::new();
    for text in &args.to {
        recipients.push(person(&client, text).await?);
    }
    let response = Response {
        incident: args.incident,
        plan: args.plan,
        recipients,
        timeout: args.answer_by,
        needs_answer: !args.no_answer,
    };
    let (number, receipt) = client.respond_incident(&response).await?;
    let facts = json!({
        "response": number.to_string(),
        "incident": args.incident.to_string(),
        "recipients": response.recipients,
        "timeout": args.answer_by,
        "next": format!("each: medina incident acknowledge {number} [--decline]"),
    });
    show::sent(output, facts, &receipt);
    Ok(())
}

async fn show_one(args: &ShowArgs, output: Output) -> Outcome {
    let client = connect(&args.rpc.rpc).await?;
    let history = client.incident_history(args.incident).await?;
    let mut facts = incident_json(&history.incident);
    let impact = |found: &medina_sdk::client::ImpactRecord| {
        json!({
            "impact": found.impact.to_string(), "asset": found.asset, "risk": found.risk,
            "score": values::points(found.score), "agreed": found.agreed, "disagreed": found.disagreed,
        })
    };
    facts["impacts"] = json!(history.impacts.iter().map(impact).collect::<Vec<_>>());
    facts["responses"] = json!(
        history
            .responses
            .iter()
            .map(response_json)
            .collect::<Vec<_>>()
    );
    show::facts(output, &facts);
    Ok(())
}

fn response_json(found: &ResponseRecord) -> Value {
    let answer = match found.answer {
        Some(true) => "accepted",
        Some(false) => "declined",
        None if found.is_escalated => "timed out, escalated",
        None if found.needs_answer => "none yet",
        None => "none asked for",
    };
    json!({
        "response": found.response.to_string(), "recipient": found.recipient, "plan": found.plan,
        "timeout": found.timeout, "answer": answer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn risks_have_three_parts() {
        assert_eq!(
            risk_parts("roof:fire:80").expect("is one"),
            ("roof", "fire", 8_000)
        );
        assert_eq!(risk_parts("a:b:c:7.5%").expect("is one"), ("a", "b:c", 750));
        for text in ["", "roof", "roof:fire", "roof:fire:101", "roof:fire:x"] {
            assert!(risk_parts(text).is_err(), "{text}");
        }
    }
}
