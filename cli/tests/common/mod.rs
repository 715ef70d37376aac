//! People who only have a terminal: a network beside the test, and commands as they type them.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "every test file uses another part of this; a test that cannot go on has failed"
)]

use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

/// A process that runs beside the test and ends with it.
pub(crate) struct Beside {
    child: Child,
    _output: BufReader<ChildStdout>,
}

impl Beside {
    /// Starts it and waits for a line that says it is ready.
    pub(crate) fn start(folder: &Path, line: &str, ready: &str) -> Self {
        let mut child = command(folder, line)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        while !text.contains(ready) {
            assert_ne!(
                output.read_line(&mut text).unwrap(),
                0,
                "{line} ended: {text}"
            );
        }
        Self {
            child,
            _output: output,
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn command(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_medina"));
    let mnemonic = "test test test test test test test test test test test junk";
    command
        .args(words(line))
        .current_dir(folder)
        .env("MEDINA_MNEMONIC", mnemonic)
        .env("MEDINA_LOG", "warn")
        .env("MEDINA_DOCUMENT_KEY", folder.join("document.key"))
        .stdin(Stdio::null());
    command
}

/// Where everything is, and how commands are run there.
pub(crate) struct Place<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) rpc: String,
}

impl Place<'_> {
    pub(crate) fn run(&self, account: &str, line: &str) -> Result<Value, String> {
        let output = command(self.folder, &format!("{line} --json"))
            .env("MEDINA_RPC", &self.rpc)
            .env("MEDINA_ACCOUNT", account)
            .output()
            .unwrap();
        if !output.status.success() {
            return Err(String::from_utf8(output.stderr).unwrap());
        }
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    }

    pub(crate) fn succeed(&self, account: &str, line: &str) -> Value {
        self.run(account, line)
            .unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    pub(crate) fn fail(&self, account: &str, line: &str) -> String {
        self.run(account, line).expect_err(line)
    }
}

/// A port with two free ones behind it.
pub(crate) fn free_port() -> u16 {
    let port_of = |listener: &TcpListener| listener.local_addr().unwrap().port();
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = port_of(&first);
        let is_free = |offset| TcpListener::bind(("127.0.0.1", port + offset)).is_ok();
        if port < 65_000 && is_free(1) && is_free(2) {
            return port;
        }
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

/// A line's words; what stands in double quotes is one.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}
