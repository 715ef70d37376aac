//! Who still has to be given an envelope, and when to try again: a state machine
//! without disk, clock or network.
//!
//! A delivery is a digest, its recipients and a policy. Whatever is due is ordered
//! by [`Outbox::due`]; what came of it is told by [`Outbox::on_acknowledged`] and
//! [`Outbox::on_failed`]. When the policy is met the delivery is *released*: its
//! marker may enter the pool. Deliveries go on to those who have not acknowledged
//! after that, until everybody has or the payload is erased.

use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::{BTreeMap, BTreeSet};

/// Deliveries that are not complete yet; beyond it the node takes no more.
pub(crate) const DELIVERIES_MAX: usize = 10_000;
/// Deliveries under way at once, to all recipients together.
const UNDER_WAY_MAX: usize = 64;
/// Deliveries under way at once to one recipient.
const UNDER_WAY_PER_RECIPIENT_MAX: usize = 8;
/// First pause after a try that failed; it doubles up to the largest.
const PAUSE_MS: u64 = 250;
/// Largest pause: a recipient that comes back is tried at once anyway.
const PAUSE_MS_MAX: u64 = 30_000;
/// Bytes of an error that are kept for the status.
const ERROR_BYTES_MAX: usize = 200;

/// Whose acknowledgements a marker waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Policy {
    /// These by name.
    pub(crate) mandatory: BTreeSet<[u8; 32]>,
    /// So many of the others; 0 for all of them.
    pub(crate) quorum: u16,
}

impl Policy {
    /// Whether these acknowledgements, of these recipients, are enough.
    pub(crate) fn is_met<'a>(
        &self,
        recipients: impl Iterator<Item = (&'a [u8; 32], bool)>,
    ) -> bool {
        let (mut others, mut acknowledged) = (0_usize, 0_usize);
        for (org, has_acknowledged) in recipients {
            if self.mandatory.contains(org) {
                if !has_acknowledged {
                    return false;
                }
                continue;
            }
            others += 1;
            acknowledged += usize::from(has_acknowledged);
        }
        let wanted = match self.quorum {
            0 => others,
            quorum => usize::from(quorum).min(others),
        };
        acknowledged >= wanted
    }
}

/// What is known of one recipient of a delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Recipient {
    /// When its signed acknowledgement arrived, seconds since 1970.
    pub(crate) acknowledged_at_s: Option<u64>,
    /// Tries so far.
    pub(crate) attempts: u32,
    /// What the last try met.
    pub(crate) last_error: Option<String>,
    #[borsh(skip)]
    not_before_ms: u64,
    #[borsh(skip)]
    is_under_way: bool,
}

/// Where a delivery's marker stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) enum MarkerStage {
    /// It waits for the policy.
    #[default]
    Waiting,
    /// The policy is met; the marker account sends it until it is in a block.
    Released,
    /// The client makes it.
    Foreign,
    /// It is in this block, as this public transaction.
    Included {
        /// Public height.
        height: u64,
        /// Hash of the public transaction.
        transaction: [u8; 32],
    },
    /// It will not come, for this reason.
    Abandoned(String),
}

/// An envelope on its way.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Delivery {
    /// Digest of the envelope.
    pub(crate) digest: [u8; 32],
    /// Its group.
    pub(crate) group: [u8; 32],
    /// The organisation that sends it.
    pub(crate) sender: [u8; 32],
    /// By which members recognise its marker.
    pub(crate) tag: [u8; 32],
    /// Organisations that are to have it.
    pub(crate) recipients: BTreeMap<[u8; 32], Recipient>,
    /// What the marker waits for.
    pub(crate) policy: Policy,
    /// The marker.
    pub(crate) marker: MarkerStage,
    /// Hash of the marker's transaction, as it was last sent.
    pub(crate) sent_as: Option<[u8; 32]>,
    /// The same transaction sealed anew, after this one was found stale.
    pub(crate) replaced_by: Option<[u8; 32]>,
    /// The one that this was sealed for anew.
    pub(crate) replaces: Option<[u8; 32]>,
    /// It waits for its turn in a group whose transactions follow each other, and is
    /// given to nobody yet.
    pub(crate) is_held: bool,
    /// Order in which such transactions were taken.
    pub(crate) order: u64,
    /// How often it was sealed anew.
    pub(crate) sealed_anew: u32,
}

