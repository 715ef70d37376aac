//! Where keys lie and who learns of it: an enclave behind TLS that is killed, processes
//! whose memory nobody reads, and the audit log that the chain knows.

use crate::TURN;
use alloy_primitives::{B256, U256};
use medina_sdk::private::{AuditRecord, Groups, PrivateMode};
use medina_tests::{
    private::{Enclaves, PrivateNetwork, Setup, add, adding, count, deploy_counter, patiently},
    processes::medina_binary,
};
use std::{
    path::Path,
    process::{Command, Output},
};

/// The first account of the test mnemonic, admin of the first organisation.
const FIRST_ADMIN: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// Two nodes of four with a party.
fn two_parties(enclaves: Enclaves) -> Setup {
    Setup {
        enclaves,
        places: vec![0, 1],
        ..Setup::default()
    }
}

/// A process writes no core dump; only root could read its memory.
fn keeps_its_memory(pid: u32) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("its limits");
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .expect("a limit of core dumps");
    let words: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core}");
}

#[tokio::test(flavor = "multi_thread")]
async fn enclave_behind_tls_is_killed_and_found_again_and_blocks_do_not_wait() {
    let _turn = TURN.lock().await;
    let mut network = PrivateNetwork::start_as(two_parties(Enclaves::OverTls)).await;
    let group = network.group(&[0, 1], PrivateMode::Standard).await;
    let party = network.party(0, 0).await;
    let counter = deploy_counter(&party, group).await;
    add(&party, group, counter, adding(3, "")).await;
    network.same_root(&[0, 1], group).await;
    network.kill_enclave(0);
    network.blocks(0, 3).await;
    network.run_enclave(0);
    let counted = patiently("the enclave to be found again", || async {
        let party = network.party(0, 0).await;
        party.groups().await.ok()?;
        add(&party, group, counter, adding(4, "")).await;
        Some(count(&party, group, counter).await)
    });
    assert_eq!(counted.await, U256::from(7));
    network.same_root(&[0, 1], group).await;
    keeps_its_memory(network.network.pid(0).expect("it runs"));
}

/// What the chain has of an organisation's log.
async fn recorded(network: &PrivateNetwork, org: B256) -> Option<AuditRecord> {
    let chain = network.chain(1, 9).await;
    let groups = Groups::of(&chain).expect("the chain has the contract");
    groups.audit(org).await.expect("an answer")
}

fn audit(network: &PrivateNetwork, file: &Path) -> Output {
    let org = network.orgs[0].to_string();
    Command::new(medina_binary())
        .args(["enclave", "audit", "--org", &org, "--file"])
        .arg(file)
        .args(["--rpc", &network.network.rpc_url(1)])
        .output()
        .expect("the binary can be started")
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_log_is_written_on_the_chain_once_and_a_cut_one_is_named() {
    let _turn = TURN.lock().await;
    let mut network = PrivateNetwork::start_as(two_parties(Enclaves::InProcess)).await;
    let group = network.group(&[0, 1], PrivateMode::Standard).await;
    assert_eq!(
        recorded(&network, network.orgs[0]).await,
        None,
        "nobody acts for it"
    );
    keeps_its_memory(network.network.pid(0).expect("it runs"));
    // From now on the marker account is the organisation's admin.
    network.network.terminate(0).await;
    let key = network.private_folder(0).join("marker.key");
    std::fs::write(&key, format!("{FIRST_ADMIN}\n")).expect("a key");
    network.network.run(0);
    network.network.ready(0).await;
    let first = patiently("the log on the chain", || async {
        recorded(&network, network.orgs[0]).await
    })
    .await;
    assert!(first.entries > 0);
    // The log grows, and the hour is not over.
    let party = network.party(0, 0).await;
    deploy_counter(&party, group).await;
    network.same_root(&[0, 1], group).await;
    network.blocks(1, 3).await;
    assert_eq!(recorded(&network, network.orgs[0]).await, Some(first));

    let log = network.private_folder(0).join("enclave").join("audit.log");
    let whole = audit(&network, &log);
    let said = String::from_utf8_lossy(&whole.stdout).into_owned();
    assert!(whole.status.success(), "{said}");
    let same = format!("the chain says the same of the first {}", first.entries);
    assert!(said.contains(&same), "{said}");
    // A copy without the entries that the chain knows of.
    let bytes = std::fs::read(&log).expect("a log");
    let cut = network.private_folder(0).join("cut.log");
    std::fs::write(&cut, &bytes[..20]).expect("a copy");
    let refused = audit(&network, &cut);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("the log was cut: it ends before entry"),
        "{said}"
    );
}
