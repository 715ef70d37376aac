//! HTTP and WebSocket as bytes, so that they can be wrong on purpose.

use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Longest time that a node may take for an answer.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(90);
/// Bytes of an answer that are read: more than any node may send.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An HTTP answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Connects, which the node's limits may refuse.
pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let connected = tokio::time::timeout(Duration::from_secs(10), TcpStream::connect(address));
    connected
        .await
        .map_err(|_| "no connection in time".to_owned())?
        .map_err(|error| error.to_string())
}

/// Head of a POST.
pub(super) fn head(length: usize, content_type: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: node\r\ncontent-type: {content_type}\r\n\
         content-length: {length}\r\n\r\n"
    )
}

/// Posts a body on a connection of its own.
pub(super) async fn post(address: SocketAddr, body: &[u8]) -> Result<Answer, String> {
    let mut stream = connect(address).await?;
    let head = head(body.len(), "application/json");
    // A node that has read enough answers before it has read all.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body).await;
    read_answer(&mut stream).await
}

/// Reads one answer.
pub(super) async fn read_answer(stream: &mut TcpStream) -> Result<Answer, String> {
    let read = tokio::time::timeout(ANSWER_TIME, read_whole(stream));
    read.await.map_err(|_| "no answer in time".to_owned())?
}

async fn read_whole(stream: &mut TcpStream) -> Result<Answer, String> {
    let failed = |error: std::io::Error| format!("closed before the answer: {error}");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.map_err(failed)?);
        if head.len() > 64 * 1024 {
            return Err("the answer's head does not end".to_owned());
        }
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse::<usize>().ok());
    let length = length.unwrap_or(0).min(ANSWER_BYTES_MAX);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map_err(failed)?;
    Ok(Answer {
        status: status.ok_or_else(|| format!("no HTTP: {head:?}"))?,
        body,
    })
}

/// Asks for a WebSocket; false where the node refuses.
pub(super) async fn upgrade(stream: &mut TcpStream) -> Result<bool, String> {
    let request = "GET / HTTP/1.1\r\nhost: node\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let text = |error: std::io::Error| error.to_string();
    stream.write_all(request.as_bytes()).await.map_err(text)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.map_err(text)?);
    }
    Ok(head.starts_with(b"HTTP/1.1 101"))
}

/// A frame with an empty mask: its first byte, the length as told, the payload.
pub(super) fn frame(first: u8, told: u64, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(told) {
        Ok(short) if short < 126 => frame.push(0x80 | short.to_be_bytes()[1]),
        Ok(short) => {
            frame.push(0x80 | 126);
            frame.extend(short.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend(told.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// The next text message, `None` when the connection has ended; other frames are
/// passed over.
pub(super) async fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    loop {
        let (first, second) = (stream.read_u8().await.ok()?, stream.read_u8().await.ok()?);
        let length = match second & 0x7f {
            126 => u64::from(stream.read_u16().await.ok()?),
            127 => stream.read_u64().await.ok()?,
            short => u64::from(short),
        };
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= ANSWER_BYTES_MAX)?;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.ok()?;
        match first & 0x0f {
            1 => return Some(payload),
            8 => return None,
            _ => {}
        }
    }
}
