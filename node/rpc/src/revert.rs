//! What a reverted call said, in geth's words.

use alloy_primitives::U256;
use alloy_sol_types::{Panic, Revert, SolError};

/// Characters of a revert reason that are quoted; the data carries all of it.
const REASON_CHARACTERS_MAX: usize = 1_024;

/// `execution reverted`, with the reason where the output is Solidity's
/// `Error(string)` or `Panic(uint256)`.
pub(crate) fn revert_message(output: &[u8]) -> String {
    match reason(output) {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_owned(),
    }
}

fn reason(output: &[u8]) -> Option<String> {
    if let Ok(revert) = Revert::abi_decode(output) {
        return Some(revert.reason.chars().take(REASON_CHARACTERS_MAX).collect());
    }
    Panic::abi_decode(output)
        .ok()
        .map(|panic| panic_text(panic.code))
}

/// Solidity's panic codes, as geth spells them.
fn panic_text(code: U256) -> String {
    let text = match u8::try_from(code) {
        Ok(0x00) => "generic panic",
        Ok(0x01) => "assert(false)",
        Ok(0x11) => "arithmetic underflow or overflow",
        Ok(0x12) => "division or modulo by zero",
        Ok(0x21) => "enum overflow",
        Ok(0x22) => "invalid encoded storage byte array accessed",
        Ok(0x31) => "out-of-bounds array access; popping on an empty array",
        Ok(0x32) => "out-of-bounds access of an array or bytesN",
        Ok(0x41) => "out of memory",
        Ok(0x51) => "uninitialized function",
        _ => return format!("unknown panic code: {code:#x}"),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_panics_are_spelled_out() {
        let error = Revert::from("not the owner").abi_encode();
        assert_eq!(revert_message(&error), "execution reverted: not the owner");
        let panic = |code: u64| {
            Panic {
                code: U256::from(code),
            }
            .abi_encode()
        };
        assert_eq!(
            revert_message(&panic(1)),
            "execution reverted: assert(false)"
        );
        assert_eq!(
            revert_message(&panic(0x99)),
            "execution reverted: unknown panic code: 0x99"
        );
    }

    #[test]
    fn custom_errors_and_garbage_have_no_reason() {
        assert_eq!(revert_message(&[]), "execution reverted");
        assert_eq!(
            revert_message(&[0x12, 0x34, 0x56, 0x78]),
            "execution reverted"
        );
        let mut cut = Revert::from("cut").abi_encode();
        cut.truncate(40);
        assert_eq!(revert_message(&cut), "execution reverted");
    }
}
