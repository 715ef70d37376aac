//! A private state that is lost, joined, or has forgotten: it comes from the other
//! members, proven, and what was erased stays erased.

use crate::{NOWHERE, SECRET, SPOKEN, TURN, state_folder};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::{Nibbles, TrieAccount, proof::verify_proof};
use medina_sdk::private::{Groups, PrivateMode};
use medina_tests::private::{
    PrivateNetwork, add, adding, count, deploy, deploy_counter, files_with, patiently, rows_with,
    teller,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[tokio::test(flavor = "multi_thread")]
async fn lost_and_new_states_come_from_the_members_and_erased_payloads_stay_erased() {
    let _turn = TURN.lock().await;
    let mut network = PrivateNetwork::start().await;
    let group = network.group(&[0, 1, 2], PrivateMode::Standard).await;
    let first = network.party(0, 0).await;
    let counter = deploy_counter(&first, group).await;
    add(&first, group, counter, adding(9, SECRET)).await;
    let speaker = deploy(&first, group, teller()).await;
    let said = Bytes::from_static(SPOKEN.as_bytes());
    let sent = first
        .send(group, speaker, said, Some(200_000))
        .await
        .unwrap();
    first.wait(sent.digest).await.unwrap();
    network.same_root(&[0, 1, 2], group).await;
    let backup = everything_before_the_erasure(&mut network, group).await;

    erase(&network, sent.digest).await;
    add(&first, group, counter, adding(1, "")).await;
    network.same_root(&[0, 1, 2], group).await;
    for node in 0..3 {
        network.stop(node).await;
        erased_at(&network, node);
    }
    put_back(&network, &backup);
    start(&mut network, &[0, 1, 2]).await;
    is_erased(&network, 1, sent.digest).await;
    assert_eq!(rows_with(backup.path(), SPOKEN.as_bytes()), []);
    assert_eq!(files_with(backup.path(), SPOKEN.as_bytes()), NOWHERE);

    // The state is lost; its inputs cannot be replayed any more.
    network.stop(2).await;
    std::fs::remove_dir_all(state_folder(&network, 2, group)).unwrap();
    start(&mut network, &[2]).await;
    let root = network.same_root(&[0, 1, 2], group).await;
    let third = network.party(2, 0).await;
    assert_eq!(count(&third, group, counter).await, U256::from(10));
    add(&third, group, counter, adding(2, "")).await;
    assert_ne!(network.same_root(&[0, 1, 2], group).await, root);
    is_erased(&network, 2, sent.digest).await;
    reported(&network, group, sent.digest).await;
    new_node_takes_the_place_of_a_lost_one(&mut network, (group, counter), sent.digest).await;
    new_member_joins(&network, (group, counter), sent.digest).await;
}

/// Orders an erasure and waits for every holder's receipt.
async fn erase(network: &PrivateNetwork, digest: B256) {
    let first = network.party(0, 0).await;
    first
        .erase(digest, "asked by the patient")
        .await
        .expect("the network answers");
    let erasure = patiently("all holders to have erased a payload", || async {
        let erasure = first.erasure(digest).await.ok().flatten()?;
        (erasure.pending.is_empty() && erasure.receipts.len() == 3).then_some(erasure)
    })
    .await;
    assert_eq!(erasure.reason, "asked by the patient");
    let mut signers: Vec<_> = erasure.receipts.iter().map(|receipt| receipt.org).collect();
    signers.sort_unstable();
    signers.dedup();
    assert_eq!(signers.len(), 3, "each holder signs for itself");
    for node in 0..3 {
        is_erased(network, node, digest).await;
    }
}

/// Each organisation says on the chain that it has erased the payload.
async fn reported(network: &PrivateNetwork, group: B256, digest: B256) {
    for account in 0..3 {
        let chain = network.chain(0, account).await;
        let groups = Groups::of(&chain).expect("the network answers");
        groups
            .report_erased(group, digest, B256::ZERO)
            .await
            .expect("the network answers");
    }
    let chain = network.chain(0, 0).await;
    let erased = Groups::of(&chain)
        .expect("the network answers")
        .erased(group, digest)
        .await;
    assert!(erased.expect("the network answers").is_some());
}

/// Node 2 has lost everything but its secrets: the chain, the states, the payloads and
/// what it knew of erased ones. A new node syncs past the erased payload and knows it.
async fn new_node_takes_the_place_of_a_lost_one(
    network: &mut PrivateNetwork,
    (group, counter): (B256, Address),
    erased: B256,
) {
    network.stop(2).await;
    forget_the_chain(&network.network.node_folder(2).join("data"));
    for lost in ["payloads", "payload-keys"] {
        std::fs::remove_dir_all(network.enclave_folder(2).join(lost)).expect("the network answers");
    }
    start(network, &[2]).await;
    network.same_root(&[0, 1, 2], group).await;
    let third = network.party(2, 0).await;
    assert_eq!(count(&third, group, counter).await, U256::from(12));
    is_erased(network, 2, erased).await;
    add(&third, group, counter, adding(0x1000, "")).await;
    network.same_root(&[0, 1, 2], group).await;
}

/// The answer to every question about an erased payload.
async fn is_erased(network: &PrivateNetwork, node: usize, digest: B256) {
    let party = network.party(node, 0).await;
    for method in ["priv_getTransactionByDigest", "priv_getTransactionReceipt"] {
        let what = format!("node {node} to answer {method} with 'erased'");
        patiently(&what, || async {
            let answer: Result<Value, _> = party.rpc().call(method, json!([digest])).await;
            let text = answer.err()?.to_string();
            text.contains("erased").then_some(())
        })
        .await;
    }
}

/// Copies what an operator backs up of node 1: the databases of its chain and of its
/// enclave, not the keys of payloads. What was said is on the members' disks in clear
/// as long as they hold it.
async fn everything_before_the_erasure(
    network: &mut PrivateNetwork,
    group: B256,
) -> tempfile::TempDir {
    network.stop(1).await;
    let state = state_folder(network, 1, group);
    assert_ne!(
        rows_with(&state, SPOKEN.as_bytes()),
        [],
        "the search finds it"
    );
    let backup = tempfile::tempdir().expect("the network answers");
    copy(&network.enclave_folder(1), backup.path(), &|path| {
        path.file_name().is_some_and(|name| name == "payload-keys")
    });
    start(network, &[1]).await;
    network.same_root(&[0, 1, 2], group).await;
    backup
}

/// The backup's databases are put in the place of a stopped node's.
fn put_back(network: &PrivateNetwork, backup: &tempfile::TempDir) {
    copy(backup.path(), &network.enclave_folder(1), &|_| false);
}

/// Neither what was said nor what stood beside it is on a holder's disk: not in a
/// file, a write-ahead log or a row.
fn erased_at(network: &PrivateNetwork, node: usize) {
    let folder = network.network.node_folder(node);
    for text in [SECRET, SPOKEN] {
        assert_eq!(files_with(folder, text.as_bytes()), NOWHERE, "{text}");
        assert_eq!(rows_with(folder, text.as_bytes()), [], "{text}");
    }
}

async fn start(network: &mut PrivateNetwork, nodes: &[usize]) {
    for node in nodes {
        network.network.run(*node);
    }
    for node in nodes {
        network.network.ready(*node).await;
    }
    for node in nodes {
        network.network.linked(*node, 3).await;
    }
}

/// An organisation joins after the erasure, and its node takes the state over: proven,
/// not told.
async fn new_member_joins(
    network: &PrivateNetwork,
    (group, counter): (B256, Address),
    erased: B256,
) {
    let joining = network.chain(0, 3).await;
    let groups = Groups::of(&joining).expect("the network answers");
    groups
        .propose_member(group, network.orgs[3])
        .await
        .expect("the network answers");
    for account in [0, 1] {
        let member = network.chain(0, account).await;
        let groups = Groups::of(&member).expect("the network answers");
        groups
            .vote(group, network.orgs[3])
            .await
            .expect("the network answers");
    }
    let newcomer = network.party(3, 3).await;
    patiently("the new member to know its group", || async {
        newcomer.status(group).await.ok()
    })
    .await;
    network.same_root(&[0, 1, 2, 3], group).await;
    assert_eq!(
        count(&newcomer, group, counter).await,
        U256::from(12 + 0x1000)
    );
    add(&newcomer, group, counter, adding(3, "")).await;
    network.same_root(&[0, 1, 2, 3], group).await;
    is_erased(network, 3, erased).await;
    proven(network, (group, counter), U256::from(15 + 0x1000)).await;
}

/// A value at a height, by hashes alone, against the root that more than half of the
/// members signed for that height.
async fn proven(network: &PrivateNetwork, (group, counter): (B256, Address), value: U256) {
    // So that roots with the value in them are signed.
    network.blocks(0, 9).await;
    let newcomer = network.party(3, 3).await;
    let (height, root) = patiently("a root that more than half have signed", || async {
        let signed = newcomer.status(group).await.ok()?.attestations;
        let newest = signed.iter().map(|one| one.height).max()?;
        let mut at: Vec<_> = signed.iter().filter(|one| one.height == newest).collect();
        at.dedup_by_key(|one| one.root);
        let first = at.first()?;
        let same = signed
            .iter()
            .filter(|one| one.height == newest && one.root == first.root);
        (at.len() == 1 && same.count() > 2).then_some((newest, first.root))
    })
    .await;
    let params = json!([group, counter, ["0x0"], format!("{height:#x}")]);
    let proof: Value = newcomer
        .rpc()
        .call("priv_getProof", params)
        .await
        .expect("the network answers");
    let nodes = |value: &Value| -> Vec<Bytes> {
        serde_json::from_value(value.clone()).expect("the network answers")
    };
    let account = TrieAccount {
        nonce: quantity(&proof["nonce"]).to(),
        balance: quantity(&proof["balance"]),
        storage_root: serde_json::from_value(proof["storageHash"].clone())
            .expect("the network answers"),
        code_hash: serde_json::from_value(proof["codeHash"].clone()).expect("the network answers"),
    };
    let path = Nibbles::unpack(keccak256(counter));
    let account_nodes = nodes(&proof["accountProof"]);
    let holds = verify_proof(root, path, Some(alloy_rlp::encode(account)), &account_nodes);
    assert!(holds.is_ok(), "{holds:?} {proof}");
    let slot = &proof["storageProof"][0];
    assert_eq!(quantity(&slot["value"]), value);
    let path = Nibbles::unpack(keccak256(B256::ZERO));
    let word = alloy_rlp::encode(value);
    let slot_nodes = nodes(&slot["proof"]);
    let holds = verify_proof(account.storage_root, path, Some(word), &slot_nodes);
    assert!(holds.is_ok(), "{holds:?}");
    // Another value has no such proof.
    let path = Nibbles::unpack(keccak256(B256::ZERO));
    let wrong = alloy_rlp::encode(value + U256::from(1));
    assert!(verify_proof(account.storage_root, path, Some(wrong), &slot_nodes).is_err());
}

fn quantity(value: &Value) -> U256 {
    serde_json::from_value(value.clone()).expect("a quantity")
}

/// Removes the chain of a node, and everything private but its secrets.
fn forget_the_chain(data: &Path) {
    let is_kept = |path: &Path| path.file_name().is_some_and(|name| name == "enclave");
    let private = data.join("private");
    let entries = [data, &private].map(|folder| std::fs::read_dir(folder).expect("a folder"));
    for path in entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
    {
        if path == private || is_kept(&path) {
            continue;
        }
        match path.is_dir() {
            true => std::fs::remove_dir_all(path).expect("a folder can be removed"),
            // Keys and tokens beside the group stores stay.
            false if path.starts_with(&private) => {}
            false => std::fs::remove_file(path).expect("a file can be removed"),
        }
    }
}

fn copy(from: &Path, to: &Path, is_left_out: &dyn Fn(&PathBuf) -> bool) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if is_left_out(&path) {
            continue;
        }
        match path.is_dir() {
            true => copy(&path, &target, is_left_out),
            false => drop(std::fs::copy(&path, &target).expect("a file can be copied")),
        }
    }
}
