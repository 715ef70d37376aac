//! Which account signs. Secrets never stand on the command line, where other
//! users of the machine and the shell's history would see them.
//!
//! In this order: `--signer` (a program that holds the key), `--private-key-file`, `MEDINA_PRIVATE_KEY`, `MEDINA_MNEMONIC`
//! with `--account INDEX`, then the keystore with `--account ADDRESS|INDEX`.

use crate::{
    args::RpcArgs,
    commands::read_text,
    errors::{Failure, Outcome},
};
use alloy_primitives::Address;
use clap::Args;
use medina_sdk::{
    client::{ClientError, MarketClient},
    wallet::{Account, CommandSigner, KeystoreDir, Mnemonic},
};
use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    str::FromStr,
};

/// Bytes of a file with a key, phrase or password.
const SECRET_FILE_BYTES_MAX: u64 = 4096;

/// Where keystore files lie.
#[derive(Clone, Debug, Args)]
pub(crate) struct KeystoreArgs {
    /// Folder of keystore files [default: ~/.medina/keystore]
    #[arg(long, value_name = "DIR", env = "MEDINA_KEYSTORE")]
    keystore: Option<PathBuf>,
    /// File with the keystore password; else MEDINA_PASSWORD, else it is asked for
    #[arg(long, value_name = "FILE", env = "MEDINA_PASSWORD_FILE")]
    password_file: Option<PathBuf>,
}

/// Who signs.
#[derive(Clone, Debug, Args)]
pub(crate) struct SignerArgs {
    /// Account that signs: an address, or a number in the keystore or mnemonic
    #[arg(long, value_name = "ADDRESS|INDEX", env = "MEDINA_ACCOUNT")]
    account: Option<AccountName>,
    /// File with a private key in hex; or set MEDINA_PRIVATE_KEY or MEDINA_MNEMONIC
    #[arg(long, value_name = "FILE")]
    private_key_file: Option<PathBuf>,
    /// Program that signs for --account ADDRESS, such as a hardware wallet's: JSON in, signature out
    #[arg(long, value_name = "COMMAND", env = "MEDINA_SIGNER")]
    signer: Option<String>,
    #[command(flatten)]
    keystore: KeystoreArgs,
}

/// Everything a command that sends transactions needs.
#[derive(Clone, Debug, Args)]
pub(crate) struct SenderArgs {
    /// Show the transactions, their gas and cost, and send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    rpc: RpcArgs,
    #[command(flatten)]
    signer: SignerArgs,
}

/// Everything a command that only looks needs: the node, and who is `me`. No key is opened where the
/// account's address is known without it.
#[derive(Clone, Debug, Args)]
pub(crate) struct ViewerArgs {
    #[command(flatten)]
    rpc: RpcArgs,
    #[command(flatten)]
    signer: SignerArgs,
}

impl ViewerArgs {
    /// Connects without an account.
    pub(crate) async fn connect(&self) -> Outcome<MarketClient> {
        connect(&self.rpc.rpc).await
    }

    /// The account that was asked for, else one's own.
    pub(crate) fn address_or(&self, asked: Option<Address>) -> Outcome<Address> {
        asked.map_or_else(|| self.signer.address(), Ok)
    }

    /// What a text means that may say `me`: then one's own account.
    pub(crate) fn meant(&self, text: &str) -> Outcome<String> {
        match text.trim() {
            "me" => Ok(self.signer.address()?.to_string()),
            other => Ok(other.to_owned()),
        }
    }
}

/// How an account is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccountName {
    /// By address.
    Address(Address),
    /// By its place.
    Index(u32),
}

impl FromStr for AccountName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(index) = text.parse() {
            return Ok(Self::Index(index));
        }
        let address = text.parse().map(Self::Address);
        address.map_err(|_| {
            "expected an address (0x and 40 hexadecimal digits) or a number".to_owned()
        })
    }
}

impl SenderArgs {
    /// Whether nothing shall be sent.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// JSON-RPC of the node that takes the transactions.
    pub(crate) fn rpc_url(&self) -> &str {
        &self.rpc.rpc
    }

