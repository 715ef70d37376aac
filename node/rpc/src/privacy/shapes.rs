//! Private data as JSON-RPC shows it.

use alloy_primitives::{Address, B256, Bloom, Bytes, Log, U64};
use alloy_rpc_types_eth::TransactionRequest;
use medina_types::{PrivacyMode, SignedPrivateTransaction};
use serde_json::{Value, json};

use super::{
    GroupPhase, GroupStatus, GroupSummary, PrivateCall, PrivateLog, PrivateReceipt,
    PrivateTransactionView,
};
use crate::{
    errors::{Answer, fault, invalid_params},
    revert::revert_message,
};

/// A group for its members.
pub(super) fn group(group: &GroupSummary) -> Value {
    json!({
        "id": group.id,
        "mode": group.mode,
        "members": group.members,
        "mandatory": group.mandatory,
        "quorum": group.quorum,
        "createdAt": U64::from(group.created_at),
        "isImplicit": group.is_implicit,
    })
}

/// How far a group has come.
pub(super) fn status(status: &GroupStatus) -> Value {
    let mut shown = json!({
        "id": status.id,
        "phase": "following",
        "height": U64::from(status.height.0),
        "root": status.root,
        "missing": status.missing,
        "attestations": status.attestations,
        "disputedBy": status.disputed_by,
    });
    match &status.phase {
        GroupPhase::Following => {}
        GroupPhase::WaitingForSecret => {
            shown["phase"] = json!("waiting-for-secret");
            let reason = "no member has given this node the secret of the group's markers";
            shown["reason"] = json!(reason);
        }
        GroupPhase::Waiting {
            digest,
            sent_by,
            org,
        } => {
            shown["phase"] = json!("waiting");
            shown["waitingFor"] = json!(digest);
            shown["sentBy"] = json!(sent_by);
            shown["sentByOrg"] = json!(org);
        }
        GroupPhase::Rebuilding => shown["phase"] = json!("rebuilding"),
        GroupPhase::Failing(reason) => {
            shown["phase"] = json!("failing");
            shown["reason"] = json!(reason);
        }
        GroupPhase::Halted {
            member,
            height,
            reason,
        } => {
            shown["phase"] = json!("halted");
            let height = U64::from(*height);
            shown["halt"] = json!({ "member": member, "height": height, "reason": reason });
        }
    }
    shown
}

/// A receipt among members: the public marker's place, the inner transaction's fate.
pub(super) fn receipt(receipt: &PrivateReceipt) -> Value {
    json!({
        "digest": receipt.digest,
        "group": receipt.group,
        "transactionHash": receipt.marker,
        "blockHash": receipt.block_hash,
        "blockNumber": U64::from(receipt.block_number),
        "transactionIndex": U64::from(receipt.transaction_index),
        "from": receipt.from,
        "to": receipt.to,
        "contractAddress": receipt.contract_address,
        "status": status_of(receipt),
        "outcome": receipt.outcome,
        "gasUsed": U64::from(receipt.gas_used),
        "logs": logs_of(receipt),
        "logsBloom": bloom(&receipt.logs),
        "output": receipt.output,
        "revertReason": reason_of(receipt),
    })
}

/// 0x1 for what ran well.
pub(super) fn status_of(receipt: &PrivateReceipt) -> U64 {
    U64::from(u64::from(receipt.success))
}

/// Why it failed, in words; `null` for what did not.
pub(super) fn reason_of(receipt: &PrivateReceipt) -> Option<String> {
    if receipt.success {
        return None;
    }
    let of_output = || (!receipt.output.is_empty()).then(|| revert_message(&receipt.output));
    receipt.reason.clone().or_else(of_output)
}

/// The bloom that public receipts carry.
pub(super) fn bloom(logs: &[Log]) -> Bloom {
    let mut bloom = Bloom::ZERO;
    for log in logs {
        bloom.accrue_log(log);
    }
    bloom
}

/// The logs of a receipt as `eth_getLogs` shows them.
pub(super) fn logs_of(receipt: &PrivateReceipt) -> Vec<Value> {
    let numbered = receipt.logs.iter().zip(receipt.first_log_index..);
    let show = |(log, index): (&Log, u64)| {
        json!({
            "address": log.address,
            "topics": log.topics(),
            "data": log.data.data,
            "blockHash": receipt.block_hash,
            "blockNumber": U64::from(receipt.block_number),
            "transactionHash": receipt.marker,
            "transactionIndex": U64::from(receipt.transaction_index),
            "logIndex": U64::from(index),
            "removed": false,
        })
    };
    numbered.map(show).collect()
}

/// A log as `eth_getLogs` shows it.
pub(super) fn log(log: &PrivateLog) -> Value {
    json!({
        "address": log.log.address,
        "topics": log.log.topics(),
        "data": log.log.data.data,
        "blockHash": log.block_hash,
        "blockNumber": U64::from(log.block_number),
        "blockTimestamp": U64::from(log.block_timestamp),
        "transactionHash": log.marker,
        "transactionIndex": U64::from(log.transaction_index),
        "logIndex": U64::from(log.log_index),
        "removed": false,
    })
}

/// As [`log`], with the digest of what wrote it.
pub(super) fn log_of_group(one: &PrivateLog) -> Value {
    let mut shown = log(one);
    shown["digest"] = json!(one.digest);
    shown
}

