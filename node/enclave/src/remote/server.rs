//! The enclave's side: a thread per connection, a bounded number of them.

use super::admission::Admission;
use super::link::{Link, Timed, Wire};
use super::tls::{self, TlsKey};
use super::wire::{self, HELLO, Request};
use super::{check_peer, pause};
use crate::limits::{CALL_TIME_MAX, HANDSHAKE_TIME_MAX};
use crate::{Enclave, EnclaveAddress, EnclaveError, key_files};
use medina_types::NodePublicKey;
use rustls::ServerConfig;
use std::io::{self, Read};
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Serves an enclave until it is dropped.
pub struct EnclaveServer {
    address: EnclaveAddress,
    shared: Arc<Shared>,
    listener: Arc<Listener>,
    listening: Option<JoinHandle<()>>,
}

enum Listener {
    Unix(UnixListener, PathBuf),
    Tls(TcpListener, Arc<ServerConfig>),
}

struct Shared {
    enclave: Arc<dyn Enclave>,
    stopping: AtomicBool,
    connections: Arc<Admission>,
}

impl EnclaveServer {
    /// Listens on a socket; its folder is made for its owner only if there is none.
    ///
    /// # Errors
    /// [`EnclaveError::KeyFile`] if others may reach the folder, [`EnclaveError::Unreachable`] if
    /// the socket cannot be opened or another process answers on it.
    pub fn start(enclave: Arc<dyn Enclave>, socket: &Path) -> Result<Self, EnclaveError> {
        if let Some(folder) = socket.parent() {
            key_files::private_folder(folder)?;
        }
        let address = EnclaveAddress::Unix(socket.to_owned());
        let listener = bind(socket).map_err(|error| unreachable(&address, &error))?;
        Self::listen(
            enclave,
            address,
            Listener::Unix(listener, socket.to_owned()),
        )
    }

    /// Listens on a port, for the holders of the keys `peers` only, and proves `key` to them. Port
    /// 0 takes a free one.
    ///
    /// # Errors
    /// [`EnclaveError::Unreachable`] if the port cannot be had, [`EnclaveError::BadRequest`]
    /// without a peer.
    pub fn start_tls(
        enclave: Arc<dyn Enclave>,
        place: &str,
        key: &TlsKey,
        peers: &[NodePublicKey],
    ) -> Result<Self, EnclaveError> {
        let config = tls::server(key, peers)?;
        let wanted = EnclaveAddress::Tls(place.to_owned());
        let bound = TcpListener::bind(place)
            .and_then(|listener| listener.local_addr().map(|place| (listener, place)));
        let (listener, place) = bound.map_err(|error| unreachable(&wanted, &error))?;
        let address = EnclaveAddress::Tls(place.to_string());
        Self::listen(enclave, address, Listener::Tls(listener, config))
    }

