//! Groups above a small chain: members sign, markers are made up, items applied.

use super::{CHAIN_ID, Chain, Send, account, free};
use alloy_primitives::{Address, B256, Bytes, TxKind, hex};
use alloy_signer::SignerSync;
use medina_execution::CallEnvironment;
use medina_execution::private::{
    Applied, CompatCall, GroupOpening, GroupStore, GroupStores, Position, PrivateCommand,
    PrivateError, PrivateExecutor, PrivateInput, PrivateItem, PrivateReceipt, PrivateRules,
    PublicBlock, RootClaim,
};
use medina_storage::SyncMode;
use medina_types::{
    Height, MARKER_ADDRESS, Marker, PrivacyMode, PrivateTransaction, RecoveredTransaction,
    SignedPrivateTransaction, Transaction,
};
use std::sync::Arc;

/// Answers slot 0 to an empty call, sets it to the word of any other.
pub(crate) const BOX: [u8; 17] = hex!("36600c575f545f5260205ff35b5f355f55");
/// Asks the contract in the first word and keeps its answer in slot 0.
pub(crate) const COPIER: [u8; 15] = hex!("60205f5f5f5f355afa505f515f5500");
/// Calls the contract in the first word with the second.
pub(crate) const FORWARDER: [u8; 16] = hex!("6020355f525f5f60205f5f5f355af100");
/// Creates a contract from the input and keeps its address in slot 0.
pub(crate) const FACTORY: [u8; 11] = hex!("365f5f37365f5ff05f5500");
/// Keeps number, time, randomness and beneficiary in the slots 0 to 3.
pub(crate) const ENVIRONMENT: [u8; 15] = hex!("435f55426001554460025541600355");
/// Keeps the balance of the address in the first word in slot 0.
pub(crate) const BALANCE: [u8; 6] = hex!("5f35315f5500");

pub(crate) const GROUP: B256 = B256::repeat_byte(0x11);
pub(crate) const GAS: u64 = 1_000_000;

/// A word that names an address.
pub(crate) fn word(address: Address) -> Bytes {
    address.into_word().into()
}

pub(crate) fn words(first: Address, second: u64) -> Bytes {
    let second: B256 = alloy_primitives::U256::from(second).into();
    [first.into_word(), second].concat().into()
}

/// A public chain and the groups of one node.
pub(crate) struct World {
    pub(crate) chain: Chain,
    pub(crate) stores: GroupStores,
    folder: Option<tempfile::TempDir>,
}

/// What tests vary of a private transaction.
#[derive(Clone, Debug)]
pub(crate) struct Inner {
    pub(crate) from: u8,
    pub(crate) nonce: u64,
    pub(crate) kind: TxKind,
    pub(crate) data: Bytes,
    pub(crate) gas: u64,
    pub(crate) group: B256,
    pub(crate) mode: PrivacyMode,
    pub(crate) chain_id: u64,
}

impl Inner {
    pub(crate) fn call(from: u8, nonce: u64, to: Address, data: impl Into<Bytes>) -> Self {
        Self {
            from,
            nonce,
            kind: TxKind::Call(to),
            data: data.into(),
            gas: GAS,
            group: GROUP,
            mode: PrivacyMode::Standard,
            chain_id: CHAIN_ID,
        }
    }

    pub(crate) fn create(from: u8, nonce: u64, runtime: &[u8]) -> Self {
        Self {
            kind: TxKind::Create,
            data: super::init_code(runtime),
            ..Self::call(from, nonce, Address::ZERO, Bytes::new())
        }
    }

    pub(crate) fn signed(&self) -> SignedPrivateTransaction {
        let transaction = PrivateTransaction {
            group: self.group,
            mode: self.mode,
            kind: self.kind,
            nonce: self.nonce,
            gas: self.gas,
            data: self.data.clone(),
        };
        let hash = transaction.signing_hash(self.chain_id);
        let signature = account(self.from).sign_hash_sync(&hash).unwrap();
        transaction.into_signed(signature).unwrap()
    }

    pub(crate) fn input(&self) -> PrivateInput {
        PrivateInput::Execute {
            command: PrivateCommand::Native(Box::new(self.signed())),
            claim: None,
        }
    }

    pub(crate) fn claiming(&self, claim: RootClaim) -> PrivateInput {
        PrivateInput::Execute {
            command: PrivateCommand::Native(Box::new(self.signed())),
            claim: Some(claim),
        }
    }
}

