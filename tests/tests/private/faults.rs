//! Nodes and enclaves that are killed under load, at points that a seed chooses; keys
//! that change meanwhile; an enclave that hangs.

use crate::TURN;
use alloy_primitives::{Address, B256, U256};
use medina_sdk::private::{Groups, PrivateMode};
use medina_tests::{
    private::{
        Enclaves, PrivateNetwork, adding, count, deploy_counter,
        load::{Outcome, PrivateLoad},
        patiently,
    },
    processes::eventually,
};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Chooses the points; `MEDINA_SEED` names another one.
const SEED: u64 = 0x6d65_6469_6e61;
/// How often something is killed.
const KILLS: u32 = 9;
/// Longest pause between what is counted and the kill.
const PAUSE_MS_MAX: u64 = 60;
/// Older than any key may become.
const AGE_S: u64 = 26 * 60 * 60;
/// Private transactions that are sent into an enclave that hangs.
const INTO_SILENCE: usize = 80;

/// What is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Node,
    Enclave,
    Both,
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_points_under_load_nodes_and_enclaves_come_to_one_root() {
    let _turn = TURN.lock().await;
    let mut network = PrivateNetwork::start_with(Enclaves::Apart).await;
    let group = network.group(&[0, 1, 2], PrivateMode::Standard).await;
    let first = network.party(0, 0).await;
    let counter = deploy_counter(&first, group).await;
    network.same_root(&[0, 1, 2], group).await;
    let seed = std::env::var("MEDINA_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    let mut choice = ChaCha8Rng::seed_from_u64(seed);
    let mut load = PrivateLoad::start(&network, &[0, 1, 2], (group, 0), counter).await;
    let mut told = Vec::new();
    for _ in 0..KILLS {
        let victim = choice.random_range(0..3_usize);
        let what = [Victim::Node, Victim::Enclave, Victim::Both][choice.random_range(0..3)];
        let more = choice.random_range(1..5_u64);
        let pause = Duration::from_millis(choice.random_range(0..PAUSE_MS_MAX));
        told.push((victim, what, more, pause));
        load.reaches(load.taken() + more).await;
        // No wait for anything: this is where the point in time is chosen.
        tokio::time::sleep(pause).await;
        kill(&mut network, victim, what).await;
    }
    let outcomes = load.finish().await;
    println!("seed {seed}: {told:?}");
    nothing_is_lost(&network, (group, counter), &outcomes).await;

    let before = encryption_keys(&network).await;
    let outcomes = keys_change(&mut network, group, counter, outcomes).await;
    for (old, new) in before.iter().zip(encryption_keys(&network).await).take(3) {
        assert!(new.0 > old.0 && new.1 != old.1, "{old:?} {new:?}");
    }
    nothing_is_lost(&network, (group, counter), &outcomes).await;
    hanging_enclave_holds_up_no_block(&network, group, counter).await;
}

/// Kills, sees that public blocks go on, and starts it again.
async fn kill(network: &mut PrivateNetwork, victim: usize, what: Victim) {
    if matches!(what, Victim::Enclave | Victim::Both) {
        network.kill_enclave(victim);
    }
    if matches!(what, Victim::Node | Victim::Both) {
        network.network.kill(victim);
    }
    let witness = (victim + 1) % 3;
    let before = network.network.height(witness).await.expect("it answers");
    network.blocks(witness, 2).await;
    network.network.reaches(witness, before + 2).await;
    if matches!(what, Victim::Enclave) {
        network.network.reaches(victim, before + 2).await;
    }
    if matches!(what, Victim::Node | Victim::Both) {
        network.network.run(victim);
    }
    if matches!(what, Victim::Enclave | Victim::Both) {
        network.run_enclave(victim);
    }
    network.network.ready(victim).await;
}

/// Every nonce of every account was executed once, at every member, and all of it is
/// in the one state.
async fn nothing_is_lost(
    network: &PrivateNetwork,
    (group, counter): (B256, Address),
    outcomes: &[Outcome],
) {
    let sum: u64 = outcomes.iter().map(|outcome| outcome.sum).sum();
    for node in 0..3 {
        let party = network.party(node, 0).await;
        for outcome in outcomes {
            let what = format!("{outcome:?} to settle at node {node}");
            patiently(&what, || async {
                let count = party.transaction_count(group, outcome.account).await;
                (count.ok()? == outcome.sent).then_some(())
            })
            .await;
        }
        patiently("the sum", || async {
            (count(&party, group, counter).await == U256::from(sum)).then_some(())
        })
        .await;
    }
    network.same_root(&[0, 1, 2], group).await;
}

/// Makes the parties' keys so old that new ones are due and, at the second time, that
/// the replaced ones are destroyed; all that under load.
async fn keys_change(
    network: &mut PrivateNetwork,
    group: B256,
    counter: Address,
    before: Vec<Outcome>,
) -> Vec<Outcome> {
    let mut load = PrivateLoad::start_from(network, &before, (group, 0), counter).await;
    let chain = network.chain(0, 0).await;
    let groups = Groups::of(&chain).expect("the chain has the contract");
    for round in 1..=2 {
        for node in 0..3 {
            load.reaches(load.taken() + 2).await;
            let old = groups
                .key(network.orgs[node])
                .await
                .expect("the network answers")
                .expect("it is there");
            network.kill_enclave(node);
            for file in epochs(&network.enclave_folder(node)) {
                age(&file);
            }
            network.run_enclave(node);
            eventually("a new encryption key on the chain", || async {
                let key = groups.key(network.orgs[node]).await.ok()??;
                (key.epoch > old.epoch).then_some(())
            })
            .await;
            load.reaches(load.taken() + 2).await;
            let kept = epochs(&network.enclave_folder(node)).len();
            assert!(
                kept <= 2,
                "round {round}: {kept} secrets, one and the one before it"
            );
        }
    }
    let outcomes = load.finish().await;
    // Payloads that came under a destroyed key are read under the key of the store.
    let digest = before[0].digests[0];
    for node in 0..3 {
        let party = network.party(node, 0).await;
        let shown = party.show(digest).await.expect("it is held");
        assert!(shown.transaction.is_some());
    }
    outcomes
}

/// Files of the encryption keys of an enclave, named after epoch and time.
fn epochs(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
    {
        match path.file_name() {
            Some(name) if name == "epochs" => {
                let files = std::fs::read_dir(&path).into_iter().flatten().flatten();
                found.extend(files.map(|file| file.path()));
            }
            _ => found.extend(epochs(&path)),
        }
    }
    found.sort();
    found
}

/// Renames a key's file to an earlier time of its beginning.
fn age(file: &Path) {
    let name = file.file_name().and_then(|name| name.to_str());
    let (epoch, since) = name
        .and_then(|name| name.split_once('-'))
        .expect("EPOCH-TIME");
    let since: u64 = since.parse().expect("a time");
    let older = format!("{epoch}-{}", since - AGE_S);
    std::fs::rename(file, file.with_file_name(older)).expect("a file can be renamed");
}

/// Epoch and key of every organisation, as the chain has them.
async fn encryption_keys(network: &PrivateNetwork) -> Vec<(u32, B256)> {
    let chain = network.chain(0, 0).await;
    let groups = Groups::of(&chain).expect("the chain has the contract");
    let mut keys = Vec::new();
    for org in &network.orgs {
        let key = groups
            .key(*org)
            .await
            .expect("the network answers")
            .expect("it has one");
        keys.push((key.epoch, key.key));
    }
    keys
}

/// An enclave that neither answers nor ends, with many waiting for it: its node makes
/// blocks and answers what is public.
async fn hanging_enclave_holds_up_no_block(
    network: &PrivateNetwork,
    group: B256,
    counter: Address,
) {
    let before = count(&network.party(0, 0).await, group, counter).await;
    network.signal_enclave(1, "STOP");
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..INTO_SILENCE {
        let account = 100 + u32::try_from(number).expect("small");
        let party = network.party(1, account).await;
        waiting.spawn(async move {
            // Refused, unavailable or taken later: all of it is an answer.
            let _ = party
                .send(group, counter, adding(1, ""), Some(200_000))
                .await;
        });
    }
    let height = network
        .network
        .height(1)
        .await
        .expect("it answers what is public");
    network.blocks(1, 10).await;
    network.network.reaches(1, height + 10).await;
    assert!(!waiting.is_empty());
    network.signal_enclave(1, "CONT");
    waiting.join_all().await;
    network.same_root(&[0, 1, 2], group).await;
    assert!(count(&network.party(0, 0).await, group, counter).await >= before);
}
