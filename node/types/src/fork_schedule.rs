//! Which of Ethereum's rules hold when: forks from Paris to Osaka and the blob
//! parameters between them, each from a time on or from a block on.
//!
//! Our own chains follow Osaka from their first block unless genesis says otherwise.

use alloy_eips::eip7840::{BLOB_BASE_COST, BlobParams};
use alloy_genesis::ChainConfig;
use std::fmt;

/// Steps of a schedule: five forks and as many changes of blob parameters, twice over.
const STEPS_MAX: usize = 20;

/// Names under which genesis files set the forks behind Paris by block.
pub const FORKS_BY_BLOCK: [&str; 4] = ["shanghaiBlock", "cancunBlock", "pragueBlock", "osakaBlock"];

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

/// What holds from a time and a block on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForkRules {
    /// Least time of a block under these rules, seconds.
    pub from_s: u64,
    /// Least number of a block under these rules.
    pub from_block: u64,
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
            from_block: 0,
            fork,
            blobs: fork.blobs(),
        }
    }

    /// The same from a block on.
    #[must_use]
    pub const fn from_block(self, from_block: u64) -> Self {
        Self { from_block, ..self }
    }

    /// Whether a block of this number and time is not before them.
    #[must_use]
    pub const fn holds_at(&self, number: u64, time_s: u64) -> bool {
        self.from_block <= number && self.from_s <= time_s
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
    /// A step by block follows one by time: which comes first, nobody knows.
    #[error("{later} is set by block, but {earlier} before it by time")]
    BlockAfterTime {
        /// The step by time.
        earlier: String,
        /// The step by block.
        later: String,
    },
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
        if steps.first().is_none_or(|first| !first.holds_at(0, 0)) {
            return Err(ForkScheduleError::NoStart);
        }
        for pair in steps.windows(2) {
            let [earlier, later] = [pair[0], pair[1]];
            let is_by_block = later.from_block > 0 && later.from_s == 0;
            if is_by_block && later.from_block < earlier.from_block {
                return Err(ForkScheduleError::OutOfOrder {
                    earlier: earlier.fork.to_string(),
                    earlier_s: earlier.from_block,
                    later: later.fork.to_string(),
                    later_s: later.from_block,
                });
            }
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
        let held = (0..steps.len()).filter(|index| {
            let step = &steps[*index];
            !steps[index + 1..]
                .iter()
                .any(|later| later.holds_at(step.from_block, step.from_s))
        });
        Ok(Self(held.map(|index| steps[index]).collect()))
    }

    /// The schedule that the `config` of a geth or Besu genesis names. A fork
    /// that is left out begins with the next one that is not; where no fork
    /// is named, Osaka holds from the first block on. `parisBlock` names Paris.
    ///
    /// # Errors
    /// When forks before Paris are not there from the start, times are out of
    /// order, or blob parameters are missing.
    pub fn of_config(config: &ChainConfig) -> Result<Self, ForkScheduleError> {
        check_paris(config)?;
        let named = named_steps(config);
        if named.iter().all(|step| step.begin.is_none()) {
            // Named alone, Paris holds for ever.
            let has_paris = config.extra_fields.contains_key("parisBlock");
            return Ok(if has_paris {
                Self::only(Fork::Paris)
            } else {
                Self::default()
            });
        }
        let mut steps = vec![ForkRules::new(0, Fork::Paris)];
        let mut before = ("Paris", Begin::Block(0));
        for step in named {
            let Some(begin) = step.begin else {
                continue;
            };
            check_order(before, (step.name, begin))?;
            before = (step.name, begin);
            steps.push(step.rules(begin, config)?);
        }
        Self::new(steps)
    }

    /// What holds in a block of this time that is behind every fork by block.
    #[must_use]
    pub fn at(&self, time_s: u64) -> &ForkRules {
        self.at_block(u64::MAX, time_s)
    }

    /// What holds in a block of this number and time.
    #[must_use]
    pub fn at_block(&self, number: u64, time_s: u64) -> &ForkRules {
        let mut latest_first = self.0.iter().rev();
        let holds = latest_first.find(|step| step.holds_at(number, time_s));
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
                "{comma}{} from {}{} (blobs {} of {}, fraction {})",
                step.fork,
                step.from_s,
                FromBlock(step.from_block),
                blobs.target_blob_count,
                blobs.max_blob_count,
                blobs.update_fraction
            )?;
        }
        Ok(())
    }
}

/// Nothing for block 0, so that schedules by time alone read as they always did.
struct FromBlock(u64);

