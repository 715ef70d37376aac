//! The suites' names for reasons of refusal, in our words.
//!
//! Block import stops at the first rule that is broken, and other clients check
//! in another order; where one name stands for several rules, or a rule is
//! already broken by what the decoder sees, all of our words are listed.

/// What our refusal contains for a reason of this name, one of them at least;
/// `None`: the name is not known.
pub(crate) fn our_words(exception: &str) -> Option<&'static [&'static str]> {
    let name = exception
        .split_once('.')
        .map_or(exception, |(_, name)| name);
    if exception.starts_with("BlockException") {
        block_words(name)
    } else if exception.starts_with("TransactionException") {
        transaction_words(name)
    } else {
        None
    }
}

fn block_words(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "EXTRA_DATA_TOO_BIG" => &["extra data"],
        "GASLIMIT_TOO_BIG" | "INVALID_GASLIMIT" => &["gas limit", "malformed block"],
        "IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS" => &["difficulty"],
        "IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS" => &["ommers"],
        "INVALID_BASEFEE_PER_GAS" => &["base fee"],
        "INVALID_BLOCK_NUMBER" => &["number"],
        "INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT" => &["timestamp"],
        "INVALID_GAS_USED" | "GAS_USED_OVERFLOW" => &["gas used", "exceeds block gas limit"],
        "INVALID_LOG_BLOOM" => &["logs bloom"],
        "INVALID_RECEIPTS_ROOT" => &["receipts root"],
        "INVALID_STATE_ROOT" => &["state root"],
        "INVALID_TRANSACTIONS_ROOT" => &["transactions root"],
        "INVALID_WITHDRAWALS_ROOT" => &["withdrawals"],
        "INVALID_REQUESTS" => &["requests hash"],
        "UNKNOWN_PARENT" | "UNKNOWN_PARENT_ZERO" => &["parent hash"],
        "INCORRECT_BLOB_GAS_USED" => &["blob gas"],
        "BLOB_GAS_USED_ABOVE_LIMIT" => &["blob gas"],
        "INCORRECT_EXCESS_BLOB_GAS" => &["excess blob gas"],
        "RLP_BLOCK_LIMIT_EXCEEDED" => &["block size", "limit"],
        "SYSTEM_CONTRACT_EMPTY" => &["has no code"],
        "SYSTEM_CONTRACT_CALL_FAILED" => &["system contract"],
        "INVALID_DEPOSIT_EVENT_LAYOUT" => &["deposit log"],
        "RLP_STRUCTURES_ENCODING" | "RLP_WITHDRAWALS_NOT_READ" => {
            &["malformed block", "withdrawals"]
        }
        _ => return None,
    })
}

fn transaction_words(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "GAS_ALLOWANCE_EXCEEDED" => &["exceeds block gas limit"],
        "INITCODE_SIZE_EXCEEDED" => &["max initcode size exceeded"],
        "INSUFFICIENT_ACCOUNT_FUNDS" => &["insufficient funds"],
        "INSUFFICIENT_MAX_FEE_PER_GAS" => &["max fee per gas less than block base fee"],
        "INTRINSIC_GAS_TOO_LOW" => &["intrinsic gas too low", "floor data gas"],
        "INTRINSIC_GAS_BELOW_FLOOR_GAS_COST" => &["floor data gas", "intrinsic gas too low"],
        "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS" => {
            &["max priority fee per gas higher than max fee per gas"]
        }
        "SENDER_NOT_EOA" => &["sender not an eoa"],
        "NONCE_MISMATCH_TOO_LOW" => &["nonce too low"],
        "NONCE_MISMATCH_TOO_HIGH" => &["nonce too high"],
        "NONCE_IS_MAX" => &["nonce has max value"],
        "GAS_LIMIT_EXCEEDS_MAXIMUM" => &["gas limit too high"],
        "INVALID_CHAINID" => &["invalid chain id"],
        "TYPE_3_TX_BLOB_COUNT_EXCEEDED" | "TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED" => {
            &["blob gas", "too many blobs"]
        }
        "TYPE_3_TX_CONTRACT_CREATION" | "TYPE_4_TX_CONTRACT_CREATION" => &["malformed block"],
        "TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH" => &["blob version"],
        "TYPE_3_TX_ZERO_BLOBS" => &["empty blobs"],
        "TYPE_4_EMPTY_AUTHORIZATION_LIST" => &["authorization list"],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_belong_to_their_kind() {
        assert!(our_words("BlockException.INVALID_STATE_ROOT").is_some());
        assert!(our_words("TransactionException.SENDER_NOT_EOA").is_some());
        for unknown in [
            "BlockException.SENDER_NOT_EOA",
            "TransactionException.INVALID_STATE_ROOT",
            "INVALID_STATE_ROOT",
            "",
        ] {
            assert_eq!(our_words(unknown), None, "{unknown}");
        }
    }
}
