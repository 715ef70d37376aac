//! `medina document`: what stands on chain for a document, and how its author shows that it does.

use crate::{
    errors::{Failure, Outcome},
    output::Output,
    show, values,
};
use alloy_primitives::B256;
use clap::{Args, Subcommand};
use medina_sdk::document::salted_hash;
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(crate) enum DocumentCommand {
    /// Show the hash that commands put on chain for a document, and the salt to show with it
    Hash(HashArgs),
    /// Check a hash from the chain against a document and the salt its author has shown
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(crate) struct HashArgs {
    /// The document: a text or @FILE
    #[arg(value_name = "TEXT|@FILE")]
    document: String,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The hash on chain
    hash: B256,
    /// The document: a text or @FILE
    #[arg(value_name = "TEXT|@FILE")]
    document: String,
    /// What its author has shown (`medina document hash`)
    #[arg(long)]
    salt: B256,
}

pub(crate) fn run(command: DocumentCommand, output: Output) -> Outcome {
    match command {
        DocumentCommand::Hash(args) => {
            let content = values::content(&args.document).map_err(Failure::new)?;
            let key = values::document_key().map_err(Failure::new)?;
            let facts = json!({ "hash": key.hash(&content), "salt": key.salt(&content) });
            show::facts(output, &facts);
            Ok(())
        }
        DocumentCommand::Check(args) => {
            let content = values::content(&args.document).map_err(Failure::new)?;
            if salted_hash(args.salt, &content) != args.hash {
                return Err(
                    Failure::new("this is not the document behind the hash").hint(
                        "every byte counts: ask the author for the very same file and its salt",
                    ),
                );
            }
            show::facts(output, &json!({ "hash": args.hash, "fits": true }));
            Ok(())
        }
    }
}
