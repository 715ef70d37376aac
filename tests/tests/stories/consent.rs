//! Story 5: a patient lets a carer read a room sensor until Friday, revokes on Wednesday, sees every
//! access, asks for erasure; the leaf answers "erased", all others still prove; no personal string
//! is anywhere on chain.

use crate::town::{AUTHORITY, Town, address, hash, number, quantity, text};
use alloy_primitives::{B256, hex, keccak256};
use medina_contracts::{
    consent_and_access::ConsentAndAccess::{Answered, Revoked},
    data_anchor::DataAnchor::Tombstoned,
};
use medina_sdk::{
    client::{MarketClient, Verdict},
    companion::{Companion, MasterKey, Slot},
    device::DeviceKey,
    merkle::RecordId,
    readings::{Decimal, Reading},
    sealed::random_key,
};
use medina_tests::processes::free_ports;
use serde_json::{Value, json};

/// Runs the room's sensor and the gateway.
const HOME: u32 = 1;
const PATIENT: u32 = 12;
const CARER: u32 = 13;
const RESEARCHER: u32 = 14;
/// Has no id.
const NOBODY: u32 = 15;
const DAY_S: u64 = 86_400;
/// 1970-01-02 was a Friday.
const FIRST_FRIDAY: u64 = 1;
/// Which of the readings is erased.
const ERASED: u32 = 1;
const READINGS: u32 = 5;
/// What must never be on chain.
const PERSONAL: [&str; 9] = [
    "Ada Lovelace, 1815-12-10",
    "Ada Lovelace",
    "Lovelace",
    "1815-12-10",
    "Florence Nightingale, 1820-05-12",
    "Nightingale",
    "1820-05-12",
    "room 12",
    "signed at the bedside",
];

/// The Friday that is at least three days away, at 18:00, and the Wednesday before it at noon.
fn friday_and_wednesday(now: u64) -> (u64, u64) {
    let from = (now + 3 * DAY_S).div_ceil(DAY_S);
    let friday = from + (7 + FIRST_FRIDAY - from % 7) % 7;
    (
        friday * DAY_S + 18 * 3_600,
        (friday - 2) * DAY_S + 12 * 3_600,
    )
}

fn moment(seconds: u64) -> String {
    medina_sdk::moment::format_moment(seconds).replace(" UTC", "")
}

/// A document with a salt, of which only the hash goes on chain.
fn document(town: &Town, name: &str, words: &str) {
    let salt = random_key().unwrap();
    std::fs::write(town.path(name), format!("{salt}\n{words}\n")).unwrap();
}

/// Certified people, each an organisation of its own; their ids.
fn enrol(town: &Town) -> [String; 3] {
    let people = [
        (PATIENT, "Ada Lovelace, 1815-12-10"),
        (CARER, "Florence Nightingale, 1820-05-12"),
        (RESEARCHER, "Charles Babbage, 1791-12-26"),
    ];
    people.map(|(account, person)| {
        let line = format!("user enrol {} --person \"{person}\"", address(account));
        text(&town.succeed(AUTHORITY, &line)["user"]).to_owned()
    })
}

/// The home's database; its gateway has it as long as it runs.
fn companion(town: &Town) -> Companion {
    let key = MasterKey::load_or_create(&town.path("companion.key")).unwrap();
    Companion::open(&town.path("companion"), key).unwrap()
}

/// The room's readings, kept by the home and anchored; every leaf proves.
async fn anchor(town: &Town, home: &MarketClient, sensor: B256) {
    let companion = companion(town);
    let now = town.now().await;
    let reading = |index: u32| {
        let time_ms = (now - 600 + 60 * u64::from(index)) * 1_000;
        let mut reading = Reading::new(time_ms, "presence", Decimal::from(u64::from(index % 2)));
        let who = ("person".to_owned(), "Ada Lovelace in room 12".to_owned());
        reading.labels.extend([who]);
        reading
    };
    let batch = companion
        .prepare(sensor, (0..READINGS).map(reading).collect())
        .unwrap();
    let device = DeviceKey::load(&town.path("room.key")).unwrap();
    let signature = home.sign_batch(&batch, &device).unwrap();
    let receipt = home.anchor(&batch, signature).await.unwrap();
    companion
        .mark_anchored(sensor, batch.seq, receipt.hash)
        .unwrap();
    assert_eq!(
        verdicts(home, &companion, sensor).await,
        vec![Verdict::Valid; 5]
    );
}

