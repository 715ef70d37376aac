//! BIP-39 phrases and the accounts they stand for (m/44'/60'/0'/0/i).

use std::fmt;

use alloy_signer_local::MnemonicBuilder;
use alloy_signer_local::coins_bip39::{English, Entropy, Mnemonic as Words};
use zeroize::Zeroizing;

use super::{Account, WalletError};

/// The phrase whose accounts every local test chain funds. It is public: never use it for money.
pub const TEST_MNEMONIC: &str = "test test test test test test test test test test test junk";

/// Hardened indices begin here (BIP-32).
const INDEX_LIMIT: u32 = 1 << 31;

/// A phrase. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Mnemonic {
    phrase: Zeroizing<String>,
}

impl Mnemonic {
    /// A new phrase of 12, 15, 18, 21 or 24 words.
    pub fn random(word_count: usize) -> Result<Self, WalletError> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| WalletError::NoRandomness)?;
        let length = match word_count {
            12 | 15 | 18 | 21 | 24 => word_count / 3 * 4,
            other => return Err(WalletError::BadWordCount(other)),
        };
        let entropy = Entropy::try_from(&bytes[..length])
            .map_err(|_| WalletError::BadWordCount(word_count))?;
        let phrase = Zeroizing::new(Words::<English>::new_from_entropy(entropy).to_phrase());
        Ok(Self { phrase })
    }

    /// Reads a phrase; extra spaces do not matter.
    pub fn parse(phrase: &str) -> Result<Self, WalletError> {
        let words = phrase.split_whitespace().collect::<Vec<_>>();
        let phrase = Zeroizing::new(words.join(" "));
        // The library's error repeats the phrase, so it goes no further.
        Words::<English>::new_from_phrase(&phrase).map_err(|_| WalletError::BadMnemonic)?;
        Ok(Self { phrase })
    }

    /// The words, to be written down by their owner.
    pub fn phrase(&self) -> &str {
        &self.phrase
    }

    /// Account `index` of the phrase.
    pub fn account(&self, index: u32) -> Result<Account, WalletError> {
        if index >= INDEX_LIMIT {
            return Err(WalletError::BadIndex(index));
        }
        let signer = MnemonicBuilder::<English>::try_from_phrase_nth(self.phrase.as_str(), index)
            .map_err(|_| WalletError::BadMnemonic)?;
        Ok(Account::from_signer(signer))
    }
}

impl fmt::Debug for Mnemonic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Mnemonic(hidden)")
    }
}
