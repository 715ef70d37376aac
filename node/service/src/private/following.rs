//! Which private groups this node follows, and a task for each.
//!
//! Nobody is asked before another organisation names it in a group, so a member of many
//! groups chooses: those that the configuration names, those that it has a state of,
//! its own; then those of others, no more of each than the bound.

use crate::private::{config::PrivateSection, follower, shared::Shared};
use alloy_primitives::B256;
use medina_storage::StorageError;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet};
use tracing::{error, warn};

/// How often new groups are looked for without a block.
const GROUPS_PERIOD: Duration = Duration::from_secs(1);

/// A group that this node may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    id: B256,
    /// Who made it, where that is known.
    creator: Option<B256>,
    /// There is a state of it here.
    has_state: bool,
}

/// In the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Named,
    HasState,
    Own,
    Others,
}

/// By what groups are chosen.
struct Choice<'a> {
    section: &'a PrivateSection,
    own: BTreeSet<B256>,
}

impl Choice<'_> {
    fn reason(&self, group: &Candidate) -> Option<Reason> {
        let is_own = group.creator.is_some_and(|org| self.own.contains(&org));
        if self.section.groups.contains(&group.id) {
            return Some(Reason::Named);
        }
        if !is_own && !self.section.follow.takes(group.creator) {
            return None;
        }
        Some(match (group.has_state, is_own) {
            (true, _) => Reason::HasState,
            (false, true) => Reason::Own,
            (false, false) => Reason::Others,
        })
    }

    /// The groups to follow, the preferred ones first, within the bounds.
    fn of(&self, groups: impl IntoIterator<Item = Candidate>) -> Vec<B256> {
        let limits = &self.section.limits;
        let mut wanted: Vec<_> = groups
            .into_iter()
            .filter_map(|group| Some((self.reason(&group)?, group)))
            .collect();
        wanted.sort_by_key(|(reason, group)| (*reason, group.id));
        let mut of_creator: BTreeMap<Option<B256>, usize> = BTreeMap::new();
        wanted.retain(|(reason, group)| {
            let is_own = group.creator.is_some_and(|org| self.own.contains(&org));
            if is_own || *reason == Reason::Named {
                return true;
            }
            let count = of_creator.entry(group.creator).or_default();
            *count += 1;
            *count <= limits.groups_per_creator
        });
        wanted.truncate(limits.groups);
        wanted.into_iter().map(|(_, group)| group.id).collect()
    }
}

fn candidates(shared: &Shared) -> Result<Vec<Candidate>, StorageError> {
    let known = shared.known();
    let candidate = |id: &B256| {
        Ok(Candidate {
            id: *id,
            creator: shared.rows.creator(*id)?,
            has_state: shared.stores.has(*id),
        })
    };
    known.groups.keys().map(candidate).collect()
}

/// Keeps a follower for every group that this node follows, until told to stop.
pub(crate) async fn run(
    shared: Arc<Shared>,
    section: PrivateSection,
    mut stop: watch::Receiver<bool>,
) {
    let choice = Choice {
        section: &section,
        own: shared.parties.iter().map(|party| party.org).collect(),
    };
    let mut followers = JoinSet::new();
    let mut scanned = shared.scanned.subscribe();
    let mut passed_over = 0;
    loop {
        match candidates(&shared) {
            Ok(groups) => {
                let count = groups.len();
                let chosen = choice.of(groups);
                let others = count - chosen.len();
                if others > passed_over {
                    warn!(
                        others,
                        "private groups of this node's parties are not followed (private.follow, private.groups, private.limits)"
                    );
                }
                passed_over = others;
                shared.choose(&chosen);
                start(&shared, &chosen, &mut followers, &stop);
            }
            Err(error) => warn!(%error, "the private groups cannot be read"),
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            changed = scanned.changed() => {
                if changed.is_err() {
                    break;
                }
            }
            Some(ended) = followers.join_next(), if !followers.is_empty() => {
                if let Err(error) = ended {
                    error!(%error, "a private group's task ended unexpectedly; start the node again and report this");
                }
            }
            () = tokio::time::sleep(GROUPS_PERIOD) => {}
        }
    }
    while followers.join_next().await.is_some() {}
}

