//! A genesis file is either accepted or refused with the field, what stands there and what should.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use alloy_primitives::{Address, B256, U256, address};
use medina_genesis::{GenesisError, GenesisFile, LoadedGenesis};
use medina_types::{ED25519_PRECOMPILE, Fork, GasPolicy, NodeSecretKey};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;

const RICH: Address = address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
const CONTRACT: Address = Address::repeat_byte(0xcc);

fn key(index: u8) -> String {
    NodeSecretKey::from_bytes([index; 32])
        .public_key()
        .to_string()
}

/// A small genesis that is accepted.
fn example() -> Value {
    let mut alloc = json!({
        RICH.to_string(): { "balance": "0x21e19e0c9bab2400000" },
        CONTRACT.to_string(): { "code": "0x6001", "storage": { "0x1": "0x2" } },
    });
    for contract in medina_execution::system_contracts() {
        alloc[contract.address.to_string()] =
            json!({ "nonce": "0x1", "balance": "0x0", "code": contract.code });
    }
    json!({
        "config": { "chainId": 20262, "londonBlock": 0, "osakaTime": 0 },
        "timestamp": "0x6553f100",
        "gasLimit": "0x3938700",
        "extraData": "0x",
        "medina": {
            "version": 1,
            "name": "Test",
            "consensus": {
                "engine": "qbft",
                "baseTimeoutMs": 1000,
                "timeoutMaxMs": 10000,
                "minBlockIntervalMs": 100,
                "clockToleranceS": 5
            },
            "gas": {
                "policy": "free",
                "creditCapacityGas": 1000000,
                "creditRefillGasPerS": 1000,
                "sharedCapacityGas": 10000000,
                "sharedRefillGasPerS": 10000
            },
            "blockReward": "0x0",
            "permissions": "open",
            "validators": [
                { "key": key(1), "operator": "0x0101010101010101010101010101010101010101" },
                { "key": key(2), "operator": "0x0202020202020202020202020202020202020202" }
            ],
            "contracts": { "dataAnchor": CONTRACT },
            "nodes": [key(3)]
        },
        "alloc": alloc
    })
}

fn load(value: &Value) -> Result<LoadedGenesis, GenesisError> {
    LoadedGenesis::parse(value.to_string().as_bytes())
}

fn changed(pointer: &str, value: Value) -> Value {
    let mut file = example();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = file
        .pointer_mut(parent)
        .unwrap_or_else(|| panic!("no {parent}"));
    match parent {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        parent => parent[name] = value,
    }
    file
}

fn removed(pointer: &str) -> Value {
    let mut file = example();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    file.pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(name)
        .unwrap();
    file
}

#[test]
fn accepted_file_gives_spec_state_and_hash() {
    let genesis = load(&example()).unwrap();
    let spec = genesis.spec();
    assert_eq!((spec.chain_id, spec.gas_limit), (20_262, 60_000_000));
    assert_eq!(spec.genesis_hash, spec.genesis_header.hash_slow());
    assert_eq!(spec.genesis_header.base_fee_per_gas, Some(0));
    assert_eq!(spec.contracts["dataAnchor"], CONTRACT);
    assert!(matches!(spec.gas_policy, GasPolicy::Free(credit) if credit.refill_gas_per_s == 1000));
    let contract = &genesis.changes().accounts[&CONTRACT];
    assert_eq!(contract.storage[&U256::from(1)].after, U256::from(2));
    assert_eq!(genesis.context().validators.len(), 2);
    assert_eq!(genesis.test_accounts(), [RICH]);
}

/// The `config` of a public test network, as geth and Besu write it.
fn config_of_later_forks() -> Value {
    json!({
        "chainId": 20262, "homesteadBlock": 0, "daoForkSupport": true, "londonBlock": 0,
        "mergeNetsplitBlock": 0, "terminalTotalDifficulty": 0, "terminalTotalDifficultyPassed": true,
        "shanghaiTime": 1_700_000_010, "cancunTime": "0x6553f114", "pragueTime": 1_700_000_030,
        "osakaTime": 1_700_000_040, "bpo1Time": 1_700_000_050,
        "blobSchedule": {
            "cancun": {"target": 3, "max": 6, "baseFeeUpdateFraction": 3_338_477},
            "bpo1": {"target": 4, "max": 8, "baseFeeUpdateFraction": 5_000_000}
        }
    })
}

