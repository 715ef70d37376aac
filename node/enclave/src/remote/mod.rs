//! The enclave as a process of its own: on the same machine behind a unix socket, or on another
//! one behind mutual TLS.
//!
//! The socket may only be opened by its user, and each side asks the system who the other is
//! (`SO_PEERCRED`); over TLS each side proves a key that the other names. Neither has to start
//! first, and either may restart.

mod address;
mod admission;
mod client;
mod dial;
mod link;
mod server;
mod tls;
mod wire;

pub use address::{AddressError, EnclaveAddress};
pub use client::RemoteEnclave;
pub use server::EnclaveServer;
pub use tls::TlsKey;

use crate::limits::RETRY_PAUSE;
use parking_lot::{Condvar, Mutex};
use rustix::net::sockopt::socket_peercred;
use std::os::unix::net::UnixStream;

/// Nothing tells when a socket appears or has room again: look again a little later.
fn pause() {
    let never = Mutex::new(());
    let _ = Condvar::new().wait_for(&mut never.lock(), RETRY_PAUSE);
}

/// Refuses a peer that runs as another user.
fn check_peer(stream: &UnixStream) -> Result<(), String> {
    let peer = socket_peercred(stream).map_err(|error| format!("its user is unknown: {error}"))?;
    let own = rustix::process::geteuid();
    if peer.uid == own {
        return Ok(());
    }
    Err(format!(
        "it runs as user {}, this process as {}",
        peer.uid.as_raw(),
        own.as_raw()
    ))
}

/// Keeps what this process holds out of core dumps, and other processes of its user from reading
/// its memory.
///
/// # Errors
/// What the system says.
pub fn forbid_core_dumps() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
