//! Permissioning as its organisations use it: nodes, accounts, ballots, validators.

use crate::harness::{Chain, VALIDATORS, key, node_key, org};
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_sol_types::{SolCall, SolError, SolValue};
use medina_contracts::{
    DeploymentParameters,
    deployment::NodeSeed,
    identity::Identity,
    permissioning::{
        IPermissioning::{BallotView, Node},
        Permissioning::*,
    },
    values::{Access, BallotKind, IdentityStatus, NodeState},
};
use medina_types::NodePublicKey;
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

const DAY: u64 = 24 * 60 * 60;

/// Common scenes.
impl Chain {
    pub(crate) fn may_connect(&self, index: usize) -> bool {
        let call = connectionAllowedCall {
            nodeKey: node_key(index),
        };
        self.view(self.at.permissioning, &call)
    }

    pub(crate) fn may_transact(&self, sender: Address, target: Address) -> bool {
        let call = transactionAllowedCall {
            sender,
            target,
            value: U256::ZERO,
            gasPrice: U256::ZERO,
            gasLimit: U256::ZERO,
            payload: Bytes::new(),
        };
        self.view(self.at.permissioning, &call)
    }

    pub(crate) fn node(&self, index: usize) -> Node {
        let call = getNodeCall {
            nodeKey: node_key(index),
        };
        self.view(self.at.permissioning, &call)
    }

    pub(crate) fn ballot(&self, ballot: U256) -> BallotView {
        self.view(self.at.permissioning, &getBallotCall { ballot })
    }

    /// The validators by index of their node, each with its operator.
    pub(crate) fn validators(&self) -> Vec<(B256, Address)> {
        let at = self.at.permissioning;
        let keys = self.view(at, &validatorKeysCall {});
        let operators = self.view(at, &getValidatorsCall {});
        assert_eq!(keys.len(), operators.len());
        keys.into_iter().zip(operators).collect()
    }

    pub(crate) fn add_node(&mut self, admin: usize, index: usize) {
        let call = addNodeCall {
            org: org(admin),
            nodeKey: node_key(index),
        };
        self.ok(admin, self.at.permissioning, &call);
    }

    pub(crate) fn set_node(&mut self, admin: usize, index: usize, state: NodeState) {
        self.ok(admin, self.at.permissioning, &set_node(index, state));
    }

    pub(crate) fn propose(&mut self, operator: usize, kind: BallotKind, data: Vec<u8>) -> U256 {
        let outcome = self.ok(operator, self.at.permissioning, &propose(kind, data));
        proposeCall::abi_decode_returns(&outcome.output).unwrap()
    }

    pub(crate) fn vote(&mut self, operator: usize, ballot: U256, yes: bool) {
        self.ok(operator, self.at.permissioning, &voteCall { ballot, yes });
    }

    /// Proposes, lets these operators say yes and executes.
    pub(crate) fn decide(&mut self, operators: &[usize], kind: BallotKind, data: Vec<u8>) -> U256 {
        let ballot = self.decided(operators, kind, data);
        self.ok(0, self.at.permissioning, &executeCall { ballot });
        ballot
    }

    /// As [`Chain::decide`], not executed yet.
    fn decided(&mut self, operators: &[usize], kind: BallotKind, data: Vec<u8>) -> U256 {
        let ballot = self.propose(operators[0], kind, data);
        for operator in operators {
            self.vote(*operator, ballot, true);
        }
        ballot
    }

    /// Adds node `index` of account `index`, lets three organisations admit it, and activates it.
    pub(crate) fn grow(&mut self, index: usize) {
        self.add_node(index, index);
        self.decide(
            &[0, 1, 2],
            BallotKind::AddValidator,
            admission(index, self.account(index)),
        );
        self.ok(index, self.at.permissioning, &activate(index));
    }
}

pub(crate) fn set_node(index: usize, state: NodeState) -> setNodeCall {
    setNodeCall {
        nodeKey: node_key(index),
        s: state.into(),
    }
}

pub(crate) fn propose(kind: BallotKind, data: Vec<u8>) -> proposeCall {
    proposeCall {
        kind: kind.into(),
        data: data.into(),
    }
}

