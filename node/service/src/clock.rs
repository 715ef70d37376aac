//! The one place where the node reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Wall clock in seconds and monotonic clock in milliseconds since start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    /// Monotonic milliseconds since the node started.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Seconds since 1970; 0 if the machine's clock stands before that.
    #[allow(
        clippy::disallowed_methods,
        reason = "the node's clock, passed on as a value"
    )]
    pub(crate) fn unix_seconds(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_secs())
    }
}