#[test]
fn forks_of_other_clients_genesis_files_hold_from_their_times() {
    let genesis = load(&changed("/config", config_of_later_forks())).unwrap();
    let spec = genesis.spec();
    let forks = [0, 10, 20, 30, 40].map(|after| spec.forks.at(1_700_000_000 + after).fork);
    assert_eq!(forks, Fork::ALL);
    assert_eq!(spec.forks.at(u64::MAX).blobs.max_blob_count, 8);
    let header = &spec.genesis_header;
    assert_eq!(header.withdrawals_root, None);
    assert_eq!(header.excess_blob_gas, None);
    assert_eq!(header.requests_hash, None);
}

#[test]
fn forks_are_part_of_the_genesis_hash_and_survive_writing() {
    let file = GenesisFile::from_json(&changed("/config", config_of_later_forks())).unwrap();
    let again = GenesisFile::from_json(&file.to_json()).unwrap();
    let spec = |file: &GenesisFile| LoadedGenesis::new(file).unwrap().spec().clone();
    assert_eq!(spec(&again), spec(&file));
    let mut later = config_of_later_forks();
    later["bpo1Time"] = json!(1_700_000_051);
    let later = GenesisFile::from_json(&changed("/config", later)).unwrap();
    assert_ne!(spec(&later).genesis_hash, spec(&file).genesis_hash);
    // A file that names all forks from the start is the chain that names none.
    let osaka = load(&changed("/config", json!({"chainId": 20262}))).unwrap();
    assert_eq!(osaka.spec(), load(&example()).unwrap().spec());
}

#[test]
fn file_reads_back_from_what_it_writes() {
    let file = GenesisFile::from_json(&example()).unwrap();
    let again = GenesisFile::from_json(&file.to_json()).unwrap();
    assert_eq!(again.medina, file.medina);
    let hash = |file: &GenesisFile| LoadedGenesis::new(file).unwrap().spec().genesis_hash;
    assert_eq!(hash(&again), hash(&file));
    assert_eq!(again.to_json(), file.to_json());
}

#[test]
fn anything_nodes_must_agree_on_changes_the_genesis_hash() {
    let original = load(&example()).unwrap().spec().genesis_hash;
    for (pointer, value) in [
        ("/config/chainId", json!(7)),
        ("/timestamp", json!(1)),
        ("/medina/name", json!("Other")),
        ("/medina/consensus/baseTimeoutMs", json!(999)),
        ("/medina/consensus/emptyBlockPeriodS", json!(60)),
        ("/medina/gas/creditRefillGasPerS", json!(1001)),
        ("/medina/blockReward", json!(1)),
        ("/medina/validators/0/key", json!(key(9))),
        ("/medina/nodes", json!([])),
        ("/medina/quorumCompat", json!(true)),
        ("/medina/private", json!({ "gasMax": 20_000_000 })),
        (
            "/alloc/0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266/balance",
            json!("1"),
        ),
    ] {
        let other = load(&changed(pointer, value)).unwrap().spec().genesis_hash;
        assert_ne!(other, original, "{pointer}");
    }
}

#[test]
fn transactions_of_goquorums_clients_are_taken_only_where_genesis_says_so() {
    let original = load(&example()).unwrap();
    assert!(!original.quorum_compat());
    let said = load(&changed("/medina/quorumCompat", json!(false))).unwrap();
    assert_eq!(said.spec().genesis_hash, original.spec().genesis_hash);
    let compat = changed("/medina/quorumCompat", json!(true));
    let file = GenesisFile::from_json(&compat).unwrap();
    assert!(load(&file.to_json()).unwrap().quorum_compat());
    let error = load(&changed("/medina/quorumCompat", json!("yes"))).unwrap_err();
    assert!(error.to_string().contains("quorumCompat"), "{error}");
}

#[test]
fn gas_of_private_transactions_is_what_genesis_says_or_as_it_always_was() {
    let original = load(&example()).unwrap();
    let usual = original.private().gas_max;
    assert_eq!(usual, medina_types::limits::PRIVATE_GAS_MAX);
    let said = load(&changed("/medina/private", json!({ "gasMax": usual }))).unwrap();
    assert_eq!(said.spec().genesis_hash, original.spec().genesis_hash);
    let more = changed("/medina/private", json!({ "gasMax": 50_000_000 }));
    let file = GenesisFile::from_json(&more).unwrap();
    assert_eq!(load(&file.to_json()).unwrap().private().gas_max, 50_000_000);
    for wrong in [
        json!({ "gasMax": 1 }),
        json!({ "gasMax": 2_000_000_000u64 }),
        json!({ "gas": 1_000_000 }),
        json!(7),
    ] {
        let error = load(&changed("/medina/private", wrong)).unwrap_err();
        assert!(error.to_string().contains("medina.private"), "{error}");
    }
}

