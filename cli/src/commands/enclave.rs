//! `medina enclave`: keeps private payloads in a process of its own, or asks one that does.
//!
//! A node finds it by `enclave = "unix:PATH"` in the section `[private]` of its configuration.
//! Only processes of the same user may ask it. Neither has to start first.

use crate::{
    commands::{asked_to_stop, parent_gone, since_epoch},
    errors::{Failure, Outcome},
    output::{Output, pairs, table},
};
use clap::{Args, Subcommand};
use medina_enclave::{AuditEntry, Enclave, RemoteEnclave, limits};
use medina_service::{EnclaveProcess, EnclaveProcessConfig, LogSection, start_logging};
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum EnclaveCommand {
    /// Keep keys and private payloads until Ctrl-C or SIGTERM
    Run(RunArgs),
    /// Show the parties an enclave holds, and where its audit log stands
    Status(SocketArgs),
    /// Check the whole audit log, and show its entries from a number on
    Audit(AuditArgs),
    /// Copy what a backup may hold, ciphertexts and tombstones without keys, into a new folder
    Backup(BackupArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Configuration: folder and socket, and if wanted secrets, epoch_s, log.level
    #[arg(long, value_name = "FILE", conflicts_with_all = ["folder", "socket"], required_unless_present = "folder")]
    config: Option<PathBuf>,
    /// Where payloads and keys are kept
    #[arg(long, value_name = "DIR", requires = "socket")]
    folder: Option<PathBuf>,
    /// Where the node asks
    #[arg(long, value_name = "PATH", requires = "folder")]
    socket: Option<PathBuf>,
    /// What is logged; default: as the configuration says, or info
    #[arg(long, value_name = "LEVEL", env = "MEDINA_LOG")]
    log: Option<String>,
    /// Stop when standard input is closed
    #[arg(long, hide = true)]
    stop_with_parent: bool,
}

/// An enclave that runs.
#[derive(Debug, Args)]
pub(crate) struct SocketArgs {
    /// Where it listens
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// Number of the first entry shown
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    from: u64,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// Folder to make
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) async fn run(command: EnclaveCommand, output: Output) -> Outcome {
    match command {
        EnclaveCommand::Run(args) => serve(args, output).await,
        EnclaveCommand::Status(args) => status(&args, output),
        EnclaveCommand::Audit(args) => audit(&args, output),
        EnclaveCommand::Backup(args) => back_up(&args, output),
    }
}

async fn serve(args: RunArgs, output: Output) -> Outcome {
    let config = config(&args)?;
    let level = args.log.as_deref().unwrap_or(&config.log.level);
    start_logging(level).map_err(Failure::new)?;
    let process = EnclaveProcess::start(&config)?;
    let value = json!({ "socket": process.socket() });
    output.result(&value, || {
        let socket = process.socket().display();
        format!("enclave listens at {socket}; Ctrl-C stops it")
    });
    let parent_gone = async {
        if args.stop_with_parent {
            parent_gone().await
        } else {
            std::future::pending().await
        }
    };
    tokio::select! {
        asked = asked_to_stop() => asked?,
        () = parent_gone => {}
    }
    // Calls under way are answered first.
    drop(process);
    Ok(())
}

fn config(args: &RunArgs) -> Outcome<EnclaveProcessConfig> {
    match (&args.config, &args.folder, &args.socket) {
        (Some(file), ..) => Ok(EnclaveProcessConfig::load(file)?),
        (None, Some(folder), Some(socket)) => Ok(EnclaveProcessConfig {
            socket: socket.clone(),
            folder: folder.clone(),
            secrets: None,
            epoch_s: None,
            log: LogSection::default(),
        }),
        _ => Err(Failure::new("name a configuration, or folder and socket")),
    }
}

fn status(args: &SocketArgs, output: Output) -> Outcome {
    let enclave = RemoteEnclave::new(&args.socket);
    let parties = enclave.parties()?;
    let head = enclave.audit_head()?;
    let shown: Vec<_> = parties
        .iter()
        .map(|party| {
            json!({
                "name": party.label,
                "party": party.id,
                "epoch": party.epoch_key.epoch,
                "validFrom": party.epoch_key.valid_from_s,
            })
        })
        .collect();
    let hash = alloy_primitives::hex::encode_prefixed(head.hash);
    let value = json!({
        "parties": shown,
        "audit": { "entries": head.entries, "hash": hash },
    });
    output.result(&value, || {
        let mut rows = table(&["name", "party", "epoch"]);
        for party in &parties {
            rows.add_row(vec![
                party.label.clone(),
                party.id.to_string(),
                party.epoch_key.epoch.to_string(),
            ]);
        }
        let audit = pairs([
            ("audit entries", head.entries.to_string()),
            ("audit hash", hash.clone()),
        ]);
        format!("{rows}\n{audit}")
    });
    Ok(())
}

fn audit(args: &AuditArgs, output: Output) -> Outcome {
    let enclave = RemoteEnclave::new(&args.socket.socket);
    let head = enclave.verify_audit()?;
    let entries = enclave.audit_entries(args.from, limits::ENTRIES_MAX)?;
    let hash = alloy_primitives::hex::encode_prefixed(head.hash);
    let shown: Vec<_> = entries.iter().map(entry_json).collect();
    let value = json!({ "entries": shown, "count": head.entries, "hash": hash });
    output.result(&value, || {
        let mut rows = table(&["number", "time", "actor", "scope", "action", "digest"]);
        for entry in &entries {
            rows.add_row(vec![
                entry.seq.to_string(),
                entry.at_s.to_string(),
                entry.actor.clone(),
                entry.scope.clone(),
                format!("{:?}", entry.action).to_lowercase(),
                entry.digest.to_string(),
            ]);
        }
        let count = head.entries;
        format!("{rows}\n{count} entries follow from each other, up to {hash}")
    });
    Ok(())
}

fn entry_json(entry: &AuditEntry) -> serde_json::Value {
    json!({
        "seq": entry.seq,
        "time": entry.at_s,
        "actor": entry.actor,
        "scope": entry.scope,
        "action": format!("{:?}", entry.action).to_lowercase(),
        "digest": entry.digest,
    })
}

fn back_up(args: &BackupArgs, output: Output) -> Outcome {
    let enclave = RemoteEnclave::new(&args.socket.socket);
    let folder = std::path::absolute(&args.folder)?;
    enclave.back_up(&folder)?;
    let value = json!({ "folder": folder, "at": since_epoch().as_secs() });
    output.result(&value, || {
        format!("ciphertexts and tombstones are in {}", folder.display())
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::args::Cli;
    use clap::Parser as _;

    #[test]
    fn enclave_runs_by_configuration_or_by_folder_and_socket() {
        let is_accepted = |line: &str| Cli::try_parse_from(line.split_whitespace()).is_ok();
        assert!(is_accepted("medina enclave run --config e.toml"));
        assert!(is_accepted("medina enclave run --folder e --socket s"));
        for line in [
            "medina enclave run",
            "medina enclave run --folder e",
            "medina enclave run --socket s",
            "medina enclave run --config e.toml --folder e --socket s",
        ] {
            assert!(!is_accepted(line), "{line}");
        }
    }
}
