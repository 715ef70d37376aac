//! One file or folder per command.

pub(crate) mod account;
pub(crate) mod consent;
pub(crate) mod coupon;
pub(crate) mod demo;
pub(crate) mod dev;
pub(crate) mod document;
pub(crate) mod enclave;
pub(crate) mod federation;
pub(crate) mod gateway;
pub(crate) mod governance;
pub(crate) mod incident;
pub(crate) mod man;
pub(crate) mod market;
pub(crate) mod network;
pub(crate) mod node;
pub(crate) mod org;
pub(crate) mod private;
pub(crate) mod readings;
pub(crate) mod role;
pub(crate) mod sealed;
pub(crate) mod sensor;
pub(crate) mod sla;
pub(crate) mod token;
pub(crate) mod trust;
pub(crate) mod user;
pub(crate) mod validator;

use crate::{
    args::{Cli, Command},
    errors::{Failure, Outcome},
    output::Output,
};
use clap::CommandFactory as _;
use medina_sdk::client::MarketClient;
use std::{
    io::Read as _,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Runs what was typed.
pub(crate) async fn run(command: Command, output: Output) -> Outcome {
    match command {
        Command::Dev(args) => dev::run(args, output).await,
        Command::Demo(args) => demo::run(args, output).await,
        Command::Network(command) => network::run(command, output),
        Command::Node(command) => node::run(command, output).await,
        Command::Federation(command) => federation::run(command, output).await,
        Command::Gateway(command) => gateway::run(command, output).await,
        Command::Account(command) => account::run(command, output),
        Command::Sensor(command) => sensor::run(command, output).await,
        Command::Market(command) => market::run(command, output).await,
        Command::Coupon(command) => coupon::run(command, output).await,
        Command::Validator(command) => validator::run(command, output).await,
        Command::Org(command) => org::run(command, output).await,
        Command::User(command) => user::run(command, output).await,
        Command::Role(command) => role::run(command, output).await,
        Command::Governance(command) => governance::run(command, output).await,
        Command::Document(command) => document::run(command, output),
        Command::Sla(command) => sla::run(command, output).await,
        Command::Consent(command) => consent::run(command, output).await,
        Command::Incident(command) => incident::run(command, output).await,
        Command::Sealed(command) => sealed::run(command, output).await,
        Command::Private(command) => private::run(command, output).await,
        Command::Enclave(command) => enclave::run(command, output).await,
        Command::Trust(command) => trust::run(command, output).await,
        Command::Token(command) => token::run(command, output).await,
        Command::Man(args) => man::run(&args, output),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "medina", &mut std::io::stdout());
            Ok(())
        }
    }
}

/// Time since 1970 by this machine's clock.
#[allow(
    clippy::disallowed_methods,
    reason = "the command line is where a clock is owned"
)]
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Now for what the chain judges, Unix seconds: this machine's clock, or the chain's where that is
/// ahead, as when a test has moved it.
pub(crate) async fn chain_time(client: &MarketClient) -> Outcome<u64> {
    Ok(since_epoch().as_secs().max(client.next_block_time().await?))
}

/// Reads a file as it is.
pub(crate) fn read_bytes(path: &Path, bytes_max: u64) -> Outcome<Vec<u8>> {
    let cannot = |error| crate::errors::cannot("read", path, error);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > bytes_max {
        return Err(Failure::new(format!(
            "{} is larger than {bytes_max} bytes",
            path.display()
        )));
    }
    Ok(bytes)
}

/// Reads a small text file.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> Outcome<String> {
    let cannot = |error| crate::errors::cannot("read", path, error);
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(bytes_max + 1)
        .read_to_string(&mut text)
        .map_err(cannot)?;
    if text.len() as u64 > bytes_max {
        return Err(Failure::new(format!(
            "{} is larger than {bytes_max} bytes",
            path.display()
        )));
    }
    Ok(text)
}

/// Ends when the process is asked to: Ctrl-C, or SIGTERM.
pub(crate) async fn asked_to_stop() -> Outcome {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// Ends when standard input is closed, which is how a parent process that is
/// gone, however it went, takes its children along.
pub(crate) async fn parent_gone() {
    let (sender, gone) = tokio::sync::oneshot::channel();
    // A thread of its own, because it may be stuck in reading when we end.
    std::thread::spawn(move || {
        let mut ignored = [0; 64];
        while matches!(std::io::stdin().read(&mut ignored), Ok(count) if count > 0) {}
        // Nobody listens any more when we end for another reason.
        let _ = sender.send(());
    });
    // The thread always sends before it ends.
    let _ = gone.await;
}