#[test]
fn accounts_are_read_as_other_clients_write_them() {
    let account = json!({ "balance": "10000", "comment": "ours", "privateKey": "ignored" });
    let mut file = example();
    file["alloc"]["fe3b557e8fb62b89f4916b721be55ceb828dbd73"] = account;
    let genesis = load(&file).unwrap();
    let address = address!("0xfe3b557e8fb62b89f4916b721be55ceb828dbd73");
    assert_eq!(
        genesis.changes().accounts[&address].after.unwrap().balance,
        U256::from(10_000)
    );
}

#[test]
fn metered_gas_sets_the_first_base_fee() {
    let gas = json!({
        "policy": "metered", "initialBaseFee": 7, "treasury": RICH, "treasuryShareBps": 2500
    });
    let genesis = load(&changed("/medina/gas", gas)).unwrap();
    assert_eq!(genesis.spec().genesis_header.base_fee_per_gas, Some(7));
    assert!(
        matches!(genesis.spec().gas_policy, GasPolicy::Metered(m) if m.treasury_share_bps == 2500)
    );
}

#[test]
fn each_field_that_is_wrong_is_named_with_what_was_expected() {
    let operator = json!("0x0101010101010101010101010101010101010101");
    let cases = [
        (
            "/config/chainId",
            json!(0),
            "config.chainId: found 0",
            "a chain id between 1 and",
        ),
        (
            "/config/londonBlock",
            json!(5),
            "config.londonBlock: found 5",
            "all rules before Paris hold",
        ),
        (
            "/config/cancunTime",
            json!(5),
            "config: found osaka is set for 0, before cancun at 5",
            "forks in order",
        ),
        (
            "/config/bpo3Time",
            json!(5),
            "config: found bpo3 is set, but blobSchedule.bpo3 is not",
            "forks in order",
        ),
        (
            "/config/blobSchedule",
            json!({"osaka": {"target": 0, "max": 6, "baseFeeUpdateFraction": 1}}),
            "config.blobSchedule.osaka.target: found 0",
            "a parameter of blobs between 1 and",
        ),
        (
            "/config/qbft",
            json!({}),
            "config.qbft: found an object",
            "medina.consensus",
        ),
        (
            "/timestamp",
            json!(1_700_000_000_000_u64),
            "timestamp: found 1700000000000",
            "Unix seconds",
        ),
        (
            "/gasLimit",
            json!("60M"),
            "gasLimit: found \"60M\"",
            "gas between 5000 and",
        ),
        (
            "/gasLimit",
            json!(100),
            "gasLimit: found 100",
            "gas between 5000 and",
        ),
        (
            "/gaslimit",
            json!(100),
            "gaslimit: found 100",
            "no such field; known are config, nonce",
        ),
        (
            "/difficulty",
            json!("0x1"),
            "difficulty: found \"0x1\"",
            "decided by votes",
        ),
        (
            "/extraData",
            json!("ab".repeat(33)),
            "extraData: found \"abab",
            "at most 32 bytes",
        ),
        (
            "/baseFeePerGas",
            json!(7),
            "baseFeePerGas: found 7",
            "0 as medina.gas says",
        ),
        (
            "/mixHash",
            json!(B256::repeat_byte(1)),
            "mixHash: found \"0x0101",
            "the digest of",
        ),
        (
            "/parentHash",
            json!(B256::repeat_byte(1)),
            "parentHash: found",
            "no parent",
        ),
        (
            "/medina/version",
            json!(2),
            "medina.version: found 2",
            "between 1 and 1",
        ),
        (
            "/medina/name",
            json!(" "),
            "medina.name: found \" \"",
            "a name",
        ),
        (
            "/medina/consenus",
            json!({}),
            "medina.consenus: found an object",
            "no such field",
        ),
        (
            "/medina/consensus/engine",
            json!("pow"),
            "engine: found \"pow\"",
            "\"qbft\" or \"raft\"",
        ),
        (
            "/medina/consensus/baseTimeoutMs",
            json!(-1),
            "baseTimeoutMs: found -1",
            "milliseconds",
        ),
        (
            "/medina/consensus/timeoutMaxMs",
            json!(999),
            "timeoutMaxMs: found 999",
            "which is 1000",
        ),
        (
            "/medina/consensus/minBlockIntervalMs",
            json!(1.5),
            "found 1.5",
            "milliseconds",
        ),
        (
            "/medina/consensus/emptyBlockPeriodS",
            json!(0),
            "found 0",
            "seconds between 1 and",
        ),
        (
            "/medina/consensus/clockToleranceS",
            json!("x"),
            "found \"x\"",
            "seconds between 0 and",
        ),
        (
            "/medina/gas/policy",
            json!("gratis"),
            "gas.policy: found",
            "\"free\" or \"metered\"",
        ),
        (
            "/medina/gas/creditCapacityGas",
            json!(0),
            "creditCapacityGas: found 0",
            "gas between 1",
        ),
        (
            "/medina/gas/treasury",
            json!(RICH),
            "gas.treasury: found",
            "no such field",
        ),
        (
            "/medina/blockReward",
            json!(true),
            "medina.blockReward: found true",
            "below 2^256",
        ),
        (
            "/medina/permissions",
            json!("closed"),
            "found \"closed\"",
            "\"open\" or \"enforced\"",
        ),
        (
            "/medina/permissions",
            json!("enforced"),
            "medina.accounts: found none",
            "at least one account",
        ),
        (
            "/medina/accounts",
            json!(["0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"]),
            "medina.accounts: found 1",
            "nothing, as medina.permissions is \"open\"",
        ),
        (
            "/medina/validators",
            json!([]),
            "medina.validators: found a list of 0",
            "at least one",
        ),
        (
            "/medina/validators",
            json!({}),
            "medina.validators: found an object",
            "a list of at most",
        ),
        (
            "/medina/validators/1/operator",
            operator,
            "medina.validators: found",
            "appears twice",
        ),
        (
            "/medina/validators/1/key",
            json!(key(1)),
            "medina.validators: found",
            "appears twice",
        ),
        (
            "/medina/validators/0/key",
            json!("0x12"),
            "validators[0].key: found \"0x12\"",
            "64 hex",
        ),
        (
            "/medina/validators/0/operator",
            json!("me"),
            "[0].operator: found \"me\"",
            "40 hex",
        ),
        (
            "/medina/contracts/DataAnchor",
            json!(CONTRACT),
            "contracts.DataAnchor",
            "camelCase",
        ),
        (
            "/medina/contracts/identity",
            json!(RICH),
            "medina.contracts.identity",
            "with code",
        ),
        (
            "/medina/nodes",
            json!([key(1)]),
            "medina.nodes[0]: found",
            "neither a validator's",
        ),
        (
            "/medina/nodes",
            json!(["0x"]),
            "medina.nodes[0]: found \"0x\"",
            "ed25519 node key",
        ),
        (
            "/alloc/me",
            json!({}),
            "alloc.me: found an object",
            "40 hexadecimal digits as the key",
        ),
        (
            "/alloc/00",
            json!(7),
            "alloc.00: found 7",
            "40 hexadecimal digits as the key",
        ),
        (
            "/alloc/F39FD6E51AAD88F6F4CE6AB8827279CFFFB92266",
            json!({}),
            "alloc.F39F",
            "here twice",
        ),
    ];
    for (pointer, value, place, expected) in cases {
        let text = load(&changed(pointer, value))
            .expect_err(pointer)
            .to_string();
        assert!(
            text.starts_with("genesis field ") && text.contains(place),
            "{pointer}: {text}"
        );
        assert!(text.contains(expected), "{pointer}: {text}");
    }
}