pub(crate) fn activate(index: usize) -> activateCall {
    activateCall {
        nodeKey: node_key(index),
    }
}

pub(crate) fn admission(index: usize, operator: Address) -> Vec<u8> {
    (node_key(index), operator).abi_encode()
}

pub(crate) fn removal(index: usize) -> Vec<u8> {
    node_key(index).abi_encode()
}

pub(crate) fn recovery(index: usize, state: NodeState) -> Vec<u8> {
    (node_key(index), U256::from(u8::from(state))).abi_encode()
}

pub(crate) fn access(of: B256, access: Access) -> Vec<u8> {
    (of, U256::from(u8::from(access))).abi_encode()
}

pub(crate) fn account(of: Address, state: u8) -> Vec<u8> {
    (of, U256::from(state)).abi_encode()
}

fn suspend(index: usize, chain: &Chain) -> Identity::setOrgCall {
    Identity::setOrgCall {
        org: org(index),
        admin: chain.account(index),
        s: IdentityStatus::Suspended.into(),
        meta: B256::ZERO,
    }
}

#[test]
fn genesis_lists_validators_with_their_organisations() {
    let chain = Chain::new();
    let expected: Vec<_> = (0..VALIDATORS)
        .map(|index| (node_key(index), chain.account(index)))
        .collect();
    assert_eq!(chain.validators(), expected);
    for index in 0..VALIDATORS {
        let node = chain.node(index);
        assert_eq!(
            (node.org, node.operator),
            (org(index), chain.account(index))
        );
        assert!(node.validator && node.listed && !node.held);
        assert_eq!(node.state, u8::from(NodeState::Active));
        assert!(chain.may_connect(index));
    }
    assert!(!chain.may_connect(9), "unknown node");
    assert!(chain.view(chain.at.permissioning, &isBootingCall {}));
}

#[test]
fn operator_without_organisation_gets_one() {
    let admin = key("admin");
    let operators = [key("operator 0").address(), key("operator 1").address()];
    let validators = operators
        .iter()
        .enumerate()
        .map(|(index, operator)| (node_key(index), *operator));
    let parameters =
        DeploymentParameters::development(&[admin.address()]).with_validators(validators);
    let chain = Chain::with(
        &parameters,
        vec![admin, key("operator 0"), key("operator 1")],
    );
    for (index, operator) in operators.into_iter().enumerate() {
        assert_eq!(chain.node(index).org, org(index + 1));
        let of = Identity::getOrgCall {
            org: org(index + 1),
        };
        assert_eq!(chain.view(chain.at.identity, &of).admin, operator);
    }
}

#[test]
fn seeds_are_unique_and_at_most_128() {
    let accounts: Vec<_> = (0..2)
        .map(|index| key(&format!("account {index}")).address())
        .collect();
    let base = DeploymentParameters::development(&accounts);
    let seed = |index: usize, operator: Address| NodeSeed {
        org: org(0),
        key: node_key(index),
        operator: Some(operator),
    };
    let deploys = |nodes: Vec<NodeSeed>| {
        let mut parameters = base.clone();
        parameters.permissioning.nodes = nodes;
        Chain::try_with(&parameters, Vec::new()).map(drop)
    };
    let refused = |selector: [u8; 4]| Err(format!("Permissioning: {}", Bytes::from(selector)));
    let many =
        |count: usize| (0..count).map(|index| seed(index, key(&format!("o{index}")).address()));
    assert_eq!(deploys(Vec::new()), Ok(()));
    assert_eq!(deploys(many(128).collect()), Ok(()));
    assert_eq!(deploys(many(129).collect()), refused(TooMany::SELECTOR));
    let one_key = vec![seed(0, accounts[0]), seed(0, accounts[1])];
    assert_eq!(deploys(one_key), refused(Known::SELECTOR));
    let one_operator = vec![seed(0, accounts[0]), seed(1, accounts[0])];
    assert_eq!(deploys(one_operator), refused(Known::SELECTOR));
}

