//! The enclave's side of the socket: a thread per connection, a bounded number of them.

use super::wire::{self, HELLO, Request};
use super::{check_peer, pause};
use crate::limits::{CALL_TIME_MAX, CONNECTIONS_MAX};
use crate::{Enclave, EnclaveError, key_files};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Serves an enclave on a unix socket until it is dropped.
pub struct EnclaveServer {
    shared: Arc<Shared>,
    listener: Arc<UnixListener>,
    listening: Option<JoinHandle<()>>,
}

struct Shared {
    enclave: Arc<dyn Enclave>,
    socket: PathBuf,
    stopping: AtomicBool,
    connections: Arc<Mutex<Connections>>,
}

#[derive(Default)]
struct Connections {
    next: u64,
    open: BTreeMap<u64, (UnixStream, Option<JoinHandle<()>>)>,
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
        let listener = bind(socket).map_err(|error| EnclaveError::Unreachable {
            socket: socket.display().to_string(),
            reason: error.to_string(),
        })?;
        let listener = Arc::new(listener);
        let shared = Arc::new(Shared {
            enclave,
            socket: socket.to_owned(),
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
            shared,
            listener,
            listening: Some(listening),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.shared.socket
    }
}

impl Drop for EnclaveServer {
    /// Ends calls under way, then everything.
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the listening thread, also if somebody removed the socket's file.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        if let Some(listening) = self.listening.take() {
            // A panic there was reported by its hook.
            let _ = listening.join();
        }
        let open = std::mem::take(&mut self.shared.connections.lock().open);
        for (stream, serving) in open.into_values() {
            // Reading ends; an answer under way still goes out.
            let _ = stream.shutdown(Shutdown::Read);
            if let Some(serving) = serving {
                let _ = serving.join();
            }
        }
        let _ = std::fs::remove_file(&self.shared.socket);
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
    fn listen(self: &Arc<Self>, listener: &UnixListener) {
        for stream in listener.incoming() {
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            match stream {
                Ok(stream) => self.admit(stream),
                Err(error) => {
                    tracing::warn!(%error, "the enclave's socket refused a connection");
                    pause();
                }
            }
        }
    }

    fn admit(self: &Arc<Self>, stream: UnixStream) {
        if let Err(reason) = check_peer(&stream) {
            tracing::warn!(%reason, "refused a connection to the enclave");
            return;
        }
        let mut connections = self.connections.lock();
        if connections.open.len() >= CONNECTIONS_MAX {
            tracing::warn!(CONNECTIONS_MAX, "the enclave has no room for a connection");
            return;
        }
        let number = connections.next;
        connections.next += 1;
        let Ok(kept) = stream.try_clone() else {
            return;
        };
        connections.open.insert(number, (kept, None));
        let (shared, all) = (Arc::clone(self), Arc::clone(&self.connections));
        let serving = thread::Builder::new()
            .name(format!("enclave {number}"))
            .spawn(move || {
                if let Err(error) = shared.serve(stream) {
                    tracing::debug!(%error, "a connection to the enclave ended");
                }
                // First: who finds no connection any more may open the enclave's folder anew.
                drop(shared);
                all.lock().open.remove(&number);
            });
        match serving {
            Ok(serving) => {
                if let Some((_, handle)) = connections.open.get_mut(&number) {
                    *handle = Some(serving);
                }
            }
            Err(error) => {
                connections.open.remove(&number);
                tracing::warn!(%error, "the enclave has no thread for a connection");
            }
        }
    }

    fn serve(&self, mut stream: UnixStream) -> io::Result<()> {
        stream.set_write_timeout(Some(CALL_TIME_MAX))?;
        stream.write_all(&HELLO)?;
        let mut hello = [0; HELLO.len()];
        stream.read_exact(&mut hello)?;
        if hello != HELLO {
            return Err(io::Error::other("it speaks another protocol"));
        }
        while let Some(request) = wire::read::<Request>(&mut stream)? {
            let reply = wire::answer(self.enclave.as_ref(), &request);
            drop(request);
            stream.write_all(&wire::frame(&reply)?)?;
        }
        Ok(())
    }
}
