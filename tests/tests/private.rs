//! Private groups on networks of real processes: who has what, who waits for whom,
//! and what comes of it when somebody is away, killed, wrong or forgotten.

use alloy_primitives::{B256, Bytes, U256, keccak256};
use medina_sdk::private::{PrivateClientError, PrivateMode};
use medina_tests::{
    private::{
        Enclaves, PrivateNetwork, add, adding, count, deploy_counter, files_with, patiently,
    },
    processes::eventually,
};
use serde_json::json;
use tokio::sync::Mutex;

/// Two networks at a time are more than small machines carry.
static TURN: Mutex<()> = Mutex::const_new(());

/// What nobody outside a group may find anywhere.
const SECRET: &str = "the-price-of-a-bed-in-ward-seven-is-4711";

#[tokio::test(flavor = "multi_thread")]
async fn members_share_a_contract_and_everybody_else_holds_nothing() {
    let _turn = TURN.lock().await;
    let mut network = PrivateNetwork::start().await;
    let pair = network.group(&[0, 1], PrivateMode::Standard).await;
    let three = network.group(&[0, 1, 2], PrivateMode::Standard).await;
    let (first, second) = (network.party(0, 0).await, network.party(1, 1).await);
    let counter = deploy_counter(&first, pair).await;
    let receipt = add(&first, pair, counter, adding(5, SECRET)).await;
    assert_eq!(receipt.logs.len(), 1);
    network.same_root(&[0, 1], pair).await;
    assert_eq!(count(&second, pair, counter).await, U256::from(5));
    add(&second, pair, counter, adding(6, SECRET)).await;
    network.same_root(&[0, 1], pair).await;
    assert_eq!(count(&first, pair, counter).await, U256::from(11));
    let filter = json!({ "fromBlock": "0x0", "toBlock": "latest", "address": counter });
    assert_eq!(first.logs(pair, filter).await.unwrap().len(), 2);

    // It takes back what it does not want, and its sender's nonce counts.
    let sent = second
        .send(pair, counter, adding(0, SECRET), Some(200_000))
        .await
        .unwrap();
    let failed = second.wait(sent.digest).await.unwrap_err();
    assert!(matches!(&failed, PrivateClientError::Failed(_)), "{failed}");
    assert_eq!(count(&first, pair, counter).await, U256::from(11));

    // The same in a group of three, whose contract is another one.
    let other = deploy_counter(&network.party(2, 2).await, three).await;
    assert_ne!(other, counter);
    add(&first, three, other, adding(7, SECRET)).await;
    network.same_root(&[0, 1, 2], three).await;
    assert_eq!(
        count(&network.party(2, 2).await, three, other).await,
        U256::from(7)
    );

    // Who is no member has no group, no state, no payload.
    let stranger = network.party(3, 3).await;
    assert!(stranger.status(pair).await.is_err());
    assert!(stranger.call(pair, counter, Bytes::new()).await.is_err());
    assert!(network.party(2, 2).await.status(pair).await.is_err());
    let code = network
        .network
        .call(3, "eth_getCode", json!([counter, "latest"]))
        .await;
    assert_eq!(code, "0x", "the public state knows nothing of it");
    network.network.agree(&[0, 1, 2, 3]).await;
    for node in 0..4 {
        network.stop(node).await;
    }
    let folder = |node| network.network.node_folder(node).to_owned();
    let nothing: Vec<std::path::PathBuf> = Vec::new();
    assert_eq!(files_with(&folder(3), SECRET.as_bytes()), nothing);
    // Nor do members hold it in clear: neither in the chain's database nor in logs.
    for node in 0..3 {
        assert_eq!(files_with(&folder(node), SECRET.as_bytes()), nothing);
    }
    let states = network.private_folder(3).join("groups");
    assert_eq!(std::fs::read_dir(states).unwrap().count(), 0);
    let (pair, three) = (
        alloy_primitives::hex::encode(pair),
        alloy_primitives::hex::encode(three),
    );
    assert!(
        network
            .private_folder(2)
            .join("groups")
            .join(&three)
            .exists()
    );
    assert!(!network.private_folder(2).join("groups").join(pair).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn party_that_was_away_or_killed_comes_to_the_same_root_and_blocks_go_on() {
    let _turn = TURN.lock().await;
    let mut network = PrivateNetwork::start().await;
    let group = network
        .group_with(&[0, 1, 2], PrivateMode::Mandatory, &[1], 0)
        .await;
    let first = network.party(0, 0).await;
    let counter = deploy_counter(&first, group).await;
    network.same_root(&[0, 1, 2], group).await;

    // All must acknowledge: with one away the marker waits, and public blocks do not.
    network.network.kill(2);
    let sent = first
        .send(group, counter, adding(3, ""), Some(200_000))
        .await
        .unwrap();
    let before = network.network.height(0).await.unwrap();
    network.blocks(0, 3).await;
    assert!(network.network.height(0).await.unwrap() >= before + 3);
    let delivery = first
        .delivery(sent.digest)
        .await
        .unwrap()
        .expect("it is known");
    assert!(!delivery.is_policy_met);
    network.network.run(2);
    network.network.ready(2).await;
    first.wait(sent.digest).await.unwrap();
    network.same_root(&[0, 1, 2], group).await;

    // Killed again and again under load, in whatever it is doing.
    for round in 0..3_u64 {
        let mut sent = Vec::new();
        for number in 1..=4 {
            let input = adding(round * 10 + number, "");
            sent.push(
                first
                    .send(group, counter, input, Some(200_000))
                    .await
                    .unwrap(),
            );
        }
        let victim = usize::try_from(round % 2).unwrap() + 1;
        network.network.kill(victim);
        network.network.run(victim);
        network.network.ready(victim).await;
        for sent in sent {
            first.wait(sent.digest).await.unwrap();
        }
    }
    network.same_root(&[0, 1, 2], group).await;
    let expected = U256::from(3 + (1 + 2 + 3 + 4) * 3 + 4 * (10 + 20));
    for node in 0..3 {
        let party = network.party(node, 0).await;
        assert_eq!(count(&party, group, counter).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn enclave_that_is_killed_stops_no_public_block_and_private_state_catches_up() {
    let _turn = TURN.lock().await;
    let mut network = PrivateNetwork::start_with(Enclaves::Apart).await;
    let group = network.group(&[0, 1, 2], PrivateMode::Standard).await;
    let first = network.party(0, 0).await;
    let counter = deploy_counter(&first, group).await;
    add(&first, group, counter, adding(1, "")).await;
    network.same_root(&[0, 1, 2], group).await;
    for victim in [1, 2] {
        let sent = first
            .send(group, counter, adding(10, ""), Some(200_000))
            .await
            .unwrap();
        network.kill_enclave(victim);
        let before = network.network.height(victim).await.unwrap();
        network.blocks(0, 5).await;
        network.network.reaches(victim, before + 5).await;
        network.run_enclave(victim);
        first.wait(sent.digest).await.unwrap();
        network.same_root(&[0, 1, 2], group).await;
    }
    let third = network.party(2, 0).await;
    assert_eq!(count(&third, group, counter).await, U256::from(21));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_transactions_of_a_validated_group_all_settle() {
    const EACH: u64 = 4;
    let _turn = TURN.lock().await;
    let network = PrivateNetwork::start().await;
    let group = network.group(&[0, 1, 2], PrivateMode::Validated).await;
    let first = network.party(0, 0).await;
    let counter = deploy_counter(&first, group).await;
    network.same_root(&[0, 1, 2], group).await;
    let mut sent = Vec::new();
    for number in 1..=EACH {
        for node in 0..3_u32 {
            let party = network.party(node as usize, node).await;
            let input = adding(number, "");
            // Each sender's own nonces, in a row: an account per transaction.
            let account = 10 + node * 10 + u32::try_from(number).unwrap();
            let party_of = network.party(node as usize, account).await;
            let taken = party_of
                .send(group, counter, input, Some(200_000))
                .await
                .unwrap();
            sent.push((party, taken.digest));
        }
    }
    for (party, digest) in sent {
        patiently("a transaction of a validated group to settle", || async {
            party
                .receipt(digest)
                .await
                .ok()
                .flatten()
                .filter(|receipt| receipt.status)
        })
        .await;
    }
    network.same_root(&[0, 1, 2], group).await;
    let expected = U256::from(3 * (1..=EACH).sum::<u64>());
    for node in 0..3 {
        assert_eq!(
            count(&network.party(node, 0).await, group, counter).await,
            expected
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_state_is_taken_from_the_others_and_erased_payloads_stay_erased() {
    let _turn = TURN.lock().await;
    let mut network = PrivateNetwork::start().await;
    let group = network.group(&[0, 1, 2], PrivateMode::Standard).await;
    let first = network.party(0, 0).await;
    let counter = deploy_counter(&first, group).await;
    let sent = first
        .send(group, counter, adding(9, SECRET), Some(200_000))
        .await
        .unwrap();
    first.wait(sent.digest).await.unwrap();
    network.same_root(&[0, 1, 2], group).await;

    first
        .erase(sent.digest, "asked by the patient")
        .await
        .unwrap();
    let erasure = patiently("all holders to have erased a payload", || async {
        let erasure = first.erasure(sent.digest).await.ok().flatten()?;
        (erasure.pending.is_empty() && erasure.receipts.len() == 3).then_some(erasure)
    })
    .await;
    assert_eq!(erasure.reason, "asked by the patient");
    for node in 0..3 {
        let party = network.party(node, 0).await;
        let answer = party.receipt(sent.digest).await.unwrap_err().to_string();
        assert!(answer.contains("erased"), "{answer}");
    }
    add(&first, group, counter, adding(1, "")).await;
    network.same_root(&[0, 1, 2], group).await;

    // The state is lost; its inputs cannot be replayed any more.
    network.stop(2).await;
    let lost = network
        .private_folder(2)
        .join("groups")
        .join(alloy_primitives::hex::encode(group));
    std::fs::remove_dir_all(&lost).unwrap();
    network.network.run(2);
    network.network.ready(2).await;
    let root = network.same_root(&[0, 1, 2], group).await;
    let third = network.party(2, 0).await;
    assert_eq!(count(&third, group, counter).await, U256::from(10));
    add(&third, group, counter, adding(2, "")).await;
    assert_ne!(network.same_root(&[0, 1, 2], group).await, root);
    for node in 0..3 {
        network.stop(node).await;
        let found = files_with(network.network.node_folder(node), SECRET.as_bytes());
        assert_eq!(found, Vec::<std::path::PathBuf>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn member_with_another_state_stops_its_group_and_nothing_else() {
    let _turn = TURN.lock().await;
    let mut network = PrivateNetwork::start().await;
    let group = network.group(&[0, 1, 2], PrivateMode::Standard).await;
    let sound = network.group(&[0, 1], PrivateMode::Standard).await;
    let first = network.party(0, 0).await;
    let counter = deploy_counter(&first, group).await;
    let other = deploy_counter(&first, sound).await;
    add(&first, group, counter, adding(9, "")).await;
    network.same_root(&[0, 1, 2], group).await;
    network.stop(2).await;
    corrupt(&network, 2, group);
    network.network.run(2);
    network.network.ready(2).await;
    // Within an interval of attestation or two.
    add(&first, group, counter, adding(1, "")).await;
    network.blocks(0, 9).await;
    let halted = patiently("the members to see another root", || async {
        let status = first.status(group).await.ok()?;
        status.halt.filter(|_| status.phase == "halted")
    })
    .await;
    assert_eq!(halted.member, network.orgs[2]);
    assert!(halted.height > 0);
    add(&first, sound, other, adding(4, "")).await;
    network.same_root(&[0, 1], sound).await;
    network.network.agree(&[0, 1, 2, 3]).await;

    // Thrown away and taken from the others, it agrees again, and they go on.
    network.stop(2).await;
    let folder = network
        .private_folder(2)
        .join("groups")
        .join(alloy_primitives::hex::encode(group));
    std::fs::remove_dir_all(&folder).unwrap();
    network.network.run(2);
    network.network.ready(2).await;
    eventually("the members to agree again", || async {
        let status = first.status(group).await.ok()?;
        (status.phase != "halted").then_some(())
    })
    .await;
    add(&first, group, counter, adding(1, "")).await;
    network.same_root(&[0, 1, 2], group).await;
}

/// Changes a slot in the state of a node that does not run, root and all, as if it
/// had come to it by itself.
fn corrupt(network: &PrivateNetwork, node: usize, group: B256) {
    use medina_execution::private::{GroupOpening, GroupStores, PrivateError};
    use medina_storage::{OpenOptions, SnapshotChunk, Store};
    let chain = network.network.node_folder(node).join("data");
    let chain = Store::open(chain, OpenOptions::default()).expect("a sound state");
    let genesis = chain
        .genesis_hash()
        .expect("a sound state")
        .expect("a sound state");
    let folder = network.private_folder(node).join("groups");
    let stores = GroupStores::new(GroupOpening::new(folder, genesis)).expect("a sound state");
    let (height, chunk) = {
        let store = stores.get(group).expect("a sound state");
        let height = store
            .followed()
            .expect("a sound state")
            .expect("a sound state");
        (
            height,
            store.snapshot_chunk(height, None).expect("a sound state"),
        )
    };
    // The counter's number is the only word that ends in 9.
    let mut bytes = borsh::to_vec(&chunk).expect("a sound state");
    let mut word = [0; 32];
    word[31] = 9;
    let at = bytes
        .windows(32)
        .position(|window| window == word)
        .expect("a sound state");
    bytes[at + 31] = 8;
    let chunk: SnapshotChunk = borsh::from_slice(&bytes).expect("a sound state");
    let header = chain
        .header_by_number(height)
        .expect("a sound state")
        .expect("a sound state");
    let hash = chain
        .hash_of_number(height)
        .expect("a sound state")
        .expect("a sound state");
    let mut root = keccak256("not known yet");
    for _ in 0..2 {
        let mut import = stores
            .begin_import(group, (&header, hash), root)
            .expect("a sound state");
        import.put(&chunk).expect("a sound state");
        match stores.finish_import(import) {
            Ok(_) => return,
            Err(PrivateError::WrongRoot { found, .. }) => root = found,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the root is known by now");
}
