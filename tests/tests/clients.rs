//! Clients that nobody in the project wrote, on a network of processes.
//!
//! `cast`, ethers and viem run at once, each on a node of its own, while the
//! fourth validator is killed and comes back. They come from npm, pinned in
//! `tests/clients`; where Node or the registry is missing the test says that it
//! was skipped and why.

use medina_tests::processes::NetworkOfProcesses;
use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tokio::task::{JoinSet, spawn_blocking};

/// Scripts and the node that each talks to.
const CLIENTS: [(&str, usize); 3] = [("cast.mjs", 0), ("ethers.mjs", 1), ("viem.mjs", 2)];
/// The validator that no client talks to.
const VICTIM: usize = 3;
/// Blocks before the victim is killed, and again before it is started. All
/// clients together make several times as many.
const BLOCKS: u64 = 4;
/// The oldest Node that the clients run on.
const NODE_MAJOR_MIN: u32 = 20;
/// Exit code of a client that has no program for this machine; it says so itself.
const SKIPPED: i32 = 77;
/// What npm prints when the registry is out of reach or does not carry a package.
const UNREACHABLE: [&str; 12] = [
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "ENETUNREACH",
    "EHOSTUNREACH",
    "ETIMEDOUT",
    "ERR_SOCKET_TIMEOUT",
    "E403",
    "E404",
    "E502",
    "E503",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

fn text(output: &Output) -> String {
    let (printed, errors) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(printed),
        String::from_utf8_lossy(errors)
    )
}

fn run(program: &str, arguments: &[&str]) -> Result<Output, std::io::Error> {
    Command::new(program)
        .args(arguments)
        .current_dir(folder())
        .stdin(Stdio::null())
        .output()
}

/// The version that a program prints, or why there is none.
fn version(program: &str) -> Result<String, String> {
    match run(program, &["--version"]) {
        Ok(output) if output.status.success() => Ok(text(&output).trim().to_owned()),
        Ok(output) => Err(format!("{program} --version: {}", output.status)),
        Err(error) => Err(format!("{program} cannot be run: {error}")),
    }
}

fn check_node() -> Result<(), String> {
    let node = version("node")?;
    let major = node.trim_start_matches('v').split('.').next();
    let major: Option<u32> = major.and_then(|major| major.parse().ok());
    if major.is_none_or(|major| major < NODE_MAJOR_MIN) {
        return Err(format!("node {node} is older than {NODE_MAJOR_MIN}"));
    }
    version("npm").map(|_| ())
}

/// Installs the pinned packages unless they are there already; only one process at a time.
///
/// # Errors
/// Why the packages cannot be had on this machine.
fn install() -> Result<(), String> {
    check_node()?;
    let lock = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients-npm.lock"));
    let lock = lock.expect("a file in the target folder can be made");
    lock.lock()
        .expect("a file in the target folder can be locked");
    let wanted = fs::read(folder().join("package-lock.json")).expect("it is committed");
    // Written when everything is in place.
    let mark = folder().join("node_modules").join(".medina-installed");
    if fs::read(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let quiet = [
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ];
    // Without these npm tries for minutes where there is no network.
    let hasty = [
        "--fetch-retries=1",
        "--fetch-retry-mintimeout=1000",
        "--fetch-timeout=30000",
    ];
    let arguments = [&["ci"][..], &quiet, &hasty].concat();
    let output = run("npm", &arguments).map_err(|error| format!("npm cannot be run: {error}"))?;
    let said = text(&output);
    if output.status.success() {
        fs::write(&mark, wanted).expect("npm could write there, too");
        return Ok(());
    }
    match UNREACHABLE.iter().find(|code| said.contains(*code)) {
        Some(code) => Err(format!("npm cannot get the clients: {code}")),
        None => panic!("npm ci in tests/clients: {}\n{said}", output.status),
    }
}

/// Past the test runner, which keeps what passing tests print to itself.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Runs one client to its end; true if nothing failed. What it printed is shown
/// at once where it failed or was skipped.
#[allow(clippy::print_stdout, reason = "the test runner shows it on demand")]
fn client(script: &str, url: &str) -> bool {
    let output = run("node", &[script, url]).expect("node ran a moment ago");
    match output.status.code() {
        Some(0) => println!("{}", text(&output)),
        Some(SKIPPED) => say(text(&output).trim()),
        _ => say(&format!("{script}: {}\n{}", output.status, text(&output))),
    }
    matches!(output.status.code(), Some(0 | SKIPPED))
}

#[tokio::test(flavor = "multi_thread")]
async fn cast_ethers_and_viem_work_while_a_validator_is_killed_and_returns() {
    if let Err(why) = spawn_blocking(install).await.unwrap() {
        say(&format!("skipped: {why}"));
        return;
    }
    let mut network = NetworkOfProcesses::start(4).await;
    let mut clients = JoinSet::new();
    for (script, node) in CLIENTS {
        let url = network.rpc_url(node);
        clients.spawn_blocking(move || (node, client(script, &url)));
    }

    network.reaches(0, BLOCKS).await;
    network.kill(VICTIM);
    let killed_at = network.height(0).await.unwrap();
    network.reaches(0, killed_at + BLOCKS).await;
    let mut ended = Vec::new();
    while let Some(early) = clients.try_join_next() {
        ended.push(early);
    }
    assert!(
        !clients.is_empty(),
        "all clients ended before the validator was back"
    );
    network.run(VICTIM);
    network.ready(VICTIM).await;

    while let Some(late) = clients.join_next().await {
        ended.push(late);
    }
    for (node, is_fine) in ended.into_iter().map(Result::unwrap) {
        assert!(
            is_fine,
            "its output is above; its node said\n{}",
            network.log(node)
        );
    }
    network.agree(&[0, 1, 2, VICTIM]).await;
}
