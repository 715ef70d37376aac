//! A generated network is complete, private where it must be, and never overwritten.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use alloy_primitives::{Address, U256, address};
use medina_genesis::{
    NetworkError, NetworkOptions, NodeList, add_node, generate_network, load, test_account,
    test_addresses,
};
use medina_types::{ConsensusEngine, NodeSecretKey, PermissionMode};
use std::path::Path;

/// Where `Permissioning` lies on every chain that this version makes.
const PERMISSIONING_ADDRESS: Address = address!("0x8985ec200d17bd56e02b614f515ae924fff1a4a9");

fn options(folder: &Path) -> NetworkOptions {
    NetworkOptions::new(folder.join("net"), 1_700_000_000)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn new_network_has_genesis_nodes_and_keys_that_fit_together() {
    let folder = tempfile::tempdir().unwrap();
    let network = generate_network(&options(folder.path())).unwrap();
    let loaded = load(&network.genesis_path).unwrap();
    assert_eq!(loaded.spec(), network.genesis.spec());
    let list = NodeList::load(&folder.path().join("net")).unwrap();
    assert_eq!(list.nodes.len(), 4);
    for (index, node) in network.nodes.iter().enumerate() {
        let secret = read(&node.config.with_file_name("node.key"));
        assert_eq!(
            NodeSecretKey::from_hex(&secret).unwrap().public_key(),
            node.key
        );
        assert_eq!(loaded.spec().validators.get(index).unwrap().key, node.key);
        assert_eq!(list.nodes[index].key, node.key);
        let rpc = 8545 + 10 * u16::try_from(index).unwrap();
        assert_eq!(
            (node.ports.rpc, node.ports.p2p, node.ports.metrics),
            (rpc, rpc + 1, rpc + 2)
        );
        let config: toml::Table = read(&node.config).parse().unwrap();
        assert_eq!(
            config["rpc"]["listen"].as_str().unwrap(),
            format!("127.0.0.1:{rpc}")
        );
        assert_eq!(config["known_nodes"].as_str(), Some("../network.toml"));
    }
}

#[test]
fn test_accounts_are_funded_and_contracts_are_deployed() {
    let folder = tempfile::tempdir().unwrap();
    let genesis = generate_network(&options(folder.path())).unwrap().genesis;
    let coins = U256::from(10_000) * U256::from(10).pow(U256::from(18));
    for address in test_addresses() {
        assert_eq!(
            genesis.changes().accounts[&address].after.unwrap().balance,
            coins
        );
    }
    for name in [
        "medinaToken",
        "identity",
        "sensorRegistry",
        "dataAnchor",
        "dataMarketplace",
    ] {
        let account = &genesis.changes().accounts[&genesis.spec().contracts[name]];
        assert!(
            genesis
                .changes()
                .codes
                .contains_key(&account.after.unwrap().code_hash),
            "{name}"
        );
    }
    assert_eq!(genesis.test_accounts(), test_addresses());
}

#[test]
fn admin_takes_the_place_of_the_test_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let admin = Address::repeat_byte(0xad);
    let network = generate_network(&NetworkOptions {
        admin: Some(admin),
        ..options(folder.path())
    })
    .unwrap();
    assert!(network.genesis.test_accounts().is_empty());
    assert!(network.genesis.changes().accounts.contains_key(&admin));
    for node in &network.nodes {
        let key = read(&node.config.with_file_name("operator.key"));
        let signer: alloy_signer_local::PrivateKeySigner = key.trim().parse().unwrap();
        assert_eq!(Some(signer.address()), node.operator);
    }
}

#[cfg(unix)]
#[test]
fn node_keys_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let network = generate_network(&options(folder.path())).unwrap();
    let key = network.nodes[0].config.with_file_name("node.key");
    assert_eq!(
        std::fs::metadata(key).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    std::fs::create_dir(&options.directory).unwrap();
    generate_network(&options).unwrap();
    let before = read(&options.directory.join("node-0/node.key"));
    let refused = generate_network(&options);
    assert!(matches!(refused, Err(NetworkError::Exists { .. })));
    assert_eq!(read(&options.directory.join("node-0/node.key")), before);
}

