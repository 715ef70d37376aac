//! Specification tests of SSV's QBFT, from a path that the user gives:
//! `MEDINA_SSV_SPEC` names `tests.json`, or a folder with one file per test.

use medina_reference_checker::ssv;
use std::path::PathBuf;

const PATH_VARIABLE: &str = "MEDINA_SSV_SPEC";

#[test]
fn specification_tests_of_another_qbft_agree() {
    let Some(path) = std::env::var_os(PATH_VARIABLE).map(PathBuf::from) else {
        println!("skipped: {PATH_VARIABLE} does not name ssv-spec's QBFT tests");
        return;
    };
    let results = ssv::run(&path).expect("the tests can be read");
    println!("{results}");
    assert!(results.passed() > 0, "nothing was mapped");
    assert!(results.failed().is_empty(), "{results}");
}