impl fmt::Display for FromBlock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            block => write!(formatter, " and block {block}"),
        }
    }
}

/// Where a step begins, as genesis files say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    Block(u64),
    Time(u64),
}

/// A step is not before the one that it follows, and no block follows a time.
fn check_order(
    (earlier, at): (&str, Begin),
    (later, begin): (&str, Begin),
) -> Result<(), ForkScheduleError> {
    let (earlier_s, later_s) = match (at, begin) {
        (Begin::Block(at), Begin::Block(begin)) => (at, begin),
        (Begin::Time(at), Begin::Time(begin)) => (at, begin),
        (Begin::Block(_), Begin::Time(_)) | (Begin::Time(0), Begin::Block(_)) => return Ok(()),
        (Begin::Time(_), Begin::Block(_)) => {
            return Err(ForkScheduleError::BlockAfterTime {
                earlier: earlier.to_owned(),
                later: later.to_owned(),
            });
        }
    };
    if later_s < earlier_s {
        return Err(ForkScheduleError::OutOfOrder {
            earlier: earlier.to_owned(),
            earlier_s,
            later: later.to_owned(),
            later_s,
        });
    }
    Ok(())
}

/// A step as genesis files name it.
struct NamedStep {
    name: &'static str,
    begin: Option<Begin>,
    fork: Fork,
    /// What Ethereum's own chain took; `None`: the file must say it.
    blobs: Option<BlobParams>,
}

impl NamedStep {
    fn rules(&self, begin: Begin, config: &ChainConfig) -> Result<ForkRules, ForkScheduleError> {
        let rules = match begin {
            Begin::Time(from_s) => ForkRules::new(from_s, self.fork),
            Begin::Block(block) => ForkRules::new(0, self.fork).from_block(block),
        };
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
    // Geth and Besu name these forks by time; by block they are named alike.
    let block = |field: &str| {
        let block = config.extra_fields.get(field)?.as_u64();
        block.map(Begin::Block)
    };
    let fork = |name, field, time: Option<u64>, fork: Fork| NamedStep {
        name,
        begin: time.map(Begin::Time).or_else(|| block(field)),
        fork,
        blobs: Some(fork.blobs()),
    };
    let blobs_only = |name, time: Option<u64>, blobs| NamedStep {
        name,
        begin: time.map(Begin::Time),
        fork: Fork::Osaka,
        blobs,
    };
    let [shanghai, cancun, prague, osaka] = FORKS_BY_BLOCK;
    [
        fork("shanghai", shanghai, config.shanghai_time, Fork::Shanghai),
        fork("cancun", cancun, config.cancun_time, Fork::Cancun),
        fork("prague", prague, config.prague_time, Fork::Prague),
        fork("osaka", osaka, config.osaka_time, Fork::Osaka),
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
        let named = schedule(r#"{"chainId":1,"parisBlock":0}"#);
        assert_eq!(named.unwrap(), ForkSchedule::only(Fork::Paris));
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
    fn forks_can_be_set_by_block_and_later_ones_by_time() {
        let named = schedule(
            r#"{"chainId":1,"shanghaiBlock":3,"cancunBlock":5,"pragueTime":100,"osakaTime":200}"#,
        )
        .unwrap();
        use Fork::{Cancun, Osaka, Paris, Prague, Shanghai};
        let forks = [(0, 0), (2, 99), (3, 0), (5, 99), (4, 100), (9, 200)]
            .map(|(number, time)| named.at_block(number, time).fork);
        assert_eq!(forks, [Paris, Paris, Shanghai, Cancun, Prague, Osaka]);
        assert!(named.to_string().contains("Cancun from 0 and block 5 ("));
        let at_once = schedule(r#"{"chainId":1,"shanghaiBlock":0,"osakaBlock":0}"#).unwrap();
        assert_eq!(at_once, ForkSchedule::default());
        for (text, error) in [
            (
                r#"{"chainId":1,"shanghaiBlock":9,"cancunBlock":5}"#,
                "cancun is set for 5, before shanghai at 9",
            ),
            (
                r#"{"chainId":1,"shanghaiTime":9,"cancunBlock":5}"#,
                "cancun is set by block, but shanghai before it by time",
            ),
        ] {
            assert_eq!(schedule(text).unwrap_err().to_string(), error);
        }
        let late = vec![ForkRules::new(0, Osaka).from_block(1)];
        assert_eq!(
            ForkSchedule::new(late).unwrap_err(),
            ForkScheduleError::NoStart
        );
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
