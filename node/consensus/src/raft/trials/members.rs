//! Who belongs to the group, and who must not.

use super::{
    Trials, Verdict,
    cluster::{Cluster, key},
    elections::{body, status, tell},
    must,
};
use crate::{
    Input, RaftMember, RaftRole,
    raft::{RaftMessage, membership::raft_id, messages::RaftKind},
};
use raft::eraftpb::{Entry, EntryType};

pub(super) const TRIALS: Trials = &[
    ("removed member asks for votes", stale_id),
    ("removed id wants to come back", retired_id),
    ("disk lost twice", lost_twice),
    ("disk lost before the first block", lost_before_first),
    ("restart after the group has changed", group_survives),
    ("learner that is not there", absent_learner),
    ("removal that leaves dead members", dead_members),
    ("removed member, others do not know", knows_first),
    ("leader leaves the validators", leader_leaves),
    ("newcomer whose first words are lost", lost_words),
    ("set of validators that are not there", absent_set),
    (
        "leader is no validator, newcomer lost its id",
        hidden_leader,
    ),
    ("blocks wanted while a member goes", changes_first),
];

fn members(cluster: &Cluster, index: usize) -> Vec<RaftMember> {
    status(cluster, index).members
}

fn has_member(cluster: &Cluster, index: usize, id: u64) -> bool {
    members(cluster, index).iter().any(|member| member.id == id)
}

fn highest(cluster: &Cluster) -> u64 {
    let heights = (0..cluster.nodes.len()).map(|index| cluster.height(index));
    heights.max().unwrap_or_default()
}

/// Four become the first three; node 3 is gone for good.
fn shrunk() -> Cluster {
    let mut cluster = Cluster::started(4, &[0, 1, 2, 3]);
    cluster.mint_until(3, 5_000);
    cluster.sets.insert(5, vec![0, 1, 2]);
    cluster.mint_until(10, 10_000);
    cluster.run_ms(3_000);
    cluster
}

fn stale_id() -> Verdict {
    let mut cluster = shrunk();
    let before = status(&cluster, 0).term;
    let mut vote = body(RaftKind::Vote, 3, before + 7);
    (vote.index, vote.log_term) = (1 << 40, before + 7);
    vote.is_transfer = true;
    tell(&mut cluster, 3, vote);
    let is_same = status(&cluster, 0).term == before;
    must(is_same, "follows a removed member into its term")
}

fn retired_id() -> Verdict {
    let mut cluster = shrunk();
    cluster.sets.insert(highest(&cluster) + 2, vec![0, 1, 2, 3]);
    cluster.crash(3);
    let height = highest(&cluster);
    cluster.mint_until(height + 3, 5_000);
    let leader = cluster.leader().ok_or("no leader")?;
    let bytes = RaftMessage::Join { incarnation: 0 }.encode();
    let from = key(3);
    cluster.handle(leader, Input::MessageReceived { from, bytes });
    cluster.run_ms(1_000);
    let is_back = has_member(&cluster, leader, raft_id(&key(3), 0));
    must(!is_back, "lets a removed id in again")
}

fn lost_twice() -> Verdict {
    let mut cluster = Cluster::started(3, &[0, 1, 2]);
    cluster.mint_until(3, 5_000);
    let mut ids = vec![cluster.raft_id(2)];
    for _ in 0..2 {
        cluster.crash(2);
        cluster.nodes[2].record = None;
        cluster.start(2);
        cluster.run_ms(10_000);
        let id = cluster.raft_id(2);
        must(!ids.contains(&id), "comes back under an id it had before")?;
        let is_in = matches!(cluster.role(2), RaftRole::Follower | RaftRole::Leader);
        must(is_in, "is not let in again")?;
        ids.push(id);
    }
    Ok(())
}

