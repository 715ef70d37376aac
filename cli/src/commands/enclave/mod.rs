//! `medina enclave`: keeps private payloads in a process of its own, or asks one that does.
//!
//! A node finds it by `enclave = "unix:PATH"` or `"tls://HOST:PORT"` in the section `[private]` of
//! its configuration. At a socket only processes of the same user may ask; over TLS only who
//! proves a key that the enclave names. Neither has to start first.

mod access;
mod audit;

use crate::{
    commands::{asked_to_stop, parent_gone, since_epoch},
    errors::{Failure, Outcome},
    output::{Output, pairs, table},
};
use access::{EnclaveArgs, tls_place};
use clap::{Args, Subcommand};
use medina_enclave::{Enclave, TlsKey};
use medina_service::{
    EnclaveProcess, EnclaveProcessConfig, EnclaveTlsSection, LogSection, start_logging,
};
use medina_types::NodePublicKey;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum EnclaveCommand {
    /// Keep keys and private payloads until Ctrl-C or SIGTERM
    Run(RunArgs),
    /// Make a key by which node or enclave prove themselves over TLS, or show its public half
    Key(KeyArgs),
    /// Show the parties an enclave holds, and where its audit log stands
    Status(EnclaveArgs),
    /// Check the whole audit log, also against the chain, and show its entries from a number on
    Audit(audit::AuditArgs),
    /// Copy what a backup may hold, ciphertexts and tombstones without keys, into a new folder
    Backup(BackupArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Configuration: folder, socket or [tls] or both, and if wanted secrets, epoch_s, log.level
    #[arg(long, value_name = "FILE", conflicts_with_all = ["folder", "socket", "listen"], required_unless_present = "folder")]
    config: Option<PathBuf>,
    /// Where payloads and keys are kept
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    folder: Option<PathBuf>,
    /// Where a node of this machine asks
    #[arg(long, value_name = "PATH", requires = "folder", required_unless_present_any = ["config", "listen"])]
    socket: Option<PathBuf>,
    /// Where nodes of other machines ask
    #[arg(long, value_name = "tls://HOST:PORT", value_parser = tls_place, requires_all = ["folder", "key", "peer"])]
    listen: Option<String>,
    /// The enclave's key for TLS (medina enclave key)
    #[arg(long, value_name = "FILE", requires = "listen")]
    key: Option<PathBuf>,
    /// Public key of a node that is served over TLS; may be given several times
    #[arg(long, value_name = "KEY", requires = "listen")]
    peer: Vec<NodePublicKey>,
    /// What is logged; default: as the configuration says, or info
    #[arg(long, value_name = "LEVEL", env = "MEDINA_LOG")]
    log: Option<String>,
    /// Stop when standard input is closed
    #[arg(long, hide = true)]
    stop_with_parent: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// Its file, made if it is not there
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    enclave: EnclaveArgs,
    /// Folder to make, on the enclave's machine
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) async fn run(command: EnclaveCommand, output: Output) -> Outcome {
    match command {
        EnclaveCommand::Run(args) => serve(args, output).await,
        EnclaveCommand::Key(args) => key(&args, output),
        EnclaveCommand::Status(args) => status(&args, output),
        EnclaveCommand::Audit(args) => audit::run(&args, output).await,
        EnclaveCommand::Backup(args) => back_up(&args, output),
    }
}

async fn serve(args: RunArgs, output: Output) -> Outcome {
    let config = config(&args)?;
    let level = args.log.as_deref().unwrap_or(&config.log.level);
    start_logging(level).map_err(Failure::new)?;
    let process = EnclaveProcess::start(&config)?;
    let addresses: Vec<_> = process.addresses().map(ToString::to_string).collect();
    output.result(&json!({ "addresses": addresses }), || {
        format!(
            "enclave listens at {}; Ctrl-C stops it",
            addresses.join(" and ")
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
        asked = asked_to_stop() => asked?,
        () = parent_gone => {}
    }
    // Calls under way are answered first.
    drop(process);
    Ok(())
}

fn config(args: &RunArgs) -> Outcome<EnclaveProcessConfig> {
    let folder = match (&args.config, &args.folder) {
        (Some(file), _) => return Ok(EnclaveProcessConfig::load(file)?),
        (None, Some(folder)) => folder.clone(),
        (None, None) => return Err(Failure::new("name a configuration, or a folder")),
    };
    let tls = match (&args.listen, &args.key) {
        (Some(listen), Some(key_file)) => Some(EnclaveTlsSection {
            listen: listen.clone(),
            key_file: key_file.clone(),
            peers: args.peer.clone(),
        }),
        _ => None,
    };
    Ok(EnclaveProcessConfig {
        socket: args.socket.clone(),
        tls,
        folder,
        secrets: None,
        epoch_s: None,
        log: LogSection::default(),
    })
}

fn key(args: &KeyArgs, output: Output) -> Outcome {
    let is_new = !args.file.exists();
    let key = match is_new {
        true => TlsKey::make(&args.file)?,
        false => TlsKey::load(&args.file)?,
    };
    let public = key.public();
    let value = json!({ "file": args.file, "key": public, "isNew": is_new });
    output.result(&value, || {
        pairs([
            ("file", args.file.display().to_string()),
            ("key", public.to_string()),
        ])
        .to_string()
    });
    Ok(())
}

fn status(args: &EnclaveArgs, output: Output) -> Outcome {
    let enclave = args.open()?;
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

fn back_up(args: &BackupArgs, output: Output) -> Outcome {
    let enclave = args.enclave.open()?;
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

    fn is_accepted(line: &str) -> bool {
        Cli::try_parse_from(line.split_whitespace()).is_ok()
    }

    /// A public key as `medina enclave key` shows it.
    fn key() -> String {
        let secret = medina_types::NodeSecretKey::from_bytes([3; 32]);
        secret.public_key().to_string()
    }

    #[test]
    fn enclave_runs_by_configuration_or_by_folder_and_place() {
        let tls = format!("--listen tls://0.0.0.0:7443 --key k --peer {}", key());
        assert!(is_accepted("medina enclave run --config e.toml"));
        assert!(is_accepted("medina enclave run --folder e --socket s"));
        assert!(is_accepted(&format!("medina enclave run --folder e {tls}")));
        let both = format!("medina enclave run --folder e --socket s {tls}");
        assert!(is_accepted(&both));
        for line in [
            "medina enclave run",
            "medina enclave run --folder e",
            "medina enclave run --socket s",
            "medina enclave run --config e.toml --folder e --socket s",
            "medina enclave run --folder e --listen tls://0.0.0.0:7443",
            "medina enclave run --folder e --listen tls://0.0.0.0:7443 --key k",
        ] {
            assert!(!is_accepted(line), "{line}");
        }
        assert!(!is_accepted(&format!("medina enclave run {tls}")));
        let unix = tls.replace("tls://0.0.0.0:7443", "unix:s");
        assert!(!is_accepted(&format!(
            "medina enclave run --folder e {unix}"
        )));
    }

    #[test]
    fn enclave_that_runs_is_named_in_one_way() {
        let tls = format!("--address tls://e.example:7443 --key k --peer {}", key());
        for line in [
            "medina enclave status --socket s",
            "medina enclave audit --socket s --org bakery",
            "medina enclave audit --file audit.log",
            "medina enclave backup --socket s to",
            &format!("medina enclave status {tls}"),
            &format!("medina enclave audit {tls} --from 7"),
        ] {
            assert!(is_accepted(line), "{line}");
        }
        for line in [
            "medina enclave audit",
            "medina enclave audit --socket s --file audit.log",
            "medina enclave status --address tls://e.example:7443",
            &format!("medina enclave status --socket s {tls}"),
        ] {
            assert!(!is_accepted(line), "{line}");
        }
    }
}
