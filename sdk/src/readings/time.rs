//! Points in time as files write them.
//!
//! Nothing here guesses about one value alone: whether `03/04/2004` is March or April is decided
//! over the whole file by [`super::csv`], which passes the decision in as a [`DateOrder`]. Times
//! without a zone are taken as UTC.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use serde::Serialize;

/// Which comes first in a date that ends with its year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DateOrder {
    /// 31/12/2004
    DayMonth,
    /// 12/31/2004
    MonthDay,
}

/// Unix milliseconds of any supported spelling of date and time, or of a Unix number.
pub(super) fn parse_instant(text: &str, order: DateOrder) -> Option<u64> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return u64::try_from(time.timestamp_millis()).ok();
    }
    if let Some(time) = parse_unix(text) {
        return Some(time);
    }
    let (date, time) = split_date_time(text);
    let date = parse_date(date, order)?;
    let time = if time.is_empty() {
        NaiveTime::MIN
    } else {
        parse_clock(time)?
    };
    to_millis(date.and_time(time))
}

/// Unix milliseconds of a date cell and a time cell.
pub(super) fn parse_pair(date: &str, time: &str, order: DateOrder) -> Option<u64> {
    let date = parse_date(date.trim(), order)?;
    to_millis(date.and_time(parse_clock(time.trim())?))
}

/// Unix milliseconds of numbers in their own columns: year, month, day, hour, minute, second.
pub(super) fn parse_parts(parts: [u32; 6]) -> Option<u64> {
    let [year, month, day, hour, minute, second] = parts;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    to_millis(date.and_hms_opt(hour, minute, second)?)
}

/// What a date says about the order of day and month; `None` if it fits both or is no such date.
pub(super) fn order_of(text: &str) -> Option<DateOrder> {
    let (first, second) = ambiguous_parts(text)?;
    match (first > 12, second > 12) {
        (true, false) => Some(DateOrder::DayMonth),
        (false, true) => Some(DateOrder::MonthDay),
        _ => None,
    }
}

/// Whether the date is of the kind whose order must be found out.
pub(super) fn has_open_order(text: &str) -> bool {
    ambiguous_parts(text).is_some()
}

fn ambiguous_parts(text: &str) -> Option<(u32, u32)> {
    let (date, _) = split_date_time(text.trim());
    let parts = date_parts(date)?;
    let starts_with_year = parts[0].len() == 4;
    let number = |part: &str| part.parse::<u32>().ok().filter(|_| part.len() <= 2);
    if starts_with_year {
        None
    } else {
        Some((number(parts[0])?, number(parts[1])?))
    }
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by size: seconds
/// reach 10^11 in the year 5138, milliseconds passed it in 1973.
fn parse_unix(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    // Eight digits or fewer are a year, a compact date or a clock, not a time since 1970.
    if whole.len() < 9 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let number: u64 = whole.parse().ok()?;
    let millis: String = format!("{fraction:0<3}").chars().take(3).collect();
    match number {
        0..100_000_000_000 => Some(number * 1_000 + millis.parse::<u64>().ok()?),
        100_000_000_000..100_000_000_000_000 => Some(number),
        100_000_000_000_000..100_000_000_000_000_000 => Some(number / 1_000),
        _ => Some(number / 1_000_000),
    }
}

/// Splits at the `T` or first space after the date, and drops a trailing `Z` or `UTC`.
fn split_date_time(text: &str) -> (&str, &str) {
    let text = text
        .trim_end_matches("UTC")
        .trim_end_matches(['Z', 'z'])
        .trim_end();
    let is_split = |(place, c): (usize, char)| {
        let after_digit = text[..place].ends_with(|before: char| before.is_ascii_digit());
        (c == ' ' || c == 'T' || c == 't') && after_digit && place >= 6
    };
    match text.char_indices().find(|found| is_split(*found)) {
        Some((place, _)) => (&text[..place], text[place + 1..].trim()),
        None => (text, ""),
    }
}

fn date_parts(date: &str) -> Option<[&str; 3]> {
    let separator = date.chars().find(|c| matches!(c, '/' | '-' | '.' | ' '))?;
    let mut parts = date.split(separator);
    let found = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(found)
}

fn parse_date(date: &str, order: DateOrder) -> Option<NaiveDate> {
    let Some(parts) = date_parts(date) else {
        return parse_compact_date(date);
    };
    let [first, second, third] = parts;
    let number = |part: &str| part.parse::<u32>().ok();
    let (year, month, day) = if first.len() == 4 {
        (parse_year(first)?, parse_month(second)?, number(third)?)
    } else if let Some(month) = month_by_name(second) {
        (parse_year(third)?, month, number(first)?)
    } else {
        match order {
            DateOrder::DayMonth => (parse_year(third)?, number(second)?, number(first)?),
            DateOrder::MonthDay => (parse_year(third)?, number(first)?, number(second)?),
        }
    };
    NaiveDate::from_ymd_opt(year, month, day)
}

/// 20040310
fn parse_compact_date(date: &str) -> Option<NaiveDate> {
    if date.len() != 8 || !date.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    NaiveDate::from_ymd_opt(
        date[..4].parse().ok()?,
        date[4..6].parse().ok()?,
        date[6..].parse().ok()?,
    )
}

/// Four digits, or two: 70-99 are of the last century.
fn parse_year(text: &str) -> Option<i32> {
    let year: i32 = text.parse().ok().filter(|year| *year >= 0)?;
    match text.len() {
        4 => Some(year),
        2 if year >= 70 => Some(1900 + year),
        2 => Some(2000 + year),
        _ => None,
    }
}

fn parse_month(text: &str) -> Option<u32> {
    month_by_name(text).or_else(|| text.parse().ok())
}

fn month_by_name(text: &str) -> Option<u32> {
    const NAMES: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let start = text.get(..3)?.to_ascii_lowercase();
    (1_u32..)
        .zip(NAMES)
        .find(|(_, name)| *name == start)
        .map(|(number, _)| number)
}

/// 18:00, 18:00:00.5, 18.00.00, 6:00 PM or a bare hour. An offset behind any of them is refused:
/// a zone belongs to RFC 3339.
fn parse_clock(text: &str) -> Option<NaiveTime> {
    let upper = text.trim().to_ascii_uppercase();
    let (clock, half) = match (upper.strip_suffix("AM"), upper.strip_suffix("PM")) {
        (Some(clock), _) => (clock.trim(), Some(0)),
        (_, Some(clock)) => (clock.trim(), Some(12)),
        _ => (upper.as_str(), None),
    };
    let mut parts = clock.splitn(3, [':', '.']);
    let hour: u32 = parse_small(parts.next()?)?;
    let minute: u32 = parts.next().map_or(Some(0), parse_small)?;
    let (second, milli) = parts.next().map_or(Some((0, 0)), parse_seconds)?;
    let hour = match half {
        Some(offset) if (1..=12).contains(&hour) => hour % 12 + offset,
        Some(_) => return None,
        None => hour,
    };
    NaiveTime::from_hms_milli_opt(hour, minute, second, milli)
}

fn parse_small(text: &str) -> Option<u32> {
    let fits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| fits)
}

