//! The enclave as a real process: killed, restarted, started late, asked by strangers.

use crate::common::{LOOPBACK, caller, key_of, keys_in, place_of, terms};
use medina_enclave::{
    Digest, Enclave, EnclaveConfig, EnclaveError, EnclaveServer, LocalEnclave, PartyId,
    PayloadStatus, RemoteEnclave, forbid_core_dumps,
};
use parking_lot::Mutex;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const FOLDER: &str = "MEDINA_TEST_ENCLAVE_FOLDER";
const KNOCK: &str = "MEDINA_TEST_ENCLAVE_KNOCK";
const PATIENCE: Duration = Duration::from_secs(60);

/// Not a test of its own: what the other process does.
#[test]
fn serve_as_another_process() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    forbid_core_dumps().expect("core dumps can be forbidden");
    let folder = PathBuf::from(folder);
    let config = EnclaveConfig::in_folder(folder.join("enclave"));
    let enclave = LocalEnclave::open(config).expect("the enclave opens");
    let server = serve(Arc::new(enclave), &folder);
    // Until standard input ends, which it does with the test that started this.
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).expect("waits");
    drop(server);
}

/// Where the other process wrote down its port, or where the test wants it to.
fn port_file(folder: &Path) -> PathBuf {
    folder.join("port")
}

/// On the socket, or over TLS where a port is wanted.
fn serve(enclave: Arc<dyn Enclave>, folder: &Path) -> EnclaveServer {
    let Ok(wanted) = std::fs::read_to_string(port_file(folder)) else {
        return EnclaveServer::start(enclave, &socket_in(folder)).expect("it listens");
    };
    let (ours, theirs) = keys_in(folder);
    let server = EnclaveServer::start_tls(enclave, &wanted, &ours, &[theirs.public()]);
    let server = server.expect("it listens");
    if wanted == LOOPBACK {
        // Whole, or not there.
        let unfinished = folder.join("port.new");
        std::fs::write(&unfinished, place_of(&server)).expect("writes");
        std::fs::rename(unfinished, port_file(folder)).expect("renames");
    }
    server
}

/// How the load reaches the process.
#[derive(Clone, Copy)]
enum Way {
    Socket,
    Tls,
}

impl Way {
    fn start(self, folder: &Path) -> (Process, RemoteEnclave) {
        let process = match self {
            Self::Socket => {
                return (
                    Process::start(folder),
                    RemoteEnclave::new(socket_in(folder)),
                );
            }
            Self::Tls => {
                keys_in(folder);
                std::fs::write(port_file(folder), LOOPBACK).expect("writes");
                Process::start(folder)
            }
        };
        let began = std::time::Instant::now();
        let place = loop {
            let place = std::fs::read_to_string(port_file(folder)).expect("reads");
            if place != LOOPBACK {
                break place;
            }
            assert!(began.elapsed() < PATIENCE, "the process takes no port");
            std::thread::yield_now();
        };
        let (enclave, node) = keys_in(folder);
        let remote = RemoteEnclave::over_tls(place, &node, enclave.public());
        (process, remote.expect("TLS is set up"))
    }
}

/// Not a test of its own: a stranger knocks.
#[test]
fn knock_as_another_user() {
    let Ok(socket) = std::env::var(KNOCK) else {
        return;
    };
    let mut stream = UnixStream::connect(socket).expect("the socket itself is open to it");
    let mut hello = [0; 1];
    let greeted = stream.read(&mut hello).unwrap_or(0);
    assert_eq!(greeted, 0, "a stranger must not be greeted");
}

fn socket_in(folder: &Path) -> PathBuf {
    folder.join("run").join("enclave.sock")
}

