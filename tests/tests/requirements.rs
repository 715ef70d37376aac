//! `docs/requirements.md`: every requirement has one row, every row a proof or what is missing, and every test
//! that is named exists.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Checks of the specification.
const CHECKS: u32 = 70;
/// Requirements of its sources.
const ROWS: usize = 356;

fn repository() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    folder.expect("a crate lies in the workspace").to_owned()
}

/// One row of a table.
struct Row {
    name: String,
    cells: Vec<String>,
}

impl Row {
    /// Tests that it names, as file and function.
    fn tests(&self) -> Vec<(String, String)> {
        let all = self.cells.join(" ");
        let spans = all.split('`').skip(1).step_by(2);
        let tests = spans.filter_map(|span| span.split_once("::"));
        tests
            .map(|(file, test)| (file.to_owned(), test.to_owned()))
            .collect()
    }

    fn is_missing_something(&self) -> bool {
        self.cells.last().is_some_and(|cell| !cell.is_empty())
    }
}

/// Rows of the table below a heading.
fn table(document: &str, heading: &str) -> Vec<Row> {
    let (_, rest) = document
        .split_once(heading)
        .unwrap_or_else(|| panic!("no heading {heading}"));
    let rest = rest.split("\n## ").next().unwrap_or_default();
    let lines = rest.lines().filter(|line| line.starts_with('|'));
    lines
        .skip(2)
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let name = cells.next().unwrap_or_default().to_owned();
            let cells = cells.map(str::to_owned).collect();
            Row { name, cells }
        })
        .collect()
}

/// Whether a file has the test: a function behind `#[test]` or its like, or one of a `proptest!` block.
fn has_test(file: &str, test: &str) -> bool {
    let beside = repository().join(file);
    let below = repository().join("tests/tests").join(file);
    let text = fs::read_to_string(&beside).or_else(|_| fs::read_to_string(&below));
    let Ok(text) = text else { return false };
    let opening = format!("fn {test}(");
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    lines.iter().enumerate().any(|(at, line)| {
        let is_it = line.starts_with(&opening) || line.contains(&format!(" {opening}"));
        let mut before = lines[..at].iter().rev().take(4);
        is_it && before.any(|line| line.starts_with("#[") && line.contains("test"))
    })
}

#[test]
fn every_requirement_is_proven_or_says_what_is_missing() {
    let document = fs::read_to_string(repository().join("docs/requirements.md"));
    let document = document.expect("the document is there");
    let checks = table(&document, "\n## Checks");
    let by_number: BTreeMap<u32, &Row> = checks
        .iter()
        .map(|row| (row.name.parse().expect("a number"), row))
        .collect();
    assert_eq!(
        by_number.keys().copied().collect::<Vec<_>>(),
        (1..=CHECKS).collect::<Vec<_>>()
    );
    for row in &checks {
        assert!(
            !row.tests().is_empty() || row.is_missing_something(),
            "check {} says nothing",
            row.name
        );
    }
    let rows = table(&document, "\n## Rows");
    let names: BTreeSet<_> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(
        (rows.len(), names.len()),
        (ROWS, ROWS),
        "each requirement has one row"
    );
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        let [state, proof, _] = row.cells.as_slice() else {
            panic!("{} has not four cells", row.name);
        };
        let numbers = proof
            .split_whitespace()
            .filter_map(|word| word.parse().ok());
        let of: Vec<&Row> = numbers.map(|number: u32| by_number[&number]).collect();
        assert!(!of.is_empty(), "{} names no check", row.name);
        let is_tested = !row.tests().is_empty() || of.iter().any(|check| !check.tests().is_empty());
        let is_missing =
            row.is_missing_something() || of.iter().any(|check| check.is_missing_something());
        let expected = match (is_tested, is_missing) {
            (true, false) => "proven",
            (true, true) => "part",
            (false, _) => "open",
        };
        assert_eq!(state, expected, "{}", row.name);
        *states.entry(state).or_default() += 1;
    }
    for row in table(&document, "`requirements.md`") {
        let told = row.cells[0].parse().ok();
        assert_eq!(
            told,
            states.get(row.name.as_str()).copied(),
            "rows that are {}",
            row.name
        );
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let document = fs::read_to_string(repository().join("docs/requirements.md"));
    let document = document.expect("the document is there");
    let rows = ["\n## Checks", "\n## Rows"].map(|heading| table(&document, heading));
    let named: BTreeSet<_> = rows.iter().flatten().flat_map(Row::tests).collect();
    assert!(named.len() > 100, "{} tests", named.len());
    let missing: Vec<_> = named
        .iter()
        .filter(|(file, test)| !has_test(file, test))
        .map(|(file, test)| format!("{file}::{test}"))
        .collect();
    assert!(missing.is_empty(), "no such tests:\n{}", missing.join("\n"));
}

#[test]
fn names_that_are_no_tests_are_noticed() {
    assert!(has_test(
        "requirements.rs",
        "names_that_are_no_tests_are_noticed"
    ));
    assert!(!has_test("requirements.rs", "has_test"));
    assert!(!has_test("requirements.rs", "nothing"));
    assert!(!has_test(
        "nowhere.rs",
        "names_that_are_no_tests_are_noticed"
    ));
}
