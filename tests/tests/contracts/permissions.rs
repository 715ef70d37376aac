//! What Permissioning answers nodes: who may connect and transact, also when Identity fails; who may call what; what
//! upgrades leave alone.

use crate::{
    harness::{Chain, VALIDATORS, key, node_key, org},
    permissioning::{access, account, activate, admission, propose, removal, set_node},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall, SolError};
use medina_contracts::{
    access_manager::AccessManager,
    artifacts,
    gatekeeper::Gatekeeper,
    identity::Identity,
    permissioning::Permissioning::{self, *},
    values::{Access, BallotKind, BusinessRole, IdentityStatus, NodeState},
};

/// Somewhere to call; zero creates.
const TARGET: Address = Address::repeat_byte(1);

#[test]
fn access_of_the_organisation_decides_what_its_ids_do() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    chain.ok(0, at, &closeBootCall {});
    let a = chain.account(6);
    let expected = [
        (Access::Read, false, false),
        (Access::Transact, true, false),
        (Access::Deploy, true, true),
        (Access::Full, true, true),
    ];
    for (level, transacts, deploys) in expected {
        let data = access(org(6), level);
        let outcome = {
            let ballot = chain.propose(0, BallotKind::OrgAccess, data);
            for operator in 0..3 {
                chain.vote(operator, ballot, true);
            }
            chain.ok(0, at, &executeCall { ballot })
        };
        let event = outcome.event::<AccessSet>();
        assert_eq!((event.org, event.access), (org(6), level.into()));
        assert_eq!(
            chain.view(at, &accessOfCall { org: org(6) }),
            u8::from(level)
        );
        assert_eq!(chain.may_transact(a, TARGET), transacts, "{level:?}");
        assert_eq!(chain.may_transact(a, Address::ZERO), deploys, "{level:?}");
    }
    let never_set = B256::repeat_byte(9);
    let level = chain.view(at, &accessOfCall { org: never_set });
    assert_eq!(level, u8::from(Access::Transact));
}

#[test]
fn only_live_ids_system_accounts_and_operators_transact() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    let (user, operator) = (chain.account(6), chain.account(1));
    let stranger = key("stranger").address();
    assert!(!chain.may_transact(stranger, TARGET));
    chain.ok(0, at, &closeBootCall {});
    let suspend = |index: usize, chain: &Chain| Identity::setOrgCall {
        org: org(index),
        admin: chain.account(index),
        s: IdentityStatus::Suspended.into(),
        meta: B256::ZERO,
    };
    assert!(chain.may_transact(user, TARGET));
    for index in [6, 1] {
        let call = suspend(index, &chain);
        chain.ok(0, chain.at.identity, &call);
    }
    assert!(!chain.may_transact(user, TARGET), "its organisation sleeps");
    assert!(
        chain.may_transact(operator, TARGET),
        "an operator keeps its voice"
    );
    chain.decide(
        &[0, 2, 3],
        BallotKind::OrgAccess,
        access(org(1), Access::Read),
    );
    assert!(chain.may_transact(operator, TARGET));
    assert!(!chain.may_transact(operator, Address::ZERO));
    chain.decide(
        &[0, 2, 3],
        BallotKind::OrgAccess,
        access(org(1), Access::Deploy),
    );
    assert!(chain.may_transact(operator, Address::ZERO));
    chain.decide(&[0, 2, 3], BallotKind::RemoveValidator, removal(1));
    assert!(!chain.may_transact(operator, TARGET));
    // Whom a ballot admits must be able to activate.
    chain.decide(&[0, 2, 3], BallotKind::AddValidator, admission(1, stranger));
    assert!(chain.may_transact(stranger, TARGET));
    chain.decide(&[0, 2, 3], BallotKind::Account, account(stranger, 1));
    assert!(!chain.may_transact(stranger, TARGET));
    chain.decide(&[0, 2, 3], BallotKind::Account, account(stranger, 2));
    assert!(chain.may_transact(stranger, TARGET) && chain.may_transact(stranger, Address::ZERO));
}

