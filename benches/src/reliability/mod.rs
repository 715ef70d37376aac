//! The figures of `docs/reliability.md` that need real processes: each is measured
//! by one function, printed with its goal, and repeatable by one command of
//! `medina-measure`.

pub mod catch_up;
pub mod degraded;
pub mod empty_blocks;
pub mod idle;
pub mod leader_crash;
pub mod load;
pub mod outage;
pub mod restart;
pub mod watch;

use std::{fmt, time::Duration};

/// Something that was measured and what it should have been.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// The value with its unit.
    pub measured: String,
    /// The goal with its unit.
    pub goal: String,
    /// Whether the goal is met.
    pub is_met: bool,
}

impl Figure {
    /// A time that should be short.
    #[must_use]
    pub fn at_most(name: impl Into<String>, measured: Duration, goal: Duration) -> Self {
        Self {
            name: name.into(),
            measured: format!("{:.0} ms", measured.as_secs_f64() * 1_000.0),
            goal: format!("<= {} ms", goal.as_millis()),
            is_met: measured <= goal,
        }
    }

    /// A number that should be large.
    #[must_use]
    pub fn at_least(name: impl Into<String>, measured: f64, goal: f64, unit: &str) -> Self {
        Self {
            name: name.into(),
            measured: format!("{measured:.1} {unit}"),
            goal: format!(">= {goal} {unit}"),
            is_met: measured >= goal,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_met { "pass" } else { "MISSED" };
        let Self {
            name,
            measured,
            goal,
            ..
        } = self;
        write!(formatter, "{verdict:6} {name}: {measured} (goal {goal})")
    }
}

/// The time that a share of the times stayed below; `percent` in 0..=100.
#[must_use]
pub fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figure_says_whether_its_goal_is_met() {
        let second = Duration::from_secs(1);
        assert!(Figure::at_most("gap", second, second).is_met);
        assert!(!Figure::at_most("gap", second + second, second).is_met);
        assert!(Figure::at_least("ratio", 10.0, 10.0, "x").is_met);
        let missed = Figure::at_least("ratio", 9.9, 10.0, "x").to_string();
        assert_eq!(missed, "MISSED ratio: 9.9 x (goal >= 10 x)");
    }

    #[test]
    fn percentile_of_unsorted_times() {
        let times: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 99), Duration::from_millis(99));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }
}
