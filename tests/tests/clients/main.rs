//! Clients that nobody in the project wrote, on networks of processes.
//!
//! Each deploys, calls, sends every transaction type that it can, reads logs,
//! subscribes where it can, meets reverts, and sends 1,000 transactions that must
//! be included in order. They come from npm and pip, pinned in `tests/clients`;
//! one that cannot be installed or has no program for this machine is said to be
//! skipped and why.

mod dev;
mod install;

use install::{Group, folder, install, python, run, text};
use medina_tests::processes::NetworkOfProcesses;
use std::{io::Write as _, path::PathBuf, process::Output};
use tokio::task::{JoinSet, spawn_blocking};

/// The validator that no client talks to while it is away.
const VICTIM: usize = 3;
/// Blocks before the victim is killed, and again before it is started. All
/// clients together make several times as many.
const BLOCKS: u64 = 4;
/// Exit code of a client that has no program for this machine; it says so itself.
const SKIPPED: i32 = 77;

/// A client: its script, what must be installed, and the node that it talks to.
#[derive(Clone, Copy, Debug)]
struct Client {
    script: &'static str,
    groups: &'static [Group],
    node: usize,
}

const fn client(script: &'static str, groups: &'static [Group], node: usize) -> Client {
    Client {
        script,
        groups,
        node,
    }
}

/// Those that work while a validator is away.
const THROUGH_A_FAULT: [Client; 3] = [
    client("cast.mjs", &[Group::Common], 0),
    client("ethers.mjs", &[Group::Common], 1),
    client("viem.mjs", &[Group::Common], 2),
];
/// The others.
const TOGETHER: [Client; 6] = [
    client("forge.mjs", &[Group::Common], 0),
    client("web3.mjs", &[Group::Common], 1),
    client("hardhat.mjs", &[Group::Common, Group::Hardhat], 2),
    client("quorum/client.cjs", &[Group::Common, Group::Quorum], 3),
    client("python/client.py", &[Group::Common, Group::Python], 0),
    client("metamask.mjs", &[Group::Common], 1),
];

/// Past the test runner, which keeps what passing tests print to itself.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Those of the clients that can be had here; says which cannot and why.
fn installed(clients: &[Client]) -> Vec<Client> {
    let mut answers: Vec<(Group, Result<(), String>)> = Vec::new();
    let mut have = |group: Group| {
        let known = answers.iter().find(|(known, _)| *known == group).cloned();
        let (_, answer) = known.unwrap_or_else(|| {
            answers.push((group, install(group)));
            answers.last().cloned().expect("it was pushed just now")
        });
        answer
    };
    let is_here = |client: &&Client| {
        let missing = client.groups.iter().find_map(|group| have(*group).err());
        if let Some(why) = &missing {
            say(&format!("skipped: {}: {why}", client.script));
        }
        missing.is_none()
    };
    clients.iter().filter(is_here).copied().collect()
}

/// Runs one client to its end; true if nothing failed. What it printed is shown
/// at once where it failed or was skipped.
#[allow(clippy::print_stdout, reason = "the test runner shows it on demand")]
fn works(client: Client, url: &str) -> bool {
    let Client { script, .. } = client;
    let program = match script.ends_with(".py") {
        true => python(),
        false => PathBuf::from("node"),
    };
    let output: Output = run(program, &[script, url]).expect("it ran a moment ago");
    match output.status.code() {
        Some(0) => println!("{}", text(&output)),
        Some(SKIPPED) => say(&format!("{script}: {}", text(&output).trim())),
        _ => say(&format!("{script}: {}\n{}", output.status, text(&output))),
    }
    matches!(output.status.code(), Some(0 | SKIPPED))
}

fn start(clients: Vec<Client>, network: &NetworkOfProcesses) -> JoinSet<(Client, bool)> {
    let mut running = JoinSet::new();
    for client in clients {
        let url = network.rpc_url(client.node);
        running.spawn_blocking(move || (client, works(client, &url)));
    }
    running
}

fn worked((client, is_fine): (Client, bool), network: &NetworkOfProcesses) {
    assert!(
        is_fine,
        "{}: its output is above; its node said\n{}",
        client.script,
        network.log(client.node)
    );
}

/// Waits for all, and fails for the first that did not work.
async fn all_worked(mut running: JoinSet<(Client, bool)>, network: &NetworkOfProcesses) {
    while let Some(ended) = running.join_next().await {
        worked(ended.expect("a client's thread does not panic"), network);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cast_ethers_and_viem_work_while_a_validator_is_killed_and_returns() {
    assert!(folder().is_dir());
    let clients = spawn_blocking(|| installed(&THROUGH_A_FAULT))
        .await
        .unwrap();
    if clients.is_empty() {
        return;
    }
    let mut network = NetworkOfProcesses::start(4).await;
    let mut running = start(clients, &network);

    network.reaches(0, BLOCKS).await;
    network.kill(VICTIM);
    let killed_at = network.height(0).await.unwrap();
    network.reaches(0, killed_at + BLOCKS).await;
    while let Some(early) = running.try_join_next() {
        worked(early.unwrap(), &network);
    }
    assert!(
        !running.is_empty(),
        "all clients ended before the validator was back"
    );
    network.run(VICTIM);
    network.ready(VICTIM).await;

    all_worked(running, &network).await;
    network.agree(&[0, 1, 2, VICTIM]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forge_web3_hardhat_quorum_python_and_a_wallet_work_together() {
    let clients = spawn_blocking(|| installed(&TOGETHER)).await.unwrap();
    if clients.is_empty() {
        return;
    }
    let network = NetworkOfProcesses::start(4).await;
    let running = start(clients, &network);
    all_worked(running, &network).await;
    network.agree(&[0, 1, 2, 3]).await;
}
