//! `medina gateway`: a seller's data door.

use crate::{
    commands::{asked_to_stop, parent_gone, since_epoch},
    errors::{Failure, Outcome},
    output::Output,
    signer::connect,
};
use clap::{Args, Subcommand};
use medina_sdk::{
    companion::{Companion, MasterKey},
    gateway::{Gateway, GatewayConfig},
};
use serde_json::json;
use std::{path::PathBuf, sync::Arc};

#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Hand readings out to whom the chain lets read, until Ctrl-C or SIGTERM
    Run(RunArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Configuration of the gateway
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What is logged
    #[arg(long, value_name = "LEVEL", env = "MEDINA_LOG", default_value = "info")]
    log: String,
    /// Stop when standard input is closed
    #[arg(long, hide = true)]
    stop_with_parent: bool,
}

pub(crate) async fn run(command: GatewayCommand, output: Output) -> Outcome {
    let GatewayCommand::Run(args) = command;
    medina_service::start_logging(&args.log).map_err(Failure::new)?;
    let config = GatewayConfig::load(&args.config)?;
    let companion = Companion::open(&config.data, MasterKey::load_or_create(&config.master_key)?)?;
    let mut client = connect(&config.rpc).await?;
    let account = config
        .account
        .as_ref()
        .map(|account| account.open())
        .transpose()?;
    let takes_coupons = account.is_some();
    if let Some(account) = account {
        client = client.with_account(account);
    }
    let listings = config.listings.len();
    let mut gateway = Gateway {
        config,
        chain_id: client.chain_id(),
        companion: Arc::new(companion),
        chain: Arc::new(client),
        takes_coupons,
        clock: Arc::new(|| u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)),
    }
    .start()
    .await?;
    let address = gateway.address();
    let value = json!({ "listen": address, "listings": listings, "coupons": takes_coupons });
    output.result(&value, || {
        format!(
            "gateway listens at http://{address} and serves {listings} listings; Ctrl-C stops it"
        )
    });
    let parent_gone = async {
        if args.stop_with_parent {
            parent_gone().await
        } else {
            std::future::pending().await
        }
    };
    tokio::select! {
        ended = gateway.wait() => return Ok(ended?),
        asked = asked_to_stop() => asked?,
        () = parent_gone => {}
    }
    Ok(gateway.shutdown().await?)
}