impl Delivery {
    /// Whether the marker may go out.
    pub(crate) fn is_policy_met(&self) -> bool {
        let recipients = self.recipients.iter();
        let acknowledged =
            recipients.map(|(org, recipient)| (org, recipient.acknowledged_at_s.is_some()));
        self.policy.is_met(acknowledged)
    }

    /// Whether the members have acknowledged what the policy asks for.
    ///
    /// # Errors
    /// Why it was given up: it will not come any more.
    pub(crate) fn is_acknowledged(&self) -> Result<bool, String> {
        match &self.marker {
            MarkerStage::Abandoned(reason) => Err(reason.clone()),
            _ => Ok(self.is_policy_met()),
        }
    }

    fn is_delivered(&self) -> bool {
        let mut recipients = self.recipients.values();
        recipients.all(|recipient| recipient.acknowledged_at_s.is_some())
    }

    /// Nothing is left to be done.
    fn is_complete(&self) -> bool {
        match self.marker {
            MarkerStage::Abandoned(_) => true,
            MarkerStage::Included { .. } | MarkerStage::Foreign => self.is_delivered(),
            MarkerStage::Waiting | MarkerStage::Released => false,
        }
    }
}

/// Somebody is to be given an envelope now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due {
    /// The envelope.
    pub(crate) digest: B256,
    /// Its group.
    pub(crate) group: B256,
    /// The sending organisation.
    pub(crate) sender: B256,
    /// To whom.
    pub(crate) org: B256,
}

/// Deliveries that are not complete.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    deliveries: BTreeMap<B256, Delivery>,
    /// Places of deliveries that are being written.
    reserved: usize,
    under_way: usize,
    under_way_to: BTreeMap<B256, usize>,
}

impl Outbox {
    /// Takes up what was under way before a restart.
    pub(crate) fn restore(&mut self, delivery: Delivery) {
        if !delivery.is_complete() {
            self.deliveries
                .insert(B256::from(delivery.digest), delivery);
        }
    }

    /// Keeps a place for a delivery that is written next; false at the bound.
    pub(crate) fn reserve(&mut self) -> bool {
        let has_place = self.deliveries.len() + self.reserved < DELIVERIES_MAX;
        self.reserved += usize::from(has_place);
        has_place
    }

    /// Gives a place back that was kept for what could not be written.
    pub(crate) fn give_back(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    /// Takes a new delivery into the place that was kept for it.
    pub(crate) fn add(&mut self, delivery: Delivery) {
        self.give_back();
        self.deliveries
            .insert(B256::from(delivery.digest), delivery);
    }

    /// How many are not complete.
    pub(crate) fn len(&self) -> usize {
        self.deliveries.len()
    }

    /// A delivery that is not complete.
    pub(crate) fn get(&self, digest: B256) -> Option<&Delivery> {
        self.deliveries.get(&digest)
    }

    /// What is to be tried now; each is under way until its outcome is told.
    pub(crate) fn due(&mut self, now_ms: u64) -> Vec<Due> {
        let mut due = Vec::new();
        let waiting = self.deliveries.iter_mut();
        for (digest, delivery) in waiting.filter(|(_, delivery)| !delivery.is_held) {
            for (org, recipient) in &mut delivery.recipients {
                let to = self.under_way_to.entry(B256::from(*org)).or_default();
                let has_room = self.under_way < UNDER_WAY_MAX && *to < UNDER_WAY_PER_RECIPIENT_MAX;
                let is_due = recipient.acknowledged_at_s.is_none()
                    && !recipient.is_under_way
                    && recipient.not_before_ms <= now_ms;
                if !has_room || !is_due {
                    continue;
                }
                *to += 1;
                self.under_way += 1;
                recipient.is_under_way = true;
                recipient.attempts = recipient.attempts.saturating_add(1);
                due.push(Due {
                    digest: *digest,
                    group: B256::from(delivery.group),
                    sender: B256::from(delivery.sender),
                    org: B256::from(*org),
                });
            }
        }
        due
    }

    /// When something is due next, if nothing happens meanwhile.
    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        let deliveries = self.deliveries.values();
        let recipients = deliveries
            .filter(|delivery| !delivery.is_held)
            .flat_map(|delivery| delivery.recipients.values());
        let waiting = recipients
            .filter(|recipient| recipient.acknowledged_at_s.is_none() && !recipient.is_under_way);
        waiting.map(|recipient| recipient.not_before_ms).min()
    }