#[test]
fn lists_of_genesis_rule_until_boot_is_closed() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    let a = chain.account(6);
    chain.decide(
        &[0, 1, 2],
        BallotKind::OrgAccess,
        access(org(6), Access::Read),
    );
    assert!(chain.may_transact(a, Address::ZERO), "listed");
    chain.decide(&[0, 1, 2], BallotKind::RemoveValidator, removal(3));
    chain.set_node(3, 3, NodeState::Inactive);
    assert!(chain.may_connect(3), "listed");
    chain.fails::<AccessManagedUnauthorized>(1, at, &closeBootCall {});
    chain.ok(0, at, &closeBootCall {});
    chain.fails::<NotOpen>(0, at, &closeBootCall {});
    assert!(!chain.view(at, &isBootingCall {}));
    assert!(!chain.may_transact(a, TARGET) && !chain.may_connect(3));
    chain.set_node(3, 3, NodeState::Active);
    assert!(chain.may_connect(3));
}

#[test]
fn views_answer_whatever_identity_does() {
    let chain = Chain::new();
    let at = chain.at.permissioning;
    // Returns 64 KiB of ones; one byte; spends all gas.
    let long = alloy_primitives::hex!("5f195f52620100005ff3");
    let short = alloy_primitives::hex!("60015ff3");
    let spender = alloy_primitives::hex!("5b5f56");
    let codes: [&[u8]; 6] = [&[0xfe], &[], &[0x5f, 0x5f, 0xfd], &long, &short, &spender];
    for code in codes {
        let mut chain = chain.clone();
        chain.ok(0, at, &closeBootCall {});
        chain.add_node(6, 6);
        chain.put_code(chain.at.identity, Bytes::copy_from_slice(code));
        assert!(chain.may_connect(0), "a validator always");
        assert!(!chain.may_connect(6));
        assert!(
            chain.may_transact(chain.account(0), TARGET),
            "an operator always"
        );
        // Whoever answers with ones says that an id is live; its organisation has access Transact.
        let lies = code == long;
        assert_eq!(chain.may_transact(chain.account(6), TARGET), lies);
        assert_eq!(chain.validators().len(), VALIDATORS);
        // A node gives a question a million gas.
        let connect = connectionAllowedCall {
            nodeKey: node_key(6),
        };
        let sender = chain.account(9);
        assert!(chain.call_with_gas(sender, at, &connect, 1_000_000).success);
        let transact = transactionAllowedCall {
            sender: chain.account(6),
            target: TARGET,
            value: U256::ZERO,
            gasPrice: U256::ZERO,
            gasLimit: U256::ZERO,
            payload: Bytes::from(vec![7; 10_000]),
        };
        assert!(
            chain
                .call_with_gas(sender, at, &transact, 1_000_000)
                .success
        );
        // Ballots need no Identity.
        chain.decide(&[0, 1, 2], BallotKind::RemoveValidator, removal(3));
    }
}

/// Everything that changes something, as somebody of each kind tries it.
#[test]
fn everybody_does_what_is_theirs_and_nothing_else() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    // 0 to 3 operate, 0 also governs; 6 is the admin of its organisation, 8 admitted, 9 a guardian.
    chain.add_node(6, 6);
    chain.decide(
        &[0, 1, 2],
        BallotKind::AddValidator,
        admission(6, chain.account(8)),
    );
    let open = chain.propose(0, BallotKind::RemoveValidator, removal(3));
    let grant = AccessManager::grantRoleCall {
        roleId: 2,
        account: chain.account(9),
        executionDelay: 0,
    };
    chain.ok(0, chain.at.access_manager, &grant);
    let add = addNodeCall {
        org: org(6),
        nodeKey: node_key(7),
    };
    let block = setAccountCall {
        a: chain.account(6),
        state: 1,
    };
    let upgrade = upgradeToAndCallCall {
        newImplementation: Address::repeat_byte(0xde).create(18),
        data: Bytes::new(),
    };
    let calls: [(&str, Vec<u8>, &[usize]); 9] = [
        ("addNode", add.abi_encode(), &[6]),
        (
            "setNode",
            set_node(6, NodeState::Inactive).abi_encode(),
            &[6],
        ),
        ("setAccount", block.abi_encode(), &[6]),
        (
            "propose",
            propose(BallotKind::RemoveValidator, removal(0)).abi_encode(),
            &[0, 1, 2, 3],
        ),
        (
            "vote",
            voteCall {
                ballot: open,
                yes: true,
            }
            .abi_encode(),
            &[0, 1, 2, 3],
        ),
        ("activate", activate(6).abi_encode(), &[8]),
        ("closeBoot", closeBootCall {}.abi_encode(), &[0]),
        ("upgrade", upgrade.abi_encode(), &[0]),
        // Anybody may, but it has no majority.
        ("execute", executeCall { ballot: open }.abi_encode(), &[]),
    ];
    for (name, data, allowed) in calls {
        for actor in 0..10 {
            let sender = chain.account(actor);
            let outcome = chain.clone().call_data(sender, at, data.clone().into());
            assert_eq!(
                outcome.success,
                allowed.contains(&actor),
                "{name} by {actor}"
            );
            let selectors = [
                NotAdmin::SELECTOR,
                AccessManagedUnauthorized::SELECTOR,
                QuorumMissing::SELECTOR,
            ];
            let refused = outcome
                .output
                .get(..4)
                .is_some_and(|error| selectors.iter().any(|selector| error == selector));
            assert!(
                outcome.success || refused,
                "{name} by {actor}: {}",
                outcome.output
            );
        }
    }
}

