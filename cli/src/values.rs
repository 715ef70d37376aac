//! Values as they are typed and shown.

use crate::commands::{read_bytes, since_epoch};
use alloy_primitives::{B256, keccak256};
use medina_sdk::{
    amount,
    client::{FoundListing, MarketListing, MarketOrder, Receipt, SensorRecord},
    document::DocumentKey,
    moment::{format_moment, parse_moment},
};
use serde_json::{Value, json};

/// Reads an amount in tokens.
pub(crate) fn tokens(text: &str) -> Result<u128, String> {
    amount::parse_tokens(text).map_err(|error| error.to_string())
}

/// Reads a name or word that is not empty, without the space around it.
pub(crate) fn name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("this is empty".to_owned()),
        name => Ok(name.to_owned()),
    }
}

/// Reads a distance.
pub(crate) fn kilometres(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches("km").trim().parse();
    match number {
        Ok(distance) if (0.0..=20_038.0).contains(&distance) => Ok(distance),
        _ => Err("expected kilometres, 0 to 20038, like 5 or 0.5".to_owned()),
    }
}

/// Reads a duration of at most 136 years.
pub(crate) fn duration(text: &str) -> Result<u32, String> {
    let seconds = amount::parse_duration(text).map_err(|error| error.to_string())?;
    u32::try_from(seconds).map_err(|_| "this is longer than 136 years".to_owned())
}

/// Reads a score or trust from 0 to 100, two decimals, into basis points.
pub(crate) fn percent(text: &str) -> Result<u16, String> {
    let wrong = || "expected a number from 0 to 100 with at most two decimals".to_owned();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_plain = |digits: &str| digits.chars().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || part.len() > 2 || !is_plain(whole) || !is_plain(part)
    {
        return Err(wrong());
    }
    let basis_points: u16 = format!("{whole}{part:0<2}").parse().map_err(|_| wrong())?;
    if basis_points <= 10_000 {
        Ok(basis_points)
    } else {
        Err(wrong())
    }
}

/// Basis points as a number with two decimals.
pub(crate) fn points(basis_points: u16) -> String {
    format!("{}.{:02}", basis_points / 100, basis_points % 100)
}

/// Basis points that may be unknown.
pub(crate) fn points_or_unknown(basis_points: Option<u16>) -> String {
    basis_points.map_or_else(|| "unknown".to_owned(), points)
}

/// Hash by which a property is found.
pub(crate) fn topic(property: &str) -> B256 {
    keccak256(property.trim().to_lowercase())
}

/// Base units with their name.
pub(crate) fn money(base_units: impl Into<amount::TokenUnits>) -> String {
    format!("{} MDN", amount::format_tokens(base_units))
}

/// Unix seconds as text; 0 means never.
pub(crate) fn moment(seconds: u64) -> String {
    if seconds == 0 {
        "-".to_owned()
    } else {
        format_moment(seconds)
    }
}

/// Reads a moment: `90d`, `2026-12-01`, `friday 18:00`.
pub(crate) fn when(text: &str) -> Result<u64, String> {
    parse_moment(text, since_epoch().as_secs()).map_err(|error| error.to_string())
}

/// Largest document that is hashed, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Reads what others must hash to the same value, such as a purpose or public terms: 32 bytes in hex
/// are the hash itself, `@FILE` is a file, everything else a text.
pub(crate) fn hashed(text: &str) -> Result<B256, String> {
    match hash_itself(text) {
        Some(hash) => Ok(hash),
        None => Ok(keccak256(content(text)?)),
    }
}

/// Reads a document that only its author can show: as [`hashed`], with the author's salt
/// (`medina document`), so that nobody finds a short text by trying.
pub(crate) fn document(text: &str) -> Result<B256, String> {
    match hash_itself(text) {
        Some(hash) => Ok(hash),
        None => Ok(document_key()?.hash(&content(text)?)),
    }
}

fn hash_itself(text: &str) -> Option<B256> {
    text.strip_prefix("0x").and_then(|_| text.parse().ok())
}

