//! Which markers leave when, and what a new secret or a receipt changes.

use super::*;
use alloy_primitives::Address;

/// Signed by an account with a private nonce.
fn signed(digest: u8, account: u8, nonce: u64) -> Delivery {
    let account = Address::repeat_byte(account);
    Delivery {
        signed: Some(Signed::new(account, nonce)),
        ..delivery(digest, &[2], policy(&[], 0))
    }
}

fn released(outbox: &mut Outbox, account: u8, executed: Option<u64>) -> Vec<u8> {
    let account = Some(Address::repeat_byte(account));
    let released = outbox.release(org(9), account, executed).into_iter();
    released.map(|delivery| delivery.digest[0]).collect()
}

#[test]
fn markers_of_an_account_leave_in_the_order_of_its_nonces() {
    let mut outbox = Outbox::default();
    for (digest, nonce) in [(20, 0), (21, 1), (22, 2)] {
        outbox.add(signed(digest, 5, nonce));
    }
    outbox.add(signed(30, 6, 0));
    acknowledge(&mut outbox, 22, 2);
    acknowledge(&mut outbox, 21, 2);
    assert!(
        released(&mut outbox, 5, None).is_empty(),
        "nonce 0 waits for its policy"
    );
    acknowledge(&mut outbox, 30, 2);
    assert_eq!(
        outbox.in_line(org(9)),
        [Some(Address::repeat_byte(5)), Some(Address::repeat_byte(6))]
    );
    assert_eq!(
        released(&mut outbox, 6, None),
        [30],
        "another account waits for nobody"
    );
    acknowledge(&mut outbox, 20, 2);
    assert_eq!(released(&mut outbox, 5, None), [20, 21, 22]);
    assert_eq!(outbox.in_line(org(9)), []);
}

#[test]
fn nonce_ahead_of_state_and_outbox_is_held_until_those_before_it_have_come() {
    let mut outbox = Outbox::default();
    outbox.add(signed(23, 5, 3));
    acknowledge(&mut outbox, 23, 2);
    assert!(released(&mut outbox, 5, Some(1)).is_empty());
    outbox.add(signed(22, 5, 2));
    acknowledge(&mut outbox, 22, 2);
    assert!(released(&mut outbox, 5, Some(1)).is_empty());
    // Another node has sent the one that was missing.
    assert_eq!(released(&mut outbox, 5, Some(2)), [22, 23]);
    // They have left and are not executed yet.
    outbox.add(signed(24, 5, 4));
    acknowledge(&mut outbox, 24, 2);
    assert_eq!(released(&mut outbox, 5, Some(2)), [24]);
    // An old one holds nobody up: it does nothing.
    outbox.add(signed(25, 5, 0));
    acknowledge(&mut outbox, 25, 2);
    assert_eq!(released(&mut outbox, 5, Some(5)), [25]);
}

#[test]
fn twenty_nonces_at_once_leave_in_order_however_slow_a_recipient_is() {
    let mut outbox = Outbox::default();
    for nonce in 0..20 {
        let digest = 100 + u8::try_from(nonce).unwrap();
        outbox.add(Delivery {
            recipients: [[2; 32], [3; 32]]
                .map(|org| (org, Recipient::default()))
                .into(),
            ..signed(digest, 5, nonce)
        });
    }
    let mut left = Vec::new();
    for digest in 100..120 {
        acknowledge(&mut outbox, digest, 2);
    }
    // The slow one answers in an order of its own.
    for step in 0..20_u8 {
        let digest = 100 + (step * 7 + 3) % 20;
        acknowledge(&mut outbox, digest, 3);
        left.extend(released(&mut outbox, 5, None));
    }
    assert_eq!(left, (100..120).collect::<Vec<_>>());
}

#[test]
fn new_tag_has_to_be_acknowledged_by_everybody_again() {
    let mut outbox = Outbox::default();
    outbox.add(delivery(7, &[2, 3], policy(&[], 0)));
    outbox.due(0);
    acknowledge(&mut outbox, 7, 2);
    acknowledge(&mut outbox, 7, 3);
    assert_eq!(outbox.release(org(9), None, None).len(), 1);
    assert!(outbox.outdated(org(9), 0).is_empty());
    assert_eq!(outbox.outdated(org(9), 1), [org(7)]);
    let retagged = outbox.retag(org(7), org(0x77), 1).unwrap();
    assert_eq!(
        (retagged.tag, &retagged.marker),
        ([0x77; 32], &MarkerStage::Waiting)
    );
    assert!(outbox.retag(org(7), org(0x78), 1).is_none(), "once");
    assert_eq!(outbox.due(0).len(), 2);
    // A late answer to the first asking says nothing about the second.
    acknowledge(&mut outbox, 7, 2);
    let named = (org(7), org(0x77));
    outbox.on_acknowledged(named, org(3), 9);
    assert_eq!(outbox.release(org(9), None, None), []);
    outbox.on_acknowledged(named, org(2), 9);
    assert_eq!(outbox.release(org(9), None, None).len(), 1);
    // What is in a block counted there.
    outbox.on_included(org(7), 4, org(0xee));
    assert!(outbox.outdated(org(9), 2).is_empty());
}

#[test]
fn validated_transaction_is_complete_only_with_a_receipt() {
    let validated = Delivery {
        awaits_receipt: true,
        ..delivery(7, &[2], policy(&[], 0))
    };
    let mut outbox = Outbox::default();
    outbox.add(validated);
    acknowledge(&mut outbox, 7, 2);
    outbox.release(org(9), None, None);
    let included = outbox.on_included(org(7), 4, org(0xee)).unwrap();
    assert_eq!(outbox.len(), 1, "nobody knows what came of it");
    // Killed there, it is looked at again.
    let mut restarted = Outbox::default();
    restarted.restore(included);
    assert_eq!(restarted.len(), 1);
    assert!(restarted.on_settled(org(7)).is_some());
    assert_eq!(restarted.len(), 0);
    assert!(restarted.on_settled(org(7)).is_none());
}
