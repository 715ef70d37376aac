//! What the scanner found, read back.

use super::super::tests::rows;
use super::*;

fn marker(byte: u8) -> MarkerRow {
    MarkerRow {
        digest: [byte; 32],
        tag: [0xee; 32],
        transaction: [byte ^ 0xff; 32],
        is_handle: false,
    }
}

fn found(scanned: u64, markers: impl IntoIterator<Item = (u64, u32, MarkerRow)>) -> Findings {
    Findings {
        scanned,
        markers: markers.into_iter().collect(),
        ..Findings::default()
    }
}

#[test]
fn markers_come_in_the_order_of_the_chain_within_their_blocks() {
    let (_folder, rows) = rows();
    assert_eq!(rows.scanned().unwrap(), None);
    let handle = MarkerRow::of_handle(&[4; 64], B256::ZERO);
    let markers = [
        (300, 1, marker(3)),
        (2, 7, marker(1)),
        (300, 0, marker(2)),
        (7, 0, handle),
    ];
    rows.put_found(&found(400, markers)).unwrap();
    assert_eq!(rows.scanned().unwrap(), Some(400));
    let found = |from, to, max| -> Vec<_> {
        let markers = rows.markers(from, to, max).unwrap();
        markers.iter().map(|(placed, _)| placed.digest[0]).collect()
    };
    assert_eq!(found(0, 400, 10), [1, 4, 2, 3]);
    assert_eq!(found(3, 400, 10), [4, 2, 3]);
    assert_eq!(found(0, 299, 10), [1, 4]);
    assert_eq!(found(0, 400, 2), [1, 4], "the first of both kinds");
    let placed = rows.place_of_digest(B256::repeat_byte(3)).unwrap().unwrap();
    assert_eq!((placed.height, placed.index), (300, 1));
    assert_eq!(placed.transaction, B256::repeat_byte(0xfc));
    assert_eq!(rows.place_of_digest(B256::repeat_byte(9)).unwrap(), None);
}

#[test]
fn blocks_are_read_whole_however_many_markers_they_have() {
    let (_folder, rows) = rows();
    let many = (0..20).map(|index| (5, index, marker(1)));
    let all = many.chain([(3, 0, marker(2)), (7, 0, marker(3))]);
    rows.put_found(&found(9, all)).unwrap();
    let read = |from, max| {
        let (markers, known_to) = rows.markers_of_blocks(from, 9, max).unwrap();
        (markers.len(), known_to)
    };
    assert_eq!(read(0, 4), (1, 4), "the block that goes on is left out");
    assert_eq!(read(5, 4), (20, 5), "as the first it is whole");
    assert_eq!(read(6, 4), (1, 9));
    assert_eq!(read(0, 100), (22, 9));
    assert_eq!(read(8, 4), (0, 9));
}

#[test]
fn first_place_is_the_first_recognised_one() {
    let (_folder, rows) = rows();
    let marker = |tag| MarkerRow {
        digest: [7; 32],
        tag: [tag; 32],
        transaction: [tag; 32],
        is_handle: false,
    };
    // A stranger's copies with a wrong tag come first, and fill more than one look.
    let wrong = (0..150_u32).map(|index| (5, index, marker(1)));
    let right = [(5, 200, marker(2)), (9, 0, marker(2))];
    rows.put_found(&found(9, wrong.chain(right))).unwrap();
    let digest = B256::repeat_byte(7);
    let first = |tag: u8| {
        let is_ours = |_, row: &MarkerRow| Ok::<_, StorageError>(row.tag == [tag; 32]);
        let place = rows.first_place_of(digest, is_ours).unwrap();
        place.map(|place| (place.height, place.index))
    };
    assert_eq!(first(2), Some((5, 200)));
    assert_eq!(first(1), Some((5, 0)));
    assert_eq!(first(3), None);
}

