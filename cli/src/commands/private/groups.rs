//! `medina private groups` and `skip`: who exchanges private transactions, and what members decide.

use super::access::{self, ReaderArgs};
use crate::{
    errors::{Failure, Outcome},
    ids::{self, Thing},
    output::Output,
    show,
    signer::SenderArgs,
    values,
};
use alloy_primitives::{B256, keccak256};
use clap::{Args, Subcommand, ValueEnum};
use medina_sdk::{
    client::MarketClient,
    private::{GroupRecord, GroupTerms, Groups, PrivateClient, PrivateMode},
};
use serde_json::{Value, json};

/// Bytes of a name that everybody reads.
const NAME_BYTES_MAX: usize = 32;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct GroupsArgs {
    #[command(subcommand)]
    command: Option<GroupsCommand>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum GroupsCommand {
    /// Make a group of organisations; one's own is always in it
    New(NewArgs),
    /// Show a group: its rules, members, open votes
    Show(ShowArgs),
    /// Ask to be admitted to a group
    Join(OneArgs),
    /// Vote for what is proposed about an organisation: to add it, or to remove it
    Vote(VoteArgs),
    /// Leave a group
    Leave(OneArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only groups of this organisation: id, name, or an account of it
    #[arg(long, value_name = "ORG")]
    org: Option<String>,
    #[command(flatten)]
    reader: ReaderArgs,
}

#[derive(Debug, Args)]
struct NewArgs {
    /// Name; its hash is the group's id and all that is stored, so take one that nobody guesses
    name: String,
    /// Organisation that belongs to it: id, name, or an account of it; may be repeated
    #[arg(long, value_name = "ORG", required = true)]
    org: Vec<String>,
    /// What its transactions must satisfy
    #[arg(long, value_enum, default_value_t = Mode::Standard)]
    mode: Mode,
    /// Organisation that must acknowledge every transaction; may be repeated
    #[arg(long, value_name = "ORG")]
    mandatory: Vec<String>,
    /// Members that must acknowledge besides those [default: all]
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 0,
        hide_default_value = true
    )]
    quorum: u16,
    /// Members sign the state's root at heights divisible by this [default: 64]
    #[arg(
        long,
        value_name = "BLOCKS",
        default_value_t = 0,
        hide_default_value = true
    )]
    attest_every: u32,
    /// Store the name for everybody to read, too
    #[arg(long)]
    public_name: bool,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Any account that a member's node accepts
    Standard,
    /// Only accounts of member organisations
    CounterParty,
    /// Acknowledged by the mandatory members before it is ordered
    Mandatory,
    /// Names the private state root before and after it
    Validated,
}

impl From<Mode> for PrivateMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Standard => Self::Standard,
            Mode::CounterParty => Self::CounterParty,
            Mode::Mandatory => Self::Mandatory,
            Mode::Validated => Self::Validated,
        }
    }
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The group: id, its first digits, or name
    group: String,
    #[command(flatten)]
    reader: ReaderArgs,
}

