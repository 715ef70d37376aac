//! `medina sensor`: devices of a seller, and the readings they answer for.

use crate::{
    args::RpcArgs,
    commands::{chain_time, readings::ReadingsArgs},
    errors::{Failure, Outcome},
    ids::{self, Thing},
    output::{Output, pairs, table},
    show,
    signer::{SenderArgs, ViewerArgs, connect},
    values,
};
use alloy_primitives::{B256, keccak256};
use clap::{Args, Subcommand, ValueEnum};
use medina_sdk::{
    client::{MarketClient, NewSensor, Receipt, ResourceType, SensorRecord},
    companion::{Companion, MasterKey},
    device::{Batch, CommandDevice, DeviceKey, DeviceKind, DevicePublic},
    gateway::GatewayConfig,
};
use serde_json::json;
use std::path::PathBuf;

/// How long a device's signature over its registration holds.
const REGISTRATION_SECONDS: u64 = 3600;

#[derive(Debug, Subcommand)]
pub(crate) enum SensorCommand {
    /// Register a device of the account's organisation
    Register(RegisterArgs),
    /// Change a device's promise, place or status
    Update(UpdateArgs),
    /// Show the devices of an organisation
    List(ListArgs),
    /// Show one device and the trust in it
    Show(ShowArgs),
    /// Put readings into the companion database and anchor them
    Anchor(AnchorArgs),
    /// Give a device a new key
    RotateKey(RotateKeyArgs),
    /// Offer a device to another organisation
    Transfer(TransferArgs),
    /// Take a device that was offered
    Accept(AcceptArgs),
}

/// The key by which a device proves itself: in a file, or kept by a secure element or authenticator.
#[derive(Debug, Args)]
struct DeviceKeyArgs {
    /// File of the device's key; made if it is not there
    #[arg(long, value_name = "FILE", required_unless_present = "key")]
    device_key: Option<PathBuf>,
    /// Curve of a new device key
    #[arg(long, value_enum, default_value_t = Curve::Ed25519)]
    curve: Curve,
    /// Public key of a device that keeps its key itself, such as p256:04… or passkey:04…
    #[arg(
        long,
        value_name = "KIND:HEX",
        requires = "device_signer",
        conflicts_with = "device_key"
    )]
    key: Option<DevicePublic>,
    /// Program that has the device sign for --key: JSON in; signature, or a passkey's assertion, out
    #[arg(
        long,
        value_name = "COMMAND",
        requires = "key",
        conflicts_with = "device_key"
    )]
    device_signer: Option<String>,
}

impl DeviceKeyArgs {
    /// The key; a file that is not there is made.
    fn open_or_make(&self) -> Outcome<DeviceKey> {
        match &self.device_key {
            Some(path) if !path.exists() => {
                let device = DeviceKey::random(self.curve.into())?;
                device.save(path)?;
                Ok(device)
            }
            _ => self.open(),
        }
    }

    fn open(&self) -> Outcome<DeviceKey> {
        if let (Some(public), Some(command)) = (&self.key, &self.device_signer) {
            let device = CommandDevice::new(command, *public)?;
            return Ok(DeviceKey::external(device));
        }
        match &self.device_key {
            Some(path) => Ok(DeviceKey::load(path)?),
            None => Err(Failure::new("which key? Give --device-key or --key")),
        }
    }

