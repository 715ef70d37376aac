//! `medina account`: keystore files, mnemonics, signatures.

use crate::{
    commands::read_text,
    errors::{Failure, Outcome},
    output::{Output, number, pairs, table},
    signer::{KeystoreArgs, SignerArgs},
};
use alloy_primitives::{B256, hex};
use clap::{Args, Subcommand};
use medina_sdk::wallet::{Account, KeystoreDir, KeystoreEntry, Mnemonic};
use serde_json::json;
use std::path::PathBuf;

/// Bytes of a file with a key, a phrase or typed data.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Make a key and keep it under a password
    New(NewArgs),
    /// Show the accounts of the keystore
    List(KeystoreArgs),
    /// Keep an existing key under a password
    Import(ImportArgs),
    /// Sign a message, a hash or typed data
    Sign(SignArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// Make a BIP-39 phrase of 12, 15, 18, 21 or 24 words, show it once, and keep its first account
    #[arg(long, value_name = "WORDS", num_args = 0..=1, default_missing_value = "12")]
    mnemonic: Option<usize>,
    #[command(flatten)]
    keystore: KeystoreArgs,
}

#[derive(Debug, Args)]
#[group(id = "source", required = true, multiple = false, args = ["private_key_file", "mnemonic_file", "keystore_file"])]
pub(crate) struct ImportArgs {
    /// File with a private key in hex
    #[arg(long, value_name = "FILE")]
    private_key_file: Option<PathBuf>,
    /// File with a BIP-39 phrase
    #[arg(long, value_name = "FILE")]
    mnemonic_file: Option<PathBuf>,
    /// A keystore file of another wallet
    #[arg(long, value_name = "FILE")]
    keystore_file: Option<PathBuf>,
    /// Which account of the phrase (m/44'/60'/0'/0/INDEX)
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    index: u32,
    #[command(flatten)]
    keystore: KeystoreArgs,
}

#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = false, args = ["message", "hash", "typed_data"])]
pub(crate) struct SignArgs {
    /// Text, signed as personal_sign does (EIP-191)
    #[arg(long)]
    message: Option<String>,
    /// 32 bytes, signed as they are
    #[arg(long)]
    hash: Option<B256>,
    /// File with the JSON of eth_signTypedData_v4 (EIP-712)
    #[arg(long, value_name = "FILE")]
    typed_data: Option<PathBuf>,
    #[command(flatten)]
    signer: SignerArgs,
}

pub(crate) fn run(command: AccountCommand, output: Output) -> Outcome {
    match command {
        AccountCommand::New(args) => new(&args, output),
        AccountCommand::List(args) => list(&args, output),
        AccountCommand::Import(args) => import(&args, output),
        AccountCommand::Sign(args) => sign(&args, output),
    }
}

fn new(args: &NewArgs, output: Output) -> Outcome {
    let mnemonic = args.mnemonic.map(Mnemonic::random).transpose()?;
    let account = match &mnemonic {
        Some(mnemonic) => mnemonic.account(0)?,
        None => Account::random()?,
    };
    let entry = keep(&args.keystore, &account)?;
    let phrase = mnemonic.as_ref().map(Mnemonic::phrase);
    let value = json!({ "address": entry.address, "path": entry.path, "mnemonic": phrase });
    output.result(&value, || {
        let warning = phrase.map(|phrase| {
            format!("\nWrite these words down; they are shown once and open every account:\n  {phrase}\n")
        });
        kept(&entry) + &warning.unwrap_or_default()
    });
    Ok(())
}

fn keep(args: &KeystoreArgs, account: &Account) -> Outcome<KeystoreEntry> {
    let (_, keystore) = args.open()?;
    let password = args.new_password()?;
    Ok(keystore.import(account, &password)?)
}

fn kept(entry: &KeystoreEntry) -> String {
    pairs([
        ("address", entry.address.to_string()),
        ("kept in", entry.path.display().to_string()),
    ])
}

fn list(args: &KeystoreArgs, output: Output) -> Outcome {
    let (path, keystore) = args.open()?;
    let entries = keystore.list()?;
    let described = |(index, entry): (usize, &KeystoreEntry)| json!({ "index": index, "address": entry.address, "path": entry.path });
    let values: Vec<_> = entries.iter().enumerate().map(described).collect();
    output.result(&values, || {
        if entries.is_empty() {
            return format!(
                "{} is empty; make a key with `medina account new`",
                path.display()
            );
        }
        let mut rows = table(&["#", "address", "file"]);
        for (index, entry) in entries.iter().enumerate() {
            let file = entry.path.display().to_string();
            rows.add_row([number(index), entry.address.to_string().into(), file.into()]);
        }
        rows.to_string()
    });
    Ok(())
}

fn import(args: &ImportArgs, output: Output) -> Outcome {
    let account = imported(args)?;
    let entry = keep(&args.keystore, &account)?;
    output.result(
        &json!({ "address": entry.address, "path": entry.path }),
        || kept(&entry),
    );
    Ok(())
}

fn imported(args: &ImportArgs) -> Outcome<Account> {
    if let Some(path) = &args.private_key_file {
        return Ok(Account::from_private_key(&read_text(
            path,
            FILE_BYTES_MAX,
        )?)?);
    }
    if let Some(path) = &args.mnemonic_file {
        return Ok(Mnemonic::parse(&read_text(path, FILE_BYTES_MAX)?)?.account(args.index)?);
    }
    let path = args.keystore_file.as_ref();
    let path = path.ok_or_else(|| Failure::new("nothing to import was named"))?;
    let password = args
        .keystore
        .password(&format!("Password of {}: ", path.display()))?;
    Ok(KeystoreDir::unlock_file(path, &password)?)
}

fn sign(args: &SignArgs, output: Output) -> Outcome {
    let account = args.signer.account()?;
    let signature = if let Some(message) = &args.message {
        account.sign_message(message.as_bytes())?
    } else if let Some(hash) = args.hash {
        account.sign_hash(hash)?
    } else if let Some(path) = &args.typed_data {
        account.sign_typed_json(&read_text(path, FILE_BYTES_MAX)?)?
    } else {
        return Err(Failure::new("nothing to sign was named"));
    };
    let signature = hex::encode_prefixed(signature.as_bytes());
    let value = json!({ "address": account.address(), "signature": signature });
    output.result(&value, || signature.clone());
    Ok(())
}
