//! The engine's alarm clocks: when they run, how long they take.
//!
//! Round 0 runs a timer only while there is something to decide, so an idle
//! chain runs none. Round r > 0 runs one only after a quorum asked for round r
//! or later, or its proposal came: without quorum rounds stand still, and an
//! outage of any length costs no more than the round it started in. While links
//! tell that the round is lost (`links`), its timer is cut short.

use crate::{
    Output, Timer,
    mutants::{Mutant, is_on},
};
use medina_types::{ConsensusParameters, Round};
use std::{collections::BTreeMap, time::Duration};

/// Share of the base timeout that a lost round may still take.
const LOST_ROUND_DIVISOR: u32 = 4;

/// Deadlines by timer. Remembered here so that a late or early alarm of the
/// caller is recognised.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    deadlines_ms: BTreeMap<Timer, u64>,
    round: Option<RoundClock>,
}

/// How long the current round may take.
#[derive(Clone, Copy, Debug)]
struct RoundClock {
    /// End of the round if nothing else happens.
    due_ms: u64,
    /// Since when it has been lost without a break.
    lost_since_ms: Option<u64>,
}

/// What an alarm means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// It is due.
    Due,
    /// It rang early; this order waits for the rest.
    Early(Duration),
    /// It was cancelled before.
    Stale,
}

impl Timers {
    /// Sets a timer unless it runs already.
    pub(crate) fn ensure(
        &mut self,
        timer: Timer,
        now_ms: u64,
        after: Duration,
        out: &mut Vec<Output>,
    ) {
        if !self.deadlines_ms.contains_key(&timer) {
            self.set(timer, now_ms, after, out);
        }
    }

    /// Sets a timer, moving it if it runs.
    pub(crate) fn set(
        &mut self,
        timer: Timer,
        now_ms: u64,
        after: Duration,
        out: &mut Vec<Output>,
    ) {
        self.deadlines_ms
            .insert(timer, now_ms.saturating_add(milliseconds(after)));
        out.push(Output::SetTimer { timer, after });
    }

    /// Runs the timer of a round: for `timeout` from the first call on. While
    /// the round is lost, it ends once that lasted for `grace`, counted not before
    /// `grace_from_ms`. A round that is lost no more has its whole time again.
    pub(crate) fn run_round(
        &mut self,
        now_ms: u64,
        timeout: Duration,
        is_lost: bool,
        (grace_from_ms, grace): (u64, Duration),
        out: &mut Vec<Output>,
    ) {
        let round = self.round.get_or_insert(RoundClock {
            due_ms: now_ms.saturating_add(milliseconds(timeout)),
            lost_since_ms: None,
        });
        let since_ms = round.lost_since_ms.unwrap_or(now_ms.max(grace_from_ms));
        round.lost_since_ms = is_lost.then_some(since_ms);
        let due_ms = match round.lost_since_ms {
            Some(since_ms) => since_ms
                .saturating_add(milliseconds(grace))
                .min(round.due_ms),
            None => round.due_ms,
        };
        if self.deadlines_ms.get(&Timer::Round) != Some(&due_ms) {
            let after = Duration::from_millis(due_ms.saturating_sub(now_ms));
            self.set(Timer::Round, now_ms, after, out);
            self.deadlines_ms.insert(Timer::Round, due_ms);
        }
    }

    /// Cancels a timer if it runs.
    pub(crate) fn cancel(&mut self, timer: Timer, out: &mut Vec<Output>) {
        if timer == Timer::Round {
            self.round = None;
        }
        if self.deadlines_ms.remove(&timer).is_some() {
            out.push(Output::CancelTimer { timer });
        }
    }

    /// Cancels all timers that run.
    pub(crate) fn cancel_all(&mut self, out: &mut Vec<Output>) {
        self.round = None;
        for (timer, _) in std::mem::take(&mut self.deadlines_ms) {
            out.push(Output::CancelTimer { timer });
        }
    }