    /// A recipient's acknowledgement was checked. Answers the delivery as it is to be
    /// written; [`Self::release`] then says which markers may go out.
    pub(crate) fn on_acknowledged(
        &mut self,
        digest: B256,
        org: B256,
        at_s: u64,
    ) -> Option<Delivery> {
        self.land(digest, org);
        let delivery = self.deliveries.get_mut(&digest)?;
        let recipient = delivery.recipients.get_mut(&org.0)?;
        if recipient.acknowledged_at_s.is_none() {
            recipient.acknowledged_at_s = Some(at_s);
        }
        recipient.last_error = None;
        self.settled(digest)
    }

    /// A try failed: it is repeated after a pause that doubles each time.
    pub(crate) fn on_failed(&mut self, digest: B256, org: B256, error: &str, now_ms: u64) {
        self.land(digest, org);
        let delivery = self.deliveries.get_mut(&digest);
        let Some(recipient) = delivery.and_then(|one| one.recipients.get_mut(&org.0)) else {
            return;
        };
        let doublings = recipient.attempts.saturating_sub(1).min(16);
        let pause_ms = (PAUSE_MS << doublings).min(PAUSE_MS_MAX);
        recipient.not_before_ms = now_ms.saturating_add(pause_ms);
        recipient.last_error = Some(error.chars().take(ERROR_BYTES_MAX).collect());
    }

    /// A recipient can be reached again: what waits for it is due now.
    pub(crate) fn on_reachable(&mut self, org: B256) {
        for delivery in self.deliveries.values_mut() {
            if let Some(recipient) = delivery.recipients.get_mut(&org.0) {
                recipient.not_before_ms = 0;
            }
        }
    }

    /// An organisation is no longer to be waited for: it has left the group.
    pub(crate) fn on_left(&mut self, group: B256, org: B256) -> Vec<Delivery> {
        let of_group = |delivery: &Delivery| B256::from(delivery.group) == group;
        let digests: Vec<_> = self
            .deliveries
            .iter()
            .filter(|(_, delivery)| of_group(delivery))
            .map(|(digest, _)| *digest)
            .collect();
        let mut changed = Vec::new();
        for digest in digests {
            self.land(digest, org);
            let delivery = self.deliveries.get_mut(&digest);
            let removed = delivery.and_then(|one| one.recipients.remove(&org.0));
            if removed.is_some() {
                changed.extend(self.settled(digest));
            }
        }
        changed
    }

    /// A delivery was sealed anew: it is done, and the other one goes on.
    pub(crate) fn replace(&mut self, digest: B256, by: B256) -> Option<Delivery> {
        let delivery = self.deliveries.get_mut(&digest)?;
        delivery.replaced_by = Some(by.0);
        self.abandon(digest, "sealed anew on the group's newest state")
    }

    /// Releases the markers of a group whose policy is met, in the order in which
    /// their transactions were taken: one that waits holds up those behind it, since
    /// a sender's private nonces are in a row. Answers those that were not released
    /// before.
    pub(crate) fn release(&mut self, group: B256) -> Vec<Delivery> {
        let is_waiting =
            |delivery: &Delivery| delivery.marker == MarkerStage::Waiting && !delivery.is_held;
        let of_group = self.deliveries.values_mut();
        let mut waiting: Vec<_> = of_group
            .filter(|delivery| delivery.group == group.0 && is_waiting(delivery))
            .collect();
        waiting.sort_by_key(|delivery| (delivery.order, delivery.digest));
        let mut released = Vec::new();
        for delivery in waiting {
            if !delivery.is_policy_met() {
                break;
            }
            delivery.marker = MarkerStage::Released;
            released.push(delivery.clone());
        }
        released
    }

    /// The marker was sent as this transaction.
    pub(crate) fn on_sent(&mut self, digest: B256, transaction: B256) -> Option<Delivery> {
        let delivery = self.deliveries.get_mut(&digest)?;
        let is_news = delivery.sent_as != Some(transaction.0);
        delivery.sent_as = Some(transaction.0);
        is_news.then(|| delivery.clone())
    }

    /// The marker is in a block.
    pub(crate) fn on_included(
        &mut self,
        digest: B256,
        height: u64,
        transaction: B256,
    ) -> Option<Delivery> {
        let delivery = self.deliveries.get_mut(&digest)?;
        if matches!(delivery.marker, MarkerStage::Included { .. }) {
            return None;
        }
        delivery.marker = MarkerStage::Included {
            height,
            transaction: transaction.0,
        };
        delivery.sent_as = Some(transaction.0);
        self.settled(digest)
    }

