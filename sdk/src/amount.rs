//! Token amounts with 18 decimals and durations, as people write them.
//!
//! Nothing is rounded: an amount with more than 18 decimals is an error, and `format` prints
//! exactly what `parse` would read back.

use alloy_primitives::U256;
use thiserror::Error;

/// Decimals of the Medina token.
pub const TOKEN_DECIMALS: usize = 18;

/// Base units of one token.
pub const ONE_TOKEN: u128 = 1_000_000_000_000_000_000;

/// Why a text is no amount or duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AmountError {
    /// Not digits with at most one point.
    #[error("`{0}` is no amount: write digits with at most one point, like 12.5")]
    NotANumber(String),
    /// More decimals than a base unit can carry.
    #[error("`{text}` has {found} decimals; the token has {TOKEN_DECIMALS}")]
    TooPrecise {
        /// What was written.
        text: String,
        /// How many decimals it has.
        found: usize,
    },
    /// More than the contracts' number type holds.
    #[error("`{0}` is too large for a token amount")]
    TooLarge(String),
    /// Not a duration.
    #[error(
        "`{0}` is no duration: write a number with a unit, like 90s, 15m, 12h, 7d, 2w, 1h30m or 30 days"
    )]
    NotADuration(String),
}

/// Reads an amount in whole tokens (`12.5`) into base units. Underscores between digits are
/// allowed. The contracts' money is `uint128`, so is the result.
///
/// ```
/// assert_eq!(medina_sdk::amount::parse_tokens("1.5").unwrap(), 1_500_000_000_000_000_000);
/// ```
pub fn parse_tokens(text: &str) -> Result<u128, AmountError> {
    let cleaned = text.trim();
    let (whole, fraction) = cleaned.split_once('.').unwrap_or((cleaned, ""));
    let is_number = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'_')
    };
    let has_digit = cleaned.bytes().any(|byte| byte.is_ascii_digit());
    if !has_digit || !is_number(whole) || !is_number(fraction) || cleaned.starts_with('_') {
        return Err(AmountError::NotANumber(shorten(text)));
    }
    let fraction: String = fraction.chars().filter(|digit| *digit != '_').collect();
    if fraction.len() > TOKEN_DECIMALS {
        return Err(AmountError::TooPrecise {
            text: shorten(text),
            found: fraction.len(),
        });
    }
    let digits: String = whole
        .chars()
        .filter(|digit| *digit != '_')
        .chain(fraction.chars())
        .chain(std::iter::repeat_n('0', TOKEN_DECIMALS - fraction.len()))
        .collect();
    digits
        .parse()
        .map_err(|_| AmountError::TooLarge(shorten(text)))
}

/// Writes base units as whole tokens, without trailing zeros.
///
/// ```
/// assert_eq!(medina_sdk::amount::format_tokens(1_500_000_000_000_000_000_u128), "1.5");
/// ```
pub fn format_tokens(base_units: impl Into<TokenUnits>) -> String {
    let digits = base_units.into().0.to_string();
    let padded = format!("{digits:0>width$}", width = TOKEN_DECIMALS + 1);
    let (whole, fraction) = padded.split_at(padded.len() - TOKEN_DECIMALS);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        whole.to_owned()
    } else {
        format!("{whole}.{fraction}")
    }
}

/// Base units from either of the number types the contracts answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenUnits(U256);

impl From<u128> for TokenUnits {
    fn from(units: u128) -> Self {
        Self(U256::from(units))
    }
}

impl From<U256> for TokenUnits {
    fn from(units: U256) -> Self {
        Self(units)
    }
}

