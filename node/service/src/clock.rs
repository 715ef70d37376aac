//! The one place where the node reads a clock.

use crate::dev::DevTime;
use std::{
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// Wall clock in seconds and monotonic clock in milliseconds since start.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    started: Instant,
    /// What the tests of a development network make of the wall clock.
    dev: Option<Arc<DevTime>>,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            dev: None,
        }
    }

    /// The clock of a development network.
    pub(crate) fn with_dev(self, time: Arc<DevTime>) -> Self {
        let dev = Some(time);
        Self { dev, ..self }
    }

    /// Monotonic milliseconds since the node started.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Seconds since 1970, as the network counts them.
    pub(crate) fn unix_seconds(&self) -> u64 {
        let machine_s = self.machine_seconds();
        let dev = self.dev.as_ref();
        dev.map_or(machine_s, |time| time.now(machine_s))
    }

    /// Seconds since 1970; 0 if the machine's clock stands before that.
    #[allow(
        clippy::disallowed_methods,
        reason = "the node's clock, passed on as a value"
    )]
    pub(crate) fn machine_seconds(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_secs())
    }
}

/// Blocks in a row whose times must all be off before our clock is doubted: one
/// proposer with a wrong clock makes no such run while others propose too.
const BLOCKS_OFF_MIN: u32 = 4;
/// How much older than our clock a block may be when it is committed, in rounds'
/// time and more.
const AGE_ALLOWANCE_S: u64 = 60;

/// What a block's time says of this machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// Our clock seems to be behind by so many seconds.
    Behind(u64),
    /// Our clock seems to be ahead by so many seconds.
    Ahead(u64),
}

/// Compares the times of live blocks with our clock. Speaks up once, and again
/// only after the clocks have agreed in between.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClockWatch {
    behind: u32,
    ahead: u32,
    has_spoken: bool,
}

impl ClockWatch {
    /// A block with this time was decided now.
    pub(crate) fn on_block(
        &mut self,
        block_s: u64,
        clock_s: u64,
        tolerance_s: u64,
    ) -> Option<Doubt> {
        let behind_s = block_s.saturating_sub(clock_s);
        let ahead_s = clock_s.saturating_sub(block_s);
        let is_behind = behind_s > tolerance_s;
        let is_ahead = ahead_s > tolerance_s.saturating_add(AGE_ALLOWANCE_S);
        self.behind = if is_behind { self.behind + 1 } else { 0 };
        self.ahead = if is_ahead { self.ahead + 1 } else { 0 };
        if !is_behind && !is_ahead {
            self.has_spoken = false;
        }
        let is_sure = self.behind.max(self.ahead) >= BLOCKS_OFF_MIN;
        if !is_sure || std::mem::replace(&mut self.has_spoken, true) {
            return None;
        }
        Some(if is_behind {
            Doubt::Behind(behind_s)
        } else {
            Doubt::Ahead(ahead_s)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_is_doubted_once_and_again_only_after_it_was_right() {
        let mut watch = ClockWatch::default();
        let mut says = |block_s, clock_s| watch.on_block(block_s, clock_s, 5);
        for _ in 1..BLOCKS_OFF_MIN {
            assert_eq!(says(1_000, 900), None);
        }
        assert_eq!(says(1_000, 900), Some(Doubt::Behind(100)));
        assert_eq!(says(1_001, 901), None);
        assert_eq!(says(1_001, 1_003), None);
        for _ in 1..BLOCKS_OFF_MIN {
            assert_eq!(says(1_000, 2_000), None);
        }
        assert_eq!(says(1_000, 2_000), Some(Doubt::Ahead(1_000)));
    }

    #[test]
    fn one_late_or_early_block_is_no_reason() {
        let mut watch = ClockWatch::default();
        for _ in 0..20 {
            assert_eq!(watch.on_block(1_000, 900, 5), None);
            assert_eq!(watch.on_block(1_000, 1_000, 5), None);
            assert_eq!(watch.on_block(1_000, 1_050, 5), None);
        }
    }
}
