//! Votes, terms and leaders.

use super::{
    Trials, Verdict,
    cluster::{Cluster, key, raft_bytes},
    must,
};
use crate::{
    Engine, Input, RaftRole, RaftStatus,
    raft::{
        membership::raft_id,
        messages::{LogEntry, RaftBody, RaftKind, RaftMessage},
    },
};

pub(super) const TRIALS: Trials = &[
    ("restart between two candidates", vote_survives),
    ("restart in a later term", term_survives),
    ("candidate that lacks blocks", restricted),
    ("entry of an earlier term on a majority", figure_eight),
    ("leader of an earlier term", old_leader),
    ("candidate while there is a leader", lease_holds),
    ("cut follower comes back", follower_returns),
    ("cut leader", cut_leader),
    ("leader dies", leader_dies),
];

/// A message from node `from` to node 0, both under their first ids.
pub(super) fn body(kind: RaftKind, from: usize, term: u64) -> RaftBody {
    RaftBody {
        kind,
        to: raft_id(&key(0), 0),
        from: raft_id(&key(from), 0),
        term,
        log_term: 0,
        index: 0,
        commit: 0,
        commit_term: 0,
        reject: false,
        reject_hint: 0,
        is_transfer: false,
        entries: Vec::new(),
        snapshot: None,
    }
}

pub(super) fn status(cluster: &Cluster, index: usize) -> RaftStatus {
    let status = cluster.nodes[index].engine.as_ref().map(Engine::status);
    let raft = status.and_then(|status| status.raft);
    raft.expect("the node runs")
}

/// Index and term of the last entry of a node's log.
pub(super) fn last(cluster: &Cluster, index: usize) -> (u64, u64) {
    let engine = cluster.nodes[index].engine.as_ref().expect("it runs");
    let log = &engine.node.as_ref().expect("a member").raft.raft_log;
    (log.last_index(), log.last_term())
}

pub(super) fn tell(cluster: &mut Cluster, from: usize, body: RaftBody) {
    let (from, bytes) = (key(from), raft_bytes(body));
    cluster.handle(0, Input::MessageReceived { from, bytes });
}

/// What node 0 answers to `to`, taken from the wire.
fn answers(cluster: &mut Cluster, to: usize) -> Vec<RaftBody> {
    let raft = |message| match message {
        RaftMessage::Raft { body, .. } => Some(*body),
        _ => None,
    };
    let bytes = cluster.take_messages_to(to).into_iter();
    bytes
        .filter_map(|bytes| RaftMessage::decode(&bytes).ok())
        .filter_map(raft)
        .collect()
}

fn has_vote(cluster: &mut Cluster, candidate: usize, term: u64) -> bool {
    let is_vote = |it: &RaftBody| it.kind == RaftKind::VoteResponse && it.term == term;
    let answers = answers(cluster, candidate);
    answers.iter().any(|it| is_vote(it) && !it.reject)
}

/// A group of three that has elected nobody but knows of each other's state, so
/// that node 0 can be told anything in the others' names.
fn listener() -> Cluster {
    let mut cluster = Cluster::started(3, &[0, 1, 2]);
    cluster.mint_until(2, 5_000);
    for other in [1, 2] {
        cluster.crash(other);
    }
    cluster.run_ms(1_500);
    cluster
}

/// A candidate that has everything asks, in a later term, with the old leader's
/// consent.
fn ask(cluster: &mut Cluster, candidate: usize, term: u64) {
    let (index, log_term) = last(cluster, 0);
    let mut vote = body(RaftKind::Vote, candidate, term);
    (vote.index, vote.log_term, vote.is_transfer) = (index, log_term, true);
    tell(cluster, candidate, vote);
}

fn vote_survives() -> Verdict {
    let mut cluster = listener();
    let term = status(&cluster, 0).term + 5;
    ask(&mut cluster, 1, term);
    must(has_vote(&mut cluster, 1, term), "does not vote")?;
    cluster.restart(0);
    ask(&mut cluster, 2, term);
    must(!has_vote(&mut cluster, 2, term), "votes twice in a term")
}

fn term_survives() -> Verdict {
    let mut cluster = listener();
    let term = status(&cluster, 0).term + 5;
    ask(&mut cluster, 1, term);
    cluster.restart(0);
    must(
        status(&cluster, 0).term >= term,
        "goes back to a lower term",
    )
}

fn restricted() -> Verdict {
    let mut cluster = listener();
    let term = status(&cluster, 0).term + 5;
    let (index, log_term) = last(&cluster, 0);
    let mut vote = body(RaftKind::Vote, 1, term);
    (vote.index, vote.log_term, vote.is_transfer) = (index - 1, log_term, true);
    tell(&mut cluster, 1, vote);
    let has_vote = has_vote(&mut cluster, 1, term);
    must(!has_vote, "votes for a candidate that lacks its last entry")
}

