//! Interaction scripts on `RawNode`: nodes in memory, messages in one queue,
//! commands that make them run.
//!
//! The `raft` crate is an older port of the Go original. It counts a candidate's
//! own vote at once, where Go now waits until it is stored; so a node may be one
//! step ahead in the middle of a script. Facts are compared where things have
//! settled, and where the command itself asks for a state or a log.

use super::{
    Outcome, Results,
    confchange::parse_changes,
    datadriven::Command,
    facts::{self, Facts, configuration},
};
use raft::{
    Config, GetEntriesContext, RawNode, StateRole, Storage,
    eraftpb::{
        ConfChange, ConfChangeTransition, ConfChangeV2, ConfState, Entry, EntryType, Message,
        MessageType, Snapshot,
    },
    storage::MemStorage,
};
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Ready calls of one `stabilize`: more means that nodes never settle.
const STEPS_MAX: usize = 10_000;

/// Why a script cannot be run from some command on.
const UNSUPPORTED: [(&str, &str); 6] = [
    ("async-storage-writes", "no asynchronous storage writes"),
    (
        "step-down-on-removal",
        "a removed leader does not step down",
    ),
    (
        "disable-conf-change-validation",
        "configuration changes are always validated",
    ),
    (
        "max-committed-size-per-ready",
        "no limit of committed bytes per Ready",
    ),
    ("read-only", "forget-leader scripts need forget-leader"),
    ("forget-leader", "no forget-leader"),
];

struct Node {
    raw: RawNode<MemStorage>,
}

#[derive(Default)]
struct Group {
    nodes: BTreeMap<u64, Node>,
    messages: Vec<Message>,
}

type Run = Result<(), String>;

/// Runs a script on a group of nodes.
pub fn run(commands: &[Command], results: &mut Results) {
    let mut group = Group::default();
    let mut stopped: Option<String> = None;
    for command in commands {
        if stopped.is_none() {
            stopped = unsupported(command);
        }
        let outcome = match &stopped {
            Some(why) => Outcome::Skipped(why.clone()),
            // The crate asserts what it believes of itself; a script may prove it wrong.
            None => catch_unwind(AssertUnwindSafe(|| group.command(command)))
                .unwrap_or_else(|_| Outcome::Failed("the raft crate panics".into())),
        };
        if matches!(outcome, Outcome::Failed(_)) {
            stopped = Some("an earlier command failed".into());
        }
        results.note(command.line, outcome);
    }
}

fn unsupported(command: &Command) -> Option<String> {
    let mut known = UNSUPPORTED.iter();
    let found = known.find(|(what, _)| {
        command.name == *what || command.values(what).is_some_and(|on| on != ["false"])
    });
    found.map(|(_, why)| format!("the raft crate lacks it: {why}"))
}

fn config(command: &Command, id: u64) -> Config {
    let number = |key| command.value(key).and_then(|value| value.parse().ok());
    let is_on = |key| command.value(key) == Some("true");
    Config {
        id,
        election_tick: 3,
        heartbeat_tick: 1,
        applied: number("index").unwrap_or(0),
        max_size_per_msg: u64::MAX,
        max_inflight_msgs: command
            .value("inflight")
            .and_then(|value| value.parse().ok())
            .unwrap_or(256),
        check_quorum: is_on("checkquorum"),
        pre_vote: is_on("prevote"),
        max_committed_size_per_ready: u64::MAX,
        ..Config::default()
    }
}

fn ids(command: &Command, key: &str) -> Vec<u64> {
    let values = command.values(key).unwrap_or_default();
    values
        .iter()
        .filter_map(|value| value.parse().ok())
        .collect()
}

impl Group {
    fn command(&mut self, command: &Command) -> Outcome {
        let first = command.ids().first().copied();
        let done = match command.name.as_str() {
            "log-level" => Ok(()),
            "add-nodes" => self.add_nodes(command),
            "stabilize" => self.stabilize(&command.ids()),
            "deliver-msgs" => self.deliver(command),
            "process-ready" => command
                .ids()
                .iter()
                .try_for_each(|id| self.process_ready(*id)),
            "raft-log" | "compact" | "raft-state" | "status" => self.prepare_question(command),
            name => match first {
                Some(id) => self.on_node(name, id, command),
                None => self.on_group(command),
            },
        };
        match done {
            Ok(()) => self.compare(command, first),
            Err(why) if command.expected.contains(&why) => Outcome::Passed,
            Err(why) if why.starts_with("no command") => Outcome::Skipped(why),
            Err(why) => Outcome::Failed(why),
        }
    }

    fn node(&mut self, id: u64) -> Result<&mut Node, String> {
        self.nodes.get_mut(&id).ok_or(format!("no node {id}"))
    }

