//! Public blockchain tests through our own executor, store and trie.
//!
//! Data of others is not committed: it is looked for in `shared/ethereum-tests`
//! beside the repository, or where `MEDINA_EF_TESTS` says (a folder that holds
//! `BlockchainTests`). With `--nocapture` the counts are seen. What is counted as not run is printed; nothing is passed over in silence.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use alloy_consensus::{Transaction as _, proofs::calculate_transaction_root};
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use alloy_primitives::{Address, Bytes, U256, keccak256};
use medina_execution::{Executor, SpecId};
use medina_storage::{BlockCommit, GenesisState, OpenOptions, Store, SyncMode};
use medina_types::{
    AccountChange, AccountState, Certificate, ChainSpec, ConsensusParameters, GasCreditParameters,
    GasPolicy, HeaderRules, HeightContext, NodeSecretKey, PermissionMode, Round, SealedBlock,
    StateChanges, StorageChange, Validator, ValidatorSet,
};
use rayon::prelude::*;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

fn bytes(value: &Value) -> Bytes {
    value.as_str().unwrap().parse().unwrap()
}

fn number(value: &Value) -> U256 {
    value.as_str().unwrap().parse().unwrap()
}

fn pre_state(pre: &Value) -> StateChanges {
    let mut changes = StateChanges::default();
    for (address, account) in pre.as_object().unwrap() {
        let code = bytes(&account["code"]);
        let code_hash = keccak256(&code);
        let nonce = number(&account["nonce"]).to::<u64>();
        let after = AccountState {
            nonce,
            balance: number(&account["balance"]),
            code_hash,
        };
        let slots = account["storage"].as_object().unwrap().iter();
        let storage = slots
            .map(|(key, value)| {
                let change = StorageChange {
                    before: U256::ZERO,
                    after: number(value),
                };
                (key.parse::<U256>().unwrap(), change)
            })
            .filter(|(_, change)| !change.after.is_zero())
            .collect();
        let change = AccountChange {
            after: Some(after),
            storage,
            ..AccountChange::default()
        };
        changes
            .accounts
            .insert(address.parse::<Address>().unwrap(), change);
        if !code.is_empty() {
            changes.codes.insert(code_hash, code);
        }
    }
    changes
}

fn spec(genesis: &SealedBlock) -> ChainSpec {
    let validator = Validator {
        key: NodeSecretKey::from_bytes([1; 32]).public_key(),
        operator: Address::ZERO,
    };
    ChainSpec {
        name: "public tests".into(),
        chain_id: 1,
        genesis_header: genesis.header().clone(),
        genesis_hash: genesis.hash(),
        header_rules: HeaderRules::Ethereum,
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
        validators: ValidatorSet::new(vec![validator]).unwrap(),
        contracts: Default::default(),
    }
}

fn fork_of(network: &str) -> Option<SpecId> {
    match network {
        "Cancun" => Some(SpecId::CANCUN),
        "Prague" => Some(SpecId::PRAGUE),
        "Osaka" => Some(SpecId::OSAKA),
        _ => None,
    }
}

/// Cases that cannot be run, with the reason: revm asks nonce and code before it
/// creates a contract, but not storage (EIP-7610). An account that has storage
/// and neither nonce nor code cannot arise on a chain that starts after EIP-161.
const NOT_RUN: [&str; 4] = [
    "RevertInCreateInInit",
    "create2collisionStorage",
    "dynamicAccountOverwriteEmpty",
    "InitCollision",
];

/// How our refusal of a block begins or what it contains, by the suite's name.
fn our_words(exception: &str) -> &'static str {
    match exception {
        "BlockException.EXTRA_DATA_TOO_BIG" => "extra data",
        "BlockException.GASLIMIT_TOO_BIG" | "BlockException.INVALID_GASLIMIT" => "gas limit",
        "BlockException.IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS" => "difficulty",
        "BlockException.IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS" => "ommers",
        "BlockException.INVALID_BASEFEE_PER_GAS" => "base fee",
        "BlockException.INVALID_BLOCK_NUMBER" => "number",
        "BlockException.INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT" => "timestamp",
        "BlockException.INVALID_GAS_USED" => "gas used",
        "BlockException.INVALID_LOG_BLOOM" => "logs bloom",
        "BlockException.INVALID_RECEIPTS_ROOT" => "receipts root",
        "BlockException.INVALID_STATE_ROOT" => "state root",
        "BlockException.INVALID_TRANSACTIONS_ROOT" => "transactions root",
        "BlockException.UNKNOWN_PARENT" | "BlockException.UNKNOWN_PARENT_ZERO" => "parent hash",
        "TransactionException.GAS_ALLOWANCE_EXCEEDED" => "exceeds block gas limit",
        "TransactionException.INITCODE_SIZE_EXCEEDED" => "max initcode size exceeded",
        "TransactionException.INSUFFICIENT_ACCOUNT_FUNDS" => "insufficient funds",
        "TransactionException.INSUFFICIENT_MAX_FEE_PER_GAS" => {
            "max fee per gas less than block base fee"
        }
        "TransactionException.INTRINSIC_GAS_TOO_LOW" => "intrinsic gas too low",
        "TransactionException.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS" => {
            "max priority fee per gas higher than max fee per gas"
        }
        "TransactionException.SENDER_NOT_EOA" => "sender not an eoa",
        "TransactionException.TYPE_3_TX_BLOB_COUNT_EXCEEDED" => "blob gas",
        "TransactionException.TYPE_3_TX_CONTRACT_CREATION" => "malformed block",
        "TransactionException.TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH" => "blob version",
        "TransactionException.TYPE_3_TX_ZERO_BLOBS" => "empty blobs",
        _ => "an exception that this runner does not know",
    }
}

