//! `medina consent`: who may read whose data for which purpose, who did, and what people ask.
//!
//! A scope is `me` (one's own id), a user's id, or a sensor. Purposes, forms and documents are hashed
//! before they leave this machine.

use crate::{
    args::RpcArgs,
    commands::chain_time,
    errors::{Failure, Outcome},
    files,
    ids::{self, Thing},
    output::Output,
    show,
    signer::{SenderArgs, ViewerArgs, connect},
    values,
};
use alloy_primitives::{B256, Bytes, U256};
use clap::{Args, Subcommand, ValueEnum};
use medina_sdk::client::{
    AccessRecord, GrantRecord, GrantTerms, MarketClient, RequestKind, RequestRecord,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;

/// How long a signed grant can be brought on chain.
const SIGNATURE_SECONDS: u64 = 7 * 86_400;
/// What makes files for `bring`.
const SIGN: &str = "medina consent grant --out";

#[derive(Debug, Subcommand)]
pub(crate) enum ConsentCommand {
    /// Allow somebody to read (or more) for a purpose
    Grant(GrantArgs),
    /// Bring a grant on chain that its owner has signed
    Bring(BringArgs),
    /// Change what a grant allows, or until when
    Amend(AmendArgs),
    /// End a grant at once
    Revoke(RevokeArgs),
    /// Let somebody act for one, such as a carer
    Delegate(DelegateArgs),
    /// Show what is granted
    List(ScopeArgs),
    /// Ask whether a user may do something now
    Check(CheckArgs),
    /// Show every access; with --actor, log one, as a gateway's organisation
    Log(LogArgs),
    /// Ask an organisation about data: to see, correct, erase, restrict, hand over, object
    Ask(AskArgs),
    /// Answer a request, as the organisation
    Answer(AnswerArgs),
    /// Show requests
    Requests(RequestsArgs),
    /// Show requests that are unanswered past their time
    Overdue(RequestsArgs),
    /// Tell owners of a breach at one's organisation
    Breach(BreachArgs),
    /// Say how private a scope is
    Privacy(PrivacyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    /// Whose data: `me`, a user, or a sensor
    #[arg(long, value_name = "ID", default_value = "me")]
    scope: String,
    /// Who may: a user, an organisation, an account, or everybody of a role (member, manager, …)
    #[arg(long, value_name = "ID|ROLE")]
    to: String,
    /// For what, such as care or research; only its hash is stored
    #[arg(long, value_name = "TEXT", value_parser = values::hashed)]
    purpose: B256,
    /// What: read, or several such as read,update
    #[arg(long, value_name = "WHAT", value_parser = values::operations, default_value = "read")]
    allow: u8,
    /// From when
    #[arg(long, value_name = "TIME", value_parser = values::when, default_value = "now")]
    from: u64,
    /// Until when, such as 90d or "friday 18:00"
    #[arg(long, value_name = "TIME", value_parser = values::when)]
    until: u64,
    /// The form that was agreed to: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document)]
    form: B256,
    /// Only sign, and write to a file for somebody else to bring (`medina consent bring`)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BringArgs {
    /// The file
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AmendArgs {
    /// The grant's number, complete or its first digits (`medina consent list`)
    grant: String,
    /// Whose data: `me`, a user, or a sensor
    #[arg(long, value_name = "ID", default_value = "me")]
    scope: String,
    /// What it allows from now on
    #[arg(long, value_name = "WHAT", value_parser = values::operations)]
    allow: Option<u8>,
    /// Until when
    #[arg(long, value_name = "TIME", value_parser = values::when)]
    until: Option<u64>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = false, args = ["grant", "all"])]
pub(crate) struct RevokeArgs {
    /// The grant's number, complete or its first digits (`medina consent list`)
    grant: Option<String>,
    /// All grants and delegations
    #[arg(long)]
    all: bool,
    /// Whose data: `me`, a user, or a sensor
    #[arg(long, value_name = "ID", default_value = "me")]
    scope: String,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DelegateArgs {
    /// The helper: a user's id or account
    helper: String,
    /// Whose data: `me`, a user, or a sensor
    #[arg(long, value_name = "ID", default_value = "me")]
    scope: String,
    /// Until when; `now` ends it
    #[arg(long, value_name = "TIME", value_parser = values::when)]
    until: u64,
    /// The form that was agreed to: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document)]
    form: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ScopeArgs {
    /// Whose data: `me`, a user (id or account), or a sensor
    #[arg(long, value_name = "ID", default_value = "me")]
    scope: String,
    #[command(flatten)]
    viewer: ViewerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Whose data: `me`, a user (id or account), or a sensor
    #[arg(long, value_name = "ID", default_value = "me")]
    scope: String,
    /// Who wants to: `me`, a user's id or account
    #[arg(long, value_name = "ID")]
    user: String,
    /// For what
    #[arg(long, value_name = "TEXT", value_parser = values::hashed)]
    purpose: B256,
    /// What
    #[arg(long, value_name = "WHAT", value_parser = values::operations, default_value = "read")]
    allow: u8,
    #[command(flatten)]
    viewer: ViewerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Whose data: `me`, a user, or a sensor
    #[arg(long, value_name = "ID", default_value = "me")]
    scope: String,
    /// Who read: a user's id or account; logs it
    #[arg(long, value_name = "ID", requires = "purpose")]
    actor: Option<String>,
    /// For what
    #[arg(long, value_name = "TEXT", value_parser = values::hashed)]
    purpose: Option<B256>,
    /// What was done
    #[arg(long, value_name = "WHAT", value_parser = values::operations, default_value = "read")]
    action: u8,
    /// More about it: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document, default_value_t = B256::ZERO, hide_default_value = true)]
    detail: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AskArgs {
    /// What is asked for
    #[arg(value_enum)]
    what: What,
    /// About which sensor or organisation
    #[arg(long, value_name = "ID")]
    about: String,
    /// The request: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document)]
    doc: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

/// What a person may ask for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// To see what is kept
    Access,
    /// To put something right
    Rectify,
    /// To erase
    Erase,
    /// To stop using without erasing
    Restrict,
    /// To hand over in a common form
    Port,
    /// To stop a use that needs no consent
    Object,
}

#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// The request's number
    request: U256,
    /// The answer: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document)]
    doc: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RequestsArgs {
    /// Only about this sensor or organisation
    #[arg(long, value_name = "ID")]
    about: Option<String>,
    #[command(flatten)]
    rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BreachArgs {
    /// Whose data: users or sensors
    #[arg(long, value_name = "ID", required = true)]
    scope: Vec<String>,
    /// The notice: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document)]
    notice: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PrivacyArgs {
    /// How private, in the scope's own scale
    level: u8,
    /// Whose data: `me`, a user, or a sensor
    #[arg(long, value_name = "ID", default_value = "me")]
    scope: String,
    #[command(flatten)]
    sender: SenderArgs,
}

impl From<What> for RequestKind {
    fn from(what: What) -> Self {
        match what {
            What::Access => Self::Access,
            What::Rectify => Self::Rectify,
            What::Erase => Self::Erase,
            What::Restrict => Self::Restrict,
            What::Port => Self::Port,
            What::Object => Self::Object,
        }
    }
}

/// Content of a signed grant's file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedGrant {
    grant: GrantTerms,
    deadline: u64,
    signature: Bytes,
}

pub(crate) async fn run(command: ConsentCommand, output: Output) -> Outcome {
    match command {
        ConsentCommand::Grant(args) => grant(args, output).await,
        ConsentCommand::Bring(args) => bring(&args, output).await,
        ConsentCommand::Amend(args) => amend(&args, output).await,
        ConsentCommand::Revoke(args) => revoke(&args, output).await,
        ConsentCommand::Delegate(args) => delegate(&args, output).await,
        ConsentCommand::List(args) => list(&args, output).await,
        ConsentCommand::Check(args) => check(&args, output).await,
        ConsentCommand::Log(args) => log(&args, output).await,
        ConsentCommand::Ask(args) => ask(&args, output).await,
        ConsentCommand::Answer(args) => {
            let client = args.sender.connect().await?;
            let receipt = client.answer(args.request, args.doc).await?;
            let facts = json!({ "request": args.request.to_string(), "answer": args.doc });
            show::sent(output, facts, &receipt);
            Ok(())
        }
        ConsentCommand::Requests(args) => requests(&args, false, output).await,
        ConsentCommand::Overdue(args) => requests(&args, true, output).await,
        ConsentCommand::Breach(args) => breach(&args, output).await,
        ConsentCommand::Privacy(args) => {
            let client = args.sender.connect().await?;
            let scope = scope(&client, &args.scope).await?;
            let receipt = client.set_privacy(scope, args.level).await?;
            show::sent(
                output,
                json!({ "scope": scope, "level": args.level }),
                &receipt,
            );
            Ok(())
        }
    }
}

async fn scope(client: &MarketClient, text: &str) -> Outcome<B256> {
    ids::find_any(client, &[Thing::Sensor, Thing::User], text).await
}

/// The grant that is meant, among those of a scope.
async fn granted(client: &MarketClient, scope: B256, text: &str) -> Outcome<GrantRecord> {
    let wanted = text.trim().to_lowercase();
    let wanted = wanted.split(['…', '.']).next().unwrap_or_default();
    let all = client.grants(scope).await?;
    let mut fitting = all.into_iter().filter(|grant| {
        let number = B256::from(grant.id).to_string();
        number.starts_with(wanted) || grant.id.to_string() == wanted
    });
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Failure::new(format!("{scope} has no grant {text}"))
            .hint("`medina consent list --scope …` shows them")),
        _ => {
            Err(Failure::new(format!("{text} is short for several grants"))
                .hint("write more digits"))
        }
    }
}

fn grant_json(id: U256, terms: &GrantTerms) -> Value {
    json!({
        "grant": B256::from(id),
        "scope": terms.scope,
        "to": terms.grantee,
        "purpose": terms.purpose,
        "allows": values::operations_text(terms.ops),
        "from": terms.from,
        "until": terms.until,
    })
}

async fn grant(args: GrantArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let terms = GrantTerms {
        scope: scope(&client, &args.scope).await?,
        grantee: ids::grantee(&client, &args.to).await?,
        purpose: args.purpose,
        ops: args.allow,
        from: args.from,
        until: args.until,
        form: args.form,
    };
    if let Some(path) = &args.out {
        let deadline = chain_time(&client).await? + SIGNATURE_SECONDS;
        let signature = client.sign_grant(&terms, deadline)?;
        let file = SignedGrant {
            grant: terms,
            deadline,
            signature,
        };
        files::save(path, &file)?;
        let facts = json!({
            "scope": terms.scope, "to": terms.grantee, "until": terms.until, "writtenTo": path,
            "next": format!("medina consent bring --file {}", path.display()),
        });
        show::facts(output, &facts);
        return Ok(());
    }
    let (id, receipt) = client.grant(&terms).await?;
    show::sent(output, grant_json(id, &terms), &receipt);
    Ok(())
}

async fn bring(args: &BringArgs, output: Output) -> Outcome {
    let file: SignedGrant = files::load(&args.file, SIGN)?;
    let client = args.sender.connect().await?;
    let (id, receipt) = client
        .grant_for(&file.grant, file.deadline, file.signature)
        .await?;
    show::sent(output, grant_json(id, &file.grant), &receipt);
    Ok(())
}

async fn amend(args: &AmendArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let scope = scope(&client, &args.scope).await?;
    let mut now = granted(&client, scope, &args.grant).await?;
    if args.allow.is_none() && args.until.is_none() {
        return Err(Failure::new("nothing to change").hint("give --allow or --until"));
    }
    now.terms.ops = args.allow.unwrap_or(now.terms.ops);
    now.terms.until = args.until.unwrap_or(now.terms.until);
    let receipt = client
        .amend_grant(now.id, now.terms.ops, now.terms.until)
        .await?;
    show::sent(output, grant_json(now.id, &now.terms), &receipt);
    Ok(())
}

async fn revoke(args: &RevokeArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let scope = scope(&client, &args.scope).await?;
    let (facts, receipt) = match &args.grant {
        Some(text) => {
            let id = granted(&client, scope, text).await?.id;
            let facts = json!({ "grant": B256::from(id), "scope": scope, "state": "revoked" });
            (facts, client.revoke_grant(id).await?)
        }
        None => {
            let facts = json!({ "scope": scope, "state": "all revoked" });
            (facts, client.revoke_all_grants(scope).await?)
        }
    };
    show::sent(output, facts, &receipt);
    Ok(())
}

async fn delegate(args: &DelegateArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let scope = scope(&client, &args.scope).await?;
    let helper = ids::find(&client, Thing::User, &args.helper).await?;
    let receipt = client
        .delegate_consent(scope, helper, args.until, args.form)
        .await?;
    let facts = json!({ "scope": scope, "helper": helper, "until": args.until });
    show::sent(output, facts, &receipt);
    Ok(())
}

async fn list(args: &ScopeArgs, output: Output) -> Outcome {
    let client = args.viewer.connect().await?;
    let scope = scope(&client, &args.viewer.meant(&args.scope)?).await?;
    let now = chain_time(&client).await?;
    let row = |grant: &GrantRecord| {
        let mut row = grant_json(grant.id, &grant.terms);
        row["state"] = json!(match () {
            () if grant.is_revoked => "revoked",
            () if grant.terms.until <= now => "over",
            () if grant.terms.from > now => "to come",
            () => "in force",
        });
        row
    };
    let rows: Vec<_> = client.grants(scope).await?.iter().map(row).collect();
    let columns = ["grant", "to", "purpose", "allows", "until", "state"];
    show::list(output, &rows, &columns, "nothing is granted");
    Ok(())
}

async fn check(args: &CheckArgs, output: Output) -> Outcome {
    let client = args.viewer.connect().await?;
    let scope = scope(&client, &args.viewer.meant(&args.scope)?).await?;
    let user = ids::find(&client, Thing::User, &args.viewer.meant(&args.user)?).await?;
    let allowed = client
        .is_allowed(scope, user, args.purpose, args.allow)
        .await?;
    let facts = json!({
        "allowed": allowed, "scope": scope, "user": user,
        "what": values::operations_text(args.allow),
    });
    show::facts(output, &facts);
    Ok(())
}

async fn log(args: &LogArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let scope = scope(&client, &args.scope).await?;
    let (Some(actor), Some(purpose)) = (&args.actor, args.purpose) else {
        let row = |found: &AccessRecord| {
            json!({
                "block": found.block,
                "actor": found.actor,
                "by": found.by,
                "action": values::operations_text(found.action),
                "purpose": found.purpose,
                "detail": found.detail,
            })
        };
        let rows: Vec<_> = client.accesses(scope).await?.iter().map(row).collect();
        let columns = ["block", "actor", "by", "action", "purpose"];
        show::list(output, &rows, &columns, "nobody has read");
        return Ok(());
    };
    let actor = ids::find(&client, Thing::User, actor).await?;
    let receipt = client
        .log_access(scope, actor, args.action, purpose, args.detail)
        .await?;
    let facts = json!({
        "scope": scope, "actor": actor, "action": values::operations_text(args.action),
    });
    show::sent(output, facts, &receipt);
    Ok(())
}

async fn ask(args: &AskArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let about = about(&client, &args.about).await?;
    let kind: RequestKind = args.what.into();
    let (id, receipt) = client.ask(about, kind, args.doc).await?;
    let known = client.requests(Some(about)).await?;
    let due = known.iter().find(|request| request.id == id);
    let facts = json!({
        "request": id.to_string(), "about": about, "asks": kind,
        "due": due.map(|request| request.due),
    });
    show::sent(output, facts, &receipt);
    Ok(())
}

async fn about(client: &MarketClient, text: &str) -> Outcome<B256> {
    ids::find_any(client, &[Thing::Sensor, Thing::Org], text).await
}

async fn requests(args: &RequestsArgs, overdue_only: bool, output: Output) -> Outcome {
    let client = connect(&args.rpc.rpc).await?;
    let about = match &args.about {
        Some(text) => Some(about(&client, text).await?),
        None => None,
    };
    let mut rows = Vec::new();
    for request in client.requests(about).await? {
        let is_overdue = client.is_overdue(request.id).await?;
        if is_overdue || !overdue_only {
            rows.push(request_json(&request, is_overdue));
        }
    }
    let columns = ["request", "about", "by", "asks", "due", "state"];
    let nothing = if overdue_only {
        "nothing is overdue"
    } else {
        "nobody has asked"
    };
    show::list(output, &rows, &columns, nothing);
    Ok(())
}

fn request_json(request: &RequestRecord, is_overdue: bool) -> Value {
    let state = match (request.answer.is_some(), is_overdue) {
        (true, _) => "answered",
        (false, true) => "overdue",
        (false, false) => "open",
    };
    json!({
        "request": request.id.to_string(),
        "about": request.scope,
        "by": request.by,
        "asks": values::word(&request.kind),
        "document": request.document,
        "due": request.due,
        "answer": request.answer,
        "state": state,
    })
}

async fn breach(args: &BreachArgs, output: Output) -> Outcome {
    let client = args.sender.connect_several().await?;
    let mut scopes = Vec::new();
    for text in &args.scope {
        scopes.push(scope(&client, text).await?);
    }
    let receipts = client.notify_breach(&scopes, args.notice).await?;
    let facts = json!({ "told": scopes, "notice": args.notice });
    show::sent_all(output, facts, &receipts);
    Ok(())
}
