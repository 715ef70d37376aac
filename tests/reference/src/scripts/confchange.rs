//! Configuration change scripts: which changes are allowed, what comes of them.

use super::{Outcome, Results, datadriven::Command, facts::configuration};
use raft::{
    Changer, ProgressTracker,
    eraftpb::{ConfChangeSingle, ConfChangeType},
};
use std::fmt::Write;

/// Reads changes such as `v1 l2 r3`.
///
/// # Errors
/// The word that is none.
pub fn parse_changes(text: &str) -> Result<Vec<ConfChangeSingle>, String> {
    let parse = |word: &str| {
        let kind = match word.chars().next() {
            Some('v') => ConfChangeType::AddNode,
            Some('l') => ConfChangeType::AddLearnerNode,
            Some('r') => ConfChangeType::RemoveNode,
            _ => return Err(format!("the raft crate has no change {word}")),
        };
        let id = word[1..].parse().map_err(|_| format!("no id in {word}"))?;
        Ok(ConfChangeSingle {
            change_type: kind,
            node_id: id,
            ..ConfChangeSingle::default()
        })
    };
    text.split_whitespace().map(parse).collect()
}

/// Runs a script: one tracker, changed by one command after another.
pub fn run(commands: &[Command], results: &mut Results) {
    let mut tracker = ProgressTracker::new(10);
    for (index, command) in commands.iter().enumerate() {
        let outcome = match parse_changes(&command.input) {
            Ok(changes) => apply(&mut tracker, command, &changes, index as u64),
            Err(why) => {
                // What can be changed is, so that the following commands fit.
                let words = command.input.split_whitespace();
                let known: Vec<&str> = words.filter(|word| !word.starts_with('u')).collect();
                let changes = parse_changes(&known.join(" ")).unwrap_or_default();
                let outcome = apply(&mut tracker, command, &changes, index as u64);
                if outcome == Outcome::Passed {
                    outcome
                } else {
                    Outcome::Skipped(why)
                }
            }
        };
        results.note(command.line, outcome);
    }
}

fn apply(
    tracker: &mut ProgressTracker,
    command: &Command,
    changes: &[ConfChangeSingle],
    index: u64,
) -> Outcome {
    let auto_leave = command.value("autoleave") == Some("true");
    let result = match command.name.as_str() {
        "simple" => Changer::new(tracker).simple(changes),
        "enter-joint" => Changer::new(tracker).enter_joint(auto_leave, changes),
        "leave-joint" => Changer::new(tracker).leave_joint(),
        other => return Outcome::Skipped(format!("no command {other}")),
    };
    let got = match result {
        Ok((conf, changed)) => {
            tracker.apply_conf(conf, changed, index);
            describe(tracker)
        }
        Err(error) => error.to_string(),
    };
    if normal(&got) == normal(&command.expected) {
        Outcome::Passed
    } else {
        Outcome::Failed(format!("{:?} expected, {got:?} found", command.expected))
    }
}

/// The Go original has come to start followers at index 1 instead of 0.
fn normal(text: &str) -> String {
    let lines = text.trim().lines().map(str::trim);
    let lines: Vec<_> = lines.map(|line| line.replace("next=0", "next=1")).collect();
    lines.join("\n")
}

fn describe(tracker: &ProgressTracker) -> String {
    let mut text = configuration(&tracker.conf().to_conf_state()) + "\n";
    let mut all: Vec<_> = tracker.iter().collect();
    all.sort_by_key(|(id, _)| **id);
    for (id, progress) in all {
        let (state, matched, next) = (progress.state, progress.matched, progress.next_idx);
        let learner = if tracker.conf().learners().contains(id) {
            " learner"
        } else {
            ""
        };
        writeln!(text, "{id}: {state} match={matched} next={next}{learner}")
            .expect("writing to a string cannot fail");
    }
    text
}
