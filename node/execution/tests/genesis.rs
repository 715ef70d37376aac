//! Genesis states made by the machine.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use common::{COUNTER, REVERTER, init_code};
use medina_execution::{
    GenesisAccount, GenesisBuilder, GenesisError, GenesisTransaction, system_contracts,
};
use medina_types::ED25519_PRECOMPILE;
use std::collections::BTreeMap;

const DEPLOYER: Address = Address::repeat_byte(0xde);

#[test]
fn deployed_contracts_and_set_accounts_are_the_whole_state() {
    let mut builder = GenesisBuilder::new(7, 1_000);
    let slot = B256::repeat_byte(1);
    let set = GenesisAccount {
        balance: U256::from(5),
        storage: BTreeMap::from([(slot, slot), (B256::ZERO, B256::ZERO)]),
        ..Default::default()
    };
    builder.set_account(Address::repeat_byte(1), set).unwrap();
    let deploy = |code: &[u8]| GenesisTransaction {
        from: DEPLOYER,
        to: None,
        data: init_code(code),
        value: U256::ZERO,
    };
    let created = builder
        .execute_all(&[deploy(&COUNTER), deploy(&REVERTER)])
        .unwrap();
    let counter = created[0].unwrap();
    assert_eq!(counter, DEPLOYER.create(0));
    assert_eq!(created[1], Some(DEPLOYER.create(1)));
    builder.call(DEPLOYER, counter, Bytes::new()).unwrap();
    builder.call(DEPLOYER, counter, Bytes::new()).unwrap();
    let changes = builder.finish().unwrap();
    assert!(
        changes
            .accounts
            .values()
            .all(|change| change.before.is_none() && !change.storage_wiped)
    );
    assert_eq!(
        changes.accounts[&counter].storage[&U256::ZERO].after,
        U256::from(2)
    );
    assert_eq!(changes.accounts[&Address::repeat_byte(1)].storage.len(), 1);
    assert_eq!(changes.accounts[&DEPLOYER].after.unwrap().nonce, 4);
    assert_eq!(changes.codes.len(), 2);
    assert_eq!(
        changes.accounts.len(),
        4,
        "nothing else, not even who is paid"
    );
}

#[test]
fn chain_id_and_time_are_the_genesis_ones_and_our_precompile_is_there() {
    let mut builder = GenesisBuilder::new(7, 1_000);
    // Returns CHAINID and TIMESTAMP as the code of the contract.
    let created = builder
        .deploy(
            DEPLOYER,
            Bytes::from_static(&hex!("465f52426020526040 5ff3")),
            U256::ZERO,
        )
        .unwrap();
    let code_hash = builder.account(created).unwrap().unwrap().code_hash;
    let changes_code = builder.finish().unwrap().codes[&code_hash].clone();
    assert_eq!(U256::from_be_slice(&changes_code[..32]), U256::from(7));
    assert_eq!(U256::from_be_slice(&changes_code[32..]), U256::from(1_000));

    let device = medina_types::NodeSecretKey::from_bytes([1; 32]);
    let input = [
        &device.public_key().0[..],
        &device.sign(b"hello").0,
        b"hello",
    ]
    .concat();
    let output = GenesisBuilder::new(7, 0)
        .call(DEPLOYER, ED25519_PRECOMPILE, input.into())
        .unwrap();
    assert_eq!(U256::from_be_slice(&output), U256::ONE);
}

#[test]
fn failing_deployment_says_who_and_why_and_leaves_the_state_usable() {
    let mut builder = GenesisBuilder::new(7, 0);
    // Reverts with Error("bad owner").
    let text = "08c379a0\
        0000000000000000000000000000000000000000000000000000000000000020\
        0000000000000000000000000000000000000000000000000000000000000009\
        626164206f776e65720000000000000000000000000000000000000000000000";
    let data = hex::decode(text).unwrap();
    let length = u8::try_from(data.len()).unwrap();
    let code = [
        &[
            0x60, length, 0x60, 0x0b, 0x5f, 0x39, 0x60, length, 0x5f, 0xfd, 0x00,
        ][..],
        &data,
    ]
    .concat();
    let error = builder
        .deploy(DEPLOYER, code.into(), U256::ZERO)
        .unwrap_err();
    let GenesisError::Failed {
        from,
        to: None,
        reason,
        data: said,
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (*from, reason.as_str(), &said[..]),
        (DEPLOYER, "bad owner", &data[..])
    );
    assert!(
        error
            .to_string()
            .contains("to a new contract failed: bad owner"),
        "{error}"
    );
    assert_eq!(
        builder
            .deploy(DEPLOYER, init_code(&COUNTER), U256::ZERO)
            .unwrap(),
        DEPLOYER.create(0)
    );
}

#[test]
fn value_needs_a_funded_sender() {
    let mut builder = GenesisBuilder::new(7, 0);
    let error = builder
        .deploy(DEPLOYER, Bytes::new(), U256::ONE)
        .unwrap_err();
    assert!(error.to_string().contains("insufficient funds"), "{error}");
}

#[test]
fn system_contracts_have_the_codes_of_their_eips() {
    for contract in system_contracts() {
        assert_eq!(contract.nonce, 1);
        // All of them start with: is the caller the system address?
        assert_eq!(contract.code[..2], hex!("3373"));
        assert_eq!(contract.code[2..22], medina_execution::SYSTEM_ADDRESS[..]);
    }
}
