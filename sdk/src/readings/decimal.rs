//! A decimal number kept as it was written.
//!
//! Instruments say with their digits how precise they are: `13.60` and `13.6` are different
//! readings, and no float stands between the file and the hash.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits::DECIMAL_CHARS_MAX;

/// Why a text is no decimal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no decimal number of at most {DECIMAL_CHARS_MAX} characters")]
pub struct DecimalError(String);

/// A number: optional minus, digits with at most one point, optional exponent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal(String);

impl Decimal {
    /// Reads a number with a decimal point. A leading plus is dropped, nothing else changes.
    pub fn parse(text: &str) -> Result<Self, DecimalError> {
        let kept = match text.strip_prefix('+') {
            Some(rest) if rest.starts_with('-') => "",
            Some(rest) => rest,
            None => text,
        };
        if kept.len() <= DECIMAL_CHARS_MAX && is_decimal(kept) {
            Ok(Self(kept.to_owned()))
        } else {
            Err(DecimalError(text.chars().take(40).collect()))
        }
    }

    /// Reads a number with a decimal comma, as `;`-separated files have it.
    pub fn parse_with_comma(text: &str) -> Result<Self, DecimalError> {
        Self::parse(&text.replacen(',', ".", 1))
    }

    /// The number as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both are the same number, however written: `-200` and `-200.0`.
    pub fn is_equal_to(&self, other: &Self) -> bool {
        self.normal_form() == other.normal_form()
    }

    /// Sign, digits without outer zeros, and the power of ten of the last digit.
    fn normal_form(&self) -> (bool, String, i64) {
        let (negative, rest) = match self.0.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, self.0.as_str()),
        };
        let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        // The exponent has at most 5 digits, a fraction at most 64.
        let exponent: i64 = exponent.parse().unwrap_or(0);
        let all = format!("{whole}{fraction}");
        let digits = all.trim_end_matches('0');
        let dropped = i64::try_from(all.len() - digits.len()).unwrap_or(0);
        let decimals = i64::try_from(fraction.len()).unwrap_or(0);
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() {
            return (false, String::new(), 0);
        }
        (negative, digits.to_owned(), exponent - decimals + dropped)
    }
}

fn is_decimal(text: &str) -> bool {
    let rest = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (rest, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_holds = digits(whole) && digits(fraction) && whole.len() + fraction.len() > 0;
    mantissa_holds && exponent.is_none_or(is_exponent)
}

fn is_exponent(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

impl TryFrom<String> for Decimal {
    type Error = DecimalError;

    fn try_from(text: String) -> Result<Self, DecimalError> {
        let decimal = Self::parse(&text)?;
        // A plus would be dropped silently, and with it the record's hash.
        if decimal.0 == text {
            Ok(decimal)
        } else {
            Err(DecimalError(text))
        }
    }
}

impl From<Decimal> for String {
    fn from(decimal: Decimal) -> Self {
        decimal.0
    }
}

impl From<u64> for Decimal {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_keep_their_digits() {
        for text in ["0", "-200", "13.60", ".5", "5.", "1e-3", "6.02E+23"] {
            assert_eq!(Decimal::parse(text).expect(text).as_str(), text);
        }
        assert_eq!(Decimal::parse("+1").expect("plus").as_str(), "1");
        assert_eq!(
            Decimal::parse_with_comma("-1,5").expect("comma").as_str(),
            "-1.5"
        );
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "", "-", ".", "NaN", "inf", "1,000.5", "1.2.3", "0x10", "1e", "e5", "+-1", "1 2", "٣",
        ] {
            assert!(Decimal::parse(text).is_err(), "{text}");
        }
        assert!(Decimal::parse(&"1".repeat(DECIMAL_CHARS_MAX + 1)).is_err());
    }

    #[test]
    fn equal_numbers_are_found_in_any_spelling() {
        let equal = |a, b| {
            let parse = |text| Decimal::parse(text).expect("a number");
            parse(a).is_equal_to(&parse(b))
        };
        assert!(equal("-200", "-200.00"));
        assert!(equal("-2e2", "-200"));
        assert!(equal("0", "-0.0"));
        assert!(equal("1000", "1e3"));
        assert!(!equal("-200", "200"));
        assert!(!equal("20", "200"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}") {
            if let Ok(number) = Decimal::parse(&text) {
                prop_assert!(number.is_equal_to(&number));
            }
            let _ = Decimal::parse_with_comma(&text);
        }
    }
}
