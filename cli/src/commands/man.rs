//! `medina man`: one manual page per command, from the same definitions as `--help`.

use crate::{
    args::Cli,
    errors::{Outcome, cannot},
    output::Output,
    values,
};
use clap::{Args, CommandFactory as _};
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder to write them to; made if it is not there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

pub(crate) fn run(args: &ManArgs, output: Output) -> Outcome {
    std::fs::create_dir_all(&args.dir).map_err(|error| cannot("make", &args.dir, error))?;
    clap_mangen::generate_to(Cli::command(), &args.dir)
        .map_err(|error| cannot("write pages to", &args.dir, error))?;
    let written = std::fs::read_dir(&args.dir).map_err(|error| cannot("list", &args.dir, error))?;
    let is_page = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("medina") && name.ends_with(".1")
    };
    let pages = written.flatten().filter(is_page).count();
    let value = json!({ "folder": args.dir, "pages": pages });
    output.result(&value, || {
        let written = values::count(pages, "page", "pages");
        format!("{written} written to {}", args.dir.display())
    });
    Ok(())
}
