//! The outbox by its stories: who is tried when, what is complete, what the bounds are.

mod markers;

use super::{
    delivery::LATE_TRIES_MAX,
    turns::{UNDER_WAY_MAX, UNDER_WAY_PER_RECIPIENT_MAX},
    *,
};
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
        secret_version: 0,
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
        awaits_receipt: false,
        order: 0,
        signed: None,
        sealed_anew: 0,
    }
}

fn acknowledge(outbox: &mut Outbox, digest: u8, by: u8) -> Option<Delivery> {
    outbox.on_acknowledged((org(digest), org(8)), org(by), 5)
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
    for group in 0..4 {
        assert!((0..DELIVERIES_PER_GROUP_MAX).all(|_| outbox.reserve(org(group))));
        assert!(!outbox.reserve(org(group)), "one group does not take all");
    }
    assert!(!outbox.reserve(org(9)), "all together have a bound too");
    outbox.give_back(org(0));
    outbox.give_back(org(1));
    assert!(outbox.reserve(org(9)));
    outbox.add(delivery(7, &[2], policy(&[], 0)));
    assert!(outbox.reserve(org(9)));
    assert!(
        !outbox.reserve(org(9)),
        "it took the place that was kept for it"
    );
}

#[test]
fn delivery_that_was_given_up_is_not_acknowledged() {
    let mut outbox = Outbox::default();
    outbox.add(delivery(7, &[2, 3], policy(&[], 0)));
    assert_eq!(outbox.get(org(7)).unwrap().is_acknowledged(), Ok(false));
    acknowledge(&mut outbox, 7, 2);
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
    acknowledge(&mut outbox, 7, 2).expect("known");
    assert_eq!(
        outbox.release(org(9), None, None),
        [],
        "one of the others is wanted too"
    );
    assert_eq!(outbox.due(PAUSE_MS - 1), []);
    assert_eq!(outbox.due(PAUSE_MS).len(), 1);
    acknowledge(&mut outbox, 7, 3).expect("known");
    assert_eq!(outbox.release(org(9), None, None).len(), 1);
    assert_eq!(outbox.release(org(9), None, None), [], "once");
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
    assert!(acknowledge(&mut outbox, 7, 2).is_none());
    assert_eq!(outbox.turns.under_way(), 0);
}

#[test]
fn absent_member_is_tried_a_few_times_more_and_then_waited_for_no_longer() {
    let mut outbox = Outbox::default();
    outbox.add(delivery(7, &[2, 3], policy(&[], 1)));
    let mut now_ms = 0;
    outbox.due(now_ms);
    for _ in 0..3 {
        assert!(outbox.on_failed(org(7), org(3), "away", now_ms).is_none());
        now_ms = outbox.next_due_ms().unwrap();
        assert_eq!(outbox.due(now_ms).len(), 1);
    }
    acknowledge(&mut outbox, 7, 2);
    outbox.release(org(9), None, None);
    assert!(outbox.on_included(org(7), 4, org(0xee)).is_some());
    for tries in 1..=LATE_TRIES_MAX {
        let complete = outbox.on_failed(org(7), org(3), "away", now_ms);
        assert_eq!(complete.is_some(), tries == LATE_TRIES_MAX);
        now_ms = outbox.next_due_ms().unwrap_or(now_ms);
        outbox.due(now_ms);
    }
    assert_eq!((outbox.len(), outbox.turns.under_way()), (0, 0));
}

#[test]
fn member_away_for_an_hour_does_not_fill_the_outbox() {
    let mut outbox = Outbox::default();
    for number in 0..12_000_u32 {
        let digest = B256::left_padding_from(&number.to_be_bytes());
        assert!(outbox.reserve(org(9)), "{number} are sent");
        outbox.add(Delivery {
            digest: digest.0,
            ..delivery(0, &[2, 3], policy(&[], 1))
        });
        let now_ms = u64::from(number) * 100;
        for due in outbox.due(now_ms) {
            match due.org == org(2) {
                true => drop(outbox.on_acknowledged((due.digest, due.tag), due.org, 1)),
                false => drop(outbox.on_failed(due.digest, due.org, "away", now_ms)),
            }
        }
        outbox.release(org(9), None, None);
        outbox.on_included(digest, u64::from(number), org(0xee));
    }
    assert!(outbox.len() < 500, "{}", outbox.len());
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
    acknowledge(&mut outbox, 7, 2);
    let changed = outbox.on_left(org(9), org(3));
    assert_eq!(changed.len(), 1);
    assert_eq!(outbox.release(org(9), None, None).len(), 1);
}

#[test]
fn delivery_survives_a_restart_with_its_acknowledgements() {
    let mut outbox = Outbox::default();
    outbox.add(delivery(7, &[2, 3], policy(&[], 1)));
    outbox.due(0);
    acknowledge(&mut outbox, 7, 2).expect("known");
    let written = outbox.release(org(9), None, None).remove(0);
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
                        acknowledge(&mut outbox, digest, to);
                        outbox.release(org(digest), None, None);
                    }
                }
                3 => { outbox.on_failed(org(digest), org(to), "no", 0); }
                _ => outbox.on_reachable(org(to)),
            }
            prop_assert!(outbox.turns.under_way() <= UNDER_WAY_MAX);
            let under_way: usize = outbox.deliveries.values().flat_map(|one| one.recipients.values())
                .filter(|recipient| recipient.turn == Turn::UnderWay).count();
            prop_assert_eq!(outbox.turns.under_way(), under_way);
            for delivery in outbox.deliveries.values() {
                let has = |to| acknowledged.contains(&(delivery.digest[0], to));
                let others = [3, 4, 5].into_iter().filter(|to| has(*to)).count();
                let is_met = has(2) && others >= 2;
                prop_assert_eq!(delivery.marker == MarkerStage::Released, is_met);
            }
        }
    }
}
