//! Ids as people write them: complete, short, by name, or by an account of theirs.
//!
//! | Written | Means |
//! |---|---|
//! | 64 hexadecimal digits | the id itself |
//! | `0x54a80aff…0c4d`, `0x54a80aff` | the one id on chain that begins (and ends) so |
//! | an account (40 digits) | its organisation, or its user |
//! | `me` | the sender's own |
//! | anything else | a name; its hash is the id of organisations and federations made here |

use crate::errors::{Failure, Outcome};
use alloy_primitives::{Address, B256, keccak256};
use medina_sdk::client::{BusinessRole, ClientError, MarketClient};

/// Fewest digits of a short id.
const SHORT_DIGITS_MIN: usize = 4;
/// Ids that are shown where a short one fits several.
const SHOWN_MAX: usize = 5;

/// What an id is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    Org,
    User,
    Sensor,
    Federation,
}

impl Thing {
    const fn name(self) -> &'static str {
        match self {
            Self::Org => "organisation",
            Self::User => "user",
            Self::Sensor => "sensor",
            Self::Federation => "federation",
        }
    }

    const fn list(self) -> &'static str {
        match self {
            Self::Org => "medina org list",
            Self::User => "medina user list",
            Self::Sensor => "medina sensor list",
            Self::Federation => "medina federation list",
        }
    }

    async fn all(self, client: &MarketClient) -> Result<Vec<B256>, ClientError> {
        match self {
            Self::Org => {
                let mut orgs = client.org_ids().await?;
                // Individuals are organisations of their own.
                orgs.extend(client.user_ids(None).await?);
                Ok(orgs)
            }
            Self::User => client.user_ids(None).await,
            Self::Sensor => client.sensor_ids().await,
            Self::Federation => client.federation_ids().await,
        }
    }
}

/// How an id was written.
#[derive(Debug, PartialEq, Eq)]
enum Written<'a> {
    Whole(B256),
    Account(Address),
    Short { start: String, end: String },
    Me,
    Name(&'a str),
}

