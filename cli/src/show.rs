//! One way to show what a command did and what it found.
//!
//! Commands make a JSON document, which is what programs get. People get the same facts from it:
//! names in words, amounts in tokens, times as dates, ids short in tables and complete elsewhere.

use crate::{
    output::{Output, number, pairs, table},
    values,
};
use comfy_table::Cell;
use medina_sdk::client::{PlannedTransaction, Receipt};
use serde_json::{Value, json};

/// Names of amounts in base units, which JSON has as text.
const MONEY: [&str; 12] = [
    "amount",
    "bonded",
    "price",
    "unitPrice",
    "maxAmount",
    "escrow",
    "earned",
    "fees",
    "refunded",
    "supply",
    "cap",
    "paid",
];
/// Names of moments in Unix seconds.
const MOMENTS: [&str; 17] = [
    "expires", "until", "from", "to", "due", "timeout", "joined", "left", "created", "removed",
    "since", "deadline", "time", "end", "at", "opened", "readyAt",
];

/// What a command did by one transaction.
pub(crate) fn sent(output: Output, facts: Value, receipt: &Receipt) {
    sent_all(output, facts, std::slice::from_ref(receipt));
}

/// What a command did by several transactions; `transaction` is the last.
pub(crate) fn sent_all(output: Output, facts: Value, receipts: &[Receipt]) {
    let text = facts_text(&facts);
    sent_all_as(output, facts, receipts, || text);
}

/// The same, with what people read about the facts.
pub(crate) fn sent_all_as(
    output: Output,
    facts: Value,
    receipts: &[Receipt],
    text: impl FnOnce() -> String,
) {
    let planned = receipts.last().map(|receipt| receipt.planned.as_slice());
    if let Some(planned @ [_, ..]) = planned {
        return simulated(output, &facts, planned, text);
    }
    let mut value = facts;
    value["transaction"] = json!(receipts.last().map(values::transaction));
    if receipts.len() > 1 {
        let all: Vec<_> = receipts.iter().map(values::transaction).collect();
        value["transactions"] = json!(all);
    }
    output.result(&value, || {
        let lines: Vec<_> = receipts.iter().map(values::transaction_line).collect();
        text() + &lines.join("\n")
    });
}

/// What a command found.
pub(crate) fn facts(output: Output, facts: &Value) {
    output.result(facts, || facts_text(facts));
}

/// A list of what a command found, with the columns that people see; `nothing` is said where it is
/// empty.
pub(crate) fn list(output: Output, rows: &[Value], columns: &[&str], nothing: &str) {
    output.result(&rows, || {
        if rows.is_empty() {
            nothing.to_owned()
        } else {
            table_text(rows, columns)
        }
    });
}

/// A table of these columns.
pub(crate) fn table_text(rows: &[Value], columns: &[&str]) -> String {
    let headings: Vec<String> = columns.iter().map(|column| words(column)).collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let mut shown = table(&headings);
    for row in rows {
        let cells = columns.iter().map(|column| cell(column, &row[*column]));
        shown.add_row(cells.collect::<Vec<_>>());
    }
    shown.to_string()
}

/// Names and values under each other; tables for lists of objects below them.
pub(crate) fn facts_text(facts: &Value) -> String {
    let Some(fields) = facts.as_object() else {
        return text("", facts);
    };
    let mut rows = Vec::new();
    let mut below = String::new();
    for (name, value) in fields {
        match value {
            Value::Array(items) if items.first().is_some_and(Value::is_object) => {
                let first = items[0].as_object();
                let columns: Vec<&str> = first
                    .map(|object| object.keys().map(String::as_str).collect())
                    .unwrap_or_default();
                below += &format!("{}\n{}\n", words(name), table_text(items, &columns));
            }
            Value::Array(items) if items.is_empty() => {}
            Value::Null => {}
            value => rows.push((words(name), text(name, value))),
        }
    }
    pairs(
        rows.iter()
            .map(|(name, value)| (name.as_str(), value.clone())),
    ) + &below
}

