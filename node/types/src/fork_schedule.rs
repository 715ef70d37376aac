//! Which of Ethereum's rules hold when: forks from Paris to Osaka and the blob
//! parameters between them, each from a time on.
//!
//! Our own chains follow Osaka from their first block unless genesis says otherwise.

use alloy_eips::eip7840::{BLOB_BASE_COST, BlobParams};
use alloy_genesis::ChainConfig;
use std::fmt;

/// Steps of a schedule: five forks and as many changes of blob parameters, twice over.
const STEPS_MAX: usize = 20;

/// Ethereum's forks that a chain can follow, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fork {
    /// No proof of work any more.
    Paris,
    /// Withdrawals, `PUSH0`, limited init code.
    Shanghai,
    /// Blobs, transient storage.
    Cancun,
    /// Delegations (EIP-7702), requests, BLS12-381.
    Prague,
    /// Gas cap of transactions, P-256, `CLZ`.
    Osaka,
}

impl Fork {
    /// All of them, oldest first.
    pub const ALL: [Self; 5] = [
        Self::Paris,
        Self::Shanghai,
        Self::Cancun,
        Self::Prague,
        Self::Osaka,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Paris => "Paris",
            Self::Shanghai => "Shanghai",
            Self::Cancun => "Cancun",
            Self::Prague => "Prague",
            Self::Osaka => "Osaka",
        }
    }

    /// Blob parameters that Ethereum introduced with it; before Cancun no blobs exist.
    #[must_use]
    pub const fn blobs(self) -> BlobParams {
        match self {
            Self::Paris | Self::Shanghai | Self::Cancun => BlobParams::cancun(),
            Self::Prague => BlobParams::prague(),
            Self::Osaka => BlobParams::osaka(),
        }
    }
}

impl fmt::Display for Fork {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What holds from a time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForkRules {
    /// Time of the first block under these rules, seconds.
    pub from_s: u64,
    /// The fork.
    pub fork: Fork,
    /// Limits and prices of blobs.
    pub blobs: BlobParams,
}

impl ForkRules {
    /// A fork with the blob parameters that it introduced.
    #[must_use]
    pub const fn new(from_s: u64, fork: Fork) -> Self {
        Self {
            from_s,
            fork,
            blobs: fork.blobs(),
        }
    }

    /// The same with target, maximum and update fraction of these parameters;
    /// what a fork fixes beside them stays the fork's.
    #[must_use]
    pub fn with_blobs(self, blobs: BlobParams) -> Self {
        let own = self.fork.blobs();
        let is_osaka = self.fork >= Fork::Osaka;
        Self {
            blobs: BlobParams {
                max_blobs_per_tx: if is_osaka {
                    own.max_blobs_per_tx
                } else {
                    blobs.max_blob_count
                },
                blob_base_cost: if is_osaka { BLOB_BASE_COST } else { 0 },
                ..blobs
            },
            ..self
        }
    }
}

/// Why something is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForkScheduleError {
    /// Nothing holds in the first block.
    #[error("no fork holds from time 0 on")]
    NoStart,
    /// A step is before the one that it must follow.
    #[error("{later} is set for {later_s}, before {earlier} at {earlier_s}")]
    OutOfOrder {
        /// What must come first.
        earlier: String,
        /// Its time.
        earlier_s: u64,
        /// What must not come before it.
        later: String,
        /// Its time.
        later_s: u64,
    },
    /// Nobody knows how many blobs a step allows.
    #[error("{0} is set, but blobSchedule.{0} is not")]
    NoBlobs(&'static str),
    /// Rules before Paris exist nowhere here.
    #[error("{field} is {found}, but all rules before Paris hold from block 0 on")]
    BeforeParis {
        /// Name in genesis.
        field: &'static str,
        /// Its value.
        found: String,
    },
    /// Blob parameters that give no price or no room.
    #[error("blob parameters of {0} need 0 < target <= max and an update fraction above 0")]
    Blobs(String),
    /// More steps than a chain has use for.
    #[error("{got} steps, at most {max}")]
    TooManySteps {
        /// Steps given.
        got: usize,
        /// The bound.
        max: usize,
    },
}

/// Rules of a chain by time; never empty, and something holds from time 0 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkSchedule(Vec<ForkRules>);

impl Default for ForkSchedule {
    fn default() -> Self {
        Self::only(Fork::Osaka)
    }
}

impl ForkSchedule {
    /// One fork for ever.
    #[must_use]
    pub fn only(fork: Fork) -> Self {
        Self(vec![ForkRules::new(0, fork)])
    }