#[test]
fn nodes_are_added_by_the_admin_of_an_organisation_with_full_access() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    let add = |admin: usize, index: usize| addNodeCall {
        org: org(admin),
        nodeKey: node_key(index),
    };
    chain.fails::<NotAdmin>(5, at, &add(6, 6));
    chain.fails::<Known>(0, at, &add(0, 0));
    let zero = addNodeCall {
        org: org(6),
        nodeKey: B256::ZERO,
    };
    chain.fails::<OutOfRange>(6, at, &zero);
    let mut less = chain.clone();
    less.decide(
        &[0, 1, 2],
        BallotKind::OrgAccess,
        access(org(6), Access::Deploy),
    );
    less.fails::<NotAdmin>(6, at, &add(6, 6));
    let mut suspended = chain.clone();
    let call = suspend(6, &suspended);
    suspended.ok(0, suspended.at.identity, &call);
    suspended.fails::<NotAdmin>(6, at, &add(6, 6));
    let added = chain.ok(6, at, &add(6, 6)).event::<NodeSet>();
    let expected = NodeSet {
        nodeKey: node_key(6),
        org: org(6),
        s: NodeState::Active.into(),
    };
    assert_eq!(added, expected);
    assert!(chain.may_connect(6));
    chain.ok(0, chain.at.identity, &suspend(6, &chain));
    assert!(!chain.may_connect(6), "its organisation sleeps");
    assert!(!chain.node(6).listed);
}

/// 2^255 - 19 and what is added to it, the lowest byte first.
fn beyond_the_field(added: u8) -> [u8; 32] {
    let mut key = [0xff; 32];
    (key[0], key[31]) = (0xed + added, 0x7f);
    key
}

#[test]
fn keys_with_which_nobody_can_sign_are_refused() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    let add = |key: [u8; 32]| addNodeCall {
        org: org(6),
        nodeKey: key.into(),
    };
    let neutral = U256::ONE.to_le_bytes();
    let order_2 = U256::from_le_bytes(beyond_the_field(0)) - U256::ONE;
    let order_8 = [
        hex!("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        hex!("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    ];
    let mut unusable = vec![neutral, order_2.to_le_bytes(), order_8[0], order_8[1]];
    // Other names of 0 to 18; nodes would take some of them, and no signer writes them.
    unusable.extend((0..=0x12).map(beyond_the_field));
    // No point at all.
    unusable.push(U256::from(2).to_le_bytes());
    let with_sign = |key: &[u8; 32]| {
        let mut key = *key;
        key[31] |= 0x80;
        key
    };
    let signs: Vec<_> = unusable.iter().map(with_sign).collect();
    for key in [unusable, signs].concat() {
        chain.fails::<BadKey>(6, at, &add(key));
    }
    // Order four; the other sign is no zero key.
    let mut order_4 = [0; 32];
    order_4[31] = 0x80;
    chain.fails::<BadKey>(6, at, &add(order_4));
}

#[test]
fn contract_takes_the_keys_that_nodes_take() {
    let mut runner = TestRunner::deterministic();
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..400 {
        let key = any::<[u8; 32]>().new_tree(&mut runner).unwrap().current();
        let call = addNodeCall {
            org: org(6),
            nodeKey: key.into(),
        };
        if NodePublicKey(key).checked().is_ok() {
            chain.ok(6, at, &call);
            taken += 1;
        } else {
            chain.fails::<BadKey>(6, at, &call);
            refused += 1;
        }
    }
    assert!(
        taken > 100 && refused > 100,
        "{taken} taken, {refused} refused"
    );
}

#[test]
fn nodes_are_switched_by_their_organisation_unless_they_validate() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    chain.add_node(6, 6);
    chain.fails::<Unknown>(6, at, &set_node(7, NodeState::Active));
    chain.fails::<NotAdmin>(5, at, &set_node(6, NodeState::Inactive));
    chain.fails::<OutOfRange>(6, at, &set_node(6, NodeState::None));
    for state in [
        NodeState::Active,
        NodeState::Inactive,
        NodeState::Blacklisted,
    ] {
        chain.fails::<Locked>(0, at, &set_node(0, state));
    }
    let outcome = chain.ok(6, at, &set_node(6, NodeState::Inactive));
    assert_eq!(outcome.event::<NodeSet>().s, u8::from(NodeState::Inactive));
    assert!(!chain.may_connect(6));
    chain.set_node(6, 6, NodeState::Active);
    assert!(chain.may_connect(6));
    chain.set_node(6, 6, NodeState::Blacklisted);
    assert!(!chain.may_connect(6));
    chain.fails::<Locked>(6, at, &set_node(6, NodeState::Active));
}

