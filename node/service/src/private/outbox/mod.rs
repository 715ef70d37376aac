//! Who still has to be given an envelope, and when to try again: a state machine
//! without disk, clock or network.
//!
//! A delivery is a digest, its recipients and a policy. Whatever is due is ordered
//! by [`Outbox::due`]; what came of it is told by [`Outbox::on_acknowledged`] and
//! [`Outbox::on_failed`]. When the policy is met and those before it have left, the
//! delivery is *released*: its marker may enter the pool. Deliveries go on to those
//! who have not acknowledged after that, for a while: who is away for longer fetches
//! what the blocks name, and is not kept waiting for.

mod delivery;
mod lanes;
mod markers;
mod turns;

#[cfg(test)]
mod tests;

pub(crate) use delivery::{Delivery, MarkerStage, Policy, Recipient, Signed};

use alloy_primitives::B256;
use delivery::Turn;
use lanes::Lanes;
use std::collections::{BTreeMap, BTreeSet};
use turns::Turns;

/// Deliveries that are not complete yet; beyond it the node takes no more.
pub(crate) const DELIVERIES_MAX: usize = 10_000;
/// Of them those of one group, so that one group's absent members stop no other.
pub(crate) const DELIVERIES_PER_GROUP_MAX: usize = 2_500;
/// First pause after a try that failed; it doubles up to the largest.
const PAUSE_MS: u64 = 250;
/// Largest pause: a recipient that comes back is tried at once anyway.
const PAUSE_MS_MAX: u64 = 30_000;
/// Bytes of an error that are kept for the status.
const ERROR_BYTES_MAX: usize = 200;

/// Somebody is to be given an envelope now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due {
    /// The envelope.
    pub(crate) digest: B256,
    /// Its group.
    pub(crate) group: B256,
    /// The sending organisation.
    pub(crate) sender: B256,
    /// By which members recognise its marker.
    pub(crate) tag: B256,
    /// To whom.
    pub(crate) org: B256,
}

/// Group, account, nonce, order and digest of a marker that waits.
type Place = (B256, Option<[u8; 20]>, u64, u64, B256);

/// Deliveries of one group.
#[derive(Debug, Default)]
struct OfGroup {
    digests: BTreeSet<B256>,
    /// Places of deliveries that are being written.
    reserved: usize,
}

/// Deliveries that are not complete.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    deliveries: BTreeMap<B256, Delivery>,
    groups: BTreeMap<B256, OfGroup>,
    /// Places of deliveries that are being written.
    reserved: usize,
    turns: Turns,
    lanes: Lanes,
    /// Markers that wait for their policy or for those before them.
    waiting: BTreeSet<Place>,
}

fn place_of(delivery: &Delivery) -> Option<Place> {
    let waits = delivery.marker == MarkerStage::Waiting && !delivery.is_held;
    let (account, nonce) = match delivery.signed {
        Some(signed) => (Some(signed.account), signed.nonce),
        None => (None, 0),
    };
    let (group, digest) = (B256::from(delivery.group), B256::from(delivery.digest));
    waits.then_some((group, account, nonce, delivery.order, digest))
}

impl Outbox {
    /// Takes up what was under way before, after a restart or anew.
    pub(crate) fn restore(&mut self, delivery: Delivery) {
        self.forget(B256::from(delivery.digest));
        if !delivery.is_complete(|_| false) {
            self.insert(delivery);
        }
    }

    /// Keeps a place for a delivery of a group that is written next; false at a bound.
    pub(crate) fn reserve(&mut self, group: B256) -> bool {
        let of_group = self.groups.entry(group).or_default();
        let has_place = self.deliveries.len() + self.reserved < DELIVERIES_MAX
            && of_group.digests.len() + of_group.reserved < DELIVERIES_PER_GROUP_MAX;
        self.reserved += usize::from(has_place);
        of_group.reserved += usize::from(has_place);
        has_place
    }

    /// Gives a place back that was kept for what could not be written.
    pub(crate) fn give_back(&mut self, group: B256) {
        self.reserved = self.reserved.saturating_sub(1);
        if let Some(of_group) = self.groups.get_mut(&group) {
            of_group.reserved = of_group.reserved.saturating_sub(1);
        }
        self.tidy(group);
    }