    /// Steps in order of time; of two at the same time the later one holds.
    ///
    /// # Errors
    /// When they are out of order, too many, or leave the first block without rules.
    pub fn new(steps: Vec<ForkRules>) -> Result<Self, ForkScheduleError> {
        if steps.len() > STEPS_MAX {
            let (got, max) = (steps.len(), STEPS_MAX);
            return Err(ForkScheduleError::TooManySteps { got, max });
        }
        if steps.first().is_none_or(|first| first.from_s != 0) {
            return Err(ForkScheduleError::NoStart);
        }
        for pair in steps.windows(2) {
            let [earlier, later] = [pair[0], pair[1]];
            if later.from_s < earlier.from_s || later.fork < earlier.fork {
                return Err(ForkScheduleError::OutOfOrder {
                    earlier: earlier.fork.to_string(),
                    earlier_s: earlier.from_s,
                    later: later.fork.to_string(),
                    later_s: later.from_s,
                });
            }
        }
        for step in &steps {
            let blobs = step.blobs;
            let is_usable = (1..=blobs.max_blob_count).contains(&blobs.target_blob_count);
            if !is_usable || blobs.update_fraction == 0 {
                return Err(ForkScheduleError::Blobs(step.fork.to_string()));
            }
        }
        // What is over before it began would only make equal schedules differ.
        let next = steps.iter().skip(1).map(|step| Some(step.from_s));
        let holds = steps.iter().zip(next.chain([None]));
        let held = holds.filter(|(step, next)| *next != Some(step.from_s));
        Ok(Self(held.map(|(step, _)| *step).collect()))
    }

    /// The schedule that the `config` of a geth or Besu genesis names. A fork
    /// that is left out begins with the next one that is not; where no fork
    /// behind Paris is named, Osaka holds from the first block on.
    ///
    /// # Errors
    /// When forks before Paris are not there from the start, times are out of
    /// order, or blob parameters are missing.
    pub fn of_config(config: &ChainConfig) -> Result<Self, ForkScheduleError> {
        check_paris(config)?;
        let named = named_steps(config);
        if named.iter().all(|step| step.time.is_none()) {
            return Ok(Self::default());
        }
        let mut steps = vec![ForkRules::new(0, Fork::Paris)];
        let mut before = ("Paris", 0);
        for step in named {
            let Some(from_s) = step.time else {
                continue;
            };
            if from_s < before.1 {
                return Err(ForkScheduleError::OutOfOrder {
                    earlier: before.0.to_owned(),
                    earlier_s: before.1,
                    later: step.name.to_owned(),
                    later_s: from_s,
                });
            }
            before = (step.name, from_s);
            steps.push(step.rules(from_s, config)?);
        }
        Self::new(steps)
    }

    /// What holds in a block of this time.
    #[must_use]
    pub fn at(&self, time_s: u64) -> &ForkRules {
        let holds = self.0.iter().rev().find(|step| step.from_s <= time_s);
        holds.unwrap_or(&self.0[0])
    }

    /// All steps in order of time.
    #[must_use]
    pub fn steps(&self) -> &[ForkRules] {
        &self.0
    }
}

/// Every step in full: genesis hashes bind this text.
impl fmt::Display for ForkSchedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let blobs = step.blobs;
            write!(
                formatter,
                "{comma}{} from {} (blobs {} of {}, fraction {})",
                step.fork,
                step.from_s,
                blobs.target_blob_count,
                blobs.max_blob_count,
                blobs.update_fraction
            )?;
        }
        Ok(())
    }
}

/// A step as genesis files name it.
struct NamedStep {
    name: &'static str,
    time: Option<u64>,
    fork: Fork,
    /// What Ethereum's own chain took; `None`: the file must say it.
    blobs: Option<BlobParams>,
}

impl NamedStep {
    fn rules(&self, from_s: u64, config: &ChainConfig) -> Result<ForkRules, ForkScheduleError> {
        let rules = ForkRules::new(from_s, self.fork);
        let named = config.blob_schedule.iter();
        let named = named.filter(|(name, _)| name.eq_ignore_ascii_case(self.name));
        let blobs = named.map(|(_, blobs)| *blobs).next().or(self.blobs);
        match blobs {
            Some(blobs) => Ok(rules.with_blobs(blobs)),
            None => Err(ForkScheduleError::NoBlobs(self.name)),
        }
    }
}

fn named_steps(config: &ChainConfig) -> [NamedStep; 9] {
    let fork = |name, time, fork: Fork| NamedStep {
        name,
        time,
        fork,
        blobs: Some(fork.blobs()),
    };
    let blobs_only = |name, time, blobs| NamedStep {
        name,
        time,
        fork: Fork::Osaka,
        blobs,
    };
    [
        fork("shanghai", config.shanghai_time, Fork::Shanghai),
        fork("cancun", config.cancun_time, Fork::Cancun),
        fork("prague", config.prague_time, Fork::Prague),
        fork("osaka", config.osaka_time, Fork::Osaka),
        blobs_only("bpo1", config.bpo1_time, Some(BlobParams::bpo1())),
        blobs_only("bpo2", config.bpo2_time, Some(BlobParams::bpo2())),
        blobs_only("bpo3", config.bpo3_time, None),
        blobs_only("bpo4", config.bpo4_time, None),
        blobs_only("bpo5", config.bpo5_time, None),
    ]
}

