//! Messages that no correct member sends.

use super::{
    Trials, Verdict,
    cluster::{Cluster, GENESIS, Hashes, key},
    elections::{body, last, status, tell},
    must,
};
use crate::{
    Input, RaftRole, VoteCrypto,
    raft::{
        RaftMessage,
        membership::Group,
        messages::{LogEntry, RaftKind, Seal, SnapshotBody, SnapshotContent},
    },
};
use alloy_primitives::B256;
use medina_types::{Height, Round, commit_message};

pub(super) const TRIALS: Trials = &[
    ("message in another's name", other_name),
    ("heartbeat beyond the log", heartbeat_beyond),
    ("append with a gap", append_with_gap),
    ("acknowledgement of nothing", forged_ack),
    ("snapshot of another chain", other_chain),
    ("seal that nobody signed", forged_seal),
];

/// Node 0 as a follower of node 1, which is played.
fn follower() -> Cluster {
    let mut cluster = Cluster::started(3, &[0, 1, 2]);
    cluster.mint_until(2, 5_000);
    for other in [1, 2] {
        cluster.crash(other);
    }
    cluster.run_ms(1_500);
    let term = status(&cluster, 0).term + 1;
    let (index, log_term) = last(&cluster, 0);
    let mut append = body(RaftKind::Append, 1, term);
    (append.index, append.log_term, append.commit) = (index, log_term, index);
    tell(&mut cluster, 1, append);
    cluster
}

fn other_name() -> Verdict {
    let mut cluster = follower();
    let term = status(&cluster, 0).term;
    let mut vote = body(RaftKind::Vote, 2, term + 3);
    vote.is_transfer = true;
    tell(&mut cluster, 1, vote);
    let is_accused = !cluster.nodes[0].accused.is_empty();
    let is_same = status(&cluster, 0).term == term;
    must(is_accused && is_same, "takes a message in another's name")
}

/// Panics in the crate when it gets through.
fn heartbeat_beyond() -> Verdict {
    let mut cluster = follower();
    let mut beat = body(RaftKind::Heartbeat, 1, status(&cluster, 0).term);
    beat.commit = last(&cluster, 0).0 + 10;
    tell(&mut cluster, 1, beat);
    let committed = status(&cluster, 0).committed;
    must(committed <= last(&cluster, 0).0, "commits what it lacks")
}

fn append_with_gap() -> Verdict {
    let mut cluster = follower();
    let term = status(&cluster, 0).term;
    let (index, log_term) = last(&cluster, 0);
    let mut append = body(RaftKind::Append, 1, term);
    (append.index, append.log_term) = (index, log_term);
    append.entries.push(LogEntry {
        is_member_change: false,
        term,
        index: index + 5,
        data: Vec::new(),
        context: Vec::new(),
    });
    tell(&mut cluster, 1, append);
    let is_same = last(&cluster, 0) == (index, log_term);
    must(is_same, "takes entries that do not follow on its log")?;
    must(!cluster.nodes[0].accused.is_empty(), "lets it pass")
}

fn forged_ack() -> Verdict {
    let mut cluster = Cluster::started(3, &[0, 1, 2]);
    for _ in 0..20 {
        if cluster.leader() == Some(0) {
            break;
        }
        if let Some(leader) = cluster.leader() {
            cluster.restart(leader);
        }
        cluster.run_ms(2_000);
    }
    must(cluster.role(0) == RaftRole::Leader, "is not elected")?;
    let mut ack = body(RaftKind::AppendResponse, 1, status(&cluster, 0).term);
    ack.index = last(&cluster, 0).0 + 100;
    tell(&mut cluster, 1, ack);
    let is_accused = !cluster.nodes[0].accused.is_empty();
    must(
        is_accused,
        "takes an acknowledgement of what was never sent",
    )
}

fn other_chain() -> Verdict {
    let mut cluster = follower();
    let term = status(&cluster, 0).term;
    let (index, _) = last(&cluster, 0);
    let voters = (0..3).map(|it| (key(it), 0));
    let height = Height(cluster.height(0));
    let content = SnapshotContent::new(height, B256::repeat_byte(0xee), Group::of(voters));
    let mut message = body(RaftKind::Snapshot, 1, term);
    message.snapshot = Some(SnapshotBody {
        index: index + 10,
        term,
        content,
    });
    tell(&mut cluster, 1, message);
    let is_same = last(&cluster, 0).0 == index;
    must(is_same, "takes a snapshot of another chain")?;
    must(!cluster.nodes[0].accused.is_empty(), "lets it pass")
}

/// Nobody's seals arrive but a forged one. The cluster checks every certificate
/// that the node makes.
fn forged_seal() -> Verdict {
    let mut cluster = Cluster::started(3, &[0, 1, 2]);
    cluster.is_losing_seals = true;
    cluster.mint_until(2, 5_000);
    let block = cluster.nodes[0].chain.last().expect("genesis");
    let (height, hash) = (block.height(), block.hash());
    let message = commit_message(GENESIS, height, Round(9), hash);
    for other in [1, 2] {
        let forged = Hashes(key(other)).sign(&message);
        let bytes = RaftMessage::Seal(Seal::new(height, hash, forged, false)).encode();
        let from = key(other);
        cluster.handle(0, Input::MessageReceived { from, bytes });
    }
    must(
        cluster.nodes[0].accused.len() == 2,
        "lets forged seals pass",
    )
}