fn this_binary(test: &str) -> Command {
    let binary = std::env::current_exe().expect("this test binary");
    let mut command = Command::new(binary);
    command
        .args(["--exact", test])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

struct Process(Child);

impl Process {
    fn start(folder: &Path) -> Self {
        let mut command = this_binary("process::serve_as_another_process");
        command.env(FOLDER, folder);
        Self(command.spawn().expect("the process starts"))
    }

    /// As `kill -9` does.
    fn kill(&mut self) {
        self.0.kill().expect("it can be killed");
        self.0.wait().expect("it ends");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Acknowledged {
    sealed: Mutex<Vec<(Digest, u64)>>,
    erased: Mutex<Vec<Digest>>,
    count: AtomicUsize,
}

impl Acknowledged {
    fn wait_for(&self, count: usize) {
        let began = std::time::Instant::now();
        while self.count.load(Ordering::SeqCst) < count {
            assert!(began.elapsed() < PATIENCE, "the load stands still");
            std::thread::yield_now();
        }
    }
}

/// Seals, opens and erases until it has done its share, whatever happens to the enclave.
fn load(enclave: &dyn Enclave, party: PartyId, done: &Acknowledged, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let payload = number.to_be_bytes();
        let digest = loop {
            match enclave.seal(&caller(), &terms(party), &payload, &[]) {
                Ok(envelope) => break envelope.digest(),
                Err(error) => assert!(error.is_temporary(), "{error}"),
            }
        };
        let opened = enclave.open(&caller(), &digest, &party).expect("opens");
        assert_eq!(opened.as_slice(), payload);
        if number.is_multiple_of(4) {
            let receipt = enclave.erase(&caller(), &digest, &party, "load");
            receipt.expect("erases").verify().expect("signed");
            done.erased.lock().push(digest);
        } else {
            done.sealed.lock().push((digest, number));
        }
        done.count.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn killed_again_and_again_under_load_it_loses_nothing_acknowledged() {
    kill_under_load(Way::Socket);
}

#[test]
fn killed_again_and_again_under_load_over_tls_it_loses_nothing_acknowledged() {
    kill_under_load(Way::Tls);
}

fn kill_under_load(way: Way) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut process, enclave) = way.start(folder.path());
    let enclave = enclave.with_patience(PATIENCE);
    let party = enclave.ensure_party(&caller(), "alice").expect("a party");
    let done = Acknowledged {
        sealed: Mutex::default(),
        erased: Mutex::default(),
        count: AtomicUsize::new(0),
    };
    let (threads, each) = (3, 40);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (enclave, done) = (&enclave, &done);
            let first = thread * each;
            scope.spawn(move || load(enclave, party, done, first..first + each));
        }
        for kill in 1..=6 {
            done.wait_for(kill * 12);
            process.kill();
            process = Process::start(folder.path());
        }
    });
    process.kill();
    let enclave =
        LocalEnclave::open(EnclaveConfig::in_folder(folder.path().join("enclave"))).expect("opens");
    let sealed = done.sealed.into_inner();
    assert_eq!(sealed.len(), 90);
    for (digest, number) in sealed {
        let opened = enclave.open(&caller(), &digest, &party).expect("opens");
        assert_eq!(opened.as_slice(), number.to_be_bytes());
    }
    for digest in done.erased.into_inner() {
        let status = enclave.status(&digest).expect("a status");
        assert!(matches!(status, PayloadStatus::Erased(_)));
    }
    enclave.verify_audit().expect("whole");
}

#[test]
fn client_that_starts_first_finds_the_enclave() {
    let folder = tempfile::tempdir().unwrap();
    let enclave = RemoteEnclave::new(socket_in(folder.path())).with_patience(PATIENCE);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| enclave.ensure_party(&caller(), "alice"));
        let _process = Process::start(folder.path());
        let party = asked.join().expect("no panic").unwrap();
        let key = key_of(&enclave, &party);
        assert_eq!(key.epoch, 1);
    });
}

#[test]
fn enclave_that_is_away_is_named_and_the_error_is_temporary() {
    let folder = tempfile::tempdir().unwrap();
    let socket = socket_in(folder.path());
    let enclave = RemoteEnclave::new(&socket).with_patience(Duration::ZERO);
    let error = enclave.parties().err().unwrap();
    assert!(error.is_temporary());
    assert!(error.to_string().contains("enclave.sock"), "{error}");
}

