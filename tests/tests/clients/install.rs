//! Gets the pinned clients from their registries, once.
//!
//! A group of packages that cannot be had here (no Node, no Python, no registry)
//! is a reason to skip its clients, and nothing else is.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// The oldest Node that the clients run on.
const NODE_MAJOR_MIN: u32 = 20;
/// The oldest Python that web3.py runs on.
const PYTHON_MIN: (u32, u32) = (3, 11);
/// What npm and pip print when the registry is out of reach or does not carry a package.
const UNREACHABLE: [&str; 16] = [
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
    "No matching distribution found",
    "NewConnectionError",
    "ConnectTimeoutError",
    "Could not find a version",
];

/// Packages that are installed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// `tests/clients`: cast, forge, ethers, viem, web3.js 4.
    Common,
    /// `tests/clients/hardhat`, which uses the compiler of [`Group::Common`].
    Hardhat,
    /// `tests/clients/quorum`, with the web3.js 1 that it extends.
    Quorum,
    /// `tests/clients/python`, in a virtual environment of its own.
    Python,
}

/// The folder of the scripts.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Both streams of a program.
pub(crate) fn text(output: &Output) -> String {
    let (printed, errors) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(printed),
        String::from_utf8_lossy(errors)
    )
}

/// Runs a program in the folder of the scripts.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn run(program: impl AsRef<Path>, arguments: &[&str]) -> Result<Output, std::io::Error> {
    run_in(&folder(), program.as_ref(), arguments)
}

fn run_in(folder: &Path, program: &Path, arguments: &[&str]) -> Result<Output, std::io::Error> {
    Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
}

/// The Python with web3.py.
pub(crate) fn python() -> PathBuf {
    folder().join("python/node_modules/venv/bin/python")
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

fn check_python() -> Result<(), String> {
    let python = version("python3")?;
    let number = python.trim_start_matches("Python ");
    let mut parts = number.split('.').map(|part| part.parse::<u32>().ok());
    let found = parts.next().flatten().zip(parts.next().flatten());
    if found.is_none_or(|found| found < PYTHON_MIN) {
        let (major, minor) = PYTHON_MIN;
        return Err(format!("python {number} is older than {major}.{minor}"));
    }
    Ok(())
}

/// Installs a group's pinned packages unless they are there already; only one
/// process at a time.
///
/// # Errors
/// Why the packages cannot be had on this machine.
pub(crate) fn install(group: Group) -> Result<(), String> {
    match group {
        Group::Python => check_python()?,
        _ => check_node()?,
    }
    let lock = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients-npm.lock"));
    let lock = lock.expect("a file in the target folder can be made");
    lock.lock()
        .expect("a file in the target folder can be locked");
    match group {
        Group::Common => npm(&folder(), &["compile.mjs", "forge/src/Notebook.sol"]),
        Group::Hardhat => npm(&folder().join("hardhat"), &[]),
        Group::Quorum => npm(&folder().join("quorum"), &[]),
        Group::Python => pip(&folder().join("python")),
    }
}

/// Whether what is installed was installed from `wanted`; else the file that says so.
fn is_installed(folder: &Path, wanted: &[u8]) -> Result<(), PathBuf> {
    let mark = folder.join("node_modules").join(".medina-installed");
    match fs::read(&mark).is_ok_and(|installed| installed == wanted) {
        true => Ok(()),
        false => Err(mark),
    }
}

/// What the program said when it could not reach what it needs.
fn reason(what: &str, output: &Output) -> String {
    let said = text(output);
    match UNREACHABLE.iter().find(|code| said.contains(*code)) {
        Some(code) => format!("{what} cannot get the clients: {code}"),
        None => panic!("{what}: {}\n{said}", output.status),
    }
}

/// `compiled`: a script to run afterwards, and what it reads.
fn npm(folder: &Path, compiled: &[&str]) -> Result<(), String> {
    let mut wanted = fs::read(folder.join("package-lock.json")).expect("it is committed");
    for file in compiled {
        wanted.extend(fs::read(folder.join(file)).expect("it is committed"));
    }
    let Err(mark) = is_installed(folder, &wanted) else {
        return Ok(());
    };
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
    let output = run_in(folder, Path::new("npm"), &arguments);
    let output = output.map_err(|error| format!("npm cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(reason("npm", &output));
    }
    if let Some(script) = compiled.first() {
        let output = run_in(folder, Path::new("node"), &[script]).expect("node ran a moment ago");
        assert!(output.status.success(), "{script}: {}", text(&output));
    }
    fs::write(&mark, wanted).expect("npm could write there, too");
    Ok(())
}

/// The virtual environment lies where everything fetched lies: `node_modules` is
/// what the repository leaves out.
fn pip(folder: &Path) -> Result<(), String> {
    let wanted = fs::read(folder.join("requirements.txt")).expect("it is committed");
    let Err(mark) = is_installed(folder, &wanted) else {
        return Ok(());
    };
    let making = ["-m", "venv", "--clear", "node_modules/venv"];
    let made = run_in(folder, Path::new("python3"), &making);
    let made = made.map_err(|error| format!("python3 cannot be run: {error}"))?;
    if !made.status.success() {
        return Err("python3 -m venv does not work here".to_owned());
    }
    let arguments = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--retries=1",
        "--no-deps",
        "--requirement",
        "requirements.txt",
    ];
    let output = run_in(folder, &python(), &arguments).expect("it was made a moment ago");
    if !output.status.success() {
        return Err(reason("pip", &output));
    }
    fs::write(&mark, wanted).expect("pip could write there, too");
    Ok(())
}
