//! A connection's socket, which gives up on who takes no bytes.
//!
//! Who reads nothing for as long as the configuration allows is closed, so that
//! half-open connections and dead subscribers go away. Reading pauses as
//! [`super::flow`] says.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

use super::{accept::Place, flow::Flow};

/// A socket with its place among all connections, which it holds until it is
/// dropped, upgraded or not.
pub(crate) struct Socket {
    stream: TcpStream,
    flow: Arc<Flow>,
    write_timeout: Duration,
    /// Runs while the other side takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

impl Socket {
    pub(crate) fn new(
        stream: TcpStream,
        flow: Arc<Flow>,
        write_timeout: Duration,
        place: Place,
    ) -> Self {
        Self {
            stream,
            flow,
            write_timeout,
            stalled: None,
            _place: place,
        }
    }

    /// Takes note of what became of an attempt to write.
    fn on_write(
        &mut self,
        context: &mut Context<'_>,
        attempt: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match attempt {
            Poll::Ready(Ok(bytes)) => {
                self.stalled = None;
                self.flow.on_written(bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.flow.on_stalled(context);
                if self.flow.is_cut() {
                    return Poll::Ready(Err(cut()));
                }
                let until = Instant::now() + self.write_timeout;
                let stalled = self
                    .stalled
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
                ready!(stalled.as_mut().poll(context));
                // Reading pauses while nothing can be written: it must end, too.
                self.flow.cut();
                Poll::Ready(Err(cut()))
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let may_read = this.flow.may_read(context);
        if this.flow.is_cut() {
            return Poll::Ready(Err(cut()));
        }
        if !may_read {
            return Poll::Pending;
        }
        Pin::new(&mut this.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let attempt = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.on_write(context, attempt)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let attempt = Pin::new(&mut this.stream).poll_write_vectored(context, parts);
        this.on_write(context, attempt)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// Why a connection ends before its time.
fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the other side takes no bytes")
}

/// Addresses as limits count them: an IPv6 network of 64 bits is one subscriber.
pub(crate) fn counted(address: SocketAddr) -> std::net::IpAddr {
    match address.ip().to_canonical() {
        std::net::IpAddr::V6(ip) => {
            let network = u128::from(ip) >> 64 << 64;
            std::net::IpAddr::V6(network.into())
        }
        ip => ip,
    }
}
