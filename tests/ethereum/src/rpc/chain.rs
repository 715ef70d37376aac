//! Imports the public chain: production executor, store and state root for every
//! block, the rules before Paris brought along.

use super::history::{History, schedule_of};
use crate::fixture::{Accounts, NamedAccount, first_state};
use alloy_consensus::{
    EMPTY_OMMER_ROOT_HASH, Eip658Value, Header,
    constants::EMPTY_ROOT_HASH,
    proofs::{calculate_ommers_root, calculate_receipt_root, calculate_transaction_root},
    transaction::SignerRecoverable,
};
use alloy_genesis::Genesis;
use alloy_primitives::{Address, B256, Bloom, U256};
use alloy_rlp::Decodable;
use medina_execution::{Executor, Replay, ReplayedBlock};
use medina_storage::{
    BlockCommit, GenesisState, Head, OpenOptions, StateRootUpdate, Store, SyncMode,
};
use medina_types::{
    Block, Certificate, ChainSpec, ConsensusParameters, GasPolicy, HeaderRules, HeightContext,
    MeteredGas, NodeSecretKey, PermissionMode, Receipt, RecoveredBlock, Round, SealedBlock,
    Validator, ValidatorSet,
};
use std::{collections::BTreeMap, path::Path, sync::Arc};
use tempfile::TempDir;

/// Bytes of a chain file; the public one has 70,000.
const CHAIN_BYTES_MAX: u64 = 256 << 20;
/// Base fee that London begins with (EIP-1559).
const FIRST_BASE_FEE: u64 = 1_000_000_000;

/// The chain, imported.
pub(super) struct RpcChain {
    pub(super) spec: Arc<ChainSpec>,
    pub(super) executor: Executor,
    pub(super) store: Store,
    /// State roots in place of statuses, by block and index.
    pub(super) receipt_roots: BTreeMap<u64, Vec<B256>>,
    /// Behind the store, which must be closed first.
    _folder: TempDir,
}

impl RpcChain {
    /// Makes the genesis and imports every block.
    pub(super) fn import(genesis: &Path, chain: &Path) -> Result<Self, String> {
        let genesis: Genesis = serde_json::from_slice(&read(genesis)?)
            .map_err(|error| format!("{}: {error}", genesis.display()))?;
        let bytes = read(chain)?;
        let mut imported = Self::at_genesis(&genesis)?;
        let history = Arc::new(History::of_config(&genesis.config));
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let block = Block::decode(&mut rest).map_err(|error| format!("chain: {error}"))?;
            let number = block.header.number;
            imported
                .add(SealedBlock::new(block), &history)
                .map_err(|reason| format!("block {number}: {reason}"))?;
        }
        imported.serve_at_head();
        Ok(imported)
    }

    fn at_genesis(genesis: &Genesis) -> Result<Self, String> {
        let spec = Arc::new(spec(genesis)?);
        let history = History::of_config(&genesis.config);
        let executor = Executor::new(spec.clone()).with_history(Arc::new(history));
        let folder = tempfile::tempdir().map_err(|error| format!("no folder: {error}"))?;
        let store = Store::open(folder.path(), OpenOptions::default());
        let store = store.map_err(|error| error.to_string())?;
        let state = GenesisState {
            header: spec.genesis_header.clone(),
            state: first_state(&accounts(genesis)),
            context: HeightContext::genesis(spec.validators.clone()),
        };
        store
            .initialize_genesis(&state)
            .map_err(|error| format!("genesis: {error}"))?;
        Ok(Self {
            spec,
            executor,
            store,
            receipt_roots: BTreeMap::new(),
            _folder: folder,
        })
    }

    /// The pool's gas limit is the head's: geth's miner would be at it, too.
    fn serve_at_head(&mut self) {
        let mut spec = (*self.spec).clone();
        spec.gas_limit = self.store.head().header.gas_limit;
        self.spec = Arc::new(spec);
    }

    fn add(&mut self, block: SealedBlock, history: &History) -> Result<(), String> {
        let head = self.store.head();
        if block.header().difficulty.is_zero() {
            let executed = self
                .executor
                .validate(&self.store, &head, &block, |_| None)
                .map_err(|error| error.to_string())?;
            return self.commit(
                &head,
                &executed.block,
                &executed.receipts,
                &executed.changes,
                executed.root,
            );
        }
        check_header_before_paris(&head, block.block())?;
        let block = recover(block)?;
        let state = self.store.state();
        let replay = self.executor.replay(&state, block.header());
        let mut replay = replay.map_err(|error| error.to_string())?;
        let mut roots = Vec::new();
        for (transaction, sender) in block.transactions() {
            let executed = replay.execute(transaction, sender);
            executed.map_err(|error| error.to_string())?;
            if history.has_roots_in_receipts(block.header().number) {
                roots.push(self.root_so_far(&replay)?);
            }
        }
        let ommers = &block.sealed.block().body.ommers;
        let executed = replay
            .finish(&[], ommers)
            .map_err(|error| error.to_string())?;
        check_execution_before_paris(block.header(), &executed, &roots)?;
        let root = self.store.state_root_after(&executed.changes);
        let root = root.map_err(|error| error.to_string())?;
        if !roots.is_empty() {
            self.receipt_roots.insert(block.header().number, roots);
        }
        self.commit(&head, &block, &executed.receipts, &executed.changes, root)
    }

    fn root_so_far(&self, replay: &Replay<'_>) -> Result<B256, String> {
        let changes = replay.changes().map_err(|error| error.to_string())?;
        let root = self.store.state_root_after(&changes);
        Ok(root.map_err(|error| error.to_string())?.root)
    }

    /// The store compares the state root with the header's.
    fn commit(
        &self,
        head: &Head,
        block: &RecoveredBlock,
        receipts: &[Receipt],
        changes: &medina_types::StateChanges,
        root: StateRootUpdate,
    ) -> Result<(), String> {
        let commit = BlockCommit {
            block,
            receipts,
            changes,
            root,
            certificate: &Certificate::new(Round::ZERO, []),
            context: &head.context,
            consensus_record: None,
            sync: SyncMode::Deferred,
        };
        self.store.commit(commit).map_err(|error| error.to_string())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > CHAIN_BYTES_MAX {
        let max = CHAIN_BYTES_MAX;
        return Err(format!("{}: {bytes} bytes, at most {max}", path.display()));
    }
    std::fs::read(path).map_err(failed)
}

