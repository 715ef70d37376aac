//! How fast a wiped node catches up, against how fast the blocks were made.

use super::{
    Figure,
    load::{included, processor_s},
    outage::{nodes_of, start_all},
    watch::HeightWatch,
};
use crate::load::{LoadError, LoadGenerator};
use medina_tests::processes::NetworkOfProcesses;
use std::time::Duration;

/// How long catching up may take at all.
const PATIENCE: Duration = Duration::from_secs(300);
const GOAL: f64 = 10.0;

/// Four validators, as many transfers as they take; then one of them starts with
/// nothing. The clock runs from the first block that it has, so that starting the
/// process and finding peers does not count; the first blocks come one or two at a
/// time, so that hardly anything is fetched before.
///
/// # Errors
/// When the load fails.
///
/// # Panics
/// When the network does not start.
pub async fn measure(transfers: u64, arguments: &[&str]) -> Result<Vec<Figure>, LoadError> {
    let mut network = NetworkOfProcesses::create_with(4, arguments);
    start_all(&mut network).await;
    let urls = (0..4).map(|node| network.rpc_url(node));
    let generator = LoadGenerator::connect(urls.collect()).await?;
    let made = generator.throughput(transfers).await?.per_second();
    let height = network.agree(&[0, 1, 2, 3]).await;
    network.kill(3);
    let nodes = nodes_of(&network);
    let count = included(&nodes, 0, 1, height).await;

    std::fs::remove_dir_all(network.node_folder(3).join("data")).expect("its own folder");
    let watch = HeightWatch::start(&nodes, 3);
    network.run(3);
    let caught_up = watch.reaches(height, PATIENCE).await;
    let processor_s = network.pid(3).map(processor_s).unwrap_or_default();
    let first = watch.seen().into_iter().find(|(seen, _)| *seen > 0);
    let (Some((already, first)), Some(end)) = (first, caught_up) else {
        let nothing = Figure::at_least("catch-up did not finish", 0.0, GOAL, "x");
        return Ok(vec![nothing]);
    };
    let fetched = included(&nodes, 0, already + 1, height).await as f64;
    let took = (end - first).as_secs_f64();
    let caught = fetched / took.max(f64::EPSILON);
    let each_us = processor_s * 1e6 / count.max(1) as f64;
    let name = format!(
        "catch-up of {height} blocks with {count} transfers at {caught:.0} transfers/s (processor \
         time {each_us:.0} us each), made under full load at {made:.0} transfers/s"
    );
    Ok(vec![Figure::at_least(name, caught / made, GOAL, "x")])
}
