//! The accounts of the standard test mnemonic, which every local chain has.

use alloy_primitives::{Address, B256};
use alloy_signer_local::{MnemonicBuilder, coins_bip39::English};

/// The phrase. Everybody knows it: nothing of value belongs to its accounts.
pub const TEST_MNEMONIC: &str = "test test test test test test test test test test test junk";

/// Accounts of the phrase that hold coins and tokens in a development genesis.
pub const TEST_ACCOUNTS: usize = 10;

/// An account whose key everybody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestAccount {
    /// Its address.
    pub address: Address,
    /// Its private key.
    pub private_key: B256,
}

/// Account m/44'/60'/0'/0/`index` of the phrase.
#[must_use]
pub fn test_account(index: u32) -> TestAccount {
    let signer = MnemonicBuilder::<English>::default()
        .phrase(TEST_MNEMONIC)
        .index(index)
        .and_then(|builder| builder.build())
        .expect("the standard phrase derives every index");
    TestAccount {
        address: signer.address(),
        private_key: signer.to_bytes(),
    }
}

/// Addresses of the first [`TEST_ACCOUNTS`] accounts.
#[must_use]
pub fn test_addresses() -> Vec<Address> {
    (0..)
        .take(TEST_ACCOUNTS)
        .map(|index| test_account(index).address)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{address, b256};

    #[test]
    fn first_account_is_the_one_every_tool_knows() {
        let account = test_account(0);
        assert_eq!(
            account.address,
            address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
        );
        let key = b256!("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
        assert_eq!(account.private_key, key);
        assert_eq!(test_addresses().len(), 10);
    }
}
