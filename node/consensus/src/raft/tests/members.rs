//! The group follows the validator set.

use crate::raft::trials::cluster::{Cluster, key};
use crate::{Engine, RaftRole};

fn members(cluster: &Cluster, index: usize) -> Vec<(usize, bool)> {
    let status = cluster.nodes[index].engine.as_ref().unwrap().status();
    let members = status.raft.unwrap().members;
    let mut members: Vec<_> = members
        .iter()
        .map(|member| {
            let index = (0..16).find(|it| key(*it) == member.key).unwrap();
            (index, member.is_learner)
        })
        .collect();
    members.sort_unstable();
    members
}

fn voters(indices: &[usize]) -> Vec<(usize, bool)> {
    indices.iter().map(|index| (*index, false)).collect()
}

#[test]
fn set_grows_and_shrinks_four_seven_four_one_two_and_blocks_go_on() {
    let mut cluster = Cluster::started(7, &[0, 1, 2, 3]);
    cluster.mint_until(3, 2_000);
    let steps: [(u64, &[usize]); 4] = [
        (5, &[0, 1, 2, 3, 4, 5, 6]),
        (30, &[3, 4, 5, 6]),
        (50, &[5]),
        (70, &[5, 1]),
    ];
    for (height, set) in steps {
        cluster.sets.insert(height, set.to_vec());
        cluster.mint_until(height + 3, 20_000);
        cluster.run_ms(8_000);
        cluster.mint_until(height + 6, 20_000);
        cluster.assert_all_equal(set);
        assert_eq!(members(&cluster, set[0]), voters_sorted(set), "at {height}");
        let leader = cluster.leader().unwrap();
        assert!(set.contains(&leader));
        let head = cluster.height(set[0]);
        assert!(cluster.is_certified(set[0], head));
    }
    assert_eq!(cluster.role(0), RaftRole::Outside);
    cluster.assert_nobody_accused();
}

fn voters_sorted(set: &[usize]) -> Vec<(usize, bool)> {
    let mut set = set.to_vec();
    set.sort_unstable();
    voters(&set)
}

#[test]
fn live_leader_that_leaves_the_set_hands_over_and_is_removed() {
    let mut cluster = Cluster::started(4, &[0, 1, 2, 3]);
    cluster.mint_until(3, 2_000);
    let leader = cluster.leader().unwrap();
    let rest: Vec<_> = (0..4).filter(|index| *index != leader).collect();
    cluster.sets.insert(5, rest.clone());
    cluster.mint_until(10, 5_000);
    cluster.run_ms(5_000);
    assert_eq!(members(&cluster, rest[0]), voters(&rest));
    assert_eq!(cluster.role(leader), RaftRole::Outside);
    cluster.mint_until(20, 5_000);
    cluster.assert_all_equal(&rest);
}

/// What the others sealed meanwhile certifies the leader's block at once, and
/// the change of the group puts a record into the same orders.
#[test]
fn certificate_goes_to_the_disk_before_a_record_that_names_its_block_no_longer() {
    let mut cluster = Cluster::started(4, &[0, 1, 2, 3]);
    cluster.mint_until(3, 2_000);
    let leader = cluster.leader().unwrap();
    let other = (leader + 1) % 4;
    cluster.commit_ms.insert(leader, 30);
    let rest: Vec<_> = (0..4).filter(|index| *index != other).collect();
    cluster.sets.insert(5, rest.clone());
    // The cluster watches the orders of every input.
    cluster.mint_until(10, 5_000);
    assert_eq!(members(&cluster, leader), voters(&rest));
}