#[test]
fn ballot_brings_a_blacklisted_node_back_and_its_organisation_cannot_undo_it() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    chain.add_node(6, 6);
    chain.set_node(6, 6, NodeState::Blacklisted);
    let recover = |state| recovery(6, state);
    chain.decide(
        &[0, 1, 2],
        BallotKind::Recover,
        recover(NodeState::Inactive),
    );
    assert!(chain.node(6).held && !chain.may_connect(6));
    chain.fails::<Locked>(6, at, &set_node(6, NodeState::Active));
    chain.decide(&[0, 1, 2], BallotKind::Recover, recover(NodeState::Active));
    assert!(!chain.node(6).held && chain.may_connect(6));
    chain.set_node(6, 6, NodeState::Inactive);
    chain.set_node(6, 6, NodeState::Active);
}

#[test]
fn admins_block_their_own_users() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    let (a, target) = (chain.account(6), Address::repeat_byte(1));
    let set = |a: Address, state: u8| setAccountCall { a, state };
    chain.fails::<Unknown>(6, at, &set(key("stranger").address(), 1));
    chain.fails::<NotAdmin>(5, at, &set(a, 1));
    chain.fails::<OutOfRange>(6, at, &set(a, 2));
    chain.fails::<Locked>(0, at, &set(chain.account(0), 1));
    assert!(chain.may_transact(a, target));
    let blocked = chain.ok(6, at, &set(a, 1)).event::<AccountSet>();
    assert_eq!((blocked.a, blocked.state), (a, 1));
    assert!(!chain.may_transact(a, target));
    chain.ok(6, at, &set(a, 0));
    assert!(chain.may_transact(a, target));
    // What a ballot has set is not theirs.
    chain.decide(&[0, 1, 2], BallotKind::Account, account(a, 1));
    assert!(!chain.may_transact(a, target));
    chain.fails::<Locked>(6, at, &set(a, 0));
    let state = chain.view(at, &accountStateCall { a });
    assert!(state.state == 1 && state.held);
    chain.decide(&[0, 1, 2], BallotKind::Account, account(a, 0));
    chain.ok(6, at, &set(a, 1));
}

#[test]
fn operators_propose_what_is_well_formed() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    let good = admission(6, chain.account(6));
    chain.fails::<NotAdmin>(6, at, &propose(BallotKind::AddValidator, good.clone()));
    let word = |value: u64| U256::from(value).to_be_bytes_vec();
    let pair = |first: &[u8], second: Vec<u8>| [first, &second].concat();
    let some = node_key(6);
    let beyond = B256::repeat_byte(0xff).to_vec();
    let malformed = [
        (0, Vec::new(), "no data"),
        (0, access(B256::ZERO, Access::Full), "no organisation"),
        (0, pair(&some[..], word(4)), "no such access"),
        (1, some.to_vec(), "no operator"),
        (1, pair(&some[..], word(0)), "operator zero"),
        (1, pair(&some[..], beyond.clone()), "operator of 32 bytes"),
        (1, admission(6, chain.account(6))[1..].to_vec(), "cut"),
        (2, good.clone(), "too long"),
        (2, word(0), "key zero"),
        (3, recovery(6, NodeState::None), "state None"),
        (3, pair(&some[..], word(4)), "no such state"),
        (4, some.to_vec(), "no value"),
        (5, pair(&beyond, word(1)), "account of 32 bytes"),
        (5, account(chain.account(6), 3), "no such state"),
        (5, account(Address::ZERO, 1), "account zero"),
        (6, good.clone(), "no such kind"),
        (255, good.clone(), "no such kind"),
    ];
    for (kind, data, why) in malformed {
        let call = proposeCall {
            kind,
            data: data.into(),
        };
        let outcome = chain.call(chain.account(0), at, &call);
        assert_eq!(outcome.output[..], BadBallot::SELECTOR, "{why}");
    }
    let outcome = chain.ok(2, at, &propose(BallotKind::AddValidator, good.clone()));
    let expected = Proposed {
        ballot: U256::ONE,
        kind: 1,
        data: good.clone().into(),
    };
    assert_eq!(outcome.event::<Proposed>(), expected);
    assert_eq!(chain.view(at, &ballotCountCall {}), U256::ONE);
    let seen = chain.ballot(U256::ONE);
    assert_eq!((seen.kind, seen.data.to_vec()), (1, good));
    assert_eq!((seen.organisations, seen.yes, seen.no), (4, 0, 0));
    assert!(seen.open && !seen.passes && !seen.executed);
    assert_eq!(seen.opened.to::<u64>(), chain.time);
    assert_eq!(chain.ballot(U256::from(2)).opened.to::<u64>(), 0, "unknown");
}