fn place(source: B256, index: u32) -> RecordId {
    RecordId {
        source,
        seq: 1,
        index,
    }
}

/// What the chain says of every leaf.
async fn verdicts(chain: &MarketClient, companion: &Companion, sensor: B256) -> Vec<Verdict> {
    let tree = companion.tree(sensor, 1).unwrap();
    let mut verdicts = Vec::new();
    for index in 0..READINGS {
        let leaf = companion.leaf(place(sensor, index)).unwrap();
        let proof = tree.proof(index).unwrap();
        verdicts.push(chain.verify_leaf(sensor, 1, leaf, proof).await.unwrap());
    }
    verdicts
}

#[tokio::test(flavor = "multi_thread")]
async fn patient_lends_a_room_takes_it_back_sees_who_looked_and_is_forgotten() {
    let town = Town::with_clock().await;
    let home = town.client(HOME).await;
    let [patient, carer, researcher] = enrol(&town);
    let line = "sensor register --property presence --period 1m --device-key room.key";
    let sensor = text(&town.succeed(HOME, line)["id"]).to_owned();
    let source: B256 = sensor.parse().unwrap();
    anchor(&town, &home, source).await;
    let line = format!(
        "market list --resource {sensor} --property presence --price 0 --consent {patient}"
    );
    let listing = number(&town.succeed(HOME, &line)["listing"]["id"]);
    let port = free_ports(1);
    town.write_gateway(port);
    town.serve(&listing, &sensor);
    let gateway = town.beside("gateway run --config gateway.toml", "gateway listens");
    let fetch = format!("market fetch {listing} --gateway http://127.0.0.1:{port} --out got.jsonl");
    town.refused(CARER, &fetch, "no access");
    let care = format!("market buy {listing} --purpose care");
    town.refused(CARER, &care, "NoConsent");

    // Until Friday; for care and nothing else; a study too, which ends by itself.
    let (friday, wednesday) = friday_and_wednesday(town.now().await);
    document(
        &town,
        "form.txt",
        "I, Ada Lovelace of room 12, signed at the bedside",
    );
    let grant = |to: &str, purpose: &str| {
        let until = moment(friday);
        format!("consent grant --to {to} --purpose {purpose} --until \"{until}\" --form @form.txt")
    };
    let stolen = format!("{} --scope {patient}", grant(&carer, "care"));
    town.refused(CARER, &stolen, "NotDelegate");
    let granted = town.succeed(PATIENT, &grant(&carer, "care"));
    assert_eq!(granted["until"], friday);
    town.succeed(PATIENT, &grant(&researcher, "study"));
    let is_allowed = |who: &str, purpose: &str| {
        let line = format!("consent check --scope {patient} --user {who} --purpose {purpose}");
        town.succeed(HOME, &line)["allowed"].as_bool().unwrap()
    };
    assert!(is_allowed(&carer, "care") && is_allowed(&researcher, "study"));
    assert!(!is_allowed(&carer, "study") && !is_allowed(&researcher, "care"));
    assert_eq!(town.succeed(CARER, &care)["order"]["state"], "completed");
    town.refused(
        CARER,
        &format!("market buy {listing} --purpose study"),
        "NoConsent",
    );

    assert_eq!(town.succeed(CARER, &fetch)["verified"], READINGS);

    // The home says who looked; nobody else can, and the patient sees all.
    let look = |who: &str, purpose: &str| {
        format!("consent log --scope {patient} --actor {who} --purpose {purpose}")
    };
    town.succeed(HOME, &look(&carer, "care"));
    town.succeed(HOME, &look(&researcher, "study"));
    assert!(
        town.run(NOBODY, &look(&carer, "care")).is_err(),
        "no gateway of anybody"
    );

    // Wednesday: the same block ends it; the study goes on until Friday has come.
    town.until(wednesday).await;
    assert!(is_allowed(&carer, "care"));
    assert_eq!(town.succeed(CARER, &fetch)["verified"], READINGS);
    town.succeed(HOME, &look(&carer, "care"));
    let id = text(&granted["grant"]).to_owned();
    let meddle = format!("consent revoke {id} --scope {patient}");
    town.refused(CARER, &meddle, "NotDelegate");
    let revoked = town.succeed(PATIENT, &format!("consent revoke {id}"));
    assert!(revoked["transaction"]["hash"].is_string());
    assert!(!is_allowed(&carer, "care") && is_allowed(&researcher, "study"));
    town.refused(CARER, &care, "NoConsent");
    town.refused(CARER, &fetch, "no access");
    assert_eq!(
        town.events::<Revoked>(consent_contract(&home)).await.len(),
        1
    );
    let seen = town.succeed(PATIENT, "consent log");
    let seen: Vec<_> = seen.as_array().unwrap().iter().map(access).collect();
    let of = |who: &str, purpose: &str| {
        (
            who.to_owned(),
            keccak256("org-1").to_string(),
            keccak256(purpose).to_string(),
        )
    };
    let expected = [
        of(&carer, "care"),
        of(&researcher, "study"),
        of(&carer, "care"),
    ];
    assert_eq!(seen, expected);
    town.until(friday + 1).await;
    assert!(!is_allowed(&researcher, "study"));

    drop(gateway);
    let companion = companion(&town);
    erasure(&town, &home, &companion, source).await;
    nothing_personal(&town, &companion, source).await;
    town.agree().await;
}