#[test]
fn manager_of_an_organisation_is_not_its_admin() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    let role = Identity::setRoleCall {
        userId: crate::harness::user(7),
        role: BusinessRole::Administrator.into(),
    };
    chain.ok(0, chain.at.identity, &role);
    let add = addNodeCall {
        org: org(6),
        nodeKey: node_key(6),
    };
    chain.fails::<NotAdmin>(7, at, &add);
}

#[test]
fn guardian_stops_new_nodes_and_no_ballot() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    chain.add_node(6, 6);
    chain.ok(
        0,
        chain.at.gatekeeper,
        &Gatekeeper::closeCall { target: at },
    );
    let add = addNodeCall {
        org: org(7),
        nodeKey: node_key(7),
    };
    chain.fails::<AccessManagedUnauthorized>(7, at, &add);
    chain.decide(
        &[0, 1, 2],
        BallotKind::AddValidator,
        admission(6, chain.account(6)),
    );
    chain.ok(6, at, &activate(6));
    assert!(chain.node(6).validator);
}

#[test]
fn initializer_runs_once_and_never_on_the_implementation() {
    let mut chain = Chain::new();
    let implementation = Address::repeat_byte(0xde).create(18);
    let again = initializeCall {
        authority: chain.account(1),
        seeds: Vec::new(),
        orgs: Vec::new(),
        accounts: Vec::new(),
    };
    for target in [chain.at.permissioning, implementation] {
        chain.fails::<Permissioning::InvalidInitialization>(1, target, &again);
    }
}

#[test]
fn upgrade_leaves_all_state_where_it_is() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    chain.grow(6);
    chain.add_node(7, 7);
    chain.decide(
        &[0, 1, 2],
        BallotKind::OrgAccess,
        access(org(8), Access::Read),
    );
    chain.decide(&[0, 1, 2], BallotKind::Account, account(TARGET, 2));
    let open = chain.propose(0, BallotKind::RemoveValidator, removal(6));
    chain.vote(0, open, true);
    let before = picture(&chain, open);
    // The same code once more, at another address, as a repair would be deployed.
    let code = artifacts::by_name("Permissioning").unwrap().creation_code;
    let arguments = constructorCall {
        identity: chain.at.identity,
    };
    let init = [
        code.as_ref(),
        &alloy_sol_types::SolConstructor::abi_encode(&arguments),
    ]
    .concat();
    let implementation = chain.create(&init.into());
    let upgrade = upgradeToAndCallCall {
        newImplementation: implementation,
        data: Bytes::new(),
    };
    chain.ok(0, at, &upgrade);
    assert_eq!(picture(&chain, open), before);
    for operator in [1, 2] {
        chain.vote(operator, open, true);
    }
    chain.ok(0, at, &executeCall { ballot: open });
    assert!(!chain.node(6).validator);
}

fn picture(chain: &Chain, ballot: U256) -> String {
    let nodes: Vec<_> = (0..9).map(|index| chain.node(index)).collect();
    let access = chain.view(chain.at.permissioning, &accessOfCall { org: org(8) });
    let account = chain.view(chain.at.permissioning, &accountStateCall { a: TARGET });
    let (validators, ballot) = (chain.validators(), chain.ballot(ballot));
    format!(
        "{nodes:?} {access} {} {validators:?} {ballot:?}",
        account.state
    )
}