    /// Takes a new delivery into the place that was kept for it.
    pub(crate) fn add(&mut self, delivery: Delivery) {
        let group = B256::from(delivery.group);
        self.insert(delivery);
        self.give_back(group);
    }

    fn insert(&mut self, mut delivery: Delivery) {
        let digest = B256::from(delivery.digest);
        for (org, recipient) in &mut delivery.recipients {
            recipient.turn = Turn::None;
            if recipient.acknowledged_at_s.is_none() && !delivery.is_held {
                recipient.turn = Turn::At(0);
                self.turns.add(B256::from(*org), 0, digest);
            }
        }
        if let Some(signed) = delivery.signed
            && delivery.marker == MarkerStage::Released
        {
            self.lanes.leave(delivery.group.into(), signed);
        }
        self.waiting.extend(place_of(&delivery));
        let of_group = self.groups.entry(delivery.group.into()).or_default();
        of_group.digests.insert(digest);
        self.deliveries.insert(digest, delivery);
    }

    /// How many are not complete.
    pub(crate) fn len(&self) -> usize {
        self.deliveries.len()
    }

    /// How many of a group are not complete.
    pub(crate) fn len_of(&self, group: B256) -> usize {
        self.groups.get(&group).map_or(0, |of| of.digests.len())
    }

    /// A delivery that is not complete.
    pub(crate) fn get(&self, digest: B256) -> Option<&Delivery> {
        self.deliveries.get(&digest)
    }

    /// What is to be tried now; each is under way until its outcome is told.
    pub(crate) fn due(&mut self, now_ms: u64) -> Vec<Due> {
        let mut due = Vec::new();
        while let Some((org, digest)) = self.turns.next(now_ms) {
            let delivery = self.deliveries.get_mut(&digest);
            let Some((recipient, delivery)) = delivery.and_then(|delivery| {
                let recipient = delivery.recipients.get(&org.0)?.clone();
                Some((recipient, delivery))
            }) else {
                self.turns.land(org);
                continue;
            };
            let attempts = recipient.attempts.saturating_add(1);
            let tried = Recipient {
                attempts,
                turn: Turn::UnderWay,
                ..recipient
            };
            delivery.recipients.insert(org.0, tried);
            due.push(Due {
                digest,
                group: B256::from(delivery.group),
                sender: B256::from(delivery.sender),
                tag: B256::from(delivery.tag),
                org,
            });
        }
        due
    }

