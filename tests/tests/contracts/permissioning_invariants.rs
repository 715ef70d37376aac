//! Permissioning under random actors: eight accounts of eight organisations, ballots of every kind, votes,
//! activations, blacklisting, recovery, organisations that fall asleep, time that jumps, upgrades; most calls are refused.
//! After each one the rules of the specification must hold.

use crate::{
    actors::{Module, upgrade},
    harness::{Chain, VALIDATORS, node_key, org},
    permissioning::{access, account, activate, admission, recovery, removal, set_node},
};
use alloy_primitives::{Address, B256, Bytes, Log, U256};
use alloy_sol_types::{SolCall, SolEvent, SolValue};
use medina_contracts::{
    identity::Identity,
    permissioning::Permissioning::*,
    values::{Access, BallotKind, IdentityStatus, NodeState},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use std::collections::BTreeSet;

/// Accounts that act; 0 is also Administrator and governor.
const ACTORS: usize = 8;
/// Nodes that exist or may; the first are validators of genesis.
const NODES: usize = VALIDATORS + 3;
/// Somewhere to call.
const TARGET: Address = Address::repeat_byte(1);

#[derive(Clone, Debug)]
enum Action {
    Add {
        node: usize,
    },
    Switch {
        node: usize,
        state: NodeState,
    },
    Block {
        of: usize,
        state: u8,
    },
    Propose {
        kind: BallotKind,
        node: usize,
        of: usize,
        state: u8,
    },
    Vote {
        ballot: u64,
        yes: bool,
    },
    Execute {
        ballot: u64,
    },
    Activate {
        node: usize,
    },
    Organisation {
        index: usize,
        asleep: bool,
    },
    CloseBoot,
    Wait {
        seconds: u64,
    },
}

fn state() -> impl Strategy<Value = NodeState> {
    prop_oneof![
        8 => Just(NodeState::Active),
        3 => Just(NodeState::Inactive),
        1 => Just(NodeState::Blacklisted)
    ]
}

fn kind() -> impl Strategy<Value = BallotKind> {
    prop_oneof![
        7 => Just(BallotKind::AddValidator),
        4 => Just(BallotKind::RemoveValidator),
        3 => Just(BallotKind::Recover),
        1 => Just(BallotKind::Account),
        1 => Just(BallotKind::OrgAccess),
    ]
}

fn action() -> impl Strategy<Value = (usize, Action)> {
    let action = prop_oneof![
        2 => (0..NODES).prop_map(|node| Action::Add { node }),
        2 => (0..NODES, state()).prop_map(|(node, state)| Action::Switch { node, state }),
        1 => (0..ACTORS, 0_u8..2).prop_map(|(of, state)| Action::Block { of, state }),
        4 => (kind(), 0..NODES, 0..ACTORS, 1_u8..3)
            .prop_map(|(kind, node, of, state)| Action::Propose { kind, node, of, state }),
        30 => (0_u64..2, prop::bool::weighted(0.85))
            .prop_map(|(ballot, yes)| Action::Vote { ballot, yes }),
        6 => (0_u64..2).prop_map(|ballot| Action::Execute { ballot }),
        12 => (0..NODES).prop_map(|node| Action::Activate { node }),
        1 => (0..ACTORS, prop::bool::weighted(0.3))
            .prop_map(|(index, asleep)| Action::Organisation { index, asleep }),
        1 => prop_oneof![9 => Just(Action::Wait { seconds: 3_600 }), 1 => Just(Action::CloseBoot)],
        1 => prop_oneof![Just(86_400_u64), Just(31 * 86_400)]
            .prop_map(|seconds| Action::Wait { seconds }),
    ];
    (0..ACTORS, action)
}

/// What Permissioning must remember correctly, kept beside it.
struct World {
    chain: Chain,
    /// The set as the events tell it, in any order.
    told: BTreeSet<(B256, Address)>,
    executed: BTreeSet<U256>,
    blacklisted: BTreeSet<usize>,
    /// How often each thing happened, so that a test that tries nothing is seen.
    grown: usize,
    shrunk: usize,
}

impl World {
    fn new() -> Self {
        let chain = Chain::new();
        let told = chain.validators().into_iter().collect();
        Self {
            chain,
            told,
            executed: BTreeSet::new(),
            blacklisted: BTreeSet::new(),
            grown: 0,
            shrunk: 0,
        }
    }

    /// A ballot among the newest, counted back.
    fn ballot(&self, back: u64) -> U256 {
        let count = self
            .chain
            .view(self.chain.at.permissioning, &ballotCountCall {});
        count.saturating_sub(U256::from(back))
    }

    fn data(&self, action: &Action) -> Option<Bytes> {
        let data = match action {
            Action::Add { node } => addNodeCall {
                org: org(*node),
                nodeKey: node_key(*node),
            }
            .abi_encode(),
            Action::Switch { node, state } => set_node(*node, *state).abi_encode(),
            Action::Block { of, state } => setAccountCall {
                a: self.chain.account(*of),
                state: *state,
            }
            .abi_encode(),
            Action::Propose {
                kind,
                node,
                of,
                state,
            } => proposeCall {
                kind: (*kind).into(),
                data: self.proposal(*kind, *node, *of, *state).into(),
            }
            .abi_encode(),
            Action::Vote { ballot, yes } => voteCall {
                ballot: self.ballot(*ballot),
                yes: *yes,
            }
            .abi_encode(),
            Action::Execute { ballot } => executeCall {
                ballot: self.ballot(*ballot),
            }
            .abi_encode(),
            Action::Activate { node } => activate(*node).abi_encode(),
            Action::CloseBoot => closeBootCall {}.abi_encode(),
            Action::Organisation { .. } | Action::Wait { .. } => return None,
        };
        Some(data.into())
    }

    fn proposal(&self, kind: BallotKind, node: usize, of: usize, state: u8) -> Vec<u8> {
        match kind {
            // Half of the time what can be decided: a newcomer with its own account, somebody of the set.
            BallotKind::AddValidator if state == 1 => {
                let newcomer = (0..NODES).cycle().skip(node).take(NODES);
                let newcomer = newcomer.clone().find(|index| {
                    let node = self.chain.node(*index);
                    !node.validator && node.state == u8::from(NodeState::Active)
                });
                let node = newcomer.unwrap_or(node);
                admission(node, self.chain.account(node))
            }
            BallotKind::AddValidator => admission(node, self.chain.account(of)),
            BallotKind::RemoveValidator if state == 1 => {
                let validators = self.chain.validators();
                validators[node % validators.len()].0.abi_encode()
            }
            BallotKind::RemoveValidator => removal(node),
            BallotKind::Recover => recovery(node, NodeState::try_from(state).unwrap()),
            BallotKind::Account => account(self.chain.account(of), state),
            _ => access(org(of), Access::Full),
        }
    }

    /// The first operator whose organisation has not voted, or the first of all.
    fn next_voter(&self, ballot: U256) -> Address {
        let validators = self.chain.validators();
        let has_not_voted = |(key, _): &&(B256, Address)| {
            let at = self.chain.at.permissioning;
            let org = self.chain.view(at, &getNodeCall { nodeKey: *key }).org;
            self.chain.view(at, &voteOfCall { ballot, org }) == 0
        };
        let next = validators.iter().find(has_not_voted);
        next.unwrap_or(&validators[0]).1
    }

    /// Who acts: for some actions mostly the one who may.
    fn sender(&self, actor: usize, action: &Action) -> Address {
        let rightful = match action {
            Action::Add { node } | Action::Switch { node, .. } => self.chain.account(*node),
            Action::Block { of, .. } => self.chain.account(*of),
            Action::Activate { node } => self.chain.node(*node).operator,
            Action::CloseBoot => self.chain.account(0),
            Action::Propose { .. } => self.chain.validators()[0].1,
            Action::Vote { ballot, .. } => self.next_voter(self.ballot(*ballot)),
            _ => return self.chain.account(actor),
        };
        if actor < 6 {
            rightful
        } else {
            self.chain.account(actor)
        }
    }

    fn act(&mut self, actor: usize, action: &Action) {
        match action {
            Action::Wait { seconds } => self.chain.warp(*seconds),
            Action::Organisation { index, asleep } => self.set_organisation(*index, *asleep),
            _ => {}
        }
        let Some(data) = self.data(action) else {
            return;
        };
        let (sender, at) = (self.sender(actor, action), self.chain.at.permissioning);
        let outcome = self.chain.call_data(sender, at, data);
        if outcome.success {
            self.note(action, &outcome.logs);
        }
    }

    fn set_organisation(&mut self, index: usize, asleep: bool) {
        let status = if asleep {
            IdentityStatus::Suspended
        } else {
            IdentityStatus::Active
        };
        let call = Identity::setOrgCall {
            org: org(index),
            admin: self.chain.account(index),
            s: status.into(),
            meta: B256::ZERO,
        };
        // Refused where it would leave no Administrator.
        self.chain
            .call(self.chain.account(0), self.chain.at.identity, &call);
    }

    fn note(&mut self, action: &Action, logs: &[Log]) {
        for log in logs {
            if let Ok(event) = ValidatorSet::decode_log(log) {
                let entry = (event.nodeKey, event.operator);
                if event.active {
                    self.grown += 1;
                    assert!(self.told.insert(entry), "activated twice");
                } else {
                    self.shrunk += 1;
                    assert!(self.told.remove(&entry), "removed twice");
                }
            } else if let Ok(event) = Executed::decode_log(log) {
                assert!(self.executed.insert(event.ballot), "executed twice");
            } else if let Ok(event) = NodeSet::decode_log(log) {
                self.note_node(action, &event);
            }
        }
    }

    fn note_node(&mut self, action: &Action, event: &NodeSet) {
        let node = (0..NODES).find(|index| node_key(*index) == event.nodeKey);
        let node = node.expect("only our nodes exist");
        if event.s == u8::from(NodeState::Blacklisted) {
            self.blacklisted.insert(node);
        } else if self.blacklisted.remove(&node) {
            assert!(
                matches!(action, Action::Execute { .. }),
                "only a ballot brings one back"
            );
        }
    }

    fn check(&self) {
        let validators = self.chain.validators();
        let keys: BTreeSet<_> = validators.iter().map(|(key, _)| *key).collect();
        let operators: BTreeSet<_> = validators.iter().map(|(_, operator)| *operator).collect();
        assert!((1..=128).contains(&validators.len()));
        assert_eq!(
            (keys.len(), operators.len()),
            (validators.len(), validators.len()),
            "unique"
        );
        let set: BTreeSet<_> = validators.iter().copied().collect();
        assert_eq!(set, self.told, "the events tell the set");
        for (_, operator) in &validators {
            assert!(
                self.chain.may_transact(*operator, TARGET),
                "an operator keeps its voice"
            );
        }
        let at = self.chain.at.permissioning;
        let is_booting = self.chain.view(at, &isBootingCall {});
        for index in 0..NODES {
            self.check_node(index, keys.contains(&node_key(index)), is_booting);
        }
        for index in 0..ACTORS {
            let a = self.chain.account(index);
            let state = self.chain.view(at, &accountStateCall { a }).state;
            if state == 1 {
                assert!(!self.chain.may_transact(a, TARGET), "blocked");
            }
        }
    }

    fn check_node(&self, index: usize, validates: bool, is_booting: bool) {
        let node = self.chain.node(index);
        let connects = self.chain.may_connect(index);
        assert_eq!(node.validator, validates);
        assert_eq!(
            node.state == u8::from(NodeState::Blacklisted),
            self.blacklisted.contains(&index)
        );
        if self.blacklisted.contains(&index) {
            assert!(!connects && !validates, "a blacklisted node never connects");
            return;
        }
        if validates {
            assert!(connects, "a validator connects always");
            assert_eq!(node.state, u8::from(NodeState::Active));
            return;
        }
        let of = Identity::getOrgCall { org: node.org };
        let organisation = self.chain.view(self.chain.at.identity, &of).status;
        let is_active = node.state == u8::from(NodeState::Active)
            && organisation == u8::from(IdentityStatus::Active);
        assert_eq!(connects, is_active || (node.listed && is_booting));
    }
}

#[test]
fn rules_hold_after_everything_that_anybody_does() {
    let mut runner = TestRunner::deterministic();
    let (mut grown, mut shrunk, mut executed) = (0, 0, 0);
    for _ in 0..24 {
        let mut world = World::new();
        for step in 0..400 {
            let (actor, action) = action().new_tree(&mut runner).unwrap().current();
            world.act(actor, &action);
            world.check();
            if step % 80 == 79 {
                upgrade(&mut world.chain, Module::Permissioning);
                world.check();
            }
        }
        grown += world.grown;
        shrunk += world.shrunk;
        executed += world.executed.len();
    }
    println!("{grown} activations, {shrunk} removals, {executed} ballots executed");
    // Otherwise the run proves little.
    assert!(grown > 10 && shrunk > 15 && executed > 60);
}
