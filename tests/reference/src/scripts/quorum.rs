//! Quorum scripts: what is committed, who has won. Only the result is compared;
//! the tables are drawings of it.

use super::{Outcome, datadriven::Command};
use raft::{
    Changer, ProgressTracker,
    eraftpb::{ConfChangeSingle, ConfChangeType},
};

fn change(kind: ConfChangeType, id: u64) -> ConfChangeSingle {
    ConfChangeSingle {
        change_type: kind,
        node_id: id,
        ..ConfChangeSingle::default()
    }
}

/// A tracker with these voters, joint when there are two groups. The majorities
/// may be swapped, which changes no result.
fn tracker(first: &[u64], second: &[u64]) -> Result<ProgressTracker, String> {
    let (incoming, outgoing) = if first.is_empty() {
        (second, first)
    } else {
        (first, second)
    };
    let start = if outgoing.is_empty() {
        incoming
    } else {
        outgoing
    };
    let mut tracker = ProgressTracker::new(10);
    for id in start {
        let added = [change(ConfChangeType::AddNode, *id)];
        let result = Changer::new(&tracker).simple(&added);
        let (conf, changes) = result.map_err(|error| error.to_string())?;
        tracker.apply_conf(conf, changes, 1);
    }
    if !outgoing.is_empty() {
        let added = incoming.iter().filter(|id| !outgoing.contains(id));
        let removed = outgoing.iter().filter(|id| !incoming.contains(id));
        let added = added.map(|id| change(ConfChangeType::AddNode, *id));
        let removed = removed.map(|id| change(ConfChangeType::RemoveNode, *id));
        let changes: Vec<_> = added.chain(removed).collect();
        let result = Changer::new(&tracker).enter_joint(false, &changes);
        let (conf, changes) = result.map_err(|error| error.to_string())?;
        tracker.apply_conf(conf, changes, 1);
    }
    Ok(tracker)
}

fn numbers(command: &Command, key: &str) -> Vec<u64> {
    let values = command.values(key).unwrap_or_default();
    values
        .iter()
        .filter_map(|value| value.parse().ok())
        .collect()
}

/// Runs one command.
#[must_use]
pub fn run(command: &Command) -> Outcome {
    let (first, second) = (numbers(command, "cfg"), numbers(command, "cfgj"));
    let mut voters = first.clone();
    voters.extend(second.iter().filter(|id| !first.contains(id)));
    let is_vote = command.name == "vote";
    let given = command.values(if is_vote { "votes" } else { "idx" });
    let given = given.unwrap_or_default();
    let expected = command.expected.lines().last().unwrap_or_default().trim();
    let expected = expected.trim_start_matches("<empty majority quorum>");
    if given.len() != voters.len() {
        let is_expected = expected.starts_with("error: mismatched input");
        return if is_expected {
            Outcome::Passed
        } else {
            Outcome::Failed("as many values as voters expected".into())
        };
    }
    let mut tracker = match tracker(&first, &second) {
        Ok(tracker) => tracker,
        Err(why) => return Outcome::Skipped(why),
    };
    let groups = command.values("gid").unwrap_or_default();
    for (place, (id, value)) in voters.iter().zip(given).enumerate() {
        match value.as_str() {
            "_" => {}
            "y" | "n" => tracker.record_vote(*id, value == "y"),
            _ => {
                if let (Some(progress), Ok(index)) = (tracker.get_mut(*id), value.parse()) {
                    progress.matched = index;
                }
            }
        }
        let group = groups.get(place).and_then(|group| group.parse().ok());
        if let (Some(progress), Some(group)) = (tracker.get_mut(*id), group) {
            progress.commit_group_id = group;
        }
    }
    let got = match command.name.as_str() {
        "vote" => tracker.tally_votes().2.to_string(),
        "committed" | "group_committed" => {
            tracker.enable_group_commit(command.name == "group_committed");
            match tracker.maximal_committed_index().0 {
                u64::MAX => "∞".into(),
                index => index.to_string(),
            }
        }
        other => return Outcome::Skipped(format!("no command {other}")),
    };
    if got == expected {
        Outcome::Passed
    } else {
        Outcome::Failed(format!("{expected} expected, {got} found"))
    }
}
