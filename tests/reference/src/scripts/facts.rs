//! What the output of an interaction says about the nodes, whatever the wording.

use raft::eraftpb::ConfState;
use std::collections::{BTreeMap, BTreeSet};

/// What is known about a node; `None` where the output is silent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its role.
    pub role: Option<String>,
    /// Its term.
    pub term: Option<u64>,
    /// For whom it voted in this term; 0 for nobody.
    pub vote: Option<u64>,
    /// Its commit index.
    pub commit: Option<u64>,
    /// Its configuration.
    pub configuration: Option<String>,
}

impl Facts {
    /// What of these facts another node's do not say.
    #[must_use]
    pub fn missing_in(&self, other: &Self) -> Vec<String> {
        let mut missing = Vec::new();
        let mut compare = |name: &str, mine: Option<String>, theirs: Option<String>| {
            if mine.is_some() && mine != theirs {
                let (mine, theirs) = (mine.unwrap_or_default(), theirs.unwrap_or_default());
                missing.push(format!("{name} {mine} expected, {theirs} found"));
            }
        };
        let text = |number: Option<u64>| number.map(|number| number.to_string());
        compare("role", self.role.clone(), other.role.clone());
        compare("term", text(self.term), text(other.term));
        compare("vote", text(self.vote), text(other.vote));
        compare("commit", text(self.commit), text(other.commit));
        let configurations = (self.configuration.clone(), other.configuration.clone());
        compare("configuration", configurations.0, configurations.1);
        missing
    }
}

/// Facts by node id, the last of each kind; `alone` is the node that the output
/// is about where no header names one.
#[must_use]
pub fn parse(output: &str, alone: Option<u64>) -> BTreeMap<u64, Facts> {
    let mut all: BTreeMap<u64, Facts> = BTreeMap::new();
    let mut current = alone;
    for line in output.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [">", id, ..] => current = id.parse().ok(),
            ["HardState", rest @ ..] => {
                if let Some(id) = current {
                    hard_state(all.entry(id).or_default(), rest);
                }
            }
            ["INFO", id, "became", role, "at", "term", term] => {
                if let Ok(id) = id.parse() {
                    let facts = all.entry(id).or_default();
                    facts.role = Some((*role).to_owned());
                    facts.term = term.parse().ok();
                }
            }
            ["INFO", id, "switched", "to", "configuration", rest @ ..] => {
                if let Ok(id) = id.parse() {
                    let facts: &mut Facts = all.entry(id).or_default();
                    facts.configuration = Some(rest.join(" "));
                }
            }
            _ => {}
        }
    }
    all
}

fn hard_state(facts: &mut Facts, words: &[&str]) {
    // Zero values are left out.
    facts.vote = Some(0);
    facts.commit = Some(0);
    for word in words {
        let Some((key, value)) = word.split_once(':') else {
            continue;
        };
        let value = value.parse().ok();
        match key {
            "Term" => facts.term = value,
            "Vote" => facts.vote = value,
            "Commit" => facts.commit = value,
            _ => {}
        }
    }
}

/// A configuration as Go prints it, members in order.
#[must_use]
pub fn configuration(state: &ConfState) -> String {
    let list = |ids: &[u64]| {
        let sorted: BTreeSet<u64> = ids.iter().copied().collect();
        let words: Vec<String> = sorted.iter().map(u64::to_string).collect();
        format!("({})", words.join(" "))
    };
    let mut text = format!("voters={}", list(&state.voters));
    if !state.voters_outgoing.is_empty() {
        text += &format!("&&{}", list(&state.voters_outgoing));
    }
    if !state.learners.is_empty() {
        text += &format!(" learners={}", list(&state.learners));
    }
    if !state.learners_next.is_empty() {
        text += &format!(" learners_next={}", list(&state.learners_next));
    }
    if state.auto_leave {
        text += " autoleave";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_fact_of_a_kind_counts() {
        let output = "> 1 handling Ready\n  HardState Term:1 Vote:1 Commit:2\n  INFO 2 became follower at term 4\n> 2 handling Ready\n  HardState Term:5 Commit:3\nINFO 2 switched to configuration voters=(1 2)&&(1)";
        let facts = parse(output, None);
        let one = &facts[&1];
        assert_eq!(
            (one.term, one.vote, one.commit),
            (Some(1), Some(1), Some(2))
        );
        let two = &facts[&2];
        assert_eq!((two.term, two.vote), (Some(5), Some(0)));
        assert_eq!(two.role.as_deref(), Some("follower"));
        assert_eq!(two.configuration.as_deref(), Some("voters=(1 2)&&(1)"));
        assert_eq!(two.missing_in(two), Vec::<String>::new());
        assert_eq!(two.missing_in(one).len(), 5);
    }
}