/// The suite leaves a refused transaction out of the header that it stays in
/// the body of. Its own reason shows once the header names it.
fn with_its_own_header(block: &SealedBlock) -> SealedBlock {
    let mut block = block.block().clone();
    let transactions = &block.body.transactions;
    block.header.transactions_root = calculate_transaction_root(transactions);
    let blobs = transactions
        .iter()
        .filter_map(|one| one.blob_versioned_hashes())
        .flatten();
    block.header.blob_gas_used = Some(blobs.count() as u64 * DATA_GAS_PER_BLOB);
    SealedBlock::new(block)
}

/// Imports one block; the text says why not.
fn import(store: &Store, executor: &Executor, block: &SealedBlock) -> Result<(), String> {
    let head = store.head();
    let executed = executor
        .validate(store, &head, block, |_| None)
        .map_err(|error| error.to_string())?;
    store
        .commit(BlockCommit {
            block: &executed.block,
            receipts: &executed.receipts,
            changes: &executed.changes,
            root: executed.root,
            certificate: &Certificate::new(Round::ZERO, []),
            context: &head.context,
            consensus_record: None,
            sync: SyncMode::Deferred,
        })
        .map_err(|error| error.to_string())
}

/// Checks that a block is refused for the reason that the suite names.
fn refuse(
    store: &Store,
    executor: &Executor,
    encoded: &[u8],
    exceptions: &str,
) -> Result<(), String> {
    let refusal = match SealedBlock::decode(encoded) {
        Err(error) => error.to_string(),
        Ok(block) => {
            let refusal = import(store, executor, &block).err();
            let refusal = refusal.ok_or_else(|| format!("taken, but {exceptions}"))?;
            let own = exceptions.contains("TransactionException").then(|| {
                let head = store.head();
                executor
                    .validate(store, &head, &with_its_own_header(&block), |_| None)
                    .err()
            });
            own.flatten().map_or(refusal, |own| own.to_string())
        }
    };
    if exceptions
        .split('|')
        .any(|exception| refusal.contains(our_words(exception)))
    {
        return Ok(());
    }
    Err(format!("{exceptions} refused as: {refusal}"))
}

/// `Ok(false)`: not run; its fork is none of ours.
fn run_case(case: &Value) -> Result<bool, String> {
    let Some(fork) = fork_of(case["network"].as_str().unwrap()) else {
        return Ok(false);
    };
    let genesis = SealedBlock::decode(&bytes(&case["genesisRLP"])).unwrap();
    let spec = spec(&genesis);
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        block_cache_bytes: 1 << 20,
    };
    let store = Store::open(folder.path(), options).unwrap();
    let state = GenesisState {
        header: genesis.header().clone(),
        state: pre_state(&case["pre"]),
        context: HeightContext::genesis(spec.validators.clone()),
    };
    store
        .initialize_genesis(&state)
        .map_err(|error| format!("genesis: {error}"))?;
    let executor = Executor::for_fork(Arc::new(spec), fork);
    for (index, block) in case["blocks"].as_array().unwrap().iter().enumerate() {
        let encoded = bytes(&block["rlp"]);
        let result = match block.get("expectException").and_then(Value::as_str) {
            Some(exceptions) => refuse(&store, &executor, &encoded, exceptions),
            None => SealedBlock::decode(&encoded)
                .map_err(|error| error.to_string())
                .and_then(|block| import(&store, &executor, &block)),
        };
        result.map_err(|error| format!("block {index}: {error}"))?;
    }
    let expected = case["lastblockhash"].as_str().unwrap();
    let head = store.head().hash.to_string();
    if head == expected {
        Ok(true)
    } else {
        Err(format!("head {head}, expected {expected}"))
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            found.push(path);
        }
    }
}

/// Folder of the public tests: where `MEDINA_EF_TESTS` says, else beside the
/// repository.
fn public_tests() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/ethereum-tests");
    let root = std::env::var_os("MEDINA_EF_TESTS").map_or_else(beside, PathBuf::from);
    let folder = root.join("BlockchainTests");
    folder.is_dir().then_some(folder)
}

#[test]
fn public_blockchain_tests_end_at_their_head() {
    let Some(folder) = public_tests() else {
        println!(
            "skipped: no BlockchainTests beside the repository; MEDINA_EF_TESTS names another place"
        );
        return;
    };
    let mut found = Vec::new();
    files(&folder, &mut found);
    found.sort();
    let results: Vec<_> = found
        .par_iter()
        .flat_map_iter(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            let cases: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
            cases
                .into_iter()
                .map(|(name, case)| {
                    let is_known = NOT_RUN.iter().any(|known| name.starts_with(known));
                    let result = if is_known { Ok(false) } else { run_case(&case) };
                    (name, result)
                })
                .collect::<Vec<_>>()
        })
        .collect();
    let failed: Vec<_> = results
        .iter()
        .filter(|(_, result)| result.is_err())
        .collect();
    let not_run = results
        .iter()
        .filter(|(_, result)| *result == Ok(false))
        .count();
    println!(
        "{} cases, {} failed, {not_run} not run",
        results.len(),
        failed.len()
    );
    for (name, _) in results.iter().filter(|(_, result)| *result == Ok(false)) {
        println!("not run: {name}");
    }
    for (name, result) in &failed {
        println!("{name}: {}", result.as_ref().unwrap_err());
    }
    assert!(!results.is_empty() && failed.is_empty());
}
