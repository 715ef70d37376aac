//! This node's parties: made in the enclave, told to the operator who registers them,
//! and their encryption keys, rotated and published without anybody's doing.

use crate::private::{
    members::blocking,
    registry::publish_key_input,
    rows::RowResult,
    shared::{OwnParty, Shared},
};
use alloy_primitives::B256;
use medina_enclave::{Certificate, Enclave, EnclaveError, EpochKey, party_hash};
use medina_types::NodeSecretKey;
use serde_json::json;
use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};
use tokio::sync::watch;
use tracing::{info, warn};

/// How often the enclave is asked whether a key is due.
const LOOK_PERIOD: Duration = Duration::from_secs(2);
/// Gas of publishing a key; the signature is checked by a precompile.
const PUBLISH_GAS: u64 = 500_000;

/// Writes what `registerParty` takes, for the organisation's admin: one file per
/// party, without secrets. The node signs as well: by that it serves a party of another
/// organisation than its own.
///
/// # Errors
/// As of the enclave, or when the file cannot be written.
pub(crate) fn write_registration(
    folder: &Path,
    enclave: &dyn Enclave,
    party: &OwnParty,
    (chain_id, contract): (u64, alloy_primitives::Address),
    node_secret: &NodeSecretKey,
) -> Result<(), EnclaveError> {
    let node = node_secret.public_key();
    let certificate = Certificate::Party {
        chain_id,
        contract: contract.0.0,
        org: party.org.0,
        node_key: node.0,
    };
    let by_party = enclave.certify(&party.id, &certificate)?;
    let by_node = node_secret.sign(&party_hash(
        chain_id,
        contract,
        party.org.0,
        party.id,
        node.0,
    ));
    let proof = [by_party.0, by_node.0].concat();
    let text = json!({
        "name": party.name,
        "org": party.org,
        "identityKey": B256::from(party.id.0),
        "nodeKey": B256::from(node.0),
        "proof": alloy_primitives::Bytes::from(proof),
        "contract": contract,
        "chainId": chain_id,
    });
    let path = folder.join(format!("{}.json", party.name));
    let failed = |error: std::io::Error| {
        EnclaveError::BadRequest(format!("cannot write {}: {error}", path.display()))
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    std::fs::write(&path, format!("{text:#}\n")).map_err(failed)
}

/// Keeps keys young and published until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut unregistered = BTreeSet::new();
    let mut tick = tokio::time::interval(LOOK_PERIOD);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_away = false;
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = tick.tick() => {}
        }
        let told = unregistered.clone();
        match blocking(&shared, move |shared| step(shared, told)).await {
            Ok(Ok(now_unregistered)) => {
                unregistered = now_unregistered;
                is_away = false;
            }
            Ok(Err(error)) if !is_away => {
                warn!(%error, "the enclave does not answer; public blocks do not need it");
                is_away = true;
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

/// Publishes what is not published; answers the parties that are not registered.
fn step(shared: &Shared, told: BTreeSet<B256>) -> Result<BTreeSet<B256>, EnclaveError> {
    for (party, key) in shared.enclave.keep_time(&shared.caller("keep time"))? {
        info!(%party, epoch = key.epoch, "a new encryption key");
    }
    let known = shared.known();
    let mut unregistered = BTreeSet::new();
    for party in &shared.parties {
        let registered = known.parties.get(&party.org);
        let Some(registered) = registered.filter(|registered| registered.id == party.id) else {
            if !told.contains(&party.org) {
                warn!(party = party.name, org = %party.org, identity = %party.id,
                    "not registered in PrivateGroups under this key: the organisation's admin calls registerParty with what parties/{}.json in the private folder says", party.name);
            }
            unregistered.insert(party.org);
            continue;
        };
        let newest = shared.enclave.epoch_keys(&party.id)?.pop();
        if let Some(key) = newest.filter(|key| key.epoch > registered.epoch) {
            publish(shared, party, &key)?;
        }
    }
    Ok(unregistered)
}

fn publish(shared: &Shared, party: &OwnParty, key: &EpochKey) -> Result<(), EnclaveError> {
    let contract = shared.registry.contract();
    let certificate = Certificate::EpochKey {
        chain_id: shared.chain.spec.chain_id,
        contract: contract.0.0,
        org: party.org.0,
        epoch: key.epoch,
    };
    let signature = shared.enclave.certify(&party.id, &certificate)?;
    let input = publish_key_input(party.org, key, &signature);
    shared.sending.send_call(contract, input, PUBLISH_GAS);
    Ok(())
}

/// The rows are flushed when the node stops.
pub(crate) fn flush(shared: &Shared) -> RowResult<()> {
    shared.rows.flush()
}
