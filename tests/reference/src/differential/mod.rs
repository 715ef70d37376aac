//! The engine against the specification, on random pairs of a state and a
//! message.
//!
//! A run is a validator of 1 to 7 (now and then a follower) at up to three
//! heights. Random messages, valid or with one to three mistakes, bring it from
//! state to state; each is one pair. Between them come timers, answers about
//! blocks, work, lost links, and restarts from the consensus record. After each
//! event engine and checker must have done the same: taken or ignored the
//! message, said the same (kind, round, block, justification), asked for the
//! same checks and blocks, be in the same round, have the same timer running,
//! have decided the same with the same seals. What the engine says must be valid
//! by the specification. It may accuse a peer only of a signature that does not
//! verify, and must when nothing else is wrong.
//!
//! The wrong taking of a vote shows when a quorum is reached early, so runs are
//! long enough to reach quorums, and [`compare`] can be told to make the checker
//! err: that must be noticed.

pub mod adapter;
pub mod draft;
pub mod generate;
pub mod run;
pub mod world;

pub use run::{Difference, Tally};
pub use world::Scheme;

use crate::spec::Perturbation;
use std::{
    num::NonZero,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

/// One run of so many uses real signatures.
const ED25519_EVERY: u64 = 100;

/// Compares until `pairs` pairs are done, on all cores.
///
/// # Errors
/// A [`Difference`]; of several at once the one of the lowest seed.
pub fn compare(
    pairs: u64,
    first_seed: u64,
    perturbation: Option<Perturbation>,
) -> Result<Tally, Box<Difference>> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let (done, next_seed) = (AtomicU64::new(0), AtomicU64::new(first_seed));
    let is_over = AtomicBool::new(false);
    let work = || {
        let mut tally = Tally::default();
        while done.load(Ordering::Relaxed) < pairs && !is_over.load(Ordering::Relaxed) {
            let seed = next_seed.fetch_add(1, Ordering::Relaxed);
            let scheme = match seed % ED25519_EVERY {
                0 => Scheme::Ed25519,
                _ => Scheme::Hash,
            };
            match run::run(seed, scheme, perturbation) {
                Ok(one) => {
                    done.fetch_add(one.pairs, Ordering::Relaxed);
                    tally.add(&one);
                }
                Err(difference) => {
                    is_over.store(true, Ordering::Relaxed);
                    return Err(difference);
                }
            }
        }
        Ok(tally)
    };
    let results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|result| result.expect("a run does not panic"))
            .collect()
    });
    let mut total = Tally::default();
    let mut first: Option<Box<Difference>> = None;
    for result in results {
        match result {
            Ok(tally) => total.add(&tally),
            Err(difference) if first.as_ref().is_none_or(|one| one.seed > difference.seed) => {
                first = Some(difference);
            }
            Err(_) => {}
        }
    }
    first.map_or(Ok(total), Err)
}
