//! Random business of parties and groups against a plain model of the rules: whatever happens in whatever order, the
//! members, the votes and the keys are what the model says.

use crate::{
    harness::{Chain, org},
    private_groups::{creation, epoch_key, key_of, registered},
};
use alloy_primitives::{B256, keccak256};
use medina_contracts::private_groups::PrivateGroups::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const PARTIES: usize = 6;
const VOTES_FOR: u64 = 30 * 24 * 60 * 60;

#[derive(Clone, Debug)]
enum Action {
    Propose { by: usize, about: usize },
    Remove { by: usize, about: usize },
    Vote { by: usize, about: usize },
    Leave { by: usize },
    Skip { by: usize },
    Erase { by: usize },
    Publish { of: usize, step: u32, ahead: u64 },
    Wait { seconds: u64 },
}

fn party() -> impl Strategy<Value = usize> {
    0..PARTIES
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => (party(), party()).prop_map(|(by, about)| Action::Propose { by, about }),
        3 => (party(), party()).prop_map(|(by, about)| Action::Remove { by, about }),
        8 => (party(), party()).prop_map(|(by, about)| Action::Vote { by, about }),
        1 => party().prop_map(|by| Action::Leave { by }),
        2 => party().prop_map(|by| Action::Skip { by }),
        2 => party().prop_map(|by| Action::Erase { by }),
        3 => (party(), 0_u32..3, 0_u64..100).prop_map(|(of, step, ahead)| Action::Publish {
            of,
            step,
            ahead
        }),
        2 => prop_oneof![1_u64..90, Just(VOTES_FOR + 1)].prop_map(|seconds| Action::Wait { seconds }),
    ]
}

/// A question and who said yes, since when.
#[derive(Clone, Debug)]
struct Ballot {
    opened: u64,
    yes: BTreeSet<usize>,
}

#[derive(Clone, Debug, Default)]
struct Keys {
    /// Epoch and first second, oldest first; what was replaced before its time is not there.
    published: Vec<(u32, u64)>,
    epoch: u32,
}

#[derive(Debug, Default)]
struct Model {
    now: u64,
    members: BTreeSet<usize>,
    ballots: BTreeMap<usize, Ballot>,
    skip: Option<Ballot>,
    skipped: bool,
    /// Who reported an erasure, present or not.
    reports: BTreeSet<usize>,
    erased: bool,
    departures: u32,
    keys: BTreeMap<usize, Keys>,
}

impl Model {
    fn passes(&self, ballot: &Ballot) -> bool {
        2 * ballot.yes.intersection(&self.members).count() > self.members.len()
    }

    fn open_ballot(&self, about: usize) -> Option<Ballot> {
        let ballot = self.ballots.get(&about)?;
        (self.now <= ballot.opened + VOTES_FOR).then(|| ballot.clone())
    }

    fn propose(&mut self, by: usize, about: usize, is_removal: bool) -> bool {
        let may = self.members.contains(&by) || (!is_removal && by == about);
        if !may || self.members.contains(&about) != is_removal || self.open_ballot(about).is_some()
        {
            return false;
        }
        let ballot = Ballot {
            opened: self.now,
            yes: BTreeSet::new(),
        };
        self.ballots.insert(about, ballot);
        if self.members.contains(&by) {
            self.vote(by, about);
        }
        true
    }

    fn vote(&mut self, by: usize, about: usize) -> bool {
        let Some(mut ballot) = self.open_ballot(about) else {
            return false;
        };
        if !self.members.contains(&by) {
            return false;
        }
        let is_new = ballot.yes.insert(by);
        let passes = self.passes(&ballot);
        if !is_new && !passes {
            return false;
        }
        self.ballots.insert(about, ballot);
        if passes {
            self.ballots.remove(&about);
            if self.members.remove(&about) {
                self.departures += 1;
            } else {
                self.members.insert(about);
            }
        }
        true
    }

    fn leave(&mut self, by: usize) -> bool {
        let was = self.members.remove(&by);
        if was {
            self.ballots.remove(&by);
            self.departures += 1;
        }
        was
    }

    fn present_reports(&self) -> usize {
        self.reports.intersection(&self.members).count()
    }

    fn erase(&mut self, by: usize) -> bool {
        if !self.members.contains(&by) {
            return false;
        }
        let is_new = self.reports.insert(by);
        let decides = !self.erased && 2 * self.present_reports() > self.members.len();
        self.erased |= decides;
        is_new || decides
    }

    fn skip(&mut self, by: usize) -> bool {
        if !self.members.contains(&by) || self.skipped {
            return false;
        }
        let fresh = Ballot {
            opened: self.now,
            yes: BTreeSet::new(),
        };
        let open = self.skip.clone();
        let open = open.filter(|ballot| self.now <= ballot.opened + VOTES_FOR);
        let mut ballot = open.unwrap_or(fresh);
        let is_new = ballot.yes.insert(by);
        let passes = self.passes(&ballot);
        if !is_new && !passes {
            return false;
        }
        self.skipped = passes;
        self.skip = Some(ballot);
        true
    }