    /// Connects as the account that was named; a dry run ends at its first transaction.
    pub(crate) async fn connect(&self) -> Outcome<MarketClient> {
        let client = self.connected().await?;
        Ok(if self.dry_run {
            client.dry_run()
        } else {
            client
        })
    }

    /// The same for a command that sends several transactions and keeps nothing here: a dry run
    /// simulates each upon those before it.
    pub(crate) async fn connect_several(&self) -> Outcome<MarketClient> {
        let client = self.connected().await?;
        Ok(if self.dry_run {
            client.simulation()
        } else {
            client
        })
    }

    async fn connected(&self) -> Outcome<MarketClient> {
        let account = self.signer.account()?;
        Ok(connect(&self.rpc.rpc).await?.with_account(account))
    }
}

/// Connects without an account.
pub(crate) async fn connect(rpc: &str) -> Outcome<MarketClient> {
    MarketClient::connect(rpc).await.map_err(|error| {
        let is_away = matches!(
            &error,
            ClientError::Rpc {
                method: "eth_chainId",
                ..
            }
        );
        let failure = Failure::from(error);
        if is_away {
            failure.hint("is a node running there? (`medina dev`, `medina node run`, or --rpc URL)")
        } else {
            failure
        }
    })
}

impl SignerArgs {
    /// Opens the account.
    pub(crate) fn account(&self) -> Outcome<Account> {
        if let Some(command) = &self.signer {
            return self.of_program(command);
        }
        if let Some(path) = &self.private_key_file {
            let text = read_text(path, SECRET_FILE_BYTES_MAX)?;
            let account = Account::from_private_key(&text);
            return self
                .checked(account.map_err(|error| crate::errors::cannot("use", path, error))?);
        }
        if let Some(key) = secret_variable("MEDINA_PRIVATE_KEY") {
            let account = Account::from_private_key(&key);
            return self.checked(
                account.map_err(|error| Failure::from(error).during("MEDINA_PRIVATE_KEY"))?,
            );
        }
        if let Some(phrase) = secret_variable("MEDINA_MNEMONIC") {
            let mnemonic = Mnemonic::parse(&phrase);
            let mnemonic =
                mnemonic.map_err(|error| Failure::from(error).during("MEDINA_MNEMONIC"))?;
            return self.of_mnemonic(&mnemonic);
        }
        self.of_keystore()
    }

    /// The opened account must be the one that was named by address.
    fn checked(&self, account: Account) -> Outcome<Account> {
        match self.account {
            Some(AccountName::Address(wanted)) if wanted != account.address() => {
                Err(Failure::new(format!(
                    "--account is {wanted}, but the given key is of {}",
                    account.address()
                ))
                .hint("leave --account out, or unset MEDINA_PRIVATE_KEY to use the keystore"))
            }
            _ => Ok(account),
        }
    }

    fn of_program(&self, command: &str) -> Outcome<Account> {
        match self.account {
            Some(AccountName::Address(address)) => {
                Ok(Account::external(CommandSigner::new(command, address)?))
            }
            _ => Err(Failure::new("which account does --signer sign for?")
                .hint("name it by --account ADDRESS")),
        }
    }

    fn of_mnemonic(&self, mnemonic: &Mnemonic) -> Outcome<Account> {
        match self.account {
            None => Ok(mnemonic.account(0)?),
            Some(AccountName::Index(index)) => Ok(mnemonic.account(index)?),
            Some(AccountName::Address(wanted)) => {
                let found = (0..100).map_while(|index| mnemonic.account(index).ok());
                let found = found
                    .into_iter()
                    .find(|account| account.address() == wanted);
                found.ok_or_else(|| {
                    Failure::new(format!(
                        "{wanted} is none of the first 100 accounts of MEDINA_MNEMONIC"
                    ))
                })
            }
        }
    }

    /// Its address. No password is asked for, and nothing is opened for one that is named by address.
    pub(crate) fn address(&self) -> Outcome<Address> {
        if let Some(AccountName::Address(address)) = self.account {
            return Ok(address);
        }
        let is_given = self.signer.is_some() || self.private_key_file.is_some();
        let of_variable = ["MEDINA_PRIVATE_KEY", "MEDINA_MNEMONIC"].map(secret_variable);
        if is_given || of_variable.iter().any(Option::is_some) {
            return Ok(self.account()?.address());
        }
        let (path, keystore) = self.keystore.open()?;
        self.chosen(&path, &keystore)
    }

