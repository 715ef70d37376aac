//! The real `Permissioning` contract in a genesis. There is no Identity: what genesis lists needs none.

use super::account;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_sol_types::{SolCall, SolValue, sol};
use medina_execution::GenesisBuilder;
use medina_types::{NodePublicKey, NodeSecretKey};

sol! {
    struct NodeSeed { bytes32 org; bytes32 nodeKey; address operator; }
    function initialize(address authority, NodeSeed[] seeds, bytes32[] orgs, address[] accounts);
    function propose(uint8 kind, bytes data) returns (uint256 ballot);
    function vote(uint256 ballot, bool yes);
    function execute(uint256 ballot);
    function activate(bytes32 nodeKey);
}

/// The key of node `number`.
pub(crate) fn key(number: u8) -> NodePublicKey {
    NodeSecretKey::from_bytes([number + 1; 32]).public_key()
}

fn creation_code(name: &str, arguments: Vec<u8>) -> Bytes {
    let path = format!(
        "{}/../../contracts/artifacts/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let artifact: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let code = hex::decode(artifact["bytecode"].as_str().unwrap()).unwrap();
    [code, arguments].concat().into()
}

/// Node `number` of an organisation, with the operator of a validator.
pub(crate) fn seed(number: u8, org: u8, operator: Address) -> NodeSeed {
    NodeSeed {
        org: B256::repeat_byte(org + 1),
        nodeKey: key(number).0.into(),
        operator,
    }
}

/// Deploys it behind its proxy, from account 4 with two nonces.
pub(crate) fn deploy(
    builder: &mut GenesisBuilder,
    seeds: Vec<NodeSeed>,
    accounts: Vec<Address>,
) -> Address {
    let deployer = account(4).address();
    let identity = Address::repeat_byte(0x1d);
    let init = creation_code("Permissioning", identity.abi_encode());
    let implementation = builder.deploy(deployer, init, U256::ZERO).unwrap();
    let call = initializeCall {
        authority: identity,
        seeds,
        orgs: Vec::new(),
        accounts,
    };
    let arguments = (implementation, Bytes::from(call.abi_encode())).abi_encode_params();
    let init = creation_code("ERC1967Proxy", arguments);
    builder.deploy(deployer, init, U256::ZERO).unwrap()
}