    /// Judges an alarm; a due timer runs no more.
    pub(crate) fn on_alarm(&mut self, timer: Timer, now_ms: u64) -> Alarm {
        match self.deadlines_ms.get(&timer) {
            None => Alarm::Stale,
            Some(&deadline) if now_ms < deadline => {
                Alarm::Early(Duration::from_millis(deadline - now_ms))
            }
            Some(_) => {
                self.deadlines_ms.remove(&timer);
                if timer == Timer::Round {
                    self.round = None;
                }
                Alarm::Due
            }
        }
    }
}

/// How long a round may take: the base for rounds 0 and 1, then growing with
/// the round up to the cap. Linear, because doubling turns an hour's outage
/// into another hour of waiting.
pub(crate) fn round_timeout(parameters: &ConsensusParameters, round: Round) -> Duration {
    let cap = parameters.timeout_max.max(parameters.base_timeout);
    if is_on(Mutant::TimeoutDoubles) {
        let factor = 1_u32.checked_shl(round.0).unwrap_or(u32::MAX);
        return parameters.base_timeout.saturating_mul(factor);
    }
    if is_on(Mutant::TimeoutOverflows) && round.0 >= 33 {
        return Duration::ZERO;
    }
    parameters
        .base_timeout
        .saturating_mul(round.0.max(1))
        .min(cap)
}

/// How long a round that is lost goes on: time for a link that flaps to come
/// back, and for everybody to see that it does not.
pub(crate) fn lost_round_timeout(parameters: &ConsensusParameters) -> Duration {
    parameters.base_timeout / LOST_ROUND_DIVISOR
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_timeouts_grow_to_the_cap_and_never_overflow() {
        let parameters = ConsensusParameters::default();
        let seconds = |round| round_timeout(&parameters, Round(round)).as_secs();
        let table = [
            (0, 1),
            (1, 1),
            (2, 2),
            (9, 9),
            (10, 10),
            (33, 10),
            (u32::MAX, 10),
        ];
        for (round, expected) in table {
            assert_eq!(seconds(round), expected, "round {round}");
        }
    }

    #[test]
    fn lost_round_ends_after_the_grace_and_a_flapping_link_begins_it_anew() {
        let (mut timers, mut out) = (Timers::default(), Vec::new());
        let mut run = |now_ms, is_lost| {
            let grace = (0, Duration::from_millis(250));
            timers.run_round(now_ms, Duration::from_secs(1), is_lost, grace, &mut out);
            timers.deadlines_ms[&Timer::Round]
        };
        assert_eq!(run(0, false), 1_000);
        assert_eq!(run(100, true), 350);
        assert_eq!(run(200, true), 350, "since it was lost first");
        assert_eq!(run(300, false), 1_000, "it is back: counted from the start");
        assert_eq!(run(400, true), 650);
        assert_eq!(run(500, false), 1_000);
        assert_eq!(run(900, true), 1_000, "never longer than the round");
        assert_eq!(out.len(), 5, "{out:?}");
    }

    #[test]
    fn grace_does_not_run_before_the_proposer_may_propose() {
        let (mut timers, mut out) = (Timers::default(), Vec::new());
        let (timeout, grace) = (Duration::from_secs(6), Duration::from_millis(250));
        timers.run_round(100, timeout, true, (5_000, grace), &mut out);
        assert_eq!(timers.deadlines_ms[&Timer::Round], 5_250);
        timers.cancel(Timer::Round, &mut out);
        timers.run_round(9_000, timeout, true, (5_000, grace), &mut out);
        assert_eq!(timers.deadlines_ms[&Timer::Round], 9_250, "a new round");
    }

    #[test]
    fn early_and_stale_alarms_are_recognised() {
        let (mut timers, mut out) = (Timers::default(), Vec::new());
        timers.set(Timer::Round, 100, Duration::from_millis(50), &mut out);
        assert_eq!(
            timers.on_alarm(Timer::Round, 149),
            Alarm::Early(Duration::from_millis(1))
        );
        assert_eq!(timers.on_alarm(Timer::Round, 150), Alarm::Due);
        assert_eq!(timers.on_alarm(Timer::Round, 151), Alarm::Stale);
        timers.cancel(Timer::Round, &mut out);
        assert_eq!(out.len(), 1, "a timer that does not run is not cancelled");
    }
}
