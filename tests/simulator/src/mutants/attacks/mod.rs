//! Attacks on one engine: each plays an adversary, or bad luck, that the engine
//! must withstand, and says what it did if it does not.
//!
//! Those on Raft, which need its inside, are the consensus crate's own trials.
//!
//! They are the harness's second detector, for what the made-up network shows
//! seldom or never. Without a mutant all of them are withstood.

mod justifications;
mod limits;
mod proposals;
mod restarts;
mod rounds;
mod votes;

use medina_consensus::raft::trials::{self, Trial};

/// What the engine did wrong, or nothing.
pub(super) type Verdict = Result<(), String>;

/// One attack.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// What the adversary does.
    pub name: &'static str,
    pub(super) play: fn() -> Verdict,
}

impl Attack {
    /// Plays it.
    ///
    /// # Errors
    /// What the engine did wrong.
    pub fn play(&self) -> Verdict {
        (self.play)()
    }
}

/// All attacks.
#[must_use]
pub fn all() -> Vec<Attack> {
    let parts = [
        votes::ATTACKS,
        proposals::ATTACKS,
        justifications::ATTACKS,
        rounds::ATTACKS,
        restarts::ATTACKS,
        limits::ATTACKS,
    ];
    let attack = |(name, play): &(&'static str, fn() -> Verdict)| Attack { name, play: *play };
    let trial = |trial: Trial| Attack {
        name: trial.name,
        play: trial.play,
    };
    let qbft = parts.into_iter().flatten().map(attack);
    qbft.chain(trials::all().into_iter().map(trial)).collect()
}

/// Attacks of one file: name and play.
pub(super) type Attacks = &'static [(&'static str, fn() -> Verdict)];

pub(super) fn must(holds: bool, otherwise: &str) -> Verdict {
    if holds {
        Ok(())
    } else {
        Err(otherwise.to_owned())
    }
}
