//! Parties as `GoQuorum`'s clients name them: 32 bytes in base64.

use alloy_primitives::B256;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use medina_types::PrivacyMode;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

use crate::{
    errors::{self, Answer, invalid_params, limit_exceeded, server},
    privacy::{CompatSend, PrivateParty, asking::Asking, shapes},
};

/// Parties of one transaction.
const RECIPIENTS_MAX: usize = 256;

/// The private part of a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::privacy) struct CompatArguments {
    pub(in crate::privacy) private_from: Option<String>,
    pub(in crate::privacy) private_for: Option<Vec<String>>,
    pub(in crate::privacy) privacy_flag: Option<Value>,
    pub(in crate::privacy) mandatory_for: Option<Vec<String>>,
}

/// The name of a party: its identity key, which outlives the encryption keys.
pub(in crate::privacy) fn key_of(party: &PrivateParty) -> String {
    STANDARD.encode(party.identity_key)
}

/// The party of a key: its identity, its current encryption key or its organisation.
pub(in crate::privacy) fn party_of_key<'a>(
    parties: &'a [PrivateParty],
    key: &str,
) -> Option<&'a PrivateParty> {
    let key = B256::try_from(STANDARD.decode(key).ok()?.as_slice()).ok()?;
    let names = |party: &PrivateParty| {
        [
            Some(party.identity_key),
            party.encryption_key,
            Some(party.org),
        ]
    };
    parties
        .iter()
        .find(|party| names(party).contains(&Some(key)))
}

/// Whom a request is for.
///
/// # Errors
/// Unknown parties, too many of them, a mode without what it needs, or a sender
/// that is not the caller's party.
pub(in crate::privacy) fn recipients(
    asking: &Asking,
    arguments: &CompatArguments,
) -> Answer<CompatSend> {
    let directory = asking.node.directory().map_err(errors::private)?;
    if let Some(from) = arguments
        .private_from
        .as_deref()
        .filter(|from| !from.is_empty())
    {
        let is_own =
            party_of_key(&directory, from).is_some_and(|party| party.org == asking.tenant.org);
        if !is_own {
            return Err(server(format!(
                "privateFrom {from} is no key of party {}",
                asking.tenant.psi
            )));
        }
    }
    let keys = arguments.private_for.as_ref();
    let keys = keys.ok_or_else(|| {
        invalid_params("privateFor is missing: give the recipients' keys, [] for none but yourself")
    })?;
    let mode = match arguments.privacy_flag.clone() {
        None | Some(Value::Null) => PrivacyMode::Standard,
        Some(flag) => shapes::read_mode(flag)?,
    };
    let mandatory = orgs(
        &directory,
        arguments.mandatory_for.as_deref().unwrap_or_default(),
    )?;
    if mandatory.is_empty() == (mode == PrivacyMode::MandatoryRecipients) {
        return Err(invalid_params(
            "mandatoryFor goes with privacyFlag 2, and that with mandatoryFor",
        ));
    }
    let all = orgs(&directory, keys)?;
    let own = asking.tenant.org;
    if mandatory
        .iter()
        .any(|org| *org != own && !all.contains(org))
    {
        return Err(invalid_params(
            "mandatoryFor names a party that privateFor does not",
        ));
    }
    Ok(CompatSend {
        recipients: all.into_iter().filter(|org| *org != own).collect(),
        mode,
        mandatory: mandatory.into_iter().collect(),
    })
}

fn orgs(directory: &[PrivateParty], keys: &[String]) -> Answer<BTreeSet<B256>> {
    if keys.len() > RECIPIENTS_MAX {
        return Err(limit_exceeded(format!(
            "{} recipients, at most {RECIPIENTS_MAX}",
            keys.len()
        )));
    }
    let org = |key: &String| {
        let shown: String = key.chars().take(64).collect();
        let party = party_of_key(directory, key);
        // Tessera's words.
        party
            .map(|party| party.org)
            .ok_or_else(|| server(format!("Recipient not found for key: {shown}")))
    };
    keys.iter().map(org).collect()
}
