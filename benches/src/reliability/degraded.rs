//! What is included of a fixed offered load with f validators down, against what
//! is included with all of them up.

use super::{
    Figure,
    load::{SteadyLoad, included},
    outage::{chain_id, nodes_of, start_all},
};
use crate::load::{LoadError, LoadGenerator};
use medina_tests::processes::NetworkOfProcesses;
use std::time::Duration;

/// Transfers from which the maximum is measured.
const MAXIMUM_TRANSFERS: u64 = 6_000;
/// Time before a window, in which the load gets going.
const RUN_UP: Duration = Duration::from_secs(4);
/// Share of what all include, in percent.
const GOAL_PERCENT: f64 = 90.0;

/// Share of the offered load that was included with all up and with f down.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    /// Transfers offered per second.
    pub per_second: u32,
    /// Validators down.
    pub down: usize,
    /// Included of offered, all up.
    pub all_up: f64,
    /// Included of offered, f down.
    pub degraded: f64,
}

impl Shares {
    /// The figure.
    #[must_use]
    pub fn figure(&self, validators: u16) -> Figure {
        let name = format!(
            "included of {} transfers/s with {} of {validators} down ({:.3} of the offered) against \
             all up ({:.3})",
            self.per_second, self.down, self.degraded, self.all_up
        );
        let percent = 100.0 * self.degraded / self.all_up.max(f64::EPSILON);
        Figure::at_least(name, percent, GOAL_PERCENT, "%")
    }
}

/// Measures a fresh network at half of its maximum, or at a rate that is given.
///
/// # Errors
/// When the maximum cannot be measured.
///
/// # Panics
/// When the network does not start.
pub async fn measure(
    validators: u16,
    window: Duration,
    rate: Option<u32>,
    arguments: &[&str],
) -> Result<Shares, LoadError> {
    let mut network = NetworkOfProcesses::create_with(validators, arguments);
    start_all(&mut network).await;
    let per_second = match rate {
        Some(rate) => rate,
        None => half_of_maximum(&network).await?,
    };
    let everybody: Vec<usize> = (0..network.len()).collect();
    let down = (network.len() - 1) / 3;
    let live = everybody[..network.len() - down].to_vec();
    // The same nodes take the load in both windows.
    let all_up = share(&network, per_second, &live, window).await;
    for node in live.len()..network.len() {
        network.kill(node);
    }
    let degraded = share(&network, per_second, &live, window).await;
    Ok(Shares {
        per_second,
        down,
        all_up,
        degraded,
    })
}

async fn half_of_maximum(network: &NetworkOfProcesses) -> Result<u32, LoadError> {
    let urls = (0..network.len()).map(|node| network.rpc_url(node));
    let generator = LoadGenerator::connect(urls.collect()).await?;
    let throughput = generator.throughput(MAXIMUM_TRANSFERS).await?;
    let milliseconds = throughput.took.as_millis().max(1);
    let half = u128::from(throughput.transfers) * 500 / milliseconds;
    Ok(u32::try_from(half).unwrap_or(u32::MAX).max(1))
}

async fn share(
    network: &NetworkOfProcesses,
    per_second: u32,
    live: &[usize],
    window: Duration,
) -> f64 {
    let nodes = nodes_of(network);
    let chain_id = chain_id(network).await;
    let load = SteadyLoad::start(&nodes, chain_id, per_second, live.to_vec());
    tokio::time::sleep(RUN_UP).await;
    let (first, offered) = (network.height(0).await.unwrap_or(0), load.offered());
    tokio::time::sleep(window).await;
    let (last, offered) = (
        network.height(0).await.unwrap_or(0),
        load.offered() - offered,
    );
    drop(load);
    let included = included(&nodes, 0, first + 1, last).await;
    // What was on its way is no part of the next window.
    tokio::time::sleep(RUN_UP).await;
    included as f64 / offered.max(1) as f64
}
