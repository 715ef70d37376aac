//! Trials of groups and single members: each plays a fault or a peer that breaks
//! the rules, and says what the engine did wrong.
//!
//! They prove that every one of Raft's deliberate defects is noticed, so they
//! exist in tests and with the feature `mutants` only. A rule of the group
//! itself that breaks (a fork, a certificate that does not verify) panics in
//! [`cluster`].

mod blocks;
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "the engine's own tests use more of it")
)]
pub(in crate::raft) mod cluster;
mod elections;
mod members;
mod messages;

/// What the engine did wrong, or nothing.
pub type Verdict = Result<(), String>;

/// One trial.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// What happens to the engine.
    pub name: &'static str,
    /// Plays it; a panic is a wrong as well.
    pub play: fn() -> Verdict,
}

type Trials = &'static [(&'static str, fn() -> Verdict)];

/// All of them.
#[must_use]
pub fn all() -> Vec<Trial> {
    let parts = [
        elections::TRIALS,
        messages::TRIALS,
        members::TRIALS,
        blocks::TRIALS,
    ];
    let trial = |(name, play): &(&'static str, fn() -> Verdict)| Trial { name, play: *play };
    parts.into_iter().flatten().map(trial).collect()
}

fn must(holds: bool, otherwise: &str) -> Verdict {
    if holds {
        Ok(())
    } else {
        Err(otherwise.to_owned())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn engine_withstands_every_trial() {
        for trial in super::all() {
            assert_eq!((trial.play)(), Ok(()), "{}", trial.name);
        }
    }
}
