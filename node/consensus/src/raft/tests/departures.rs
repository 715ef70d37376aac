//! Members that go: what they still owe those who stay.

use crate::raft::trials::cluster::{Cluster, key};
use crate::{
    Engine, Input, RaftRole,
    raft::{
        RaftMessage,
        membership::{MemberChange, raft_id},
    },
};
use raft::eraftpb::{Entry, EntryType};

/// Puts the removal of a member's own id into its log, as an earlier leader may
/// have left it there.
fn propose_own_removal(cluster: &mut Cluster, index: usize) {
    let id = cluster.raft_id(index);
    let change = MemberChange::Remove { id };
    let context = borsh::to_vec(&change).expect("to memory");
    let engine = cluster.nodes[index].engine.as_mut().expect("it runs");
    let node = engine.node.as_mut().expect("a member");
    node.propose_conf_change(context, change.conf_change())
        .expect("nothing else is pending");
}

fn is_member(cluster: &Cluster, index: usize, of: usize) -> bool {
    let engine = cluster.nodes[index].engine.as_ref();
    let raft = engine.and_then(|engine| engine.status().raft);
    let members = raft.map(|raft| raft.members).unwrap_or_default();
    members.iter().any(|member| member.key == key(of))
}

fn highest(cluster: &Cluster) -> u64 {
    let all = 0..cluster.nodes.len();
    all.map(|index| cluster.height(index)).max().unwrap_or(0)
}

#[test]
fn leader_that_applies_its_own_removal_and_commits_on_does_not_panic() {
    for count in 2..=5 {
        let set: Vec<_> = (0..count).collect();
        let mut cluster = Cluster::started(count, &set);
        cluster.mint_until(3, 3_000);
        let leader = cluster.leader().unwrap();
        let id = cluster.raft_id(leader);
        propose_own_removal(&mut cluster, leader);
        for _ in 0..3 {
            let engine = cluster.nodes[leader].engine.as_mut().unwrap();
            let node = engine.node.as_mut().unwrap();
            node.propose(Vec::new(), vec![9, 9, 9]).unwrap();
        }
        cluster.run_ms(10_000);
        assert_ne!(cluster.raft_id(leader), id, "it is a validator: a new id");
        let height = highest(&cluster);
        cluster.mint_until(height + 5, 5_000);
        cluster.assert_all_equal(&set);
        cluster.assert_nobody_accused();
    }
}

#[test]
fn removed_leader_votes_until_the_others_know_of_it() {
    for count in 2..=4 {
        let set: Vec<_> = (0..count).collect();
        let mut cluster = Cluster::started(count, &set);
        cluster.mint_until(3, 3_000);
        let leader = cluster.leader().unwrap();
        propose_own_removal(&mut cluster, leader);
        let deadline = cluster.now_ms + 1_000;
        while cluster.role(leader) == RaftRole::Leader {
            assert!(cluster.now_ms < deadline, "the removal is committed");
            cluster.run_ms(1);
        }
        // Nobody hears that it was.
        (0..count).for_each(|index| cluster.drop_messages_to(index));
        cluster.run_ms(8_000);
        let height = highest(&cluster);
        cluster.mint_until(height + 5, 5_000);
        cluster.assert_all_equal(&set);
    }
}

#[test]
fn removed_follower_votes_until_a_majority_knows_of_it() {
    let mut cluster = Cluster::started(4, &[0, 1, 2, 3]);
    cluster.mint_until(3, 3_000);
    let leader = cluster.leader().unwrap();
    let leaver = (leader + 1) % 4;
    let stay: Vec<_> = (0..4).filter(|index| *index != leaver).collect();
    cluster.sets.insert(5, stay.clone());
    cluster.set_work(true);
    let deadline = cluster.now_ms + 3_000;
    while is_member(&cluster, leader, leaver) {
        assert!(cluster.now_ms < deadline, "the member is removed");
        cluster.run_ms(1);
    }
    // Only the leaver hears of it, and the leader dies.
    let others = stay.iter().filter(|index| **index != leader);
    others.for_each(|index| cluster.drop_messages_to(*index));
    cluster.crash(leader);
    cluster.run_ms(1);
    let height = highest(&cluster);
    cluster.mint_until(height + 5, 8_000);
    cluster.start(leader);
    cluster.run_ms(3_000);
    cluster.assert_all_equal(&stay);
    for index in stay {
        assert!(!is_member(&cluster, index, leaver));
    }
    assert_eq!(cluster.raft_id(leaver), 0, "it has left");
}