    fn add_nodes(&mut self, command: &Command) -> Run {
        let count = command.ids().first().copied().unwrap_or(0);
        for _ in 0..count {
            let id = self.nodes.len() as u64 + 1;
            let config = config(command, id);
            let storage = MemStorage::new();
            if config.applied > 0 {
                let mut snapshot = Snapshot::default();
                let metadata = snapshot.mut_metadata();
                metadata.index = config.applied;
                metadata.term = 1;
                let state: ConfState = (ids(command, "voters"), ids(command, "learners")).into();
                metadata.set_conf_state(state);
                let applied = storage.wl().apply_snapshot(snapshot);
                applied.map_err(|error| error.to_string())?;
                // Go starts at term 0 with a log that ends at term 1.
                storage.wl().mut_hard_state().term = 0;
            }
            let logger = slog::Logger::root(slog::Discard, slog::o!());
            let raw = RawNode::new(&config, storage, &logger);
            let raw = raw.map_err(|error| error.to_string())?;
            self.nodes.insert(id, Node { raw });
        }
        Ok(())
    }

    fn on_node(&mut self, name: &str, id: u64, command: &Command) -> Run {
        let second = command.arguments.get(1).map(|(key, _)| key.clone());
        let number = || second.as_deref().and_then(|text| text.parse().ok());
        let done = match name {
            "campaign" => self.node(id)?.raw.campaign(),
            "propose" => {
                let data = second.clone().unwrap_or_default().into_bytes();
                self.node(id)?.raw.propose(Vec::new(), data)
            }
            "propose-conf-change" => return self.propose_change(id, command),
            "tick-heartbeat" | "tick-election" => {
                let ticks = if name == "tick-election" { 3 } else { 1 };
                for _ in 0..ticks {
                    self.node(id)?.raw.tick();
                }
                Ok(())
            }
            "set-randomized-election-timeout" => {
                let timeout = command.value("timeout").and_then(|text| text.parse().ok());
                let timeout = timeout.ok_or("no timeout")?;
                self.node(id)?
                    .raw
                    .raft
                    .set_randomized_election_timeout(timeout);
                Ok(())
            }
            "report-unreachable" => {
                let other = number().ok_or("no second node")?;
                self.node(id)?.raw.report_unreachable(other);
                Ok(())
            }
            "send-snapshot" => return self.send_snapshot(id, number().ok_or("no second node")?),
            other => return Err(format!("no command {other}")),
        };
        done.map_err(|error| match error {
            raft::Error::ProposalDropped => "raft proposal dropped".to_owned(),
            other => other.to_string(),
        })
    }

    fn on_group(&mut self, command: &Command) -> Run {
        match (
            command.name.as_str(),
            ids(command, "from"),
            ids(command, "to"),
        ) {
            ("transfer-leadership", from, to) => {
                let (from, to) = (from.first().ok_or("no from")?, to.first().ok_or("no to")?);
                self.node(*from)?.raw.transfer_leader(*to);
                Ok(())
            }
            (other, ..) => Err(format!("no command {other}")),
        }
    }

