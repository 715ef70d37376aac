//! What one caller may take, each bound passed on purpose against a running server.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use medina_rpc::{AllowedOrigins, RpcConfig};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    num::NonZeroU32,
    time::{Duration, Instant},
};
use support::*;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Longest time that a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);
/// A time-out that a test can wait for.
const SHORT: Duration = Duration::from_millis(300);

fn rate(per_second: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(per_second)
}

/// A connection of our own, on which every byte counts.
struct Raw(TcpStream);

impl Raw {
    async fn open(rpc: &Rpc) -> Self {
        Self(TcpStream::connect(rpc.handle.local_addr()).await.unwrap())
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// A request as it stands on the wire.
    fn request(body: &str) -> String {
        format!(
            "POST / HTTP/1.1\r\nhost: node\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// Head and body of one answer.
    async fn answer(&mut self) -> (String, Value) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().trim().parse().unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        (head, serde_json::from_slice(&body).unwrap())
    }

    async fn ask(&mut self, body: &str) -> (String, Value) {
        self.send(&Self::request(body)).await;
        self.answer().await
    }

    /// Waits until the server closes it; what it said before.
    async fn closed(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let end = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut rest)).await;
        // Closed or reset, it has ended.
        let _ = end.expect("the server did not close the connection");
        rest
    }

