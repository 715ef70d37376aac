//! Sensors: registration with the device's own signature, and what the registry knows.

use alloy_primitives::{Address, B256, Bytes};
use medina_contracts::sensor_registry::{ISensorRegistry, SensorRegistry};

use super::logs::Indexed;
use super::{ClientError, MarketClient, Receipt, ResourceType};
use crate::device::{DeviceKey, domain, time48};

/// Registrations in one transaction: half of what the contract takes, so that a block of common
/// size holds it (130k to 190k gas each).
const REGISTRATIONS_PER_TRANSACTION: usize = 32;

/// A device that becomes a resource.
#[derive(Debug, Clone)]
pub struct NewSensor {
    /// The resource's id: any 32 bytes nobody has.
    pub id: B256,
    /// The device's key.
    pub device: DeviceKey,
    /// What it is.
    pub kind: ResourceType,
    /// Hash of the property or capability.
    pub topic: B256,
    /// Promised seconds between readings.
    pub period_seconds: u32,
    /// Coarse grid cell.
    pub cell: u64,
    /// Hash of a salted document about it.
    pub meta: B256,
}

/// A resource as the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SensorRecord {
    /// The resource's id.
    pub id: B256,
    /// Whose it is.
    pub org: B256,
    /// The device's key in ERC-7913 form.
    pub signer: Bytes,
    /// Promised seconds between readings.
    pub period_seconds: u32,
    /// Since when it is this organisation's, Unix seconds.
    pub since: u64,
    /// What it is; the registry's number if this version does not know it.
    pub kind: Result<ResourceType, u8>,
    /// 1 live, 2 paused, 3 retired, +128 while flagged.
    pub status: u8,
    /// Hash of the property or capability.
    pub topic: B256,
    /// Coarse grid cell.
    pub cell: u64,
    /// Hash of a salted document about it.
    pub meta: B256,
}

impl MarketClient {
    /// Registers one sensor of the sender's organisation. The device's signature is good until
    /// `deadline`, Unix seconds.
    pub async fn register_sensor(
        &self,
        sensor: &NewSensor,
        deadline: u64,
    ) -> Result<Receipt, ClientError> {
        let org = self.own_org().await?;
        let call = SensorRegistry::registerCall {
            id: sensor.id,
            r: self.resource(sensor, org),
            deadline: time48(deadline)?,
            deviceSig: self.registration(sensor, org, deadline)?,
        };
        self.send(self.registry(), call).await
    }

    /// Registers many sensors, several in one transaction.
    pub async fn register_sensors(
        &self,
        sensors: &[NewSensor],
        deadline: u64,
    ) -> Result<Vec<Receipt>, ClientError> {
        let org = self.own_org().await?;
        let mut receipts = Vec::new();
        for chunk in sensors.chunks(REGISTRATIONS_PER_TRANSACTION) {
            let signatures = chunk
                .iter()
                .map(|sensor| self.registration(sensor, org, deadline));
            let call = SensorRegistry::registerManyCall {
                ids: chunk.iter().map(|sensor| sensor.id).collect(),
                r: chunk
                    .iter()
                    .map(|sensor| self.resource(sensor, org))
                    .collect(),
                deadline: time48(deadline)?,
                sigs: signatures.collect::<Result<_, _>>()?,
            };
            receipts.push(self.send(self.registry(), call).await?);
        }
        Ok(receipts)
    }

    /// Changes what may change of a sensor.
    pub async fn update_sensor(
        &self,
        id: B256,
        period_seconds: u32,
        cell: u64,
        meta: B256,
    ) -> Result<Receipt, ClientError> {
        let call = SensorRegistry::updateCall {
            id,
            period: period_seconds,
            cell,
            meta,
        };
        self.send(self.registry(), call).await
    }

    /// Pauses (2), wakes (1) or retires (3) a sensor.
    pub async fn set_sensor_status(&self, id: B256, status: u8) -> Result<Receipt, ClientError> {
        self.send(
            self.registry(),
            SensorRegistry::setStatusCall { id, status },
        )
        .await
    }