    fn publish(&mut self, of: usize, epoch: u32, from: u64) -> bool {
        let now = self.now;
        let keys = self.keys.entry(of).or_default();
        let waits = keys.published.last().is_some_and(|(_, first)| *first > now);
        let standing = keys.published.len() - usize::from(waits);
        let current = keys.published[..standing].last();
        if epoch <= keys.epoch || current.is_some_and(|(_, first)| from < *first) {
            return false;
        }
        keys.published.truncate(standing);
        keys.published.push((epoch, from));
        keys.epoch = epoch;
        true
    }

    fn current_epoch(&self, of: usize) -> u32 {
        let published = self.keys.get(&of).map(|keys| keys.published.as_slice());
        let valid = published.unwrap_or_default().iter().rev();
        let mut valid = valid.filter(|(_, from)| *from <= self.now);
        valid.next().map_or(0, |(epoch, _)| *epoch)
    }
}

fn scene() -> (Chain, B256) {
    let mut chain = Chain::new();
    for index in 0..PARTIES {
        let call = registered(&chain, org(index), index, index % 4);
        chain.ok(index, chain.at.private_groups, &call);
    }
    let id = keccak256("group");
    chain.ok(0, chain.at.private_groups, &creation(id, &[0, 1, 2]));
    (chain, id)
}

/// Does it on both sides; whether both agree that it may be done.
fn apply(chain: &mut Chain, model: &mut Model, id: B256, action: &Action) -> (bool, bool) {
    let at = chain.at.private_groups;
    let from = |chain: &Chain, index: usize| chain.account(index);
    match *action {
        Action::Propose { by, about } => {
            let call = proposeMemberCall {
                id,
                org: org(about),
            };
            let outcome = chain.call(from(chain, by), at, &call);
            (outcome.success, model.propose(by, about, false))
        }
        Action::Remove { by, about } => {
            let call = proposeRemovalCall {
                id,
                org: org(about),
            };
            let outcome = chain.call(from(chain, by), at, &call);
            (outcome.success, model.propose(by, about, true))
        }
        Action::Vote { by, about } => {
            let call = voteCall {
                id,
                org: org(about),
            };
            let outcome = chain.call(from(chain, by), at, &call);
            (outcome.success, model.vote(by, about))
        }
        Action::Leave { by } => {
            let outcome = chain.call(from(chain, by), at, &leaveGroupCall { id });
            (outcome.success, model.leave(by))
        }
        Action::Skip { by } => {
            let call = skipCall {
                id,
                digest: keccak256("digest"),
            };
            let outcome = chain.call(from(chain, by), at, &call);
            (outcome.success, model.skip(by))
        }
        Action::Erase { by } => {
            let call = reportErasedCall {
                id,
                digest: keccak256("digest"),
                receiptsHash: B256::ZERO,
            };
            let outcome = chain.call(from(chain, by), at, &call);
            (outcome.success, model.erase(by))
        }
        Action::Publish { of, step, ahead } => {
            let epoch = model.keys.get(&of).map_or(0, |keys| keys.epoch) + step;
            let valid_from = model.now + ahead;
            let call = key_of(chain, org(of), of, epoch, valid_from);
            let outcome = chain.call(from(chain, 9), at, &call);
            (outcome.success, model.publish(of, epoch, valid_from))
        }
        Action::Wait { seconds } => {
            chain.warp(seconds);
            model.now += seconds;
            (true, true)
        }
    }
}

fn compare(chain: &Chain, model: &Model, id: B256) {
    let at = chain.at.private_groups;
    let members: BTreeSet<_> = chain.members(id).into_iter().collect();
    let expected: BTreeSet<_> = model.members.iter().map(|index| org(*index)).collect();
    assert_eq!(members, expected);
    for index in 0..PARTIES {
        let name = org(index);
        let call = isMemberCall { id, org: name };
        assert_eq!(chain.view(at, &call), model.members.contains(&index));
        let open = chain.view(at, &proposalOfCall { id, org: name }).open;
        assert_eq!(open, model.open_ballot(index).is_some());
        let key = chain.view(at, &currentKeyCall { org: name });
        let epoch = model.current_epoch(index);
        assert_eq!(key.epoch, epoch);
        if epoch != 0 {
            assert_eq!(key.key, epoch_key(index, epoch));
        }
    }
    let digest = keccak256("digest");
    let seen = chain.view(at, &skipOfCall { id, digest });
    assert_eq!(seen.height != 0, model.skipped);
    let seen = chain.view(at, &erasureOfCall { id, digest });
    assert_eq!(seen.height != 0, model.erased);
    assert_eq!(usize::from(seen.reports), model.present_reports());
    let version = chain.view(at, &secretVersionCall { id });
    assert_eq!(version, model.departures);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn members_votes_and_keys_are_what_the_model_says(
        actions in prop::collection::vec(action(), 1..60)
    ) {
        let (mut chain, id) = scene();
        let mut model = Model {
            now: chain.time,
            members: (0..3).collect(),
            ..Model::default()
        };
        for action in &actions {
            let (done, expected) = apply(&mut chain, &mut model, id, action);
            prop_assert_eq!(done, expected, "{:?}", action);
            compare(&chain, &model, id);
        }
    }
}