#[test]
fn refused_network_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let cases = [
        (
            NetworkOptions {
                validators: 0,
                ..options.clone()
            },
            "1 to 128",
        ),
        (
            NetworkOptions {
                validators: 129,
                ..options.clone()
            },
            "1 to 128",
        ),
        (
            NetworkOptions {
                base_port: 65_510,
                ..options.clone()
            },
            "below 65536",
        ),
        (
            NetworkOptions {
                base_port: 0,
                ..options.clone()
            },
            "1 to 65535",
        ),
        (
            NetworkOptions {
                chain_id: 0,
                ..options.clone()
            },
            "a chain id between 1",
        ),
        (
            NetworkOptions {
                name: String::new(),
                ..options.clone()
            },
            "a name",
        ),
    ];
    for (options, expected) in cases {
        let text = generate_network(&options).expect_err(expected).to_string();
        assert!(text.contains(expected), "{text}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn added_node_is_listed_and_keeps_the_port_pattern() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    generate_network(&options).unwrap();
    let node = add_node(&options.directory).unwrap();
    assert_eq!(
        (node.name.as_str(), node.ports.rpc, node.operator),
        ("node-4", 8585, None)
    );
    let list = NodeList::load(&options.directory).unwrap();
    assert_eq!((list.nodes.len(), list.nodes[4].key), (5, node.key));
    assert_eq!(add_node(&options.directory).unwrap().name, "node-5");
}

#[test]
fn folder_that_is_no_network_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = add_node(folder.path()).unwrap_err().to_string();
    assert!(text.contains("network.toml"), "{text}");
    std::fs::write(folder.path().join("network.toml"), "[[node]]\nname = 3").unwrap();
    let text = add_node(folder.path()).unwrap_err().to_string();
    assert!(text.contains("medina network new"), "{text}");
}

#[test]
fn operators_are_test_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let network = generate_network(&options(folder.path())).unwrap();
    assert_eq!(network.nodes[3].operator, Some(test_account(3).address));
}

#[test]
fn database_starts_with_the_genesis_and_agrees_on_its_state_root() {
    let folder = tempfile::tempdir().unwrap();
    let genesis = generate_network(&options(folder.path())).unwrap().genesis;
    let options = medina_storage::OpenOptions::default();
    let store = medina_storage::Store::open(folder.path().join("data"), options).unwrap();
    store.initialize_genesis(&genesis.state()).unwrap();
    assert_eq!(store.head().hash, genesis.spec().genesis_hash);
}

#[test]
fn network_may_be_made_for_raft() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let raft = medina_types::ConsensusParameters {
        engine: ConsensusEngine::Raft,
        ..options.consensus
    };
    let network = generate_network(&NetworkOptions {
        consensus: raft,
        ..options
    })
    .unwrap();
    let loaded = load(&network.genesis_path).unwrap();
    assert_eq!(loaded.spec().consensus.engine, ConsensusEngine::Raft);
}

#[test]
fn permissioning_lies_at_one_address_on_every_chain() {
    let folder = tempfile::tempdir().unwrap();
    for (name, validators) in [("one", 1), ("many", 128)] {
        let network = generate_network(&NetworkOptions {
            directory: folder.path().join(name),
            validators,
            ..options(folder.path())
        })
        .unwrap();
        let contracts = &network.genesis.spec().contracts;
        assert_eq!(contracts["permissioning"], PERMISSIONING_ADDRESS, "{name}");
    }
}

#[test]
fn genesis_whose_contract_names_other_validators_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let network = generate_network(&options(folder.path())).unwrap();
    let text = read(&network.genesis_path);
    let refusal = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut file: serde_json::Value = serde_json::from_str(&text).unwrap();
        file.as_object_mut().unwrap().remove("mixHash");
        change(&mut file);
        let loaded = medina_genesis::LoadedGenesis::parse(file.to_string().as_bytes());
        loaded.map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(refusal(&|_| ()), Ok(()));
    let text = refusal(&|file| {
        file["medina"]["validators"]
            .as_array_mut()
            .unwrap()
            .swap(1, 2);
    })
    .unwrap_err();
    assert!(text.contains("medina.validators[1]"), "{text}");
    let text = refusal(&|file| {
        file["medina"]["validators"].as_array_mut().unwrap().pop();
    })
    .unwrap_err();
    assert!(text.contains("found 3 validators, expected 4"), "{text}");
    let text = refusal(&|file| {
        let token = file["medina"]["contracts"]["medinaToken"].clone();
        file["medina"]["contracts"]["permissioning"] = token;
    })
    .unwrap_err();
    assert!(text.contains("validatorKeys() failed"), "{text}");
    // A chain without the contract keeps the list of its genesis for ever.
    let without = refusal(&|file| {
        let contracts = file["medina"]["contracts"].as_object_mut().unwrap();
        contracts.remove("permissioning");
    });
    assert_eq!(without, Ok(()));
}

#[test]
fn network_with_enforced_permissions_lists_who_may_mend_its_contract() {
    let folder = tempfile::tempdir().unwrap();
    let admin = alloy_primitives::Address::repeat_byte(7);
    let options = NetworkOptions {
        permissions: PermissionMode::Enforced,
        admin: Some(admin),
        ..options(folder.path())
    };
    let network = generate_network(&options).unwrap();
    let genesis = medina_genesis::load(&options.directory.join("genesis.json")).unwrap();
    let spec = genesis.spec();
    assert_eq!(spec.permissions, PermissionMode::Enforced);
    let operators = network.nodes.iter().filter_map(|node| node.operator);
    let accounts: std::collections::BTreeSet<_> = operators.chain([admin]).collect();
    assert_eq!(spec.permission_lists.accounts, accounts);
    let nodes = network.nodes.iter().map(|node| node.key).collect();
    assert_eq!(spec.permission_lists.nodes, nodes);
}
