//! Votes on roots, told member by member.

use super::*;
use proptest::prelude::*;
use std::convert::Infallible;

fn org(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

fn orgs(bytes: impl IntoIterator<Item = u8>) -> BTreeSet<B256> {
    bytes.into_iter().map(org).collect()
}

fn signed(by: u8, height: u64, root: u8) -> Attestation {
    Attestation {
        org: [by; 32],
        height,
        root: [root; 32],
        signature: Vec::new(),
    }
}

fn book(words: &[(u8, u64, u8)]) -> Book {
    let mut book = Book::default();
    for (by, height, root) in words {
        book.note(signed(*by, *height, *root));
    }
    book
}

/// Member 1 of so many, which came to `root` at every height that it has reached.
fn judged(book: &Book, members: u8, reached: u64, root: u8) -> Judgement {
    let own_root = |height| Ok::<_, Infallible>((height <= reached).then(|| org(root)));
    let Ok(judgement) = book.judge((&orgs([1]), &orgs(1..=members)), own_root);
    judgement
}

fn named(judgement: &Judgement) -> Vec<(u8, u64)> {
    let place = |found: &Mismatch| (found.org[0], found.height);
    match judgement {
        Judgement::Agreed => Vec::new(),
        Judgement::Disputed(all) => all.iter().map(place).collect(),
        Judgement::Outvoted(one) | Judgement::Undecided(one) => vec![place(one)],
    }
}

#[test]
fn one_liar_of_four_is_named_and_the_others_go_on() {
    let words = [(1, 64, 7), (2, 64, 7), (3, 64, 7), (4, 64, 8)];
    let book = book(&words);
    assert_eq!(judged(&book, 4, 63, 7), Judgement::Agreed, "not so far yet");
    let judgement = judged(&book, 4, 64, 7);
    assert!(matches!(judgement, Judgement::Disputed(_)), "{judgement:?}");
    assert_eq!(named(&judgement), [(4, 64)]);
}

#[test]
fn until_more_than_half_have_said_so_nobody_goes_on() {
    // Two of four on either side, or one who has not said yet.
    for words in [
        vec![(2, 64, 7), (3, 64, 8), (4, 64, 8)],
        vec![(4, 64, 8)],
        vec![(2, 64, 7), (4, 64, 8)],
    ] {
        let judgement = judged(&book(&words), 4, 64, 7);
        assert!(matches!(judgement, Judgement::Undecided(_)), "{words:?}");
    }
    let pair = judged(&book(&[(2, 64, 8)]), 2, 64, 7);
    assert_eq!(named(&pair), [(2, 64)]);
    assert!(
        matches!(pair, Judgement::Undecided(_)),
        "of two nobody is right"
    );
}

#[test]
fn who_stands_against_more_than_half_takes_the_state_of_the_others() {
    let words = [(2, 64, 8), (3, 64, 8), (4, 64, 8)];
    let judgement = judged(&book(&words), 4, 64, 7);
    assert!(matches!(judgement, Judgement::Outvoted(_)), "{judgement:?}");
    // And so it does if one of the three lies about a later height.
    let words = [(2, 64, 8), (3, 64, 8), (4, 64, 8), (4, 128, 7)];
    let judgement = judged(&book(&words), 4, 128, 7);
    assert!(matches!(judgement, Judgement::Outvoted(_)), "{judgement:?}");
}

#[test]
fn member_that_signs_our_root_again_is_forgiven() {
    let mut book = book(&[(3, 64, 8)]);
    assert_eq!(named(&judged(&book, 3, 128, 7)), [(3, 64)]);
    book.note(signed(3, 128, 7));
    assert_eq!(judged(&book, 3, 128, 7), Judgement::Agreed);
    book.note(signed(3, 64, 7));
    assert_eq!(judged(&book, 3, 100, 7), Judgement::Agreed);
}

#[test]
fn member_that_took_the_state_at_a_height_we_have_reached_is_forgiven_there() {
    // We halted at 130; C signed a wrong 64, took the state at 128 from us and went on
    // to 300, where it signed 256: that alone is nothing that we can compare.
    let mut halted = book(&[(2, 64, 8), (2, 256, 9)]);
    assert_eq!(named(&judged(&halted, 2, 130, 7)), [(2, 64)]);
    // An import is signed at its own height, and again when asked.
    halted.note(signed(2, 128, 7));
    assert_eq!(judged(&halted, 2, 130, 7), Judgement::Agreed);
}

#[test]
fn several_parties_of_this_node_are_several_members() {
    let words = [(3, 64, 8)];
    let own_root = |_| Ok::<_, Infallible>(Some(org(7)));
    let Ok(judgement) = book(&words).judge((&orgs([1, 2]), &orgs(1..=3)), own_root);
    assert!(matches!(judgement, Judgement::Disputed(_)), "{judgement:?}");
}

fn believes(
    words: &[Attestation],
    members: u8,
    from: u64,
    standing: Standing,
) -> Option<(u64, u8, usize)> {
    let members = orgs(1..=members);
    let believed = newest_believed((&orgs([1]), &members), words.iter(), from, standing);
    believed.map(|one| (one.height, one.root[0], one.signers.len()))
}

#[test]
fn newest_that_more_than_half_signed_is_believed() {
    let lost = |words: &[Attestation], from| believes(words, 4, from, Standing::Lost);
    let mut words = vec![signed(2, 64, 7), signed(3, 64, 7), signed(2, 128, 9)];
    assert_eq!(lost(&words, 0), Some((64, 7, 2)), "two of three others");
    words.push(signed(3, 128, 8));
    assert_eq!(lost(&words, 0), Some((64, 7, 2)), "they differ at 128");
    words.push(signed(4, 128, 9));
    assert_eq!(lost(&words, 0), Some((128, 9, 2)));
    assert_eq!(lost(&words, 129), None);
    // Our own earlier word counts.
    words.push(signed(1, 128, 8));
    assert_eq!(lost(&words, 65), None);
}

#[test]
fn state_that_is_here_goes_only_for_more_than_half_of_all_members() {
    let here = |words: &[Attestation], members| believes(words, members, 0, Standing::Here);
    let one = [signed(2, 64, 9)];
    assert_eq!(here(&one, 2), None, "one of two is nobody's majority");
    let two = [signed(2, 64, 9), signed(3, 64, 9)];
    assert_eq!(here(&two, 4), None, "two of four neither");
    assert_eq!(here(&two, 3), Some((64, 9, 2)));
    // More than half of all outvote our own word.
    let against = [signed(1, 64, 8), signed(2, 64, 9), signed(3, 64, 9)];
    assert_eq!(here(&against, 3), Some((64, 9, 2)));
    let with_ours = [signed(1, 64, 9), signed(2, 64, 9)];
    assert_eq!(here(&with_ours, 2), Some((64, 9, 1)));
}

#[test]
fn who_lost_its_state_is_not_led_away_from_what_it_signed() {
    let lost = |words: &[Attestation]| believes(words, 2, 0, Standing::Lost);
    let past = signed(1, 64, 7);
    let later = signed(2, 128, 9);
    assert_eq!(lost(&[past.clone(), later.clone()]), None, "nothing links");
    let false_link = [past.clone(), signed(2, 64, 8), later.clone()];
    assert_eq!(lost(&false_link), None);
    let link = [past.clone(), signed(2, 64, 7), later.clone()];
    assert_eq!(lost(&link), Some((128, 9, 1)));
    assert_eq!(lost(&[past, signed(2, 64, 7)]), Some((64, 7, 1)));
    assert_eq!(lost(&[later]), Some((128, 9, 1)), "we signed nothing");
}

#[test]
fn state_that_was_thrown_away_in_a_dispute_binds_nobody() {
    let words = [signed(1, 64, 8), signed(2, 64, 7), signed(2, 128, 9)];
    assert_eq!(believes(&words, 2, 0, Standing::Lost), None);
    let disowned = believes(&words, 2, 0, Standing::Disowned);
    assert_eq!(disowned, Some((128, 9, 1)));
    let one_of_three = believes(&words, 4, 0, Standing::Disowned);
    assert_eq!(one_of_three, None, "still more than half of the others");
}

#[test]
fn strangers_do_not_vote_and_two_can_help_each_other() {
    let words = [signed(9, 64, 7), signed(8, 64, 7)];
    assert_eq!(believes(&words, 2, 0, Standing::Lost), None);
    let words = [signed(2, 64, 7)];
    assert_eq!(believes(&words, 2, 0, Standing::Lost), Some((64, 7, 1)));
    let alone = [signed(1, 64, 7)];
    assert_eq!(
        believes(&alone, 2, 0, Standing::Lost),
        None,
        "nobody to ask"
    );
}

proptest! {
    /// Fewer than half of the others can make nobody believe anything.
    #[test]
    fn minority_is_never_believed(
        others in 1..9u8,
        is_lost in any::<bool>(),
        words in proptest::collection::vec((2..11u8, 1..4u64, any::<bool>()), 0..60),
    ) {
        let liars = others / 2;
        let is_liar = |by: u8| by - 2 < liars;
        // Liars say anything; the honest always say 7.
        let words: Vec<_> = words.into_iter()
            .map(|(by, height, lies)| signed(by, height, if is_liar(by) && lies { 8 } else { 7 }))
            .collect();
        let standing = if is_lost { Standing::Lost } else { Standing::Here };
        if let Some((_, root, _)) = believes(&words, others + 1, 0, standing) {
            prop_assert_eq!(root, 7);
        }
    }

    /// Liars that are fewer than half stop nobody once the honest have all signed, and
    /// never have an honest member throw its state away.
    #[test]
    fn minority_neither_stops_nor_overwrites_anybody(
        members in 3..10u8,
        lies in proptest::collection::vec((2..10u8, 1..4u64, 6..10u8), 0..40),
    ) {
        let liars = (members - 1) / 2;
        let mut book = Book::default();
        for by in liars + 2..=members {
            for height in 1..4 {
                book.note(signed(by, height, 7));
            }
        }
        for (by, height, root) in lies {
            if by <= liars + 1 {
                book.note(signed(by, height, root));
            }
        }
        let judgement = judged(&book, members, 3, 7);
        let goes_on = matches!(judgement, Judgement::Agreed | Judgement::Disputed(_));
        prop_assert!(goes_on, "{:?}", judgement);
    }

    #[test]
    fn book_is_bounded_and_reads_back(words in proptest::collection::vec((1..5u8, 0..100u64, any::<u8>()), 0..300)) {
        let mut book = Book::default();
        for (by, height, root) in words {
            book.note(signed(by, height, root));
        }
        prop_assert!(book.all().count() <= 4 * KEPT_PER_MEMBER);
        let bytes = borsh::to_vec(&book).expect("memory");
        prop_assert_eq!(borsh::from_slice::<Book>(&bytes).expect("what was written"), book);
    }
}
