//! People who only have a terminal: a network beside the test, and commands as they type them.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "every test file uses another part of this; a test that cannot go on has failed"
)]

pub(crate) use medina_tests::terminal::Beside;
use serde_json::Value;
use std::{net::TcpListener, path::Path, process::Command};

/// A program beside the test, ready when it says so.
pub(crate) fn beside(folder: &Path, line: &str, ready: &str) -> Beside {
    Beside::start(env!("CARGO_BIN_EXE_medina"), folder, line, ready)
}

/// A command of `medina` as it is typed.
pub(crate) fn command(folder: &Path, line: &str) -> Command {
    medina_tests::terminal::command(env!("CARGO_BIN_EXE_medina"), folder, line)
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