/// `minReputation` as `min reputation`.
fn words(name: &str) -> String {
    let mut found = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() {
            found.push(' ');
        }
        found.extend(letter.to_lowercase());
    }
    found
}

fn text(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(seconds) if MOMENTS.contains(&name) => {
            values::moment(seconds.as_u64().unwrap_or_default())
        }
        Value::String(units) if MONEY.contains(&name) => match units.parse::<u128>() {
            Ok(units) => values::money(units),
            Err(_) => units.clone(),
        },
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| text(name, item)).collect();
            items.join(", ")
        }
        Value::Object(fields) => {
            let items: Vec<_> = fields
                .iter()
                .map(|(name, value)| format!("{} {}", words(name), text(name, value)))
                .collect();
            items.join(", ")
        }
        other => other.to_string(),
    }
}

fn cell(name: &str, value: &Value) -> Cell {
    let shown = text(name, value);
    let is_money = MONEY.contains(&name) && value.is_string();
    if is_money || (value.is_number() && !MOMENTS.contains(&name)) {
        return number(shown);
    }
    let parts: Vec<_> = shown.split(", ").map(short).collect();
    parts.join(", ").into()
}

/// An id in a table: its first and last digits, which commands take as well.
pub(crate) fn short(id: &str) -> String {
    let is_id = id.len() == 66 && id.starts_with("0x") && id.is_ascii();
    if is_id {
        format!("{}…{}", &id[..10], &id[62..])
    } else {
        id.to_owned()
    }
}

/// What a dry run would have sent first.
pub(crate) fn planned(output: Output, planned: &PlannedTransaction) {
    let value = json!({ "dryRun": true, "transaction": planned });
    output.result(&value, || {
        planned_text(planned)
            + "nothing was sent; what this command would send after it depends on its outcome"
    });
}

/// What a dry run would have sent, and how things would be then.
fn simulated(
    output: Output,
    facts: &Value,
    planned: &[PlannedTransaction],
    text: impl FnOnce() -> String,
) {
    let value = json!({
        "dryRun": true, "transaction": planned.first(), "transactions": planned, "outcome": facts,
    });
    output.result(&value, || {
        let each: Vec<_> = planned.iter().map(planned_text).collect();
        format!(
            "{}\nnothing was sent; it would be so then:\n{}",
            each.join("\n"),
            text()
        )
    });
}

fn planned_text(planned: &PlannedTransaction) -> String {
    let contract = planned.contract.clone();
    let contract = contract.unwrap_or_else(|| "unknown contract".to_owned());
    let fee = medina_sdk::amount::format_tokens(planned.max_fee_per_gas);
    let cost = medina_sdk::amount::format_tokens(planned.cost_max);
    pairs([
        (
            "would call",
            format!(
                "{contract}.{}",
                planned.call.split('(').next().unwrap_or_default()
            ),
        ),
        ("at", planned.to.to_string()),
        ("from", planned.from.to_string()),
        (
            "gas",
            format!("{} (limit {})", planned.gas, planned.gas_limit),
        ),
        ("cost", format!("at most {cost} coins ({fee} per gas)")),
        (
            "input",
            format!("{} bytes (--json shows them)", planned.input.len()),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_words_tokens_dates_and_short_ids() {
        let id = format!("0x{}", "ab".repeat(32));
        let facts = json!({
            "federation": id, "minReputation": "70.00", "bonded": "1500000000000000000",
            "joined": 1_767_225_600, "isOpen": true, "nothing": null, "left": 0,
            "members": [{ "org": id, "version": 2 }],
        });
        let text = facts_text(&facts);
        for expected in [
            "min reputation",
            "1.5 MDN",
            "2026-01-01 00:00 UTC",
            "is open",
            "yes",
            &id,
            "0xabababab…abab",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        assert!(!text.contains("nothing"), "{text}");
    }

    #[test]
    fn short_ids_are_what_commands_take() {
        let id = format!("0x{}0c4d", "54a80aff".to_owned() + &"0".repeat(52));
        assert_eq!(short(&id), "0x54a80aff…0c4d");
        assert_eq!(short("cities"), "cities");
    }
}