/// Its votes of the first election are gone, and the chain is still empty.
fn lost_before_first() -> Verdict {
    let mut cluster = Cluster::started(3, &[0, 1, 2]);
    let id = cluster.raft_id(2);
    cluster.crash(2);
    cluster.nodes[2].record = None;
    cluster.start(2);
    must(cluster.raft_id(2) != id, "takes its old id without asking")?;
    cluster.run_ms(10_000);
    must(cluster.raft_id(2) != id, "takes its old id again")
}

fn group_survives() -> Verdict {
    let mut cluster = Cluster::started(4, &[0, 1, 2, 3]);
    cluster.mint_until(3, 5_000);
    cluster.crash(3);
    cluster.nodes[3].record = None;
    cluster.start(3);
    cluster.run_ms(10_000);
    let before = members(&cluster, 0);
    cluster.isolated.extend([0, 1, 2, 3]);
    cluster.restart(0);
    must(
        members(&cluster, 0) == before,
        "restarts with another group",
    )
}

fn absent_learner() -> Verdict {
    let mut cluster = Cluster::new(4, &[0, 1, 2]);
    (0..3).for_each(|index| cluster.start(index));
    cluster.run_ms(3_000);
    cluster.sets.insert(3, vec![0, 1, 2, 3]);
    cluster.mint_until(4, 5_000);
    let leader = cluster.leader().ok_or("no leader")?;
    let bytes = RaftMessage::Join { incarnation: 5 }.encode();
    let from = key(3);
    cluster.handle(leader, Input::MessageReceived { from, bytes });
    cluster.run_ms(5_000);
    let id = raft_id(&key(3), 5);
    let members = members(&cluster, leader);
    let member = members.iter().find(|member| member.id == id);
    let member = member.ok_or("is not let in")?;
    must(
        member.is_learner,
        "gives a vote to a member without the log",
    )
}

/// Nodes 2 and 3 are down when 1 is voted out: 0 and 1 must go on together
/// with whoever of the three is needed.
fn dead_members() -> Verdict {
    let mut cluster = Cluster::started(5, &[0, 1, 2, 3, 4]);
    cluster.mint_until(3, 5_000);
    let leader = cluster.leader().ok_or("no leader")?;
    let others: Vec<_> = (0..5).filter(|index| *index != leader).collect();
    let (leaver, alive) = (others[0], others[1]);
    let dead = [others[2], others[3]];
    let set = vec![leader, alive, dead[0], dead[1]];
    cluster.sets.insert(highest(&cluster) + 2, set);
    dead.into_iter().for_each(|index| cluster.crash(index));
    let height = highest(&cluster);
    cluster.set_work(true);
    cluster.run_ms(5_000);
    let is_member = has_member(&cluster, leader, raft_id(&key(leaver), 0));
    must(highest(&cluster) > height + 2, "no blocks")?;
    must(is_member, "removes a member that the others need")
}

/// Only the leaver hears that it was removed, and the leader dies.
fn knows_first() -> Verdict {
    let mut cluster = Cluster::started(4, &[0, 1, 2, 3]);
    cluster.mint_until(3, 5_000);
    let leader = cluster.leader().ok_or("no leader")?;
    let leaver = (leader + 1) % 4;
    let stay: Vec<_> = (0..4).filter(|index| *index != leaver).collect();
    cluster.sets.insert(5, stay.clone());
    cluster.set_work(true);
    let id = raft_id(&key(leaver), 0);
    let deadline = cluster.now_ms + 3_000;
    while has_member(&cluster, leader, id) && cluster.now_ms < deadline {
        cluster.run_ms(1);
    }
    for other in stay.iter().filter(|index| **index != leader) {
        cluster.drop_messages_to(*other);
    }
    cluster.crash(leader);
    cluster.run_ms(1);
    let height = highest(&cluster);
    cluster.run_ms(8_000);
    must(
        highest(&cluster) > height,
        "stops when a removed member goes",
    )
}

