//! Private groups on networks of real processes: who has what, who waits for whom,
//! and what comes of it when somebody is away, killed, wrong or forgotten.

mod delivery;
mod divergence;
mod enclaves;
mod erasing;
mod faults;
mod leaving;
mod load;
mod marking;
mod proofs;
mod sharing;
mod state;
mod tenants;

use medina_tests::private::PrivateNetwork;
use std::path::PathBuf;
use tokio::sync::Mutex;

/// Two networks at a time are more than small machines carry.
static TURN: Mutex<()> = Mutex::const_new(());

/// What nobody outside a group may find anywhere; nobody inside finds it in clear.
const SECRET: &str = "the-price-of-a-bed-in-ward-seven-is-4711";
/// What a private contract says, and its members have in clear.
const SPOKEN: &str = "the-heart-of-patient-0815-beats-once-too-often";

/// Nobody.
const NOWHERE: Vec<PathBuf> = Vec::new();

/// Folder of a group's state on a node.
fn state_folder(network: &PrivateNetwork, node: usize, group: alloy_primitives::B256) -> PathBuf {
    let name = alloy_primitives::hex::encode(group);
    network.private_folder(node).join("groups").join(name)
}
