//! The clock of a development network, which tests set and wind on.

use parking_lot::Mutex;

/// How far its time is from the machine's, and what the next block must say.
/// Shared by all nodes of the network.
#[derive(Debug, Default)]
pub(crate) struct DevTime(Mutex<Setting>);

/// What a test has set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Seconds that it is ahead of the machine's clock.
    offset_s: i64,
    /// Time of the next block; until it has come the clock stands there.
    next_s: Option<u64>,
}

impl Setting {
    fn now(self, machine_s: u64) -> u64 {
        let shifted = machine_s.saturating_add_signed(self.offset_s);
        self.next_s.unwrap_or(shifted)
    }

    fn set(&mut self, machine_s: u64, to_s: u64) {
        let offset = i128::from(to_s) - i128::from(machine_s);
        self.offset_s = i64::try_from(offset).unwrap_or(i64::MAX);
    }
}

impl DevTime {
    /// What the network's clock says while the machine's says this.
    pub(crate) fn now(&self, machine_s: u64) -> u64 {
        self.0.lock().now(machine_s)
    }

    /// Winds it on; answers by how much it is ahead of the machine's now.
    pub(crate) fn advance(&self, seconds: u64) -> i64 {
        let mut setting = self.0.lock();
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        setting.offset_s = setting.offset_s.saturating_add(seconds);
        setting.offset_s
    }

    /// Sets it; answers by how much it is ahead of the machine's now.
    pub(crate) fn set(&self, machine_s: u64, to_s: u64) -> i64 {
        let mut setting = self.0.lock();
        setting.set(machine_s, to_s);
        setting.next_s = None;
        setting.offset_s
    }

    /// The next block gets this time, and the clock goes on from there.
    pub(crate) fn set_next(&self, next_s: u64) {
        self.0.lock().next_s = Some(next_s);
    }

    /// A block was committed, and a time set for it is used up.
    pub(crate) fn on_block(&self, machine_s: u64, block_s: u64) {
        let mut setting = self.0.lock();
        if setting.next_s.is_some_and(|next_s| block_s >= next_s) {
            setting.next_s = None;
            setting.set(machine_s, block_s);
        }
    }

    /// Goes on from this time of the network.
    pub(crate) fn resume(&self, machine_s: u64, at_s: u64) {
        self.set(machine_s, at_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_from_where_it_was_set() {
        let time = DevTime::default();
        assert_eq!(time.now(1_000), 1_000);
        assert_eq!(time.advance(60), 60);
        assert_eq!(time.now(1_001), 1_061);
        assert_eq!(time.set(1_002, 5_000), 3_998);
        assert_eq!(time.now(1_003), 5_001);
        time.resume(2_000, 100);
        assert_eq!(time.now(2_001), 101);
    }

    #[test]
    fn time_of_the_next_block_holds_for_one_block() {
        let time = DevTime::default();
        time.set_next(9_000);
        assert_eq!((time.now(1_000), time.now(1_500)), (9_000, 9_000));
        time.on_block(1_500, 8_999);
        assert_eq!(time.now(1_600), 9_000);
        time.on_block(1_600, 9_000);
        assert_eq!(time.now(1_601), 9_001);
    }
}