#[test]
fn wrong_accounts_are_named_by_field() {
    let path = format!("/alloc/{CONTRACT}");
    let cases = [
        ("balance", json!("1e18"), "below 2^256"),
        ("balance", json!(U256::MAX), "below 2^128"),
        ("nonce", json!("many"), "a nonce"),
        ("code", json!("0x6"), "hexadecimal digits"),
        ("code", Value::Null, "with code"),
        ("storage", json!({ "key": "0x1" }), "a slot"),
        ("storage", json!({ "0x1": 1 }), "text of at most"),
        (
            "storage",
            json!({ "0x1": "0x1", "0x01": "0x2" }),
            "every slot once",
        ),
    ];
    for (field, value, expected) in cases {
        let error = load(&changed(&format!("{path}/{field}"), value)).expect_err(field);
        assert!(error.to_string().contains(expected), "{field}: {error}");
    }
    let storage_without_code = json!({ "balance": "1", "storage": { "0x1": "0x2" } });
    let error = load(&changed(&format!("/alloc/{RICH}"), storage_without_code)).unwrap_err();
    assert!(error.to_string().contains("no code"), "{error}");
}

#[test]
fn each_field_that_is_missing_is_named() {
    for pointer in [
        "/config",
        "/config/chainId",
        "/gasLimit",
        "/alloc",
        "/medina",
        "/medina/version",
        "/medina/name",
        "/medina/consensus",
        "/medina/consensus/engine",
        "/medina/consensus/baseTimeoutMs",
        "/medina/consensus/clockToleranceS",
        "/medina/gas",
        "/medina/gas/policy",
        "/medina/gas/sharedCapacityGas",
        "/medina/blockReward",
        "/medina/permissions",
        "/medina/validators",
        "/medina/validators/0/key",
    ] {
        let text = load(&removed(pointer)).expect_err(pointer).to_string();
        let name = pointer[1..].replace("/0/", "[0].").replace('/', ".");
        assert!(
            text.contains(&format!("{name}: found nothing, expected ")),
            "{pointer}: {text}"
        );
    }
}

