//! `eth_chainId`, `eth_syncing` and what else says where this node stands.

use alloy_primitives::{Address, U64, U256, address};
use alloy_rpc_types_eth::{SyncInfo, SyncStatus};
use jsonrpsee::server::RegisterMethodError;
use medina_types::ED25519_PRECOMPILE;
use serde_json::{Map, Value, json};

use crate::{arguments::Arguments, context::Context, errors::Answer, registry::Registry};

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.quick("eth_chainId", |context, _| {
        Ok(U64::from(context.spec().chain_id))
    })?;
    registry.quick("eth_blockNumber", |context, _| {
        Ok(U64::from(context.head().height.0))
    })?;
    registry.quick("eth_syncing", |context, _| Ok(sync_status(context)))?;
    // This node keeps no account keys: wallets sign.
    registry.quick("eth_accounts", |_, _| Ok(Vec::<Address>::new()))?;
    registry.quick("eth_config", fork_config)?;
    registry.quick("eth_capabilities", capabilities)
}

/// `false`, or how far a catch-up has come.
pub(crate) fn sync_status(context: &Context) -> SyncStatus {
    let Some(progress) = context.node.sync_progress() else {
        return SyncStatus::None;
    };
    SyncStatus::Info(Box::new(SyncInfo {
        starting_block: U256::from(progress.starting.0),
        current_block: U256::from(context.head().height.0),
        highest_block: U256::from(progress.highest.0),
        ..SyncInfo::default()
    }))
}

/// Ethereum's precompiles of Osaka under EIP-7910's names.
const PRECOMPILES: [(&str, u16); 18] = [
    ("BLAKE2F", 0x09),
    ("BLS12_G1ADD", 0x0b),
    ("BLS12_G1MSM", 0x0c),
    ("BLS12_G2ADD", 0x0d),
    ("BLS12_G2MSM", 0x0e),
    ("BLS12_MAP_FP2_TO_G2", 0x11),
    ("BLS12_MAP_FP_TO_G1", 0x10),
    ("BLS12_PAIRING_CHECK", 0x0f),
    ("BN254_ADD", 0x06),
    ("BN254_MUL", 0x07),
    ("BN254_PAIRING", 0x08),
    ("ECREC", 0x01),
    ("ID", 0x04),
    ("KZG_POINT_EVALUATION", 0x0a),
    ("MODEXP", 0x05),
    ("P256VERIFY", 0x100),
    ("RIPEMD160", 0x03),
    ("SHA256", 0x02),
];

/// Ethereum's system contracts that genesis predeploys, under EIP-7910's names.
const SYSTEM_CONTRACTS: [(&str, Address); 4] = [
    (
        "BEACON_ROOTS_ADDRESS",
        address!("0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02"),
    ),
    (
        "CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS",
        address!("0x0000BBdDc7CE488642fb579F8B00f3a590007251"),
    ),
    (
        "HISTORY_STORAGE_ADDRESS",
        address!("0x0000F90827F1C53a10cb7A02335B175320002935"),
    ),
    (
        "WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS",
        address!("0x00000961Ef480Eb55e80D19ad83579A64c007002"),
    ),
];

/// EIP-7910. One set of rules from genesis on; the fork identifier is the first
/// four bytes of the genesis hash, since no fork is ever scheduled.
fn fork_config(context: &Context, _: &mut Arguments) -> Answer<Value> {
    let spec = context.spec();
    let mut precompiles = Map::new();
    for (name, number) in PRECOMPILES {
        precompiles.insert(
            name.to_owned(),
            json!(Address::left_padding_from(&number.to_be_bytes())),
        );
    }
    precompiles.insert("ED25519VERIFY".to_owned(), json!(ED25519_PRECOMPILE));
    let mut contracts = Map::new();
    for (name, address) in SYSTEM_CONTRACTS {
        contracts.insert(name.to_owned(), json!(address));
    }
    let current = json!({
        "activationTime": spec.genesis_header.timestamp,
        "blobSchedule": { "baseFeeUpdateFraction": 5_007_716, "max": 0, "target": 0 },
        "chainId": U64::from(spec.chain_id),
        "forkId": alloy_primitives::FixedBytes::<4>::from_slice(&spec.genesis_hash[..4]),
        "precompiles": precompiles,
        "systemContracts": contracts,
    });
    Ok(json!({ "current": current, "next": null, "last": null }))
}

/// Which history this node can answer for: all of it.
fn capabilities(context: &Context, _: &mut Arguments) -> Answer<Value> {
    let head = context.head();
    let all = json!({ "disabled": false, "oldestBlock": "0x0" });
    Ok(json!({
        "head": { "number": U64::from(head.height.0), "hash": head.hash },
        "state": all,
        "tx": all,
        "logs": all,
        "receipts": all,
        "blocks": all,
        "stateproofs": all,
    }))
}
