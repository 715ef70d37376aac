//! Identity under random actors: nine people of three organisations, newcomers who enrol, move, are suspended, erased
//! and forgotten, two certifiers, time that jumps, upgrades. After each call the invariants of the specification's
//! section 2 must hold: accounts and ids belong together, a nullifier has one id at most, who may act is active,
//! unexpired and of an active organisation, erased stays erased, and no call takes the last Administrator away.

use crate::{
    actors::{Module, home, three_organisations, upgrade},
    harness::{Chain, Outcome, key, seconds, sign, user},
};
use alloy_primitives::{Address, B256, keccak256};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall;
use medina_contracts::{
    access_manager::AccessManager,
    eip712,
    identity::{
        IIdentity::{self, User},
        Identity::*,
    },
    values::{IdentityStatus as Status, access_roles},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use std::collections::{BTreeMap, BTreeSet};

/// Accounts of the chain, all with an id at first, and spare ones.
const ACCOUNTS: usize = 16;
const SEEDS: usize = 10;
/// Ids that newcomers may get, and people there are.
const NEW_IDS: usize = 5;
const PEOPLE: usize = 4;
/// Accounts that certify.
const CERTIFIERS: usize = 2;
const DAY: u64 = 86_400;

#[derive(Clone, Debug)]
enum Action {
    Wait {
        days: u64,
    },
    Upgrade,
    Enrol {
        id: usize,
        person: usize,
        account: usize,
        place: usize,
        role: u8,
        certifier: usize,
    },
    Approve(usize),
    SetRole(usize, u8),
    Rotate(usize, usize),
    Renew(usize, u64, usize),
    SetStatus(usize, u8),
    Erase(usize),
    Forget(usize, usize),
    SetOrg(usize, usize, u8),
}

fn action() -> impl Strategy<Value = (usize, Action)> {
    let id = 0..SEEDS + NEW_IDS;
    let account = 0..ACCOUNTS;
    let certifier = 0..CERTIFIERS;
    let enrol = (
        (0..NEW_IDS, 0..PEOPLE, SEEDS..ACCOUNTS),
        (0_usize..4, 1_u8..3, certifier.clone()),
    );
    let what = prop_oneof![
        3 => prop_oneof![1_u64..40, 100_u64..500].prop_map(|days| Action::Wait { days }),
        1 => Just(Action::Upgrade),
        8 => enrol.prop_map(|((id, person, account), (place, role, certifier))| Action::Enrol {
            id, person, account, place, role, certifier,
        }),
        4 => (SEEDS..SEEDS + NEW_IDS).prop_map(Action::Approve),
        4 => (id.clone(), 0_u8..6).prop_map(|(id, role)| Action::SetRole(id, role)),
        4 => (id.clone(), account.clone()).prop_map(|(id, next)| Action::Rotate(id, next)),
        2 => (id.clone(), 1_u64..900, certifier.clone())
            .prop_map(|(id, days, certifier)| Action::Renew(id, days, certifier)),
        5 => (id.clone(), 0_u8..7).prop_map(|(id, status)| Action::SetStatus(id, status)),
        3 => id.prop_map(Action::Erase),
        3 => (0..PEOPLE, certifier).prop_map(|(person, by)| Action::Forget(person, by)),
        2 => (0_usize..3, account.clone(), 0_u8..6)
            .prop_map(|(org, admin, status)| Action::SetOrg(org, admin, status)),
    ];
    // Often somebody with power acts: most of what others try is refused.
    let actor = prop_oneof![3 => 0_usize..3, 1 => account];
    (actor, what)
}

/// The chain, and what must not be forgotten about it.
struct World {
    chain: Chain,
    keys: Vec<PrivateKeySigner>,
    /// Who has a nullifier of a certifier.
    marks: BTreeMap<(usize, usize), B256>,
    erased: BTreeSet<B256>,
    done: BTreeMap<&'static str, usize>,
}

impl World {
    fn new() -> Self {
        let mut chain = three_organisations();
        let grant = AccessManager::grantRoleCall {
            roleId: access_roles::CERTIFIER,
            account: chain.account(1),
            executionDelay: 0,
        };
        chain.ok(0, chain.at.access_manager, &grant);
        let spare = (SEEDS..ACCOUNTS).map(|index| key(&format!("spare {index}")));
        let keys = (0..SEEDS).map(|index| chain.key(index).clone());
        let keys: Vec<_> = keys.chain(spare).collect();
        Self {
            chain,
            keys,
            marks: BTreeMap::new(),
            erased: BTreeSet::new(),
            done: BTreeMap::new(),
        }
    }

    fn id(index: usize) -> B256 {
        match index.checked_sub(SEEDS) {
            None => user(index),
            Some(new) => keccak256(format!("new id {new}")),
        }
    }

    fn ids() -> impl Iterator<Item = B256> {
        (0..SEEDS + NEW_IDS).map(Self::id)
    }

    fn account(&self, index: usize) -> Address {
        self.keys[index].address()
    }

    fn get(&self, id: B256) -> User {
        let call = getUserCall { userId: id };
        self.chain.view(self.chain.at.identity, &call)
    }

    fn role(&self, account: Address) -> u8 {
        let call = roleOfCall { a: account };
        self.chain.view(self.chain.at.identity, &call)
    }

    fn administrators(&self) -> usize {
        let all = (0..ACCOUNTS).map(|index| self.role(self.account(index)));
        all.filter(|role| *role == 4).count()
    }

    /// Calls; whoever is Administrator before, somebody is afterwards.
    fn send<C: SolCall>(&mut self, actor: usize, call: &C) -> bool {
        let before = self.administrators();
        let (from, at) = (self.account(actor), self.chain.at.identity);
        let Outcome { success, .. } = self.chain.call(from, at, call);
        assert!(
            before == 0 || self.administrators() > 0,
            "{} took the last Administrator away",
            C::SIGNATURE
        );
        *self.done.entry(C::SIGNATURE).or_default() += usize::from(success);
        success
    }

    fn act(&mut self, actor: usize, action: &Action) {
        match *action {
            Action::Wait { days } => self.chain.warp(days * DAY),
            Action::Upgrade => upgrade_as_governor(&mut self.chain),
            Action::Enrol {
                id,
                person,
                account,
                place,
                role,
                certifier,
            } => self.enrol(actor, SEEDS + id, person, account, place, role, certifier),
            Action::Approve(id) => {
                self.send(
                    actor,
                    &approveCall {
                        userId: Self::id(id),
                    },
                );
            }
            Action::SetRole(id, role) => {
                let user_id = Self::id(id);
                self.send(
                    actor,
                    &setRoleCall {
                        userId: user_id,
                        role,
                    },
                );
            }
            Action::Rotate(id, next) => self.rotate(actor, id, next),
            Action::Renew(id, days, certifier) => {
                let message = eip712::Renewal {
                    userId: Self::id(id),
                    expires: seconds(self.chain.time + days * DAY),
                };
                let call = renewCall {
                    userId: message.userId,
                    expires: message.expires,
                    certifier: self.account(certifier),
                    sig: sign(
                        &self.keys[certifier],
                        &self.chain.domain("Identity"),
                        &message,
                    ),
                };
                self.send(actor, &call);
            }
            Action::SetStatus(id, status) => {
                let call = setStatusCall {
                    userId: Self::id(id),
                    s: status,
                    reason: B256::ZERO,
                };
                self.send(actor, &call);
            }
            Action::Erase(id) => {
                let user_id = Self::id(id);
                let holder = self.get(user_id).account;
                let own = (0..ACCOUNTS).find(|index| self.account(*index) == holder);
                // Half of the time the holder.
                let actor = own.filter(|_| actor.is_multiple_of(2)).unwrap_or(actor);
                if self.send(actor, &eraseCall { userId: user_id }) {
                    self.erased.insert(user_id);
                }
            }
            Action::Forget(person, certifier) => {
                let call = forgetCall {
                    nullifier: mark(person),
                };
                let held = self.marks.get(&(certifier, person)).copied();
                if self.send(certifier, &call) {
                    let id = held.expect("only what was taken is freed");
                    assert!(self.erased.contains(&id), "freed while the id lives");
                    self.marks.remove(&(certifier, person));
                }
            }
            Action::SetOrg(org, admin, status) => {
                let call = setOrgCall {
                    org: home(org),
                    admin: self.account(admin),
                    s: status,
                    meta: B256::ZERO,
                };
                self.send(actor, &call);
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the members of an enrolment")]
    fn enrol(
        &mut self,
        actor: usize,
        id: usize,
        person: usize,
        account: usize,
        place: usize,
        role: u8,
        certifier: usize,
    ) {
        let user_id = Self::id(id);
        let org = if place < 3 { home(place) } else { user_id };
        let message = eip712::Enrolment {
            userId: user_id,
            nullifier: mark(person),
            org,
            account: self.account(account),
            role,
            expires: seconds(self.chain.time + 300 * DAY),
            terms: keccak256("terms"),
            deadline: self.chain.deadline(),
        };
        let call = enrolCall {
            sig: sign(
                &self.keys[certifier],
                &self.chain.domain("Identity"),
                &message,
            ),
            certifier: self.account(certifier),
            e: IIdentity::Enrolment {
                userId: message.userId,
                nullifier: message.nullifier,
                org: message.org,
                account: message.account,
                role: message.role,
                expires: message.expires,
                terms: message.terms,
                deadline: message.deadline,
            },
        };
        if self.send(actor, &call) {
            assert!(!self.erased.contains(&user_id), "an erased id revived");
            let taken = self.marks.insert((certifier, person), user_id);
            assert_eq!(taken, None, "a person has two ids of one certifier");
        }
    }

    fn rotate(&mut self, actor: usize, id: usize, next: usize) {
        let user_id = Self::id(id);
        let holder = self.get(user_id).account;
        let own = (0..ACCOUNTS).find(|index| self.account(*index) == holder);
        let message = eip712::Rotation {
            userId: user_id,
            next: self.account(next),
            deadline: self.chain.deadline(),
        };
        let call = rotateCall {
            userId: user_id,
            next: message.next,
            deadline: message.deadline,
            nextSig: sign(&self.keys[next], &self.chain.domain("Identity"), &message),
        };
        let actor = own.filter(|_| actor.is_multiple_of(2)).unwrap_or(actor);
        self.send(actor, &call);
    }

    fn check(&self) {
        let at = self.chain.at.identity;
        let mut held = BTreeMap::new();
        for id in Self::ids() {
            let found = self.get(id);
            if self.erased.contains(&id) {
                assert_eq!(found.status, u8::from(Status::Erased), "{id} revived");
                assert_eq!(found.account, Address::ZERO, "{id} has an account again");
            }
            if found.account != Address::ZERO {
                let other = held.insert(found.account, id);
                assert_eq!(other, None, "two ids have {}", found.account);
            }
        }
        for index in 0..ACCOUNTS {
            let account = self.account(index);
            let id = self.chain.view(at, &idOfCall { a: account });
            let expected = held.get(&account).copied().unwrap_or_default();
            assert_eq!(id, expected, "{account} and its id differ");
            let role = self.role(account);
            assert!(role <= 4);
            if role > 0 {
                self.check_active(id, role);
            }
        }
    }

    fn check_active(&self, id: B256, role: u8) {
        let found = self.get(id);
        assert_eq!(found.status, u8::from(Status::Active));
        let expires: u64 = found.expires.to();
        assert!(expires == 0 || expires > self.chain.time, "{id} is expired");
        assert!(role <= found.role);
        let call = getOrgCall { org: found.org };
        let org = self.chain.view(self.chain.at.identity, &call);
        assert_eq!(org.status, u8::from(Status::Active), "{id}'s organisation");
    }
}

/// The mark of a person, as a certifier makes it; certifiers' marks may be the same by chance.
fn mark(person: usize) -> B256 {
    keccak256(format!("person {person}"))
}

/// Account 0 governs, whatever became of its id.
fn upgrade_as_governor(chain: &mut Chain) {
    upgrade(chain, Module::Identity);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn ids_keep_their_rules_after_any_history(
        actions in proptest::collection::vec(action(), 1..80)
    ) {
        let mut world = World::new();
        for (actor, action) in &actions {
            world.act(*actor, action);
            world.check();
        }
    }
}

/// The property above says little if histories never get anywhere.
#[test]
fn random_histories_reach_every_action_of_an_id() {
    let mut runner = TestRunner::deterministic();
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    let mut erased = 0;
    for _ in 0..24 {
        let mut world = World::new();
        for _ in 0..120 {
            let (actor, action) = action().new_tree(&mut runner).unwrap().current();
            world.act(actor, &action);
            world.check();
        }
        erased += world.erased.len();
        for (call, count) in world.done {
            *done.entry(call).or_default() += count;
        }
    }
    for call in [
        enrolCall::SIGNATURE,
        approveCall::SIGNATURE,
        setRoleCall::SIGNATURE,
        rotateCall::SIGNATURE,
        renewCall::SIGNATURE,
        setStatusCall::SIGNATURE,
        eraseCall::SIGNATURE,
        forgetCall::SIGNATURE,
        setOrgCall::SIGNATURE,
    ] {
        assert!(
            done.get(call).copied().unwrap_or_default() > 0,
            "{call} never worked: {done:?}"
        );
    }
    assert!(erased > 5, "{erased} erased");
}
