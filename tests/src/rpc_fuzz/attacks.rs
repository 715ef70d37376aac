//! One attack of each kind.

use rand::{Rng as _, RngCore as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    arguments::{Known, request},
    verdict::Findings,
    wire,
};

/// Sockets that one worker leaves half open.
const LEFT_OPEN_MAX: usize = 8;
/// Time for which a WebSocket is listened to.
const LISTENING: Duration = Duration::from_millis(200);

/// Makes the attack of a number below 100.
pub(super) async fn one(
    attack: u32,
    address: SocketAddr,
    random: &mut ChaCha8Rng,
    known: &Known,
    findings: &Findings,
    left_open: &mut Vec<TcpStream>,
) {
    let ended = match attack {
        0..=59 => single(address, random, known, findings).await,
        60..=69 => batch(address, random, known, findings).await,
        70..=79 => broken(address, random, known, findings).await,
        80..=82 => nested(address, random, findings).await,
        83..=85 => half_open(address, random, known, left_open).await,
        86..=90 => pipeline(address, random, known, findings).await,
        91..=96 => websocket(address, random, known, findings).await,
        97..=98 => slow_reader(address, random, left_open).await,
        _ => large(address, random, findings).await,
    };
    if let Err(error) = ended {
        // Places are limited, and we take all of them.
        let is_refused = error.contains("refused") || error.contains("reset");
        if !is_refused {
            findings.add("no answer", &format!("attack {attack}: {error}"));
        }
    }
}

async fn single(
    address: SocketAddr,
    random: &mut ChaCha8Rng,
    known: &Known,
    findings: &Findings,
) -> Result<(), String> {
    let request = request(random, known);
    let body = request.to_string();
    findings.sent(1);
    let answer = wire::post(address, body.as_bytes()).await;
    let answer = answer.map_err(|error| format!("{error}: {body}"))?;
    findings.judge(body.as_bytes(), &answer, request.get("id").is_none());
    Ok(())
}

async fn batch(
    address: SocketAddr,
    random: &mut ChaCha8Rng,
    known: &Known,
    findings: &Findings,
) -> Result<(), String> {
    let sizes = [0, 1, 2, 10, 50, 999, 1_000, 1_001, 1_100];
    let size = *sizes.choose(random).unwrap_or(&1);
    let is_small = size <= 50;
    let calls: Vec<Value> = (0..size)
        .map(|id| match random.random_range(0..20) {
            0 => json!(null),
            1 => json!([]),
            2 => json!({ "jsonrpc": "2.0", "method": "eth_chainId" }),
            _ if is_small => request(random, known),
            _ => json!({ "jsonrpc": "2.0", "id": id, "method": "eth_blockNumber" }),
        })
        .collect();
    let is_silent = |call: &Value| call.is_object() && call.get("id").is_none();
    let may_be_empty = !calls.is_empty() && calls.iter().all(is_silent);
    let body = Value::from(calls).to_string();
    findings.sent(size);
    let answer = wire::post(address, body.as_bytes()).await?;
    findings.judge(body.as_bytes(), &answer, may_be_empty);
    Ok(())
}

/// A request with bytes changed, left out or put in.
async fn broken(
    address: SocketAddr,
    random: &mut ChaCha8Rng,
    known: &Known,
    findings: &Findings,
) -> Result<(), String> {
    let mut body = request(random, known).to_string().into_bytes();
    for _ in 0..random.random_range(1..8) {
        if body.is_empty() {
            break;
        }
        let at = random.random_range(0..body.len());
        match random.random_range(0..5) {
            0 => body[at] = random.random(),
            1 => _ = body.remove(at),
            2 => body.insert(at, *b"{}[]\",:0\\u\0".choose(random).unwrap_or(&b'{')),
            3 => body.truncate(at),
            _ => {
                let copied = body[at..].to_vec();
                body.extend(copied);
            }
        }
    }
    findings.sent(1);
    let answer = wire::post(address, &body).await?;
    // Without its id it may have become a notification.
    let is_silent = serde_json::from_slice::<Value>(&body)
        .is_ok_and(|body| body.is_object() && body.get("id").is_none());
    findings.judge(&body, &answer, is_silent);
    Ok(())
}

async fn nested(
    address: SocketAddr,
    random: &mut ChaCha8Rng,
    findings: &Findings,
) -> Result<(), String> {
    let depth = random.random_range(1..200_000);
    let (open, close) = *[("[", "]"), ("{\"a\":", "}"), ("[[", "]]")]
        .choose(random)
        .unwrap_or(&("[", "]"));
    let mut inner = open.repeat(depth);
    if random.random() {
        inner.push('1');
        inner.push_str(&close.repeat(depth));
    }
    let body = if random.random() {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_call","params":{inner}}}"#)
    } else {
        inner
    };
    findings.sent(1);
    let answer = wire::post(address, body.as_bytes()).await?;
    findings.judge(body.as_bytes(), &answer, false);
    Ok(())
}

/// Half a request, left as it is.
async fn half_open(
    address: SocketAddr,
    random: &mut ChaCha8Rng,
    known: &Known,
    left_open: &mut Vec<TcpStream>,
) -> Result<(), String> {
    let mut stream = wire::connect(address).await?;
    let body = request(random, known).to_string();
    let whole = wire::head(body.len() + 10, "application/json") + &body;
    let sent = random.random_range(0..whole.len());
    let _ = stream.write_all(&whole.as_bytes()[..sent]).await;
    keep(left_open, stream);
    Ok(())
}