fn check_paris(config: &ChainConfig) -> Result<(), ForkScheduleError> {
    let blocks = [
        ("homesteadBlock", config.homestead_block),
        ("daoForkBlock", config.dao_fork_block),
        ("eip150Block", config.eip150_block),
        ("eip155Block", config.eip155_block),
        ("eip158Block", config.eip158_block),
        ("byzantiumBlock", config.byzantium_block),
        ("constantinopleBlock", config.constantinople_block),
        ("petersburgBlock", config.petersburg_block),
        ("istanbulBlock", config.istanbul_block),
        ("muirGlacierBlock", config.muir_glacier_block),
        ("berlinBlock", config.berlin_block),
        ("londonBlock", config.london_block),
        ("arrowGlacierBlock", config.arrow_glacier_block),
        ("grayGlacierBlock", config.gray_glacier_block),
        ("mergeNetsplitBlock", config.merge_netsplit_block),
    ];
    let late = blocks
        .into_iter()
        .find_map(|(field, block)| block.filter(|block| *block != 0).map(|at| (field, at)));
    if let Some((field, found)) = late {
        let found = found.to_string();
        return Err(ForkScheduleError::BeforeParis { field, found });
    }
    match config.terminal_total_difficulty {
        Some(difficulty) if !difficulty.is_zero() => Err(ForkScheduleError::BeforeParis {
            field: "terminalTotalDifficulty",
            found: difficulty.to_string(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> ChainConfig {
        serde_json::from_str(text).unwrap()
    }

    fn schedule(text: &str) -> Result<ForkSchedule, ForkScheduleError> {
        ForkSchedule::of_config(&config(text))
    }

    #[test]
    fn a_config_without_later_forks_means_osaka_from_the_first_block() {
        let named = schedule(r#"{"chainId":1,"londonBlock":0,"terminalTotalDifficulty":0}"#);
        assert_eq!(named.unwrap(), ForkSchedule::default());
    }

    #[test]
    fn forks_that_are_left_out_begin_with_the_next_one() {
        let named = schedule(r#"{"chainId":1,"osakaTime":0}"#).unwrap();
        assert_eq!(named, ForkSchedule::default());
        let all = r#"{"chainId":1,"shanghaiTime":0,"cancunTime":0,"pragueTime":0,"osakaTime":0}"#;
        assert_eq!(schedule(all).unwrap(), ForkSchedule::default());
        let named = schedule(r#"{"chainId":1,"cancunTime":0,"osakaTime":9}"#).unwrap();
        let forks = [0, 8, 9].map(|time| named.at(time).fork);
        assert_eq!(forks, [Fork::Cancun, Fork::Cancun, Fork::Osaka]);
    }

    #[test]
    fn each_fork_holds_from_its_time_to_the_next() {
        let named = schedule(
            r#"{"chainId":1,"mergeNetsplitBlock":0,"shanghaiTime":10,"cancunTime":20,"pragueTime":20,
                "osakaTime":30,"bpo1Time":40,"bpo2Time":50,
                "blobSchedule":{"bpo2":{"target":1,"max":2,"baseFeeUpdateFraction":3}}}"#,
        )
        .unwrap();
        let forks = [0, 9, 10, 19, 20, 29, 30, u64::MAX].map(|time| named.at(time).fork);
        use Fork::{Osaka, Paris, Prague, Shanghai};
        assert_eq!(
            forks,
            [
                Paris, Paris, Shanghai, Shanghai, Prague, Prague, Osaka, Osaka
            ]
        );
        let most = [39, 40, 50].map(|time| named.at(time).blobs.max_blob_count);
        assert_eq!(most, [9, 15, 2]);
        let last = named.at(50).blobs;
        assert_eq!(last.blob_base_cost, BLOB_BASE_COST);
        assert_eq!(last.max_blobs_per_tx, BlobParams::osaka().max_blobs_per_tx);
    }

    #[test]
    fn what_no_chain_can_follow_is_refused() {
        for (text, error) in [
            (r#"{"chainId":1,"berlinBlock":5}"#, "berlinBlock is 5"),
            (
                r#"{"chainId":1,"terminalTotalDifficulty":7}"#,
                "terminalTotalDifficulty is 7",
            ),
            (
                r#"{"chainId":1,"shanghaiTime":9,"cancunTime":5}"#,
                "cancun is set for 5, before shanghai at 9",
            ),
            (
                r#"{"chainId":1,"shanghaiTime":0,"cancunTime":0,"pragueTime":0,"osakaTime":0,"bpo3Time":1}"#,
                "blobSchedule.bpo3",
            ),
            (
                r#"{"chainId":1,"shanghaiTime":0,"cancunTime":0,
                    "blobSchedule":{"cancun":{"target":7,"max":6,"baseFeeUpdateFraction":1}}}"#,
                "blob parameters of Cancun",
            ),
        ] {
            let found = schedule(text).unwrap_err().to_string();
            assert!(found.contains(error), "{found}");
        }
        let late = vec![ForkRules::new(1, Fork::Osaka)];
        assert_eq!(
            ForkSchedule::new(late).unwrap_err(),
            ForkScheduleError::NoStart
        );
        let many = vec![ForkRules::new(0, Fork::Osaka); STEPS_MAX + 1];
        let error = ForkSchedule::new(many).unwrap_err();
        assert!(matches!(error, ForkScheduleError::TooManySteps { .. }));
    }
}
