//! What a bought listing has, and what comes from now on; every reading proven by the chain.
//!
//! `MEDINA_MNEMONIC=… cargo run -p medina-sdk --example live_and_historic NODE GATEWAY LISTING`

use std::{collections::BTreeSet, error::Error, time::Duration};

use medina_contracts::data_anchor::DataAnchor::Anchored;
use medina_sdk::client::{EventFilter, GatewayBuyer, MarketClient, Target, VerifiedReading};
use medina_sdk::wallet::{Account, Mnemonic};

/// Hands out what there is, then each new reading once, until something fails.
pub(crate) async fn follow(
    (node, gateway, listing): (&str, &str, u64),
    account: &Account,
    mut take: impl FnMut(&VerifiedReading),
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (chain, gateway) = (
        MarketClient::connect(node).await?,
        GatewayBuyer::new(gateway)?,
    );
    let anchored = EventFilter::of::<Anchored>(chain.contracts().data_anchor);
    let mut batches = chain.subscribe(anchored, chain.newest_cursor().await?);
    let (mut seen, target) = (BTreeSet::new(), Target::Listing(listing));
    loop {
        let session = gateway.open_session(account, listing).await?;
        let data = gateway.fetch_verified(&chain, &session, target).await?;
        let new = data.readings.iter().filter(|found| seen.insert(found.id));
        new.for_each(&mut take);
        // The chain may know of a batch before the gateway hands it out.
        let pause = Duration::from_secs(if data.withheld.is_empty() { 3_600 } else { 1 });
        if let Ok(event) = tokio::time::timeout(pause, batches.next()).await {
            event?;
        }
    }
}

#[tokio::main]
#[allow(clippy::print_stdout, reason = "it is what the program is for")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [node, gateway, listing] = arguments.as_slice() else {
        return Err("give NODE GATEWAY LISTING".into());
    };
    let account = Mnemonic::parse(&std::env::var("MEDINA_MNEMONIC")?)?.account(2)?;
    let place = (node.as_str(), gateway.as_str(), listing.parse()?);
    let print = |found: &VerifiedReading| println!("{:?}", found.reading);
    follow(place, &account, print).await
}
