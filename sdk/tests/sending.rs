//! Transactions that are lost or too cheap, subscriptions through breaks, dry runs: on the real
//! contracts, behind a chain that misbehaves.

mod chain;

use alloy_primitives::{Address, U256};
use alloy_sol_types::SolCall;
use chain::{TestChain, Trouble, account};
use medina_contracts::medina_token::MedinaToken;
use medina_contracts::medina_token::MedinaToken::Transfer;
use medina_sdk::client::{ClientError, Cursor, EventFilter, MarketClient};

const SENDER: u32 = 1;

async fn market() -> (TestChain, MarketClient) {
    let chain = TestChain::start().await;
    let client = MarketClient::connect(&chain.url).await.expect("connects");
    (chain, client.with_account(account(SENDER)))
}

fn somebody() -> Address {
    Address::repeat_byte(0x77)
}

async fn pay(client: &MarketClient, amount: u64) {
    client
        .transfer(somebody(), U256::from(amount))
        .await
        .expect("is included");
}

async fn received(client: &MarketClient) -> U256 {
    client.balance(somebody()).await.expect("answers")
}

#[tokio::test]
async fn lost_transaction_is_sent_again_and_included_once() {
    let (chain, client) = market().await;
    chain.set_trouble(Trouble {
        lose: 1,
        ..Trouble::default()
    });
    pay(&client, 5).await;
    assert_eq!(
        (chain.included(), received(&client).await),
        (1, U256::from(5))
    );
    pay(&client, 7).await;
    assert_eq!(received(&client).await, U256::from(12));
}

#[tokio::test]
async fn too_cheap_transaction_is_replaced_by_itself_with_a_higher_fee() {
    let (chain, client) = market().await;
    // The fee rises between signing and inclusion.
    chain.set_trouble(Trouble {
        base_fee: 1_000,
        still_free: 1,
        ..Trouble::default()
    });
    let receipt = client.transfer(somebody(), U256::from(9)).await;
    let receipt = receipt.expect("is included");
    assert_eq!(received(&client).await, U256::from(9));
    assert_eq!((chain.included(), receipt.block), (1, 1));
}

#[tokio::test]
async fn what_nobody_waits_for_does_not_block_what_comes_behind_it() {
    let (chain, client) = market().await;
    chain.set_trouble(Trouble {
        lose: 1,
        ..Trouble::default()
    });
    let call = MedinaToken::transferCall {
        to: somebody(),
        value: U256::from(3),
    };
    let token = client.contracts().medina_token;
    client
        .submit(token, call.abi_encode().into(), "transfer")
        .await
        .expect("is taken, and lost");
    pay(&client, 4).await;
    assert_eq!(
        (chain.included(), received(&client).await),
        (2, U256::from(7))
    );
}

#[tokio::test]
async fn nonce_that_another_program_used_is_told() {
    let (chain, client) = market().await;
    let other = client.for_account(account(SENDER));
    chain.set_trouble(Trouble {
        lose: 1,
        ..Trouble::default()
    });
    let (lost, sent) = tokio::join!(client.transfer(somebody(), U256::from(1)), async {
        // Behind the first one's signature, before it looks again.
        while chain.included() == 0 {
            other
                .transfer(somebody(), U256::from(2))
                .await
                .expect("is included");
        }
    });
    let () = sent;
    match lost {
        Err(ClientError::NonceTaken { nonce: 0, .. }) => {
            assert_eq!(received(&client).await, U256::from(2));
        }
        // Which of the two is lost is not in this test's hands.
        Ok(_) => assert_eq!(received(&client).await, U256::from(3)),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn dry_run_tells_gas_and_cost_and_sends_nothing() {
    let (chain, client) = market().await;
    chain.set_trouble(Trouble {
        base_fee: 7,
        ..Trouble::default()
    });
    let dry = client.for_account(account(SENDER)).dry_run();
    let refused = dry.transfer(somebody(), U256::from(1)).await;
    let Err(ClientError::DryRun(plan)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(plan.contract.as_deref(), Some("MedinaToken"));
    assert_eq!(
        (plan.to, plan.max_fee_per_gas),
        (client.contracts().medina_token, 14)
    );
    assert_eq!(plan.cost_max, U256::from(14 * plan.gas_limit));
    assert!(plan.gas > 21_000 && plan.gas_limit > plan.gas);
    let too_much = dry.transfer(somebody(), U256::MAX).await;
    assert!(
        too_much
            .expect_err("is refused")
            .is_refusal("ERC20InsufficientBalance")
    );
    assert_eq!(chain.included(), 0);
}

#[tokio::test]
async fn subscription_goes_through_breaks_without_gaps_or_duplicates() {
    let (chain, client) = market().await;
    let filter = EventFilter::of::<Transfer>(client.contracts().medina_token);
    let mut events = client.subscribe(filter.clone(), Cursor::default());
    let mut seen = Vec::new();
    let mut stored = Cursor::default();
    for round in 0_u64..4 {
        for amount in 1..=5 {
            pay(&client, 10 * round + amount).await;
        }
        // The connection breaks in the middle of the reading.
        chain.set_trouble(Trouble {
            silent: 2,
            ..Trouble::default()
        });
        for _ in 0..5 {
            let event = events.next().await.expect("comes");
            stored = event.cursor;
            let paid = event.decode::<Transfer>().expect("is one");
            seen.push(u64::try_from(paid.value).expect("is small"));
        }
        // The program ends in every other round and goes on from what it has stored.
        if round % 2 == 1 {
            let text = serde_json::to_string(&stored).expect("is plain");
            let cursor = serde_json::from_str(&text).expect("reads back");
            events = client.subscribe(filter.clone(), cursor);
        }
    }
    let expected: Vec<u64> = (0..4)
        .flat_map(|round| (1..=5).map(move |amount| 10 * round + amount))
        .collect();
    assert_eq!(seen, expected);
    assert!(events.drain().await.expect("answers").is_empty());
}

#[tokio::test]
async fn subscription_notices_another_chain() {
    let (_chain, client) = market().await;
    pay(&client, 1).await;
    let cursor = Cursor {
        block: 2,
        log: 0,
        last: Some((1, alloy_primitives::B256::repeat_byte(1))),
    };
    let mut events = client.subscribe(EventFilter::default(), cursor);
    assert!(matches!(
        events.next().await,
        Err(ClientError::ForeignChain { block: 1, .. })
    ));
}
