//! Rules of the house that a machine can check.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a crate lies in the workspace")
        .to_owned()
}

/// Files of the repository with this extension, build outputs left out.
fn files(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                if !["target", "node_modules", ".git"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .expect("files lie in the workspace")
        .display()
        .to_string()
}

/// The arrows of docs/architecture.md: crate, what its code may depend on.
fn arrows() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let everything_below_service = [
        "types",
        "consensus",
        "storage",
        "execution",
        "pool",
        "network",
        "enclave",
        "rpc",
        "genesis",
    ];
    [
        ("types", vec![]),
        ("consensus", vec!["types"]),
        ("storage", vec!["types"]),
        ("execution", vec!["types", "storage"]),
        ("pool", vec!["types"]),
        ("network", vec!["types"]),
        ("enclave", vec!["types"]),
        (
            "rpc",
            vec![
                "types",
                "execution",
                "storage",
                "pool",
                "enclave",
                "consensus",
            ],
        ),
        (
            "genesis",
            vec!["types", "execution", "storage", "contracts"],
        ),
        ("service", everything_below_service.to_vec()),
        ("contracts", vec![]),
        ("sdk", vec!["contracts"]),
        (
            "cli",
            vec!["types", "enclave", "service", "genesis", "sdk", "contracts"],
        ),
    ]
    .into_iter()
    .map(|(name, targets)| (name, targets.into_iter().collect()))
    .collect()
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let arrows = arrows();
    let mut wrong = Vec::new();
    for manifest in files("toml")
        .into_iter()
        .filter(|path| path.ends_with("Cargo.toml"))
    {
        let parsed: toml::Table = fs::read_to_string(&manifest).unwrap().parse().unwrap();
        let Some(package) = parsed.get("package") else {
            continue;
        };
        let name = package["name"]
            .as_str()
            .unwrap()
            .trim_start_matches("medina-")
            .to_owned();
        // Tests may use what they test.
        if shown(&manifest).starts_with("tests/") || name == "benches" {
            continue;
        }
        let allowed = arrows
            .get(name.as_str())
            .unwrap_or_else(|| panic!("unknown crate {name}"));
        let Some(dependencies) = parsed
            .get("dependencies")
            .and_then(|table| table.as_table())
        else {
            continue;
        };
        for dependency in dependencies
            .keys()
            .filter_map(|key| key.strip_prefix("medina-"))
        {
            if !allowed.contains(dependency) {
                wrong.push(format!("{name} -> {dependency}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn consensus_is_told_everything_it_knows() {
    let forbidden = [
        "std::time::Instant",
        "SystemTime",
        "std::fs",
        "std::net",
        "HashMap",
        "HashSet",
        "rand::",
        "tokio",
    ];
    let mut wrong = Vec::new();
    for path in files("rs")
        .into_iter()
        .filter(|path| shown(path).starts_with("node/consensus/src"))
    {
        let text = fs::read_to_string(&path).unwrap();
        for word in forbidden.iter().filter(|word| text.contains(**word)) {
            wrong.push(format!("{}: {word}", shown(&path)));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_module_says_what_it_is_for() {
    let without: Vec<_> = files("rs")
        .iter()
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//!"))
        .map(|path| shown(path))
        .collect();
    assert_eq!(
        without,
        Vec::<String>::new(),
        "these begin without a //! comment"
    );
}

#[test]
fn no_path_of_a_developers_machine_is_committed() {
    let here = root().display().to_string();
    let mut wrong = Vec::new();
    for extension in ["rs", "toml", "md", "sol", "mjs", "json", "sh", "yml"] {
        for path in files(extension) {
            let text = fs::read_to_string(&path).unwrap_or_default();
            if text.contains(&here) || text.contains("/home/") || text.contains("/root/") {
                // This file names the patterns that it looks for.
                if !path.ends_with("tidy.rs") {
                    wrong.push(shown(&path));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn relative_links_in_documents_lead_somewhere() {
    let mut dead = Vec::new();
    for path in files("md") {
        let text = fs::read_to_string(&path).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !path.parent().unwrap().join(target).exists() {
                dead.push(format!("{}: {link}", shown(&path)));
            }
        }
    }
    assert_eq!(dead, Vec::<String>::new());
}

#[test]
fn longest_files_are_printed_for_the_reader() {
    let mut lengths: Vec<_> = files("rs")
        .into_iter()
        .map(|path| {
            (
                fs::read_to_string(&path).unwrap().lines().count(),
                shown(&path),
            )
        })
        .collect();
    lengths.sort_unstable_by(|one, other| other.cmp(one));
    for (lines, path) in lengths.iter().take(10) {
        println!("{lines:5} {path}");
    }
    assert!(!lengths.is_empty());
}
