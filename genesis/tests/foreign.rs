//! Genesis files as operators of geth and Besu have them, and the networks made of them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use alloy_primitives::{Address, U256, address};
use medina_execution::Executor;
use medina_genesis::{
    ForeignGenesis, GeneratedNetwork, LoadedGenesis, NetworkOptions, generate_network,
};
use medina_types::{Fork, GasPolicy};
use serde_json::{Value, json};
use std::{path::Path, sync::Arc, time::Duration};

const NOW_S: u64 = 1_770_000_000;

fn text_of(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn value_of(name: &str) -> Value {
    serde_json::from_str(&text_of(name)).unwrap()
}

fn options(folder: &Path, file: &Value) -> NetworkOptions {
    let foreign = ForeignGenesis::parse(file.to_string().as_bytes()).unwrap();
    NetworkOptions {
        validators: 2,
        foreign: Some(foreign),
        ..NetworkOptions::new(folder.join("network"), NOW_S)
    }
}

/// The network of a file, and its genesis as a node reads it.
fn network_of(file: &Value) -> (GeneratedNetwork, LoadedGenesis) {
    let folder = tempfile::tempdir().unwrap();
    let network = generate_network(&options(folder.path(), file)).unwrap();
    let loaded = medina_genesis::load(&network.genesis_path).unwrap();
    assert_eq!(loaded.spec(), network.genesis.spec());
    (network, loaded)
}

fn balance(genesis: &LoadedGenesis, address: Address) -> U256 {
    genesis.changes().accounts[&address].after.unwrap().balance
}

fn notes_name(network: &GeneratedNetwork, name: &str) -> bool {
    network.notes.iter().any(|note| note.starts_with(name))
}

#[test]
fn developer_genesis_of_geth_becomes_a_network() {
    let (network, genesis) = network_of(&value_of("geth_dev.json"));
    let spec = genesis.spec();
    assert_eq!((spec.chain_id, spec.gas_limit), (20_251, 0xaf_79e0));
    // In a contract, time 0 is no time.
    assert_eq!(spec.genesis_header.timestamp, NOW_S);
    assert_eq!(spec.forks.at(0).fork, Fork::Osaka);
    // It names a base fee, so gas costs what it says.
    assert!(
        matches!(spec.gas_policy, GasPolicy::Metered(gas) if gas.initial_base_fee == 1_000_000_000)
    );
    assert_eq!(spec.genesis_header.base_fee_per_gas, Some(1_000_000_000));
    let developer = address!("71562b71999873db5b286df957af199ec94617f7");
    assert_eq!(balance(&genesis, developer), (U256::ONE << 128) - U256::ONE);
    assert!(notes_name(
        &network,
        "alloc.71562b71999873db5b286df957af199ec94617f7.balance"
    ));
    assert_eq!(
        balance(
            &genesis,
            address!("0000000000000000000000000000000000000001")
        ),
        U256::ONE
    );
    // Medina's own contracts are there, too.
    assert!(spec.contracts.contains_key("permissioning"));
    assert_eq!(spec.validators.len(), 2);
}

#[test]
fn besu_network_keeps_its_times_its_reward_and_its_contracts() {
    let (network, genesis) = network_of(&value_of("besu_qbft.json"));
    let spec = genesis.spec();
    assert_eq!((spec.chain_id, spec.gas_limit), (1_338, 1_000_000_000_000));
    assert_eq!(spec.consensus.base_timeout, Duration::from_secs(10));
    assert_eq!(
        spec.consensus.empty_block_period,
        Some(Duration::from_secs(5))
    );
    assert_eq!(spec.block_reward, U256::from(5_000_000_000_000_000_u64));
    assert!(matches!(spec.gas_policy, GasPolicy::Free(_)));
    assert_eq!(spec.forks.at(u64::MAX).fork, Fork::Cancun);
    assert_eq!(spec.genesis_header.timestamp, 0x58ee_40ba);
    assert!(spec.genesis_header.extra_data.is_empty());
    let rich = address!("fe3b557e8fb62b89f4916b721be55ceb828dbd73");
    assert_eq!(
        balance(&genesis, rich),
        U256::from(2) * U256::from(10).pow(U256::from(26))
    );
    let contract = address!("0000000000000000000000000000000000008888");
    let account = &genesis.changes().accounts[&contract];
    assert_eq!(account.storage[&U256::ZERO].after, U256::from(42));
    for name in [
        "config.qbft",
        "config.contractSizeLimit",
        "extraData",
        "gasLimit",
    ] {
        assert!(notes_name(&network, name), "{name}: {:?}", network.notes);
    }
}

#[test]
fn schedule_of_a_public_test_network_is_followed_from_its_first_block() {
    let (network, genesis) = network_of(&value_of("later_forks.json"));
    let spec = genesis.spec();
    let at = |time| spec.forks.at(time).fork;
    assert_eq!(
        [
            1_696_000_703,
            1_696_000_704,
            1_707_305_664,
            1_740_434_112,
            1_759_308_480
        ]
        .map(at),
        [
            Fork::Paris,
            Fork::Shanghai,
            Fork::Cancun,
            Fork::Prague,
            Fork::Osaka
        ]
    );
    assert_eq!(spec.forks.at(NOW_S).blobs.max_blob_count, 21);
    let first = &spec.genesis_header;
    assert_eq!(first.timestamp, 0x6515_6994);
    assert!(first.withdrawals_root.is_none() && first.blob_gas_used.is_none());
    // By now Osaka holds: whoever starts the network can call all contracts.
    assert!(!notes_name(&network, "timestamp"), "{:?}", network.notes);
    assert!(!notes_name(&network, "config:"), "{:?}", network.notes);
}

#[test]
fn files_that_end_with_proof_of_work_or_its_end_follow_paris() {
    let (network, genesis) = network_of(&value_of("geth_merge.json"));
    let spec = genesis.spec();
    assert_eq!(spec.forks.at(u64::MAX).fork, Fork::Paris);
    assert!(spec.genesis_header.withdrawals_root.is_none());
    for name in [
        "config.berlinBlock 12244000",
        "config.londonBlock 12965000",
        "config.mergeNetsplitBlock 15537393",
        "config.terminalTotalDifficulty",
        "config: the first blocks follow Paris",
    ] {
        assert!(notes_name(&network, name), "{name}: {:?}", network.notes);
    }
}

#[test]
fn file_of_besu_that_names_nothing_behind_berlin_follows_the_newest_rules() {
    let (network, genesis) = network_of(&value_of("besu_berlin.json"));
    assert_eq!(genesis.spec().forks.at(0).fork, Fork::Osaka);
    for name in ["config: names no fork", "config.transitions"] {
        assert!(notes_name(&network, name), "{name}: {:?}", network.notes);
    }
}

#[test]
fn forks_by_block_come_before_those_by_time() {
    let mut file = value_of("later_forks.json");
    let config = file["config"].as_object_mut().unwrap();
    for fork in ["shanghaiTime", "cancunTime"] {
        config.remove(fork);
    }
    config.insert("shanghaiBlock".to_owned(), json!(3));
    config.insert("cancunBlock".to_owned(), json!("0x5"));
    let (_, genesis) = network_of(&file);
    let forks = &genesis.spec().forks;
    let at = [2, 3, 4, 5].map(|number| forks.at_block(number, 0x6515_6994).fork);
    assert_eq!(
        at,
        [Fork::Paris, Fork::Shanghai, Fork::Shanghai, Fork::Cancun]
    );
    assert_eq!(forks.at_block(0, 1_759_308_480).fork, Fork::Osaka);
}

#[test]
fn what_cannot_be_followed_is_one_clear_line() {
    let table = [
        (
            "/config/pragueBlock",
            json!(7),
            "config.pragueBlock",
            "nothing beside config.pragueTime",
        ),
        (
            "/config/parisBlock",
            json!(7),
            "config.parisBlock",
            "the first rules are those of Paris",
        ),
        (
            "/config/cancunTime",
            json!(1_600_000_000),
            "config",
            "forks in order",
        ),
        ("/config/chainId", json!(0), "config.chainId", "a chain id"),
        ("/gasLimit", json!("many"), "gasLimit", "gas between"),
        ("/alloc", json!({ "0x12": {} }), "alloc.0x12", "an address"),
        ("/medina", json!({}), "medina", "already"),
    ];
    for (pointer, value, path, expected) in table {
        let mut file = value_of("later_forks.json");
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        file.pointer_mut(parent).unwrap()[name] = value;
        let read = ForeignGenesis::parse(file.to_string().as_bytes());
        let error = match read {
            Err(error) => error.to_string(),
            Ok(foreign) => {
                let folder = tempfile::tempdir().unwrap();
                let options = NetworkOptions {
                    foreign: Some(foreign),
                    ..NetworkOptions::new(folder.path().join("network"), NOW_S)
                };
                generate_network(&options).unwrap_err().to_string()
            }
        };
        assert!(
            error.contains(path) && error.contains(expected),
            "{pointer}: {error}"
        );
    }
}

#[test]
fn network_whose_rules_are_too_old_for_calls_to_the_contracts_says_so() {
    let mut file = value_of("later_forks.json");
    let config = file["config"].as_object_mut().unwrap();
    for fork in [
        "cancunTime",
        "pragueTime",
        "osakaTime",
        "bpo1Time",
        "bpo2Time",
    ] {
        config.remove(fork);
    }
    let (network, genesis) = network_of(&file);
    let note = "config: the first blocks follow Shanghai";
    assert!(notes_name(&network, note), "{:?}", network.notes);
    // The contract names the validators all the same.
    let executor = Executor::new(Arc::new(genesis.spec().clone()));
    let named = executor.validators_of_genesis(genesis.changes()).unwrap();
    assert_eq!(named, genesis.spec().validators);
}

#[test]
fn account_in_the_place_of_a_contract_of_ours_is_refused() {
    let (_, genesis) = network_of(&value_of("besu_qbft.json"));
    let place = genesis.spec().contracts["permissioning"];
    let mut file = value_of("besu_qbft.json");
    file["alloc"][place.to_string()] = json!({ "balance": "1", "code": "0x00" });
    let folder = tempfile::tempdir().unwrap();
    let error = generate_network(&options(folder.path(), &file)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("one of Medina's contracts lies there"),
        "{error}"
    );
}

#[test]
fn file_without_a_medina_section_starts_no_node_and_says_what_does() {
    let error = LoadedGenesis::parse(text_of("besu_qbft.json").as_bytes()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("medina network new"), "{text}");
}