fn accounts(genesis: &Genesis) -> Accounts {
    let named = genesis.alloc.iter().map(|(address, account)| {
        let storage = account.storage.iter().flatten();
        let storage = storage.map(|(key, value)| ((*key).into(), (*value).into()));
        let account = NamedAccount {
            nonce: account.nonce.unwrap_or(0),
            balance: account.balance,
            code: account.code.clone().unwrap_or_default(),
            storage: storage.filter(|(_, value)| *value != U256::ZERO).collect(),
        };
        (*address, account)
    });
    named.collect()
}

fn genesis_header(genesis: &Genesis) -> Header {
    Header {
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: genesis.coinbase,
        state_root: alloy_trie::root::state_root_unhashed(genesis.alloc.clone()),
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        logs_bloom: Bloom::ZERO,
        difficulty: genesis.difficulty,
        gas_limit: genesis.gas_limit,
        timestamp: genesis.timestamp,
        extra_data: genesis.extra_data.clone(),
        mix_hash: genesis.mix_hash,
        nonce: genesis.nonce.to_be_bytes().into(),
        ..Header::default()
    }
}

fn spec(genesis: &Genesis) -> Result<ChainSpec, String> {
    let genesis_header = genesis_header(genesis);
    let validator = Validator {
        key: NodeSecretKey::from_bytes([1; 32]).public_key(),
        operator: Address::ZERO,
    };
    let forks = schedule_of(&genesis.config).map_err(|error| error.to_string())?;
    Ok(ChainSpec {
        name: "public JSON-RPC cases".into(),
        chain_id: genesis.config.chain_id,
        genesis_hash: genesis_header.hash_slow(),
        gas_limit: genesis_header.gas_limit,
        genesis_header,
        header_rules: HeaderRules::Ethereum,
        forks,
        consensus: ConsensusParameters::default(),
        gas_policy: GasPolicy::Metered(MeteredGas {
            initial_base_fee: FIRST_BASE_FEE,
            treasury: Address::ZERO,
            treasury_share_bps: 0,
        }),
        block_reward: U256::ZERO,
        permissions: PermissionMode::Open,
        permission_lists: Default::default(),
        validators: ValidatorSet::new(vec![validator]).expect("one validator is a set"),
        contracts: BTreeMap::new(),
    })
}

fn recover(block: SealedBlock) -> Result<RecoveredBlock, String> {
    let senders = block.transactions().iter().map(|one| one.recover_signer());
    let senders: Result<Vec<_>, _> = senders.collect();
    let senders = senders.map_err(|_| "a transaction without a signature".to_owned())?;
    Ok(RecoveredBlock::new_unchecked(block, senders))
}

/// What a header before Paris must say of its parent. The work itself is not
/// checked, since the public chain has none.
fn check_header_before_paris(head: &Head, block: &Block) -> Result<(), String> {
    let (parent, header) = (&head.header, &block.header);
    if header.parent_hash != head.hash || header.number != parent.number + 1 {
        return Err("does not follow the block before it".to_owned());
    }
    if header.timestamp <= parent.timestamp {
        return Err("is not later than the block before it".to_owned());
    }
    if header.ommers_hash != calculate_ommers_root(&block.body.ommers) {
        return Err("does not have the ommers that its header names".to_owned());
    }
    if header.transactions_root != calculate_transaction_root(&block.body.transactions) {
        return Err("does not have the transactions that its header names".to_owned());
    }
    Ok(())
}

fn check_execution_before_paris(
    header: &Header,
    executed: &ReplayedBlock,
    roots: &[B256],
) -> Result<(), String> {
    let receipts_root = match roots {
        [] => executed.receipts_root,
        roots => receipts_root_with_roots(&executed.receipts, roots),
    };
    let found = (executed.gas_used, receipts_root, executed.logs_bloom);
    let said = (header.gas_used, header.receipts_root, header.logs_bloom);
    if found == said {
        return Ok(());
    }
    Err(format!(
        "gas, receipts and bloom are {found:?}, the header says {said:?}"
    ))
}

fn receipts_root_with_roots(receipts: &[Receipt], roots: &[B256]) -> B256 {
    let with_roots = receipts.iter().zip(roots).map(|(receipt, root)| {
        let receipt = alloy_consensus::Receipt {
            status: Eip658Value::PostState(*root),
            cumulative_gas_used: receipt.cumulative_gas_used,
            logs: receipt.logs.clone(),
        };
        alloy_consensus::ReceiptEnvelope::Legacy(receipt.with_bloom())
    });
    calculate_receipt_root(&with_roots.collect::<Vec<_>>())
}
