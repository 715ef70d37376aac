//! `medina demo`: the whole market story on a fresh local network.
//!
//! Four validators and the seller's gateway are child processes of this same
//! binary (`processes`, `network`); the parties of the story speak to them as
//! anybody would, through JSON-RPC and HTTP (`story`, `trade`,
//! `barter`). Every step checks what it
//! claims; the first that does not hold ends the demo with a failure.

mod barter;
mod network;
mod processes;
mod report;
mod seller;
mod stage;
mod story;
mod summary;
mod trade;

use crate::{
    commands::{asked_to_stop, readings::ReadingsArgs},
    errors::{Failure, Outcome, cannot},
    output::Output,
    values,
};
use clap::Args;
use network::DemoNetwork;
use report::Report;
use stage::Stage;
use std::{
    io::Write as _,
    path::{Path, PathBuf},
};
use summary::summary;

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    readings: ReadingsArgs,
    /// Write what happened as JSON
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Price of the data in tokens
    #[arg(long, value_name = "TOKENS", value_parser = values::tokens, default_value = "25")]
    price: u128,
    /// Keep the network's folder, with logs, instead of removing it
    #[arg(long)]
    keep: bool,
}

pub(crate) async fn run(args: DemoArgs, output: Output) -> Outcome {
    let report_file = args.report.as_deref().map(ReportFile::open).transpose()?;
    let folder = tempfile::Builder::new().prefix("medina-demo-").tempdir()?;
    let mut stage = Stage::new(output);
    let mut network = None;
    let told = tokio::select! {
        told = story::tell(&mut stage, &mut network, &args, folder.path()) => told,
        asked = asked_to_stop() => asked.and(Err(Failure::new("stopped before the end"))),
    };
    stage.close();
    stage.report.is_complete = told.is_ok();
    if let Some(network) = network {
        DemoNetwork::stop(network).await;
    }
    if args.keep {
        let folder = folder.keep();
        output.note(format!(
            "the network and its logs are kept in {}",
            folder.display()
        ));
    }
    let written = report_file.map_or(Ok(()), |file| file.write(&stage.report));
    output.result(&stage.report, || summary(&stage.report));
    told.and(written)
}

/// The file of `--report`, opened first, so that a wrong path is known before
/// minutes have passed.
struct ReportFile {
    path: PathBuf,
    file: std::fs::File,
}

impl ReportFile {
    fn open(path: &Path) -> Outcome<Self> {
        let file = std::fs::File::create(path).map_err(|error| cannot("write", path, error))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    fn write(mut self, report: &Report) -> Outcome {
        let text = serde_json::to_string_pretty(report)?;
        let written = writeln!(self.file, "{text}").and_then(|()| self.file.sync_all());
        written.map_err(|error| cannot("write", &self.path, error))
    }
}
