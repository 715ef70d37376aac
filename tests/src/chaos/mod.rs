//! Real processes under a seeded script of faults, while clients send transfers.
//!
//! [`run`] makes a network of `medina` processes whose links lead through
//! proxies, plays a [`Script`] (kill -9, SIGSTOP, cut and slow links, full disks,
//! jumping clocks, a lost database), ends every fault, and waits until all nodes
//! stand at one head. Then it kills all of them and lets a [`History`] judge
//! what clients were told against what is on the disks.
//!
//! The script is a function of its seed; the interleaving of processes is not.

pub mod clients;
pub mod clock;
pub mod collect;
pub mod disk;
mod driver;
pub mod history;
pub mod known_nodes;
pub mod observe;
pub mod proxy;
pub mod script;

pub use driver::run;
pub use history::{History, Violation};
pub use script::Script;

use medina_types::ConsensusEngine;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct ChaosPlan {
    /// Chooses faults and what clients do.
    pub seed: u64,
    /// Validators.
    pub nodes: u16,
    /// How they agree.
    pub engine: ConsensusEngine,
    /// Length of the script.
    pub duration_ms: u64,
    /// Clients, at most ten.
    pub clients: u32,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Height that all nodes ended at.
    pub blocks: u64,
    /// Transfers with a receipt.
    pub acknowledged: usize,
    /// Nonces that got no receipt although all faults had ended.
    pub unanswered: usize,
    /// From signing to receipt, sorted.
    pub waits_ms: Vec<u64>,
    /// From the end of all faults to the next block that anybody showed.
    pub recovered_ms: Option<u64>,
    /// From the end of all faults to one head everywhere.
    pub settled_ms: Option<u64>,
    /// Deeds by name.
    pub deeds: BTreeMap<String, usize>,
    /// Faults that this machine does not allow, and why.
    pub skipped: BTreeSet<String>,
    /// Every broken rule.
    pub violations: Vec<Violation>,
}

impl Summary {
    /// Whether no rule was broken, everything sent was included and all nodes
    /// came to one head.
    #[must_use]
    pub fn is_flawless(&self) -> bool {
        self.violations.is_empty() && self.unanswered == 0 && self.settled_ms.is_some()
    }

    fn wait_ms(&self, percent: usize) -> u64 {
        let index = (self.waits_ms.len() * percent)
            .div_ceil(100)
            .saturating_sub(1);
        self.waits_ms.get(index).copied().unwrap_or_default()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Option<u64>| time.map_or("never".to_owned(), |ms| format!("{ms} ms"));
        writeln!(
            formatter,
            "{} blocks, {} transfers acknowledged, {} unanswered; receipt after p50 {} ms, p99 {} ms, \
             at most {} ms",
            self.blocks,
            self.acknowledged,
            self.unanswered,
            self.wait_ms(50),
            self.wait_ms(99),
            self.wait_ms(100)
        )?;
        writeln!(
            formatter,
            "after the last fault: next block in {}, one head in {}",
            ms(self.recovered_ms),
            ms(self.settled_ms)
        )?;
        let deeds = self
            .deeds
            .iter()
            .map(|(name, count)| format!("{name} {count}"));
        writeln!(formatter, "deeds: {}", deeds.collect::<Vec<_>>().join(", "))?;
        for reason in &self.skipped {
            writeln!(formatter, "skipped: {reason}")?;
        }
        for violation in &self.violations {
            writeln!(formatter, "VIOLATION {violation}")?;
        }
        let verdict = if self.is_flawless() {
            "nothing acknowledged was lost, no nonce twice, no fork, all nodes equal, every block proven"
        } else {
            "FAILED"
        };
        write!(formatter, "{verdict}")
    }
}