pub(crate) fn compat(from: u8, nonce: u64, kind: TxKind, data: Bytes) -> PrivateInput {
    let call = CompatCall {
        sender: account(from).address(),
        nonce,
        kind,
        gas: GAS,
        data,
    };
    PrivateInput::Execute {
        command: PrivateCommand::Compat(call),
        claim: None,
    }
}

/// The marker with this number: a transaction nobody else sends.
pub(crate) fn marker_transaction(number: u64) -> (Marker, Transaction) {
    let digest = alloy_primitives::keccak256(number.to_be_bytes());
    let marker = Marker {
        digest,
        tag: B256::repeat_byte(0x99),
    };
    let send = Send {
        input: marker.input(),
        ..Send::new(4, number, MARKER_ADDRESS)
    };
    (marker, send.signed())
}

/// An item at an index of a block; `number` names its marker.
pub(crate) fn item(number: u64, index: u64, input: PrivateInput) -> PrivateItem {
    let (marker, transaction) = marker_transaction(number);
    PrivateItem {
        index,
        marker: RecoveredTransaction::recover(transaction).unwrap(),
        digest: marker.digest,
        input,
    }
}

pub(crate) fn rules(mode: PrivacyMode) -> PrivateRules {
    PrivateRules::new(GROUP, mode)
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut world = Self::in_folder(folder.path());
        world.folder = Some(folder);
        world
    }

    pub(crate) fn in_folder(folder: &std::path::Path) -> Self {
        let chain = Chain::new(free());
        let stores = open_stores(&chain, folder);
        Self {
            chain,
            stores,
            folder: None,
        }
    }

    /// Another node of the same chain.
    pub(crate) fn another_node(&self) -> (GroupStores, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (open_stores(&self.chain, folder.path()), folder)
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.as_ref().expect("it has one of its own").path()
    }

    pub(crate) fn store(&self) -> Arc<GroupStore> {
        let base = Position::start_of(Height(1));
        self.stores.get_or_create(GROUP, base).unwrap()
    }

    pub(crate) fn executor(&self) -> PrivateExecutor {
        self.executor_of(rules(PrivacyMode::Standard))
    }

    pub(crate) fn executor_of(&self, rules: PrivateRules) -> PrivateExecutor {
        PrivateExecutor::new(&self.chain.executor, rules)
    }

    /// Applies items in a public block that is there, up to a position.
    pub(crate) fn apply_to(
        &self,
        (store, executor): (&GroupStore, &PrivateExecutor),
        block: u64,
        items: &[PrivateItem],
        next: Position,
    ) -> Result<Applied, PrivateError> {
        let header = self.chain.store.header_by_number(Height(block));
        let header = header.unwrap().expect("the public block is there");
        let before = self.chain.store.state_at(Height(block - 1)).unwrap();
        let public = PublicBlock {
            hash: header.hash_slow(),
            header: &header,
            state_before: &before,
            environment: CallEnvironment::of_header(&header),
        };
        store.apply(executor, &public, items, next, SyncMode::Deferred)
    }

    /// Adds an empty public block and applies private transactions in it, in order.
    pub(crate) fn run(
        &self,
        inputs: impl IntoIterator<Item = PrivateInput>,
    ) -> Vec<PrivateReceipt> {
        self.run_beside(&[], inputs)
    }

    /// The same in a block with public transactions.
    pub(crate) fn run_beside(
        &self,
        public: &[Transaction],
        inputs: impl IntoIterator<Item = PrivateInput>,
    ) -> Vec<PrivateReceipt> {
        self.chain.advance(public);
        let block = self.chain.head().height;
        let items: Vec<_> = (0..)
            .zip(inputs)
            .map(|(index, input)| item(block.0 * 1_000 + index, index, input))
            .collect();
        let (store, executor) = (self.store(), self.executor());
        let next = Position::after(block);
        let applied = self.apply_to((&store, &executor), block.0, &items, next);
        let applied = applied.unwrap();
        assert_eq!(applied.position, next);
        applied.receipts
    }

    /// A slot of a private contract now.
    pub(crate) fn slot(&self, address: Address, slot: u64) -> alloy_primitives::U256 {
        use medina_storage::StateReader;
        let (store, slot) = (self.store(), alloy_primitives::U256::from(slot));
        let state = store.store().state();
        state.slot(address, slot).unwrap()
    }
}

fn open_stores(chain: &Chain, folder: &std::path::Path) -> GroupStores {
    let genesis = chain.executor.spec().genesis_hash;
    GroupStores::new(GroupOpening::new(folder, genesis)).unwrap()
}
