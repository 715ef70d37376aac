//! `medina role`: what users may do in the market, and who has powers over the contracts.

use crate::{
    commands::governance::govern,
    errors::Outcome,
    ids::{self, Thing},
    output::Output,
    show,
    signer::{SenderArgs, ViewerArgs},
    values,
};
use alloy_primitives::Address;
use clap::{Args, Subcommand, ValueEnum};
use medina_sdk::client::{AccessRole, BusinessRole, GovernanceAction};
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(crate) enum RoleCommand {
    /// Set what a user may do in the market
    Set(SetArgs),
    /// Show what an account may do
    Show(ShowArgs),
    /// Give an account a power over the contracts, as the governor
    Grant(GrantArgs),
    /// Take a power back, as the governor
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// The user: id or account
    user: String,
    /// The role
    #[arg(value_enum)]
    role: Role,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// Buys and rates
    Member,
    /// Registers and lists
    Manager,
    /// Flags content
    Moderator,
    /// Rules users and organisations
    Administrator,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The account [default: the one that would sign]
    address: Option<Address>,
    #[command(flatten)]
    viewer: ViewerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    /// The power
    #[arg(value_enum)]
    power: Power,
    /// The account
    address: Address,
    /// How long before what it does with it takes effect
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "0")]
    delay: u32,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The power
    #[arg(value_enum)]
    power: Power,
    /// The account
    address: Address,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Power {
    /// Upgrades, parameters, allow lists
    Governor,
    /// Cancels what is scheduled, closes contracts
    Guardian,
    /// Enrols people
    Certifier,
    /// Resolves disputes, pardons
    Arbiter,
    /// Reports what was measured
    Monitor,
    /// Makes tokens
    Minter,
}

impl From<Power> for AccessRole {
    fn from(power: Power) -> Self {
        match power {
            Power::Governor => Self::Governor,
            Power::Guardian => Self::Guardian,
            Power::Certifier => Self::Certifier,
            Power::Arbiter => Self::Arbiter,
            Power::Monitor => Self::Monitor,
            Power::Minter => Self::Minter,
        }
    }
}

impl From<Role> for BusinessRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Member => Self::Member,
            Role::Manager => Self::Manager,
            Role::Moderator => Self::Moderator,
            Role::Administrator => Self::Administrator,
        }
    }
}

pub(crate) async fn run(command: RoleCommand, output: Output) -> Outcome {
    match command {
        RoleCommand::Set(args) => {
            let client = args.sender.connect().await?;
            let user = ids::find(&client, Thing::User, &args.user).await?;
            let receipt = client.set_role(user, args.role.into()).await?;
            let user = client.user(user).await?;
            show::sent(output, super::user::user_json(&user), &receipt);
            Ok(())
        }
        RoleCommand::Show(args) => show(&args, output).await,
        RoleCommand::Grant(args) => {
            let client = args.sender.connect().await?;
            let action = GovernanceAction::GrantRole {
                role: args.power.into(),
                account: args.address,
                delay: args.delay,
            };
            let power: AccessRole = args.power.into();
            let facts =
                json!({ "account": args.address, "power": power, "delaySeconds": args.delay });
            govern(&client, &action, facts, output).await
        }
        RoleCommand::Revoke(args) => {
            let client = args.sender.connect().await?;
            let power: AccessRole = args.power.into();
            let action = GovernanceAction::RevokeRole {
                role: power,
                account: args.address,
            };
            let facts = json!({ "account": args.address, "without": power });
            govern(&client, &action, facts, output).await
        }
    }
}

async fn show(args: &ShowArgs, output: Output) -> Outcome {
    let client = args.viewer.connect().await?;
    let address = args.viewer.address_or(args.address)?;
    let mut powers = Vec::new();
    for power in AccessRole::ALL {
        let (holds, delay) = client.holds_role(power, address).await?;
        if holds {
            powers.push(json!({ "power": power, "delaySeconds": delay }));
        }
    }
    let role = client.role_of(address).await?;
    let facts = json!({
        "account": address,
        "role": BusinessRole::try_from(role).ok(),
        "user": client.id_of(address).await?,
        "org": client.org_of(address).await?,
        "maySend": client.may_transact(address, client.contracts().data_marketplace).await?,
        "powers": powers,
    });
    show::facts(output, &facts);
    Ok(())
}
