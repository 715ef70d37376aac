//! The plan, told the time and every kind of fate.

use super::*;
use proptest::prelude::*;

const fn peer(byte: u8) -> NodePublicKey {
    NodePublicKey([byte; 32])
}

const fn source(byte: u8, height: u64) -> Source {
    Source {
        key: peer(byte),
        height: Height(height),
    }
}

fn heights(order: &Order) -> Vec<u64> {
    let SyncRequest { from, count } = order.request;
    (from.0..from.0 + count).collect()
}

#[test]
fn ranges_are_spread_over_all_peers_and_bounded() {
    let mut plan = Plan::<u64>::new(Height(1));
    let sources = [1, 2, 3, 4].map(|byte| source(byte, 100_000));
    let orders = plan.orders(&sources, 0);
    assert_eq!(orders.len(), RANGES_MAX);
    for source in sources {
        let asked = orders.iter().filter(|order| order.peer == source.key);
        assert_eq!(asked.count(), 2);
    }
    assert!(plan.orders(&sources, 0).is_empty());
    let alone = Plan::<u64>::new(Height(1)).orders(&sources[..1], 0);
    assert_eq!(alone.len(), REQUESTS_PER_PEER_MAX);
}

#[test]
fn slow_peer_is_replaced_for_the_range_that_is_waited_for() {
    let mut plan = Plan::new(Height(1));
    let sources = [source(1, 2), source(2, 2)];
    let orders = plan.orders(&sources, 0);
    let [slow] = orders.as_slice() else {
        panic!("{orders:?}");
    };
    assert_eq!(plan.impatient_at_ms(), Some(PATIENCE_MS_MIN));
    assert!(plan.orders(&sources, PATIENCE_MS_MIN - 1).is_empty());
    let again = plan.orders(&sources, PATIENCE_MS_MIN);
    let [quick] = again.as_slice() else {
        panic!("{again:?}");
    };
    assert_ne!(quick.peer, slow.peer);
    assert_eq!(quick.request, slow.request);
    let passed = plan.on_blocks(*quick, heights(quick));
    assert_eq!(passed, [slow.peer]);
    let ready = plan.take_ready().expect("ready");
    assert_eq!((ready.from, ready.peer), (Height(1), quick.peer));
    // The late answer finds nothing to do.
    assert!(plan.on_blocks(*slow, heights(slow)).is_empty());
    assert!(plan.take_ready().is_none());
}

#[test]
fn peer_that_failed_is_not_asked_for_the_same_again_while_others_are_there() {
    let mut plan = Plan::<u64>::new(Height(1));
    let sources = [source(1, 2), source(2, 2)];
    let first = plan.orders(&sources, 0);
    plan.on_failure(first[0]);
    let second = plan.orders(&sources, 0);
    assert_ne!(first[0].peer, second[0].peer);
    plan.on_failure(second[0]);
    let third = plan.orders(&sources, 0);
    assert_eq!(third.len(), 1, "then the first gets another chance");
}

#[test]
fn answer_cut_short_leaves_no_gap() {
    let mut plan = Plan::new(Height(1));
    let sources = [source(1, 2)];
    let order = plan.orders(&sources, 0)[0];
    plan.on_blocks(order, vec![1]);
    let rest = plan.orders(&sources, 1);
    assert_eq!(rest[0].request.from, Height(2));
    assert_eq!(rest[0].request.count, 1);
}

#[test]
fn wrong_blocks_are_asked_of_others_from_the_head_on() {
    let mut plan = Plan::new(Height(1));
    let sources = [source(1, 200)];
    let orders = plan.orders(&sources, 0);
    for order in &orders {
        plan.on_blocks(*order, heights(order));
    }
    let taken = plan.take_ready().expect("ready");
    plan.distrust(taken.peer, Height(2));
    assert!(plan.take_ready().is_none());
    let again = plan.orders(&[source(2, 200)], 2);
    assert_eq!(again[0].request.from, Height(2));
    assert_eq!(again[0].request.count, 1);
    assert_eq!(again[1].request.from, Height(3));
}