/// Another gives node 0 every vote that it asks for.
fn grant(cluster: &mut Cluster, voter: usize) {
    for asked in [RaftKind::PreVote, RaftKind::Vote] {
        for ask in answers(cluster, voter) {
            let kind = match asked {
                RaftKind::PreVote => RaftKind::PreVoteResponse,
                _ => RaftKind::VoteResponse,
            };
            if ask.kind == asked {
                tell(cluster, voter, body(kind, voter, ask.term));
            }
        }
    }
}

/// Node 0 gets an entry of an earlier leader, becomes leader itself, and hears
/// that one other has that entry, but nothing of its own term.
fn figure_eight() -> Verdict {
    let mut cluster = listener();
    let term = status(&cluster, 0).term + 1;
    let (index, log_term) = last(&cluster, 0);
    let mut append = body(RaftKind::Append, 1, term);
    (append.index, append.log_term, append.commit) = (index, log_term, index);
    append.entries.push(LogEntry {
        is_member_change: false,
        term,
        index: index + 1,
        data: Vec::new(),
        context: Vec::new(),
    });
    tell(&mut cluster, 1, append);
    must(last(&cluster, 0) == (index + 1, term), "takes no entries")?;
    let deadline = cluster.now_ms + 5_000;
    while status(&cluster, 0).role != RaftRole::Leader && cluster.now_ms < deadline {
        cluster.run_ms(1);
        grant(&mut cluster, 2);
    }
    let now = status(&cluster, 0);
    must(now.role == RaftRole::Leader, "is not elected")?;
    let mut ack = body(RaftKind::AppendResponse, 2, now.term);
    ack.index = index + 1;
    tell(&mut cluster, 2, ack);
    let committed = status(&cluster, 0).committed;
    must(
        committed <= index,
        "commits an entry of an earlier term by counting",
    )
}

fn old_leader() -> Verdict {
    let mut cluster = listener();
    let old = status(&cluster, 0).term;
    ask(&mut cluster, 2, old + 5);
    let (index, log_term) = last(&cluster, 0);
    let mut append = body(RaftKind::Append, 1, old);
    (append.index, append.log_term) = (index, log_term);
    append.entries.push(LogEntry {
        is_member_change: false,
        term: log_term,
        index: index + 1,
        data: Vec::new(),
        context: Vec::new(),
    });
    tell(&mut cluster, 1, append);
    let is_same = last(&cluster, 0) == (index, log_term);
    must(is_same, "takes entries from a leader of an earlier term")
}

/// A follower whose link to the leader broke asks for votes; the others hear it.
fn lease_holds() -> Verdict {
    let mut cluster = Cluster::started(4, &[0, 1, 2, 3]);
    let leader = cluster.leader().ok_or("no leader")?;
    let before = status(&cluster, leader).term;
    let follower = (leader + 1) % 4;
    let peer = key(leader);
    cluster.handle(follower, Input::PeerDisconnected { peer });
    for _ in 0..1_200 {
        cluster.run_ms(1);
        let _ = cluster.take_messages_between(leader, follower);
    }
    cluster.run_ms(2_000);
    let is_leading = cluster.leader() == Some(leader);
    let is_same_term = status(&cluster, leader).term == before;
    must(is_leading && is_same_term, "deposes a leader that is heard")
}

fn follower_returns() -> Verdict {
    let mut cluster = Cluster::started(4, &[0, 1, 2, 3]);
    let leader = cluster.leader().ok_or("no leader")?;
    let before = status(&cluster, leader).term;
    let follower = (leader + 1) % 4;
    cluster.isolated.insert(follower);
    cluster.run_ms(10_000);
    cluster.isolated.clear();
    cluster.run_ms(3_000);
    let is_same_term = status(&cluster, follower).term == before;
    let is_leading = cluster.leader() == Some(leader);
    must(
        is_leading && is_same_term,
        "a follower that was cut off deposes the leader",
    )
}

fn cut_leader() -> Verdict {
    let mut cluster = Cluster::started(3, &[0, 1, 2]);
    let leader = cluster.leader().ok_or("no leader")?;
    cluster.isolated.insert(leader);
    cluster.run_ms(5_000);
    let leads = cluster.role(leader) == RaftRole::Leader;
    must(!leads, "leads on although nobody hears it")
}

fn leader_dies() -> Verdict {
    for count in [3, 4, 5, 7] {
        let set: Vec<_> = (0..count).collect();
        let mut cluster = Cluster::started(count, &set);
        cluster.mint_until(3, 5_000);
        let leader = cluster.leader().ok_or("no leader")?;
        let height = cluster.height(leader);
        cluster.crash(leader);
        cluster.set_work(true);
        cluster.run_ms(1_500);
        let highest = set.iter().map(|index| cluster.height(*index)).max();
        must(
            highest > Some(height),
            "no block 1.5 s after the leader died",
        )?;
    }
    Ok(())
}