    fn send_snapshot(&mut self, from: u64, to: u64) -> Run {
        let node = self.node(from)?;
        let snapshot = node.raw.store().snapshot(0, to);
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgSnapshot);
        message.from = from;
        message.to = to;
        message.term = node.raw.raft.term;
        message.set_snapshot(snapshot.map_err(|error| error.to_string())?);
        self.messages.push(message);
        Ok(())
    }

    /// The change travels as text in the entry's context.
    fn propose_change(&mut self, id: u64, command: &Command) -> Run {
        let changes = parse_changes(&command.input)?;
        let is_first_version = command.value("v1") == Some("true");
        let kind = if is_first_version {
            "one"
        } else {
            command.value("transition").unwrap_or("auto")
        };
        let context = format!("{kind}|{}", command.input.trim()).into_bytes();
        let node = self.node(id)?;
        let done = match decode_change(&context)? {
            Change::One(change) => node.raw.propose_conf_change(context, change),
            Change::Many(change) => node.raw.propose_conf_change(context, change),
        };
        debug_assert!(!is_first_version || changes.len() == 1);
        done.map_err(|error| error.to_string())
    }

    fn deliver(&mut self, command: &Command) -> Run {
        let kind = command.value("type");
        for id in command.ids() {
            self.deliver_to(id, kind, false)?;
        }
        for id in ids(command, "drop") {
            self.deliver_to(id, kind, true)?;
        }
        Ok(())
    }

    fn deliver_to(
        &mut self,
        id: u64,
        kind: Option<&str>,
        is_dropped: bool,
    ) -> Result<bool, String> {
        let is_wanted = |message: &Message| {
            let name = match message.get_msg_type() {
                MessageType::MsgAppend => "MsgApp",
                MessageType::MsgAppendResponse => "MsgAppResp",
                MessageType::MsgHeartbeat => "MsgHeartbeat",
                MessageType::MsgHeartbeatResponse => "MsgHeartbeatResp",
                MessageType::MsgRequestVote => "MsgVote",
                MessageType::MsgRequestVoteResponse => "MsgVoteResp",
                MessageType::MsgSnapshot => "MsgSnap",
                _ => "",
            };
            message.to == id && kind.is_none_or(|kind| kind == name)
        };
        let all = std::mem::take(&mut self.messages);
        let (mine, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(is_wanted);
        self.messages = rest;
        let is_any = !mine.is_empty();
        if !is_dropped {
            for message in mine {
                // A message that the node refuses is as good as lost.
                let _refused = self.node(id)?.raw.step(message);
            }
        }
        Ok(is_any)
    }

    fn stabilize(&mut self, ids: &[u64]) -> Run {
        let ids: Vec<u64> = if ids.is_empty() {
            self.nodes.keys().copied().collect()
        } else {
            ids.to_vec()
        };
        for _ in 0..STEPS_MAX {
            let mut is_busy = false;
            for id in &ids {
                if self.node(*id)?.raw.has_ready() {
                    self.process_ready(*id)?;
                    is_busy = true;
                }
            }
            for id in &ids {
                is_busy |= self.deliver_to(*id, None, false)?;
            }
            if !is_busy {
                return Ok(());
            }
        }
        Err("never settles".into())
    }

    fn process_ready(&mut self, id: u64) -> Run {
        let node = self.nodes.get_mut(&id).ok_or(format!("no node {id}"))?;
        if !node.raw.has_ready() {
            return Ok(());
        }
        let raw = &mut node.raw;
        let mut ready = raw.ready();
        self.messages.extend(ready.take_messages());
        let store = raw.store().clone();
        let failed = |error: raft::Error| error.to_string();
        if !ready.snapshot().is_empty() {
            let snapshot = ready.snapshot().clone();
            store.wl().apply_snapshot(snapshot).map_err(failed)?;
        }
        store.wl().append(ready.entries()).map_err(failed)?;
        if let Some(state) = ready.hs() {
            store.wl().set_hardstate(state.clone());
        }
        let committed = ready.take_committed_entries();
        self.messages.extend(ready.take_persisted_messages());
        apply(raw, &store, committed)?;
        let mut light = raw.advance(ready);
        if let Some(commit) = light.commit_index() {
            store.wl().mut_hard_state().commit = commit;
        }
        self.messages.extend(light.take_messages());
        apply(raw, &store, light.take_committed_entries())?;
        raw.advance_apply();
        Ok(())
    }

    fn prepare_question(&mut self, command: &Command) -> Run {
        if command.name != "compact" {
            return Ok(());
        }
        let mut ids = command.ids().into_iter();
        let (id, index) = (ids.next().unwrap_or(0), ids.next().unwrap_or(0));
        let store = self.node(id)?.raw.store().clone();
        let failed = |error: raft::Error| error.to_string();
        if index < store.last_index().map_err(failed)? {
            // Go names the last index that goes, the crate the first that stays.
            return store.wl().compact(index + 1).map_err(failed);
        }
        // The crate's store cannot tell an empty log from one that never was.
        let snapshot = store.snapshot(index, id).map_err(failed)?;
        store.wl().apply_snapshot(snapshot).map_err(failed)
    }

    fn compare(&mut self, command: &Command, first: Option<u64>) -> Outcome {
        let got = match (command.name.as_str(), first) {
            ("raft-log" | "compact", Some(id)) => self.log(id),
            ("status", Some(id)) => self.progress(id, &command.expected),
            ("raft-state", _) => Ok(self.states()),
            ("stabilize", _) => return self.compare_facts(command, first),
            _ => return Outcome::Passed,
        };
        let expected: Vec<&str> = command.expected.lines().map(str::trim).collect();
        let is_told = command.expected != "ok";
        match got {
            Ok(got) if got == expected || !is_told => Outcome::Passed,
            Ok(got) => Outcome::Failed(format!("{expected:#?} expected, {got:#?} found")),
            Err(why) => Outcome::Failed(why),
        }
    }

    /// What the output says of nodes that have settled.
    fn compare_facts(&mut self, command: &Command, first: Option<u64>) -> Outcome {
        let mut wrong = Vec::new();
        for (id, expected) in facts::parse(&command.expected, first) {
            let Some(node) = self.nodes.get(&id) else {
                return Outcome::Failed(format!("no node {id}"));
            };
            for what in expected.missing_in(&node.facts()) {
                wrong.push(format!("node {id}: {what}"));
            }
        }
        if wrong.is_empty() {
            Outcome::Passed
        } else {
            Outcome::Failed(wrong.join("; "))
        }
    }

    fn log(&mut self, id: u64) -> Result<Vec<String>, String> {
        let store = self.node(id)?.raw.store().clone();
        let failed = |error: raft::Error| error.to_string();
        let first = store.first_index().map_err(failed)?;
        let last = store.last_index().map_err(failed)?;
        if last < first {
            let text = format!("log is empty: first index={first}, last index={last}");
            return Ok(vec![text]);
        }
        let context = GetEntriesContext::empty(false);
        let entries = store
            .entries(first, last + 1, None, context)
            .map_err(failed)?;
        Ok(entries.iter().map(describe).collect())
    }

    fn states(&self) -> Vec<String> {
        let describe = |(id, node): (&u64, &Node)| {
            let raft = &node.raw.raft;
            let is_voter = raft.prs().conf().voters().contains(*id);
            let voter = if is_voter { "Voter" } else { "Non-Voter" };
            let (role, term, leader) = (role(raft.state), raft.term, raft.leader_id);
            format!("{id}: State{role} ({voter}) Term:{term} Lead:{leader}")
        };
        self.nodes.iter().map(describe).collect()
    }

    /// A leader's view of the others: state and matched index. What else Go
    /// prints (next index, flags) depends on how eagerly it sends.
    fn progress(&mut self, id: u64, expected: &str) -> Result<Vec<String>, String> {
        let raft = &self.node(id)?.raw.raft;
        let mut all: Vec<_> = raft.prs().iter().collect();
        all.sort_by_key(|(id, _)| **id);
        let lines = expected.lines().map(str::trim);
        let mut described = Vec::new();
        let mut lines = lines.fuse();
        for (id, progress) in all {
            let text = format!("{id}: {} match={}", progress.state, progress.matched);
            let line = lines.next().unwrap_or_default();
            let is_same = line == text || line.starts_with(&format!("{text} "));
            described.push(if is_same { line.to_owned() } else { text });
        }
        Ok(described)
    }
}