/// A text, or what is in `@FILE`.
pub(crate) fn content(text: &str) -> Result<Vec<u8>, String> {
    if let Some(path) = text.strip_prefix('@') {
        let bytes = read_bytes(std::path::Path::new(path), DOCUMENT_BYTES_MAX);
        return bytes.map_err(|failure| failure.to_string());
    }
    match text.trim() {
        "" => Err("this is empty".to_owned()),
        text => Ok(text.as_bytes().to_vec()),
    }
}

/// The key of this author's salts: `MEDINA_DOCUMENT_KEY`, else `~/.medina/document.key`; made when it
/// is first needed.
pub(crate) fn document_key() -> Result<DocumentKey, String> {
    let told = std::env::var_os("MEDINA_DOCUMENT_KEY").filter(|path| !path.is_empty());
    let path = match told {
        Some(path) => std::path::PathBuf::from(path),
        None => {
            let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
            let home =
                home.ok_or("HOME is not set: say where the key is by MEDINA_DOCUMENT_KEY")?;
            let folder = std::path::Path::new(&home).join(".medina");
            std::fs::create_dir_all(&folder)
                .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
            folder.join("document.key")
        }
    };
    DocumentKey::load_or_create(&path).map_err(|error| error.to_string())
}

/// So many things, in words: `1 batch`, `2 batches`.
pub(crate) fn count(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

/// Reads operations on data: `read`, `read,update` or `crud`.
pub(crate) fn operations(text: &str) -> Result<u8, String> {
    let mut ops = 0;
    for word in text
        .to_lowercase()
        .split([',', '+', ' '])
        .filter(|word| !word.is_empty())
    {
        ops |= match word {
            "create" => 1,
            "read" => 2,
            "update" => 4,
            "delete" => 8,
            "crud" | "all" => 15,
            _ => {
                return Err(
                    "write create, read, update, delete, several with commas, or all".to_owned(),
                );
            }
        };
    }
    if ops == 0 {
        Err("no operation was named".to_owned())
    } else {
        Ok(ops)
    }
}

/// Operations on data in words.
pub(crate) fn operations_text(ops: u8) -> String {
    let names = [(1, "create"), (2, "read"), (4, "update"), (8, "delete")];
    let named: Vec<_> = names
        .iter()
        .filter(|(bit, _)| ops & bit != 0)
        .map(|(_, name)| *name)
        .collect();
    if named.is_empty() {
        "nothing".to_owned()
    } else {
        named.join(",")
    }
}

/// A status of resources and listings in words.
pub(crate) fn status(status: u8) -> String {
    let word = match status & 127 {
        1 => "live",
        2 => "paused",
        3 => "retired",
        _ => "unknown",
    };
    if status & 128 == 0 {
        word.to_owned()
    } else {
        format!("{word}, flagged")
    }
}

/// An enum of the contracts in its JSON word, or its number.
pub(crate) fn word<T: serde::Serialize>(value: &Result<T, u8>) -> String {
    match value {
        Ok(known) => match serde_json::to_value(known) {
            Ok(Value::String(word)) => word,
            _ => "?".to_owned(),
        },
        Err(number) => number.to_string(),
    }
}

/// A listing for programs: amounts are text, because JSON numbers end at 2^53.
pub(crate) fn listing_json(listing: &MarketListing) -> Value {
    json!({
        "id": listing.id,
        "org": listing.org,
        "payee": listing.payee,
        "kind": word(&listing.kind),
        "price": word(&listing.price),
        "unitPrice": listing.unit_price.to_string(),
        "status": status(listing.status),
        "subject": listing.subject,
        "topic": listing.topic,
        "audience": listing.audience,
        "meta": listing.meta,
        "policy": listing.policy,
        "consentScope": listing.consent_scope,
        "judge": listing.judge,
        "minReputation": points(listing.min_reputation),
        "accessSeconds": listing.access_seconds,
        "deliverSeconds": listing.deliver_seconds,
        "confirmSeconds": listing.confirm_seconds,
    })
}

/// A listing that was found, for programs.
pub(crate) fn found_json(found: &FoundListing) -> Value {
    let mut value = listing_json(&found.listing);
    value["trust"] = json!(found.trust.map(points));
    value["reputation"] = json!(found.reputation.map(points));
    value
}

/// An order for programs.
pub(crate) fn order_json(order: &MarketOrder) -> Value {
    json!({
        "id": order.id.to_string(),
        "listing": order.listing,
        "state": word(&order.state),
        "time": order.time,
        "deadline": order.deadline,
        "end": order.end,
        "units": order.units,
        "used": order.used,
        "amount": order.amount.to_string(),
        "paid": order.paid.to_string(),
        "buyer": order.buyer,
        "user": order.user,
    })
}

/// A sensor for programs.
pub(crate) fn sensor_json(sensor: &SensorRecord) -> Value {
    json!({
        "id": sensor.id,
        "org": sensor.org,
        "kind": word(&sensor.kind),
        "status": status(sensor.status),
        "topic": sensor.topic,
        "periodSeconds": sensor.period_seconds,
        "cell": sensor.cell,
        "signer": sensor.signer,
        "since": sensor.since,
        "meta": sensor.meta,
    })
}

/// A transaction for programs.
pub(crate) fn transaction(receipt: &Receipt) -> Value {
    json!({ "hash": receipt.hash, "block": receipt.block, "gasUsed": receipt.gas_used })
}

/// A transaction for people.
pub(crate) fn transaction_line(receipt: &Receipt) -> String {
    format!(
        "transaction {} in block {}, {} gas",
        receipt.hash, receipt.block, receipt.gas_used
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_reads_what_points_writes() {
        for (text, value) in [("0", 0), ("100", 10_000), ("72.5", 7_250), ("9.05", 905)] {
            assert_eq!(percent(text), Ok(value), "{text}");
        }
        assert_eq!(points(7_250), "72.50");
        for text in ["", "-1", "100.01", "1.234", "9x", "1000", "."] {
            assert!(percent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_above_64_bits_are_text_for_programs() {
        let listing = MarketListing {
            id: 1,
            org: B256::ZERO,
            payee: alloy_primitives::Address::ZERO,
            kind: Ok(medina_sdk::client::ListingKind::Stream),
            price: Err(9),
            status: 1,
            min_reputation: 7_000,
            unit_price: u128::MAX,
            access_seconds: 0,
            deliver_seconds: 0,
            confirm_seconds: 0,
            subject: B256::ZERO,
            audience: B256::ZERO,
            topic: B256::ZERO,
            meta: B256::ZERO,
            policy: B256::ZERO,
            consent_scope: B256::ZERO,
            judge: None,
        };
        let value = listing_json(&listing);
        assert_eq!(value["unitPrice"], u128::MAX.to_string());
        assert_eq!(
            (&value["kind"], &value["price"]),
            (&json!("stream"), &json!("9"))
        );
    }

    #[test]
    fn operations_read_what_they_write() {
        for (text, ops) in [
            ("read", 2),
            ("read,update", 6),
            ("all", 15),
            ("Create Delete", 9),
        ] {
            assert_eq!(operations(text), Ok(ops), "{text}");
            assert_eq!(operations(&operations_text(ops)), Ok(ops));
        }
        for text in ["", ",", "write", "read;update"] {
            assert!(operations(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_and_distances_have_a_meaning() {
        assert_eq!(name(" City of Haven "), Ok("City of Haven".to_owned()));
        assert!(name("").is_err() && name("  ").is_err());
        assert_eq!(kilometres("5 km"), Ok(5.0));
        for text in ["", "-1", "nan", "inf", "30000", "far"] {
            assert!(kilometres(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hash_is_taken_as_it_is_and_text_is_hashed() {
        let hash = B256::repeat_byte(7);
        assert_eq!(hashed(&hash.to_string()), Ok(hash));
        assert_eq!(hashed(" research "), Ok(keccak256("research")));
        assert!(hashed(" ").is_err() && hashed("@/no/such/file").is_err());
    }

    #[test]
    fn one_is_not_several() {
        assert_eq!(count(1, "batch", "batches"), "1 batch");
        assert_eq!(count(0, "batch", "batches"), "0 batches");
    }

    #[test]
    fn status_is_said_in_words() {
        assert_eq!(
            (status(1), status(130)),
            ("live".to_owned(), "paused, flagged".to_owned())
        );
    }
}
