//! How often somebody may call: a bucket that refills by the second.

use parking_lot::Mutex;
use std::{num::NonZeroU32, time::Instant};

/// A bucket of calls. It holds those of two seconds, so that a page that loads
/// may ask a few things at once.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: NonZeroU32,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    calls: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn per_second(per_second: NonZeroU32) -> Self {
        let state = State {
            calls: capacity(per_second),
            at: Instant::now(),
        };
        Self {
            per_second,
            state: Mutex::new(state),
        }
    }

    /// Takes `calls` out, all or nothing; the rate where there are not enough.
    pub(crate) fn take(&self, calls: usize) -> Result<(), NonZeroU32> {
        self.take_at(calls, Instant::now())
    }

    fn take_at(&self, calls: usize, now: Instant) -> Result<(), NonZeroU32> {
        let mut state = self.state.lock();
        let passed = now.saturating_duration_since(state.at).as_secs_f64();
        let refilled = state.calls + passed * f64::from(self.per_second.get());
        state.calls = refilled.min(capacity(self.per_second));
        state.at = now;
        // A batch above the capacity could never pass: it takes a full bucket.
        let wanted = (calls as f64).min(capacity(self.per_second));
        if state.calls < wanted {
            return Err(self.per_second);
        }
        state.calls -= wanted;
        Ok(())
    }
}

fn capacity(per_second: NonZeroU32) -> f64 {
    2.0 * f64::from(per_second.get())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn bucket_holds_two_seconds_and_refills_by_the_second() {
        let bucket = Bucket::per_second(NonZeroU32::new(10).unwrap());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs_f64(seconds);
        assert!(bucket.take_at(20, at(0.0)).is_ok());
        assert_eq!(bucket.take_at(1, at(0.0)).unwrap_err().get(), 10);
        assert!(bucket.take_at(5, at(0.5)).is_ok());
        assert!(bucket.take_at(1, at(0.5)).is_err());
        // However long nobody calls, it holds no more than its capacity.
        assert!(bucket.take_at(20, at(100.0)).is_ok());
        assert!(bucket.take_at(1, at(100.0)).is_err());
        assert!(
            bucket.take_at(1_000, at(102.0)).is_ok(),
            "a batch takes a full bucket"
        );
        assert!(bucket.take_at(1, at(102.0)).is_err());
    }
}
