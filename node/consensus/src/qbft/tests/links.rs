//! Rounds whose proposer is gone, links that flap, and everything that must not
//! come of cutting timers short.

use super::{cluster::Cluster, fixture::*};
use crate::{Engine, Input, Output, Qbft, Timer};
use proptest::prelude::*;
use std::time::Duration;

/// Base timeout of the networks here.
const BASE_MS: u64 = 1_000;
/// Least time between two blocks.
const INTERVAL_MS: u64 = 100;

fn round_timers(out: &[Output]) -> Vec<u128> {
    let set = |output: &Output| match output {
        Output::SetTimer {
            timer: Timer::Round,
            after,
        } => Some(after.as_millis()),
        _ => None,
    };
    out.iter().filter_map(set).collect()
}

fn connect(engine: &mut Qbft, peer: usize) -> Vec<Output> {
    engine.handle(NOW, Input::PeerConnected { peer: key(peer) })
}

fn disconnect(engine: &mut Qbft, peer: usize) -> Vec<Output> {
    engine.handle(NOW, Input::PeerDisconnected { peer: key(peer) })
}

/// Validator 3 with links to all and work, so that round 0 runs.
fn waiting(count: usize) -> Qbft {
    let mut engine = engine(3, count);
    for peer in (0..count).filter(|peer| *peer != 3) {
        connect(&mut engine, peer);
    }
    let out = engine.handle(NOW, Input::WorkWaiting { waiting: true });
    assert_eq!(round_timers(&out), [1_000]);
    engine
}

#[test]
fn round_is_cut_short_while_its_proposer_is_gone() {
    let mut engine = waiting(4);
    assert!(
        round_timers(&disconnect(&mut engine, 1)).is_empty(),
        "not its turn"
    );
    connect(&mut engine, 1);
    assert_eq!(round_timers(&disconnect(&mut engine, 0)), [250]);
    assert_eq!(
        round_timers(&connect(&mut engine, 0)),
        [1_000],
        "it is back"
    );
    assert_eq!(round_timers(&disconnect(&mut engine, 0)), [250]);
    let timer = Timer::Round;
    let out = engine.handle(NOW + 250, Input::TimerFired { timer });
    assert_eq!(said(&out), [round_change(3, 1)]);
}

#[test]
fn round_with_a_proposal_outlives_its_proposer() {
    let mut engine = waiting(4);
    hear(
        &mut engine,
        0,
        &proposal(0, 0, &block(0, 1), Default::default()),
    );
    assert!(round_timers(&disconnect(&mut engine, 0)).is_empty());
    // Until too few remain who can vote in it.
    let out = hear(&mut engine, 1, &round_change(1, 1));
    assert_eq!(round_timers(&out), [250]);
    let out = hear(&mut engine, 1, &commit(1, 0, &block(0, 1)));
    assert_eq!(round_timers(&out), [1_000], "its COMMIT was sent before");
}

#[test]
fn validator_that_is_cut_off_waits_as_ever() {
    let mut engine = waiting(4);
    disconnect(&mut engine, 1);
    assert!(round_timers(&disconnect(&mut engine, 0)).is_empty());
    assert_eq!(
        round_timers(&connect(&mut engine, 1)),
        [250],
        "a quorum again"
    );
    assert_eq!(round_timers(&disconnect(&mut engine, 1)), [1_000]);
}

#[test]
fn liars_that_ask_for_later_rounds_shorten_nothing_while_the_rest_is_a_quorum() {
    let mut engine = waiting(7);
    assert!(round_timers(&hear(&mut engine, 6, &round_change(6, 9))).is_empty());
    assert!(round_timers(&hear(&mut engine, 5, &round_change(5, 9))).is_empty());
}