    /// When something is due next, if nothing happens meanwhile.
    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        self.turns.next_due_ms()
    }

    /// A recipient's acknowledgement of an envelope with this tag was checked. Answers
    /// the delivery as it is to be written; [`Self::release`] then says which markers
    /// may go out.
    pub(crate) fn on_acknowledged(
        &mut self,
        (digest, tag): (B256, B256),
        org: B256,
        at_s: u64,
    ) -> Option<Delivery> {
        self.leave_turn(digest, org);
        self.turns.note(org, true);
        let delivery = self.deliveries.get_mut(&digest)?;
        let recipient = delivery.recipients.get_mut(&org.0)?;
        if delivery.tag != tag.0 {
            // The group has a new secret since: it is asked again.
            recipient.turn = Turn::At(0);
            self.turns.add(org, 0, digest);
            return None;
        }
        if recipient.acknowledged_at_s.is_none() {
            recipient.acknowledged_at_s = Some(at_s);
        }
        recipient.last_error = None;
        self.settled(digest)
    }

    /// A try failed: it is repeated after a pause that doubles each time. Answers the
    /// delivery where it is complete, because there were tries enough.
    pub(crate) fn on_failed(
        &mut self,
        digest: B256,
        org: B256,
        error: &str,
        now_ms: u64,
    ) -> Option<Delivery> {
        self.leave_turn(digest, org);
        self.turns.note(org, false);
        let delivery = self.deliveries.get_mut(&digest)?;
        let is_late = delivery.is_late();
        let recipient = delivery.recipients.get_mut(&org.0)?;
        if recipient.acknowledged_at_s.is_some() {
            return None;
        }
        let doublings = recipient.attempts.saturating_sub(1).min(16);
        let pause_ms = (PAUSE_MS << doublings).min(PAUSE_MS_MAX);
        let at_ms = now_ms.saturating_add(pause_ms);
        recipient.last_error = Some(error.chars().take(ERROR_BYTES_MAX).collect());
        recipient.late_tries += u32::from(is_late);
        recipient.turn = Turn::At(at_ms);
        self.turns.add(org, at_ms, digest);
        let settled = self.settled(digest);
        settled.filter(|_| self.get(digest).is_none())
    }

    /// A recipient can be reached again: what waits for it is due now.
    pub(crate) fn on_reachable(&mut self, org: B256) {
        for digest in self.turns.all_now(org) {
            let delivery = self.deliveries.get_mut(&digest);
            if let Some(recipient) = delivery.and_then(|one| one.recipients.get_mut(&org.0)) {
                recipient.turn = Turn::At(0);
            }
        }
    }

    /// An organisation is no longer to be waited for: it has left the group.
    pub(crate) fn on_left(&mut self, group: B256, org: B256) -> Vec<Delivery> {
        let mut changed = Vec::new();
        for digest in self.digests_of(group) {
            self.leave_turn(digest, org);
            let delivery = self.deliveries.get_mut(&digest);
            let removed = delivery.and_then(|one| one.recipients.remove(&org.0));
            if removed.is_some() {
                changed.extend(self.settled(digest));
            }
        }
        changed
    }

    /// The payload is erased, or the marker can never come.
    pub(crate) fn abandon(&mut self, digest: B256, reason: &str) -> Option<Delivery> {
        let mut delivery = self.forget(digest)?;
        if !matches!(delivery.marker, MarkerStage::Included { .. }) {
            delivery.marker = MarkerStage::Abandoned(reason.to_owned());
        }
        Some(delivery)
    }

    /// Deliveries of a group that are not complete.
    pub(crate) fn of_group(&self, group: B256) -> impl Iterator<Item = &Delivery> {
        let of_group = self.groups.get(&group);
        let digests = of_group.into_iter().flat_map(|of| &of.digests);
        digests.filter_map(|digest| self.deliveries.get(digest))
    }

    fn digests_of(&self, group: B256) -> Vec<B256> {
        let of_group = self.groups.get(&group);
        of_group.map_or_else(Vec::new, |of| of.digests.iter().copied().collect())
    }

    /// Takes a recipient of a delivery out of the queue, or lands the try under way.
    fn leave_turn(&mut self, digest: B256, org: B256) {
        let delivery = self.deliveries.get_mut(&digest);
        let Some(recipient) = delivery.and_then(|one| one.recipients.get_mut(&org.0)) else {
            return;
        };
        match std::mem::take(&mut recipient.turn) {
            Turn::None => {}
            Turn::At(at_ms) => self.turns.remove(org, at_ms, digest),
            Turn::UnderWay => self.turns.land(org),
        }
    }

    /// Takes a delivery out of everything.
    fn forget(&mut self, digest: B256) -> Option<Delivery> {
        let delivery = self.deliveries.get(&digest)?;
        let orgs: Vec<_> = delivery.recipients.keys().copied().collect();
        for org in orgs {
            self.leave_turn(digest, B256::from(org));
        }
        let delivery = self.deliveries.remove(&digest)?;
        if let Some(place) = place_of(&delivery) {
            self.waiting.remove(&place);
        }
        let group = B256::from(delivery.group);
        if let Some(of_group) = self.groups.get_mut(&group) {
            of_group.digests.remove(&digest);
        }
        self.tidy(group);
        Some(delivery)
    }

    fn tidy(&mut self, group: B256) {
        let is_empty = |of: &OfGroup| of.digests.is_empty() && of.reserved == 0;
        if self.groups.get(&group).is_some_and(is_empty) {
            self.groups.remove(&group);
        }
    }

    /// The delivery as it is to be written; forgotten here once it is complete.
    fn settled(&mut self, digest: B256) -> Option<Delivery> {
        let delivery = self.deliveries.get(&digest)?;
        if delivery.is_complete(|org| self.turns.is_away(org)) {
            return self.forget(digest);
        }
        Some(delivery.clone())
    }
}
