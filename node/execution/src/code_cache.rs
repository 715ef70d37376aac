//! Codes with their jump tables, so that a contract is analysed once and not per block.

use alloy_primitives::{B256, map::B256Map};
use medina_types::limits;
use revm::bytecode::Bytecode;
use std::sync::{Mutex, PoisonError};

/// Analysed codes by hash, at most [`limits::CODE_CACHE_ENTRIES_MAX`]; when
/// full it starts anew, which costs one analysis per contract in use.
#[derive(Debug, Default)]
pub struct CodeCache(Mutex<B256Map<Bytecode>>);

impl CodeCache {
    /// The code, if it is here.
    #[must_use]
    pub fn get(&self, hash: &B256) -> Option<Bytecode> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(hash)
            .cloned()
    }

    /// Keeps a code.
    pub fn insert(&self, hash: B256, code: Bytecode) {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if codes.len() >= limits::CODE_CACHE_ENTRIES_MAX {
            codes.clear();
        }
        codes.insert(hash, code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_never_grows_past_its_bound() {
        let cache = CodeCache::default();
        for number in 0..2 * limits::CODE_CACHE_ENTRIES_MAX {
            cache.insert(
                B256::left_padding_from(&number.to_be_bytes()),
                Bytecode::default(),
            );
        }
        let held = cache.0.lock().unwrap().len();
        assert!(held <= limits::CODE_CACHE_ENTRIES_MAX, "{held} held");
    }
}