fn leader_leaves() -> Verdict {
    let mut cluster = Cluster::started(4, &[0, 1, 2, 3]);
    cluster.mint_until(3, 5_000);
    let leader = cluster.leader().ok_or("no leader")?;
    let stay: Vec<_> = (0..4).filter(|index| *index != leader).collect();
    cluster.sets.insert(5, stay);
    cluster.set_work(true);
    cluster.run_ms(8_000);
    let height = highest(&cluster);
    cluster.run_ms(2_000);
    must(highest(&cluster) > height, "the chain stops")?;
    let leads = cluster.role(leader) == RaftRole::Leader;
    must(!leads, "leads on when it is no validator any more")
}

fn lost_words() -> Verdict {
    let mut cluster = Cluster::started(4, &[0, 1, 2]);
    cluster.sets.insert(3, vec![0, 1, 2, 3]);
    cluster.isolated.insert(3);
    cluster.mint_until(4, 5_000);
    cluster.run_ms(3_000);
    cluster.isolated.clear();
    cluster.run_ms(2_000);
    // What it says when it first hears of its place is lost.
    cluster.isolated.insert(3);
    cluster.run_ms(1_000);
    cluster.isolated.clear();
    cluster.run_ms(10_000);
    let is_in = matches!(cluster.role(3), RaftRole::Follower | RaftRole::Leader);
    must(is_in, "a newcomer asks once and waits for ever")
}

/// One of two validators stays, the other two of the new three never come: what
/// is made then could never get a certificate.
fn absent_set() -> Verdict {
    let mut cluster = Cluster::new(4, &[0, 1]);
    (0..2).for_each(|index| cluster.start(index));
    cluster.run_ms(3_000);
    cluster.mint_until(2, 5_000);
    let height = highest(&cluster);
    cluster.sets.insert(height + 2, vec![0, 2, 3]);
    cluster.set_work(true);
    cluster.run_ms(5_000);
    must(
        highest(&cluster) <= height + 1,
        "makes blocks that nobody can seal",
    )
}

/// Validators are one that lost its record and one that joins: both know each
/// other only, and the group is led by those who left the set.
fn hidden_leader() -> Verdict {
    let mut cluster = Cluster::started(5, &[0, 1, 2, 3]);
    cluster.mint_until(3, 5_000);
    if cluster.leader() == Some(3) {
        cluster.restart(3);
        cluster.run_ms(3_000);
    }
    cluster.crash(3);
    cluster.nodes[3].record = None;
    let height = highest(&cluster);
    cluster.sets.insert(height + 2, vec![3, 4]);
    cluster.mint_until(height + 1, 5_000);
    cluster.start(3);
    cluster.set_work(true);
    cluster.run_ms(20_000);
    must(highest(&cluster) > height + 2, "the chain stops")
}

/// Whether a block lies behind a change of the group that is not applied.
fn is_behind_change(cluster: &Cluster, leader: usize) -> bool {
    let engine = cluster.nodes[leader].engine.as_ref();
    let Some(node) = engine.and_then(|engine| engine.node.as_ref()) else {
        return false;
    };
    let log = node.store();
    let mut waiting = log.after(log.applied.index);
    let is_change = |entry: &Entry| entry.get_entry_type() != EntryType::EntryNormal;
    waiting.by_ref().any(is_change) && waiting.any(|entry| !entry.data.is_empty())
}

/// Whoever leaves may not be counted among those who keep the next block.
fn changes_first() -> Verdict {
    let mut cluster = Cluster::started(4, &[0, 1, 2, 3]);
    cluster.mint_until(3, 5_000);
    let leader = cluster.leader().ok_or("no leader")?;
    let leaver = (leader + 1) % 4;
    let stay = (0..4).filter(|index| *index != leaver).collect();
    cluster.sets.insert(5, stay);
    cluster.set_work(true);
    // The head is old by the time the leader hears of it: a block is due at once.
    cluster.commit_ms.insert(leader, 200);
    for _ in 0..2_000 {
        cluster.run_ms(1);
        let is_behind = is_behind_change(&cluster, leader);
        must(!is_behind, "makes a block behind a change of the group")?;
    }
    Ok(())
}
