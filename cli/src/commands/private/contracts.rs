//! `medina private deploy`, `call`, `send`, `show` and `logs`.

use super::{
    abi::{Call, init_code},
    access::{self, ReaderArgs, WriterArgs},
};
use crate::{errors::Outcome, output::Output, show};
use alloy_primitives::{Address, B256, Bytes, TxKind};
use clap::Args;
use medina_sdk::private::{PrivateClient, PrivateLog, PrivateReceipt, Sent};
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// The group: id, its first digits, or name
    group: String,
    /// Code of the contract: 0x…, a file of it, or a compiler's JSON
    code: String,
    /// Arguments of its constructor
    arguments: Vec<String>,
    /// Types of the constructor's arguments, where the file does not tell them: "(uint256,address)"
    #[arg(long, value_name = "TYPES")]
    constructor: Option<String>,
    #[command(flatten)]
    sending: SendingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// The group: id, its first digits, or name
    group: String,
    /// The contract
    #[arg(value_parser = access::contract)]
    contract: Address,
    /// The function, such as "set(bytes32,uint256)", or data in hex
    function: String,
    /// Its arguments
    #[arg(allow_negative_numbers = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    sending: SendingArgs,
}

#[derive(Debug, Args)]
struct SendingArgs {
    /// Most private gas that it may use [default: what the node estimates and a quarter more]
    #[arg(long)]
    gas: Option<u64>,
    /// Do not wait until it has run
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    writer: WriterArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// The group: id, its first digits, or name
    group: String,
    /// The contract
    #[arg(value_parser = access::contract)]
    contract: Address,
    /// The function and what it returns, such as "priceOf(bytes32)(uint256)", or data in hex
    function: String,
    /// Its arguments
    #[arg(allow_negative_numbers = true)]
    arguments: Vec<String>,
    /// Account to call as
    #[arg(long, value_name = "ADDRESS", value_parser = access::contract)]
    from: Option<Address>,
    #[command(flatten)]
    reader: ReaderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Digest of the transaction
    digest: B256,
    #[command(flatten)]
    reader: ReaderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The group: id, its first digits, or name
    group: String,
    /// Only of this contract
    #[arg(long, value_name = "ADDRESS", value_parser = access::contract)]
    contract: Option<Address>,
    /// From this public block on
    #[arg(long, value_name = "BLOCK", default_value_t = 0)]
    from_block: u64,
    #[command(flatten)]
    reader: ReaderArgs,
}

pub(super) async fn deploy(args: &DeployArgs, output: Output) -> Outcome {
    let code = init_code(&args.code, args.constructor.as_deref(), &args.arguments)?;
    transact(&args.sending, &args.group, TxKind::Create, code, output).await
}

pub(super) async fn send(args: &SendArgs, output: Output) -> Outcome {
    let call = Call::read(&args.function, &args.arguments)?;
    let kind = TxKind::Call(args.contract);
    transact(&args.sending, &args.group, kind, call.data(), output).await
}

async fn transact(
    args: &SendingArgs,
    group: &str,
    kind: TxKind,
    data: Bytes,
    output: Output,
) -> Outcome {
    let client = args.writer.connect().await?;
    let group = access::group(client.chain(), group).await?;
    if args.writer.is_dry_run() {
        return plan(&client, group, kind, data, args.gas, output).await;
    }
    let sent = match kind {
        TxKind::Create => client.deploy(group, data, args.gas).await?,
        TxKind::Call(to) => client.send(group, to, data, args.gas).await?,
    };
    if args.no_wait {
        show::facts(output, &sent_facts(group, &sent));
        return Ok(());
    }
    let receipt = client.wait(sent.digest).await?;
    show::facts(output, &receipt_facts(&receipt));
    Ok(())
}

/// What would be sent.
async fn plan(
    client: &PrivateClient,
    group: B256,
    kind: TxKind,
    data: Bytes,
    gas: Option<u64>,
    output: Output,
) -> Outcome {
    let bytes = data.len();
    let signed = client.sign(group, kind, data, gas).await?;
    let facts = json!({
        "group": group,
        "from": client.chain().account()?.address(),
        "contract": kind.to(),
        "mode": signed.mode,
        "nonce": signed.nonce.to::<u64>(),
        "gasLimit": signed.gas.to::<u64>(),
        "bytes": bytes,
        "state": "not sent: this was a dry run",
    });
    show::facts(output, &facts);
    Ok(())
}

fn sent_facts(group: B256, sent: &Sent) -> Value {
    json!({
        "group": group,
        "digest": sent.digest,
        "marker": sent.marker_hash,
        "next": format!("medina private status {}", sent.digest),
    })
}

fn receipt_facts(receipt: &PrivateReceipt) -> Value {
    let mut facts = json!({
        "digest": receipt.digest,
        "group": receipt.group,
        "state": if receipt.status { "done".to_owned() } else { receipt.failure() },
        "account": receipt.from,
        "contract": receipt.contract_address.or(receipt.to),
        "block": receipt.block_number,
        "marker": receipt.marker_hash,
        "gasUsed": receipt.gas_used,
    });
    if !receipt.logs.is_empty() {
        facts["logs"] = receipt.logs.iter().map(log_row).collect();
    }
    facts
}

fn log_row(log: &PrivateLog) -> Value {
    let topics: Vec<_> = log.topics.iter().map(B256::to_string).collect();
    json!({
        "block": log.block_number,
        "contract": log.address,
        "topics": topics.join(" "),
        "data": log.data,
    })
}

pub(super) async fn call(args: &CallArgs, output: Output) -> Outcome {
    let call = Call::read(&args.function, &args.arguments)?;
    let client = args.reader.connect().await?;
    let group = access::group(client.chain(), &args.group).await?;
    let answer = client
        .call_as(args.from, group, args.contract, call.data())
        .await?;
    let value = call.answer(&answer)?;
    output.result(&json!({ "result": value, "output": answer }), || {
        plain(&value)
    });
    Ok(())
}

/// A value as one line, or one line each.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let lines: Vec<_> = items.iter().map(plain).collect();
            lines.join("\n")
        }
        other => other.to_string(),
    }
}

pub(super) async fn show(args: &ShowArgs, output: Output) -> Outcome {
    let client = args.reader.connect().await?;
    let found = client.show(args.digest).await?;
    let mut facts = match &found.receipt {
        Some(receipt) => receipt_facts(receipt),
        None if found.is_erased => json!({ "digest": args.digest, "state": "erased" }),
        None => json!({ "digest": args.digest, "state": "not run yet" }),
    };
    if found.is_erased {
        facts["payload"] = json!("erased");
    }
    if let Some(transaction) = &found.transaction {
        facts["group"] = json!(transaction.group);
        facts["account"] = json!(transaction.from);
        facts["nonce"] = json!(transaction.nonce);
        facts["gasLimit"] = json!(transaction.gas);
        facts["data"] = json!(transaction.data);
    }
    show::facts(output, &facts);
    Ok(())
}

pub(super) async fn logs(args: &LogsArgs, output: Output) -> Outcome {
    let client = args.reader.connect().await?;
    let group = access::group(client.chain(), &args.group).await?;
    let mut filter = json!({ "fromBlock": format!("0x{:x}", args.from_block) });
    if let Some(contract) = args.contract {
        filter["address"] = json!(contract);
    }
    let found = client.logs(group, filter).await?;
    let rows: Vec<_> = found.iter().map(log_row).collect();
    let columns = ["block", "contract", "topics", "data"];
    show::list(output, &rows, &columns, "there are no logs");
    Ok(())
}