#[derive(Debug, Args)]
struct OneArgs {
    /// The group: id, its first digits, or name
    group: String,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
struct VoteArgs {
    /// The group: id, its first digits, or name
    group: String,
    /// The organisation it is about: id, name, or an account of it
    org: String,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SkipArgs {
    /// The group: id, its first digits, or name
    group: String,
    /// Digest of the marker
    digest: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

pub(super) async fn run(args: GroupsArgs, output: Output) -> Outcome {
    match args.command {
        None => list(&args.list, output).await,
        Some(GroupsCommand::New(args)) => new(&args, output).await,
        Some(GroupsCommand::Show(args)) => show_one(&args, output).await,
        Some(GroupsCommand::Join(args)) => join(&args, output).await,
        Some(GroupsCommand::Vote(args)) => {
            let client = args.sender.connect().await?;
            let group = access::group(&client, &args.group).await?;
            let org = ids::find(&client, Thing::Org, &args.org).await?;
            let receipt = Groups::of(&client)?.vote(group, org).await?;
            show::sent(output, vote_facts(&client, group, org).await?, &receipt);
            Ok(())
        }
        Some(GroupsCommand::Leave(args)) => {
            let client = args.sender.connect().await?;
            let group = access::group(&client, &args.group).await?;
            let receipt = Groups::of(&client)?.leave(group).await?;
            let facts = json!({ "group": group, "state": "left" });
            show::sent(output, facts, &receipt);
            Ok(())
        }
    }
}

async fn list(args: &ListArgs, output: Output) -> Outcome {
    let client = args.reader.connect().await?;
    let groups = Groups::of(client.chain())?;
    let found = match &args.org {
        Some(org) => {
            let org = ids::find(client.chain(), Thing::Org, org).await?;
            groups.of_org(org).await?
        }
        None => {
            let mut found = Vec::new();
            for id in groups.ids().await? {
                found.push(groups.get(id).await?);
            }
            found
        }
    };
    let mut rows: Vec<_> = found.iter().map(row).collect();
    let mut columns = vec!["group", "name", "mode", "members", "since"];
    if args.reader.has_token() {
        columns.extend(["state", "height"]);
        add_states(&client, &mut rows).await?;
    }
    show::list(output, &rows, &columns, "there are no private groups");
    Ok(())
}

fn row(group: &GroupRecord) -> Value {
    json!({
        "group": group.id,
        "name": group.name,
        "mode": values::word(&group.mode),
        "members": group.members.len(),
        "since": group.since,
    })
}

/// What the node does about the groups of the token's party; those made of a list of recipients,
/// which the chain does not name, are added.
async fn add_states(client: &PrivateClient, rows: &mut Vec<Value>) -> Outcome {
    for own in client.groups().await? {
        let place = rows.iter().position(|row| row["group"] == json!(own.id));
        let place = place.unwrap_or_else(|| {
            rows.push(json!({
                "group": own.id,
                "mode": mode_word(own.mode),
                "members": own.members.len(),
            }));
            rows.len() - 1
        });
        let status = client.status(own.id).await?;
        rows[place]["state"] = json!(status.phase);
        rows[place]["height"] = json!(status.height);
    }
    Ok(())
}

/// A mode by its number.
fn mode_word(number: u64) -> String {
    let mode = u8::try_from(number).ok();
    let mode = mode.and_then(|number| PrivateMode::try_from(number).ok());
    values::word(&mode.ok_or(u8::MAX))
}

async fn new(args: &NewArgs, output: Output) -> Outcome {
    let name = args.name.trim();
    if name.is_empty() || (args.public_name && name.len() > NAME_BYTES_MAX) {
        let text = format!("a name has 1 to {NAME_BYTES_MAX} bytes, for everybody to read");
        return Err(Failure::new(text));
    }
    let client = args.sender.connect().await?;
    let own = client.own_org().await?;
    let mut orgs = vec![own];
    let mandatory = ids::find_all(&client, Thing::Org, &args.mandatory).await?;
    let named = ids::find_all(&client, Thing::Org, &args.org).await?;
    for org in named.into_iter().chain(mandatory.iter().copied()) {
        if !orgs.contains(&org) {
            orgs.push(org);
        }
    }
    let shown = if args.public_name { name } else { "" };
    let terms = GroupTerms {
        id: keccak256(name),
        name: B256::right_padding_from(shown.as_bytes()),
        orgs,
        mode: args.mode.into(),
        mandatory,
        quorum: args.quorum,
        attest_every: args.attest_every,
    };
    let receipt = Groups::of(&client)?.create(&terms).await?;
    let facts = json!({
        "group": terms.id,
        "mode": values::word(&Ok(terms.mode)),
        "organisations": terms.orgs.len(),
        "next": format!("medina private deploy {} CODE", show::short(&terms.id.to_string())),
    });
    show::sent(output, facts, &receipt);
    Ok(())
}

async fn show_one(args: &ShowArgs, output: Output) -> Outcome {
    let client = args.reader.chain().await?;
    let id = access::group(&client, &args.group).await?;
    let groups = Groups::of(&client)?;
    let group = groups.get(id).await?;
    let members = group
        .members
        .iter()
        .map(|org| json!({ "organisation": org, "mandatory": group.mandatory.contains(org) }));
    let mut facts = row(&group);
    facts["members"] = members.collect();
    facts["quorum"] = if group.quorum == 0 {
        json!("all members")
    } else {
        json!(group.quorum)
    };
    facts["attestEvery"] = json!(group.attest_every);
    let mut votes = Vec::new();
    for party in groups.parties().await? {
        let proposal = groups.proposal(id, party.org).await?;
        if let Some(open) = proposal.filter(|proposal| proposal.is_open) {
            let is_member = group.members.contains(&party.org);
            votes.push(json!({
                "organisation": party.org,
                "vote": if is_member { "remove" } else { "add" },
                "yes": open.yes,
                "of": open.members,
                "opened": open.opened,
            }));
        }
    }
    facts["openVotes"] = json!(votes);
    show::facts(output, &facts);
    Ok(())
}

async fn join(args: &OneArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let group = access::group(&client, &args.group).await?;
    let org = client.own_org().await?;
    let receipt = Groups::of(&client)?.propose_member(group, org).await?;
    show::sent(output, vote_facts(&client, group, org).await?, &receipt);
    Ok(())
}

/// How a vote about an organisation stands.
pub(super) async fn vote_facts(client: &MarketClient, group: B256, org: B256) -> Outcome<Value> {
    let groups = Groups::of(client)?;
    let proposal = groups.proposal(group, org).await?;
    let open = proposal.filter(|proposal| proposal.is_open);
    let is_member = groups.is_member(group, org).await?;
    Ok(match open {
        Some(open) => json!({
            "group": group,
            "organisation": org,
            "state": if is_member { "to be removed" } else { "to be added" },
            "yes": open.yes,
            "of": open.members,
            "next": format!(
                "more than half must vote: medina private groups vote {} {}",
                show::short(&group.to_string()),
                show::short(&org.to_string())
            ),
        }),
        None => json!({
            "group": group,
            "organisation": org,
            "state": if is_member { "member" } else { "no member" },
        }),
    })
}

pub(super) async fn skip(args: &SkipArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let group = access::group(&client, &args.group).await?;
    let groups = Groups::of(&client)?;
    let receipt = groups.skip(group, args.digest).await?;
    let (height, yes) = groups.skipped(group, args.digest).await?;
    let members = groups.get(group).await?.members.len();
    let facts = json!({
        "group": group,
        "digest": args.digest,
        "state": if height.is_some() { "skipped" } else { "waits for more votes" },
        "yes": yes,
        "of": members,
    });
    show::sent(output, facts, &receipt);
    Ok(())
}