/// An inner transaction among members.
pub(super) fn transaction(view: &PrivateTransactionView) -> Answer<Value> {
    let mut shown = serde_json::to_value(&view.transaction).map_err(fault)?;
    let to = view.transaction.transaction().kind.to().copied();
    shown["to"] = json!(to);
    shown["create"] = json!(to.is_none());
    shown["digest"] = json!(view.digest);
    shown["from"] = json!(view.from);
    shown["transactionHash"] = json!(view.marker);
    shown["blockHash"] = json!(view.place.map(|(hash, ..)| hash));
    shown["blockNumber"] = json!(view.place.map(|(_, number, _)| U64::from(number)));
    shown["transactionIndex"] = json!(view.place.map(|(.., index)| U64::from(index)));
    Ok(shown)
}

/// A signed inner transaction as callers write it: `create` may be said beside a
/// missing `to`, the mode is a number or a quantity.
pub(super) fn read_transaction(mut given: Value) -> Answer<SignedPrivateTransaction> {
    let wrong = |text: &str| invalid_params(format!("invalid argument 0: {text}"));
    let fields = given
        .as_object_mut()
        .ok_or_else(|| wrong("a signed private transaction is an object"))?;
    let says_create = match fields.remove("create") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(create)) => Some(create),
        Some(_) => return Err(wrong("create is true or false")),
    };
    let has_no_to = |to: &Value| to.is_null() || *to == json!("") || *to == json!("0x");
    if fields.get("to").is_some_and(has_no_to) {
        fields.remove("to");
    }
    // Signed over is the zero address where a contract is made.
    if says_create == Some(true) && fields.get("to") == Some(&json!(Address::ZERO)) {
        fields.remove("to");
    }
    if says_create.is_some_and(|create| create == fields.contains_key("to")) {
        return Err(wrong("it has either create or to"));
    }
    fields.insert("create".to_owned(), json!(!fields.contains_key("to")));
    if let Some(mode) = fields.get("mode").cloned() {
        fields.insert("mode".to_owned(), json!(read_mode(mode)?));
    }
    serde_json::from_value(given).map_err(|error| wrong(&error.to_string()))
}

/// A mode as a JSON number or a hexadecimal quantity.
pub(super) fn read_mode(given: Value) -> Answer<PrivacyMode> {
    let number = match given {
        Value::Number(number) => number.as_u64(),
        value => serde_json::from_value(value)
            .ok()
            .map(|number: U64| number.to()),
    };
    let number = number.and_then(|number| u8::try_from(number).ok());
    let number = number.ok_or_else(|| invalid_params("a private mode is 0, 1, 2 or 3"))?;
    PrivacyMode::try_from(number).map_err(|error| invalid_params(error.to_string()))
}

/// A call as `eth_call` takes it, with what private state has no part of refused.
pub(super) fn read_call(request: TransactionRequest) -> Answer<PrivateCall> {
    if request.value.is_some_and(|value| !value.is_zero()) {
        return Err(invalid_params("a private call moves no value"));
    }
    let input = request.input.try_into_unique_input().map_err(|_| {
        invalid_params(
            "both \"data\" and \"input\" are set and not equal; use \"input\" for call data",
        )
    })?;
    Ok(PrivateCall {
        from: request.from.unwrap_or_default(),
        to: request.to.and_then(|kind| kind.to().copied()),
        gas: request.gas,
        input: input.unwrap_or_default(),
    })
}

/// What a marker must carry.
pub(super) fn marker_input(digest: B256, tag: B256) -> Bytes {
    medina_types::Marker { digest, tag }.input()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(change: impl FnOnce(&mut Value)) -> Answer<SignedPrivateTransaction> {
        let mut signature = [0x11; 65];
        signature[64] = 27;
        let mut given = json!({
            "group": B256::repeat_byte(1),
            "mode": 0,
            "to": Address::repeat_byte(2),
            "nonce": "0x0",
            "gas": "0x5208",
            "data": "0x01",
            "signature": Bytes::from(signature),
        });
        change(&mut given);
        read_transaction(given)
    }

    #[test]
    fn creation_is_said_by_a_flag_a_missing_address_or_both() {
        assert!(!written(|_| {}).unwrap().transaction().kind.is_create());
        let changes: [fn(&mut Value); 4] = [
            |given| given["to"] = Value::Null,
            |given| given["to"] = json!("0x"),
            |given| {
                given["to"] = json!(Address::ZERO);
                given["create"] = json!(true);
            },
            |given| {
                given["to"] = Value::Null;
                given["create"] = json!(true);
            },
        ];
        for change in changes {
            assert!(written(change).unwrap().transaction().kind.is_create());
        }
        assert!(written(|given| given["create"] = json!(true)).is_err());
        let nobody = |given: &mut Value| {
            given["to"] = Value::Null;
            given["create"] = json!(false);
        };
        assert!(written(nobody).is_err());
    }

    #[test]
    fn modes_are_numbers_or_quantities_up_to_three() {
        for (given, number) in [(json!(0), 0), (json!(3), 3), (json!("0x2"), 2)] {
            assert_eq!(read_mode(given).unwrap().number(), number);
        }
        for wrong in [json!(4), json!(-1), json!("4"), json!(null), json!(1.5)] {
            assert_eq!(read_mode(wrong).unwrap_err().code(), -32602);
        }
    }

    #[test]
    fn private_calls_move_no_value() {
        let call = |value: u8| {
            read_call(TransactionRequest {
                value: Some(alloy_primitives::U256::from(value)),
                ..TransactionRequest::default()
            })
        };
        assert!(call(0).is_ok());
        assert_eq!(call(1).unwrap_err().code(), -32602);
    }

    proptest::proptest! {
        #[test]
        fn any_text_in_any_field_is_survived(field in 0usize..7, text in "\\PC{0,40}") {
            let names = ["group", "mode", "to", "nonce", "gas", "data", "signature"];
            let _ = written(|given| given[names[field]] = json!(text));
        }
    }
}
