//! `medina user`: people and their ids.
//!
//! A certifier checks a person and signs an enrolment (`enrol`); the organisation's admin admits it
//! (`approve`). A person who gets a new key moves its id there (`rotate`).

use crate::{
    args::RpcArgs,
    commands::{chain_time, org::Status},
    errors::{Failure, Outcome},
    files,
    ids::{self, Thing},
    output::Output,
    show,
    signer::{SenderArgs, ViewerArgs, connect},
    values,
};
use alloy_primitives::{Address, B256, Bytes};
use clap::{Args, Subcommand, ValueEnum};
use medina_sdk::client::{BusinessRole, EnrolmentTerms, SignedEnrolment, UserRecord};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;

/// How long a signed enrolment or rotation can be brought on chain.
const SIGNATURE_SECONDS: u64 = 30 * 86_400;
/// What makes files for `accept`.
const ENROL: &str = "medina user enrol --out";
/// What makes files for `rotate`.
const AGREE: &str = "medina user agree";

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Vouch for a person, as a certifier: enrol its account in an organisation
    Enrol(EnrolArgs),
    /// Bring a certifier's signed enrolment on chain
    Accept(FileArgs),
    /// Admit a waiting user, as the organisation's admin
    Approve(OneArgs),
    /// Show users
    List(ListArgs),
    /// Show one user
    Show(ShowArgs),
    /// Suspend, restore or revoke a user
    Set(SetArgs),
    /// Agree to become the account of an id, with the new key
    Agree(AgreeArgs),
    /// Move an id to the account that agreed
    Rotate(FileArgs),
    /// Prolong an id, as its certifier
    Renew(RenewArgs),
    /// Erase an id for ever
    Erase(OneArgs),
    /// Free the mark of a person, as its certifier, 360 days after the id was erased
    Forget(ForgetArgs),
}

#[derive(Debug, Args)]
pub(crate) struct EnrolArgs {
    /// The person's account
    address: Address,
    /// Its organisation: id, name, or an account of it [default: an individual]
    #[arg(long, value_name = "ORG")]
    org: Option<String>,
    /// How you know the person, such as name and date of birth; only a secret hash of it is stored
    #[arg(long, value_name = "TEXT", value_parser = values::name)]
    person: String,
    /// What it may do
    #[arg(long, value_enum, default_value_t = FirstRole::Member)]
    role: FirstRole,
    /// Until when
    #[arg(long, value_name = "TIME", value_parser = values::when, default_value = "365d")]
    until: u64,
    /// Terms that the person agreed to: a text, @FILE or hash
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::hashed, default_value_t = B256::ZERO, hide_default_value = true)]
    terms: B256,
    /// Write the signed enrolment to a file instead, for the person to bring (`medina user accept`)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    sender: SenderArgs,
}

/// Roles that a certifier may give.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FirstRole {
    Member,
    Manager,
}

#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// The file
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    /// The user: id or account
    user: String,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only of this organisation: id, name, or an account of it
    #[arg(long)]
    org: Option<String>,
    #[command(flatten)]
    rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The user: `me`, id or account
    #[arg(default_value = "me")]
    user: String,
    #[command(flatten)]
    viewer: ViewerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// The user: id or account
    user: String,
    /// Whether it may act; revoked is for ever
    #[arg(value_enum)]
    status: Status,
    /// Why: a text, @FILE or hash; only the hash is stored
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document, default_value_t = B256::ZERO, hide_default_value = true)]
    reason: B256,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AgreeArgs {
    /// The id that will be this account's: complete, short, or its present account
    user: String,
    /// File for the agreement, which the holder or its certifier brings (`medina user rotate`)
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RenewArgs {
    /// The user: id or account
    user: String,
    /// Until when
    #[arg(long, value_name = "TIME", value_parser = values::when)]
    until: u64,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    /// How you knew the person, in the same words as when it was enrolled
    #[arg(long, value_name = "TEXT", value_parser = values::name)]
    person: String,
    #[command(flatten)]
    sender: SenderArgs,
}

/// Content of an agreement's file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Agreement {
    user: B256,
    next: Address,
    deadline: u64,
    signature: Bytes,
}