/// Reads a duration into seconds: `45`, `45s`, `15m`, `12h`, `7d`, `2w`, `1y`, several in a row
/// (`1h30m`), or in words (`30 days`, `1 hour 30 minutes`). A bare number is seconds, a month 30 days
/// and a year 365.
///
/// ```
/// assert_eq!(medina_sdk::amount::parse_duration("1 hour 30 minutes").unwrap(), 5_400);
/// ```
pub fn parse_duration(text: &str) -> Result<u64, AmountError> {
    let wrong = || AmountError::NotADuration(shorten(text));
    let cleaned = text.trim();
    if !cleaned.is_empty() && cleaned.bytes().all(|byte| byte.is_ascii_digit()) {
        return cleaned.parse().map_err(|_| wrong());
    }
    let mut rest = cleaned;
    let mut seconds = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let behind = rest[digits..].trim_start();
        let letters = behind
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(behind.len());
        let (unit, next) = behind.split_at(letters);
        let part = number
            .checked_mul(unit_seconds(unit).ok_or_else(wrong)?)
            .ok_or_else(wrong)?;
        seconds = seconds.checked_add(part).ok_or_else(wrong)?;
        rest = next.trim_start();
    }
    if cleaned.is_empty() {
        Err(wrong())
    } else {
        Ok(seconds)
    }
}

/// Writes seconds with the two largest units that say it exactly, else in full: `1h30m`.
pub fn format_duration(seconds: u64) -> String {
    let mut rest = seconds;
    let mut text = String::new();
    for unit in ["w", "d", "h", "m", "s"] {
        let size = unit_seconds(unit).unwrap_or(1);
        if rest >= size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

fn unit_seconds(unit: &str) -> Option<u64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 604_800,
        "month" | "months" => 30 * 86_400,
        "y" | "year" | "years" => 365 * 86_400,
        _ => return None,
    })
}

/// Error messages repeat what was typed, but not a megabyte of it.
fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_and_fractional_tokens_are_read_exactly() {
        assert_eq!(parse_tokens("0"), Ok(0));
        assert_eq!(parse_tokens("1"), Ok(ONE_TOKEN));
        assert_eq!(parse_tokens(".5"), Ok(ONE_TOKEN / 2));
        assert_eq!(
            parse_tokens("1_000.000000000000000001"),
            Ok(1000 * ONE_TOKEN + 1)
        );
    }

    #[test]
    fn texts_that_are_no_amount_say_why() {
        for text in ["", ".", "-1", "1e3", "1,5", "0x10", "_1", "1.2.3"] {
            assert!(
                matches!(parse_tokens(text), Err(AmountError::NotANumber(_))),
                "{text}"
            );
        }
        assert!(matches!(
            parse_tokens("0.0000000000000000001"),
            Err(AmountError::TooPrecise { found: 19, .. })
        ));
        assert!(matches!(
            parse_tokens(&"9".repeat(40)),
            Err(AmountError::TooLarge(_))
        ));
    }

    #[test]
    fn durations_add_up_and_nonsense_is_refused() {
        assert_eq!(parse_duration("90"), Ok(90));
        assert_eq!(parse_duration("1h30m"), Ok(5_400));
        assert_eq!(parse_duration("2w"), Ok(1_209_600));
        for (text, seconds) in [
            ("30 days", 2_592_000),
            ("1 hour 30 minutes", 5_400),
            ("1 Month", 2_592_000),
            ("1y", 31_536_000),
            ("2 h 5min", 7_500),
        ] {
            assert_eq!(parse_duration(text), Ok(seconds), "{text}");
        }
        for text in [
            "",
            "h",
            "days",
            "1x",
            "1h3",
            "-1s",
            "1 2h",
            "1h h",
            "99999999999999999999s",
            "1é",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(format_duration(0), "0s");
        assert_eq!(format_duration(5_400), "1h30m");
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(units in any::<u128>(), seconds in any::<u64>()) {
            prop_assert_eq!(parse_tokens(&format_tokens(units)), Ok(units));
            prop_assert_eq!(parse_duration(&format_duration(seconds)), Ok(seconds));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = parse_tokens(&text);
            let _ = parse_duration(&text);
        }
    }
}