/// The goal is one base timeout and one block time; the usual gap is the least
/// time between blocks.
#[test]
fn block_follows_a_dead_proposer_within_half_a_base_timeout() {
    for count in [4, 5, 7] {
        for at_ms in (0..200).step_by(7) {
            let mut cluster = Cluster::new(count);
            cluster.set_all_work();
            cluster.run(2_000 + at_ms);
            let victim = cluster.proposer(0);
            let witness = (victim + 1) % count;
            let before = cluster.height(witness);
            cluster.kill(victim);
            let killed_ms = cluster.now_ms;
            cluster.run(3_000);
            let times = cluster.times_ms(witness);
            let gaps = times.windows(2).filter(|pair| pair[1] > killed_ms);
            let longest = gaps.map(|pair| pair[1] - pair[0]).max().unwrap();
            assert!(longest <= BASE_MS / 2, "{count} validators: {longest} ms");
            assert!(
                cluster.height(witness) > before + 15,
                "and the chain goes on"
            );
        }
    }
}

#[test]
fn proposer_that_dies_in_the_middle_of_its_broadcast_costs_two_quarters() {
    for reached in 1..4 {
        let mut cluster = Cluster::new(4);
        assert_eq!(cluster.proposer(1), 0);
        for other in reached + 1..4 {
            cluster.cut(0, other);
        }
        cluster.set_all_work();
        // Built after 5 ms, delivered after 5 more.
        cluster.run(11);
        cluster.kill(0);
        let took = cluster.run_to(1, 6, 10_000).unwrap();
        assert!(took <= 2 * BASE_MS / 4 + 60, "{reached} reached: {took} ms");
    }
}

#[test]
fn minority_without_links_to_the_rest_never_races_ahead() {
    let mut cluster = Cluster::new(7);
    cluster.set_all_work();
    for alone in [5, 6] {
        (0..5).for_each(|other| cluster.cut(alone, other));
    }
    cluster.run(60_000);
    assert!(cluster.round(5) <= 1 && cluster.round(6) <= 1);
    assert!(cluster.height(0) > 400, "{}", cluster.height(0));
    cluster.join_all();
    cluster.run(2_000);
    assert!(cluster.height(5) + 1 >= cluster.height(0));
}

#[test]
fn without_a_quorum_of_links_rounds_stand_still_and_start_at_once_with_one() {
    let mut cluster = Cluster::new(4);
    cluster.set_all_work();
    cluster.run(1_000);
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        cluster.cut(a, b);
    }
    cluster.run(100);
    let before = cluster.highest();
    cluster.run(3_600_000);
    assert_eq!(cluster.highest(), before);
    assert!((0..4).all(|node| cluster.round(node) <= 1));
    cluster.join_all();
    let took = cluster.run_to(0, before + 1, 10_000).unwrap();
    assert!(took <= BASE_MS, "{took} ms");
}

#[test]
fn links_that_come_up_one_after_another_cost_no_more_than_two_base_timeouts() {
    for pause_ms in [10, 100, 240, 260, 400] {
        let mut cluster = Cluster::new(4);
        cluster.set_all_work();
        cluster.run(1_000);
        (0..4).for_each(|node| cluster.kill(node));
        (0..4).for_each(|node| cluster.start(node));
        let before = cluster.highest();
        // The next proposer's links come last.
        let last = cluster.proposer(0);
        let others: Vec<_> = (0..4).filter(|node| *node != last).collect();
        for pair in [(0, 1), (0, 2), (1, 2)] {
            cluster.run(pause_ms);
            cluster.join(others[pair.0], others[pair.1]);
        }
        for other in &others {
            cluster.run(pause_ms);
            cluster.join(last, *other);
        }
        let took = cluster.run_to(others[0], before + 1, 10_000).unwrap();
        assert!(took <= 2 * BASE_MS, "{pause_ms} ms apart: {took} ms");
    }
}

#[test]
fn validator_whose_links_flap_forever_slows_the_chain_but_never_stops_it() {
    for (up_ms, down_ms) in [(100, 200), (200, 100), (50, 300), (400, 260), (3, 2)] {
        let mut cluster = Cluster::new(4);
        cluster.set_all_work();
        let end_ms = cluster.now_ms + 30_000;
        while cluster.now_ms < end_ms {
            (0..3).for_each(|other| cluster.cut(3, other));
            cluster.run(down_ms);
            (0..3).for_each(|other| cluster.join(3, other));
            cluster.run(up_ms);
        }
        let blocks = cluster.height(0) - 5;
        assert!(blocks > 100, "{up_ms} up, {down_ms} down: {blocks} blocks");
    }
}

