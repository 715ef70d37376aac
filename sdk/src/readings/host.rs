//! Readings of the machine this runs on: load, memory, disk and network counters.
//!
//! These are real data of a real machine, so the default demo needs no file. The sampler is told
//! the time; it only asks the operating system for numbers.

use sysinfo::{Disks, Networks, System};

use super::{Decimal, Reading};

/// Properties a sample always has, in this order.
pub const HOST_PROPERTIES: [&str; 8] = [
    "load_1m",
    "cpu_percent",
    "memory_used_bytes",
    "memory_available_bytes",
    "swap_used_bytes",
    "disk_available_bytes",
    "network_received_bytes",
    "network_sent_bytes",
];

/// Takes samples of this machine.
#[derive(Debug)]
pub struct HostSampler {
    system: System,
    disks: Disks,
    networks: Networks,
}

impl Default for HostSampler {
    fn default() -> Self {
        Self::new()
    }
}

impl HostSampler {
    /// A sampler whose first CPU reading covers the time since this call.
    pub fn new() -> Self {
        let mut system = System::new();
        system.refresh_cpu_usage();
        Self {
            system,
            disks: Disks::new_with_refreshed_list(),
            networks: Networks::new_with_refreshed_list(),
        }
    }

    /// One reading of every property, all at `time_ms`.
    pub fn sample(&mut self, time_ms: u64) -> Vec<Reading> {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        self.disks.refresh(true);
        self.networks.refresh(true);
        HOST_PROPERTIES
            .into_iter()
            .zip(self.values())
            .map(|(property, value)| Reading::new(time_ms, property, value))
            .collect()
    }

    fn values(&self) -> [Decimal; 8] {
        let disks = self.disks.list().iter();
        let networks = self.networks.list();
        let received = networks
            .values()
            .fold(0_u64, |sum, net| sum.saturating_add(net.total_received()));
        let sent = networks.values().fold(0_u64, |sum, net| {
            sum.saturating_add(net.total_transmitted())
        });
        [
            two_decimals(System::load_average().one),
            two_decimals(f64::from(self.system.global_cpu_usage())),
            self.system.used_memory().into(),
            self.system.available_memory().into(),
            self.system.used_swap().into(),
            disks
                .fold(0_u64, |sum, disk| {
                    sum.saturating_add(disk.available_space())
                })
                .into(),
            received.into(),
            sent.into(),
        ]
    }
}

/// The operating system gives floats; two decimals are what it means by them.
fn two_decimals(number: f64) -> Decimal {
    let finite = if number.is_finite() { number } else { 0.0 };
    Decimal::parse(&format!("{finite:.2}")).unwrap_or_else(|_| Decimal::from(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_has_every_property_at_the_given_time() {
        let mut sampler = HostSampler::new();
        let sample = sampler.sample(1_000);
        let properties: Vec<_> = sample
            .iter()
            .map(|reading| reading.property.as_str())
            .collect();
        assert_eq!(properties, HOST_PROPERTIES);
        assert!(sample.iter().all(|reading| reading.time_ms == 1_000));
        assert!(sample.iter().all(|reading| reading.to_record().is_ok()));
    }

    #[test]
    fn memory_of_a_running_machine_is_not_zero() {
        let sample = HostSampler::new().sample(1);
        assert_ne!(sample[2].value, Decimal::from(0));
    }
}