    /// The owner gives a resource a new key, which agrees until `deadline`, Unix seconds.
    pub async fn rotate_sensor_key(
        &self,
        id: B256,
        device: &DeviceKey,
        deadline: u64,
    ) -> Result<Receipt, ClientError> {
        let domain = domain("SensorRegistry", self.chain_id, self.registry());
        let deadline = time48(deadline)?;
        let payload = crate::device::KeyRotation { id, deadline };
        let call = SensorRegistry::rotateKeyCall {
            id,
            signer: device.signer(&self.verifiers()),
            deadline,
            sig: device.sign(&payload, &domain)?,
        };
        self.send(self.registry(), call).await
    }

    /// The owner offers a resource to another organisation; zero takes the offer back.
    pub async fn offer_sensor(&self, id: B256, to_org: B256) -> Result<Receipt, ClientError> {
        let call = SensorRegistry::transferCall { id, toOrg: to_org };
        self.send(self.registry(), call).await
    }

    /// The organisation a resource was offered to takes it.
    pub async fn accept_sensor(&self, id: B256) -> Result<Receipt, ClientError> {
        self.send(self.registry(), SensorRegistry::acceptCall { id })
            .await
    }

    /// Every resource that was ever registered, oldest first.
    pub async fn sensor_ids(&self) -> Result<Vec<B256>, ClientError> {
        let events: Vec<SensorRegistry::Registered> =
            self.events(self.registry(), Indexed::default()).await?;
        Ok(events.into_iter().map(|event| event.id).collect())
    }

    /// What the registry knows of a resource.
    pub async fn sensor(&self, id: B256) -> Result<SensorRecord, ClientError> {
        let resource = self
            .call(self.registry(), SensorRegistry::getCall { id })
            .await?;
        if resource.status == 0 {
            return Err(ClientError::Unknown {
                what: "sensor",
                id: id.to_string(),
            });
        }
        Ok(record(id, resource))
    }

    /// Every resource that was ever registered for an organisation and is still its own.
    pub async fn sensors_of(&self, org: B256) -> Result<Vec<SensorRecord>, ClientError> {
        let indexed = Indexed {
            second: Some(org),
            ..Indexed::default()
        };
        let events: Vec<SensorRegistry::Registered> = self.events(self.registry(), indexed).await?;
        let mut found = Vec::new();
        for event in events {
            let sensor = self.sensor(event.id).await?;
            if sensor.org == org {
                found.push(sensor);
            }
        }
        Ok(found)
    }

    fn registry(&self) -> Address {
        self.contracts.sensor_registry
    }

    fn registration(
        &self,
        sensor: &NewSensor,
        org: B256,
        deadline: u64,
    ) -> Result<Bytes, ClientError> {
        let domain = domain("SensorRegistry", self.chain_id, self.registry());
        Ok(sensor
            .device
            .sign_registration(sensor.id, org, deadline, &domain)?)
    }

    fn resource(&self, sensor: &NewSensor, org: B256) -> ISensorRegistry::Resource {
        ISensorRegistry::Resource {
            org,
            signer: sensor.device.signer(&self.verifiers()),
            period: sensor.period_seconds,
            t: sensor.kind.into(),
            topic: sensor.topic,
            cell: sensor.cell,
            meta: sensor.meta,
            ..ISensorRegistry::Resource::default()
        }
    }
}

fn record(id: B256, resource: ISensorRegistry::Resource) -> SensorRecord {
    SensorRecord {
        id,
        org: resource.org,
        signer: resource.signer,
        period_seconds: resource.period,
        since: resource.since.to(),
        kind: ResourceType::try_from(resource.t).map_err(|unknown| unknown.value),
        status: resource.status,
        topic: resource.topic,
        cell: resource.cell,
        meta: resource.meta,
    }
}
