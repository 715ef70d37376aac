//! `medina org`: organisations, by Administrators and operators.

use crate::{
    args::RpcArgs,
    errors::{Failure, Outcome},
    ids::{self, Thing},
    output::Output,
    show,
    signer::{SenderArgs, ViewerArgs, connect},
    values,
};
use alloy_primitives::{Address, B256, keccak256};
use clap::{Args, Subcommand, ValueEnum};
use medina_sdk::client::{
    Access, BallotSubject, ClientError, IdentityStatus, MarketClient, NodeState, OrgRecord,
};
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum OrgCommand {
    /// Register an organisation, as an Administrator
    Register(RegisterArgs),
    /// Change an organisation's admin, status or document, as an Administrator
    Set(SetArgs),
    /// Show the organisations
    List(RpcArgs),
    /// Show an organisation and its users
    Show(ShowArgs),
    /// Propose what an organisation's accounts may do on chain, as an operator
    Access(AccessArgs),
    /// Stop an account of one's own users from sending, as the organisation's admin
    Block(AccountArgs),
    /// Let a blocked account send again
    Unblock(AccountArgs),
    /// Switch a node of one's organisation that is no validator
    Node(NodeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AccountArgs {
    /// The account
    address: Address,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The node's ed25519 key (`medina node status`)
    key: B256,
    /// Whether it may connect; out of blacklisted only a ballot leads
    #[arg(value_enum)]
    state: Node,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Node {
    Active,
    Inactive,
    Blacklisted,
}

impl From<Node> for NodeState {
    fn from(state: Node) -> Self {
        match state {
            Node::Active => Self::Active,
            Node::Inactive => Self::Inactive,
            Node::Blacklisted => Self::Blacklisted,
        }
    }
}

/// `setAccount` of the `Permissioning` contract: as the id says.
const BY_ID: u8 = 0;
/// May not send.
const BLOCKED: u8 = 1;

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// Its name; the hash is its id and all that is stored
    #[arg(value_parser = values::name)]
    name: String,
    /// Account that acts for it
    #[arg(long, value_name = "ADDRESS")]
    admin: Address,
    /// About it: a text, @FILE or hash; only the hash is stored
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document, default_value_t = B256::ZERO, hide_default_value = true)]
    about: B256,
    /// Its id [default: hash of the name]
    #[arg(long)]
    id: Option<B256>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// The organisation: id, name, or an account of it
    org: String,
    /// Account that acts for it from now on
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<Address>,
    /// Whether it may act; revoked is for ever
    #[arg(long, value_enum)]
    status: Option<Status>,
    /// About it: a text, @FILE or hash; only the hash is stored
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document)]
    about: Option<B256>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The organisation: id, name, or an account of it
    #[arg(default_value = "me")]
    org: String,
    #[command(flatten)]
    viewer: ViewerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AccessArgs {
    /// The organisation: id, name, or an account of it
    org: String,
    /// What its accounts may do
    #[arg(value_enum)]
    access: OrgAccess,
    #[command(flatten)]
    sender: SenderArgs,
}

/// Whether an organisation or user may act.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Status {
    Active,
    Suspended,
    Revoked,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OrgAccess {
    /// Nothing but reading
    Read,
    /// Calls
    Transact,
    /// New contracts too
    Deploy,
    /// Its admin adds nodes too
    Full,
}

impl From<Status> for IdentityStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Active => Self::Active,
            Status::Suspended => Self::Suspended,
            Status::Revoked => Self::Revoked,
        }
    }
}

impl From<OrgAccess> for Access {
    fn from(access: OrgAccess) -> Self {
        match access {
            OrgAccess::Read => Self::Read,
            OrgAccess::Transact => Self::Transact,
            OrgAccess::Deploy => Self::Deploy,
            OrgAccess::Full => Self::Full,
        }
    }
}