#[test]
fn no_block_follows_on_a_change_of_the_group_that_is_not_applied() {
    let mut cluster = Cluster::started(7, &[0, 1, 2, 3]);
    cluster.sets.insert(5, (0..7).collect());
    cluster.sets.insert(12, vec![4, 5, 6]);
    cluster.set_work(true);
    let mut changes = 0;
    for _ in 0..8_000 {
        cluster.run_ms(1);
        let Some(leader) = cluster.leader() else {
            continue;
        };
        let engine = cluster.nodes[leader].engine.as_ref().unwrap();
        let log = engine.node.as_ref().unwrap().store();
        let waiting: Vec<&Entry> = log.after(log.applied.index).collect();
        let is_change = |entry: &&&Entry| entry.get_entry_type() != EntryType::EntryNormal;
        let Some(change) = waiting.iter().find(is_change) else {
            continue;
        };
        changes += 1;
        let is_block_behind = |entry: &&Entry| {
            entry.index > change.index && !entry.data.is_empty() && entry.term == change.term
        };
        assert!(!waiting.iter().any(is_block_behind), "{waiting:?}");
    }
    assert!(changes > 0, "changes were seen on their way");
    assert!(highest(&cluster) > 12);
}

#[test]
fn joins_are_forgotten_by_who_no_longer_leads() {
    let mut cluster = Cluster::started(4, &[0, 1, 2, 3]);
    let leader = cluster.leader().unwrap();
    let other = (leader + 1) % 4;
    cluster.sets.insert(1, vec![0, 1, 2, 3]);
    let bytes = RaftMessage::Join { incarnation: 99 }.encode();
    let from = key(other);
    let engine = cluster.nodes[leader].engine.as_mut().unwrap();
    engine.joins.insert(from, 99);
    let node = engine.node.as_mut().unwrap();
    let heir = raft_id(&key((leader + 2) % 4), 0);
    node.transfer_leader(heir);
    cluster.run_ms(1_000);
    assert_eq!(cluster.leader(), Some((leader + 2) % 4));
    cluster.handle(leader, Input::MessageReceived { from, bytes });
    let engine = cluster.nodes[leader].engine.as_ref().unwrap();
    assert!(engine.joins.is_empty());
}

#[test]
fn only_voter_without_its_record_starts_over_with_the_learner_that_waits() {
    let mut cluster = Cluster::started(2, &[0]);
    cluster.mint_until(3, 2_000);
    let next = cluster.height(0) + 2;
    cluster.sets.insert(next, vec![0, 1]);
    cluster.set_work(true);
    let deadline = cluster.now_ms + 3_000;
    while !is_member(&cluster, 0, 1) {
        assert!(cluster.now_ms < deadline, "the learner is added");
        cluster.run_ms(1);
    }
    let deadline = cluster.now_ms + 1_000;
    while !is_member(&cluster, 1, 1) {
        assert!(cluster.now_ms < deadline, "and knows of it");
        cluster.run_ms(1);
    }
    cluster.crash(0);
    cluster.nodes[0].record = None;
    cluster.accept_lost_record = true;
    cluster.start(0);
    cluster.run_ms(5_000);
    let height = highest(&cluster);
    cluster.mint_until(height + 5, 5_000);
    cluster.assert_all_equal(&[0, 1]);
    assert_eq!(cluster.role(0), RaftRole::Leader);
    assert_eq!(cluster.role(1), RaftRole::Follower);
}

#[test]
fn learner_that_never_learned_of_its_removal_leaves_when_it_is_back() {
    let mut cluster = Cluster::started(3, &[0, 1]);
    cluster.mint_until(3, 2_000);
    let next = cluster.height(0) + 2;
    cluster.sets.insert(next, vec![0, 1, 2]);
    cluster.set_work(true);
    let deadline = cluster.now_ms + 3_000;
    while cluster.role(2) != RaftRole::Learner {
        assert!(cluster.now_ms < deadline, "the learner knows the group");
        cluster.run_ms(1);
    }
    cluster.isolated.insert(2);
    cluster.drop_messages_to(0);
    cluster.drop_messages_to(1);
    let next = highest(&cluster) + 3;
    cluster.sets.insert(next, vec![0, 1]);
    cluster.mint_until(next + 3, 5_000);
    assert!(!is_member(&cluster, 0, 2));
    assert_eq!(cluster.role(2), RaftRole::Learner);
    cluster.isolated.clear();
    cluster.run_ms(10_000);
    assert_eq!(cluster.raft_id(2), 0, "it has left");
    cluster.assert_all_equal(&[0, 1, 2]);
}

#[test]
fn first_validator_of_a_chain_that_grew_starts_no_other_chain_without_its_disk() {
    let mut cluster = Cluster::started(4, &[0]);
    cluster.mint_until(3, 5_000);
    let next = cluster.height(0) + 2;
    cluster.sets.insert(next, vec![0, 1, 2, 3]);
    cluster.mint_until(next + 3, 5_000);
    cluster.run_ms(5_000);
    cluster.mint_until(next + 6, 5_000);
    cluster.crash(0);
    cluster.nodes[0].record = None;
    cluster.nodes[0].chain.truncate(1);
    cluster.nodes[0].certificates.clear();
    cluster.run_ms(3_000);
    // With work waiting it would make blocks of its own; the group compares them.
    cluster.start(0);
    cluster.set_work(true);
    cluster.run_ms(15_000);
    let height = highest(&cluster);
    cluster.mint_until(height + 5, 5_000);
    cluster.assert_all_equal(&[0, 1, 2, 3]);
    assert!(matches!(
        cluster.role(0),
        RaftRole::Follower | RaftRole::Leader
    ));
}