    fn listen(
        enclave: Arc<dyn Enclave>,
        address: EnclaveAddress,
        listener: Listener,
    ) -> Result<Self, EnclaveError> {
        let listener = Arc::new(listener);
        let shared = Arc::new(Shared {
            enclave,
            stopping: AtomicBool::new(false),
            connections: Arc::default(),
        });
        let listening = thread::Builder::new()
            .name("enclave".into())
            .spawn({
                let (shared, listener) = (Arc::clone(&shared), Arc::clone(&listener));
                move || shared.listen(&listener)
            })
            .map_err(|error| EnclaveError::Store(format!("no thread: {error}")))?;
        Ok(Self {
            address,
            shared,
            listener,
            listening: Some(listening),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &EnclaveAddress {
        &self.address
    }
}

impl Drop for EnclaveServer {
    /// Ends calls under way, then everything.
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the listening thread, also if somebody removed the socket's file.
        let _ = rustix::net::shutdown(self.listener.as_fd(), rustix::net::Shutdown::Both);
        if let Some(listening) = self.listening.take() {
            // A panic there was reported by its hook.
            let _ = listening.join();
        }
        self.shared.connections.end_all();
        if let Listener::Unix(_, socket) = self.listener.as_ref() {
            let _ = std::fs::remove_file(socket);
        }
    }
}

impl Listener {
    fn accept(&self) -> io::Result<Wire> {
        match self {
            Self::Unix(listener, _) => listener.accept().map(|(stream, _)| Wire::Unix(stream)),
            Self::Tls(listener, _) => Wire::tcp(listener.accept()?.0),
        }
    }

    /// Learns whose a connection is; an error if it is nobody's who may ask.
    fn check(&self, wire: Wire) -> io::Result<Link> {
        let kept = wire.try_clone()?;
        if let Wire::Unix(stream) = &wire {
            check_peer(stream).map_err(io::Error::other)?;
        }
        let mut timed = Timed::new(wire);
        timed.within(Some(HANDSHAKE_TIME_MAX))?;
        Ok(match self {
            Self::Unix(..) => Link::Plain(timed),
            Self::Tls(_, config) => {
                let stream = tls::accept(Arc::clone(config), timed, &kept)?;
                Link::Server(Box::new(stream))
            }
        })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(listener, _) => listener.as_fd(),
            Self::Tls(listener, _) => listener.as_fd(),
        }
    }
}

fn unreachable(address: &EnclaveAddress, error: &io::Error) -> EnclaveError {
    EnclaveError::Unreachable {
        socket: address.to_string(),
        reason: error.to_string(),
    }
}

/// Opens the socket for this user only; one that nobody answers on is left over from a kill.
fn bind(socket: &Path) -> io::Result<UnixListener> {
    if std::fs::symlink_metadata(socket).is_ok_and(|found| found.file_type().is_socket()) {
        if UnixStream::connect(socket).is_ok() {
            return Err(io::Error::other("another process serves on it"));
        }
        std::fs::remove_file(socket)?;
    }
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl Shared {
    fn listen(self: &Arc<Self>, listener: &Arc<Listener>) {
        loop {
            let accepted = listener.accept();
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            match accepted {
                Ok(wire) => self.admit(listener, wire),
                Err(error) => {
                    tracing::warn!(%error, "the enclave refused a connection");
                    pause();
                }
            }
        }
    }

    fn admit(self: &Arc<Self>, listener: &Arc<Listener>, wire: Wire) {
        let Ok(kept) = wire.try_clone() else {
            return;
        };
        let Some(number) = self.connections.enter(kept) else {
            return;
        };
        let (shared, connections) = (Arc::clone(self), Arc::clone(&self.connections));
        let listener = Arc::clone(listener);
        let serving = thread::Builder::new()
            .name(format!("enclave {number}"))
            .spawn(move || {
                shared.serve_one(&listener, wire, number);
                // First: who finds no connection any more may open the enclave's folder anew.
                drop((shared, listener));
                connections.leave(number);
            });
        match serving {
            Ok(serving) => self.connections.served_by(number, serving),
            Err(error) => {
                self.connections.leave(number);
                tracing::warn!(%error, "the enclave has no thread for a connection");
            }
        }
    }

    fn serve_one(&self, listener: &Listener, wire: Wire, number: u64) {
        let link = match listener.check(wire) {
            Ok(link) => link,
            Err(reason) => {
                tracing::warn!(%reason, "refused a connection to the enclave");
                return;
            }
        };
        if !self.connections.prove(number) {
            return;
        }
        if let Err(error) = self.serve(link) {
            tracing::debug!(%error, "a connection to the enclave ended");
        }
    }

    fn serve(&self, mut link: Link) -> io::Result<()> {
        link.send(&HELLO)?;
        let mut hello = [0; HELLO.len()];
        link.read_exact(&mut hello)?;
        if hello != HELLO {
            return Err(io::Error::other("it speaks another protocol"));
        }
        while !self.stopping.load(Ordering::SeqCst) {
            // The next call may come at any time, but then it comes as a whole.
            link.within(None)?;
            let Some(first) = wire::begin(&mut link)? else {
                break;
            };
            link.within(Some(CALL_TIME_MAX))?;
            let request: Request = wire::rest(first, &mut link)?;
            let reply = wire::answer(self.enclave.as_ref(), &request);
            drop(request);
            link.within(Some(CALL_TIME_MAX))?;
            link.send(&wire::frame(&reply)?)?;
        }
        link.end();
        Ok(())
    }
}