    /// The payload is erased, or the marker can never come.
    pub(crate) fn abandon(&mut self, digest: B256, reason: &str) -> Option<Delivery> {
        let delivery = self.deliveries.get_mut(&digest)?;
        if !matches!(delivery.marker, MarkerStage::Included { .. }) {
            delivery.marker = MarkerStage::Abandoned(reason.to_owned());
        }
        let orgs: Vec<_> = delivery
            .recipients
            .keys()
            .copied()
            .map(B256::from)
            .collect();
        for org in orgs {
            self.land(digest, org);
        }
        self.deliveries.remove(&digest)
    }

    /// Markers that may go out and are in no block yet, with what they carry.
    pub(crate) fn released(&self) -> impl Iterator<Item = &Delivery> {
        let deliveries = self.deliveries.values();
        deliveries.filter(|delivery| delivery.marker == MarkerStage::Released)
    }

    /// Deliveries of a group that are not complete.
    pub(crate) fn of_group(&self, group: B256) -> impl Iterator<Item = &Delivery> {
        let deliveries = self.deliveries.values();
        deliveries.filter(move |delivery| delivery.group == group.0)
    }

    /// A try has ended, however it did.
    fn land(&mut self, digest: B256, org: B256) {
        let delivery = self.deliveries.get_mut(&digest);
        let recipient = delivery.and_then(|one| one.recipients.get_mut(&org.0));
        let Some(recipient) = recipient.filter(|recipient| recipient.is_under_way) else {
            return;
        };
        recipient.is_under_way = false;
        self.under_way = self.under_way.saturating_sub(1);
        if let Some(to) = self.under_way_to.get_mut(&org) {
            *to = to.saturating_sub(1);
        }
    }

