//! `eth_config` (EIP-7910): which rules hold, which will, and what they bring.
//!
//! Fork identifiers are EIP-6122's: a checksum of the genesis hash and of every
//! fork so far, so that two nodes see at a glance whether they follow one schedule.

use alloy_eips::{eip2935, eip4788, eip7002, eip7251, eip7840::BlobParams};
use alloy_primitives::{Address, FixedBytes, U64};
use jsonrpsee::server::RegisterMethodError;
use medina_execution::private::has_marker;
use medina_types::{ED25519_PRECOMPILE, Fork, ForkRules, HeaderRules, MARKER_ADDRESS};
use serde_json::{Map, Value, json};

use crate::{arguments::Arguments, context::Context, errors::Answer, registry::Registry};

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.quick("eth_config", config)
}

/// Ethereum's precompiles under EIP-7910's names, with the fork that brought them.
const PRECOMPILES: [(&str, u16, Fork); 18] = [
    ("BLAKE2F", 0x09, Fork::Paris),
    ("BLS12_G1ADD", 0x0b, Fork::Prague),
    ("BLS12_G1MSM", 0x0c, Fork::Prague),
    ("BLS12_G2ADD", 0x0d, Fork::Prague),
    ("BLS12_G2MSM", 0x0e, Fork::Prague),
    ("BLS12_MAP_FP2_TO_G2", 0x11, Fork::Prague),
    ("BLS12_MAP_FP_TO_G1", 0x10, Fork::Prague),
    ("BLS12_PAIRING_CHECK", 0x0f, Fork::Prague),
    ("BN254_ADD", 0x06, Fork::Paris),
    ("BN254_MUL", 0x07, Fork::Paris),
    ("BN254_PAIRING", 0x08, Fork::Paris),
    ("ECREC", 0x01, Fork::Paris),
    ("ID", 0x04, Fork::Paris),
    ("KZG_POINT_EVALUATION", 0x0a, Fork::Cancun),
    ("MODEXP", 0x05, Fork::Paris),
    ("P256VERIFY", 0x100, Fork::Osaka),
    ("RIPEMD160", 0x03, Fork::Paris),
    ("SHA256", 0x02, Fork::Paris),
];

/// Ethereum's system contracts likewise.
const SYSTEM_CONTRACTS: [(&str, Address, Fork); 4] = [
    (
        "BEACON_ROOTS_ADDRESS",
        eip4788::BEACON_ROOTS_ADDRESS,
        Fork::Cancun,
    ),
    (
        "CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS",
        eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
        Fork::Prague,
    ),
    (
        "HISTORY_STORAGE_ADDRESS",
        eip2935::HISTORY_STORAGE_ADDRESS,
        Fork::Prague,
    ),
    (
        "WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS",
        eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
        Fork::Prague,
    ),
];

fn config(context: &Context, _: &mut Arguments) -> Answer<Value> {
    let steps = context.spec().forks.steps();
    let head = context.head();
    let (number, now) = (head.height.0, head.header.timestamp);
    let current = steps
        .iter()
        .rposition(|step| step.holds_at(number, now))
        .unwrap_or(0);
    let next = steps.get(current + 1);
    let current = steps.get(current);
    let last = next.and(steps.last());
    let shown = |step: Option<&ForkRules>| step.map(|step| shown(context, step));
    Ok(json!({ "current": shown(current), "next": shown(next), "last": shown(last) }))
}

fn shown(context: &Context, rules: &ForkRules) -> Value {
    let spec = context.spec();
    let genesis_s = spec.genesis_header.timestamp;
    let activation = match rules.from_s {
        from if from > genesis_s => from,
        _ => 0,
    };
    json!({
        "activationTime": activation,
        "blobSchedule": blob_schedule(context, &rules.blobs),
        "chainId": U64::from(spec.chain_id),
        "forkId": fork_id(context, rules),
        "precompiles": precompiles(context, rules.fork),
        "systemContracts": system_contracts(context, rules.fork),
    })
}

fn is_ours(context: &Context) -> bool {
    context.spec().header_rules == HeaderRules::Medina
}

