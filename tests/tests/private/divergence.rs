//! Members that part: who is named, who stops, who goes on, and whose state nobody takes.

use crate::{TURN, state_folder};
use alloy_primitives::{B256, U256, keccak256};
use medina_execution::private::{GroupOpening, GroupStores, PrivateError};
use medina_sdk::private::PrivateMode;
use medina_storage::{OpenOptions, SnapshotChunk, Store};
use medina_tests::private::{PrivateNetwork, add, adding, count, deploy_counter, patiently};

/// What the counter says before its state is forged, and after.
const TRUE: u8 = 9;
const FORGED: u8 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn member_with_another_state_is_named_and_stops_its_group_and_nothing_else() {
    let _turn = TURN.lock().await;
    let mut network = PrivateNetwork::start().await;
    let pair = network.group(&[0, 2], PrivateMode::Standard).await;
    let four = network.group(&[0, 1, 2, 3], PrivateMode::Standard).await;
    let sound = network.group(&[0, 1], PrivateMode::Standard).await;
    let first = network.party(0, 0).await;
    let mut counters = Vec::new();
    for group in [pair, four, sound] {
        let counter = deploy_counter(&first, group).await;
        add(&first, group, counter, adding(TRUE.into(), "")).await;
        counters.push(counter);
    }
    network.same_root(&[0, 2], pair).await;
    network.same_root(&[0, 1, 2, 3], four).await;

    // In a group of two nobody can tell who is wrong: it stops, and says with whom.
    network.stop(2).await;
    forge(&network, 2, pair);
    start(&mut network, 2).await;
    // Within an interval of attestation or two.
    add(&first, pair, counters[0], adding(1, "")).await;
    network.blocks(0, 9).await;
    let halted = patiently("the member to see another root", || async {
        let status = first.status(pair).await.ok()?;
        status.halt.filter(|_| status.phase == "halted")
    })
    .await;
    assert_eq!(halted.member, network.orgs[2]);
    assert!(halted.height > 0);
    assert!(
        halted.reason.contains(&network.orgs[2].to_string()),
        "{}",
        halted.reason
    );
    add(&first, sound, counters[2], adding(4, "")).await;
    network.same_root(&[0, 1], sound).await;
    add(&first, four, counters[1], adding(1, "")).await;
    network.same_root(&[0, 1, 2, 3], four).await;
    network.network.agree(&[0, 1, 2, 3]).await;

    majority_goes_on_and_nobody_takes_a_forged_state(&mut network, four, counters[1]).await;
}

/// Three of four agree: they name the fourth and go on. Who has lost its state does
/// not take the fourth's, though nobody else is there to give one.
async fn majority_goes_on_and_nobody_takes_a_forged_state(
    network: &mut PrivateNetwork,
    group: B256,
    counter: alloy_primitives::Address,
) {
    // The number is 10 now: forged it is another one.
    for node in [0, 2] {
        network.stop(node).await;
    }
    forge_from(network, 2, group, (TRUE + 1, FORGED));
    std::fs::remove_dir_all(state_folder(network, 0, group)).expect("the network answers");
    // Without a quorum of validators nothing moves: 1 and 3 are away, 2 alone offers a state.
    for node in [1, 3] {
        network.stop(node).await;
    }
    start(network, 2).await;
    start(network, 0).await;
    let first = network.party(0, 0).await;
    patiently("the member to look for a state", || async {
        let log = network.network.log(0);
        let status = first.status(group).await.ok()?;
        (status.phase == "rebuilding" && log.contains("takes its state")).then_some(())
    })
    .await;
    let seen = first
        .call(group, counter, alloy_primitives::Bytes::new())
        .await;
    let number = seen.ok().map(|word| U256::from_be_slice(&word));
    assert_ne!(
        number,
        Some(U256::from(FORGED)),
        "a state that one member made up"
    );
    for node in [1, 3] {
        start(network, node).await;
    }
    for node in 0..4 {
        network.network.linked(node, 3).await;
    }
    add(&network.party(1, 1).await, group, counter, adding(5, "")).await;
    network.blocks(0, 9).await;
    // Outvoted, it takes the others' state by itself; they have gone on meanwhile.
    network.same_root(&[0, 1, 2, 3], group).await;
    for node in 0..4 {
        let party = network.party(node, 0).await;
        let expected = U256::from(TRUE + 1 + 5);
        assert_eq!(count(&party, group, counter).await, expected);
    }
    let liar = network.orgs[2].to_string();
    patiently(
        "the member whose root differs to be named, or to see it itself",
        || async {
            let named = |line: &str| line.contains("another private root") && line.contains(&liar);
            let mut logs = [0, 1, 3].map(|node| network.network.log(node)).into_iter();
            let is_named = logs.any(|log| log.lines().any(named));
            let log = network.network.log(2);
            (is_named || log.contains("taking theirs")).then_some(())
        },
    )
    .await;
}

async fn start(network: &mut PrivateNetwork, node: usize) {
    network.network.run(node);
    network.network.ready(node).await;
}

fn forge(network: &PrivateNetwork, node: usize, group: B256) {
    forge_from(network, node, group, (TRUE, FORGED));
}

/// Changes a slot in the state of a node that does not run, root and all, as if it
/// had come to it by itself.
fn forge_from(network: &PrivateNetwork, node: usize, group: B256, (from, to): (u8, u8)) {
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
    // The counter's number is the only word that ends so.
    let mut bytes = borsh::to_vec(&chunk).expect("a sound state");
    let mut word = [0; 32];
    word[31] = from;
    let at = bytes
        .windows(32)
        .position(|window| window == word)
        .expect("a sound state");
    bytes[at + 31] = to;
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