    /// The delivery as it is to be written; forgotten here once it is complete.
    fn settled(&mut self, digest: B256) -> Option<Delivery> {
        let delivery = self.deliveries.get(&digest)?;
        if delivery.is_complete() {
            return self.deliveries.remove(&digest);
        }
        Some(delivery.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn org(byte: u8) -> B256 {
        B256::repeat_byte(byte)
    }

    fn delivery(digest: u8, recipients: &[u8], policy: Policy) -> Delivery {
        Delivery {
            digest: [digest; 32],
            group: [9; 32],
            sender: [1; 32],
            tag: [8; 32],
            recipients: recipients
                .iter()
                .map(|byte| ([*byte; 32], Recipient::default()))
                .collect(),
            policy,
            marker: MarkerStage::Waiting,
            sent_as: None,
            replaced_by: None,
            replaces: None,
            is_held: false,
            order: 0,
            sealed_anew: 0,
        }
    }

    fn policy(mandatory: &[u8], quorum: u16) -> Policy {
        Policy {
            mandatory: mandatory.iter().map(|byte| [*byte; 32]).collect(),
            quorum,
        }
    }

    #[test]
    fn full_outbox_is_full_before_anything_is_written() {
        let mut outbox = Outbox::default();
        assert!((0..DELIVERIES_MAX).all(|_| outbox.reserve()));
        assert!(!outbox.reserve());
        outbox.give_back();
        assert!(outbox.reserve());
        outbox.add(delivery(7, &[2], policy(&[], 0)));
        assert!(!outbox.reserve(), "it took the place that was kept for it");
    }

    #[test]
    fn delivery_that_was_given_up_is_not_acknowledged() {
        let mut outbox = Outbox::default();
        outbox.add(delivery(7, &[2, 3], policy(&[], 0)));
        assert_eq!(outbox.get(org(7)).unwrap().is_acknowledged(), Ok(false));
        outbox.on_acknowledged(org(7), org(2), 5);
        // One member's word that it has erased the payload is one that has not got it.
        outbox.on_failed(org(7), org(3), "it has erased the payload", 9);
        assert_eq!(outbox.get(org(7)).unwrap().is_acknowledged(), Ok(false));
        let abandoned = outbox.abandon(org(7), "erased here").unwrap();
        assert_eq!(abandoned.is_acknowledged(), Err("erased here".to_owned()));
    }

    #[test]
    fn policy_is_all_or_the_mandatory_and_so_many_of_the_others() {
        // mandatory, quorum, who acknowledged of 2, 3, 4; whether it is enough
        let table: &[(&[u8], u16, &[u8], bool)] = &[
            (&[], 0, &[2, 3, 4], true),
            (&[], 0, &[2, 3], false),
            (&[], 2, &[2, 4], true),
            (&[], 2, &[4], false),
            (&[2], 1, &[3, 4], false),
            (&[2], 1, &[2], false),
            (&[2], 1, &[2, 4], true),
            (&[2], 0, &[2, 3], false),
            (&[2, 3, 4], 0, &[2, 3, 4], true),
            (&[], 9, &[2, 3, 4], true),
        ];
        for (mandatory, quorum, acknowledged, expected) in table {
            let recipients = [[2; 32], [3; 32], [4; 32]];
            let answers = recipients
                .iter()
                .map(|org| (org, acknowledged.contains(&org[0])));
            let is_met = policy(mandatory, *quorum).is_met(answers);
            assert_eq!(is_met, *expected, "{mandatory:?} {quorum} {acknowledged:?}");
        }
    }

    #[test]
    fn marker_is_released_once_when_the_policy_is_met_and_delivery_goes_on() {
        let mut outbox = Outbox::default();
        outbox.add(delivery(7, &[2, 3], policy(&[2], 1)));
        assert_eq!(outbox.due(0).len(), 2);
        assert_eq!(outbox.due(0), [], "both are under way");
        let digest = org(7);
        outbox.on_failed(digest, org(3), "away", 0);
        outbox.on_acknowledged(digest, org(2), 5).expect("known");
        assert_eq!(
            outbox.release(org(9)),
            [],
            "one of the others is wanted too"
        );
        assert_eq!(outbox.due(PAUSE_MS - 1), []);
        assert_eq!(outbox.due(PAUSE_MS).len(), 1);
        outbox.on_acknowledged(digest, org(3), 6).expect("known");
        assert_eq!(outbox.release(org(9)).len(), 1);
        assert_eq!(outbox.release(org(9)), [], "once");
        assert_eq!(outbox.released().count(), 1);
        let settled = outbox.on_included(digest, 4, org(0xee)).expect("known");
        assert!(matches!(
            settled.marker,
            MarkerStage::Included { height: 4, .. }
        ));
        assert_eq!(outbox.len(), 0, "complete");
    }

    #[test]
    fn recipient_that_is_away_is_tried_ever_more_seldom_and_at_once_when_it_is_back() {
        let mut outbox = Outbox::default();
        outbox.add(delivery(7, &[2], policy(&[], 0)));
        let (mut now_ms, mut pauses) = (0, Vec::new());
        for _ in 0..12 {
            assert_eq!(outbox.due(now_ms).len(), 1);
            outbox.on_failed(org(7), org(2), "not connected", now_ms);
            let next = outbox.next_due_ms().expect("it waits");
            pauses.push(next - now_ms);
            now_ms = next;
        }
        assert_eq!(pauses[..3], [250, 500, 1_000]);
        assert_eq!(pauses[11], PAUSE_MS_MAX);
        outbox.on_failed(org(7), org(2), "not connected", now_ms);
        outbox.on_reachable(org(2));
        assert_eq!(outbox.due(now_ms).len(), 1);
    }

    #[test]
    fn one_recipient_does_not_take_all_room() {
        let mut outbox = Outbox::default();
        for digest in 0..100 {
            outbox.add(delivery(digest, &[2, 3], policy(&[], 0)));
        }
        let due = outbox.due(0);
        let to = |byte| due.iter().filter(|due| due.org == org(byte)).count();
        assert_eq!(
            (to(2), to(3)),
            (UNDER_WAY_PER_RECIPIENT_MAX, UNDER_WAY_PER_RECIPIENT_MAX)
        );
    }

    #[test]
    fn erased_payload_is_delivered_no_more() {
        let mut outbox = Outbox::default();
        outbox.add(delivery(7, &[2, 3], policy(&[], 0)));
        outbox.due(0);
        let abandoned = outbox.abandon(org(7), "erased").expect("known");
        assert_eq!(
            abandoned.marker,
            MarkerStage::Abandoned("erased".to_owned())
        );
        assert_eq!(outbox.due(u64::MAX), []);
        assert!(outbox.on_acknowledged(org(7), org(2), 1).is_none());
        assert_eq!(outbox.under_way, 0);
    }

    #[test]
    fn markers_of_a_group_go_out_in_the_order_in_which_they_were_taken() {
        let mut outbox = Outbox::default();
        for (digest, order) in [(7, 2), (8, 1), (6, 3)] {
            outbox.add(Delivery {
                order,
                ..delivery(digest, &[2], policy(&[], 0))
            });
        }
        let mut released = |digest| -> Vec<u8> {
            outbox.on_acknowledged(org(digest), org(2), 1);
            let released = outbox.release(org(9)).into_iter();
            released.map(|delivery| delivery.digest[0]).collect()
        };
        assert!(released(7).is_empty(), "8 was taken before");
        assert_eq!(released(8), [8, 7]);
        assert_eq!(released(6), [6]);
    }

    #[test]
    fn held_delivery_is_given_to_nobody_until_it_is_sealed_anew() {
        let mut outbox = Outbox::default();
        let held = Delivery {
            is_held: true,
            ..delivery(7, &[2], policy(&[], 0))
        };
        outbox.add(held);
        assert_eq!(outbox.due(0), []);
        assert_eq!(outbox.next_due_ms(), None);
        let replaced = outbox.replace(org(7), org(8)).expect("known");
        assert_eq!(replaced.replaced_by, Some([8; 32]));
        assert_eq!(outbox.len(), 0);
    }

    #[test]
    fn who_left_the_group_is_waited_for_no_more() {
        let mut outbox = Outbox::default();
        outbox.add(delivery(7, &[2, 3], policy(&[], 0)));
        outbox.due(0);
        outbox.on_acknowledged(org(7), org(2), 1);
        let changed = outbox.on_left(org(9), org(3));
        assert_eq!(changed.len(), 1);
        assert_eq!(outbox.release(org(9)).len(), 1);
    }

    #[test]
    fn delivery_survives_a_restart_with_its_acknowledgements() {
        let mut outbox = Outbox::default();
        outbox.add(delivery(7, &[2, 3], policy(&[], 1)));
        outbox.due(0);
        outbox.on_acknowledged(org(7), org(2), 5).expect("known");
        let written = outbox.release(org(9)).remove(0);
        let bytes = borsh::to_vec(&written).expect("memory");
        let mut restarted = Outbox::default();
        restarted.restore(borsh::from_slice(&bytes).expect("what was written"));
        assert_eq!(restarted.released().count(), 1);
        let due: Vec<_> = restarted.due(0).into_iter().map(|due| due.org).collect();
        assert_eq!(due, [org(3)]);
    }

    proptest! {
        /// Whatever happens in whatever order: nobody is given more than its share at
        /// once, and a marker is released exactly if the policy is met.
        #[test]
        fn any_story_keeps_the_bounds(events in proptest::collection::vec((0..5u8, 0..4u8, 2..6u8), 0..200)) {
            let mut outbox = Outbox::default();
            let mut acknowledged = BTreeSet::new();
            for (kind, digest, to) in events {
                match kind {
                    0 => {
                        if outbox.get(org(digest)).is_none() && !acknowledged.iter().any(|(one, _)| *one == digest) {
                            let group = [digest; 32];
                            outbox.add(Delivery { group, ..delivery(digest, &[2, 3, 4, 5], policy(&[2], 2)) });
                        }
                    }
                    1 => { outbox.due(u64::MAX); }
                    2 => {
                        if outbox.get(org(digest)).is_some() {
                            acknowledged.insert((digest, to));
                            outbox.on_acknowledged(org(digest), org(to), 1);
                            outbox.release(org(digest));
                        }
                    }
                    3 => outbox.on_failed(org(digest), org(to), "no", 0),
                    _ => outbox.on_reachable(org(to)),
                }
                prop_assert!(outbox.under_way <= UNDER_WAY_MAX);
                let under_way: usize = outbox.deliveries.values().flat_map(|one| one.recipients.values())
                    .filter(|recipient| recipient.is_under_way).count();
                prop_assert_eq!(outbox.under_way, under_way);
                for delivery in outbox.deliveries.values() {
                    let has = |to| acknowledged.contains(&(delivery.digest[0], to));
                    let others = [3, 4, 5].into_iter().filter(|to| has(*to)).count();
                    let is_met = has(2) && others >= 2;
                    prop_assert_eq!(delivery.marker == MarkerStage::Released, is_met);
                }
            }
        }
    }
}