#[test]
fn handle_seen_before_its_envelope_is_found_when_that_comes() {
    let (_folder, rows) = rows();
    let handle = [4; 64];
    let row = MarkerRow::of_handle(&handle, B256::repeat_byte(5));
    rows.put_found(&found(9, [(5, 1, row), (8, 0, row)]))
        .unwrap();
    let read = rows.markers(0, 9, 10).unwrap();
    assert!(
        read.iter()
            .all(|(_, row)| row.is_handle && row.handle() == handle)
    );
    let (first, second) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let (digest, twin) = (B256::repeat_byte(7), B256::repeat_byte(8));
    assert_eq!(rows.digest_of_handle(&handle, first).unwrap(), None);
    assert!(rows.is_handle_placed(&handle).unwrap());
    assert!(!rows.is_handle_placed(&[5; 64]).unwrap());
    assert!(rows.put_handle(&handle, first, digest).unwrap());
    assert!(
        !rows.put_handle(&handle, first, twin).unwrap(),
        "once a group"
    );
    assert!(rows.put_handle(&handle, second, twin).unwrap());
    assert_eq!(rows.digest_of_handle(&handle, first).unwrap(), Some(digest));
    assert_eq!(rows.digests_of_handle(&handle).unwrap(), [digest, twin]);
    assert_eq!(rows.handle_of(digest).unwrap(), Some(handle));
    let place = rows.place_of_digest(digest).unwrap().unwrap();
    assert_eq!((place.height, place.index, place.digest), (5, 1, digest));
    assert!(rows.has_handles_from(8).unwrap() && !rows.has_handles_from(9).unwrap());
}

#[test]
fn votes_creators_and_looks_wait_until_they_are_done() {
    let (_folder, rows) = rows();
    let (group, digest) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let findings = Findings {
        votes: vec![(group, digest, 7), (B256::repeat_byte(9), digest, 8)],
        creators: vec![(group, B256::repeat_byte(3))],
        ..found(9, [])
    };
    rows.put_found(&findings).unwrap();
    assert_eq!(rows.votes(group).unwrap(), [(digest, 7)]);
    rows.delete_vote(group, digest).unwrap();
    assert!(rows.votes(group).unwrap().is_empty());
    assert_eq!(rows.creator(group).unwrap(), Some(B256::repeat_byte(3)));
    assert_eq!(rows.creator(digest).unwrap(), None);
    assert!(!rows.wants_look(group).unwrap());
    rows.put_look(group).unwrap();
    assert!(rows.wants_look(group).unwrap());
    rows.delete_look(group).unwrap();
    assert!(!rows.wants_look(group).unwrap());
    rows.put_halted(group, true).unwrap();
    assert!(rows.is_halted(group).unwrap());
    rows.put_halted(group, false).unwrap();
    assert!(!rows.is_halted(group).unwrap());
}

#[test]
fn report_of_an_erasure_is_found_by_payload_and_organisation() {
    let (_folder, rows) = rows();
    let [digest, org, transaction] = [1, 2, 3].map(B256::repeat_byte);
    let report = Findings {
        scanned: 4,
        reports: vec![(digest, org, transaction)],
        ..Findings::default()
    };
    rows.put_found(&report).unwrap();
    assert_eq!(rows.report_of(digest, org).unwrap(), Some(transaction));
    assert_eq!(rows.report_of(org, digest).unwrap(), None);
}

#[test]
fn every_place_of_a_handle_is_listed_in_order() {
    let (_folder, rows) = rows();
    let handle = [7; 64];
    let row = |byte| MarkerRow::of_handle(&handle, B256::repeat_byte(byte));
    let other = MarkerRow::of_handle(&[8; 64], B256::ZERO);
    let placed = [(9, 1, row(2)), (3, 0, row(1)), (4, 0, other)];
    rows.put_found(&found(9, placed)).unwrap();
    let places = rows.handle_places(&handle, 10).unwrap();
    let heights: Vec<_> = places.iter().map(|place| place.height).collect();
    assert_eq!(heights, [3, 9]);
    assert_eq!(places[1].transaction, B256::repeat_byte(2));
}