fn parse_seconds(text: &str) -> Option<(u32, u32)> {
    let (second, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let millis: String = format!("{fraction:0<3}").chars().take(3).collect();
    Some((parse_small(second)?, millis.parse().ok()?))
}

/// The chain counts from 1970; nothing before it can be anchored.
fn to_millis(time: NaiveDateTime) -> Option<u64> {
    u64::try_from(time.and_utc().timestamp_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOON: u64 = 1_078_920_000_000; // 2004-03-10 12:00 UTC

    #[test]
    fn every_supported_spelling_of_one_instant_reads_the_same() {
        for text in [
            "2004-03-10T12:00:00Z",
            "2004-03-10T13:00:00+01:00",
            "2004-03-10 12:00:00",
            "2004-03-10T12:00",
            "2004/03/10 12:00:00.000",
            "10/03/2004 12:00",
            "10.03.2004 12.00.00",
            "10-03-04 12:00:00 PM",
            "10-Mar-2004 12:00",
            "20040310 12:00",
            "1078920000",
            "1078920000.000",
            "1078920000000",
            "1078920000000000",
            "2004-03-10 12:00:00 UTC",
        ] {
            assert_eq!(
                parse_instant(text, DateOrder::DayMonth),
                Some(NOON),
                "{text}"
            );
        }
        assert_eq!(
            parse_instant("3/10/2004 12:00", DateOrder::MonthDay),
            Some(NOON)
        );
        assert_eq!(
            parse_pair("10/03/2004", "12:00:00", DateOrder::DayMonth),
            Some(NOON)
        );
        assert_eq!(parse_parts([2004, 3, 10, 12, 0, 0]), Some(NOON));
    }

    #[test]
    fn half_day_clocks_turn_at_twelve() {
        let clock = |text| parse_clock(text).map(|time| time.to_string());
        assert_eq!(clock("12:00 AM").as_deref(), Some("00:00:00"));
        assert_eq!(clock("12:30:00 PM").as_deref(), Some("12:30:00"));
        assert_eq!(clock("1:05 pm").as_deref(), Some("13:05:00"));
        assert_eq!(clock("13:00 PM"), None);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "noon",
            "2004-13-01",
            "31/02/2004",
            "25:00",
            "1969-12-31",
            "12",
            "2004-03-10 24:61",
        ] {
            assert_eq!(parse_instant(text, DateOrder::DayMonth), None, "{text}");
        }
    }

    #[test]
    fn only_a_number_above_twelve_tells_the_order() {
        assert_eq!(order_of("13/01/2004"), Some(DateOrder::DayMonth));
        assert_eq!(order_of("01/13/2004 10:00"), Some(DateOrder::MonthDay));
        assert_eq!(order_of("01/02/2004"), None);
        assert!(has_open_order("01/02/2004"));
        assert!(!has_open_order("2004-01-02"));
        assert!(!has_open_order("10-Mar-2004"));
    }

    proptest! {
        #[test]
        fn no_text_panics(date in ".{0,30}", time in ".{0,20}") {
            for order in [DateOrder::DayMonth, DateOrder::MonthDay] {
                let _ = parse_instant(&date, order);
                let _ = parse_pair(&date, &time, order);
            }
            let _ = (order_of(&date), has_open_order(&date));
        }

        #[test]
        fn likely_texts_do_not_panic(text in "[0-9]{1,4}[-/. T:][0-9a-z]{1,4}[-/. :][0-9é]{1,4}[ T]?[0-9:.APM]{0,9}") {
            let _ = parse_instant(&text, DateOrder::DayMonth);
        }
    }
}
