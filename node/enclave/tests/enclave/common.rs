//! Enclaves in folders of their own, in this process, behind a socket or over TLS.

use medina_enclave::{
    Caller, Digest, Enclave, EnclaveAddress, EnclaveConfig, EnclaveServer, Envelope, GroupId,
    LocalEnclave, Mode, PartyId, RecipientKey, RemoteEnclave, Terms, TlsKey,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// Seconds since 1970 at which the stories begin.
pub(crate) const NOW_S: u64 = 1_800_000_000;
/// A payload that nothing else looks like.
pub(crate) const SECRET: &[u8] = b"tender 4711: 1250.00 EUR per tonne, do not tell";

/// How a story reaches its enclaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this process.
    Local,
    /// Behind a unix socket.
    Remote,
    /// Behind mutual TLS.
    Tls,
}

/// An enclave with its folder.
pub(crate) struct Host {
    place: Place,
    running: Option<Running>,
    /// Removed after everything in it has ended.
    folder: TempDir,
}

struct Running {
    enclave: Arc<dyn Enclave>,
    /// Dropped after the client.
    _server: Option<EnclaveServer>,
}

impl Place {
    /// A new enclave.
    pub(crate) fn host(self) -> Host {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut host = Host {
            place: self,
            folder,
            running: None,
        };
        host.start();
        host
    }
}

impl Host {
    pub(crate) fn config(&self) -> EnclaveConfig {
        EnclaveConfig::in_folder(self.folder.path().join("enclave"))
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.config().folder
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("run").join("enclave.sock")
    }

    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    pub(crate) fn start(&mut self) {
        let local: Arc<dyn Enclave> =
            Arc::new(LocalEnclave::open(self.config()).expect("the enclave opens"));
        self.running = Some(match self.place {
            Place::Local => Running {
                enclave: local,
                _server: None,
            },
            Place::Remote => Running {
                enclave: Arc::new(RemoteEnclave::new(self.socket())),
                _server: Some(EnclaveServer::start(local, &self.socket()).expect("it listens")),
            },
            Place::Tls => {
                let (ours, theirs) = keys_in(self.folder.path());
                let server = EnclaveServer::start_tls(local, LOOPBACK, &ours, &[theirs.public()]);
                let server = server.expect("it listens");
                let place = place_of(&server);
                let remote = RemoteEnclave::over_tls(place, &theirs, ours.public());
                Running {
                    enclave: Arc::new(remote.expect("TLS is set up")),
                    _server: Some(server),
                }
            }
        });
    }

    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start();
    }

    pub(crate) fn enclave(&self) -> &dyn Enclave {
        self.running.as_ref().expect("it runs").enclave.as_ref()
    }

    /// The party of that name.
    pub(crate) fn party(&self, label: &str) -> PartyId {
        self.enclave()
            .ensure_party(&caller(), label)
            .expect("a party")
    }

    /// The key under which others encrypt to a party now.
    pub(crate) fn key(&self, party: &PartyId) -> RecipientKey {
        key_of(self.enclave(), party)
    }
}

/// A free port.
pub(crate) const LOOPBACK: &str = "127.0.0.1:0";

/// The keys of both sides of a TLS connection, the enclave's first: made once.
pub(crate) fn keys_in(folder: &Path) -> (TlsKey, TlsKey) {
    let key = |name: &str| {
        let path = folder.join(name);
        match path.exists() {
            true => TlsKey::load(&path).expect("a key"),
            false => TlsKey::make(&path).expect("a new key"),
        }
    };
    (key("enclave.key"), key("node.key"))
}

/// Host and port of a server behind TLS.
pub(crate) fn place_of(server: &EnclaveServer) -> String {
    match server.address() {
        EnclaveAddress::Tls(place) => place.clone(),
        EnclaveAddress::Unix(path) => panic!("{} is no port", path.display()),
    }
}

pub(crate) fn key_of(enclave: &dyn Enclave, party: &PartyId) -> RecipientKey {
    let keys = enclave.epoch_keys(party).expect("keys");
    let newest = keys.last().expect("a party has a key");
    RecipientKey {
        party: *party,
        epoch: newest.epoch,
        x25519: newest.x25519,
    }
}

pub(crate) fn caller() -> Caller {
    at(NOW_S)
}

pub(crate) fn at(now_s: u64) -> Caller {
    Caller::new("tests", "private:*", now_s)
}

pub(crate) fn terms(sender: PartyId) -> Terms {
    Terms {
        chain_id: 4242,
        genesis_hash: [9; 32],
        group: GroupId([1; 32]),
        mode: Mode::Standard,
        sender,
        anchor_slot: 77,
        roots: None,
    }
}

/// Two enclaves with a party each, and an envelope from the first to the second.
pub(crate) struct Pair {
    pub(crate) alice_host: Host,
    pub(crate) bob_host: Host,
    pub(crate) alice: PartyId,
    pub(crate) bob: PartyId,
}

impl Pair {
    pub(crate) fn new(place: Place) -> Self {
        let (alice_host, bob_host) = (place.host(), place.host());
        let (alice, bob) = (alice_host.party("alice"), bob_host.party("bob"));
        Self {
            alice_host,
            bob_host,
            alice,
            bob,
        }
    }

    pub(crate) fn alice(&self) -> &dyn Enclave {
        self.alice_host.enclave()
    }

    pub(crate) fn bob(&self) -> &dyn Enclave {
        self.bob_host.enclave()
    }

    /// Alice's envelope to Bob's key of the moment.
    pub(crate) fn seal(&self, payload: &[u8]) -> Envelope {
        self.alice()
            .seal(
                &caller(),
                &terms(self.alice),
                payload,
                &[self.bob_host.key(&self.bob)],
            )
            .expect("seals")
    }

    /// The same, delivered.
    pub(crate) fn deliver(&self, payload: &[u8]) -> Digest {
        let envelope = self.seal(payload);
        self.bob()
            .accept(&caller(), &envelope)
            .expect("accepts")
            .digest
    }
}

/// Copies a folder with everything in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a new folder");
    let mode = std::fs::metadata(from).expect("a folder").permissions();
    std::fs::set_permissions(to, mode).expect("permissions");
    for entry in std::fs::read_dir(from).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copies");
        }
    }
}

/// Files below a folder that contain some bytes.
pub(crate) fn files_with(folder: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else if std::fs::read(&path).is_ok_and(|bytes| contains(&bytes, needle)) {
            found.push(path);
        }
    }
    found
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