pub(crate) async fn run(command: OrgCommand, output: Output) -> Outcome {
    match command {
        OrgCommand::Register(args) => register(args, output).await,
        OrgCommand::Set(args) => set(args, output).await,
        OrgCommand::List(args) => list(&args, output).await,
        OrgCommand::Show(args) => show(&args, output).await,
        OrgCommand::Access(args) => access(&args, output).await,
        OrgCommand::Block(args) => set_account(&args, BLOCKED, output).await,
        OrgCommand::Unblock(args) => set_account(&args, BY_ID, output).await,
        OrgCommand::Node(args) => {
            let client = args.sender.connect().await?;
            let receipt = client.set_node(args.key, args.state.into()).await?;
            let node = client.permitted_node(args.key).await?;
            let facts = json!({ "node": node.key, "org": node.org, "state": node.state });
            show::sent(output, facts, &receipt);
            Ok(())
        }
    }
}

fn org_json(org: &OrgRecord) -> Value {
    json!({
        "org": org.org,
        "admin": org.admin,
        "status": org.status,
        "since": org.since,
        "about": org.meta,
    })
}

async fn register(args: RegisterArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let id = args.id.unwrap_or_else(|| keccak256(&args.name));
    let receipt = client.register_org(id, args.admin, args.about).await?;
    let facts = json!({ "org": id, "name": args.name, "admin": args.admin });
    show::sent(output, facts, &receipt);
    Ok(())
}

async fn set(args: SetArgs, output: Output) -> Outcome {
    if args.admin.is_none() && args.status.is_none() && args.about.is_none() {
        return Err(Failure::new("nothing to change").hint("give --admin, --status or --about"));
    }
    let client = args.sender.connect().await?;
    let now = client
        .org(ids::find(&client, Thing::Org, &args.org).await?)
        .await?;
    let status = args.status.map_or(now.status, Into::into);
    let (admin, about) = (
        args.admin.unwrap_or(now.admin),
        args.about.unwrap_or(now.meta),
    );
    let receipt = client.set_org(now.org, admin, status, about).await?;
    show::sent(output, org_json(&client.org(now.org).await?), &receipt);
    Ok(())
}

async fn list(args: &RpcArgs, output: Output) -> Outcome {
    let client = connect(&args.rpc).await?;
    let mut rows = Vec::new();
    for id in client.org_ids().await? {
        match client.org(id).await {
            Ok(org) => rows.push(org_json(&org)),
            // An individual is its own organisation; `medina user list` shows people.
            Err(ClientError::Unknown { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let columns = ["org", "status", "admin", "since"];
    show::list(output, &rows, &columns, "there are no organisations");
    Ok(())
}

async fn show(args: &ShowArgs, output: Output) -> Outcome {
    let client = args.viewer.connect().await?;
    let org = client
        .org(ids::find(&client, Thing::Org, &args.viewer.meant(&args.org)?).await?)
        .await?;
    let mut facts = org_json(&org);
    let reputation = client.platform_reputation(org.org).await?;
    facts["reputation"] = json!(reputation.known().map(values::points));
    facts["users"] = json!(users(&client, org.org).await?);
    show::facts(output, &facts);
    Ok(())
}

async fn users(client: &MarketClient, org: B256) -> Outcome<Vec<Value>> {
    let mut rows = Vec::new();
    for id in client.user_ids(Some(org)).await? {
        rows.push(super::user::user_json(&client.user(id).await?));
    }
    Ok(rows)
}

async fn set_account(args: &AccountArgs, state: u8, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let receipt = client.set_account_state(args.address, state).await?;
    let state = if state == BLOCKED {
        "blocked"
    } else {
        "as its id says"
    };
    show::sent(
        output,
        json!({ "account": args.address, "state": state }),
        &receipt,
    );
    Ok(())
}

async fn access(args: &AccessArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let org = ids::find(&client, Thing::Org, &args.org).await?;
    let access: Access = args.access.into();
    let subject = BallotSubject::OrgAccess {
        org,
        access: access.into(),
    };
    let (number, receipt) = client.propose_ballot(&subject).await?;
    let facts = json!({
        "ballot": number,
        "org": org,
        "access": access,
        "next": format!("operators vote: medina validator vote {number} yes"),
    });
    show::sent(output, facts, &receipt);
    Ok(())
}