impl Node {
    fn facts(&self) -> Facts {
        let raft = &self.raw.raft;
        let role = match raft.state {
            StateRole::Follower => "follower",
            StateRole::Candidate => "candidate",
            StateRole::PreCandidate => "pre-candidate",
            StateRole::Leader => "leader",
        };
        Facts {
            role: Some(role.to_owned()),
            term: Some(raft.term),
            vote: Some(raft.vote),
            commit: Some(raft.raft_log.committed),
            configuration: Some(configuration(&raft.prs().conf().to_conf_state())),
        }
    }
}

fn role(state: StateRole) -> &'static str {
    match state {
        StateRole::Follower => "Follower",
        StateRole::Candidate => "Candidate",
        StateRole::PreCandidate => "PreCandidate",
        StateRole::Leader => "Leader",
    }
}

enum Change {
    One(ConfChange),
    Many(ConfChangeV2),
}

fn decode_change(context: &[u8]) -> Result<Change, String> {
    let text = String::from_utf8_lossy(context);
    let (kind, changes) = text.split_once('|').unwrap_or(("auto", ""));
    let changes = parse_changes(changes)?;
    if kind == "one" {
        let single = changes.first().ok_or("no change")?;
        return Ok(Change::One(ConfChange {
            change_type: single.change_type,
            node_id: single.node_id,
            ..ConfChange::default()
        }));
    }
    let mut change = ConfChangeV2::default();
    change.set_changes(changes.into());
    change.set_transition(match kind {
        "implicit" => ConfChangeTransition::Implicit,
        "explicit" => ConfChangeTransition::Explicit,
        _ => ConfChangeTransition::Auto,
    });
    Ok(Change::Many(change))
}

fn apply(raw: &mut RawNode<MemStorage>, store: &MemStorage, entries: Vec<Entry>) -> Run {
    for entry in entries {
        let is_change = entry.get_entry_type() != EntryType::EntryNormal;
        if is_change {
            let applied = match decode_change(entry.get_context())? {
                Change::One(change) => raw.apply_conf_change(&change),
                Change::Many(change) => raw.apply_conf_change(&change),
            };
            let state = applied.map_err(|error| error.to_string())?;
            store.wl().set_conf_state(state);
        }
    }
    Ok(())
}

fn describe(entry: &Entry) -> String {
    let (term, index) = (entry.term, entry.index);
    let context = String::from_utf8_lossy(entry.get_context()).into_owned();
    let changes = context.split_once('|').map_or("", |(_, changes)| changes);
    let text = match entry.get_entry_type() {
        EntryType::EntryNormal => {
            let data = String::from_utf8_lossy(entry.get_data()).into_owned();
            format!("{term}/{index} EntryNormal {data:?}")
        }
        EntryType::EntryConfChange => format!("{term}/{index} EntryConfChange {changes}"),
        EntryType::EntryConfChangeV2 => format!("{term}/{index} EntryConfChangeV2 {changes}"),
    };
    text.trim().to_owned()
}
