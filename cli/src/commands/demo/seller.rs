//! The seller's side of the story: devices, batches, the gateway's files.

use crate::{
    commands::since_epoch,
    errors::{Failure, Outcome, cannot},
    values,
};
use alloy_primitives::{B256, hex, keccak256};
use medina_sdk::{
    client::{MarketClient, NewSensor, Receipt, ResourceType},
    companion::{Companion, MasterKey},
    device::{Batch, DeviceKey, DeviceKind},
    readings::Reading,
};
use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
};

/// Readings of one batch: big enough that a file becomes few transactions, small
/// enough that there are several.
const READINGS_PER_BATCH: usize = 4096;

/// How long a device's signature over its registration holds.
const REGISTRATION_SECONDS: u64 = 3600;

/// A sensor with everything it observed, in order of time.
pub(super) struct Device {
    /// What it observes.
    pub(super) property: String,
    /// The sensor.
    pub(super) sensor: NewSensor,
    readings: Vec<Reading>,
}

/// Makes one device with a fresh key for every property.
pub(super) fn devices(readings: Vec<Reading>) -> Outcome<Vec<Device>> {
    let mut by_property: BTreeMap<String, Vec<Reading>> = BTreeMap::new();
    for reading in readings {
        by_property
            .entry(reading.property.clone())
            .or_default()
            .push(reading);
    }
    by_property
        .into_iter()
        .map(|(property, readings)| device(property, readings))
        .collect()
}

fn device(property: String, mut readings: Vec<Reading>) -> Outcome<Device> {
    readings.sort_by_key(|reading| reading.time_ms);
    let device = DeviceKey::random(DeviceKind::Ed25519)?;
    let sensor = NewSensor {
        id: keccak256(device.public().to_string()),
        device,
        kind: ResourceType::Sensor,
        topic: values::topic(&property),
        period_seconds: usual_period(&readings),
        cell: 0,
        meta: B256::ZERO,
    };
    Ok(Device {
        property,
        sensor,
        readings,
    })
}

/// Seconds between two readings: the median, at least 1.
fn usual_period(readings: &[Reading]) -> u32 {
    let gap = |pair: &[Reading]| {
        pair[1]
            .time_seconds()
            .saturating_sub(pair[0].time_seconds())
    };
    let mut gaps: Vec<_> = readings
        .windows(2)
        .map(gap)
        .filter(|gap| *gap > 0)
        .collect();
    gaps.sort_unstable();
    let median = gaps.get(gaps.len() / 2).copied().unwrap_or(1);
    u32::try_from(median).unwrap_or(u32::MAX)
}

/// Registers all devices.
pub(super) async fn register(seller: &MarketClient, devices: &[Device]) -> Outcome<Vec<Receipt>> {
    let sensors: Vec<_> = devices.iter().map(|device| device.sensor.clone()).collect();
    let deadline = since_epoch().as_secs() + REGISTRATION_SECONDS;
    let receipts = seller.register_sensors(&sensors, deadline).await?;
    let registered = seller.sensors_of(seller.own_org().await?).await?.len();
    if registered != devices.len() {
        let expected = devices.len();
        return Err(Failure::new(format!(
            "the registry has {registered} sensors of the seller, not {expected}"
        )));
    }
    Ok(receipts)
}

/// What was anchored.
#[derive(Default)]
pub(super) struct Anchored {
    /// Readings under a root.
    pub(super) readings: u64,
    /// Batches.
    pub(super) batches: usize,
    /// Root of the last batch of the first device.
    pub(super) proof: B256,
    /// Their transactions.
    pub(super) receipts: Vec<Receipt>,
}

