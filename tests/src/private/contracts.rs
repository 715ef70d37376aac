//! Contracts made by hand, small enough to be read.

use alloy_primitives::{Bytes, U256};

/// A counter: called without input it returns its number; with a word it adds the
/// word and logs it; with a zero word it reverts. What follows the word is ignored.
///
/// ```text
/// calldatasize PUSH add JUMPI  sload(0) return
/// add:  calldataload(0) DUP1 PUSH ok JUMPI  revert
/// ok:   sstore(0, sload(0) + word)  log1(word, topic 7)  stop
/// ```
#[must_use]
pub fn counter() -> Bytes {
    let init = "6030600c60003960306000f3";
    let read = "36600f5760005460005260206000f3";
    let word = "5b60003580601c5760006000fd";
    let add = "5b8060005401600055600052600760206000a100";
    code(&[init, read, word, add])
}

/// Logs whatever it is called with: who follows it has that on the disk in clear.
///
/// ```text
/// calldatacopy(0, 0, calldatasize)  log0(0, calldatasize)  stop
/// ```
#[must_use]
pub fn teller() -> Bytes {
    code(&["600b600c600039600b6000f3", "366000600037366000a000"])
}

/// Never ends by itself.
///
/// ```text
/// begin: PUSH begin JUMP
/// ```
#[must_use]
pub fn looper() -> Bytes {
    code(&["6004600c60003960046000f3", "5b600056"])
}

/// Input that adds a number to a counter, with something behind it that stays private.
#[must_use]
pub fn adding(number: u64, secret: &str) -> Bytes {
    let mut input = U256::from(number).to_be_bytes::<32>().to_vec();
    input.extend_from_slice(secret.as_bytes());
    input.into()
}

fn code(parts: &[&str]) -> Bytes {
    hex::decode(parts.concat())
        .expect("hexadecimal digits")
        .into()
}
