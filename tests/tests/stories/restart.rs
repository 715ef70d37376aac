//! The node that a program talks to is killed in the middle of its payments: every payment happens once, and whoever
//! listens hears of each once, in order.

use crate::town::{Town, account};
use alloy_primitives::{Address, U256};
use alloy_sol_types::SolCall as _;
use medina_contracts::medina_token::MedinaToken::{Transfer, transferCall};
use medina_sdk::client::{EventFilter, MarketClient, Subscription};

const PAYER: u32 = 1;
/// Payments before the node is killed, on their way when it is, and behind.
const SETTLED: u64 = 4;
const UNDER_WAY: u64 = 5;
const BEHIND: u64 = 3;

fn somebody() -> Address {
    Address::repeat_byte(0x77)
}

/// The amounts of the next payments to somebody.
async fn heard(events: &mut Subscription, count: u64) -> Vec<u64> {
    let mut amounts = Vec::new();
    while (amounts.len() as u64) < count {
        let event = events.next().await.unwrap();
        let paid = event.decode::<Transfer>().unwrap();
        amounts.push(paid.value.to());
    }
    amounts
}

async fn pay(client: &MarketClient, amounts: std::ops::Range<u64>) {
    for amount in amounts {
        let paid = client.transfer(somebody(), U256::from(amount)).await;
        paid.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_and_events_go_once_through_a_killed_node() {
    let mut town = Town::of_processes(&[]).await;
    let client = town.client(PAYER).await;
    assert_eq!(
        client.account().unwrap().address(),
        account(PAYER).address()
    );
    let token = client.contracts().medina_token;
    let from = client.newest_cursor().await.unwrap();
    let mut events = client.subscribe(EventFilter::of::<Transfer>(token), from);
    pay(&client, 1..1 + SETTLED).await;
    let mut seen = heard(&mut events, SETTLED).await;
    // The next payment finds the listener waiting at the node's own word.
    let (next, ()) = tokio::join!(heard(&mut events, 1), pay(&client, 100..101));
    assert_eq!(next, [100]);
    assert!(
        events.is_pushed(),
        "the node speaks WebSocket and was asked"
    );

    let first = 1 + SETTLED;
    for amount in first..first + UNDER_WAY {
        let call = transferCall {
            to: somebody(),
            value: U256::from(amount),
        };
        let input = call.abi_encode().into();
        client.submit(token, input, "transfer").await.unwrap();
    }
    let listener = tokio::spawn(async move {
        let heard = heard(&mut events, UNDER_WAY + BEHIND).await;
        (heard, events)
    });
    let network = town.processes();
    network.kill(0);
    network.run(0);
    network.ready(0).await;
    let behind = first + UNDER_WAY;
    pay(&client, behind..behind + BEHIND).await;

    let (more, mut events) = listener.await.unwrap();
    seen.extend(more);
    let all: Vec<u64> = (1..behind + BEHIND).collect();
    assert_eq!(seen, all);
    assert!(
        events.drain().await.unwrap().is_empty(),
        "nothing came twice"
    );
    let received = client.balance(somebody()).await.unwrap();
    let sum = all.iter().sum::<u64>() + 100;
    assert_eq!(received, U256::from(sum), "every payment was made once");
    town.agree().await;
}
