//! A chain of one test case: our executor and our store in a folder of its own.
//!
//! Consensus is out of the picture, so the tests' side chains are too: to build
//! on another block than the head, the chain is made again up to that block.

use crate::{
    Reasons, exceptions,
    fixture::{Accounts, Fixture, NamedAccount, PostState, first_state},
    folder::Place,
};
use alloy_consensus::{Transaction as _, proofs::calculate_transaction_root};
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use alloy_primitives::{Address, B256, U256};
use alloy_rlp::Decodable as _;
use medina_execution::Executor;
use medina_storage::{BlockCommit, GenesisState, OpenOptions, StateReader, Store, SyncMode};
use medina_types::{
    Block, Certificate, ChainSpec, ConsensusParameters, ForkSchedule, GasCreditParameters,
    GasPolicy, HeaderRules, HeightContext, NodeSecretKey, PermissionMode, Round, SealedBlock,
    Validator, ValidatorSet,
};
use std::{collections::BTreeMap, sync::Arc};
use tempfile::TempDir;

/// Cache of a store that lives for a second.
const BLOCK_CACHE_BYTES: usize = 1 << 20;

pub(crate) struct Chain {
    spec: Arc<ChainSpec>,
    pre: Accounts,
    executor: Executor,
    store: Store,
    /// Blocks that were valid, by hash.
    accepted: BTreeMap<B256, SealedBlock>,
    place: Place,
    /// Behind the store, which must be closed first.
    _folder: TempDir,
}

impl Chain {
    pub(crate) fn new(
        fixture: &Fixture,
        forks: ForkSchedule,
        place: Place,
    ) -> Result<Self, String> {
        let spec = Arc::new(spec(fixture, forks));
        let executor =
            Executor::new(Arc::clone(&spec)).with_storage_without_code(storage_alone(&fixture.pre));
        let (store, folder) = open(&spec, &fixture.pre, place)?;
        Ok(Self {
            spec,
            pre: fixture.pre.clone(),
            executor,
            store,
            accepted: BTreeMap::new(),
            place,
            _folder: folder,
        })
    }

    /// Imports a block that must be valid.
    pub(crate) fn import(&mut self, encoded: &[u8], expected: Option<B256>) -> Result<(), String> {
        let block = decode(encoded)?;
        if let Some(expected) = expected.filter(|expected| *expected != block.hash()) {
            return Err(format!("hash {}, expected {expected}", block.hash()));
        }
        if self.accepted.contains_key(&block.hash()) {
            return Ok(());
        }
        self.stand_on(block.header().parent_hash)?;
        self.commit(&block)?;
        self.accepted.insert(block.hash(), block);
        Ok(())
    }

    /// Gives a block that must be refused, and answers all words of our refusal.
    pub(crate) fn refusal(&mut self, encoded: &[u8]) -> Result<Vec<String>, String> {
        let block = match decode(encoded) {
            Err(reason) => return Ok(vec![reason]),
            Ok(block) => block,
        };
        self.stand_on(block.header().parent_hash)?;
        let head = self.store.head();
        let refusal = |block: &SealedBlock| {
            let refused = self.executor.validate(&self.store, &head, block, |_| None);
            refused.err().map(|error| error.to_string())
        };
        let Some(first) = refusal(&block) else {
            return Err("the block was taken".to_owned());
        };
        let mut words = vec![first];
        words.extend(refusal(&with_its_own_header(&block)));
        Ok(words)
    }

    /// Compares the end with what the case expects.
    pub(crate) fn check_end(&mut self, fixture: &Fixture) -> Result<(), String> {
        let expected = fixture.last_block_hash;
        // Which of two valid branches is the head is consensus's decision, not import's.
        self.stand_on(expected)?;
        let head = self.store.head();
        if head.hash != expected {
            return Err(format!("head {}, expected {expected}", head.hash));
        }
        let root = head.header.state_root;
        match &fixture.post_state {
            PostState::Accounts(accounts) => self.check_accounts(accounts),
            PostState::Root(expected) if *expected != root => {
                Err(format!("state root {root}, expected {expected}"))
            }
            PostState::Root(_) | PostState::Unsaid => Ok(()),
        }
    }

    fn check_accounts(&self, expected: &Accounts) -> Result<(), String> {
        let state = self.store.state();
        for (address, account) in expected {
            check_account(&state, *address, account)
                .map_err(|difference| format!("account {address}: {difference}"))?;
        }
        let listed = self
            .pre
            .keys()
            .filter(|address| !expected.contains_key(*address));
        for address in listed {
            if read(state.account(*address))?.is_some() {
                return Err(format!("account {address} should not exist"));
            }
        }
        Ok(())
    }

    fn commit(&self, block: &SealedBlock) -> Result<(), String> {
        let head = self.store.head();
        let executed = self
            .executor
            .validate(&self.store, &head, block, |_| None)
            .map_err(|error| error.to_string())?;
        let commit = BlockCommit {
            block: &executed.block,
            receipts: &executed.receipts,
            changes: &executed.changes,
            root: executed.root,
            certificate: &Certificate::new(Round::ZERO, []),
            context: &head.context,
            consensus_record: None,
            sync: SyncMode::Deferred,
        };
        self.store.commit(commit).map_err(|error| error.to_string())
    }

