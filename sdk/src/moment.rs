//! Moments as people write them: `90d`, `2026-12-01`, `friday 18:00`.
//!
//! Days without a zone are UTC, so that the same words mean the same everywhere. The present comes
//! from the caller.
//!
//! ```
//! use medina_sdk::moment::{format_moment, parse_moment};
//! let now = 1_767_225_600; // Thursday, 2026-01-01
//! assert_eq!(parse_moment("90d", now).unwrap(), now + 90 * 86_400);
//! assert_eq!(format_moment(parse_moment("friday 18:00", now).unwrap()), "2026-01-02 18:00 UTC");
//! ```

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, Weekday};
use thiserror::Error;

use crate::amount::parse_duration;

/// A moment that never comes: the largest the contracts can hold.
pub const FOREVER: u64 = (1 << 48) - 1;

/// Why a text is no moment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MomentError {
    /// Not understood.
    #[error(
        "`{0}` is no moment: write a duration from now (90d, 12h), a day (2026-12-01), a day and \
         time (2026-12-01 18:00, friday 18:00, tomorrow), or `forever`"
    )]
    NotAMoment(String),
    /// Beyond what the contracts can hold.
    #[error("`{0}` is too far away")]
    TooFar(String),
}

/// Reads a moment into Unix seconds. A duration counts from `now`; a weekday is the next one, today
/// only if its time is still to come; a day without a time begins at midnight.
pub fn parse_moment(text: &str, now: u64) -> Result<u64, MomentError> {
    let wrong = || MomentError::NotAMoment(text.chars().take(60).collect());
    let too_far = || MomentError::TooFar(text.chars().take(60).collect());
    let words = text.trim().to_lowercase();
    let at = match words.as_str() {
        "now" => Some(now),
        "forever" | "never" => return Ok(FOREVER),
        other => exact(other).or_else(|| by_day(other, now)),
    };
    let at = match at {
        Some(at) => at,
        None => {
            let seconds = parse_duration(&words).map_err(|_| wrong())?;
            now.checked_add(seconds).ok_or_else(too_far)?
        }
    };
    if at < FOREVER { Ok(at) } else { Err(too_far()) }
}

/// Writes Unix seconds as a day and time in UTC.
pub fn format_moment(seconds: u64) -> String {
    if seconds >= FOREVER {
        return "without end".to_owned();
    }
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    match time {
        Some(time) if seconds.is_multiple_of(60) => time.format("%Y-%m-%d %H:%M UTC").to_string(),
        Some(time) => time.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
        None => format!("{seconds} (Unix s)"),
    }
}

/// A time with its zone, as machines write it.
fn exact(text: &str) -> Option<u64> {
    let time = DateTime::parse_from_rfc3339(&text.to_uppercase()).ok()?;
    u64::try_from(time.timestamp()).ok()
}

/// A day, perhaps with a time.
fn by_day(text: &str, now: u64) -> Option<u64> {
    let text = text.strip_suffix(" utc").unwrap_or(text);
    // Names of days have a `t` too.
    let separator = if text.starts_with(|letter: char| letter.is_ascii_digit()) {
        &[' ', 't'][..]
    } else {
        &[' '][..]
    };
    let (day, time) = match text.split_once(separator) {
        Some((day, time)) => (day, Some(time.trim())),
        None => (text, None),
    };
    let time = match time {
        Some(time) => time_of_day(time)?,
        None => NaiveTime::MIN,
    };
    let today = DateTime::from_timestamp(i64::try_from(now).ok()?, 0)?.date_naive();
    let on = |day: NaiveDate| u64::try_from(day.and_time(time).and_utc().timestamp()).ok();
    match day.trim() {
        "today" => on(today),
        "tomorrow" => on(today.checked_add_days(Days::new(1))?),
        name => match weekday(name) {
            Some(weekday) => {
                let ahead = u64::from(
                    (7 + weekday.num_days_from_monday() - today.weekday().num_days_from_monday())
                        % 7,
                );
                let next = on(today.checked_add_days(Days::new(ahead))?)?;
                if next > now {
                    Some(next)
                } else {
                    on(today.checked_add_days(Days::new(ahead + 7))?)
                }
            }
            None => on(NaiveDate::parse_from_str(name, "%Y-%m-%d").ok()?),
        },
    }
}

fn time_of_day(text: &str) -> Option<NaiveTime> {
    ["%H:%M", "%H:%M:%S"]
        .iter()
        .find_map(|form| NaiveTime::parse_from_str(text, form).ok())
}

fn weekday(name: &str) -> Option<Weekday> {
    // Others read "mon" and "fr" as well; whole words and three letters are enough.
    let is_name = name.len() >= 3 && name.chars().all(|letter| letter.is_ascii_alphabetic());
    is_name.then(|| name.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Thursday, 2026-01-01 12:00 UTC.
    const NOW: u64 = 1_767_268_800;
    const DAY: u64 = 86_400;
    const NOON: u64 = DAY / 2;

    #[test]
    fn people_write_moments_in_many_ways() {
        let midnight = NOW - NOON;
        for (text, expected) in [
            ("now", NOW),
            ("90d", NOW + 90 * DAY),
            ("1h30m", NOW + 5_400),
            ("today 18:00", midnight + 18 * 3_600),
            ("tomorrow", midnight + DAY),
            ("Friday 18:00", midnight + DAY + 18 * 3_600),
            ("fri", midnight + DAY),
            ("thursday", midnight + 7 * DAY),
            ("thursday 13:00", NOW + 3_600),
            ("thursday 12:00", NOW + 7 * DAY),
            ("wednesday", midnight + 6 * DAY),
            ("2026-01-01", midnight),
            ("2026-12-01", 1_796_083_200),
            ("2026-12-01 18:00", 1_796_083_200 + 18 * 3_600),
            ("2026-12-01 18:00 utc", 1_796_083_200 + 18 * 3_600),
            ("2026-12-01T18:00:30", 1_796_083_200 + 18 * 3_600 + 30),
            ("2026-12-01T18:00:00+02:00", 1_796_083_200 + 16 * 3_600),
            ("forever", FOREVER),
        ] {
            assert_eq!(parse_moment(text, NOW), Ok(expected), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_and_says_what_to_write() {
        for text in [
            "",
            "soon",
            "2026-13-01",
            "friday 25:00",
            "fr",
            "1x",
            "-1d",
            "18:00",
        ] {
            let error = parse_moment(text, NOW).expect_err(text);
            assert!(error.to_string().contains("2026-12-01"), "{text}: {error}");
        }
        assert!(matches!(
            parse_moment("999999999999999w", NOW),
            Err(MomentError::TooFar(_) | MomentError::NotAMoment(_))
        ));
    }

    #[test]
    fn moments_are_written_to_the_minute_or_second() {
        assert_eq!(format_moment(NOW), "2026-01-01 12:00 UTC");
        assert_eq!(format_moment(NOW + 1), "2026-01-01 12:00:01 UTC");
        assert_eq!(format_moment(FOREVER), "without end");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(seconds in 0_u64..4_000_000_000) {
            prop_assert_eq!(parse_moment(&format_moment(seconds), NOW), Ok(seconds));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}", now in any::<u64>(), seconds in any::<u64>()) {
            let _ = parse_moment(&text, now);
            let _ = format_moment(seconds);
        }
    }
}