fn keep(left_open: &mut Vec<TcpStream>, stream: TcpStream) {
    if left_open.len() >= LEFT_OPEN_MAX {
        left_open.remove(0);
    }
    left_open.push(stream);
}

/// Several requests before the first answer.
async fn pipeline(
    address: SocketAddr,
    random: &mut ChaCha8Rng,
    known: &Known,
    findings: &Findings,
) -> Result<(), String> {
    let mut stream = wire::connect(address).await?;
    let requests: Vec<Value> = (0..random.random_range(2..20))
        .map(|_| request(random, known))
        .collect();
    let mut bytes = Vec::new();
    for request in &requests {
        let body = request.to_string();
        bytes.extend(wire::head(body.len(), "application/json").into_bytes());
        bytes.extend(body.into_bytes());
    }
    findings.sent(requests.len());
    stream
        .write_all(&bytes)
        .await
        .map_err(|error| error.to_string())?;
    for request in &requests {
        let answer = wire::read_answer(&mut stream).await?;
        let asked = request.to_string();
        findings.judge(asked.as_bytes(), &answer, request.get("id").is_none());
    }
    Ok(())
}

/// Messages, pieces of messages and what is no message.
async fn websocket(
    address: SocketAddr,
    random: &mut ChaCha8Rng,
    known: &Known,
    findings: &Findings,
) -> Result<(), String> {
    let mut stream = wire::connect(address).await?;
    if !wire::upgrade(&mut stream).await? {
        return Ok(());
    }
    let mut asked = Vec::new();
    for _ in 0..random.random_range(1..30) {
        let message = match random.random_range(0..3) {
            0 => subscription(random, known),
            _ => request(random, known),
        };
        let text = message.to_string().into_bytes();
        let length = text.len() as u64;
        let frame = match random.random_range(0..30) {
            // Binary, ping, unknown kinds, a first piece, a lie about the length.
            0 => wire::frame(0x82, length, &text),
            1 => wire::frame(0x89, 4, b"ping"),
            2 => wire::frame(0x80 | random.random_range(3..8), length, &text),
            3 => wire::frame(0x01, length, &text),
            4 => wire::frame(0x81, length << random.random_range(1..40), &text),
            5 => {
                let mut noise = vec![0; 64];
                random.fill_bytes(&mut noise);
                noise
            }
            _ => wire::frame(0x81, length, &text),
        };
        asked = text;
        findings.sent(1);
        if stream.write_all(&frame).await.is_err() {
            break;
        }
    }
    let listen = async {
        while let Some(message) = wire::read_message(&mut stream).await {
            findings.judge_message(&asked, &message);
        }
    };
    // It may have nothing to say, or more than we want to hear.
    let _ = tokio::time::timeout(LISTENING, listen).await;
    Ok(())
}

fn subscription(random: &mut ChaCha8Rng, known: &Known) -> Value {
    let kinds = [
        json!(["newHeads"]),
        json!(["logs", {}]),
        json!(["logs", { "address": known.contract, "topics": [null, []] }]),
        json!(["newPendingTransactions"]),
        json!(["newPendingTransactions", true]),
        json!(["syncing"]),
        json!(["transactionReceipts", {}]),
        json!(["nothing"]),
        json!([]),
        json!([1]),
    ];
    let params = kinds.choose(random).cloned().unwrap_or_default();
    json!({ "jsonrpc": "2.0", "id": random.random::<u16>(), "method": "eth_subscribe", "params": params })
}

/// Asks for a lot and reads next to nothing.
async fn slow_reader(
    address: SocketAddr,
    random: &mut ChaCha8Rng,
    left_open: &mut Vec<TcpStream>,
) -> Result<(), String> {
    let mut stream = wire::connect(address).await?;
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["latest", true],
    });
    let body = Value::from(vec![call; 1_000]).to_string();
    let is_websocket = random.random();
    if is_websocket {
        if !wire::upgrade(&mut stream).await? {
            return Ok(());
        }
        let frame = wire::frame(0x81, body.len() as u64, body.as_bytes());
        for _ in 0..random.random_range(1..8) {
            // A node that has enough does not read on.
            let sent = tokio::time::timeout(LISTENING, stream.write_all(&frame));
            let _ = sent.await;
        }
    } else {
        let _ = stream
            .write_all(wire::head(body.len(), "application/json").as_bytes())
            .await;
        let _ = stream.write_all(body.as_bytes()).await;
    }
    let mut few = [0; 16];
    let _ = tokio::time::timeout(LISTENING, stream.read(&mut few)).await;
    keep(left_open, stream);
    Ok(())
}

/// Bodies around the limit.
async fn large(
    address: SocketAddr,
    random: &mut ChaCha8Rng,
    findings: &Findings,
) -> Result<(), String> {
    let bytes = random.random_range(1_000_000..6_500_000);
    let filler = "a".repeat(bytes);
    let body = match random.random_range(0..3) {
        0 => format!(r#"{{"jsonrpc":"2.0","id":1,"method":"web3_sha3","params":["0x{filler}"]}}"#),
        1 => format!(r#"{{"jsonrpc":"2.0","id":"{filler}","method":"eth_chainId","params":[]}}"#),
        _ => format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{filler}","params":[]}}"#),
    };
    findings.sent(1);
    match wire::post(address, body.as_bytes()).await {
        Ok(answer) => {
            findings.judge(&body.as_bytes()[..200], &answer, false);
            Ok(())
        }
        // It said 413 and closed while we were still talking.
        Err(error) if error.starts_with("closed before") => Ok(()),
        Err(error) => Err(error),
    }
}