#[test]
fn organisation_opens_16_ballots_at_a_time_and_buries_nobody_elses() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    let data = |index: u64| (B256::repeat_byte(7), U256::from(index)).abi_encode();
    let kind = BallotKind::Parameter;
    let first = chain.propose(0, kind, data(0));
    for index in 1..16 {
        chain.propose(0, kind, data(index));
    }
    chain.fails::<TooMany>(0, at, &propose(kind, data(16)));
    assert_eq!(chain.view(at, &ballotCountCall {}), U256::from(16));
    chain.propose(1, kind, data(16));
    // One that is executed makes place for one.
    for operator in 0..3 {
        chain.vote(operator, first + U256::from(5), true);
    }
    let ballot = first + U256::from(5);
    chain.ok(0, at, &executeCall { ballot });
    chain.propose(0, kind, data(17));
    chain.fails::<TooMany>(0, at, &propose(kind, data(18)));
    // As does time, for all.
    chain.warp(30 * DAY + 1);
    for index in 0..16 {
        chain.propose(0, kind, data(index));
    }
    chain.fails::<TooMany>(0, at, &propose(kind, data(16)));
}

#[test]
fn operators_of_one_organisation_share_its_16_ballots() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    chain.add_node(0, 6);
    chain.decide(
        &[0, 1, 2],
        BallotKind::AddValidator,
        admission(6, chain.account(6)),
    );
    chain.ok(6, at, &activate(6));
    let kind = BallotKind::RemoveValidator;
    for index in 0..16 {
        chain.propose([0, 6][index % 2], kind, removal(3));
    }
    for operator in [0, 6] {
        chain.fails::<TooMany>(operator, at, &propose(kind, removal(3)));
    }
}

#[test]
fn each_organisation_votes_once() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    // Organisation 0 runs a second validator, by account 6.
    chain.add_node(0, 6);
    chain.decide(
        &[0, 1, 2],
        BallotKind::AddValidator,
        admission(6, chain.account(6)),
    );
    chain.ok(6, at, &activate(6));
    let ballot = chain.propose(1, BallotKind::Parameter, access(org(1), Access::Read));
    let vote = |ballot: U256| voteCall { ballot, yes: true };
    chain.fails::<NotAdmin>(7, at, &vote(ballot));
    chain.fails::<Unknown>(1, at, &vote(U256::ZERO));
    chain.fails::<Unknown>(1, at, &vote(ballot + U256::ONE));
    let voted = chain.ok(0, at, &vote(ballot)).event::<Voted>();
    assert_eq!((voted.ballot, voted.org, voted.yes), (ballot, org(0), true));
    chain.fails::<AlreadyVoted>(0, at, &vote(ballot));
    chain.fails::<AlreadyVoted>(6, at, &vote(ballot));
    chain.vote(1, ballot, false);
    let seen = chain.ballot(ballot);
    assert_eq!((seen.organisations, seen.yes, seen.no), (4, 1, 1));
    for (index, said) in [(0, 1), (1, 2), (2, 0)] {
        let org = org(index);
        assert_eq!(chain.view(at, &voteOfCall { ballot, org }), said);
    }
    chain.warp(30 * DAY);
    chain.vote(2, ballot, true);
    chain.warp(1);
    chain.fails::<NotOpen>(3, at, &vote(ballot));
    chain.fails::<NotOpen>(3, at, &executeCall { ballot });
    assert!(!chain.ballot(ballot).open);
}

