//! The engine's alarm clocks: when they run, how long they take.
//!
//! Round 0 runs a timer only while there is something to decide, so an idle
//! chain runs none. Round r > 0 runs one only after a quorum asked for round r
//! or later, or its proposal came: without quorum rounds stand still, and an
//! outage of any length costs no more than the round it started in.

use crate::{Output, Timer};
use medina_types::{ConsensusParameters, Round};
use std::{collections::BTreeMap, time::Duration};

/// Deadlines by timer. Remembered here so that a late or early alarm of the
/// caller is recognised.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    deadlines_ms: BTreeMap<Timer, u64>,
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

    /// Cancels a timer if it runs.
    pub(crate) fn cancel(&mut self, timer: Timer, out: &mut Vec<Output>) {
        if self.deadlines_ms.remove(&timer).is_some() {
            out.push(Output::CancelTimer { timer });
        }
    }

    /// Cancels all timers that run.
    pub(crate) fn cancel_all(&mut self, out: &mut Vec<Output>) {
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
    parameters
        .base_timeout
        .saturating_mul(round.0.max(1))
        .min(cap)
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
