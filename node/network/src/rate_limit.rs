//! How many messages a peer may send: a bucket that refills with time.

use medina_types::limits::PEER_MESSAGES_PER_SECOND_MAX;
use std::time::{Duration, Instant};

/// Seconds over which the rate is averaged.
const WINDOW_S: u32 = 10;

/// Messages a peer may still send, told the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimit {
    per_second: u32,
    left: f64,
    updated: Instant,
}

impl RateLimit {
    /// Full bucket of a peer's messages.
    pub(crate) fn new(now: Instant) -> Self {
        Self::with_rate(PEER_MESSAGES_PER_SECOND_MAX, now)
    }

    /// Full bucket with a rate of its own.
    pub(crate) fn with_rate(per_second: u32, now: Instant) -> Self {
        Self {
            per_second,
            left: f64::from(per_second * WINDOW_S),
            updated: now,
        }
    }

    /// Takes one message out; false when there is none left.
    pub(crate) fn try_take(&mut self, now: Instant) -> bool {
        let elapsed: Duration = now.saturating_duration_since(self.updated);
        let refill = elapsed.as_secs_f64() * f64::from(self.per_second);
        self.left = (self.left + refill).min(f64::from(self.per_second * WINDOW_S));
        self.updated = now;
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_of_ten_seconds_passes_and_more_does_not() {
        let start = Instant::now();
        let mut limit = RateLimit::new(start);
        let burst = PEER_MESSAGES_PER_SECOND_MAX * WINDOW_S;
        assert!((0..burst).all(|_| limit.try_take(start)));
        assert!(!limit.try_take(start));
    }

    #[test]
    fn steady_stream_at_the_rate_passes_forever() {
        let start = Instant::now();
        let mut limit = RateLimit::new(start);
        let gap = Duration::from_secs(1) / PEER_MESSAGES_PER_SECOND_MAX;
        assert!((0..200_000).all(|message| limit.try_take(start + gap * message)));
    }
}