    /// Asks for a WebSocket.
    async fn upgrade(&mut self, headers: &str) {
        self.send(&format!(
            "GET / HTTP/1.1\r\nhost: node\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        ))
        .await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        assert!(
            head.starts_with(b"HTTP/1.1 101"),
            "{}",
            String::from_utf8_lossy(&head)
        );
    }

    /// A WebSocket message with an empty mask.
    fn message(text: &str) -> Vec<u8> {
        let length = text.len();
        let mut frame = vec![0x81];
        match u16::try_from(length) {
            Ok(short) if short < 126 => frame.push(0x80 | u8::try_from(length).unwrap()),
            Ok(short) => {
                frame.push(0x80 | 126);
                frame.extend(short.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        frame
    }
}

const CHAIN_ID: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;

fn error_of(answer: &Value) -> (i64, &str) {
    let error = &answer["error"];
    (
        error["code"].as_i64().unwrap_or(0),
        error["message"].as_str().unwrap_or(""),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_above_the_limit_are_told_so_and_places_come_back() {
    let rpc = Rpc::with(|config| config.connections_max = 2).await;
    let mut first = Raw::open(&rpc).await;
    let mut second = Raw::open(&rpc).await;
    // An answer shows that the server has counted it.
    assert_eq!(first.ask(CHAIN_ID).await.1["result"], "0x539");
    assert_eq!(second.ask(CHAIN_ID).await.1["result"], "0x539");
    let mut third = Raw::open(&rpc).await;
    let (head, body) = third.answer().await;
    assert!(head.starts_with("http/1.1 429"), "{head}");
    assert_eq!(error_of(&body).0, -32005);
    assert!(
        error_of(&body).1.starts_with("too many connections"),
        "{body}"
    );
    // Idle connections hold their places, closed ones do not.
    drop(second);
    let begin = Instant::now();
    loop {
        let mut next = Raw::open(&rpc).await;
        let request = Raw::request(CHAIN_ID);
        if next.0.write_all(request.as_bytes()).await.is_ok() {
            let (head, _) = next.answer().await;
            if head.starts_with("http/1.1 200") {
                break;
            }
        }
        assert!(begin.elapsed() < PATIENCE, "no place came back");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_one_address_are_counted() {
    let rpc = Rpc::with(|config| config.connections_per_address_max = 1).await;
    let mut first = Raw::open(&rpc).await;
    first.upgrade("").await;
    let (head, _) = Raw::open(&rpc).await.answer().await;
    assert!(
        head.starts_with("http/1.1 429"),
        "a WebSocket counts, too: {head}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_per_second_of_a_connection_are_limited_and_batches_count_in_full() {
    let rpc = Rpc::with(|config| config.requests_per_second = rate(5)).await;
    let mut one = Raw::open(&rpc).await;
    let mut refused = None;
    for _ in 0..100 {
        let (head, answer) = one.ask(CHAIN_ID).await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        if answer.get("error").is_some() {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a hundred calls at once are too many");
    let (code, text) = error_of(&refused);
    assert_eq!((code, &refused["id"]), (-32005, &json!(1)));
    assert!(
        text.contains("at most 5 per second of one connection"),
        "{text}"
    );
    let batch = format!("[{}]", [CHAIN_ID; 10].join(","));
    let mut other = Raw::open(&rpc).await;
    assert_eq!(other.ask(&batch).await.1[9]["result"], "0x539");
    let (_, answers) = other.ask(&batch).await;
    assert_eq!(answers.as_array().unwrap().len(), 10);
    assert!(
        answers
            .as_array()
            .unwrap()
            .iter()
            .all(|answer| error_of(answer).0 == -32005)
    );
}

const SECRET: &str = "correct-horse-battery";

fn with_key(config: &mut RpcConfig, per_second: Option<NonZeroU32>) {
    config.public = medina_rpc::Access::safe();
    let access = medina_rpc::Access::of(["debug", "admin_peers"]).unwrap();
    let keys = std::mem::take(&mut config.keys);
    config.keys = keys.with("explorer", SECRET, access, per_second).unwrap();
}

async fn posted(rpc: &Rpc, path: &str, header: Option<(&str, &str)>, method: &str) -> (u16, Value) {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": [] });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client
        .post(format!("{}{path}", rpc.url()))
        .header("content-type", "application/json")
        .body(body.to_string());
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (
        status,
        serde_json::from_str(&answer.text().await.unwrap()).unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn key_opens_what_it_names_wherever_a_client_can_put_it() {
    let rpc = Rpc::with(|config| with_key(config, None)).await;
    let (status, closed) = posted(&rpc, "/", None, "admin_peers").await;
    assert_eq!((status, error_of(&closed).0), (200, -32601));
    let bearer = format!("Bearer {SECRET}");
    for (path, header) in [
        ("/".to_owned(), Some(("authorization", bearer.as_str()))),
        ("/".to_owned(), Some(("x-api-key", SECRET))),
        (format!("/key/{SECRET}"), None),
        (format!("/?key={SECRET}"), None),
    ] {
        let (status, open) = posted(&rpc, &path, header, "admin_peers").await;
        assert!(status == 200 && open["result"].is_array(), "{path}: {open}");
        let (_, closed) = posted(&rpc, &path, header, "admin_datadir").await;
        assert_eq!(error_of(&closed).0, -32601, "{path}: {closed}");
        let (_, modules) = posted(&rpc, &path, header, "rpc_modules").await;
        assert_eq!(modules["result"]["debug"], "1.0");
        assert_eq!(modules["result"]["trace"], Value::Null);
    }
    for (path, header) in [
        ("/", Some(("authorization", "Bearer wrong"))),
        ("/", Some(("x-api-key", "wrong"))),
        ("/key/wrong", None),
        ("/?key=wrong", None),
    ] {
        let (status, refused) = posted(&rpc, path, header, "eth_chainId").await;
        assert_eq!(status, 401, "{path}: {refused}");
        assert!(
            error_of(&refused).1.starts_with("unauthorized"),
            "{refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_has_its_own_rate_over_all_connections() {
    let rpc = Rpc::with(|config| with_key(config, rate(3))).await;
    let path = format!("/key/{SECRET}");
    let mut last = Value::Null;
    for _ in 0..50 {
        // A connection each.
        (_, last) = posted(&rpc, &path, None, "eth_chainId").await;
    }
    assert_eq!(error_of(&last).0, -32005);
    assert!(error_of(&last).1.contains("of one API key"), "{last}");
    assert_eq!(
        posted(&rpc, "/", None, "eth_chainId").await.1["result"],
        "0x539"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn key_opens_a_websocket_too() {
    let rpc = Rpc::with(|config| with_key(config, None)).await;
    for (headers, is_open) in [
        (format!("authorization: Bearer {SECRET}\r\n"), true),
        (String::new(), false),
    ] {
        let mut socket = Raw::open(&rpc).await;
        socket.upgrade(&headers).await;
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"admin_peers"}"#;
        socket.0.write_all(&Raw::message(call)).await.unwrap();
        let mut answer = vec![0; 60];
        socket.0.read_exact(&mut answer).await.unwrap();
        let has_result = String::from_utf8_lossy(&answer).contains("result");
        assert_eq!(has_result, is_open, "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn web_page_of_another_origin_gets_no_websocket() {
    let one = vec!["https://wallet.example".to_owned()];
    let rpc = Rpc::with(|config| config.origins = AllowedOrigins::These(one)).await;
    Raw::open(&rpc)
        .await
        .upgrade("origin: https://wallet.example\r\n")
        .await;
    Raw::open(&rpc).await.upgrade("").await;
    let mut evil = Raw::open(&rpc).await;
    evil.send(
        "GET / HTTP/1.1\r\nhost: node\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         origin: https://evil.example\r\n\r\n",
    )
    .await;
    let (head, body) = evil.answer().await;
    assert!(head.starts_with("http/1.1 403"), "{head}");
    assert!(error_of(&body).1.contains("cors_origins"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_may_send_a_key() {
    let rpc = Rpc::start().await;
    let answer = rpc
        .options()
        .header("origin", "https://wallet.example")
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type",
        )
        .send()
        .await
        .unwrap();
    let allowed = answer.headers()["access-control-allow-headers"]
        .to_str()
        .unwrap();
    assert!(allowed.contains("authorization"), "{allowed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_connection_is_closed() {
    let rpc = Rpc::with(|config| config.header_timeout = SHORT).await;
    let mut silent = Raw::open(&rpc).await;
    assert_eq!(silent.closed().await, b"");
    let mut half = Raw::open(&rpc).await;
    half.send("POST / HTTP/1.1\r\nhost: no").await;
    half.closed().await;
    let mut idle = Raw::open(&rpc).await;
    assert_eq!(idle.ask(CHAIN_ID).await.1["result"], "0x539");
    assert_eq!(idle.closed().await, b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn body_that_does_not_arrive_is_an_error() {
    let rpc = Rpc::with(|config| config.body_timeout = SHORT).await;
    let mut slow = Raw::open(&rpc).await;
    let request = Raw::request(CHAIN_ID);
    slow.send(&request[..request.len() - 5]).await;
    let (head, body) = slow.answer().await;
    assert!(head.starts_with("http/1.1 408"), "{head}");
    assert_eq!(error_of(&body).0, -32002);
    assert!(error_of(&body).1.contains("0.3 s"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn body_without_a_length_is_bounded_too() {
    let rpc = Rpc::with(|config| config.request_bytes_max = 10_000).await;
    let mut chunked = Raw::open(&rpc).await;
    chunked
        .send(
            "POST / HTTP/1.1\r\nhost: node\r\ncontent-type: application/json\r\n\
             transfer-encoding: chunked\r\n\r\n",
        )
        .await;
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    for _ in 0..4 {
        // The server may have closed it already.
        let _ = chunked.0.write_all(chunk.as_bytes()).await;
    }
    let _ = chunked.0.write_all(b"0\r\n\r\n").await;
    let (head, body) = chunked.answer().await;
    assert!(head.starts_with("http/1.1 413"), "{head}");
    assert!(error_of(&body).1.contains("too big"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_takes_no_bytes_loses_its_connection_and_costs_no_memory() {
    let rpc = Rpc::with(|config| config.write_timeout = SHORT).await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x0",true]}"#;
    let batch = format!("[{}]", vec![call; 500].join(","));
    let mut greedy = Raw::open(&rpc).await;
    greedy.upgrade("").await;
    let message = Raw::message(&batch);
    let begin = Instant::now();
    // It asks for ever and reads nothing: first the server stops reading, then it closes.
    let sent = async {
        loop {
            if greedy.0.write_all(&message).await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, sent)
        .await
        .expect("the server read for ever");
    assert!(begin.elapsed() >= SHORT);
    assert_eq!(rpc.call("eth_chainId", json!([])).await, "0x539");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_subscriber_is_dropped() {
    let rpc = Rpc::with(|config| {
        config.slow_subscriber_timeout = SHORT;
        config.write_timeout = PATIENCE * 10;
    })
    .await;
    let mut slow = Raw::open(&rpc).await;
    slow.upgrade("").await;
    for id in 0..1_000 {
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": "eth_subscribe", "params": ["newHeads"] });
        slow.0
            .write_all(&Raw::message(&call.to_string()))
            .await
            .unwrap();
    }
    let node = rpc.node.clone();
    let mining = tokio::task::spawn_blocking(move || {
        // A head is more than half a kilobyte: this is far more than sockets hold.
        for _ in 0..60 {
            node.mine();
        }
    });
    mining.await.unwrap();
    // It never reads. That it was cut off it learns from its own writes.
    let message = Raw::message(CHAIN_ID);
    let cut_off = async { while slow.0.write_all(&message).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, cut_off)
        .await
        .expect("the subscriber is still there");
    assert_eq!(rpc.call("eth_chainId", json!([])).await, "0x539");
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_need_a_websocket() {
    let rpc = Rpc::start().await;
    for method in ["eth_subscribe", "eth_unsubscribe"] {
        let refused = rpc.refused(method, json!(["newHeads"])).await;
        assert_eq!(refused, (-32601, "notifications not supported".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_json_is_taken_and_every_refusal_is_json() {
    let rpc = Rpc::start().await;
    for (kind, status) in [
        ("application/json", 200),
        ("application/json; charset=UTF-8", 200),
        ("Application/JSON;charset=utf8", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
    ] {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client
            .post(rpc.url())
            .header("content-type", kind)
            .body(CHAIN_ID);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{kind}");
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(body["jsonrpc"], "2.0", "{kind}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gas_logs_and_trace_time_are_bounded_as_configured() {
    let rpc = Rpc::with(|config| {
        config.call_gas_max = 30_000;
        config.log_blocks_max = 2;
        config.trace_time = Duration::from_millis(1);
        config.trace_time_max = Duration::from_millis(2);
    })
    .await;
    let call = json!([{ "to": LOOPER_AT, "gas": "0xffffffff" }]);
    let (code, text) = rpc.refused("eth_call", call).await;
    assert!(code == -32000 && text.contains("out of gas"), "{text}");
    for _ in 0..3 {
        rpc.node.mine();
    }
    let wide = json!([{ "fromBlock": "0x0", "toBlock": "0x3" }]);
    let (code, text) = rpc.refused("eth_getLogs", wide).await;
    assert_eq!(
        (code, text.as_str()),
        (-32005, "query exceeds max block range 2")
    );
    let rpc = Rpc::with(|config| {
        config.trace_time = Duration::from_millis(1);
        config.trace_time_max = Duration::from_millis(2);
    })
    .await;
    let call = json!([{ "to": LOOPER_AT }, "latest", { "timeout": "1h" }]);
    let (_, text) = rpc.refused("debug_traceCall", call).await;
    assert_eq!(text, "execution timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn address_that_many_share_has_as_many_places_as_configured() {
    let anywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let config = RpcConfig::new(anywhere);
    assert!(config.connections_per_address_max < config.connections_max);
    assert!(config.requests_per_second.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_are_answered_with_nothing_and_odd_ids_with_an_error() {
    let rpc = Rpc::start().await;
    let notification = r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#;
    for body in [notification.to_owned(), format!("[{notification}]")] {
        assert_eq!(rpc.raw(body).await, (200, String::new()));
    }
    let odd = r#"{"jsonrpc":"2.0","id":1.5,"method":"eth_chainId"}"#;
    let (_, answer) = rpc.raw(odd).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((error_of(&answer).0, &answer["id"]), (-32600, &Value::Null));
    let (_, answers) = rpc.raw(format!("[{odd},{notification}]")).await;
    let answers: Value = serde_json::from_str(&answers).unwrap();
    assert_eq!(answers.as_array().unwrap().len(), 1);
}
