//! Connections are bounded in number, and none stays open in silence.
//!
//! Requests have their own bounds; these two are for clients that connect and then send nothing,
//! or one byte a minute.

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

/// A connection that ends when nothing was read for too long.
pub(super) struct BoundedStream {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    _slot: OwnedSemaphorePermit,
}

impl BoundedStream {
    fn new(stream: TcpStream, slot: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            silence: Box::pin(tokio::time::sleep(patience())),
            _slot: slot,
        }
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
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                self.silence.as_mut().reset(Instant::now() + patience());
                Poll::Ready(read)
            }
            Poll::Pending => self.silence.as_mut().poll(context).map(|()| {
                Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client is silent",
                ))
            }),
        }
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
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

    #[tokio::test]
    async fn silent_connection_ends_and_a_speaking_one_stays() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let mut listener = BoundedListener::new(listener);
        let address = listener.local_addr().expect("an address");
        let mut client = TcpStream::connect(address).await.expect("connects");
        let (mut accepted, _) = listener.accept().await;
        client.write_all(b"x").await.expect("writes");
        // What was read counts anew, even if the time was nearly over.
        accepted
            .silence
            .as_mut()
            .reset(Instant::now() + Duration::from_secs(5));
        assert_eq!(accepted.read_u8().await.expect("reads"), b'x');
        assert!(accepted.silence.deadline() > Instant::now() + Duration::from_secs(60));
        accepted.silence.as_mut().reset(Instant::now());
        let error = accepted.read_u8().await.expect_err("silence");
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