#[test]
fn process_writes_no_core_and_hides_its_memory() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let enclave = RemoteEnclave::new(socket_in(folder.path())).with_patience(PATIENCE);
    enclave.parties().unwrap();
    let proc = PathBuf::from(format!("/proc/{}", process.0.id()));
    let limits = std::fs::read_to_string(proc.join("limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let words: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core}");
}

#[test]
fn process_of_another_user_is_not_greeted() {
    if !rustix::process::geteuid().is_root() {
        // Only root can play another user here.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let enclave = LocalEnclave::open(EnclaveConfig::in_folder(folder.path().join("enclave")));
    let socket = socket_in(folder.path());
    let _server = EnclaveServer::start(Arc::new(enclave.unwrap()), &socket).unwrap();
    // The doors that the file system keeps shut are opened, so that only the question remains.
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(folder.path(), 0o755);
    open(socket.parent().unwrap(), 0o755);
    open(&socket, 0o666);
    let binary = folder.path().join("knocker");
    std::fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    let mut stranger = Command::new(&binary);
    stranger
        .args(["--exact", "process::knock_as_another_user"])
        .current_dir("/")
        .env(KNOCK, &socket)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .uid(65534)
        .gid(65534);
    let output = stranger.output().expect("the stranger starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    // Its own user is.
    assert!(RemoteEnclave::new(&socket).parties().is_ok());
}

#[test]
fn more_connections_than_are_served_are_closed_and_places_come_free() {
    let folder = tempfile::tempdir().unwrap();
    let enclave = LocalEnclave::open(EnclaveConfig::in_folder(folder.path().join("enclave")));
    let socket = socket_in(folder.path());
    let _server = EnclaveServer::start(Arc::new(enclave.unwrap()), &socket).unwrap();
    let greeted = || {
        let mut stream = UnixStream::connect(&socket).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(b"medina enclave 1").expect("writes");
        let mut hello = [0; 16];
        stream.read_exact(&mut hello).ok().map(|()| stream)
    };
    // As many as are served at once; the next is not greeted.
    let mut open: Vec<_> = (0..64).map(|_| greeted().expect("it is served")).collect();
    assert!(greeted().is_none());
    open.pop();
    let began = std::time::Instant::now();
    while greeted().is_none() {
        assert!(began.elapsed() < PATIENCE, "no place comes free");
        std::thread::yield_now();
    }
}

#[test]
fn socket_in_use_is_refused_and_one_left_over_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let socket = socket_in(folder.path());
    let enclave = |name: &str| {
        let config = EnclaveConfig::in_folder(folder.path().join(name));
        Arc::new(LocalEnclave::open(config).expect("opens"))
    };
    let server = EnclaveServer::start(enclave("one"), &socket).unwrap();
    let second = EnclaveServer::start(enclave("two"), &socket).err().unwrap();
    assert!(matches!(second, EnclaveError::Unreachable { .. }));
    drop(server);
    // What a killed process leaves.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let _third = EnclaveServer::start(enclave("three"), &socket).unwrap();
    assert!(RemoteEnclave::new(&socket).parties().is_ok());
}

#[test]
fn many_clients_at_once_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let socket = socket_in(folder.path());
    let config = EnclaveConfig::in_folder(folder.path().join("enclave"));
    let local = Arc::new(LocalEnclave::open(config).unwrap());
    let _server = EnclaveServer::start(local, &socket).unwrap();
    let enclave = RemoteEnclave::new(&socket);
    let party = enclave.ensure_party(&caller(), "alice").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..16_u8 {
            let enclave = &enclave;
            scope.spawn(move || {
                let sealed = enclave.seal(&caller(), &terms(party), &[thread], &[]);
                let digest = sealed.unwrap().digest();
                let opened = enclave.open(&caller(), &digest, &party).unwrap();
                assert_eq!(opened.as_slice(), [thread]);
            });
        }
    });
}