fn consent_contract(chain: &MarketClient) -> alloy_primitives::Address {
    chain.contract("ConsentAndAccess").unwrap()
}

fn access(row: &Value) -> (String, String, String) {
    let field = |name: &str| text(&row[name]).to_owned();
    (field("actor"), field("by"), field("purpose"))
}

/// The patient asks, the home erases one reading in its database and says so on chain.
async fn erasure(town: &Town, home: &MarketClient, companion: &Companion, source: B256) {
    document(
        town,
        "ask.txt",
        "Ada Lovelace, room 12: please erase Monday",
    );
    document(town, "answer.txt", "erased for Ada Lovelace");
    let ask = |kind: &str| format!("consent ask {kind} --about {source} --doc @ask.txt");
    let asked = number(&town.succeed(PATIENT, &ask("erase"))["request"]);
    let unanswered = number(&town.succeed(PATIENT, &ask("access"))["request"]);
    let leaf = companion.leaf(place(source, ERASED)).unwrap();
    let stranger = town.client(CARER).await;
    let refused = stranger.tombstone(source, 1, vec![leaf], B256::ZERO).await;
    let refused = refused.expect_err("not its sensor").to_string();
    assert!(refused.contains("NotSource"), "{refused}");
    assert_eq!(
        verdicts(home, companion, source).await,
        vec![Verdict::Valid; 5]
    );

    companion.erase(&[place(source, ERASED)]).unwrap();
    let reason = keccak256("erasure request");
    home.tombstone(source, 1, vec![leaf], reason).await.unwrap();
    let answer = format!("consent answer {asked} --doc @answer.txt");
    town.refused(CARER, &answer, "NotOwner");
    town.succeed(HOME, &answer);
    assert!(town.run(HOME, &answer).is_err(), "answered once");

    let mut expected = vec![Verdict::Valid; 5];
    expected[1] = Verdict::Erased;
    assert_eq!(verdicts(home, companion, source).await, expected);
    for index in 0..READINGS {
        let slot = companion.record(place(source, index)).unwrap();
        assert_eq!(matches!(slot, Slot::Erased(_)), index == ERASED, "{index}");
    }
    let proof = companion.tree(source, 1).unwrap().proof(0).unwrap();
    let never_was = home
        .verify_leaf(source, 1, B256::repeat_byte(9), proof)
        .await;
    assert_eq!(never_was.unwrap(), Verdict::Unproven);
    let anchor = home.contracts().data_anchor;
    let tombstones = town.events::<Tombstoned>(anchor).await;
    assert_eq!((tombstones.len(), tombstones[0].leaf), (1, leaf));
    let answered = town.events::<Answered>(consent_contract(home)).await;
    assert_eq!(answered.len(), 1);

    // Who does not answer for 30 days is overdue, which everybody sees.
    assert_eq!(town.succeed(CARER, "consent overdue"), json!([]));
    town.later(30 * DAY_S + 1).await;
    let overdue = town.succeed(CARER, "consent overdue");
    assert_eq!(overdue.as_array().unwrap().len(), 1);
    assert_eq!(number(&overdue[0]["request"]), unanswered);
}

