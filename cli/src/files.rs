//! Small JSON files that people hand to each other: coupons, enrolments, vouchers, grants.

use crate::{
    commands::read_text,
    errors::{Failure, Outcome, cannot},
};
use serde::{Serialize, de::DeserializeOwned};
use std::path::Path;

/// Bytes of such a file.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Writes a value for somebody else to read.
pub(crate) fn save(path: &Path, value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value)?;
    std::fs::write(path, text + "\n").map_err(|error| cannot("write", path, error))
}

/// Reads what [`save`] wrote; `made_by` is the command that makes such files.
pub(crate) fn load<T: DeserializeOwned>(path: &Path, made_by: &str) -> Outcome<T> {
    let text = read_text(path, FILE_BYTES_MAX)?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::from(error)
            .during(path.display())
            .hint(format!("is this a file of `{made_by}`?"))
    })
}
