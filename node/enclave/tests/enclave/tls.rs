//! Who is let in over TLS, and what strangers can do at the port.

use crate::common::{Host, LOOPBACK, Place, caller, keys_in, place_of};
use medina_enclave::{
    Enclave, EnclaveConfig, EnclaveError, EnclaveServer, LocalEnclave, RemoteEnclave, TlsKey,
};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A TLS 1.2 client hello, as a program of 2015 sends it.
const OLD_HELLO: &[u8] = &[
    0x16, 0x03, 0x01, 0x00, 0x2f, 0x01, 0x00, 0x00, 0x2b, 0x03, 0x03, 1, 2, 3, 4, 5, 6, 7, 8, 9,
    10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 0,
    0x00, 0x04, 0xc0, 0x2f, 0x00, 0xff, 0x01, 0x00,
];

struct Fixture {
    server: EnclaveServer,
    enclave_key: TlsKey,
    node_key: TlsKey,
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = EnclaveConfig::in_folder(folder.path().join("enclave"));
        let enclave: Arc<dyn Enclave> = Arc::new(LocalEnclave::open(config).expect("opens"));
        let (enclave_key, node_key) = keys_in(folder.path());
        let server =
            EnclaveServer::start_tls(enclave, LOOPBACK, &enclave_key, &[node_key.public()]);
        Self {
            server: server.expect("it listens"),
            enclave_key,
            node_key,
            folder,
        }
    }

    fn stranger(&self) -> TlsKey {
        TlsKey::make(&self.folder.path().join("stranger.key")).expect("a key")
    }

    fn ask(&self, key: &TlsKey, pinned: &TlsKey) -> Result<(), EnclaveError> {
        RemoteEnclave::over_tls(place_of(&self.server), key, pinned.public())
            .expect("TLS is set up")
            .ensure_party(&caller(), "alice")
            .map(|_| ())
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(place_of(&self.server)).expect("the port is open");
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).expect("a timeout");
        stream
    }
}

/// What comes until the other side closes.
fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    heard
}

#[test]
fn key_that_is_not_pinned_is_refused_at_once_and_told_so() {
    let fixture = Fixture::new();
    let began = Instant::now();
    let error = fixture
        .ask(&fixture.stranger(), &fixture.enclave_key)
        .expect_err("a stranger");
    assert!(error.is_temporary());
    assert!(error.to_string().contains("pin this side's key"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(60));
    fixture
        .ask(&fixture.node_key, &fixture.enclave_key)
        .expect("the node is served");
}

#[test]
fn enclave_with_another_key_gets_no_request() {
    let fixture = Fixture::new();
    let error = fixture
        .ask(&fixture.node_key, &fixture.stranger())
        .expect_err("another enclave");
    assert!(error.to_string().contains("not the pinned one"), "{error}");
    let local = fixture.ask(&fixture.node_key, &fixture.enclave_key);
    local.expect("its own is asked");
}

#[test]
fn who_speaks_no_tls_or_an_old_one_learns_nothing() {
    let fixture = Fixture::new();
    for said in [b"medina enclave 1".as_slice(), OLD_HELLO, &[0; 64]] {
        let mut stream = fixture.connect();
        stream.write_all(said).expect("writes");
        let heard = rest(stream);
        // An alert at most: record type 21, two bytes.
        assert!(heard.len() <= 7, "{heard:?}");
        assert!(heard.first().is_none_or(|first| *first == 21), "{heard:?}");
    }
}

#[test]
fn silent_strangers_keep_nobody_out() {
    let fixture = Fixture::new();
    let silent: Vec<_> = (0..200).map(|_| fixture.connect()).collect();
    fixture
        .ask(&fixture.node_key, &fixture.enclave_key)
        .expect("the node is served");
    drop(silent);
}

#[test]
fn handshake_ends_in_time_also_byte_by_byte() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect();
    stream.write_all(&OLD_HELLO[..3]).expect("writes");
    let began = Instant::now();
    assert!(rest(stream).is_empty(), "nothing is said to it");
    // Ten seconds, and time for a busy machine.
    assert!(began.elapsed() < Duration::from_secs(50));
}

#[test]
fn node_can_be_given_several_keys_and_none_is_refused() {
    let fixture = Fixture::new();
    let enclave: Arc<dyn Enclave> = Arc::new(
        LocalEnclave::open(EnclaveConfig::in_folder(fixture.folder.path().join("two")))
            .expect("opens"),
    );
    let key = &fixture.enclave_key;
    let nobody = EnclaveServer::start_tls(Arc::clone(&enclave), LOOPBACK, key, &[]);
    assert!(matches!(nobody, Err(EnclaveError::BadRequest(_))));
    let second = fixture.stranger();
    let peers = [fixture.node_key.public(), second.public()];
    let server = EnclaveServer::start_tls(enclave, LOOPBACK, key, &peers).expect("it listens");
    for node in [&fixture.node_key, &second] {
        let remote = RemoteEnclave::over_tls(place_of(&server), node, key.public());
        assert!(remote.expect("TLS is set up").parties().is_ok());
    }
}

#[test]
fn port_in_use_is_named() {
    let fixture = Fixture::new();
    let place = place_of(&fixture.server);
    let enclave: Arc<dyn Enclave> = Arc::new(
        LocalEnclave::open(EnclaveConfig::in_folder(fixture.folder.path().join("two")))
            .expect("opens"),
    );
    let peers = [fixture.node_key.public()];
    let error = EnclaveServer::start_tls(enclave, &place, &fixture.enclave_key, &peers)
        .err()
        .expect("the port is taken");
    assert!(error.to_string().contains(&place), "{error}");
}

#[test]
fn restarted_enclave_is_found_by_a_call_that_may_not_be_made_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = keys_in(folder.path());
    let start = |place: &str| {
        let config = EnclaveConfig::in_folder(folder.path().join("enclave"));
        let local: Arc<dyn Enclave> = Arc::new(LocalEnclave::open(config).expect("opens"));
        EnclaveServer::start_tls(local, place, &ours, &[theirs.public()]).expect("it listens")
    };
    let server = start(LOOPBACK);
    let place = place_of(&server);
    let remote = RemoteEnclave::over_tls(&place, &theirs, ours.public()).unwrap();
    let party = remote.ensure_party(&caller(), "alice").unwrap();
    drop(server);
    let _server = start(&place);
    // The idle connection is dead: noticed before the payload is on its way.
    let terms = crate::common::terms(party);
    remote.seal(&caller(), &terms, b"once", &[]).unwrap();
}

#[test]
fn key_file_is_its_owners_alone_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tls.key");
    let made = TlsKey::make(&path).unwrap();
    assert_eq!(TlsKey::load(&path).unwrap().public(), made.public());
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert!(TlsKey::make(&path).is_err());
    let digits = std::fs::read_to_string(&path).unwrap();
    assert!(!format!("{made:?}").contains(digits.trim()));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let refused = TlsKey::load(&path).unwrap_err();
    assert!(refused.to_string().contains("chmod 600"), "{refused}");
}

#[test]
fn hundred_connections_come_to_an_end_with_the_server() {
    let mut host: Host = Place::Tls.host();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| host.enclave().parties().map(drop));
        }
    });
    host.stop();
    assert!(began.elapsed() < Duration::from_secs(60));
}
