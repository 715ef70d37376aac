//! What holds after the plan has run: addresses, powers, upgrades.

use crate::harness::{Chain, key, org, user};
use alloy_primitives::{Address, Bytes};
use medina_contracts::{
    ContractAddresses, DeploymentParameters, Step,
    access_manager::AccessManager::*,
    identity::Identity::{self, getOrgCall, idOfCall, orgOfCall, roleOfCall},
    plan,
    values::access_roles,
};

fn has_role(chain: &Chain, role: u64, account: Address) -> bool {
    chain
        .view(
            chain.at.access_manager,
            &hasRoleCall {
                roleId: role,
                account,
            },
        )
        .isMember
}

#[test]
fn plan_is_a_function_of_its_arguments() {
    let accounts = [key("a").address(), key("b").address()];
    let parameters = DeploymentParameters::development(&accounts);
    let deployer = Address::repeat_byte(1);
    let first = plan(&parameters, deployer);
    assert_eq!(first, plan(&parameters, deployer));
    assert_eq!(first.addresses, ContractAddresses::of(deployer));
    for (nonce, step) in (0..).zip(&first.steps) {
        if let Step::Create { address, .. } = step {
            assert_eq!(*address, deployer.create(nonce));
        }
    }
    let json = serde_json::to_string(&parameters).unwrap();
    assert_eq!(
        serde_json::from_str::<DeploymentParameters>(&json).unwrap(),
        parameters
    );
}

#[test]
fn deployer_keeps_no_role() {
    let chain = Chain::new();
    let deployer = Address::repeat_byte(0xde);
    for role in 0..=6 {
        assert!(!has_role(&chain, role, deployer), "role {role}");
    }
    assert!(has_role(&chain, access_roles::ADMIN, chain.account(0)));
    assert!(has_role(&chain, access_roles::ADMIN, chain.at.gatekeeper));
}

#[test]
fn organisations_of_genesis_act_for_themselves() {
    let chain = Chain::new();
    for index in 0..10 {
        let a = chain.account(index);
        let at = chain.at.identity;
        assert_eq!(chain.view(at, &orgOfCall { a }), org(index));
        assert_eq!(chain.view(at, &idOfCall { a }), user(index));
        assert_eq!(
            chain.view(at, &roleOfCall { a }),
            if index == 0 { 4 } else { 2 }
        );
        assert_eq!(chain.view(at, &getOrgCall { org: org(index) }).admin, a);
    }
}

#[test]
fn initializers_run_once() {
    let mut chain = Chain::new();
    let again = Identity::initializeCall {
        authority: chain.account(1),
        seeds: Vec::new(),
    };
    chain.fails::<Identity::InvalidInitialization>(1, chain.at.identity, &again);
}

#[test]
fn upgrades_are_the_governors_and_keep_state() {
    let mut chain = Chain::new();
    let at = chain.at.identity;
    // The implementation lies one nonce before its proxy.
    let implementation = Address::repeat_byte(0xde).create(2);
    let upgrade = Identity::upgradeToAndCallCall {
        newImplementation: implementation,
        data: Bytes::new(),
    };
    chain.fails::<Identity::AccessManagedUnauthorized>(1, at, &upgrade);
    chain.ok(0, at, &upgrade);
    assert_eq!(
        chain.view(
            at,
            &orgOfCall {
                a: chain.account(3)
            }
        ),
        org(3)
    );
    let not_uups = Identity::upgradeToAndCallCall {
        newImplementation: chain.at.medina_token,
        data: Bytes::new(),
    };
    chain.fails::<Identity::ERC1967InvalidImplementation>(0, at, &not_uups);
}

#[test]
fn governors_delay_holds_and_guardians_cancel() {
    let keys: Vec<_> = (0..3)
        .map(|index| key(&format!("account {index}")))
        .collect();
    let accounts: Vec<_> = keys
        .iter()
        .map(alloy_signer_local::PrivateKeySigner::address)
        .collect();
    let mut parameters = DeploymentParameters::development(&accounts);
    parameters.governor_delay_s = 48 * 3_600;
    parameters.guardians = vec![accounts[1]];
    let mut chain = Chain::with(&parameters, keys);
    use medina_contracts::data_marketplace::DataMarketplace;
    let (market, manager) = (chain.at.data_marketplace, chain.at.access_manager);
    let call = DataMarketplace::setParamsCall {
        feeBps: 0,
        rebateBps: 0,
        disputeIn: 60,
    };
    chain.fails::<AccessManagerNotScheduled>(0, market, &call);
    let data: Bytes = alloy_sol_types::SolCall::abi_encode(&call).into();
    let schedule = scheduleCall {
        target: market,
        data: data.clone(),
        when: alloy_primitives::Uint::ZERO,
    };
    chain.ok(0, manager, &schedule);
    chain.fails::<AccessManagerNotReady>(0, market, &call);
    let mut cancelled = chain.clone();
    let cancel = cancelCall {
        caller: accounts[0],
        target: market,
        data,
    };
    cancelled.fails::<AccessManagerUnauthorizedCancel>(2, manager, &cancel);
    cancelled.ok(1, manager, &cancel);
    chain.warp(48 * 3_600);
    chain.ok(0, market, &call);
}