    fn of_keystore(&self) -> Outcome<Account> {
        let (path, keystore) = self.keystore.open()?;
        let address = self.chosen(&path, &keystore)?;
        let password = self
            .keystore
            .password(&format!("Password of {address}: "))?;
        Ok(keystore.unlock(address, &password)?)
    }

    /// The account of the keystore that is meant.
    fn chosen(&self, path: &Path, keystore: &KeystoreDir) -> Outcome<Address> {
        let entries = keystore.list()?;
        let place = path.display();
        Ok(match self.account {
            Some(AccountName::Address(address)) => address,
            Some(AccountName::Index(index)) => {
                let entry = usize::try_from(index)
                    .ok()
                    .and_then(|index| entries.get(index));
                let missing = || {
                    Failure::new(format!(
                        "{place} has {} accounts, no number {index}",
                        entries.len()
                    ))
                };
                entry.ok_or_else(missing)?.address
            }
            None => match entries.as_slice() {
                [only] => only.address,
                [] => {
                    return Err(Failure::new(format!("no account to sign with: {place} is empty"))
                        .hint("make one (`medina account new`) or set MEDINA_PRIVATE_KEY or MEDINA_MNEMONIC"));
                }
                several => {
                    return Err(
                        Failure::new(format!("{place} has {} accounts", several.len())).hint(
                            "choose one with --account ADDRESS|INDEX (`medina account list`)",
                        ),
                    );
                }
            },
        })
    }
}

impl KeystoreArgs {
    /// Opens the folder, which is made if it is not there.
    pub(crate) fn open(&self) -> Outcome<(PathBuf, KeystoreDir)> {
        let path = match &self.keystore {
            Some(path) => path.clone(),
            None => default_keystore()?,
        };
        let keystore = KeystoreDir::open(&path)?;
        Ok((path, keystore))
    }

    /// The password, from file, environment or the person.
    pub(crate) fn password(&self, prompt: &str) -> Outcome<String> {
        if let Some(password) = self.given_password()? {
            return Ok(password);
        }
        ask(prompt)
    }

    /// A new password, asked for twice if it is asked for.
    pub(crate) fn new_password(&self) -> Outcome<String> {
        if let Some(password) = self.given_password()? {
            return Ok(password);
        }
        let password = ask("Password for the new key: ")?;
        if ask("The same again: ")? != password {
            return Err(Failure::new(
                "the two passwords differ; nothing was written",
            ));
        }
        Ok(password)
    }

    fn given_password(&self) -> Outcome<Option<String>> {
        match &self.password_file {
            Some(path) => {
                let text = read_text(path, SECRET_FILE_BYTES_MAX)?;
                Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
            }
            None => Ok(std::env::var("MEDINA_PASSWORD").ok()),
        }
    }
}

fn ask(prompt: &str) -> Outcome<String> {
    if !std::io::stdin().is_terminal() {
        return Err(
            Failure::new("a password is needed and nobody is there to type it")
                .hint("give --password-file FILE or set MEDINA_PASSWORD"),
        );
    }
    Ok(rpassword::prompt_password(prompt)?)
}

fn secret_variable(name: &str) -> Option<String> {
    std::env::var(name)
        .ok()
        .filter(|value| !value.trim().is_empty())
}

fn default_keystore() -> Outcome<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.ok_or_else(|| Failure::new("HOME is not set").hint("give --keystore DIR"))?;
    Ok(Path::new(&home).join(".medina").join("keystore"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_named_by_number_or_address() {
        assert_eq!("3".parse(), Ok(AccountName::Index(3)));
        let address = Address::repeat_byte(0xaa);
        assert_eq!(
            address.to_string().parse(),
            Ok(AccountName::Address(address))
        );
        assert!("-1".parse::<AccountName>().is_err());
        assert!("0x12".parse::<AccountName>().is_err());
    }
}
