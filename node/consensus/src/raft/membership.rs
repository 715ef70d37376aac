//! Who belongs to the group: ids, keys, learners, and the ids that are gone.
//!
//! An id is derived from a node key and an incarnation. A node that lost its
//! disk takes another incarnation, because whoever votes under an id must know
//! what was voted under it before. An id that was removed never returns.

use crate::{
    RaftMember,
    mutants::{Mutant, is_on},
};
use alloy_primitives::keccak256;
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::{NodePublicKey, ValidatorSet, limits};
use raft::eraftpb::{ConfChange, ConfChangeType, ConfState};

/// Removed ids that are remembered; the oldest goes first.
pub(super) const RETIRED_MAX: usize = 1_024;
/// Members of a group: every validator once, and once more while it is replaced.
pub(super) const MEMBERS_MAX: usize = 2 * limits::VALIDATORS_MAX;

/// Id of a node in its group: never zero, which Raft keeps for "nobody".
pub(super) fn raft_id(key: &NodePublicKey, incarnation: u64) -> u64 {
    let mut bytes = b"medina/raft-id/".to_vec();
    bytes.extend_from_slice(&key.0);
    bytes.extend_from_slice(&incarnation.to_be_bytes());
    let hash = keccak256(bytes);
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(first).max(1)
}

/// Who we are in the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Identity {
    pub(super) id: u64,
    pub(super) incarnation: u64,
}

impl Identity {
    pub(super) fn new(key: &NodePublicKey, incarnation: u64) -> Self {
        let id = raft_id(key, incarnation);
        Self { id, incarnation }
    }
}

/// A member of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize)]
pub(super) struct Member {
    pub(super) key: NodePublicKey,
    pub(super) incarnation: u64,
    pub(super) is_learner: bool,
    /// Follows from key and incarnation; asked for with every message.
    #[borsh(skip)]
    id: u64,
}

impl Member {
    fn new(key: NodePublicKey, incarnation: u64, is_learner: bool) -> Self {
        Self {
            key,
            incarnation,
            is_learner,
            id: raft_id(&key, incarnation),
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl BorshDeserialize for Member {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let key = NodePublicKey::deserialize_reader(reader)?;
        let incarnation = u64::deserialize_reader(reader)?;
        let is_learner = bool::deserialize_reader(reader)?;
        Ok(Self::new(key, incarnation, is_learner))
    }
}

/// One step of the group towards the validator set, as carried by the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) enum MemberChange {
    /// Follows without a vote.
    AddLearner {
        key: NodePublicKey,
        incarnation: u64,
    },
    /// Gets its vote.
    Promote { id: u64 },
    /// Leaves for good.
    Remove { id: u64 },
}

impl MemberChange {
    pub(super) fn conf_change(&self) -> ConfChange {
        let mut change = ConfChange::default();
        let (kind, id) = match self {
            Self::AddLearner { key, incarnation } if is_on(Mutant::RaftLearnerVotes) => {
                (ConfChangeType::AddNode, raft_id(key, *incarnation))
            }
            Self::AddLearner { key, incarnation } => {
                (ConfChangeType::AddLearnerNode, raft_id(key, *incarnation))
            }
            Self::Promote { id } => (ConfChangeType::AddNode, *id),
            Self::Remove { id } => (ConfChangeType::RemoveNode, *id),
        };
        change.set_change_type(kind);
        change.node_id = id;
        change
    }
}

/// The group as the applied part of the log leaves it.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize)]
pub(super) struct Group {
    /// Ascending by id.
    members: Vec<Member>,
    /// In the order of their removal.
    retired: Vec<u64>,
}

impl Group {
    /// The group of a fresh chain: every validator under its first id.
    pub(super) fn genesis(set: &ValidatorSet) -> Self {
        let keys = set.validators().iter().map(|validator| validator.key);
        Self::of(keys.map(|key| (key, 0)))
    }

    /// A group of voters.
    pub(super) fn of(voters: impl IntoIterator<Item = (NodePublicKey, u64)>) -> Self {
        let voter = |(key, incarnation)| Member::new(key, incarnation, false);
        let mut members: Vec<_> = voters.into_iter().map(voter).collect();
        members.sort_unstable_by_key(Member::id);
        Self {
            members,
            retired: Vec::new(),
        }
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(super) fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.is_learner)
    }

    pub(super) fn get(&self, id: u64) -> Option<&Member> {
        self.members.iter().find(|member| member.id() == id)
    }

