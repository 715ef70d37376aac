//! One connection between node and enclave, whatever carries it. Reading and writing
//! end in time, also where the other side sends a byte now and then.

use rustix::net::sockopt;
use rustix::net::{RecvFlags, recv};
use rustls::{ClientConnection, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Silence after which the system asks whether the other machine is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// Time between two such questions.
const KEEPALIVE_PERIOD: Duration = Duration::from_secs(5);
/// Unanswered questions after which the connection is dead.
const KEEPALIVE_QUESTIONS: u32 = 3;

/// A connection as the system gives it.
#[derive(Debug)]
pub(super) enum Wire {
    /// On this machine.
    Unix(UnixStream),
    /// To another machine, or to this one.
    Tcp(TcpStream),
}

impl Wire {
    /// A TCP connection that says at once what it has to say, and notices when the other machine
    /// is gone.
    pub(super) fn tcp(stream: TcpStream) -> io::Result<Self> {
        sockopt::set_tcp_nodelay(&stream, true)?;
        sockopt::set_socket_keepalive(&stream, true)?;
        sockopt::set_tcp_keepidle(&stream, KEEPALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(&stream, KEEPALIVE_PERIOD)?;
        sockopt::set_tcp_keepcnt(&stream, KEEPALIVE_QUESTIONS)?;
        Ok(Self::Tcp(stream))
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
        })
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.shutdown(how),
            Self::Tcp(stream) => stream.shutdown(how),
        }
    }

    /// Whether it is open and the other side has said nothing: an answer nobody waits for, or the
    /// end, means that it is of no more use.
    fn is_quiet(&self) -> bool {
        let mut byte = [0; 1];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let heard = recv(self.as_fd(), &mut byte, flags);
        matches!(heard, Err(rustix::io::Errno::AGAIN))
    }

    fn set_timeouts(&self, time: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Unix(stream) => {
                stream.set_read_timeout(time)?;
                stream.set_write_timeout(time)
            }
            Self::Tcp(stream) => {
                stream.set_read_timeout(time)?;
                stream.set_write_timeout(time)
            }
        }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

/// A connection with a time at which waiting for it ends.
#[derive(Debug)]
pub(super) struct Timed {
    wire: Wire,
    until: Option<Instant>,
}

impl Timed {
    pub(super) fn new(wire: Wire) -> Self {
        Self { wire, until: None }
    }

    /// What follows ends within this time, all in all; without one it waits for ever.
    pub(super) fn within(&mut self, time: Option<Duration>) -> io::Result<()> {
        self.until = time.map(|time| Instant::now() + time);
        self.wire.set_timeouts(time)
    }

    /// Takes what is left off the time.
    fn pass(&self) -> io::Result<()> {
        let Some(until) = self.until else {
            return Ok(());
        };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.wire.set_timeouts(Some(left))
    }
}

/// The system says that it "would block" where the time has passed.
fn in_time<T>(done: io::Result<T>) -> io::Result<T> {
    done.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    })
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.pass()?;
        in_time(match &mut self.wire {
            Wire::Unix(stream) => stream.read(buffer),
            Wire::Tcp(stream) => stream.read(buffer),
        })
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pass()?;
        in_time(match &mut self.wire {
            Wire::Unix(stream) => stream.write(bytes),
            Wire::Tcp(stream) => stream.write(bytes),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection whose other side has shown who it is.
pub(super) enum Link {
    /// A unix socket.
    Plain(Timed),
    /// TLS, the node's side.
    Client(Box<StreamOwned<ClientConnection, Timed>>),
    /// TLS, the enclave's side.
    Server(Box<StreamOwned<ServerConnection, Timed>>),
}

impl Link {
    fn timed(&mut self) -> &mut Timed {
        match self {
            Self::Plain(timed) => timed,
            Self::Client(stream) => &mut stream.sock,
            Self::Server(stream) => &mut stream.sock,
        }
    }

    /// See [`Timed::within`].
    pub(super) fn within(&mut self, time: Option<Duration>) -> io::Result<()> {
        self.timed().within(time)
    }

    /// See [`Wire::is_quiet`].
    pub(super) fn is_quiet(&mut self) -> bool {
        self.timed().wire.is_quiet()
    }

    /// Sends bytes, all of them.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.flush()
    }

    /// Says that nothing follows.
    pub(super) fn end(&mut self) {
        if let Self::Server(stream) = self {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Client(stream) => stream.read(buffer),
            Self::Server(stream) => stream.read(buffer),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Client(stream) => stream.write(bytes),
            Self::Server(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Client(stream) => stream.flush(),
            Self::Server(stream) => stream.flush(),
        }
    }
}
