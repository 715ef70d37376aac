//! Names of networks in test files, and the fork schedules they stand for.
//!
//! `Cancun` is one fork for ever; `ShanghaiToCancunAtTime15k` changes at time 15,000.

use alloy_eips::eip7840::BlobParams;
use medina_types::{Fork, ForkRules, ForkSchedule};
use serde_json::Value;

/// Names of forks before Paris, beginnings included (`LondonToParisAt...`).
const BEFORE_PARIS: [&str; 15] = [
    "Frontier",
    "Homestead",
    "EIP150",
    "EIP158",
    "TangerineWhistle",
    "SpuriousDragon",
    "Byzantium",
    "ConstantinopleFix",
    "Constantinople",
    "Petersburg",
    "Istanbul",
    "MuirGlacier",
    "Berlin",
    "London",
    "ArrowGlacier",
];

/// Why a network is none that our chains can follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    /// Proof of work, or the change from it.
    #[error("network {0}: forks before Paris are not part of our chains")]
    BeforeParis(String),
    /// A name that this runner does not know.
    #[error("network {0}: not known, or behind the last fork")]
    Unknown(String),
}

/// The schedule of a network, with the blob parameters of the case's
/// `config.blobSchedule` where it has one.
///
/// # Errors
/// When our chains cannot follow it.
pub fn schedule_of(network: &str, blob_schedule: &Value) -> Result<ForkSchedule, NotOurs> {
    let is_old = BEFORE_PARIS.iter().any(|fork| network.starts_with(fork))
        || network.starts_with("GrayGlacier");
    if is_old {
        return Err(NotOurs::BeforeParis(network.to_owned()));
    }
    let unknown = || NotOurs::Unknown(network.to_owned());
    let steps = match network.split_once("AtTime") {
        None => vec![rules_of(network, 0, blob_schedule).ok_or_else(unknown)?],
        Some((forks, time)) => {
            let (from, to) = forks.split_once("To").ok_or_else(unknown)?;
            let time = time_of(time).ok_or_else(unknown)?;
            let pair = [(from, 0), (to, time)].map(|(fork, at)| rules_of(fork, at, blob_schedule));
            pair.into_iter()
                .collect::<Option<_>>()
                .ok_or_else(unknown)?
        }
    };
    ForkSchedule::new(steps).map_err(|_| unknown())
}

/// `15k` is 15,000.
fn time_of(text: &str) -> Option<u64> {
    match text.strip_suffix('k') {
        Some(thousands) => thousands.parse::<u64>().ok()?.checked_mul(1_000),
        None => text.parse().ok(),
    }
}

fn rules_of(name: &str, from_s: u64, blob_schedule: &Value) -> Option<ForkRules> {
    let (fork, default) = match name {
        "Paris" | "Merge" => (Fork::Paris, Some(Fork::Paris.blobs())),
        "Shanghai" => (Fork::Shanghai, Some(Fork::Shanghai.blobs())),
        "Cancun" => (Fork::Cancun, Some(Fork::Cancun.blobs())),
        "Prague" => (Fork::Prague, Some(Fork::Prague.blobs())),
        "Osaka" => (Fork::Osaka, Some(Fork::Osaka.blobs())),
        "BPO1" => (Fork::Osaka, Some(BlobParams::bpo1())),
        "BPO2" => (Fork::Osaka, Some(BlobParams::bpo2())),
        "BPO3" => (Fork::Osaka, Some(only_in_tests(21, 32, 20_609_697))),
        "BPO4" => (Fork::Osaka, Some(only_in_tests(14, 21, 13_739_630))),
        "BPO5" => (Fork::Osaka, None),
        _ => return None,
    };
    let blobs = blobs_of(&blob_schedule[name]).or(default)?;
    Some(ForkRules::new(from_s, fork).with_blobs(blobs))
}

/// Blob parameters that no chain uses: the suites test changes of them.
fn only_in_tests(target: u64, max: u64, update_fraction: u128) -> BlobParams {
    BlobParams {
        target_blob_count: target,
        max_blob_count: max,
        update_fraction,
        ..BlobParams::cancun()
    }
}

fn blobs_of(entry: &Value) -> Option<BlobParams> {
    let number = |name: &str| quantity(&entry[name]);
    Some(BlobParams {
        target_blob_count: number("target")?,
        max_blob_count: number("max")?,
        update_fraction: number("baseFeeUpdateFraction")?.into(),
        ..BlobParams::cancun()
    })
}

/// A number, whether JSON's own or hexadecimal text.
pub(crate) fn quantity(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_fork_and_transition_has_its_schedule() {
        use Fork::{Cancun, Osaka, Paris, Prague, Shanghai};
        for (network, before, after) in [
            ("Merge", Paris, Paris),
            ("Paris", Paris, Paris),
            ("Shanghai", Shanghai, Shanghai),
            ("Cancun", Cancun, Cancun),
            ("Prague", Prague, Prague),
            ("Osaka", Osaka, Osaka),
            ("ParisToShanghaiAtTime15k", Paris, Shanghai),
            ("ShanghaiToCancunAtTime15k", Shanghai, Cancun),
            ("CancunToPragueAtTime15k", Cancun, Prague),
            ("PragueToOsakaAtTime15k", Prague, Osaka),
            ("OsakaToBPO1AtTime15k", Osaka, Osaka),
        ] {
            let schedule = schedule_of(network, &Value::Null).unwrap();
            let forks = [14_999, 15_000].map(|time| schedule.at(time).fork);
            assert_eq!(forks, [before, after], "{network}");
        }
    }

    #[test]
    fn blob_parameters_of_the_case_take_the_place_of_the_forks() {
        let named = json!({"BPO1": {"target": "0x1", "max": 2, "baseFeeUpdateFraction": "0x3"}});
        let schedule = schedule_of("BPO1ToBPO2AtTime15k", &named).unwrap();
        let most = [0, 15_000].map(|time| schedule.at(time).blobs.max_blob_count);
        assert_eq!(most, [2, 21]);
        assert_eq!(schedule.at(0).blobs.update_fraction, 3);
        let schedule = schedule_of("BPO3ToBPO4AtTime15k", &named).unwrap();
        let most = [0, 15_000].map(|time| schedule.at(time).blobs.max_blob_count);
        assert_eq!(most, [32, 21]);
        let missing = schedule_of("BPO5", &named);
        assert_eq!(missing, Err(NotOurs::Unknown("BPO5".into())));
    }

    #[test]
    fn what_our_chains_cannot_follow_is_named() {
        for network in [
            "London",
            "ArrowGlacierToParisAtDiffC0000",
            "BerlinToLondonAt5",
        ] {
            let cause = schedule_of(network, &Value::Null).unwrap_err();
            assert_eq!(cause, NotOurs::BeforeParis(network.into()));
        }
        for network in ["Amsterdam", "OsakaAtTime15k", "OsakaToCancunAtTime15k"] {
            let cause = schedule_of(network, &Value::Null).unwrap_err();
            assert_eq!(cause, NotOurs::Unknown(network.into()));
        }
    }
}
