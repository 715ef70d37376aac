//! A chain of made-up blocks beside a plain model of its state.

use crate::{BlockCommit, GenesisState, OpenOptions, StorageError, Store, SyncMode};
use alloy_consensus::{Header, SignableTransaction, TxLegacy, TxType};
use alloy_primitives::{Address, B256, Bytes, Log, Signature, U256};
use alloy_trie::TrieAccount;
use alloy_trie::root::{state_root_unhashed, storage_root_unhashed};
use medina_types::{
    AccountChange, AccountState, Block, Certificate, HeightContext, NodePublicKey, Receipt,
    RecoveredBlock, Round, SealedBlock, StateChanges, StorageChange, Transaction, Validator,
    ValidatorSet,
};
use std::{collections::BTreeMap, path::Path};

/// An account of the model with its slots; zero slots are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ModelAccount {
    pub(super) state: AccountState,
    pub(super) slots: BTreeMap<U256, U256>,
}

impl ModelAccount {
    pub(super) fn trie_account(&self) -> TrieAccount {
        let AccountState {
            nonce,
            balance,
            code_hash,
        } = self.state;
        TrieAccount::new(nonce, balance, self.storage_root(), code_hash)
    }

    pub(super) fn storage_root(&self) -> B256 {
        storage_root_unhashed(
            self.slots
                .iter()
                .map(|(slot, value)| (B256::from(*slot), *value)),
        )
    }
}

/// The whole state at one block.
pub(super) type Model = BTreeMap<Address, ModelAccount>;

pub(super) fn root_of(model: &Model) -> B256 {
    state_root_unhashed(
        model
            .iter()
            .map(|(address, account)| (*address, account.trie_account())),
    )
}

/// The changes that lead from one model to another. `wiped` accounts lose all
/// slots first.
pub(super) fn changes(
    before: &Model,
    after: &Model,
    wiped: &std::collections::BTreeSet<Address>,
) -> StateChanges {
    let addresses: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut changes = StateChanges::default();
    for address in addresses {
        let (old, new) = (before.get(address), after.get(address));
        if old == new && !wiped.contains(address) {
            continue;
        }
        let storage_wiped = wiped.contains(address);
        let change = AccountChange {
            before: old.map(|account| account.state),
            after: new.map(|account| account.state),
            storage_wiped,
            storage: slot_changes(old.filter(|_| !storage_wiped), new),
        };
        changes.accounts.insert(*address, change);
    }
    changes
}

fn slot_changes(
    old: Option<&ModelAccount>,
    new: Option<&ModelAccount>,
) -> BTreeMap<U256, StorageChange> {
    let empty = BTreeMap::new();
    let (old, new) = (
        old.map_or(&empty, |a| &a.slots),
        new.map_or(&empty, |a| &a.slots),
    );
    let value = |slots: &BTreeMap<U256, U256>, slot| slots.get(slot).copied().unwrap_or_default();
    old.keys()
        .chain(new.keys())
        .map(|slot| {
            (
                *slot,
                StorageChange {
                    before: value(old, slot),
                    after: value(new, slot),
                },
            )
        })
        .filter(|(_, change)| change.before != change.after)
        .collect()
}

pub(super) fn context() -> HeightContext {
    let validator = Validator {
        key: NodePublicKey([1; 32]),
        operator: Address::repeat_byte(0xaa),
    };
    HeightContext::genesis(ValidatorSet::new(vec![validator]).unwrap())
}

pub(super) fn genesis(model: &Model) -> GenesisState {
    GenesisState {
        header: Header {
            state_root: root_of(model),
            ..Header::default()
        },
        state: changes(&Model::new(), model, &Default::default()),
        context: context(),
    }
}

/// A store together with what it must hold: one model per block.
pub(super) struct Chain {
    pub(super) store: Store,
    pub(super) models: Vec<Model>,
}

/// A block ready to be committed, for tests that commit it themselves.
pub(super) struct Prepared {
    pub(super) block: RecoveredBlock,
    pub(super) receipts: Vec<Receipt>,
    pub(super) changes: StateChanges,
}

pub(super) fn certificate(round: u32) -> Certificate {
    Certificate::new(Round(round), [])
}

impl Prepared {
    pub(super) fn commit(&self, store: &Store, sync: SyncMode) -> Result<(), StorageError> {
        store.commit(BlockCommit {
            block: &self.block,
            receipts: &self.receipts,
            root: store.state_root_after(&self.changes)?,
            changes: &self.changes,
            certificate: &certificate(u32::try_from(self.block.height().0).unwrap()),
            context: &context(),
            consensus_record: Some(self.block.height().0.to_be_bytes().to_vec()),
            sync,
        })
    }
}

/// The transactions of block `height`, one or two of them, and their receipts.
fn transactions(height: u64) -> (Vec<Transaction>, Vec<Receipt>) {
    (0..=height % 2)
        .map(|index| {
            let unsigned = TxLegacy {
                nonce: height * 2 + index,
                ..TxLegacy::default()
            };
            let transaction = unsigned.into_signed(Signature::test_signature()).into();
            let topics = vec![B256::repeat_byte(1); 2];
            let data = Bytes::from(height.to_be_bytes().to_vec());
            let receipt = Receipt {
                tx_type: TxType::Legacy,
                success: index == 0,
                cumulative_gas_used: 21_000 * (index + 1),
                logs: vec![Log::new_unchecked(Address::repeat_byte(9), topics, data)],
            };
            (transaction, receipt)
        })
        .unzip()
}

impl Chain {
    pub(super) fn create(path: &Path, model: Model) -> Self {
        let store = Store::open(path, OpenOptions::default()).unwrap();
        store.initialize_genesis(&genesis(&model)).unwrap();
        Self {
            store,
            models: vec![model],
        }
    }

    /// A block with these changes and this state root on top of the head.
    pub(super) fn prepare(&self, changes: StateChanges, state_root: B256) -> Prepared {
        let head = self.store.head();
        let number = head.height.0 + 1;
        let (transactions, receipts) = transactions(number);
        let header = Header {
            number,
            parent_hash: head.hash,
            state_root,
            ..Header::default()
        };
        let senders = vec![Address::repeat_byte(7); transactions.len()];
        let body = alloy_consensus::BlockBody {
            transactions,
            ..Default::default()
        };
        let sealed = SealedBlock::new(Block::new(header, body));
        Prepared {
            block: RecoveredBlock::new_unchecked(sealed, senders),
            receipts,
            changes,
        }
    }

    /// Commits a block that leads to `model`.
    pub(super) fn extend(
        &mut self,
        model: Model,
        wiped: &std::collections::BTreeSet<Address>,
        sync: SyncMode,
    ) {
        let changes = changes(self.models.last().unwrap(), &model, wiped);
        let prepared = self.prepare(changes, root_of(&model));
        prepared.commit(&self.store, sync).unwrap();
        self.models.push(model);
    }
}

/// A model in which `accounts` accounts hold `balance` each.
pub(super) fn simple_model(accounts: u8, balance: u64) -> Model {
    (1..=accounts)
        .map(|index| {
            let state = AccountState {
                nonce: 1,
                balance: U256::from(balance),
                ..AccountState::default()
            };
            let slots = [(U256::from(index), U256::from(balance + 1))].into();
            (Address::repeat_byte(index), ModelAccount { state, slots })
        })
        .collect()
}
