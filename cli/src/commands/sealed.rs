//! `medina sealed`: datasets under seal. The seller sends the whole dataset encrypted; the key comes
//! after the money is in escrow, and a chunk that is not what was promised gives the money back.
//!
//! ```text
//! seller                          buyer
//! sealed root FILE
//! market list --dataset ROOT --sealed
//!                                 market buy
//! sealed offer  ── package ────▶  sealed accept
//! sealed reveal                   sealed open   (or complains by itself)
//! sealed settle                   market confirm
//! ```

use crate::{
    commands::read_bytes,
    errors::{Failure, Outcome, cannot},
    files,
    output::Output,
    show,
    signer::SenderArgs,
};
use alloy_primitives::{B256, U256, keccak256};
use clap::{Args, Subcommand};
use medina_sdk::sealed::{Dataset, Opened, Package, key_hash, random_key};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Largest package or dataset file, in bytes: about a gigabyte of chunks with their hashes.
const PACKAGE_BYTES_MAX: u64 = 1_200 * 1024 * 1024;
/// What makes files with secrets of a dataset.
const ROOT: &str = "medina sealed root";

#[derive(Debug, Subcommand)]
pub(crate) enum SealedCommand {
    /// Seller: cut a file into chunks; the root is what a listing names
    Root(RootArgs),
    /// Seller: encrypt for an order and bind it on chain
    Offer(OfferArgs),
    /// Buyer: check that the package is what was offered, and accept
    Accept(PackageArgs),
    /// Seller: show the key, which delivers the order
    Reveal(RevealArgs),
    /// Buyer: decrypt with the revealed key; complains if a chunk is wrong
    Open(OpenArgs),
    /// Anyone: end an order that was not revealed, or that nobody complained of
    Settle(OrderArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RootArgs {
    /// The file to sell
    file: PathBuf,
    /// File for the salts, which the offer needs: keep it to yourself
    #[arg(long, value_name = "FILE")]
    secrets: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct OfferArgs {
    /// The order's number
    order: U256,
    /// The file to sell
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// File of the salts (`medina sealed root`); the order's key is added to it
    #[arg(long, value_name = "FILE")]
    secrets: PathBuf,
    /// File for the package that the buyer gets
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PackageArgs {
    /// The order's number
    order: U256,
    /// The package that the seller sent
    #[arg(long, value_name = "FILE")]
    package: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RevealArgs {
    /// The order's number
    order: U256,
    /// File of the salts and keys
    #[arg(long, value_name = "FILE")]
    secrets: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    /// The order's number
    order: U256,
    /// The package that the seller sent
    #[arg(long, value_name = "FILE")]
    package: PathBuf,
    /// File for the dataset
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    /// The order's number
    order: U256,
    #[command(flatten)]
    sender: SenderArgs,
}

/// What a seller keeps of a dataset: one salt for all chunks' first words, and a key per order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secrets {
    seed: B256,
    keys: std::collections::BTreeMap<U256, B256>,
}

pub(crate) async fn run(command: SealedCommand, output: Output) -> Outcome {
    match command {
        SealedCommand::Root(args) => root(&args, output),
        SealedCommand::Offer(args) => offer(&args, output).await,
        SealedCommand::Accept(args) => accept(&args, output).await,
        SealedCommand::Reveal(args) => reveal(&args, output).await,
        SealedCommand::Open(args) => open(&args, output).await,
        SealedCommand::Settle(args) => {
            let client = args.sender.connect().await?;
            let receipt = client.settle_sealed(args.order).await?;
            let order = client.order(args.order).await?;
            let facts = json!({
                "order": args.order.to_string(), "state": crate::values::word(&order.state),
            });
            show::sent(output, facts, &receipt);
            Ok(())
        }
    }
}

/// The file's chunks. Their first words come from the seed, so that the same file and secrets give
/// the same root again; nobody else can tell what a hash is of.
fn dataset(file: &Path, seed: B256) -> Outcome<Dataset> {
    let data = read_bytes(file, PACKAGE_BYTES_MAX)?;
    let mut index = 0_u64;
    let salt = || {
        index += 1;
        Ok(keccak256([seed.as_slice(), &index.to_be_bytes()].concat()))
    };
    Ok(Dataset::with_salts(&data, salt)?)
}

fn root(args: &RootArgs, output: Output) -> Outcome {
    if args.secrets.exists() {
        let path = args.secrets.display();
        return Err(Failure::new(format!("{path} exists already"))
            .hint("the secrets of another dataset would be lost: name a new file"));
    }
    let seed = random_key()?;
    let dataset = dataset(&args.file, seed)?;
    let root = dataset.root()?;
    let keys = std::collections::BTreeMap::new();
    files::save(&args.secrets, &Secrets { seed, keys })?;
    let facts = json!({
        "root": root,
        "chunks": dataset.chunks().len(),
        "secrets": args.secrets,
        "next": format!("medina market list --dataset {root} --sealed --property … --price …"),
    });
    show::facts(output, &facts);
    Ok(())
}

async fn offer(args: &OfferArgs, output: Output) -> Outcome {
    let mut secrets: Secrets = files::load(&args.secrets, ROOT)?;
    let client = args.sender.connect().await?;
    let dataset = dataset(&args.file, secrets.seed)?;
    let order = client.order(args.order).await?;
    let subject = client.listing(order.listing).await?.subject;
    let root = dataset.root()?;
    if root != subject {
        return Err(Failure::new(format!(
            "{} with these secrets has root {root}, but order {} is of {subject}",
            args.file.display(),
            args.order
        ))
        .hint("give the file and secrets that the listing was made with"));
    }
    let key = match secrets.keys.get(&args.order) {
        Some(key) => *key,
        None => random_key()?,
    };
    let package = dataset.seal(key);
    // Written before it is bound: who is asked for it later must have it.
    std::fs::write(&args.out, package.to_bytes())
        .map_err(|error| cannot("write", &args.out, error))?;
    secrets.keys.insert(args.order, key);
    files::save(&args.secrets, &secrets)?;
    let cipher_root = package.root()?;
    let receipt = client
        .offer_sealed(args.order, cipher_root, key_hash(key))
        .await?;
    let facts = json!({
        "order": args.order.to_string(),
        "package": args.out,
        "chunks": package.chunks.len(),
        "cipherRoot": cipher_root,
        "next": "send the package to the buyer, who accepts it; then medina sealed reveal",
    });
    show::sent(output, facts, &receipt);
    Ok(())
}

fn package(path: &Path) -> Outcome<Package> {
    let bytes = read_bytes(path, PACKAGE_BYTES_MAX)?;
    Package::from_bytes(&bytes).map_err(|error| Failure::from(error).during(path.display()))
}

async fn accept(args: &PackageArgs, output: Output) -> Outcome {
    let package = package(&args.package)?;
    let client = args.sender.connect().await?;
    let order = client.order(args.order).await?;
    let subject = client.listing(order.listing).await?.subject;
    let (cipher_root, _) = client.sealed_offer(args.order).await?;
    package.check(subject, cipher_root).map_err(|error| {
        Failure::from(error)
            .hint("do not accept it: ask the seller for the package that was offered")
    })?;
    let receipt = client.accept_sealed(args.order).await?;
    let facts = json!({
        "order": args.order.to_string(), "chunks": package.chunks.len(), "state": "accepted",
    });
    show::sent(output, facts, &receipt);
    Ok(())
}

async fn reveal(args: &RevealArgs, output: Output) -> Outcome {
    let secrets: Secrets = files::load(&args.secrets, ROOT)?;
    let unknown = || {
        Failure::new(format!(
            "{} has no key of order {}",
            args.secrets.display(),
            args.order
        ))
        .hint("offer it first: medina sealed offer")
    };
    let key = *secrets.keys.get(&args.order).ok_or_else(unknown)?;
    let client = args.sender.connect().await?;
    let receipt = client.reveal_key(args.order, key).await?;
    let facts = json!({ "order": args.order.to_string(), "state": "revealed" });
    show::sent(output, facts, &receipt);
    Ok(())
}

async fn open(args: &OpenArgs, output: Output) -> Outcome {
    let package = package(&args.package)?;
    let client = args.sender.connect().await?;
    let (_, offered) = client.sealed_offer(args.order).await?;
    let key = client.sealed_key(args.order).await?.ok_or_else(|| {
        Failure::new("the seller has not revealed the key").hint(
            "where the time to deliver passes without it, `medina sealed settle` gives the money back",
        )
    })?;
    match package.open(key, offered)? {
        Opened::Sound(dataset) => {
            let data = dataset.data()?;
            std::fs::write(&args.out, &data).map_err(|error| cannot("write", &args.out, error))?;
            let facts = json!({
                "order": args.order.to_string(), "bytes": data.len(), "file": args.out,
                "state": "every chunk is what was promised",
            });
            show::facts(output, &facts);
        }
        Opened::Faulty(fault) => {
            let receipt = client.complain_sealed(args.order, &fault).await?;
            let order = client.order(args.order).await?;
            let facts = json!({
                "order": args.order.to_string(), "wrongChunk": fault.index,
                "state": crate::values::word(&order.state),
            });
            show::sent(output, facts, &receipt);
        }
    }
    Ok(())
}