    pub(super) fn of_key(&self, key: &NodePublicKey) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.key == *key)
    }

    pub(super) fn is_retired(&self, id: u64) -> bool {
        self.retired.contains(&id)
    }

    pub(super) fn retired(&self) -> impl Iterator<Item = u64> {
        self.retired.iter().copied()
    }

    /// Forgets the members, of which we are not one any more.
    pub(super) fn without_members(&self) -> Self {
        Self {
            members: Vec::new(),
            retired: self.retired.clone(),
        }
    }

    /// Remembers that an id is gone.
    pub(super) fn retire(&mut self, id: u64) {
        if !self.is_retired(id) {
            self.retired.push(id);
            let surplus = self.retired.len().saturating_sub(RETIRED_MAX);
            self.retired.drain(..surplus);
        }
    }

    /// Why a change cannot be made; every node says the same.
    pub(super) fn refusal(&self, change: &MemberChange) -> Option<&'static str> {
        match change {
            MemberChange::AddLearner { key, incarnation } => {
                let id = raft_id(key, *incarnation);
                if self.get(id).is_some() {
                    Some("the member is there already")
                } else if self.is_retired(id) && !is_on(Mutant::RaftRetiredIdAdmitted) {
                    Some("the id was removed before")
                } else if self.members.len() >= MEMBERS_MAX {
                    Some("the group is full")
                } else {
                    None
                }
            }
            MemberChange::Promote { id } => match self.get(*id) {
                Some(member) if member.is_learner => None,
                _ => Some("there is no such learner"),
            },
            MemberChange::Remove { id } => match self.get(*id) {
                None => Some("there is no such member"),
                Some(_) if self.voters().all(|voter| voter.id() == *id) => {
                    Some("a group needs a voter")
                }
                Some(_) => None,
            },
        }
    }

    /// Makes a change that [`Self::refusal`] has nothing against.
    pub(super) fn apply(&mut self, change: &MemberChange) {
        match *change {
            MemberChange::AddLearner { key, incarnation } => {
                let is_learner = !is_on(Mutant::RaftLearnerVotes);
                self.members.push(Member::new(key, incarnation, is_learner));
                self.members.sort_unstable_by_key(Member::id);
            }
            MemberChange::Promote { id } => {
                let learner = self.members.iter_mut().find(|member| member.id() == id);
                if let Some(member) = learner {
                    member.is_learner = false;
                }
            }
            MemberChange::Remove { id } => {
                self.members.retain(|member| member.id() != id);
                self.retire(id);
            }
        }
    }

    pub(super) fn conf_state(&self) -> ConfState {
        let ids = |is_learner| {
            let members = self.members.iter();
            let members = members.filter(move |member| member.is_learner == is_learner);
            members.map(Member::id).collect::<Vec<_>>()
        };
        ConfState::from((ids(false), ids(true)))
    }

    pub(super) fn to_status(&self) -> Vec<RaftMember> {
        let to_status = |member: &Member| RaftMember {
            id: member.id(),
            key: member.key,
            is_learner: member.is_learner,
        };
        self.members.iter().map(to_status).collect()
    }
}

impl BorshDeserialize for Group {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let members = Vec::<Member>::deserialize_reader(reader)?;
        let retired = Vec::<u64>::deserialize_reader(reader)?;
        let is_ascending = members.windows(2).all(|two| two[0].id() < two[1].id());
        if members.len() > MEMBERS_MAX || retired.len() > RETIRED_MAX || !is_ascending {
            let text = "group is too large or not in order";
            return Err(borsh::io::Error::new(
                borsh::io::ErrorKind::InvalidData,
                text,
            ));
        }
        Ok(Self { members, retired })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> NodePublicKey {
        NodePublicKey([byte; 32])
    }

    #[test]
    fn removed_id_never_returns_but_another_of_its_key_may_come() {
        let mut group = Group::of([(key(1), 0), (key(2), 0)]);
        group.apply(&MemberChange::Remove {
            id: raft_id(&key(2), 0),
        });
        let add = |incarnation| MemberChange::AddLearner {
            key: key(2),
            incarnation,
        };
        assert!(group.refusal(&add(0)).is_some());
        assert_eq!(group.refusal(&add(7)), None);
        group.apply(&add(7));
        assert!(group.get(raft_id(&key(2), 7)).unwrap().is_learner);
    }

    #[test]
    fn last_voter_is_not_removed() {
        let group = Group::of([(key(1), 0)]);
        let remove = MemberChange::Remove {
            id: raft_id(&key(1), 0),
        };
        assert_eq!(group.refusal(&remove), Some("a group needs a voter"));
    }
}
