//! How a command reaches the private side of a node, and how groups are named.

use crate::{
    args::RpcArgs,
    commands::read_text,
    errors::{Failure, Outcome},
    signer::{SenderArgs, connect},
};
use alloy_primitives::{Address, B256, hex, keccak256};
use clap::Args;
use medina_sdk::{
    client::{ClientError, MarketClient},
    private::{Groups, PrivateClient, PrivateRpc},
};

/// Bytes of a file with a token.
const TOKEN_FILE_BYTES_MAX: u64 = 16 * 1024;
/// Fewest digits of a short id.
const SHORT_DIGITS_MIN: usize = 4;

/// What opens the private side.
#[derive(Clone, Debug, Args)]
pub(crate) struct TokenArgs {
    /// Token of one's party: @FILE, or the token itself; the URL may carry it too
    #[arg(
        long,
        value_name = "@FILE|TOKEN",
        env = "MEDINA_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
    /// Party to act as, where the token is for several
    #[arg(long, value_name = "NAME", env = "MEDINA_PARTY")]
    party: Option<String>,
}

/// Everything a command needs that reads private state.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReaderArgs {
    #[command(flatten)]
    rpc: RpcArgs,
    #[command(flatten)]
    token: TokenArgs,
}

/// Everything a command needs that sends private transactions.
#[derive(Clone, Debug, Args)]
pub(crate) struct WriterArgs {
    #[command(flatten)]
    sender: SenderArgs,
    #[command(flatten)]
    token: TokenArgs,
}

impl TokenArgs {
    /// Whether a token was given apart from the URL.
    pub(super) fn is_given(&self) -> bool {
        self.token.is_some()
    }

    /// The private side of the node.
    pub(super) fn open(&self, url: &str) -> Outcome<PrivateRpc> {
        let token = match self.token.as_deref() {
            Some(text) => match text.strip_prefix('@') {
                Some(path) => Some(read_text(path.as_ref(), TOKEN_FILE_BYTES_MAX)?),
                None => Some(text.to_owned()),
            },
            None => None,
        };
        let rpc = PrivateRpc::new(url, token.as_deref())?;
        match &self.party {
            Some(name) => Ok(rpc.with_party(name)?),
            None => Ok(rpc),
        }
    }
}

impl ReaderArgs {
    /// Whether a token was given apart from the URL.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_given()
    }

    /// Connects without an account.
    pub(super) async fn connect(&self) -> Outcome<PrivateClient> {
        let rpc = self.token.open(&self.rpc.rpc)?;
        Ok(PrivateClient::with_rpc(connect(&self.rpc.rpc).await?, rpc))
    }

    /// Connects to the chain alone.
    pub(super) async fn chain(&self) -> Outcome<MarketClient> {
        connect(&self.rpc.rpc).await
    }
}

impl WriterArgs {
    /// Connects as the account that was named.
    pub(super) async fn connect(&self) -> Outcome<PrivateClient> {
        let rpc = self.token.open(self.sender.rpc_url())?;
        Ok(PrivateClient::with_rpc(self.sender.connect().await?, rpc))
    }

    /// Whether nothing shall be sent.
    pub(super) fn is_dry_run(&self) -> bool {
        self.sender.is_dry_run()
    }
}

/// The group that was meant: its id, the first digits of it, or its name.
pub(super) async fn group(client: &MarketClient, text: &str) -> Outcome<B256> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && digits.len() == 64 {
        return digits
            .parse()
            .map_err(|error| Failure::new(format!("{text} is no id: {error}")));
    }
    let groups = Groups::of(client)?;
    if is_hex && text.starts_with("0x") && digits.len() >= SHORT_DIGITS_MIN {
        return only(text, &fitting(&groups.ids().await?, digits));
    }
    let id = keccak256(text);
    match groups.get(id).await {
        Ok(_) => return Ok(id),
        Err(ClientError::Unknown { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    // Somebody may have named it so for everybody without taking the name's hash.
    let mut named = Vec::new();
    for id in groups.ids().await? {
        if groups.get(id).await?.name.as_deref() == Some(text) {
            named.push(id);
        }
    }
    only(text, &named)
}

fn fitting(ids: &[B256], start: &str) -> Vec<B256> {
    let start = start.to_lowercase();
    let fits = |id: &&B256| hex::encode(id).starts_with(&start);
    ids.iter().filter(fits).copied().collect()
}

fn only(text: &str, found: &[B256]) -> Outcome<B256> {
    match found {
        [id] => Ok(*id),
        [] => Err(Failure::new(format!("there is no private group {text:?}"))
            .hint("`medina private groups` shows them; give an id, its first digits, or a name")),
        several => Err(Failure::new(format!(
            "{} private groups are called {text:?}",
            several.len()
        ))
        .hint("give the id (`medina private groups --json`)")),
    }
}

/// Reads the address of a contract.
pub(super) fn contract(text: &str) -> Result<Address, String> {
    text.parse()
        .map_err(|_| "expected an address: 0x and 40 hexadecimal digits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_id_must_fit_exactly_one() {
        let ids = [B256::repeat_byte(0xab), B256::repeat_byte(0xac)];
        assert_eq!(fitting(&ids, "ABab"), [ids[0]]);
        assert_eq!(fitting(&ids, "a").len(), 2);
        assert!(only("0xa", &ids).is_err());
        assert!(only("prices", &[]).is_err());
        assert_eq!(only("prices", &ids[..1]).expect("one"), ids[0]);
    }
}