#[test]
fn validator_admitted_before_it_is_up_joins_when_it_comes() {
    let mut cluster = Cluster::new(5, &[0, 1, 2, 3]);
    for index in 0..4 {
        cluster.start(index);
    }
    cluster.sets.insert(4, vec![0, 1, 2, 3, 4]);
    cluster.mint_until(40, 20_000);
    assert_eq!(members(&cluster, 0), voters(&[0, 1, 2, 3]));
    cluster.start(4);
    cluster.run_ms(8_000);
    assert_eq!(members(&cluster, 0), voters(&[0, 1, 2, 3, 4]));
    cluster.mint_until(50, 5_000);
    cluster.assert_all_equal(&[0, 1, 2, 3, 4]);
}

#[test]
fn newcomers_get_blocks_that_have_no_certificate_from_the_leader() {
    let mut cluster = Cluster::started(7, &[0, 1, 2, 3]);
    for index in 4..7 {
        cluster.crash(index);
    }
    cluster.mint_until(3, 2_000);
    cluster.sets.insert(5, (0..7).collect());
    let dead = (0..4)
        .find(|index| cluster.leader() != Some(*index))
        .unwrap();
    cluster.crash(dead);
    // Three of seven seal: no certificate for the blocks from height 5 on.
    cluster.mint_until(20, 8_000);
    let alive: Vec<_> = (0..4).filter(|index| *index != dead).collect();
    let head = cluster.height(alive[0]);
    assert!(!cluster.is_certified(alive[0], head));
    for index in 4..7 {
        cluster.start(index);
    }
    cluster.run_ms(20_000);
    cluster.mint_until(head + 10, 10_000);
    cluster.assert_all_equal(&[alive[0], alive[1], alive[2], 4, 5, 6]);
    for height in 1..=cluster.height(alive[0]) {
        assert!(cluster.is_certified(alive[0], height), "height {height}");
    }
}

#[test]
fn blocks_stop_when_too_many_have_no_certificate_and_go_on_with_them() {
    let mut cluster = Cluster::started(7, &[0, 1, 2, 3]);
    for index in 4..7 {
        cluster.crash(index);
    }
    cluster.sets.insert(5, (0..7).collect());
    cluster.mint_until(3, 2_000);
    let dead = (0..4)
        .find(|index| cluster.leader() != Some(*index))
        .unwrap();
    cluster.crash(dead);
    cluster.set_work(true);
    cluster.run_ms(60_000);
    let alive = cluster.leader().unwrap();
    let stopped = cluster.height(alive);
    assert!((60..=75).contains(&stopped), "stopped at {stopped}");
    cluster.start(dead);
    cluster.set_work(true);
    cluster.run_ms(10_000);
    assert!(cluster.height(alive) > stopped + 20);
}

#[test]
fn member_that_never_learned_of_its_removal_disturbs_nobody_and_can_come_back() {
    let mut cluster = Cluster::started(4, &[0, 1, 2, 3]);
    cluster.mint_until(3, 2_000);
    let away = (0..4)
        .find(|index| cluster.leader() != Some(*index))
        .unwrap();
    let rest: Vec<_> = (0..4).filter(|index| *index != away).collect();
    let id = cluster.raft_id(away);
    cluster.isolated.insert(away);
    cluster.sets.insert(5, rest.clone());
    cluster.mint_until(10, 5_000);
    cluster.run_ms(3_000);
    let leader = cluster.leader();
    cluster.isolated.clear();
    cluster.run_ms(5_000);
    let term = |cluster: &Cluster| {
        let status = cluster.nodes[rest[0]].engine.as_ref().unwrap().status();
        status.raft.unwrap().term
    };
    let before = term(&cluster);
    cluster.run_ms(5_000);
    assert_eq!(term(&cluster), before);
    assert!(leader.is_some());
    cluster.sets.insert(20, vec![0, 1, 2, 3]);
    cluster.mint_until(25, 8_000);
    cluster.run_ms(8_000);
    cluster.mint_until(30, 8_000);
    assert_ne!(cluster.raft_id(away), id);
    assert_eq!(members(&cluster, rest[0]), voters(&[0, 1, 2, 3]));
    cluster.assert_all_equal(&[0, 1, 2, 3]);
}
