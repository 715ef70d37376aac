//! Bytes and messages from peers that do not follow the rules.

use crate::raft::trials::cluster::{Cluster, key, raft_bytes};
use crate::{
    Input,
    raft::{
        RaftMessage,
        membership::{Group, raft_id},
        messages::{LogEntry, RaftBody, RaftKind, SnapshotBody, SnapshotContent},
    },
};
use alloy_primitives::B256;
use medina_types::Height;
use proptest::prelude::*;

const KINDS: [RaftKind; 10] = [
    RaftKind::Append,
    RaftKind::AppendResponse,
    RaftKind::Vote,
    RaftKind::VoteResponse,
    RaftKind::PreVote,
    RaftKind::PreVoteResponse,
    RaftKind::Heartbeat,
    RaftKind::HeartbeatResponse,
    RaftKind::Snapshot,
    RaftKind::TimeoutNow,
];

/// Mostly small numbers near the log's, sometimes any.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0_u64..12, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

fn entry() -> impl Strategy<Value = LogEntry> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..8);
    (any::<bool>(), number(), number(), bytes(), bytes()).prop_map(
        |(is_member_change, term, index, data, context)| LogEntry {
            is_member_change,
            term,
            index,
            data,
            context,
        },
    )
}

fn snapshot() -> impl Strategy<Value = SnapshotBody> {
    (number(), number(), number(), 0_usize..5).prop_map(|(index, term, height, count)| {
        let voters = (0..count).map(|it| (key(it), 0));
        let content = SnapshotContent::new(Height(height), B256::ZERO, Group::of(voters));
        SnapshotBody {
            index,
            term,
            content,
        }
    })
}

fn body() -> impl Strategy<Value = RaftBody> {
    let numbers = (
        number(),
        number(),
        number(),
        number(),
        number(),
        number(),
        any::<bool>(),
        any::<bool>(),
    );
    let entries = proptest::collection::vec(entry(), 0..4);
    let snapshot = proptest::option::of(snapshot());
    (0..KINDS.len(), numbers, entries, snapshot, any::<bool>()).prop_map(
        |(kind, numbers, mut entries, snapshot, in_order)| {
            let (term, log_term, index, commit, commit_term, reject_hint, reject, is_transfer) =
                numbers;
            if in_order {
                for (at, entry) in entries.iter_mut().enumerate() {
                    entry.index = index.saturating_add(at as u64 + 1);
                    entry.term = term;
                }
            }
            let kind = KINDS[kind];
            RaftBody {
                kind,
                to: raft_id(&key(0), 0),
                from: raft_id(&key(1), 0),
                term,
                log_term,
                index,
                commit,
                commit_term,
                reject,
                reject_hint,
                is_transfer,
                entries: match kind {
                    RaftKind::Append => entries,
                    _ if in_order => Vec::new(),
                    _ => entries,
                },
                snapshot: match kind {
                    RaftKind::Snapshot => snapshot,
                    _ if in_order => None,
                    _ => snapshot,
                },
            }
        },
    )
}

/// Node 0 alone with the liars; as leader or as follower.
fn victim(leads: bool) -> Cluster {
    let mut cluster = Cluster::started(3, &[0, 1, 2]);
    cluster.mint_until(2, 5_000);
    for _ in 0..20 {
        if (cluster.leader() == Some(0)) == leads {
            break;
        }
        let leader = cluster.leader().unwrap();
        cluster.restart(leader);
        cluster.run_ms(2_000);
    }
    cluster.isolated.extend([1, 2]);
    cluster
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), first in 0_u8..8) {
        let mut cluster = Cluster::started(1, &[0]);
        let from = key(1);
        cluster.handle(0, Input::MessageReceived { from, bytes: bytes.clone() });
        let bytes = [vec![1, first], bytes].concat();
        cluster.handle(0, Input::MessageReceived { from, bytes });
    }

    #[test]
    fn messages_never_panic(
        bodies in proptest::collection::vec(body(), 1..40),
        leads: bool,
        current: bool,
    ) {
        let mut cluster = victim(leads);
        for mut body in bodies {
            let engine = cluster.nodes[0].engine.as_ref().unwrap();
            let raft = &engine.node.as_ref().unwrap().raft;
            if current {
                body.term = raft.term + body.term % 2;
                if body.index > 0 {
                    body.index = raft.raft_log.last_index().saturating_sub(body.index % 4);
                    body.log_term = raft.raft_log.term(body.index).unwrap_or(1);
                    for (at, entry) in body.entries.iter_mut().enumerate() {
                        entry.index = body.index + at as u64 + 1;
                        entry.term = body.term;
                    }
                }
            }
            let bytes = raft_bytes(body);
            let is_same = RaftMessage::decode(&bytes).unwrap().encode() == bytes;
            prop_assert!(is_same);
            cluster.handle(0, Input::MessageReceived { from: key(1), bytes });
            cluster.run_ms(60);
        }
        cluster.run_ms(2_000);
    }
}

#[test]
fn message_under_another_id_is_misbehaviour() {
    let mut cluster = Cluster::started(3, &[0, 1, 2]);
    let body = RaftBody {
        kind: RaftKind::Vote,
        to: raft_id(&key(0), 0),
        from: raft_id(&key(2), 0),
        term: 9,
        log_term: 9,
        index: 99,
        commit: 0,
        commit_term: 0,
        reject: false,
        reject_hint: 0,
        is_transfer: true,
        entries: Vec::new(),
        snapshot: None,
    };
    let bytes = raft_bytes(body);
    let from = key(1);
    cluster.handle(0, Input::MessageReceived { from, bytes });
    assert_eq!(cluster.nodes[0].accused.len(), 1);
}
