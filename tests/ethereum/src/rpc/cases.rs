//! Reads a case: what is sent, what comes back, and how it is to be compared.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// Bytes of a file of cases; the largest public one has a few hundred thousand.
const CASE_BYTES_MAX: u64 = 64 << 20;
/// Folders below the one that is named.
const FOLDERS_BELOW: usize = 4;

/// A request and what must come back.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Exchange {
    pub(super) request: String,
    pub(super) expected: Value,
}

/// A file of cases.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Case {
    pub(super) exchanges: Vec<Exchange>,
    /// Answers need to fit the schema only.
    pub(super) schema_only: bool,
}

impl Case {
    /// Reads lines: `>> ` is a request, `<< ` the answer to it, `//` a comment.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut case = Self::default();
        let mut waiting: Option<String> = None;
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            if let Some(comment) = line.strip_prefix("//") {
                case.schema_only |= comment.trim_start().starts_with("speconly:");
            } else if let Some(request) = line.strip_prefix(">> ") {
                if waiting.is_some() {
                    return Err(format!("line {number}: the request before has no answer"));
                }
                waiting = Some(request.to_owned());
            } else if let Some(answer) = line.strip_prefix("<< ") {
                let request = waiting.take();
                let request = request.ok_or(format!("line {number}: an answer to nothing"))?;
                let expected = serde_json::from_str(answer)
                    .map_err(|error| format!("line {number}: {error}"))?;
                case.exchanges.push(Exchange { request, expected });
            } else if !line.trim().is_empty() {
                return Err(format!(
                    "line {number}: neither request, answer nor comment"
                ));
            }
        }
        match (waiting, case.exchanges.is_empty()) {
            (Some(_), _) => Err("the last request has no answer".to_owned()),
            (None, true) => Err("no request".to_owned()),
            (None, false) => Ok(case),
        }
    }

    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("cannot be read: {error}");
        let bytes = std::fs::metadata(path).map_err(failed)?.len();
        if bytes > CASE_BYTES_MAX {
            return Err(format!("{bytes} bytes, at most {CASE_BYTES_MAX}"));
        }
        Self::parse(&std::fs::read_to_string(path).map_err(failed)?)
    }
}

/// All files of cases, by folder and name: later ones see what earlier ones sent.
pub(super) fn find(path: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    collect(path, FOLDERS_BELOW, &mut files)?;
    files.sort_by(|one, other| {
        let key = |file: &PathBuf| (file.parent().map(Path::to_path_buf), file.clone());
        key(one).cmp(&key(other))
    });
    Ok(files)
}

fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    if path.is_file() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let inner = entry.map_err(failed)?.path();
        if inner.is_dir() && depth > 0 {
            collect(&inner, depth - 1, files)?;
        } else if inner.extension().is_some_and(|extension| extension == "io") {
            files.push(inner);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_pair_with_their_answers() {
        let text =
            "// about\n// speconly: shape only\n>> {\"id\":1}\n<< {\"result\":1}\n\n>> a\n<< 2\n";
        let case = Case::parse(text).unwrap();
        assert!(case.schema_only);
        let pairs: Vec<_> = case
            .exchanges
            .iter()
            .map(|one| (one.request.as_str(), one.expected.clone()))
            .collect();
        assert_eq!(
            pairs,
            [("{\"id\":1}", json!({ "result": 1 })), ("a", json!(2))]
        );
    }

    #[test]
    fn broken_files_are_refused_with_their_line() {
        for (text, reason) in [
            ("", "no request"),
            (">> a\n", "no answer"),
            ("<< 1\n", "line 1"),
            (">> a\n>> b\n", "line 2"),
            (">> a\n<< {\n", "line 2"),
            ("?\n", "line 1"),
        ] {
            let found = Case::parse(text).unwrap_err();
            assert!(found.contains(reason), "{text}: {found}");
        }
    }
}
