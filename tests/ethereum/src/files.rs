//! Finds test files and reads them one case at a time.
//!
//! Some files of the public suite are hundreds of megabytes, and parsed JSON is
//! several times as large as its text. So a file is never parsed as a whole.

use crate::FixtureError;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::{
    fmt,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

/// Largest test file: several times the largest of the public suites.
const FILE_BYTES_MAX: u64 = 2 << 30;

/// All JSON files in these files and folders, sorted within each folder. What
/// begins with a dot is bookkeeping of the suites (`.meta`).
///
/// # Errors
/// When a path cannot be read.
pub(crate) fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, FixtureError> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            collect(path, &mut found)?;
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), FixtureError> {
    let unreadable = |error| FixtureError::unreadable(folder, &error);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        entries.push(entry.map_err(unreadable)?.path());
    }
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|kind| kind == "json") {
            found.push(path);
        }
    }
    Ok(())
}

/// Bytes of a file, at most [`FILE_BYTES_MAX`].
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, FixtureError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| FixtureError::unreadable(path, &error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(FixtureError::TooLarge {
            max: FILE_BYTES_MAX,
        });
    }
    Ok(bytes)
}

/// Hands every named case of a file to `each`, one after the other.
///
/// # Errors
/// When the bytes are not a JSON object; cases before the damage were handed over.
pub(crate) fn each_case(
    bytes: &[u8],
    each: &mut dyn FnMut(String, Value),
) -> Result<(), FixtureError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    Cases(each)
        .deserialize(&mut json)
        .and_then(|()| json.end())
        .map_err(|error| FixtureError::NotJson(error.to_string()))
}

struct Cases<'a>(&'a mut dyn FnMut(String, Value));

impl<'de> DeserializeSeed<'de> for Cases<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Cases<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with a test case under each name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut cases: A) -> Result<(), A::Error> {
        while let Some((name, case)) = cases.next_entry()? {
            (self.0)(name, case);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> (Vec<String>, Result<(), FixtureError>) {
        let mut found = Vec::new();
        let result = each_case(text.as_bytes(), &mut |name, _| found.push(name));
        (found, result)
    }

    #[test]
    fn cases_come_in_the_order_of_the_file() {
        let (found, result) = names(r#"{"b":{},"a":1}"#);
        result.unwrap();
        assert_eq!(found, ["b", "a"]);
    }

    #[test]
    fn damaged_files_are_errors_that_keep_the_cases_before() {
        let (found, result) = names(r#"{"b":{},"a":"#);
        assert!(matches!(result, Err(FixtureError::NotJson(_))));
        assert_eq!(found, ["b"]);
        assert!(names("[]").1.is_err());
        assert!(names("{} x").1.is_err());
    }

    #[test]
    fn folders_give_their_json_files_sorted_and_nothing_hidden() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("b/.meta")).unwrap();
        for name in ["b/2.json", "b/1.json", "b/.meta/index.json", "a.txt"] {
            std::fs::write(folder.path().join(name), "{}").unwrap();
        }
        let found = find(&[folder.path().to_owned()]).unwrap();
        let expected = ["b/1.json", "b/2.json"].map(|name| folder.path().join(name));
        assert_eq!(found, expected);
    }
}