/// Looks for people in every byte that the chain has taken in or written: blocks, calls, logs and
/// every word of storage that a transaction changed.
async fn nothing_personal(town: &Town, companion: &Companion, source: B256) {
    let chain = everything(town).await;
    let has = |needle: &[u8]| chain.windows(needle.len()).any(|window| window == needle);
    // What is there is found: a purpose's hash, the erased leaf, the sensor.
    let leaf = companion.leaf(place(source, ERASED)).unwrap();
    assert!(has(keccak256("care").as_slice()) && has(leaf.as_slice()) && has(source.as_slice()));
    for word in PERSONAL {
        let lower = word.to_lowercase();
        for spelling in [word.to_owned(), lower.clone(), word.to_uppercase()] {
            assert!(!has(spelling.as_bytes()), "{spelling} is on chain");
            // A hash without a salt tells whoever can guess.
            let guess = keccak256(&spelling);
            assert!(!has(guess.as_slice()), "the hash of {spelling} is on chain");
        }
        let hexed = hex::encode(&lower);
        assert!(!has(hexed.as_bytes()), "{word} is on chain, in hex");
    }
    for index in (0..READINGS).filter(|index| *index != ERASED) {
        let Slot::Present(stored) = companion.record(place(source, index)).unwrap() else {
            panic!("{index} was not erased");
        };
        assert!(!has(&stored.record) && !has(stored.salt.as_slice()));
        assert!(!has(keccak256(&stored.record).as_slice()));
    }
}

/// Every byte of the chain since genesis.
async fn everything(town: &Town) -> Vec<u8> {
    let head = quantity(&town.ask("eth_blockNumber", json!([])).await);
    let mut bytes = Vec::new();
    let mut transactions = 0;
    for height in 1..=head {
        let at = format!("{height:#x}");
        let block = town.ask("eth_getBlockByNumber", json!([at, true])).await;
        collect(&block, &mut bytes);
        let receipts = town.ask("eth_getBlockReceipts", json!([at])).await;
        collect(&receipts, &mut bytes);
        for transaction in block["transactions"].as_array().unwrap() {
            let tracer =
                json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } });
            let params = json!([hash(&transaction["hash"]), tracer]);
            let changed = town.ask("debug_traceTransaction", params).await;
            assert!(changed["post"].is_object(), "{changed}");
            collect(&changed["post"], &mut bytes);
            transactions += 1;
        }
    }
    assert!(transactions > 15, "the story has happened: {transactions}");
    bytes
}

/// The bytes of all texts in an answer: those in hex decoded, others as they are.
fn collect(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::String(text) => {
            let digits = text.strip_prefix("0x").and_then(|digits| {
                let even = if digits.len() % 2 == 0 { "" } else { "0" };
                hex::decode(format!("{even}{digits}")).ok()
            });
            bytes.extend(digits.unwrap_or_else(|| text.as_bytes().to_vec()));
            bytes.push(0);
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, bytes)),
        Value::Object(fields) => {
            for (name, value) in fields {
                collect(&Value::String(name.clone()), bytes);
                collect(value, bytes);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
