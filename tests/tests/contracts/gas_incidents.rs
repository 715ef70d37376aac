//! Own gas of incidents and of the sealed delivery's judge against the specification's ceilings; see `gas.rs`.

use crate::{
    actors::three_organisations,
    gas::Table,
    harness::{org, seconds, user},
    incident::{CONFIRMED, PASSED, alert, evaluation},
    sealed::{BUYER, PRICE, SELLER, key, listing},
};
use alloy_primitives::{B256, U256, keccak256};
use alloy_sol_types::SolValue;
use medina_contracts::{
    incident_registry::IncidentRegistry::*,
    sealed_delivery::SealedDelivery::{acceptCall, complainCall, offerCall, revealCall},
};
use medina_sdk::sealed::key_hash;

#[test]
fn incidents_stay_below_their_ceilings() {
    let mut chain = three_organisations();
    let at = chain.at.incident_registry;
    let mut table = Table::default();
    let sensor = chain.register(1, "sensor");
    chain.ok(2, at, &alert(org(1), org(1)));
    for (name, site, assignee) in [
        ("raiseAlert", org(1), org(2)),
        ("raiseAlert, resource, user", sensor, user(3)),
    ] {
        table.add(&chain, name, 2, at, &alert(site, assignee), 95_000);
    }
    let confirm = evaluation(U256::ONE, CONFIRMED);
    table.add(&chain, "evaluate, confirm", 4, at, &confirm, 75_000);
    let mut pass = evaluation(U256::ONE, PASSED);
    pass.passTo = user(3);
    table.add(&chain, "evaluate, pass", 4, at, &pass, 75_000);
    chain.ok(4, at, &confirm);
    let respond = respondCall {
        incident: U256::ONE,
        plan: keccak256("plan"),
        recipients: vec![user(3), org(2)],
        timeout: seconds(chain.time + 600),
        needsAck: true,
    };
    chain.ok(1, at, &respond);
    for (name, from) in [("acknowledge, user", 3), ("acknowledge, org", 5)] {
        let call = acknowledgeCall {
            response: U256::ONE,
            canExecute: true,
            note: keccak256("note"),
        };
        table.add(&chain, name, from, at, &call, 50_000);
    }
    table.check();
}

/// The root over a leaf with these siblings.
fn root(leaf: B256, siblings: &[B256]) -> B256 {
    siblings.iter().fold(leaf, |node, sibling| {
        let (low, high) = (node.min(*sibling), node.max(*sibling));
        keccak256([low.0, high.0].concat())
    })
}

fn leaf(index: u32, h: B256) -> B256 {
    keccak256(keccak256((index, h).abi_encode()))
}

#[test]
fn complaint_of_a_full_chunk_in_a_gigabyte_stays_below_its_ceiling() {
    let mut chain = three_organisations();
    let at = chain.at.sealed_delivery;
    // Twenty levels: a million chunks of which we need to know one.
    let siblings: Vec<B256> = (0_u8..20).map(|level| keccak256([level])).collect();
    let chunk: Vec<B256> = (100_u8..132).map(|word| keccak256([word])).collect();
    let (index, promise) = (77, keccak256("what was promised"));
    let subject = root(leaf(index, promise), &siblings);
    let id = chain.list(SELLER, listing(&chain, subject));
    let cipher_root = root(leaf(index, keccak256(chunk.concat())), &siblings);
    // Counters that orders share are not zero: the first complaint is about an earlier order.
    let [earlier, complain] = [0; 2].map(|_| {
        let order = chain.buy(BUYER, id, PRICE);
        let offer = offerCall {
            order,
            cipherRoot: cipher_root,
            keyHash: key_hash(key()),
        };
        chain.ok(SELLER, at, &offer);
        chain.ok(BUYER, at, &acceptCall { order });
        chain.ok(SELLER, at, &revealCall { order, key: key() });
        complainCall {
            order,
            index,
            chunk: chunk.clone(),
            cipherProof: siblings.clone(),
            plainLeaf: promise,
            plainProof: siblings.clone(),
        }
    });
    let mut table = Table::default();
    table.add(&chain, "complain, first ever", BUYER, at, &earlier, 140_000);
    chain.ok(BUYER, at, &earlier);
    table.add(&chain, "complain, 32 words", BUYER, at, &complain, 140_000);
    table.check();
}
