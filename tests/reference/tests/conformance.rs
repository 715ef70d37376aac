//! The QBFT engine agrees with its published specification.

use medina_reference_checker::{differential::compare, spec::Perturbation};

const PAIRS: u64 = 100_000;

#[test]
fn engine_agrees_with_the_specification_and_every_branch_is_reached() {
    let tally = compare(PAIRS, 1, None).unwrap_or_else(|difference| panic!("{difference}"));
    assert_eq!(tally.coverage.missing(), [], "\n{tally}");
    assert!(
        tally.accepted > PAIRS / 10 && tally.refused > PAIRS / 10,
        "{tally}"
    );
    assert!(tally.decided > 100 && tally.restarts > 100, "{tally}");
}

/// Every mistake of the checker is noticed: the comparison looks at what it
/// claims to compare.
#[test]
fn every_mistake_in_the_checker_is_found() {
    let unnoticed: Vec<_> = Perturbation::ALL
        .into_iter()
        .filter(|perturbation| compare(PAIRS, 1, Some(*perturbation)).is_ok())
        .collect();
    assert_eq!(unnoticed, []);
}

/// No line of the checker comes from the engine.
#[test]
fn specification_does_not_use_the_engine() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/spec");
    for entry in std::fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("a folder can be listed").path();
        let source = std::fs::read_to_string(&path).expect("sources are text");
        assert!(!source.contains("medina_consensus"), "{}", path.display());
    }
}
