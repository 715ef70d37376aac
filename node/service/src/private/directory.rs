//! Parties of the chain and the groups of this node, as the contract has them at the
//! head: kept in memory, and read anew where an event of the contract names them.

use crate::private::registry::{
    GroupRecord, LISTED_MAX, PartyRecord, Registry, RegistryError, View,
};
use alloy_primitives::{Address, B256};
use medina_enclave::PartyId;
use medina_types::{NodePublicKey, Receipt};
use parking_lot::RwLock;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What is known; a value that does not change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// All parties.
    pub(crate) parties: BTreeMap<B256, PartyRecord>,
    /// Groups that a party of this node is a member of.
    pub(crate) groups: BTreeMap<B256, GroupRecord>,
    /// Groups of the chain that were looked at.
    group_count: u64,
}

impl Known {
    /// Organisations that a node serves.
    pub(crate) fn served_by(&self, node: &NodePublicKey) -> impl Iterator<Item = B256> {
        let parties = self.parties.iter();
        parties
            .filter(move |(_, party)| party.node == *node)
            .map(|(org, _)| *org)
    }

    /// The organisation of an identity key that is in use.
    pub(crate) fn org_of(&self, id: &PartyId) -> Option<B256> {
        let mut parties = self.parties.iter();
        let found = parties.find(|(_, party)| party.id == *id)?;
        Some(*found.0)
    }

    /// Whether a node serves an organisation that is a member of a group of ours.
    pub(crate) fn speaks_for(&self, node: &NodePublicKey, org: &B256, group: &B256) -> bool {
        let is_served = self
            .parties
            .get(org)
            .is_some_and(|party| party.node == *node);
        is_served && self.groups.get(group).is_some_and(|group| group.has(org))
    }
}

/// The directory. Readers never wait for a refresh.
pub(crate) struct Directory {
    registry: Registry,
    own: BTreeSet<B256>,
    known: RwLock<Arc<Known>>,
}

impl Directory {
    /// Reads everything once.
    ///
    /// # Errors
    /// As of [`Registry`].
    pub(crate) fn new(registry: Registry, own: BTreeSet<B256>) -> Result<Self, RegistryError> {
        let directory = Self {
            registry,
            own,
            known: RwLock::default(),
        };
        directory.refresh(&Named::Everything)?;
        Ok(directory)
    }

    /// What is known now.
    pub(crate) fn known(&self) -> Arc<Known> {
        self.known.read().clone()
    }

    /// Reads anew what events named.
    ///
    /// # Errors
    /// As of [`Registry`]; what was known stays.
    pub(crate) fn refresh(&self, named: &Named) -> Result<(), RegistryError> {
        let mut known = (*self.known()).clone();
        self.registry.now(|view| {
            match named {
                Named::Everything => known.parties = view.parties()?,
                Named::These(ids) => {
                    for id in ids {
                        match view.party(*id)? {
                            Some(party) => drop(known.parties.insert(*id, party)),
                            None => drop(known.parties.remove(id)),
                        }
                    }
                }
            }
            self.read_groups(view, named, &mut known)
        })?;
        *self.known.write() = Arc::new(known);
        Ok(())
    }

    fn read_groups(
        &self,
        view: &View<'_>,
        named: &Named,
        known: &mut Known,
    ) -> Result<(), RegistryError> {
        let count = view.group_count()?.min(LISTED_MAX);
        let mut ids = BTreeSet::new();
        for index in known.group_count + 1..=count {
            ids.insert(view.group_at(index)?);
        }
        known.group_count = count;
        if let Named::These(named) = named {
            ids.extend(named);
        }
        for id in ids {
            let group = view.group(id)?;
            let ours = group.filter(|group| self.own.iter().any(|org| group.has(org)));
            match ours {
                Some(group) => drop(known.groups.insert(id, group)),
                None => drop(known.groups.remove(&id)),
            }
        }
        Ok(())
    }
}

/// What a refresh looks at, new groups aside, which are always looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// All parties.
    Everything,
    /// These organisations or groups: whichever they are.
    These(BTreeSet<B256>),
}

/// Identifiers that events of a contract name in the receipts of a block; empty where
/// it has no event.
pub(crate) fn named_in(contract: Address, receipts: &[Receipt]) -> BTreeSet<B256> {
    let logs = receipts.iter().flat_map(|receipt| &receipt.logs);
    let ours = logs.filter(|log| log.address == contract);
    ours.flat_map(|log| log.topics().iter().skip(1).take(2).copied())
        .collect()
}
