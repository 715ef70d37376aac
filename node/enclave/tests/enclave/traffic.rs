//! What goes over the wire between node and enclave, and who may sit in between.

use crate::common::{LOOPBACK, Place, SECRET, caller, keys_in, place_of, terms};
use medina_enclave::{Enclave, EnclaveConfig, EnclaveServer, LocalEnclave, RemoteEnclave};
use parking_lot::Mutex;
use proptest::prelude::*;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// What a wiretap does to the bytes that pass, told how many passed before them.
type Change = Arc<dyn Fn(usize, &mut [u8]) + Send + Sync>;

/// Listens between node and enclave, and keeps what it hears.
struct Wiretap {
    place: String,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Wiretap {
    /// Takes `connections` connections, one after the other.
    fn before(place: String, connections: usize, change: Change) -> Self {
        let listener = TcpListener::bind(LOOPBACK).expect("a port");
        let own = listener.local_addr().expect("an address").to_string();
        let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
        let kept = Arc::clone(&heard);
        thread::spawn(move || {
            for _ in 0..connections {
                let Ok((node, _)) = listener.accept() else {
                    return;
                };
                let Ok(enclave) = TcpStream::connect(&place) else {
                    return;
                };
                let (node_again, enclave_again) = (
                    node.try_clone().expect("a handle"),
                    enclave.try_clone().expect("a handle"),
                );
                let (one, two) = (Arc::clone(&kept), Arc::clone(&kept));
                let changed = Arc::clone(&change);
                thread::spawn(move || pass(node, enclave, &one, changed.as_ref()));
                thread::spawn(move || pass(enclave_again, node_again, &two, &|_, _| {}));
            }
        });
        Self { place: own, heard }
    }
}

fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    heard: &Mutex<Vec<u8>>,
    change: &(dyn Fn(usize, &mut [u8]) + Send + Sync),
) {
    let mut buffer = [0; 4096];
    let mut passed = 0;
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 {
            break;
        }
        let bytes = &mut buffer[..count];
        change(passed, bytes);
        passed += count;
        heard.lock().extend_from_slice(bytes);
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

struct Served {
    server: EnclaveServer,
    keys: (medina_enclave::TlsKey, medina_enclave::TlsKey),
    _folder: tempfile::TempDir,
}

fn served() -> Served {
    let folder = tempfile::tempdir().expect("a folder");
    let config = EnclaveConfig::in_folder(folder.path().join("enclave"));
    let local: Arc<dyn Enclave> = Arc::new(LocalEnclave::open(config).expect("opens"));
    let keys = keys_in(folder.path());
    let server = EnclaveServer::start_tls(local, LOOPBACK, &keys.0, &[keys.1.public()]);
    Served {
        server: server.expect("it listens"),
        keys,
        _folder: folder,
    }
}

fn through(served: &Served, tap: &Wiretap) -> RemoteEnclave {
    RemoteEnclave::over_tls(&tap.place, &served.keys.1, served.keys.0.public())
        .expect("TLS is set up")
        .with_patience(Duration::ZERO)
}

#[test]
fn wiretap_hears_no_payload_and_no_key_of_either_side() {
    let served = served();
    let tap = Wiretap::before(place_of(&served.server), 1, Arc::new(|_, _| {}));
    let remote = through(&served, &tap);
    let party = remote.ensure_party(&caller(), "alice").unwrap();
    let envelope = remote.seal(&caller(), &terms(party), SECRET, &[]).unwrap();
    let opened = remote.open(&caller(), &envelope.digest(), &party).unwrap();
    assert_eq!(opened.as_slice(), SECRET);
    let heard = tap.heard.lock();
    assert!(heard.len() > 2 * SECRET.len());
    let (ours, theirs) = (served.keys.0.public(), served.keys.1.public());
    for needle in [SECRET, b"alice", &party.0, &ours.0, &theirs.0] {
        let is_there = heard.windows(needle.len()).any(|window| window == needle);
        assert!(!is_there, "{needle:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Wherever a bit is turned on the way to the enclave, no call is done with it: a call
    /// that comes through is the one that was made.
    #[test]
    fn changed_byte_ends_the_connection(at in 0usize..2_400, bit in 0u32..8) {
        let served = served();
        let change: Change = Arc::new(move |passed, bytes: &mut [u8]| {
            if let Some(byte) = at.checked_sub(passed).and_then(|at| bytes.get_mut(at)) {
                *byte ^= 1 << bit;
            }
        });
        let tap = Wiretap::before(place_of(&served.server), 1, change);
        let remote = through(&served, &tap);
        let labels: Vec<_> = (0..40).map(|number| format!("party {number}")).collect();
        for label in &labels {
            if remote.ensure_party(&caller(), label).is_err() {
                break;
            }
        }
        let direct = RemoteEnclave::over_tls(
            place_of(&served.server), &served.keys.1, served.keys.0.public(),
        ).expect("TLS is set up");
        let parties = direct.parties().expect("it goes on for others");
        prop_assert!(parties.iter().all(|party| labels.contains(&party.label)));
    }

    /// Whatever a process of the same user says at the socket after the greeting, in pieces or
    /// cut off, the connection ends at the latest with it, and the next one is served.
    #[test]
    fn arbitrary_bytes_at_the_socket_end_one_connection_only(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5),
        greets in any::<bool>(),
    ) {
        let host = Place::Remote.host();
        let mut stream = UnixStream::connect(host.socket()).expect("it listens");
        if greets {
            let _ = stream.write_all(b"medina enclave 1");
        }
        for piece in &pieces {
            if stream.write_all(piece).is_err() {
                break;
            }
        }
        let _ = stream.shutdown(Shutdown::Write);
        let mut heard = Vec::new();
        // It ends; a reset says so, too.
        let _ = stream.read_to_end(&mut heard);
        prop_assert!(heard.starts_with(b"medina enclave 1"));
        prop_assert!(host.enclave().parties().is_ok());
    }

    /// Whatever a stranger says at the port, nothing but an alert comes back, and the next
    /// one is served.
    #[test]
    fn arbitrary_bytes_at_the_port_are_refused(
        bytes in prop::collection::vec(any::<u8>(), 1..2_000),
        looks_like_tls in any::<bool>(),
    ) {
        let served = served();
        let mut stream = TcpStream::connect(place_of(&served.server)).expect("the port is open");
        let mut said = bytes;
        if looks_like_tls {
            let length = u16::try_from(said.len()).expect("short").to_be_bytes();
            said = [&[0x16, 0x03, 0x01], length.as_slice(), &said].concat();
        }
        let _ = stream.write_all(&said);
        let _ = stream.shutdown(Shutdown::Write);
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        prop_assert!(heard.len() <= 7, "{heard:?}");
        let direct = RemoteEnclave::over_tls(
            place_of(&served.server), &served.keys.1, served.keys.0.public(),
        ).expect("TLS is set up");
        prop_assert!(direct.parties().is_ok());
    }
}
