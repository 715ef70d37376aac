//! Child processes of the demo: the same binary as nodes and gateway.
//!
//! Each child's standard input is a pipe that only we hold. A child stops when
//! it closes, so that none outlives the demo, however the demo ends.

use crate::errors::{Failure, Outcome, cannot};
use std::{
    ffi::OsStr,
    io::{Read as _, Seek as _, SeekFrom},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::process::{Child, Command};

/// Time that a child has to end by itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Bytes at the end of a log that a failure shows.
const LOG_TAIL_BYTES: u64 = 2000;

/// Ports of one run: every node's three, and the gateway's behind them.
const PORTS_PER_RUN: u16 = 100;

/// A child and where its output goes.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts our own binary with these arguments.
    pub(crate) fn start(
        name: &str,
        log: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Outcome<Self> {
        let program = std::env::current_exe()?;
        let mut options = std::fs::OpenOptions::new();
        let file = options.create(true).append(true).open(log);
        let file = file.map_err(|error| cannot("open", log, error))?;
        let child = Command::new(&program)
            .args(arguments)
            .arg("--stop-with-parent")
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| cannot("start", &program, error))?;
        Ok(Self {
            name: name.to_owned(),
            log: log.to_owned(),
            child,
        })
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> Outcome {
        Ok(self.child.kill().await?)
    }

    /// Lets it end by itself, or kills it.
    pub(crate) async fn stop(mut self) {
        drop(self.child.stdin.take());
        if tokio::time::timeout(STOP_TIMEOUT, self.child.wait())
            .await
            .is_err()
        {
            // It may have ended in this moment, which is as good.
            let _ = self.child.kill().await;
        }
    }

    /// A failure when it has ended though nobody asked it to.
    pub(crate) fn check_alive(&mut self) -> Outcome {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.ended(status)),
        }
    }

    fn ended(&self, status: ExitStatus) -> Failure {
        let tail = tail(&self.log).unwrap_or_default();
        Failure::new(format!(
            "{} ended ({status}). The end of its log:\n{}",
            self.name,
            tail.trim_end()
        ))
    }
}

fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Ports that nobody uses now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FreePorts {
    /// RPC port of node 0.
    pub(crate) base: u16,
    /// Port of the gateway.
    pub(crate) gateway: u16,
}

/// Finds a range of ports for this many nodes and a gateway. It begins at a
/// place that depends on the process, so that two demos at once rarely meet.
pub(crate) fn free_ports(nodes: u16) -> Outcome<FreePorts> {
    let first = u16::try_from(std::process::id() % 80).unwrap_or(0);
    let candidates = (0..80).map(|step| 20_000 + (first + step) % 80 * PORTS_PER_RUN);
    let run = |base: u16| FreePorts {
        base,
        gateway: base + PORTS_PER_RUN - 1,
    };
    candidates
        .map(run)
        .find(|ports| {
            let of_nodes =
                (0..nodes).flat_map(|node| (0..3).map(move |port| ports.base + node * 10 + port));
            of_nodes.chain([ports.gateway]).all(is_free)
        })
        .ok_or_else(|| Failure::new("no free range of ports between 20000 and 28000 on 127.0.0.1"))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_port_moves_the_range() {
        let first = free_ports(4).unwrap();
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first.base + 11)).unwrap();
        assert_ne!(free_ports(4).unwrap(), first);
    }

    #[test]
    fn end_of_a_log_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::write(&log, "x".repeat(10_000) + "end").unwrap();
        let tail = tail(&log).unwrap();
        assert_eq!(tail.len(), 2000);
        assert!(tail.ends_with("end"));
    }
}