/// Our chains carry no blobs.
fn blob_schedule(context: &Context, blobs: &BlobParams) -> Value {
    let count = |count: u64| if is_ours(context) { 0 } else { count };
    json!({
        "baseFeeUpdateFraction": u64::try_from(blobs.update_fraction).unwrap_or(u64::MAX),
        "max": count(blobs.max_blob_count),
        "target": count(blobs.target_blob_count),
    })
}

fn precompiles(context: &Context, fork: Fork) -> Map<String, Value> {
    let mut names = Map::new();
    for (name, number, _) in PRECOMPILES.iter().filter(|(.., since)| *since <= fork) {
        let address = Address::left_padding_from(&number.to_be_bytes());
        names.insert((*name).to_owned(), json!(address));
    }
    if is_ours(context) {
        names.insert("ED25519VERIFY".to_owned(), json!(ED25519_PRECOMPILE));
    }
    if has_marker(context.spec()) {
        names.insert("PRIVACY_MARKER".to_owned(), json!(MARKER_ADDRESS));
    }
    names
}

fn system_contracts(context: &Context, fork: Fork) -> Map<String, Value> {
    let mut names = Map::new();
    for (name, address, _) in SYSTEM_CONTRACTS.iter().filter(|(.., since)| *since <= fork) {
        names.insert((*name).to_owned(), json!(address));
    }
    if let Some(history) = context.node.executor().history()
        && fork >= Fork::Prague
    {
        let deposits = history.deposit_contract();
        names.insert("DEPOSIT_CONTRACT_ADDRESS".to_owned(), json!(deposits));
    }
    names
}

/// Checksum of the genesis hash and of all forks up to one, by block and then by
/// time, each once; what holds from genesis on is none.
fn fork_id(context: &Context, until: &ForkRules) -> FixedBytes<4> {
    let spec = context.spec();
    let history = context.node.executor().history();
    let mut blocks = history.map_or_else(Vec::new, |history| history.fork_blocks());
    let genesis_s = spec.genesis_header.timestamp;
    let steps = spec.forks.steps();
    let last = steps.iter().position(|step| step == until);
    let so_far = &steps[..last.map_or(0, |last| last + 1)];
    blocks.extend(so_far.iter().map(|step| step.from_block));
    blocks.retain(|block| *block > 0);
    blocks.dedup();
    let times = so_far.iter().map(|step| step.from_s);
    let times = times.filter(|from| *from > genesis_s);
    let mut checksum = Checksum::default();
    checksum.add(spec.genesis_hash.as_slice());
    for fork in blocks.into_iter().chain(times) {
        checksum.add(&fork.to_be_bytes());
    }
    checksum.value()
}

/// CRC-32 (IEEE 802.3), bit by bit: a few dozen bytes per request.
struct Checksum(u32);

impl Default for Checksum {
    fn default() -> Self {
        Self(u32::MAX)
    }
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        const POLYNOMIAL: u32 = 0xedb8_8320;
        for byte in bytes {
            self.0 ^= u32::from(*byte);
            for _ in 0..8 {
                let carry = self.0 & 1;
                self.0 = (self.0 >> 1) ^ (POLYNOMIAL * carry);
            }
        }
    }

    fn value(&self) -> FixedBytes<4> {
        (!self.0).to_be_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{b256, fixed_bytes};

    #[test]
    fn checksum_is_eip_2124s() {
        let mut checksum = Checksum::default();
        checksum.add(b"123456789");
        assert_eq!(checksum.value(), fixed_bytes!("0xcbf43926"));
        // Ethereum's main net: genesis, then Homestead at block 1,150,000.
        let genesis = b256!("0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3");
        let mut checksum = Checksum::default();
        checksum.add(genesis.as_slice());
        assert_eq!(checksum.value(), fixed_bytes!("0xfc64ec04"));
        checksum.add(&1_150_000_u64.to_be_bytes());
        assert_eq!(checksum.value(), fixed_bytes!("0x97c2c34c"));
    }
}
