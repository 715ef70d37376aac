//! How a connection to an enclave begins.

use super::check_peer;
use super::link::{Link, Timed, Wire};
use super::tls;
use super::wire::HELLO;
use crate::EnclaveAddress;
use crate::limits::HANDSHAKE_TIME_MAX;
use rustls::ClientConfig;
use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

/// How an attempt ended without an answer.
pub(super) enum Failure {
    /// The enclave never got the whole request.
    NotSent(io::Error),
    /// The enclave may have done what was asked.
    Lost(io::Error),
    /// It will not be better the next time.
    Refused(String),
}

/// A connection whose other side has shown who it is and has greeted.
pub(super) fn connect(
    address: &EnclaveAddress,
    tls: Option<&Arc<ClientConfig>>,
) -> Result<Link, Failure> {
    let mut link = match (address, tls) {
        (EnclaveAddress::Unix(socket), _) => connect_unix(socket)?,
        (EnclaveAddress::Tls(place), Some(config)) => connect_tls(place, config)?,
        (EnclaveAddress::Tls(_), None) => {
            return Err(Failure::Refused("no key is pinned for it".into()));
        }
    };
    let mut greet = || {
        link.send(&HELLO)?;
        let mut hello = [0; HELLO.len()];
        link.read_exact(&mut hello)?;
        Ok(hello)
    };
    let hello = greet().map_err(refused_or_not_sent)?;
    if hello != HELLO {
        let reason = "it speaks another version; use the same program for both";
        return Err(Failure::Refused(reason.into()));
    }
    Ok(link)
}

fn connect_unix(socket: &Path) -> Result<Link, Failure> {
    let stream = UnixStream::connect(socket).map_err(Failure::NotSent)?;
    check_peer(&stream).map_err(Failure::Refused)?;
    let mut timed = Timed::new(Wire::Unix(stream));
    timed
        .within(Some(HANDSHAKE_TIME_MAX))
        .map_err(Failure::NotSent)?;
    Ok(Link::Plain(timed))
}

fn connect_tls(place: &str, config: &Arc<ClientConfig>) -> Result<Link, Failure> {
    let wire = connect_tcp(place).map_err(Failure::NotSent)?;
    let mut timed = Timed::new(wire);
    timed
        .within(Some(HANDSHAKE_TIME_MAX))
        .map_err(Failure::NotSent)?;
    let stream = tls::connect(Arc::clone(config), timed).map_err(refused_or_not_sent)?;
    Ok(Link::Client(Box::new(stream)))
}

/// The first address of a name at which somebody listens.
fn connect_tcp(place: &str) -> io::Result<Wire> {
    let mut failed = io::Error::other("the name stands for no address");
    for address in place.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, HANDSHAKE_TIME_MAX) {
            Ok(stream) => return Wire::tcp(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn refused_or_not_sent(error: io::Error) -> Failure {
    match tls::refusal(&error) {
        Some(reason) => Failure::Refused(reason),
        None => Failure::NotSent(error),
    }
}