#[test]
fn transaction_at_one_node_only_gets_into_a_block_after_the_leader_died() {
    for count in [4, 7, 13] {
        for holder in [1, 2, count - 1] {
            let mut cluster = Cluster::new(count);
            cluster.run(1_000);
            cluster.kill(0);
            cluster.set_work(holder, true);
            let mut waited_ms = 0;
            while !cluster.makers(holder).contains(&holder) {
                cluster.run(100);
                waited_ms += 100;
                let most_ms = 3 * BASE_MS * count as u64;
                assert!(waited_ms <= most_ms, "{holder} of {count}: {waited_ms} ms");
            }
        }
    }
}

#[test]
fn validator_that_restarts_again_and_again_on_an_idle_chain_does_not_delay_others() {
    let mut cluster = Cluster::new(4);
    for _ in 0..50 {
        cluster.set_work(3, true);
        cluster.run(400);
        cluster.kill(3);
        cluster.run(100);
        cluster.set_work(3, false);
        cluster.start(3);
        cluster.join_all();
    }
    let before = cluster.height(1);
    cluster.kill(0);
    (1..3).for_each(|node| cluster.set_work(node, true));
    let took = cluster.run_to(1, before + 1, 20_000).unwrap();
    assert!(took <= 2 * BASE_MS, "{took} ms");
}

/// What happens to links and processes, as dice say.
#[derive(Clone, Debug)]
enum Fault {
    Cut(usize, usize),
    Join(usize, usize),
    Kill(usize),
    Start(usize),
}

fn fault() -> impl Strategy<Value = (u64, Fault)> {
    let node = || 0..7_usize;
    let fault = prop_oneof![
        4 => (node(), node()).prop_map(|(a, b)| Fault::Cut(a, b)),
        4 => (node(), node()).prop_map(|(a, b)| Fault::Join(a, b)),
        1 => node().prop_map(Fault::Kill),
        2 => node().prop_map(Fault::Start),
    ];
    (1..700_u64, fault)
}

/// More of them: `PROPTEST_CASES=5000`.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(48)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    /// Whatever links and processes did, once they stand every validator has the
    /// next block within the timeouts of a few rounds.
    #[test]
    fn chain_goes_on_once_links_stand(
        count in 4..8_usize,
        faults in prop::collection::vec(fault(), 1..120),
    ) {
        let mut cluster = Cluster::new(count);
        cluster.set_all_work();
        for (after_ms, fault) in faults {
            cluster.run(after_ms);
            match fault {
                Fault::Cut(a, b) => cluster.cut(a % count, b % count),
                Fault::Join(a, b) => cluster.join(a % count, b % count),
                Fault::Kill(node) => cluster.kill(node % count),
                Fault::Start(node) if !cluster.is_up(node % count) => cluster.start(node % count),
                Fault::Start(_) => {}
            }
        }
        (0..count).for_each(|node| if !cluster.is_up(node) { cluster.start(node) });
        cluster.join_all();
        let round = (0..count).map(|node| cluster.round(node)).max().unwrap_or_default();
        let goal = cluster.highest() + 2;
        let most_ms = BASE_MS * (2 * u64::from(round) + 4) + INTERVAL_MS;
        for node in 0..count {
            let took = cluster.run_to(node, goal, most_ms);
            prop_assert!(took.is_some(), "node {} from round {}", node, round);
        }
    }
}

#[test]
fn no_timer_runs_on_an_idle_chain_whose_proposer_is_gone() {
    let mut engine = engine(3, 4);
    for peer in 0..3 {
        connect(&mut engine, peer);
    }
    assert!(disconnect(&mut engine, 0).is_empty());
    let timeout = engine.status().timeout;
    assert_eq!(timeout, Duration::from_millis(BASE_MS));
}
