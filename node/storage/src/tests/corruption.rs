//! Damage behind RocksDB's checksums: every read ends in an error that names
//! the table, and none panics.

use super::chain::{Chain, simple_model};
use crate::schema::{Table, meta};
use crate::{OpenOptions, StateReader, StorageError, Store, StoreSize, SyncMode};
use alloy_primitives::{Address, U256};
use medina_types::Height;

/// Replaces every value of a table.
fn damage(store: &Store, table: Table, value: &[u8]) {
    let view = store.database().view();
    let mut batch = store.database().batch();
    for entry in view.scan(table, &[]) {
        batch.put(table, &entry.unwrap().0, value);
    }
    batch.write(SyncMode::Synced).unwrap();
}

fn read_everything(store: &Store) -> Vec<StorageError> {
    let (address, slot) = (Address::repeat_byte(1), U256::from(1));
    let hash = store.head().hash;
    let mut errors = Vec::new();
    for height in [0, 1, 2].map(Height) {
        let state = match store.state_at(height) {
            Ok(state) => state,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        errors.extend(state.account(address).err());
        errors.extend(state.slot(address, slot).err());
        errors.extend(store.block_by_number(height).err());
        errors.extend(store.receipts(height).err());
        errors.extend(store.certificate(height).err());
        errors.extend(store.context_at(height).err());
        errors.extend(store.proof_at(height, address, &[slot]).err());
    }
    let transactions = store.block_by_number(Height(1)).ok().flatten();
    for transaction in transactions
        .iter()
        .flat_map(|block| block.sealed.transactions())
    {
        errors.extend(store.transaction_location(*transaction.tx_hash()).err());
    }
    errors.extend(store.number_of_hash(hash).err());
    errors.extend(store.genesis_hash().err());
    errors
}

#[test]
fn damage_in_any_table_is_an_error_that_names_it() {
    // Code and consensus record are bytes without a form of their own.
    let formless = [Table::Codes, Table::Consensus];
    for table in Table::of(&StoreSize::Node)
        .iter()
        .copied()
        .filter(|table| !formless.contains(table))
    {
        let folder = tempfile::tempdir().unwrap();
        let mut chain = Chain::create(folder.path(), simple_model(20, 1));
        for balance in [2, 3] {
            chain.extend(
                simple_model(20, balance),
                &Default::default(),
                SyncMode::Deferred,
            );
        }
        damage(&chain.store, table, &[0xff; 40]);
        let errors = read_everything(&chain.store);
        let named = |error: &StorageError| {
            let kind = match table {
                // An old node is reported where the trie is.
                Table::AccountTrieHistory => Table::AccountTrie,
                Table::StorageTrieHistory => Table::StorageTrie,
                other => other,
            };
            matches!(error, StorageError::Corrupt { table, .. } if *table == kind.name())
        };
        assert!(errors.iter().any(named), "{}: {errors:?}", table.name());
    }
}

#[test]
fn head_that_does_not_fit_its_header_stops_the_opening() {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::create(folder.path(), simple_model(2, 1));
    chain.extend(simple_model(2, 2), &Default::default(), SyncMode::Synced);
    let stored = crate::encoding::StoredHead::new(Height(0), chain.store.head().hash);
    let mut batch = chain.store.database().batch();
    batch.put(Table::Meta, meta::HEAD, &crate::encoding::borsh(&stored));
    batch.write(SyncMode::Synced).unwrap();
    drop(chain);
    let error = Store::open(folder.path(), OpenOptions::default()).err();
    assert!(
        matches!(
            error,
            Some(StorageError::Corrupt {
                table: "headers",
                ..
            })
        ),
        "{error:?}"
    );
}