#[test]
fn more_than_half_of_the_organisations_decide() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    let (name, value) = (B256::repeat_byte(7), U256::from(42));
    let data = (name, value).abi_encode();
    let ballot = chain.decided(&[0, 1], BallotKind::Parameter, data);
    let execute = executeCall { ballot };
    chain.fails::<QuorumMissing>(0, at, &execute);
    chain.fails::<Unknown>(
        0,
        at,
        &executeCall {
            ballot: U256::from(9),
        },
    );
    assert!(!chain.ballot(ballot).passes);
    chain.vote(3, ballot, true);
    assert!(chain.ballot(ballot).passes);
    // Anybody may.
    let outcome = chain.ok(8, at, &execute);
    assert_eq!(outcome.event::<Executed>().ballot, ballot);
    assert_eq!(chain.view(at, &parameterCall { key: name }), value);
    chain.fails::<NotOpen>(8, at, &execute);
    chain.fails::<NotOpen>(2, at, &voteCall { ballot, yes: true });
    assert!(chain.ballot(ballot).executed);
}

#[test]
fn votes_of_organisations_that_run_no_validator_any_more_do_not_count() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    let ballot = chain.decided(&[0, 3], BallotKind::Parameter, access(org(1), Access::Read));
    chain.decide(&[0, 1, 2], BallotKind::RemoveValidator, removal(3));
    let seen = chain.ballot(ballot);
    assert_eq!((seen.organisations, seen.yes), (3, 1));
    chain.fails::<QuorumMissing>(0, at, &executeCall { ballot });
    chain.fails::<NotAdmin>(3, at, &voteCall { ballot, yes: true });
    chain.vote(1, ballot, true);
    chain.ok(0, at, &executeCall { ballot });
}

#[test]
fn admitted_node_counts_after_its_operator_activates_it() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    let operator = chain.account(6);
    let admit = admission(6, operator);
    let premature = chain.decided(&[0, 1, 2], BallotKind::AddValidator, admit.clone());
    chain.fails::<Unknown>(0, at, &executeCall { ballot: premature });
    chain.fails::<Unknown>(6, at, &activate(6));
    chain.add_node(6, 6);
    chain.fails::<Unknown>(6, at, &activate(6));
    chain.set_node(6, 6, NodeState::Inactive);
    chain.fails::<Locked>(0, at, &executeCall { ballot: premature });
    chain.set_node(6, 6, NodeState::Active);
    chain.ok(0, at, &executeCall { ballot: premature });
    assert_eq!(chain.validators().len(), VALIDATORS, "admitted, not active");
    assert_eq!(chain.node(6).operator, operator);
    assert!(!chain.node(6).validator);
    chain.fails::<NotAdmin>(0, at, &activate(6));
    chain.fails::<NotAdmin>(6, at, &propose(BallotKind::AddValidator, admit));
    let mut inactive = chain.clone();
    inactive.set_node(6, 6, NodeState::Inactive);
    inactive.fails::<Locked>(6, at, &activate(6));
    let mut asleep = chain.clone();
    let sleep = suspend(6, &asleep);
    asleep.ok(0, asleep.at.identity, &sleep);
    asleep.fails::<Locked>(6, at, &activate(6));
    let mut blocked = chain.clone();
    blocked.ok(
        6,
        at,
        &setAccountCall {
            a: operator,
            state: 1,
        },
    );
    blocked.fails::<Locked>(6, at, &activate(6));
    let event = chain.ok(6, at, &activate(6)).event::<ValidatorSet>();
    let expected = ValidatorSet {
        nodeKey: node_key(6),
        operator,
        active: true,
    };
    assert_eq!(event, expected);
    assert_eq!(chain.validators()[VALIDATORS], (node_key(6), operator));
    chain.fails::<Unknown>(6, at, &activate(6));
    let again = chain.decided(&[0, 1, 2], BallotKind::AddValidator, admission(6, operator));
    chain.fails::<Known>(0, at, &executeCall { ballot: again });
}