#[test]
fn missing_system_contract_is_named() {
    let pointer = format!(
        "/alloc/{}",
        alloy_eips::eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS
    );
    let text = load(&removed(&pointer)).unwrap_err().to_string();
    assert!(text.contains("EIP-7002"), "{text}");
}

#[test]
fn text_that_is_no_json_names_the_line() {
    let text = GenesisFile::parse(b"{\n  \"config\": }")
        .unwrap_err()
        .to_string();
    assert!(text.contains("line 2"), "{text}");
}

#[test]
fn file_that_cannot_be_used_is_named() {
    let missing = medina_genesis::load(Path::new("missing/genesis.json")).unwrap_err();
    assert!(
        missing.to_string().contains("missing/genesis.json"),
        "{missing}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.json");
    std::fs::write(&path, "{}").unwrap();
    let broken = medina_genesis::load(&path).unwrap_err().to_string();
    assert!(
        broken.contains("broken.json: genesis field medina: found nothing"),
        "{broken}"
    );
}

#[test]
fn empty_account_does_not_exist() {
    let mut file = example();
    file["alloc"][ED25519_PRECOMPILE.to_string()] = json!({ "balance": "0" });
    let with_empty = load(&file).unwrap();
    assert_eq!(
        with_empty.spec().genesis_hash,
        load(&example()).unwrap().spec().genesis_hash
    );
    assert!(
        !with_empty
            .changes()
            .accounts
            .contains_key(&ED25519_PRECOMPILE)
    );
}

/// Every place of a JSON value, as pointers.
fn pointers(value: &Value, here: String, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                pointers(member, format!("{here}/{name}"), into);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, format!("{here}/{index}"), into);
            }
        }
        _ => {}
    }
    into.push(here);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "0x[0-9a-f]{0,70}".prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,6}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn loader_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = LoadedGenesis::parse(&bytes);
    }

    #[test]
    fn loader_survives_any_truncation(length in 0usize..3000) {
        let text = example().to_string();
        prop_assert!(LoadedGenesis::parse(&text.as_bytes()[..length.min(text.len() - 1)]).is_err());
    }

    #[test]
    fn loader_survives_any_changed_value(place in any::<prop::sample::Index>(), value in any_json()) {
        let mut file = example();
        let mut places = Vec::new();
        pointers(&file, String::new(), &mut places);
        let place = place.get(&places);
        *file.pointer_mut(place).unwrap() = value;
        // What is accepted must be a chain that reads back as itself.
        if let Ok(genesis) = load(&file) {
            let again = GenesisFile::from_json(&file).unwrap().to_json();
            let again = load(&again).unwrap();
            prop_assert_eq!(again.spec(), genesis.spec());
        }
    }
}