/// Seals all readings into the companion database and anchors their roots,
/// signed by the devices. The database is closed again: the gateway needs it.
pub(super) async fn anchor(
    seller: &MarketClient,
    devices: &[Device],
    files: &SellerFiles,
) -> Outcome<Anchored> {
    let master = MasterKey::load_or_create(&files.master_key())?;
    let companion = Companion::open(&files.companion(), master)?;
    let mut anchored = Anchored::default();
    let rounds = devices
        .iter()
        .map(|device| device.readings.len().div_ceil(READINGS_PER_BATCH))
        .max();
    for round in 0..rounds.unwrap_or(0) {
        let batches = prepare_round(seller, &companion, devices, round)?;
        let receipts = seller.anchor_many(&batches).await?;
        for (index, (batch, _)) in batches.iter().enumerate() {
            let receipt = &receipts[index / medina_sdk::limits::CONTRACT_BATCH_MAX];
            companion.mark_anchored(batch.source, batch.seq, receipt.hash)?;
            anchored.readings += u64::from(batch.count);
        }
        anchored.batches += batches.len();
        anchored.proof = batches
            .first()
            .map_or(anchored.proof, |(batch, _)| batch.root);
        anchored.receipts.extend(receipts);
    }
    Ok(anchored)
}

/// The next batch of every device that has readings left, with its signature.
fn prepare_round(
    seller: &MarketClient,
    companion: &Companion,
    devices: &[Device],
    round: usize,
) -> Outcome<Vec<(Batch, alloy_primitives::Bytes)>> {
    let mut batches = Vec::new();
    for device in devices {
        if let Some(readings) = device.readings.chunks(READINGS_PER_BATCH).nth(round) {
            let batch = companion.prepare(device.sensor.id, readings.to_vec())?;
            let signature = seller.sign_batch(&batch, &device.sensor.device)?;
            batches.push((batch, signature));
        }
    }
    Ok(batches)
}

/// Files of the seller's gateway.
pub(super) struct SellerFiles {
    folder: PathBuf,
}

impl SellerFiles {
    /// In this folder, which is made.
    pub(super) fn new(folder: PathBuf) -> Outcome<Self> {
        std::fs::create_dir(&folder).map_err(|error| cannot("make", &folder, error))?;
        Ok(Self { folder })
    }

    fn companion(&self) -> PathBuf {
        self.folder.join("companion")
    }

    fn master_key(&self) -> PathBuf {
        self.folder.join("companion.key")
    }

    /// Writes what `medina gateway run` needs.
    pub(super) fn write_config(
        &self,
        seller: &MarketClient,
        rpc: &str,
        port: u16,
        listing: u64,
        sources: &[B256],
    ) -> Outcome<PathBuf> {
        let key = hex::encode(*seller.account()?.to_bytes()?);
        write_private(&self.folder.join("gateway.key"), &key)?;
        let sources: Vec<_> = sources
            .iter()
            .map(|source| format!("\"{source}\""))
            .collect();
        let text = format!(
            "listen = \"127.0.0.1:{port}\"\nrpc = \"{rpc}\"\ndata = \"companion\"\n\
             master_key = \"companion.key\"\n\n[account]\nkey_file = \"gateway.key\"\n\n\
             [[listings]]\nid = {listing}\nsources = [{}]\n",
            sources.join(", ")
        );
        let path = self.folder.join("gateway.toml");
        std::fs::write(&path, text).map_err(|error| cannot("write", &path, error))?;
        Ok(path)
    }
}

fn write_private(path: &Path, text: &str) -> Outcome {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| cannot("write", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use medina_sdk::readings::Decimal;

    fn reading(property: &str, seconds: u64) -> Reading {
        Reading::new(seconds * 1000, property, Decimal::from(1))
    }

    #[test]
    fn every_property_becomes_a_device_with_its_readings_in_order() {
        let readings = vec![
            reading("b", 20),
            reading("a", 9),
            reading("b", 10),
            reading("b", 30),
        ];
        let devices = devices(readings).unwrap();
        assert_eq!(devices.len(), 2);
        assert_eq!(
            (devices[0].property.as_str(), devices[1].property.as_str()),
            ("a", "b")
        );
        assert_ne!(devices[0].sensor.id, devices[1].sensor.id);
        let times: Vec<_> = devices[1]
            .readings
            .iter()
            .map(Reading::time_seconds)
            .collect();
        assert_eq!(times, [10, 20, 30]);
        assert_eq!(
            (
                devices[0].sensor.period_seconds,
                devices[1].sensor.period_seconds
            ),
            (1, 10)
        );
    }
}