fn written(text: &str) -> Written<'_> {
    let text = text.trim();
    if text == "me" {
        return Written::Me;
    }
    let Some(digits) = text.strip_prefix("0x") else {
        let is_whole = text.len() == 64 && is_hex(text);
        return match text.parse() {
            Ok(id) if is_whole => Written::Whole(id),
            _ => Written::Name(text),
        };
    };
    if let (64, Ok(id)) = (digits.len(), text.parse()) {
        return Written::Whole(id);
    }
    if let (40, Ok(account)) = (digits.len(), text.parse()) {
        return Written::Account(account);
    }
    let (start, end) = ["…", "...", ".."]
        .iter()
        .find_map(|dots| digits.split_once(dots))
        .unwrap_or((digits, ""));
    if start.len() >= SHORT_DIGITS_MIN && is_hex(start) && is_hex(end) {
        let (start, end) = (start.to_lowercase(), end.to_lowercase());
        Written::Short { start, end }
    } else {
        Written::Name(text)
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The ids that begin and end so.
fn fitting(ids: &[B256], start: &str, end: &str) -> Vec<B256> {
    let mut found: Vec<B256> = ids
        .iter()
        .copied()
        .filter(|id| {
            let digits = alloy_primitives::hex::encode(id);
            digits.starts_with(start) && digits.ends_with(end)
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Finds the id that was meant.
pub(crate) async fn find(client: &MarketClient, thing: Thing, text: &str) -> Outcome<B256> {
    match written(text) {
        Written::Whole(id) => Ok(id),
        Written::Me => own(client, thing).await,
        Written::Account(account) => of_account(client, thing, account).await,
        Written::Short { start, end } => {
            let ids = thing.all(client).await?;
            only(thing, text, &fitting(&ids, &start, &end))
        }
        Written::Name(name) => by_name(client, thing, name).await,
    }
}

/// Several ids.
pub(crate) async fn find_all(
    client: &MarketClient,
    thing: Thing,
    texts: &[String],
) -> Outcome<Vec<B256>> {
    let mut found = Vec::with_capacity(texts.len());
    for text in texts {
        found.push(find(client, thing, text).await?);
    }
    Ok(found)
}

/// The first of several kinds of things that has this id.
pub(crate) async fn find_any(client: &MarketClient, things: &[Thing], text: &str) -> Outcome<B256> {
    let mut failure = Failure::new(format!("nothing is called {text:?}"));
    for thing in things {
        match find(client, *thing, text).await {
            Ok(id) => return Ok(id),
            Err(reason) => failure = reason,
        }
    }
    Err(failure)
}

/// A user, an organisation, or everybody of a role: whom consent is given to.
pub(crate) async fn grantee(client: &MarketClient, text: &str) -> Outcome<B256> {
    match role(text) {
        Some(role) => Ok(B256::with_last_byte(role.into())),
        None => find_any(client, &[Thing::User, Thing::Org], text).await,
    }
}

/// A business role by its name.
pub(crate) fn role(text: &str) -> Option<BusinessRole> {
    Some(match text.to_lowercase().as_str() {
        "visitor" => BusinessRole::Visitor,
        "member" => BusinessRole::Member,
        "manager" => BusinessRole::Manager,
        "moderator" => BusinessRole::Moderator,
        "administrator" => BusinessRole::Administrator,
        _ => return None,
    })
}

async fn own(client: &MarketClient, thing: Thing) -> Outcome<B256> {
    let account = client.account()?.address();
    of_account(client, thing, account).await
}

async fn of_account(client: &MarketClient, thing: Thing, account: Address) -> Outcome<B256> {
    let found = match thing {
        Thing::Org => client.org_of(account).await?,
        Thing::User => client.id_of(account).await?,
        Thing::Sensor | Thing::Federation => {
            let what = thing.name();
            return Err(
                Failure::new(format!("{account} is an account, not a {what}"))
                    .hint(format!("`{}` shows ids", thing.list())),
            );
        }
    };
    if found.is_zero() {
        let what = thing.name();
        return Err(
            Failure::new(format!("account {account} belongs to no {what}"))
                .hint("a certifier enrols it: medina user enrol"),
        );
    }
    Ok(found)
}

async fn by_name(client: &MarketClient, thing: Thing, name: &str) -> Outcome<B256> {
    let id = keccak256(name);
    let known = match thing {
        Thing::Org => client.org(id).await.map(|_| ()),
        Thing::User => client.user(id).await.map(|_| ()),
        Thing::Federation => client.federation(id).await.map(|_| ()),
        Thing::Sensor => client.sensor(id).await.map(|_| ()),
    };
    match known {
        Ok(()) => Ok(id),
        Err(ClientError::Unknown { .. }) => {
            let what = thing.name();
            Err(
                Failure::new(format!("there is no {what} {name:?}")).hint(format!(
                    "give its id, complete or its first digits, or its name; `{}` shows them",
                    thing.list()
                )),
            )
        }
        Err(error) => Err(error.into()),
    }
}

fn only(thing: Thing, text: &str, found: &[B256]) -> Outcome<B256> {
    let what = thing.name();
    match found {
        [id] => Ok(*id),
        [] => Err(Failure::new(format!("no {what} has an id like {text}"))
            .hint(format!("`{}` shows them", thing.list()))),
        several => {
            let shown: Vec<_> = several
                .iter()
                .take(SHOWN_MAX)
                .map(B256::to_string)
                .collect();
            Err(
                Failure::new(format!("{text} is short for {} {what}s", several.len()))
                    .hint(format!("write more digits: {}", shown.join(", "))),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_in_five_ways() {
        let id = B256::repeat_byte(0xab);
        assert_eq!(written(&id.to_string()), Written::Whole(id));
        assert_eq!(written(&id.to_string()[2..]), Written::Whole(id));
        let account = Address::repeat_byte(0xab);
        assert_eq!(written(&account.to_string()), Written::Account(account));
        let short = |start: &str, end: &str| Written::Short {
            start: start.to_owned(),
            end: end.to_owned(),
        };
        assert_eq!(written("0x54A80aff"), short("54a80aff", ""));
        assert_eq!(written("0x54a80aff…0c4d"), short("54a80aff", "0c4d"));
        assert_eq!(written("0x54a8...0c4d"), short("54a8", "0c4d"));
        assert_eq!(written("me"), Written::Me);
        for name in ["cities", "0x5", "0xhello", "dead", "org-1"] {
            assert_eq!(written(name), Written::Name(name), "{name}");
        }
    }

    #[test]
    fn short_id_must_fit_exactly_one() {
        let ids = [
            B256::repeat_byte(0xab),
            B256::repeat_byte(0xac),
            B256::repeat_byte(0xab),
        ];
        assert_eq!(fitting(&ids, "abab", "ab"), [ids[0]]);
        assert!(fitting(&ids, "abab", "ac").is_empty());
        assert!(only(Thing::Org, "0xabab", &fitting(&ids, "abab", "")).is_ok());
        let several = only(Thing::Org, "0xa", &fitting(&ids, "a", "")).expect_err("two");
        assert!(several.to_string().contains("2 organisations"), "{several}");
        assert!(only(Thing::User, "0x12", &[]).is_err());
    }
}
