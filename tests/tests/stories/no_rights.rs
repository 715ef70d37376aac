//! Story 9: an organisation without rights tries every function; a node not admitted tries to
//! connect; an account without a live id sends a transaction: all refused, with the reason.

use crate::{
    abi::{Function, Known, functions},
    town::{AUTHORITY, TOKEN, Town, account, address, hash, number, text},
};
use alloy_network::{EthereumWallet, TransactionBuilder as _};
use alloy_primitives::{Address, B256, Bytes, hex, keccak256};
use alloy_provider::{DynProvider, Provider as _, ProviderBuilder};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer_local::{MnemonicBuilder, coins_bip39::English};
use medina_contracts::permissioning::Permissioning;
use medina_sdk::wallet::TEST_MNEMONIC;
use medina_tests::{
    abi::{NOT_YOURS, errors},
    processes::eventually,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const SELLER: u32 = 1;
const BUYER: u32 = 2;
/// A Member of an organisation that has nothing and is member of nothing.
const GUEST: u32 = 12;
/// Nobody.
const STRANGER: u32 = 13;
/// Enough for every function.
const GAS: u64 = 3_000_000;
/// What a validator says of it.
const REFUSED_NODE: &str = "refused a peer: its node key is not admitted here";
/// Transactions that wait in the pool at a time.
const AT_ONCE: usize = 32;

/// What everybody with a live id may call, with why it takes nothing from anybody.
const EVERYBODYS: [(&str, &str); 9] = [
    ("AccessManager.renounceRole", "only a role of the caller"),
    (
        "BarteringCoupons.cleanup",
        "skips what the caller has not issued",
    ),
    ("ConsentAndAccess.ask", "any person may ask about its data"),
    ("DataMarketplace.withdraw", "only what the caller is owed"),
    ("DataMarketplace.withdrawFor", "only to whom it is owed"),
    (
        "IncidentRegistry.report",
        "any Member may report what it sees",
    ),
    ("MedinaToken.approve", "only tokens of the caller"),
    ("TrustAndReputation.refresh", "counts what is anchored"),
    (
        "TrustAndReputation.refreshAdaptive",
        "only the caller's own trust",
    ),
];

fn provider(town: &Town, index: u32) -> DynProvider {
    let signer = MnemonicBuilder::<English>::default()
        .phrase(TEST_MNEMONIC)
        .index(index)
        .and_then(|builder| builder.build())
        .unwrap();
    let provider = ProviderBuilder::new()
        .wallet(EthereumWallet::from(signer))
        .connect_http(town.url().parse().unwrap())
        .erased();
    provider
        .client()
        .set_poll_interval(Duration::from_millis(20));
    provider
}

/// A market in which everything that a call can name is there.
struct Scene {
    sensor: String,
    listing: String,
    order: String,
    federation: B256,
}

fn scene(town: &Town) -> Scene {
    let sensor = town.sensor(SELLER, "noise", "square");
    let line = format!("market list --resource {sensor} --property noise --price 5");
    let listing = number(&town.succeed(SELLER, &line)["listing"]["id"]);
    let bought = town.succeed(BUYER, &format!("market buy {listing}"));
    let founded = town.succeed(SELLER, "federation create --name air --invite org-2");
    town.succeed(BUYER, "federation accept air");
    town.succeed(
        SELLER,
        &format!("federation share air --resource {sensor} --bartered"),
    );
    town.succeed(SELLER, "federation propose quorum air 60");
    town.succeed(SELLER, "sla bond air 5");
    let alert = "incident alert fire --site org-1 --assignee org-1 --asset roof --doc smoke";
    town.succeed(SELLER, alert);
    town.succeed(SELLER, "incident evaluate 1 confirm --doc seen");
    Scene {
        sensor,
        listing,
        order: text(&bought["order"]["id"]).to_owned(),
        federation: hash(&founded["federation"]),
    }
}

impl Scene {
    fn known(&self, target: Address, later: u64) -> Known {
        let sensor: B256 = self.sensor.parse().unwrap();
        let mut words = BTreeMap::from([
            ("org", keccak256("org-1")),
            ("site", keccak256("org-1")),
            ("userId", keccak256("user-1")),
            ("fed", self.federation),
        ]);
        let names = [
            "id",
            "resource",
            "resources",
            "ids",
            "source",
            "sources",
            "scope",
            "scopes",
        ];
        words.extend(names.map(|name| (name, sensor)));
        Known {
            words,
            target,
            account: address(GUEST),
            later,
        }
    }

    /// What others have, as everybody can read it.
    fn read(&self, town: &Town) -> Vec<Value> {
        let lines = [
            format!("sensor show {}", self.sensor),
            format!("market show {}", self.listing),
            format!("market order {}", self.order),
            "federation show air".to_owned(),
            "federation ballots air".to_owned(),
            "sla show air org-1".to_owned(),
            "org show org-1".to_owned(),
            "incident show 1".to_owned(),
            "token supply".to_owned(),
            format!("market balance {}", address(SELLER)),
            format!("market balance {}", address(BUYER)),
        ];
        lines.map(|line| town.succeed(SELLER, &line)).to_vec()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_rights_is_refused_everywhere_and_told_why() {
    let mut town = Town::of_processes(&["--permissions", "enforced"]).await;
    let authority = town.client(AUTHORITY).await;
    let permissioning = authority.contracts().permissioning;
    let close = Permissioning::closeBootCall {};
    authority.send(permissioning, close).await.unwrap();
    let scene = scene(&town);
    let line = format!("org register Guests --admin {}", address(AUTHORITY));
    town.succeed(AUTHORITY, &line);
    let line = format!(
        "user enrol {} --person guest --org Guests --role member",
        address(GUEST)
    );
    assert_eq!(town.succeed(AUTHORITY, &line)["status"], "active");
    let before = scene.read(&town);
    every_function_refuses(&town, &scene).await;
    assert_eq!(scene.read(&town), before, "nothing of others has changed");
    account_without_a_live_id_is_refused(&town).await;
    town.agree().await;
    node_that_is_not_admitted_stays_alone(&mut town).await;
    town.agree().await;
}

/// Asked first, which names the reason; then sent, as one who does not ask would. What everybody
/// may do is sent too: it must change nothing of others.
async fn every_function_refuses(town: &Town, scene: &Scene) {
    let guest = town.client(GUEST).await;
    let known = scene.known(guest.contracts().identity, town.now().await + 3_600);
    let (functions, names) = (functions(guest.contracts()), errors());
    assert!(functions.len() > 150, "{}", functions.len());
    let mut succeeded = BTreeSet::new();
    let (mut unnamed, mut not_yours) = (Vec::new(), 0);
    for function in &functions {
        match ask(town, function, &known).await {
            Ok(()) => {
                succeeded.insert(function.name.as_str());
            }
            Err(data) => match data.get(..4).and_then(|selector| names.get(selector)) {
                Some(name) => not_yours += usize::from(NOT_YOURS.contains(&name.as_str())),
                None => unnamed.push(function.name.as_str()),
            },
        }
    }
    // It asks its caller, which answers only if it is a contract of the suite.
    assert_eq!(unnamed, ["AccessManager.consumeScheduledOp"]);
    let expected: BTreeSet<_> = EVERYBODYS.iter().map(|(name, _)| *name).collect();
    assert_eq!(succeeded, expected);
    assert!(
        not_yours * 2 > functions.len(),
        "{not_yours} of {}",
        functions.len()
    );

    let provider = provider(town, GUEST);
    for some in functions.chunks(AT_ONCE) {
        let mut sent = Vec::new();
        for function in some {
            let request = TransactionRequest::default()
                .with_to(function.at)
                .with_input(Bytes::from(function.call(&known)))
                .with_gas_limit(GAS)
                .with_gas_price(0);
            let pending = provider.send_transaction(request).await.unwrap();
            sent.push((function, pending));
        }
        for (function, pending) in sent {
            let receipt = pending.get_receipt().await.unwrap();
            let may = expected.contains(function.name.as_str());
            assert_eq!(receipt.status(), may, "{}", function.name);
            assert!(may || receipt.inner.logs().is_empty());
        }
    }
}

/// The data of the refusal, if it is one.
async fn ask(town: &Town, function: &Function, known: &Known) -> Result<(), Vec<u8>> {
    let call = json!({
        "from": address(GUEST), "to": function.at, "gas": format!("{GAS:#x}"),
        "data": hex::encode_prefixed(function.call(known)),
    });
    let answer = town.try_ask(0, "eth_call", json!([call, "latest"])).await;
    answer.map(|_| ()).map_err(|error| {
        let data = error["data"].as_str().unwrap_or_default();
        hex::decode(data).unwrap()
    })
}

async fn account_without_a_live_id_is_refused(town: &Town) {
    let pay = |from: u32| async move {
        let request = TransactionRequest::default()
            .with_to(address(SELLER))
            .with_gas_limit(21_000)
            .with_gas_price(0);
        let sent = provider(town, from).send_transaction(request).await;
        sent.map(|_| ()).map_err(|error| error.to_string())
    };
    let refused = pay(STRANGER).await.unwrap_err();
    let named = address(STRANGER).to_string();
    for word in ["not permitted", "no live id", &named] {
        assert!(refused.contains(word), "{refused}: no `{word}`");
    }
    // The guest has one until its organisation is suspended, and again afterwards.
    pay(GUEST).await.expect("a live id");
    town.succeed(AUTHORITY, "org set Guests --status suspended");
    let refused = pay(GUEST).await.unwrap_err();
    assert!(refused.contains("no live id"), "{refused}");
    town.succeed(AUTHORITY, "org set Guests --status active");
    pay(GUEST).await.expect("a live id again");
    let line = format!("user set {} revoked --reason gone", address(GUEST));
    town.succeed(AUTHORITY, &line);
    let refused = pay(GUEST).await.unwrap_err();
    assert!(refused.contains("no live id"), "{refused}");
    let line = format!("token send {} 1", account(SELLER).address());
    assert!(town.run(STRANGER, &line).is_err(), "nor from a terminal");
    assert_eq!(town.tokens(STRANGER) / TOKEN, 0);
}

async fn node_that_is_not_admitted_stays_alone(town: &mut Town) {
    let network = town.processes();
    let node = network.add_follower();
    network.run(node);
    network.ready(node).await;
    for validator in 0..node {
        eventually("a validator to refuse it with the reason", || async {
            network.log(validator).contains(REFUSED_NODE).then_some(())
        })
        .await;
    }
    assert_eq!(
        network.call(node, "net_peerCount", json!([])).await,
        json!("0x0")
    );
    assert_eq!(network.height(node).await, Some(0), "it gets no blocks");
    for validator in 0..node {
        let peers = network.call(validator, "net_peerCount", json!([])).await;
        assert_eq!(peers, json!("0x3"));
    }
}