#[test]
fn ranges_have_few_full_blocks_and_many_empty_ones() {
    let sources = [1, 2, 3].map(|byte| source(byte, 10_000));
    for (bytes_each, expected) in [
        (1, limits::SYNC_BLOCKS_MAX),
        (600, limits::SYNC_BLOCKS_MAX),
        (ANSWER_BYTES / 5, 5),
        (8 * ANSWER_BYTES, 1),
    ] {
        let mut plan = Plan::new(Height(1));
        for order in plan.orders(&sources, 0) {
            let count = order.request.count;
            assert_eq!(count, FIRST_RANGE_BLOCKS);
            plan.on_answer(&order, (count, count * bytes_each), 1);
            plan.on_blocks(order, heights(&order));
        }
        while plan.take_ready().is_some() {}
        let orders = plan.orders(&sources, 2);
        let later = orders.iter().filter(|order| order.request.from.0 > 16);
        let counts: Vec<_> = later.map(|order| order.request.count).collect();
        assert!(!counts.is_empty());
        assert!(counts.iter().all(|count| *count == expected), "{counts:?}");
    }
}

#[test]
fn peer_whose_answer_is_being_checked_is_not_replaced() {
    let mut plan = Plan::<u64>::new(Height(1));
    let sources = [source(1, 2), source(2, 2)];
    let order = plan.orders(&sources, 0)[0];
    plan.on_answer(&order, (2, 8_000), 10);
    assert_eq!(plan.impatient_at_ms(), None);
    assert!(plan.orders(&sources, 1_000_000).is_empty());
    plan.on_failure(order);
    let again = plan.orders(&sources, 1_000_000);
    assert_eq!(again.len(), 1);
    assert_ne!(again[0].peer, order.peer);
}

#[test]
fn answers_cut_short_do_not_fill_the_memory_while_the_import_waits() {
    let sources = [1, 2, 3, 4, 5].map(|byte| source(byte, 100_000));
    let mut plan = Plan::new(Height(1));
    let mut next = 1;
    // Small blocks first, so that ranges are long.
    for order in plan.orders(&sources, 0) {
        plan.on_answer(&order, (2, 2), 1);
        plan.on_blocks(order, heights(&order));
        next = next.max(order.request.from.0 + order.request.count);
    }
    while plan.take_ready().is_some() {}
    let mut answers = 0;
    for round in 0..200 {
        // Nothing is imported, and blocks are so large that one fills an answer.
        for order in plan.orders(&sources, round) {
            assert!(order.request.from.0 >= next);
            plan.on_answer(&order, (1, 8 * ANSWER_BYTES), round);
            plan.on_blocks(order, vec![order.request.from.0]);
            answers += 1;
        }
    }
    assert_eq!(answers, RANGES_MAX);
    assert!(plan.take_ready().is_some());
    assert!(!plan.orders(&sources, 300).is_empty(), "there is room");
}

/// Something that happens to a request under way.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Whole,
    Short(u8),
    Failed,
    Wrong,
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Whole),
        2 => (1..64u8).prop_map(Fate::Short),
        1 => Just(Fate::Failed),
        1 => Just(Fate::Wrong),
    ]
}

proptest! {
    /// Whatever happens to the requests, blocks come in order and the plan
    /// ends with all of them as soon as the peers answer truly.
    #[test]
    fn blocks_come_in_order_without_gap_whatever_happens(
        target in 1..1_500u64,
        script in proptest::collection::vec((fates(), any::<u8>()), 0..80),
    ) {
        let sources = [source(1, target), source(2, target / 2), source(3, target)];
        let mut plan = Plan::new(Height(1));
        let mut head = 0;
        let mut under_way = Vec::new();
        let mut script = script.into_iter();
        let mut now_ms = 0;
        for _ in 0..10_000 {
            now_ms += 300;
            plan.skip_to(Height(head + 1));
            under_way.extend(plan.orders(&sources, now_ms));
            if under_way.is_empty() {
                break;
            }
            let (fate, pick) = script.next().unwrap_or((Fate::Whole, 0));
            let order = under_way.remove(usize::from(pick) % under_way.len());
            let mut blocks = heights(&order);
            match fate {
                Fate::Whole => {}
                Fate::Short(count) => blocks.truncate(count.into()),
                Fate::Failed | Fate::Wrong => blocks.clear(),
            }
            if blocks.is_empty() {
                plan.on_failure(order);
            } else {
                let count = blocks.len() as u64;
                plan.on_answer(&order, (count, count * 20_000), now_ms);
                plan.on_blocks(order, blocks);
            }
            while let Some(range) = plan.take_ready() {
                if matches!(fate, Fate::Wrong) {
                    plan.distrust(range.peer, Height(head + 1));
                    break;
                }
                for block in range.blocks {
                    prop_assert!(block <= head + 1, "a gap before {block}");
                    head = head.max(block);
                }
            }
        }
        prop_assert_eq!(head, target);
    }
}
