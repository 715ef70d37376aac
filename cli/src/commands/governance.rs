//! `medina governance`: what governor, minters and guardians do with their powers.
//!
//! What has to wait is announced by the same command, and executed by `governance execute` when its
//! time has come; `governance waiting` shows what was announced, and a guardian cancels it.

use crate::{
    args::RpcArgs,
    errors::{Failure, Outcome},
    output::Output,
    show,
    signer::{SenderArgs, connect},
    values,
};
use alloy_primitives::{Address, B256, Bytes};
use clap::{Args, Subcommand, ValueEnum};
use medina_sdk::client::{GovernanceAction, Governed, MarketClient, ScheduledOperation};
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum GovernanceCommand {
    /// Show parameters, closed contracts, and what was announced
    Show(RpcArgs),
    /// Set the market's fee, the raters' part of it, and how long a dispute waits for its judge
    Market(MarketArgs),
    /// Set parameters of trust; what is not given stays
    Trust(TrustArgs),
    /// Let a contract judge signatures of devices, or not any more
    Verifier(ListArgs),
    /// Let a contract judge orders, or not any more
    Judge(ListArgs),
    /// Send collected fees to the treasury
    CollectFees(FeesArgs),
    /// Give a contract new code
    Upgrade(UpgradeArgs),
    /// Let a role count only some time after it is given
    GrantDelay(DelayArgs),
    /// End the time in which the lists of genesis rule
    CloseBoot(SenderArgs),
    /// Guardian: let nothing new begin at a contract; exits and answers go on
    Close(ContractArgs),
    /// Let a closed contract begin things again
    Open(ContractArgs),
    /// Show what was announced and waits
    Waiting(RpcArgs),
    /// Execute what was announced, as who announced it
    Execute(OperationArgs),
    /// Cancel what was announced, as a guardian or who announced it
    Cancel(OperationArgs),
}

