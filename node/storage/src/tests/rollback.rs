//! After a roll-back the tables are what they were, and the chain goes on from there.

use super::chain::{Chain, simple_model};
use super::history::{apply, assert_reads_as, operation};
use super::pruning::entries;
use crate::database::Entry;
use crate::schema::Table;
use crate::{OpenOptions, StorageError, Store, StoreSize, SyncMode};
use medina_types::Height;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// All rows but codes, which stay, and the consensus record, which goes.
fn rows(store: &Store) -> Vec<(&'static str, Vec<Entry>)> {
    let kept = |table: &Table| !matches!(table, Table::Codes | Table::Consensus);
    let tables = Table::of(&StoreSize::Node).iter().copied().filter(kept);
    tables
        .map(|table| (table.name(), entries(store, table)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_table_is_as_it_was_and_other_blocks_can_follow(
        before in proptest::collection::vec(proptest::collection::vec(operation(), 0..8), 0..6),
        after in proptest::collection::vec(proptest::collection::vec(operation(), 0..8), 1..6),
        instead in proptest::collection::vec(operation(), 0..8),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut chain = Chain::create(folder.path(), simple_model(5, 10));
        let extend = |chain: &mut Chain, operations: &[_]| {
            let (mut model, mut wiped) = (chain.models.last().unwrap().clone(), BTreeSet::new());
            for operation in operations {
                apply(&mut model, &mut wiped, operation);
            }
            chain.extend(model, &wiped, SyncMode::Deferred);
        };
        for operations in &before {
            extend(&mut chain, operations);
        }
        let (head, expected) = (chain.store.head(), rows(&chain.store));
        for operations in &after {
            extend(&mut chain, operations);
        }
        chain.store.put_consensus_record(b"votes for later blocks").unwrap();

        chain.store.roll_back(head.height).unwrap();
        prop_assert_eq!(chain.store.head(), head.clone());
        prop_assert_eq!(rows(&chain.store), expected);
        prop_assert_eq!(chain.store.consensus_record().unwrap(), None);
        chain.models.truncate(before.len() + 1);
        assert_reads_as(&chain.store.state(), chain.models.last().unwrap()).unwrap();
        // The commit compares the root with the model's full build.
        extend(&mut chain, &instead);
        let Chain { store, models } = chain;
        drop(store);
        let store = Store::open(folder.path(), OpenOptions::default()).unwrap();
        prop_assert_eq!(store.head().header.parent_hash, head.hash);
        for (height, model) in (0..).map(Height).zip(&models) {
            assert_reads_as(&store.state_at(height).unwrap(), model).unwrap();
        }
    }
}

#[test]
fn nothing_can_be_rolled_back_to_the_future() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::create(folder.path(), simple_model(2, 10));
    let refused = chain.store.roll_back(Height(1)).unwrap_err();
    assert!(
        matches!(refused, StorageError::UnknownHeight { .. }),
        "{refused}"
    );
}
