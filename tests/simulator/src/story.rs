//! A run told in lines for people.

use crate::world::{Event, Local};
use medina_consensus::{Input, qbft::messages::Message};
use medina_types::ConsensusEngine;
use std::collections::VecDeque;

/// Lines kept, the latest.
const LINES_MAX: usize = 4_000;

/// The latest lines of a run, if anybody listens.
#[derive(Debug, Default)]
pub(crate) struct Story {
    lines: Option<VecDeque<String>>,
}

impl Story {
    pub(crate) fn untold() -> Self {
        Self::default()
    }

    pub(crate) fn told() -> Self {
        Self {
            lines: Some(VecDeque::new()),
        }
    }

    pub(crate) fn is_told(&self) -> bool {
        self.lines.is_some()
    }

    pub(crate) fn add(&mut self, at_ms: u64, line: String) {
        if let Some(lines) = self.lines.as_mut().filter(|_| !line.is_empty()) {
            if lines.len() >= LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(format!("{at_ms:>6} ms  {line}"));
        }
    }

    pub(crate) fn take(&mut self) -> Vec<String> {
        self.lines.take().map(Vec::from).unwrap_or_default()
    }
}

/// One event as a line; empty for what says nothing.
pub(crate) fn tell(engine: ConsensusEngine, event: &Event) -> String {
    match event {
        Event::Deliver { to, from, bytes } => {
            let what = match engine {
                ConsensusEngine::Qbft => describe(bytes),
                ConsensusEngine::Raft => format!("{} bytes, kind {:?}", bytes.len(), bytes.get(1)),
            };
            format!("{from} -> {to}: {what}")
        }
        Event::ToProcess { node, what, .. } => match what {
            Local::Timer { timer, .. } => format!("node {node}: {timer:?} timer"),
            Local::Tell(Input::BlockBuilt { round, block, .. }) => match block {
                Some(block) => format!(
                    "node {node} built {}/{round} {:.8}",
                    block.height(),
                    block.hash()
                ),
                None => format!("node {node} built nothing for round {round}"),
            },
            Local::Tell(_)
            | Local::Work
            | Local::Flush
            | Local::Build { .. }
            | Local::Decided { .. } => String::new(),
            Local::Check {
                block,
                fresh,
                is_decided,
            } => format!(
                "node {node} checked {} {:.8}{}{}",
                block.height(),
                block.hash(),
                if *fresh { ", fresh" } else { "" },
                if *is_decided { ", decided" } else { "" }
            ),
            Local::Import { from, blocks } => {
                format!("node {node} got {} blocks of node {from}", blocks.len())
            }
            Local::DiskDone { number } => format!("node {node}: write {number} is on disk"),
        },
        Event::HeadAnnounced { to, from, height } => {
            format!("{to} hears that {from} has block {height}")
        }
        Event::Served { .. } => String::new(),
        Event::Connected { a, b } => format!("{a} and {b} are connected"),
        Event::Disconnected { gone, at } => format!("{at} loses its link to {gone}"),
        Event::Transaction { node, bit } => {
            format!("transaction {} reaches node {node}", bit.trailing_zeros())
        }
        Event::Fault(fault) => format!("FAULT {fault:?}"),
        Event::Restart { node } => format!("node {node} starts"),
        Event::PartitionEnds { number } => format!("partition {number} ends"),
        Event::Heal => "ALL FAULTS END".to_owned(),
    }
}

fn describe(bytes: &[u8]) -> String {
    let message = match Message::decode(bytes) {
        Ok(message) => message,
        Err(error) => return format!("garbage ({error})"),
    };
    let (height, round) = (message.height(), message.round());
    let what = match &message {
        Message::Proposal(proposal) => format!(
            "PROPOSAL of {:.8} with {} round changes{}",
            proposal.block.hash(),
            proposal.justification.round_changes.len(),
            match &proposal.justification.prepares {
                Some(prepares) => format!(", prepared in round {}", prepares.round),
                None => String::new(),
            }
        ),
        Message::Prepare(prepare) => format!("PREPARE {:.8}", prepare.digest),
        Message::Commit(commit) => format!("COMMIT {:.8}", commit.digest),
        Message::RoundChange(change) => match change.statement.prepared {
            Some(claim) => format!(
                "ROUND-CHANGE, prepared {:.8} in {}",
                claim.digest, claim.round
            ),
            None => "ROUND-CHANGE".to_owned(),
        },
        Message::Ahead { .. } => "AHEAD".to_owned(),
    };
    format!("{height}/{round} {what}")
}
