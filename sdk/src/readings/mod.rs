//! Readings: one observed value of one property at one time, and the bytes that are anchored.
//!
//! Everything that becomes data on the market passes through [`Reading`]; the readers of files
//! ([`csv`]) and of this machine ([`host`]) only make them. The canonical record is JSON with
//! sorted keys and no spaces, so that a buyer in any language hashes and reads the same bytes:
//!
//! ```text
//! {"labels":{"station":"north"},"property":"temperature","time":1078941600000,"value":"13.6"}
//! ```

pub mod csv;
mod decimal;
pub mod host;
mod time;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use decimal::{Decimal, DecimalError};

use crate::limits::{LABEL_BYTES_MAX, LABELS_MAX, NAME_BYTES_MAX, RECORD_BYTES_MAX};

/// Why bytes are no record or a reading cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadingError {
    /// The record is larger than any reading can be.
    #[error("a record has at most {RECORD_BYTES_MAX} bytes, this one has {0}")]
    TooLong(usize),
    /// Not the JSON of a reading.
    #[error("not a record: {0}")]
    Malformed(String),
    /// The JSON of a reading, but not its only canonical form.
    #[error("the record is not in canonical form (sorted keys, no spaces)")]
    NotCanonical,
    /// A property or label that is empty or too long.
    #[error("the name `{0}` is empty or longer than {NAME_BYTES_MAX} bytes")]
    BadName(String),
    /// Too many labels, or one whose value is too long.
    #[error("a reading has at most {LABELS_MAX} labels of at most {LABEL_BYTES_MAX} bytes")]
    BadLabels,
}

/// One observed value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// What says more about the value: station, direction, unit.
    pub labels: BTreeMap<String, String>,
    /// What was observed, such as a column's name.
    pub property: String,
    /// When, in Unix milliseconds.
    #[serde(rename = "time")]
    pub time_ms: u64,
    /// The value as it was written, digit for digit.
    pub value: Decimal,
}

impl Reading {
    /// A reading without labels.
    pub fn new(time_ms: u64, property: impl Into<String>, value: Decimal) -> Self {
        Self {
            labels: BTreeMap::new(),
            property: property.into(),
            time_ms,
            value,
        }
    }

    /// The same reading with one more label.
    #[must_use]
    pub fn with_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// When, in whole Unix seconds as contracts count.
    pub fn time_seconds(&self) -> u64 {
        self.time_ms / 1_000
    }

    /// The canonical bytes whose hash goes into the leaf.
    pub fn to_record(&self) -> Result<Vec<u8>, ReadingError> {
        self.check()?;
        let record =
            serde_json::to_vec(self).map_err(|error| ReadingError::Malformed(error.to_string()))?;
        if record.len() > RECORD_BYTES_MAX {
            return Err(ReadingError::TooLong(record.len()));
        }
        Ok(record)
    }

    /// Reads canonical bytes; any other spelling of the same reading is refused, because it has
    /// another hash.
    pub fn from_record(record: &[u8]) -> Result<Self, ReadingError> {
        if record.len() > RECORD_BYTES_MAX {
            return Err(ReadingError::TooLong(record.len()));
        }
        let reading: Self = serde_json::from_slice(record)
            .map_err(|error| ReadingError::Malformed(error.to_string()))?;
        if reading.to_record()? != record {
            return Err(ReadingError::NotCanonical);
        }
        Ok(reading)
    }

    fn check(&self) -> Result<(), ReadingError> {
        let names = std::iter::once(&self.property).chain(self.labels.keys());
        for name in names {
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                return Err(ReadingError::BadName(name.chars().take(40).collect()));
            }
        }
        let labels_fit = self
            .labels
            .values()
            .all(|value| value.len() <= LABEL_BYTES_MAX);
        if self.labels.len() > LABELS_MAX || !labels_fit {
            return Err(ReadingError::BadLabels);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reading() -> Reading {
        let value = Decimal::parse("13.60").expect("a number");
        Reading::new(1_078_941_600_000, "temperature", value).with_label("station", "north")
    }

    #[test]
    fn record_is_the_documented_json() {
        let record = reading().to_record().expect("fits");
        assert_eq!(
            String::from_utf8(record).expect("text"),
            r#"{"labels":{"station":"north"},"property":"temperature","time":1078941600000,"value":"13.60"}"#
        );
    }

    #[test]
    fn other_spellings_of_a_reading_are_refused() {
        let spaced = r#"{"labels":{}, "property":"t","time":1,"value":"1"}"#;
        assert_eq!(
            Reading::from_record(spaced.as_bytes()),
            Err(ReadingError::NotCanonical)
        );
        let extra = r#"{"labels":{},"property":"t","time":1,"value":"1","x":1}"#;
        assert!(matches!(
            Reading::from_record(extra.as_bytes()),
            Err(ReadingError::Malformed(_))
        ));
        let twice = r#"{"labels":{"a":"1","a":"2"},"property":"t","time":1,"value":"1"}"#;
        assert_eq!(
            Reading::from_record(twice.as_bytes()),
            Err(ReadingError::NotCanonical)
        );
        let no_number = r#"{"labels":{},"property":"t","time":1,"value":"one"}"#;
        assert!(matches!(
            Reading::from_record(no_number.as_bytes()),
            Err(ReadingError::Malformed(_))
        ));
    }

    #[test]
    fn names_and_labels_are_bounded() {
        let mut long = reading();
        long.property = "x".repeat(NAME_BYTES_MAX + 1);
        assert!(matches!(long.to_record(), Err(ReadingError::BadName(_))));
        let mut many = reading();
        many.labels = (0..=LABELS_MAX)
            .map(|n| (n.to_string(), String::new()))
            .collect();
        assert_eq!(many.to_record(), Err(ReadingError::BadLabels));
    }

    proptest! {
        #[test]
        fn records_read_back(
            time_ms in any::<u64>(),
            property in ".{1,30}",
            number in any::<i64>(),
            labels in prop::collection::btree_map(".{1,20}", ".{0,20}", 0..4),
        ) {
            let value = Decimal::parse(&number.to_string())?;
            let reading = Reading { labels, property, time_ms, value };
            let record = reading.to_record()?;
            prop_assert_eq!(Reading::from_record(&record)?, reading);
        }

        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
            let _ = Reading::from_record(&bytes);
        }

        #[test]
        fn damaged_records_never_pass_as_the_original(
            cut in any::<prop::sample::Index>(), bit in 0_u8..8,
        ) {
            let mut record = reading().to_record()?;
            let place = cut.index(record.len());
            record[place] ^= 1 << bit;
            prop_assert_ne!(Reading::from_record(&record), Ok(reading()));
            prop_assert!(Reading::from_record(&record[..place]).is_err());
        }
    }
}