fn start(
    shared: &Arc<Shared>,
    chosen: &[B256],
    followers: &mut JoinSet<()>,
    stop: &watch::Receiver<bool>,
) {
    for id in chosen {
        match shared.follow(*id) {
            Ok(Some(group)) => {
                followers.spawn(follower::run(shared.clone(), group, stop.clone()));
            }
            Ok(None) => {}
            Err(error) => warn!(group = %id, %error, "a private group cannot be followed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private::config::{Follow, FollowWord};
    use proptest::prelude::*;

    const OWN: B256 = B256::repeat_byte(0xee);

    fn org(byte: u8) -> B256 {
        B256::repeat_byte(byte)
    }

    /// A group whose id is small, made by an organisation.
    fn group(id: u16, creator: B256) -> Candidate {
        Candidate {
            id: B256::left_padding_from(&id.to_be_bytes()),
            creator: Some(creator),
            has_state: false,
        }
    }

    fn chosen(section: &PrivateSection, groups: &[Candidate]) -> Vec<B256> {
        let own = [OWN].into();
        Choice { section, own }.of(groups.iter().copied())
    }

    #[test]
    fn flood_of_foreign_groups_pushes_out_neither_own_groups_nor_those_with_a_state() {
        let section = PrivateSection::default();
        let mut groups: Vec<_> = (0..300).map(|id| group(id, org(1))).collect();
        let ours = group(9_000, OWN);
        let old = Candidate {
            has_state: true,
            ..group(9_001, org(2))
        };
        groups.extend([ours, old]);
        let chosen = chosen(&section, &groups);
        assert!(chosen.contains(&ours.id) && chosen.contains(&old.id));
        let foreign = section.limits.groups_per_creator;
        assert_eq!(chosen.len(), foreign + 2, "a bound for each creator");
    }

    #[test]
    fn configuration_says_whose_groups_are_followed() {
        let groups = [group(1, org(1)), group(2, org(2)), group(3, OWN)];
        let ids = |numbers: &[usize]| -> BTreeSet<_> {
            numbers.iter().map(|number| groups[number - 1].id).collect()
        };
        let with = |follow, named: Vec<B256>| {
            let section = PrivateSection {
                follow,
                groups: named,
                ..PrivateSection::default()
            };
            chosen(&section, &groups)
                .into_iter()
                .collect::<BTreeSet<_>>()
        };
        let own = || Follow::Word(FollowWord::Own);
        assert_eq!(with(Follow::default(), vec![]), ids(&[1, 2, 3]));
        assert_eq!(with(own(), vec![]), ids(&[3]));
        assert_eq!(with(own(), vec![groups[0].id]), ids(&[1, 3]));
        assert_eq!(
            with(Follow::Organisations(vec![org(2)]), vec![]),
            ids(&[2, 3])
        );
    }

    proptest! {
        #[test]
        fn bounds_hold_and_own_groups_come_before_others(
            made in proptest::collection::vec((0..4u8, any::<bool>()), 0..400),
        ) {
            let section = PrivateSection::default();
            let groups: Vec<_> = (0..).zip(made).map(|(id, (by, has_state))| Candidate {
                has_state,
                ..group(id, if by == 0 { OWN } else { org(by) })
            }).collect();
            let chosen: BTreeSet<_> = chosen(&section, &groups).into_iter().collect();
            prop_assert!(chosen.len() <= section.limits.groups);
            let left = |one: &&Candidate| !chosen.contains(&one.id);
            let is_own = |one: &Candidate| one.creator == Some(OWN);
            // An own group is left out only for others that have a state, or own ones.
            let fresh_foreign = groups.iter().filter(|one| !left(one) && !is_own(one) && !one.has_state).count();
            if groups.iter().any(|one| left(&one) && is_own(one)) {
                prop_assert_eq!(fresh_foreign, 0);
            }
            for creator in 1..4 {
                let of = groups.iter().filter(|one| !left(one) && one.creator == Some(org(creator)));
                prop_assert!(of.count() <= section.limits.groups_per_creator);
            }
        }
    }
}