pub(crate) async fn run(command: UserCommand, output: Output) -> Outcome {
    match command {
        UserCommand::Enrol(args) => enrol(args, output).await,
        UserCommand::Accept(args) => accept(&args, output).await,
        UserCommand::Approve(args) => {
            let client = args.sender.connect().await?;
            let user = ids::find(&client, Thing::User, &args.user).await?;
            let receipt = client.approve_user(user).await?;
            show::sent(output, user_json(&client.user(user).await?), &receipt);
            Ok(())
        }
        UserCommand::List(args) => list(&args, output).await,
        UserCommand::Show(args) => {
            let client = args.viewer.connect().await?;
            let user = args.viewer.meant(&args.user)?;
            let user = ids::find(&client, Thing::User, &user).await?;
            show::facts(output, &user_json(&client.user(user).await?));
            Ok(())
        }
        UserCommand::Set(args) => {
            let client = args.sender.connect().await?;
            let user = ids::find(&client, Thing::User, &args.user).await?;
            let receipt = client
                .set_user_status(user, args.status.into(), args.reason)
                .await?;
            show::sent(output, user_json(&client.user(user).await?), &receipt);
            Ok(())
        }
        UserCommand::Agree(args) => agree(&args, output).await,
        UserCommand::Rotate(args) => rotate(&args, output).await,
        UserCommand::Renew(args) => renew(&args, output).await,
        UserCommand::Erase(args) => {
            let client = args.sender.connect().await?;
            let user = ids::find(&client, Thing::User, &args.user).await?;
            let receipt = client.erase_user(user).await?;
            show::sent(
                output,
                json!({ "user": user, "status": "erased" }),
                &receipt,
            );
            Ok(())
        }
        UserCommand::Forget(args) => {
            let client = args.sender.connect().await?;
            let nullifier = client.nullifier(&args.person)?;
            let receipt = client.forget_nullifier(nullifier).await?;
            show::sent(output, json!({ "forgotten": nullifier }), &receipt);
            Ok(())
        }
    }
}

/// A user for programs.
pub(crate) fn user_json(user: &UserRecord) -> Value {
    json!({
        "user": user.user,
        "org": user.org,
        "account": user.account,
        "role": user.role,
        "status": user.status,
        "expires": user.expires,
        "certifier": user.certifier,
    })
}

async fn enrol(args: EnrolArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    // Any 32 random bytes; a key's are.
    let user = medina_sdk::sealed::random_key()
        .map_err(|_| Failure::new("the operating system gave no random bytes"))?;
    let org = match &args.org {
        Some(org) => ids::find(&client, Thing::Org, org).await?,
        None => user,
    };
    let terms = EnrolmentTerms {
        user,
        nullifier: client.nullifier(&args.person)?,
        org,
        account: args.address,
        role: match args.role {
            FirstRole::Member => BusinessRole::Member,
            FirstRole::Manager => BusinessRole::Manager,
        },
        expires: args.until,
        terms: args.terms,
        deadline: chain_time(&client).await? + SIGNATURE_SECONDS,
    };
    let signed = client.sign_enrolment(terms)?;
    if let Some(path) = &args.out {
        files::save(path, &signed)?;
        let facts = json!({
            "user": user, "account": args.address, "org": org, "writtenTo": path,
            "next": format!("medina user accept --file {}", path.display()),
        });
        show::facts(output, &facts);
        return Ok(());
    }
    let receipt = client.enrol(&signed).await?;
    show::sent(output, user_json(&client.user(user).await?), &receipt);
    Ok(())
}

async fn accept(args: &FileArgs, output: Output) -> Outcome {
    let signed: SignedEnrolment = files::load(&args.file, ENROL)?;
    let client = args.sender.connect().await?;
    let receipt = client.enrol(&signed).await?;
    let user = client.user(signed.enrolment.user).await?;
    show::sent(output, user_json(&user), &receipt);
    Ok(())
}

async fn list(args: &ListArgs, output: Output) -> Outcome {
    let client = connect(&args.rpc.rpc).await?;
    let org = match &args.org {
        Some(org) => Some(ids::find(&client, Thing::Org, org).await?),
        None => None,
    };
    let mut rows = Vec::new();
    for id in client.user_ids(org).await? {
        rows.push(user_json(&client.user(id).await?));
    }
    let columns = ["user", "org", "account", "role", "status", "expires"];
    show::list(output, &rows, &columns, "there are no users");
    Ok(())
}

async fn agree(args: &AgreeArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let user = ids::find(&client, Thing::User, &args.user).await?;
    let deadline = chain_time(&client).await? + SIGNATURE_SECONDS;
    let agreement = Agreement {
        user,
        next: client.account()?.address(),
        deadline,
        signature: client.sign_rotation(user, deadline)?,
    };
    files::save(&args.out, &agreement)?;
    let facts = json!({
        "user": user, "account": agreement.next, "until": deadline, "writtenTo": args.out,
        "next": format!("the holder or its certifier: medina user rotate --file {}", args.out.display()),
    });
    show::facts(output, &facts);
    Ok(())
}

async fn rotate(args: &FileArgs, output: Output) -> Outcome {
    let agreement: Agreement = files::load(&args.file, AGREE)?;
    let client = args.sender.connect().await?;
    let Agreement {
        user,
        next,
        deadline,
        signature,
    } = agreement;
    let receipt = client.rotate_user(user, next, deadline, signature).await?;
    show::sent(output, user_json(&client.user(user).await?), &receipt);
    Ok(())
}

async fn renew(args: &RenewArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let user = ids::find(&client, Thing::User, &args.user).await?;
    let signature = client.sign_renewal(user, args.until)?;
    let certifier = client.account()?.address();
    let receipt = client
        .renew_user(user, args.until, certifier, signature)
        .await?;
    show::sent(output, user_json(&client.user(user).await?), &receipt);
    Ok(())
}
