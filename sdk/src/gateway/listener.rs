//! Connections are bounded in number, and none stays open in silence.
//!
//! Requests have their own bounds; these two are for clients that connect and then send nothing,
//! or one byte a minute, or do not take their answer. A request has its time from its first byte
//! to the first bytes of its answer; what arrives in between gives it no more.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use crate::limits::{GATEWAY_CONNECTIONS_MAX, GATEWAY_IDLE_SECONDS_MAX};

/// Accepts connections while there is room; the rest waits in the system's own queue.
pub(super) struct BoundedListener {
    listener: TcpListener,
    slots: Arc<Semaphore>,
}

impl BoundedListener {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            slots: Arc::new(Semaphore::new(GATEWAY_CONNECTIONS_MAX)),
        }
    }
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let slot = self
            .slots
            .clone()
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (BoundedStream::new(stream, slot), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when neither a request begins nor an answer goes on for too long.
pub(super) struct BoundedStream {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    /// Whether bytes of a request came since the last bytes of an answer went.
    is_asking: bool,
    _slot: OwnedSemaphorePermit,
}

impl BoundedStream {
    fn new(stream: TcpStream, slot: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            silence: Box::pin(tokio::time::sleep(patience())),
            is_asking: false,
            _slot: slot,
        }
    }

    fn begin_anew(&mut self) {
        self.silence.as_mut().reset(Instant::now() + patience());
    }

    /// An error once the time is over, which also wakes the connection.
    fn poll_silence<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.silence.as_mut().poll(context).map(|()| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client is silent",
            ))
        })
    }
}

fn patience() -> Duration {
    Duration::from_secs(GATEWAY_IDLE_SECONDS_MAX)
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                if buffer.filled().len() > before && !self.is_asking {
                    self.is_asking = true;
                    self.begin_anew();
                }
                Poll::Ready(read)
            }
            Poll::Pending => self.poll_silence(context),
        }
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(written) => {
                self.is_asking = false;
                self.begin_anew();
                Poll::Ready(written)
            }
            Poll::Pending => self.poll_silence(context),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn pair() -> (TcpStream, BoundedStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let mut listener = BoundedListener::new(listener);
        let address = listener.local_addr().expect("an address");
        let client = TcpStream::connect(address).await.expect("connects");
        let (accepted, _) = listener.accept().await;
        (client, accepted)
    }

    fn nearly_over(stream: &mut BoundedStream) {
        let soon = Instant::now() + Duration::from_secs(5);
        stream.silence.as_mut().reset(soon);
    }

    fn has_time(stream: &BoundedStream) -> bool {
        stream.silence.deadline() > Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test]
    async fn silent_connection_ends() {
        let (_client, mut accepted) = pair().await;
        accepted.silence.as_mut().reset(Instant::now());
        let error = accepted.read_u8().await.expect_err("silence");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn request_has_its_time_from_the_first_byte_and_more_bytes_give_no_more() {
        let (mut client, mut accepted) = pair().await;
        nearly_over(&mut accepted);
        client.write_all(b"GE").await.expect("writes");
        assert_eq!(accepted.read_u8().await.expect("reads"), b'G');
        assert!(has_time(&accepted), "a request begins");
        // One byte a minute is no request either.
        nearly_over(&mut accepted);
        assert_eq!(accepted.read_u8().await.expect("reads"), b'E');
        assert!(!has_time(&accepted), "the same request");
        accepted.write_all(b"answer").await.expect("writes");
        assert!(has_time(&accepted), "an answer");
        nearly_over(&mut accepted);
        client.write_all(b"G").await.expect("writes");
        assert_eq!(accepted.read_u8().await.expect("reads"), b'G');
        assert!(has_time(&accepted), "the next request");
    }

    #[tokio::test]
    async fn client_that_does_not_take_its_answer_is_left() {
        let (_client, mut accepted) = pair().await;
        let answer = vec![0; 64 * 1024 * 1024];
        // The system's own buffers take some of it.
        let filling = accepted.write_all(&answer);
        let filled = tokio::time::timeout(Duration::from_millis(300), filling).await;
        assert!(filled.is_err(), "nobody reads");
        accepted.silence.as_mut().reset(Instant::now());
        let error = accepted.write_all(&answer).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn closed_connection_gives_its_place_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let mut listener = BoundedListener::new(listener);
        let address = listener.local_addr().expect("an address");
        let _client = TcpStream::connect(address).await.expect("connects");
        let (accepted, _) = listener.accept().await;
        assert_eq!(
            listener.slots.available_permits(),
            GATEWAY_CONNECTIONS_MAX - 1
        );
        drop(accepted);
        assert_eq!(listener.slots.available_permits(), GATEWAY_CONNECTIONS_MAX);
    }
}