#[test]
fn admission_is_for_one_operator_and_can_be_taken_back() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    let (first, second) = (chain.account(6), chain.account(7));
    for index in [6, 7] {
        chain.add_node(6, index);
    }
    let add = BallotKind::AddValidator;
    let taken = chain.decided(&[0, 1, 2], add, admission(6, chain.account(1)));
    chain.fails::<Known>(0, at, &executeCall { ballot: taken });
    chain.decide(&[0, 1, 2], add, admission(6, first));
    let twice = chain.decided(&[0, 1, 2], add, admission(7, first));
    chain.fails::<Known>(0, at, &executeCall { ballot: twice });
    // Another operator for the same node: the first is free again.
    chain.decide(&[0, 1, 2], add, admission(6, second));
    chain.fails::<NotAdmin>(6, at, &activate(6));
    chain.ok(0, at, &executeCall { ballot: twice });
    let remove = BallotKind::RemoveValidator;
    chain.decide(&[0, 1, 2], remove, removal(6));
    chain.fails::<Unknown>(7, at, &activate(6));
    assert_eq!(chain.node(6).operator, Address::ZERO);
    let nobody = chain.decided(&[0, 1, 2], remove, removal(6));
    chain.fails::<Unknown>(0, at, &executeCall { ballot: nobody });
    // Blacklisting takes it back as well.
    chain.set_node(6, 7, NodeState::Blacklisted);
    chain.decide(
        &[0, 1, 2],
        BallotKind::Recover,
        recovery(7, NodeState::Active),
    );
    chain.fails::<Unknown>(6, at, &activate(7));
}

#[test]
fn removed_validator_keeps_its_node_and_can_come_back() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    let ballot = chain.decided(&[0, 1, 2], BallotKind::RemoveValidator, removal(1));
    let event = chain
        .ok(9, at, &executeCall { ballot })
        .event::<ValidatorSet>();
    let expected = ValidatorSet {
        nodeKey: node_key(1),
        operator: chain.account(1),
        active: false,
    };
    assert_eq!(event, expected);
    let left: Vec<_> = [0, 3, 2]
        .iter()
        .map(|index| (node_key(*index), chain.account(*index)))
        .collect();
    assert_eq!(chain.validators(), left, "the last one takes its place");
    assert!(chain.may_connect(1) && !chain.node(1).validator);
    // Neither what made it a validator nor what removed it serves again.
    chain.fails::<Unknown>(1, at, &activate(1));
    chain.fails::<NotOpen>(1, at, &executeCall { ballot });
    chain.fails::<NotAdmin>(1, at, &propose(BallotKind::RemoveValidator, removal(0)));
    // Who moved in the list can be removed as well.
    chain.decide(&[0, 2], BallotKind::RemoveValidator, removal(3));
    assert_eq!(chain.validators().len(), 2);
    let back = admission(1, chain.account(1));
    chain.decide(&[0, 2], BallotKind::AddValidator, back);
    chain.ok(1, at, &activate(1));
    assert_eq!(chain.validators()[2], (node_key(1), chain.account(1)));
}

#[test]
fn removal_is_not_undone_by_what_was_voted_before_it() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    let back = admission(1, chain.account(1));
    let kept = chain.decided(&[0, 2, 3], BallotKind::AddValidator, back.clone());
    chain.fails::<Known>(1, at, &executeCall { ballot: kept });
    chain.decide(&[0, 2, 3], BallotKind::RemoveValidator, removal(1));
    chain.fails::<NotOpen>(1, at, &executeCall { ballot: kept });
    // Nor is an admission that was taken back.
    let second = chain.decided(&[0, 2], BallotKind::AddValidator, back.clone());
    chain.decide(&[0, 2], BallotKind::AddValidator, back.clone());
    chain.decide(&[0, 2], BallotKind::RemoveValidator, removal(1));
    chain.fails::<NotOpen>(1, at, &executeCall { ballot: second });
    chain.fails::<Unknown>(1, at, &activate(1));
    // A later ballot does.
    chain.decide(&[0, 2], BallotKind::AddValidator, back);
    chain.ok(1, at, &activate(1));
}