    /// Where the key is, or which.
    fn named(&self) -> String {
        match (&self.device_key, &self.key) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(public)) => public.to_string(),
            (None, None) => String::new(),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// What it observes, such as temperature; buyers search for it
    #[arg(long, value_name = "NAME", value_parser = values::name)]
    property: String,
    #[command(flatten)]
    key: DeviceKeyArgs,
    /// Promised time between readings, such as 60s or 15m
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "1m")]
    period: u32,
    /// What it is
    #[arg(long, value_enum, default_value_t = Kind::Sensor)]
    kind: Kind,
    /// Where it is, as LATITUDE,LONGITUDE; only a square of 5.6 km is stored
    #[arg(long, value_name = "PLACE", value_parser = cell, allow_hyphen_values = true, conflicts_with = "cell")]
    place: Option<u64>,
    /// Coarse grid cell of its place, if you number them otherwise
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    cell: u64,
    /// About it: a text, @FILE or hash; only the hash is stored
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document, default_value_t = B256::ZERO, hide_default_value = true)]
    meta: B256,
    /// Its id: any 32 bytes nobody has [default: hash of the device's public key]
    #[arg(long)]
    id: Option<B256>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// The device: id, complete or short
    id: String,
    /// Promised time between readings
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    period: Option<u32>,
    /// Where it is, as LATITUDE,LONGITUDE; only a square of 5.6 km is stored
    #[arg(long, value_name = "PLACE", value_parser = cell, allow_hyphen_values = true, conflicts_with = "cell")]
    place: Option<u64>,
    /// Coarse grid cell of its place, if you number them otherwise
    #[arg(long)]
    cell: Option<u64>,
    /// About it: a text, @FILE or hash; only the hash is stored
    #[arg(long, value_name = "TEXT|@FILE|HASH", value_parser = values::document)]
    meta: Option<B256>,
    /// Whether it can be used
    #[arg(long, value_enum)]
    status: Option<Status>,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// An organisation: id, name, or an account of it
    #[arg(long, default_value = "me")]
    org: String,
    #[command(flatten)]
    viewer: ViewerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The device: id, complete or short
    id: String,
    #[command(flatten)]
    rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AnchorArgs {
    /// The device: id, complete or short
    id: String,
    #[command(flatten)]
    key: DeviceKeyArgs,
    /// Configuration of the gateway that will hand the readings out; it must not run meanwhile
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Take the readings of this column only
    #[arg(long, value_name = "NAME")]
    property: Option<String>,
    #[command(flatten)]
    readings: ReadingsArgs,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RotateKeyArgs {
    /// The device: id, complete or short
    id: String,
    #[command(flatten)]
    key: DeviceKeyArgs,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TransferArgs {
    /// The device: id, complete or short
    id: String,
    /// Who may take it: id, name, or an account; `nobody` takes an offer back
    #[arg(long, value_name = "ORG")]
    to: String,
    #[command(flatten)]
    sender: SenderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AcceptArgs {
    /// The device: id, complete or short
    id: String,
    #[command(flatten)]
    sender: SenderArgs,
}

/// The cell of a place.
fn cell(text: &str) -> Result<u64, String> {
    let place = medina_sdk::place::parse_place(text);
    let cell =
        place.and_then(|(latitude, longitude)| medina_sdk::place::cell_of(latitude, longitude));
    cell.map_err(|error| error.to_string())
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Curve {
    /// Small and fast
    Ed25519,
    /// Of secure elements
    P256,
    /// Of accounts
    Secp256k1,
}

impl From<Curve> for DeviceKind {
    fn from(curve: Curve) -> Self {
        match curve {
            Curve::Ed25519 => Self::Ed25519,
            Curve::P256 => Self::P256,
            Curve::Secp256k1 => Self::Secp256k1,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    Sensor,
    Actuator,
    Device,
    Service,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Status {
    Live = 1,
    Paused = 2,
    Retired = 3,
}

impl From<Kind> for ResourceType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Sensor => Self::Sensor,
            Kind::Actuator => Self::Actuator,
            Kind::Device => Self::Device,
            Kind::Service => Self::Service,
        }
    }
}

pub(crate) async fn run(command: SensorCommand, output: Output) -> Outcome {
    match command {
        SensorCommand::Register(args) => register(args, output).await,
        SensorCommand::Update(args) => update(args, output).await,
        SensorCommand::List(args) => list(args, output).await,
        SensorCommand::Show(args) => show_one(args, output).await,
        SensorCommand::Anchor(args) => anchor(args, output).await,
        SensorCommand::RotateKey(args) => rotate_key(&args, output).await,
        SensorCommand::Transfer(args) => transfer(&args, output).await,
        SensorCommand::Accept(args) => {
            let client = args.sender.connect().await?;
            let id = ids::find(&client, Thing::Sensor, &args.id).await?;
            let receipt = client.accept_sensor(id).await?;
            let org = client.sensor(id).await?.org;
            show::sent(output, json!({ "sensor": id, "org": org }), &receipt);
            Ok(())
        }
    }
}

async fn register(args: RegisterArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let device = args.key.open_or_make()?;
    let signer = device.signer(&client.verifiers());
    let sensor = NewSensor {
        id: args.id.unwrap_or_else(|| keccak256(&signer)),
        device,
        kind: args.kind.into(),
        topic: values::topic(&args.property),
        period_seconds: args.period,
        cell: args.place.unwrap_or(args.cell),
        meta: args.meta,
    };
    let deadline = chain_time(&client).await? + REGISTRATION_SECONDS;
    let receipt = client.register_sensor(&sensor, deadline).await?;
    let value = json!({
        "id": sensor.id,
        "property": args.property,
        "topic": sensor.topic,
        "deviceKey": args.key.named(),
        "transaction": values::transaction(&receipt),
    });
    output.result(&value, || {
        pairs([
            ("sensor", sensor.id.to_string()),
            ("property", args.property.clone()),
            ("device key", args.key.named()),
        ]) + &values::transaction_line(&receipt)
    });
    Ok(())
}

async fn rotate_key(args: &RotateKeyArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let id = ids::find(&client, Thing::Sensor, &args.id).await?;
    let device = args.key.open_or_make()?;
    let deadline = chain_time(&client).await? + REGISTRATION_SECONDS;
    let receipt = client.rotate_sensor_key(id, &device, deadline).await?;
    let facts = json!({ "sensor": id, "deviceKey": args.key.named() });
    show::sent(output, facts, &receipt);
    Ok(())
}

async fn transfer(args: &TransferArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let id = ids::find(&client, Thing::Sensor, &args.id).await?;
    let to = match args.to.as_str() {
        "nobody" => B256::ZERO,
        org => ids::find(&client, Thing::Org, org).await?,
    };
    let receipt = client.offer_sensor(id, to).await?;
    let facts = json!({
        "sensor": id, "offeredTo": to, "next": format!("the other side: medina sensor accept {id}"),
    });
    show::sent(output, facts, &receipt);
    Ok(())
}

async fn update(args: UpdateArgs, output: Output) -> Outcome {
    let client = args.sender.connect_several().await?;
    let id = ids::find(&client, Thing::Sensor, &args.id).await?;
    let now = client.sensor(id).await?;
    let cell = args.place.or(args.cell);
    let mut receipts = Vec::new();
    if args.period.is_some() || cell.is_some() || args.meta.is_some() {
        let period = args.period.unwrap_or(now.period_seconds);
        let (cell, meta) = (cell.unwrap_or(now.cell), args.meta.unwrap_or(now.meta));
        receipts.push(client.update_sensor(id, period, cell, meta).await?);
    }
    if let Some(status) = args.status {
        receipts.push(client.set_sensor_status(id, status as u8).await?);
    }
    if receipts.is_empty() {
        return Err(Failure::new("nothing to change")
            .hint("give --period, --place, --cell, --meta or --status"));
    }
    let sensor = client.sensor(id).await?;
    let facts = json!({ "sensor": values::sensor_json(&sensor) });
    show::sent_all_as(output, facts, &receipts, || described(&sensor));
    Ok(())
}

fn described(sensor: &SensorRecord) -> String {
    pairs([
        ("sensor", sensor.id.to_string()),
        ("organisation", sensor.org.to_string()),
        ("kind", values::word(&sensor.kind)),
        ("status", values::status(sensor.status)),
        ("topic", sensor.topic.to_string()),
        (
            "period",
            medina_sdk::amount::format_duration(sensor.period_seconds.into()),
        ),
        ("place", place_text(sensor.cell)),
        ("device", sensor.signer.to_string()),
        ("owned since", values::moment(sensor.since)),
    ])
}

/// A cell by its south-west corner.
fn place_text(cell: u64) -> String {
    match medina_sdk::place::corner_of(cell) {
        None => "not said".to_owned(),
        Some((latitude, longitude)) => {
            format!("cell {cell}, from {latitude:.2},{longitude:.2} 0.05° north and east")
        }
    }
}

async fn list(args: ListArgs, output: Output) -> Outcome {
    let client = args.viewer.connect().await?;
    let org = ids::find(&client, Thing::Org, &args.viewer.meant(&args.org)?).await?;
    let sensors = client.sensors_of(org).await?;
    let value: Vec<_> = sensors.iter().map(values::sensor_json).collect();
    output.result(&value, || {
        if sensors.is_empty() {
            return format!("organisation {org} has no sensors");
        }
        let mut rows = table(&["sensor", "kind", "status", "topic"]);
        for sensor in &sensors {
            let (id, topic) = (
                sensor.id.to_string(),
                show::short(&sensor.topic.to_string()),
            );
            rows.add_row([
                id,
                values::word(&sensor.kind),
                values::status(sensor.status),
                topic,
            ]);
        }
        rows.to_string()
    });
    Ok(())
}

async fn show_one(args: ShowArgs, output: Output) -> Outcome {
    let client = connect(&args.rpc.rpc).await?;
    let id = ids::find(&client, Thing::Sensor, &args.id).await?;
    let sensor = client.sensor(id).await?;
    let trust = client.trust_report(id).await?;
    let stats = client.anchor_stats(id).await?;
    output.result(
        &json!({ "sensor": values::sensor_json(&sensor), "trust": { "sensor": trust.resource.known().map(values::points), "organisation": trust.organisation.known().map(values::points) }, "anchored": stats }),
        || {
            described(&sensor)
                + &pairs([
                    ("batches", stats.seq.to_string()),
                    ("last reading", values::moment(stats.last)),
                    ("trust", values::points_or_unknown(trust.resource.known())),
                    (
                        "reputation",
                        values::points_or_unknown(trust.organisation.known()),
                    ),
                ])
        },
    );
    Ok(())
}

async fn anchor(args: AnchorArgs, output: Output) -> Outcome {
    let client = args.sender.connect().await?;
    let id = ids::find(&client, Thing::Sensor, &args.id).await?;
    let device = args.key.open()?;
    let config = GatewayConfig::load(&args.config)?;
    let loaded = args.readings.load()?;
    let wanted = |property: &str| args.property.as_deref().is_none_or(|name| name == property);
    let readings: Vec<_> = loaded
        .readings
        .into_iter()
        .filter(|reading| wanted(&reading.property))
        .collect();
    if readings.is_empty() {
        let found = loaded.properties.join(", ");
        return Err(Failure::new("there are no readings to anchor")
            .hint(format!("properties found: {found}")));
    }
    let companion = Companion::open(&config.data, MasterKey::load_or_create(&config.master_key)?)
        .map_err(|error| {
        Failure::from(error).hint("a gateway that runs on this database must be stopped first")
    })?;
    let count = readings.len();
    let (batch, receipt) = anchor_one(&client, &companion, &device, id, readings).await?;
    let value = json!({
        "sensor": id,
        "batch": batch.seq,
        "root": batch.root,
        "readings": count,
        "skipped": loaded.skipped,
        "transaction": values::transaction(&receipt),
    });
    output.result(&value, || {
        let readings = values::count(count, "reading", "readings");
        format!(
            "{readings} anchored as batch {}\n{}{}",
            batch.seq,
            pairs([("root", batch.root.to_string())]),
            values::transaction_line(&receipt)
        )
    });
    Ok(())
}

/// Anchors a batch; one that an interrupted run left behind is dropped, as its
/// readings are in the file again.
async fn anchor_one(
    client: &MarketClient,
    companion: &Companion,
    device: &DeviceKey,
    id: B256,
    readings: Vec<medina_sdk::readings::Reading>,
) -> Outcome<(Batch, Receipt)> {
    let on_chain = client.anchor_stats(id).await?.seq;
    if let Some(pending) = companion.pending(id)? {
        let seq = pending.batch.seq;
        if seq <= on_chain {
            companion.mark_anchored(id, seq, B256::ZERO)?;
        } else {
            companion.drop_pending(id, seq)?;
        }
    }
    let batch = companion.prepare(id, readings)?;
    let signature = client.sign_batch(&batch, device)?;
    let receipt = client.anchor(&batch, signature).await?;
    companion.mark_anchored(id, batch.seq, receipt.hash)?;
    Ok((batch, receipt))
}