    /// Makes a valid block the head; a block that is not known changes nothing.
    fn stand_on(&mut self, wanted: B256) -> Result<(), String> {
        if self.store.head().hash == wanted {
            return Ok(());
        }
        let mut branch = Vec::new();
        let mut at = wanted;
        while at != self.spec.genesis_hash {
            let Some(block) = self.accepted.get(&at) else {
                return Ok(());
            };
            at = block.header().parent_hash;
            branch.push(block.clone());
        }
        (self.store, self._folder) = open(&self.spec, &self.pre, self.place)?;
        for block in branch.iter().rev() {
            self.commit(block)?;
        }
        Ok(())
    }
}

/// Notes where the words of a refusal say none of the reasons that the suite names.
pub(crate) fn compare_reasons(expected: &str, words: &[String], reasons: &mut Reasons) {
    let names = || expected.split('|').map(str::trim);
    let says = |our: &&str| words.iter().any(|word| word.contains(our));
    let mut ours = names().filter_map(exceptions::our_words).flatten();
    if ours.any(says) {
        return;
    }
    let unknown = names().filter(|name| exceptions::our_words(name).is_none());
    let before = reasons.unknown.len();
    reasons.unknown.extend(unknown.map(str::to_owned));
    if reasons.unknown.len() == before {
        let words = words.join("; and as: ");
        reasons
            .other
            .push(format!("{expected} was refused as: {words}"));
    }
}

/// Bytes of the largest block: EIP-7934 bounds them from Osaka on alone, and import
/// checks that by fork.
const BLOCK_BYTES_MAX: usize = 256 << 20;

fn decode(encoded: &[u8]) -> Result<SealedBlock, String> {
    if encoded.len() > BLOCK_BYTES_MAX {
        return Err(format!("a block of {} bytes", encoded.len()));
    }
    let mut rest = encoded;
    let block = Block::decode(&mut rest).map_err(|error| format!("malformed block: {error}"))?;
    if !rest.is_empty() {
        return Err(format!("malformed block: {} bytes behind it", rest.len()));
    }
    Ok(SealedBlock::new(block))
}

fn open(spec: &ChainSpec, pre: &Accounts, place: Place) -> Result<(Store, TempDir), String> {
    let folder = place.folder()?;
    let options = OpenOptions {
        block_cache_bytes: BLOCK_CACHE_BYTES,
        ..OpenOptions::default()
    };
    let store = Store::open(folder.path(), options).map_err(|error| error.to_string())?;
    let genesis = GenesisState {
        header: spec.genesis_header.clone(),
        state: first_state(pre),
        context: HeightContext::genesis(spec.validators.clone()),
    };
    store
        .initialize_genesis(&genesis)
        .map_err(|error| format!("genesis: {error}"))?;
    Ok((store, folder))
}

fn spec(fixture: &Fixture, forks: ForkSchedule) -> ChainSpec {
    let validator = Validator {
        key: NodeSecretKey::from_bytes([1; 32]).public_key(),
        operator: Address::ZERO,
    };
    let genesis = &fixture.genesis;
    ChainSpec {
        name: "public tests".into(),
        chain_id: fixture.chain_id,
        genesis_header: genesis.header().clone(),
        genesis_hash: genesis.hash(),
        header_rules: HeaderRules::Ethereum,
        forks,
        consensus: ConsensusParameters::default(),
        gas_limit: genesis.header().gas_limit,
        gas_policy: GasPolicy::Free(GasCreditParameters {
            capacity_gas: 1,
            refill_gas_per_s: 1,
            shared_capacity_gas: 1,
            shared_refill_gas_per_s: 1,
        }),
        block_reward: U256::ZERO,
        permissions: PermissionMode::Open,
        permission_lists: Default::default(),
        validators: ValidatorSet::new(vec![validator]).expect("one validator is a set"),
        contracts: BTreeMap::new(),
    }
}

/// Accounts that a genesis gives storage but neither code nor nonce, with one
/// of their slots each: EIP-7610 lets nobody create a contract there.
fn storage_alone(pre: &Accounts) -> BTreeMap<Address, U256> {
    let bare = pre
        .iter()
        .filter(|(_, account)| account.nonce == 0 && account.code.is_empty());
    bare.filter_map(|(address, account)| Some((*address, *account.storage.keys().next()?)))
        .collect()
}

/// The suite leaves a refused transaction out of the header that it stays in
/// the body of. Its own reason shows once the header names it.
fn with_its_own_header(block: &SealedBlock) -> SealedBlock {
    let mut block = block.block().clone();
    let transactions = &block.body.transactions;
    block.header.transactions_root = calculate_transaction_root(transactions);
    if block.header.blob_gas_used.is_some() {
        let blobs = transactions
            .iter()
            .filter_map(|one| one.blob_versioned_hashes())
            .flatten();
        block.header.blob_gas_used = Some(blobs.count() as u64 * DATA_GAS_PER_BLOB);
    }
    SealedBlock::new(block)
}

fn check_account(
    state: &dyn StateReader,
    address: Address,
    expected: &NamedAccount,
) -> Result<(), String> {
    let Some(found) = read(state.account(address))? else {
        return Err("does not exist".to_owned());
    };
    let named = expected.state();
    if found != named {
        return Err(format!("{found:?}, expected {named:?}"));
    }
    if !expected.code.is_empty() {
        let code = read(state.code(named.code_hash))?.unwrap_or_default();
        if code != expected.code {
            return Err(format!("code {code}, expected {}", expected.code));
        }
    }
    for (key, value) in &expected.storage {
        let found = read(state.slot(address, *key))?;
        if found != *value {
            return Err(format!("slot {key:#x} is {found:#x}, expected {value:#x}"));
        }
    }
    Ok(())
}

fn read<T>(answer: Result<T, medina_storage::StorageError>) -> Result<T, String> {
    answer.map_err(|error| error.to_string())
}