#[test]
fn last_validator_stays() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    chain.decide(&[0, 1, 2], BallotKind::RemoveValidator, removal(3));
    chain.decide(&[0, 1], BallotKind::RemoveValidator, removal(2));
    chain.decide(&[0, 1], BallotKind::RemoveValidator, removal(1));
    let last = chain.decided(&[0], BallotKind::RemoveValidator, removal(0));
    chain.fails::<LastValidator>(0, at, &executeCall { ballot: last });
    assert_eq!(chain.validators(), [(node_key(0), chain.account(0))]);
    // One becomes two, and now the first may go.
    chain.add_node(6, 6);
    chain.decide(
        &[0],
        BallotKind::AddValidator,
        admission(6, chain.account(6)),
    );
    chain.ok(6, at, &activate(6));
    chain.vote(6, last, true);
    chain.ok(0, at, &executeCall { ballot: last });
    assert_eq!(chain.validators(), [(node_key(6), chain.account(6))]);
}

#[test]
fn current_validator_is_never_blacklisted_nor_its_operator_blocked() {
    let mut chain = Chain::new();
    let at = chain.at.permissioning;
    for state in [NodeState::Inactive, NodeState::Blacklisted] {
        let ballot = chain.decided(&[0, 1, 2], BallotKind::Recover, recovery(3, state));
        chain.fails::<Locked>(0, at, &executeCall { ballot });
    }
    let block = account(chain.account(3), 1);
    let ballot = chain.decided(&[0, 1, 2], BallotKind::Account, block);
    chain.fails::<Locked>(0, at, &executeCall { ballot });
    chain.decide(&[0, 1, 2], BallotKind::RemoveValidator, removal(3));
    chain.ok(0, at, &executeCall { ballot });
    chain.decide(
        &[0, 1],
        BallotKind::Recover,
        recovery(3, NodeState::Blacklisted),
    );
    assert!(!chain.may_connect(3), "not even while genesis lists count");
    let unknown = chain.decided(&[0, 1], BallotKind::Recover, recovery(9, NodeState::Active));
    chain.fails::<Unknown>(0, at, &executeCall { ballot: unknown });
    let back = chain.decided(
        &[0, 1],
        BallotKind::AddValidator,
        admission(3, chain.account(5)),
    );
    chain.fails::<Locked>(0, at, &executeCall { ballot: back });
}

#[test]
fn set_of_128_validators_takes_no_more() {
    let mut chain = crowd();
    let at = chain.at.permissioning;
    let operator = chain.account(1);
    chain.add_node(0, 900);
    chain.add_node(0, 901);
    let add = BallotKind::AddValidator;
    let full = chain.decided(&[0], add, admission(900, operator));
    chain.fails::<TooMany>(0, at, &executeCall { ballot: full });
    // Two are admitted for one free place.
    chain.decide(&[0], BallotKind::RemoveValidator, removal(127));
    chain.ok(0, at, &executeCall { ballot: full });
    chain.decide(&[0], add, admission(901, chain.account(2)));
    chain.ok(1, at, &activate(900));
    assert_eq!(chain.validators().len(), 128);
    chain.fails::<TooMany>(2, at, &activate(901));
}

/// 128 validators of organisation 0; account 0 operates the first.
pub(crate) fn crowd() -> Chain {
    let keys: Vec<_> = (0..3)
        .map(|index| key(&format!("account {index}")))
        .collect();
    let accounts: Vec<_> = keys
        .iter()
        .map(alloy_signer_local::PrivateKeySigner::address)
        .collect();
    let mut parameters = DeploymentParameters::development(&accounts);
    parameters.permissioning.nodes = (0..128)
        .map(|index| NodeSeed {
            org: org(0),
            key: node_key(index),
            operator: Some(match index {
                0 => accounts[0],
                _ => key(&format!("operator {index}")).address(),
            }),
        })
        .collect();
    Chain::with(&parameters, keys)
}
