//! The table of `docs/private-transactions.md` that says which test proves which rule:
//! every test that it names is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Rows of the design.
const ROWS: u8 = 17;
/// Heading of the table.
const HEADING: &str = "## How each rule is proven";

fn repository() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    folder.expect("a crate lies in the workspace").to_owned()
}

/// `FILE::TEST` of a row, by its number.
fn rows() -> BTreeMap<u8, Vec<(String, String)>> {
    let path = repository().join("docs/private-transactions.md");
    let document = std::fs::read_to_string(path).expect("the document is there");
    let (_, table) = document.split_once(HEADING).expect("it has the table");
    let table = table
        .split("\n## ")
        .next()
        .expect("a text has a first part");
    let mut rows: BTreeMap<u8, Vec<_>> = BTreeMap::new();
    for line in table.lines().filter(|line| line.starts_with('|')) {
        let number = line.split('|').nth(1).unwrap_or_default().trim();
        if let Ok(number) = number.parse() {
            let spans = line.split('`').skip(1).step_by(2);
            let tests = spans.filter_map(|span| span.split_once("::"));
            let tests = tests.map(|(file, test)| (file.to_owned(), test.to_owned()));
            rows.entry(number).or_default().extend(tests);
        }
    }
    rows
}

#[test]
fn every_row_of_the_design_names_tests_and_every_named_test_exists() {
    let rows = rows();
    let numbers: BTreeSet<_> = rows.keys().copied().collect();
    assert_eq!(numbers, (1..=ROWS).collect());
    let mut missing = Vec::new();
    for (number, tests) in rows {
        assert!(!tests.is_empty(), "row {number} names no test");
        for (file, test) in tests {
            let text = std::fs::read_to_string(repository().join(&file)).unwrap_or_default();
            if !is_test(&text, &test) {
                missing.push(format!("row {number}: {file}::{test}"));
            }
        }
    }
    assert!(missing.is_empty(), "no such tests:\n{}", missing.join("\n"));
}

/// Whether a file has the test: a function of that name behind `#[test]` or its like,
/// or a story that a macro makes a test of.
fn is_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let opening = format!("fn {name}(");
    let at = lines.iter().position(|line| line.contains(&opening));
    at.is_some_and(|at| {
        let before = lines[..at].iter().rev().take(6);
        let mut attributes =
            before.take_while(|line| line.starts_with('#') || line.starts_with("//"));
        attributes.any(|line| line.contains("test")) || lines[at].starts_with("pub(")
    })
}