#[derive(Debug, Args)]
pub(crate) struct MarketArgs {
    /// Of what reaches the seller, percent, at most 5
    #[arg(long, value_name = "PERCENT", value_parser = values::percent)]
    fee: u16,
    /// Of the fee, to a buyer who rates, percent
    #[arg(long, value_name = "PERCENT", value_parser = values::percent)]
    rebate: u16,
    /// How long a dispute waits for its judge
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    dispute_in: u32,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    /// Feedback of an organisation nobody has rated, percent
    #[arg(long, value_name = "PERCENT", value_parser = values::percent)]
    prior: Option<u16>,
    /// Weight of that, in ratings
    #[arg(long, value_name = "RATINGS")]
    prior_weight: Option<u8>,
    /// Half-life of feedback
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    half_feedback: Option<u32>,
    /// Half-life of uptime
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    half_uptime: Option<u32>,
    /// Half-life of misdeeds
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    half_misdeed: Option<u32>,
    /// Weights of federation history, bartering, refused accesses and feedback in a reputation
    #[arg(long, value_name = "W", num_args = 4)]
    weights: Option<Vec<u8>>,
    /// Payments below it weigh nothing
    #[arg(long, value_name = "TOKENS", value_parser = values::tokens)]
    dust: Option<u128>,
    /// Compute exactly as symbIoTe does
    #[arg(long)]
    compat: Option<bool>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Whether it may
    #[arg(value_enum)]
    what: Allow,
    /// The contract: address, or its name in the suite
    contract: String,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Allow {
    /// It may
    Allow,
    /// It may not any more
    Forbid,
}

#[derive(Debug, Args)]
pub(crate) struct FeesArgs {
    /// How many
    #[arg(value_name = "TOKENS", value_parser = values::tokens)]
    amount: u128,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UpgradeArgs {
    /// The contract: address, or its name in the suite
    contract: String,
    /// Contract with the new code, deployed already
    implementation: Address,
    /// Call of the new code that goes with it
    #[arg(long, value_name = "HEX", default_value_t = Bytes::new(), hide_default_value = true)]
    data: Bytes,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DelayArgs {
    /// The power
    #[arg(value_enum)]
    power: super::role::Power,
    /// How long after it is given
    #[arg(value_name = "TIME", value_parser = values::duration)]
    delay: u32,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ContractArgs {
    /// The contract: address, or its name in the suite
    contract: String,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OperationArgs {
    /// Its id, complete or its first digits (`medina governance waiting`)
    operation: String,
    #[command(flatten)]
    sender: SenderArgs,
}

pub(crate) async fn run(command: GovernanceCommand, output: Output) -> Outcome {
    match command {
        GovernanceCommand::Show(rpc) => show_all(&rpc, output).await,
        GovernanceCommand::Market(args) => market(&args, output).await,
        GovernanceCommand::Trust(args) => trust(&args, output).await,
        GovernanceCommand::Verifier(args) => {
            let client = args.sender.connect().await?;
            let verifier = contract(&client, &args.contract)?;
            let allowed = args.what == Allow::Allow;
            let facts = json!({ "verifier": verifier, "allowed": allowed });
            let action = GovernanceAction::Verifier { verifier, allowed };
            govern(&client, &action, facts, output).await
        }
        GovernanceCommand::Judge(args) => {
            let client = args.sender.connect().await?;
            let judge = contract(&client, &args.contract)?;
            let allowed = args.what == Allow::Allow;
            let facts = json!({ "judge": judge, "allowed": allowed });
            let action = GovernanceAction::Judge { judge, allowed };
            govern(&client, &action, facts, output).await
        }
        GovernanceCommand::CollectFees(args) => {
            let client = args.sender.connect().await?;
            let action = GovernanceAction::CollectFees(args.amount);
            let facts = json!({ "amount": args.amount.to_string(), "to": "the treasury" });
            govern(&client, &action, facts, output).await
        }
        GovernanceCommand::Upgrade(args) => upgrade(args, output).await,
        GovernanceCommand::GrantDelay(args) => {
            let client = args.sender.connect().await?;
            let role = args.power.into();
            let action = GovernanceAction::GrantDelay {
                role,
                delay: args.delay,
            };
            let facts = json!({ "power": role, "countsAfterSeconds": args.delay });
            govern(&client, &action, facts, output).await
        }
        GovernanceCommand::CloseBoot(sender) => {
            let client = sender.connect().await?;
            let facts = json!({ "boot": "closed" });
            govern(&client, &GovernanceAction::CloseBoot, facts, output).await
        }
        GovernanceCommand::Close(args) => {
            let client = args.sender.connect().await?;
            let target = contract(&client, &args.contract)?;
            let receipt = client.close_contract(target).await?;
            let facts = json!({ "contract": client.contract_name(target), "state": "closed" });
            show::sent(output, facts, &receipt);
            Ok(())
        }
        GovernanceCommand::Open(args) => {
            let client = args.sender.connect().await?;
            let target = contract(&client, &args.contract)?;
            let facts = json!({ "contract": client.contract_name(target), "state": "open" });
            govern(&client, &GovernanceAction::Open(target), facts, output).await
        }
        GovernanceCommand::Waiting(rpc) => {
            let client = connect(&rpc.rpc).await?;
            let waiting = client.scheduled_operations().await?;
            let rows: Vec<_> = waiting.iter().map(operation_json).collect();
            let columns = [
                "operation",
                "contract",
                "function",
                "caller",
                "readyAt",
                "until",
            ];
            show::list(output, &rows, &columns, "nothing waits");
            Ok(())
        }
        GovernanceCommand::Execute(args) => {
            let client = args.sender.connect().await?;
            let operation = operation(&client, &args.operation).await?;
            let receipt = client.execute_operation(&operation).await?;
            show::sent(output, operation_json(&operation), &receipt);
            Ok(())
        }
        GovernanceCommand::Cancel(args) => {
            let client = args.sender.connect().await?;
            let operation = operation(&client, &args.operation).await?;
            let receipt = client.cancel_operation(&operation).await?;
            let mut facts = operation_json(&operation);
            facts["state"] = json!("cancelled");
            show::sent(output, facts, &receipt);
            Ok(())
        }
    }
}

/// Does or announces an action, and says which.
pub(crate) async fn govern(
    client: &MarketClient,
    action: &GovernanceAction,
    facts: Value,
    output: Output,
) -> Outcome {
    match client.govern(action).await? {
        Governed::Done(receipt) => show::sent(output, facts, &receipt),
        Governed::Announced(operation, receipt) => {
            let mut facts = facts;
            facts["state"] = json!("announced");
            facts["operation"] = json!(operation.id);
            facts["readyAt"] = json!(operation.ready_at);
            facts["until"] = json!(operation.until);
            facts["next"] = json!(format!("medina governance execute {}", operation.id));
            show::sent(output, facts, &receipt);
        }
    }
    Ok(())
}

async fn market(args: &MarketArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let action = GovernanceAction::MarketParameters {
        fee_bps: args.fee,
        rebate_bps: args.rebate,
        dispute_in: args.dispute_in,
    };
    let facts = json!({
        "feePercent": values::points(args.fee),
        "rebatePercent": values::points(args.rebate),
        "disputesEndAfterSeconds": args.dispute_in,
    });
    govern(&client, &action, facts, output).await
}

async fn trust(args: &TrustArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let mut params = client.trust_params().await?;
    params.prior = args.prior.unwrap_or(params.prior);
    params.w = args.prior_weight.unwrap_or(params.w);
    params.halfFeedback = args.half_feedback.unwrap_or(params.halfFeedback);
    params.halfUptime = args.half_uptime.unwrap_or(params.halfUptime);
    params.halfMisdeed = args.half_misdeed.unwrap_or(params.halfMisdeed);
    if let Some([history, bartering, denied, feedback]) = args.weights.as_deref() {
        (params.wFH, params.wBT) = (*history, *bartering);
        (params.wAD, params.wFB) = (*denied, *feedback);
    }
    params.dust = args.dust.unwrap_or(params.dust);
    params.compat = args.compat.unwrap_or(params.compat);
    let facts = trust_json(&params);
    govern(
        &client,
        &GovernanceAction::TrustParameters(params),
        facts,
        output,
    )
    .await
}

fn trust_json(params: &medina_sdk::client::TrustParams) -> Value {
    json!({
        "prior": values::points(params.prior),
        "priorWeight": params.w,
        "halfFeedbackSeconds": params.halfFeedback,
        "halfUptimeSeconds": params.halfUptime,
        "halfMisdeedSeconds": params.halfMisdeed,
        "weights": [params.wFH, params.wBT, params.wAD, params.wFB],
        "compat": params.compat,
        "dust": params.dust.to_string(),
    })
}

async fn upgrade(args: UpgradeArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let module = contract(&client, &args.contract)?;
    let code = client.code_at(args.implementation).await?;
    if code.is_empty() {
        return Err(
            Failure::new(format!("there is no contract at {}", args.implementation))
                .hint("deploy the new code first"),
        );
    }
    let facts = json!({
        "contract": client.contract_name(module), "at": module.to_string(),
        "implementation": args.implementation,
    });
    let action = GovernanceAction::Upgrade {
        module,
        implementation: args.implementation,
        data: args.data,
    };
    govern(&client, &action, facts, output).await
}

async fn show_all(rpc: &RpcArgs, output: Output) -> Outcome {
    let client = connect(&rpc.rpc).await?;
    let mut closed = Vec::new();
    for (name, address) in client.contracts().named() {
        if client.is_closed(address).await? {
            closed.push(name);
        }
    }
    let waiting = client.scheduled_operations().await?;
    let facts = json!({
        "trust": trust_json(&client.trust_params().await?),
        "closed": closed,
        "waiting": waiting.iter().map(operation_json).collect::<Vec<_>>(),
    });
    show::facts(output, &facts);
    Ok(())
}

fn operation_json(operation: &ScheduledOperation) -> Value {
    json!({
        "operation": operation.id,
        "contract": operation.contract,
        "function": operation.function,
        "caller": operation.caller,
        "readyAt": operation.ready_at,
        "until": operation.until,
        "data": operation.data,
    })
}

/// The announced operation that is meant.
async fn operation(client: &MarketClient, text: &str) -> Outcome<ScheduledOperation> {
    let wanted = text.trim().to_lowercase();
    let wanted = wanted.split(['…', '.']).next().unwrap_or_default();
    let all = client.scheduled_operations().await?;
    let mut fitting = all
        .into_iter()
        .filter(|operation| B256::to_string(&operation.id).starts_with(wanted));
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(
            Failure::new(format!("nothing that was announced is {text}"))
                .hint("`medina governance waiting` shows what waits"),
        ),
        _ => Err(Failure::new(format!("{text} is short for several")).hint("write more digits")),
    }
}

/// A contract by address, or by its name in the suite in any case.
fn contract(client: &MarketClient, text: &str) -> Outcome<Address> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let named = client.contracts().named();
    let found = named
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, address)| *address).ok_or_else(|| {
        let names: Vec<_> = named.iter().map(|(name, _)| *name).collect();
        Failure::new(format!("the suite has no contract {text}"))
            .hint(format!("give an address, or one of {}", names.join(", ")))
    })
}
