//! Changing the validator set from the client, on the real contracts without a node.

mod chain;

use alloy_primitives::B256;
use chain::{TestChain, account, org};
use ed25519_dalek::SigningKey;
use medina_sdk::client::{BallotSubject, ClientError, MarketClient, NodeState, ValidatorChange};

/// Key of the node of account `index`.
fn node(index: u32) -> B256 {
    let secret = SigningKey::from_bytes(&[u8::try_from(index).expect("small") + 1; 32]);
    secret.verifying_key().to_bytes().into()
}

/// A chain whose first validators are operated by the first accounts, and a client per account.
async fn network(validators: u32) -> (TestChain, Vec<MarketClient>) {
    let seats = (0..validators).map(|index| (node(index), account(index).address()));
    let chain = TestChain::with_validators(seats).await;
    let client = MarketClient::connect(&chain.url).await.expect("connects");
    let clients = (0..10).map(|index| client.for_account(account(index)));
    (chain, clients.collect())
}

#[tokio::test]
async fn ballot_admits_a_validator_and_its_operator_activates_it() {
    let (_chain, clients) = network(4).await;
    let [first, second, third] = [0, 1, 2].map(|index| &clients[index]);
    let newcomer = &clients[4];
    newcomer
        .register_node(org(4), node(4))
        .await
        .expect("registers its own node");
    let operator = account(4).address();
    let change = ValidatorChange::Add {
        node: node(4),
        operator,
    };
    let (number, _) = first.propose_validator(change).await.expect("opens");
    let ballot = first.ballot(number).await.expect("is there");
    let subject = BallotSubject::AddValidator {
        node: node(4),
        operator,
    };
    assert_eq!(ballot.subject, Some(subject));
    assert_eq!((ballot.organisations, ballot.missing()), (4, 3));

    for (client, missing) in [(first, 2), (second, 1), (third, 0)] {
        client.vote_ballot(number, true).await.expect("votes");
        let ballot = client.ballot(number).await.expect("is there");
        assert_eq!(ballot.missing(), missing);
    }
    let voters = first.voters(number).await.expect("answers");
    let votes: Vec<_> = voters.iter().map(|voter| voter.vote).collect();
    assert_eq!(votes, [Some(true), Some(true), Some(true), None]);
    assert_eq!(voters[3].operators, [account(3).address()]);

    newcomer.execute_ballot(number).await.expect("has passed");
    let admitted = first.permitted_node(node(4)).await.expect("is known");
    assert!(admitted.awaits_activation());
    assert_eq!(first.validator_nodes().await.expect("answers").len(), 4);
    newcomer
        .activate_validator(node(4))
        .await
        .expect("was admitted");
    let validators = first.validator_nodes().await.expect("answers");
    assert_eq!(validators.len(), 5);
    let last = validators[4];
    assert_eq!(
        (last.key, last.org, last.state),
        (node(4), org(4), NodeState::Active)
    );
    assert!(last.is_validator && last.operator == Some(operator));
    let listed = first.ballots().await.expect("answers");
    assert_eq!(listed.len(), 1);
    assert!(listed[0].is_executed && !listed[0].is_open);
}

#[tokio::test]
async fn last_validator_cannot_be_removed() {
    let (_chain, clients) = network(1).await;
    let only = &clients[0];
    let change = ValidatorChange::Remove { node: node(0) };
    let (number, _) = only.propose_validator(change).await.expect("opens");
    only.vote_ballot(number, true).await.expect("votes");
    let refused = only.execute_ballot(number).await.expect_err("is the last");
    assert!(refused.is_refusal("LastValidator"), "{refused}");
    assert_eq!(only.validator_nodes().await.expect("answers").len(), 1);
}

#[tokio::test]
async fn refusals_carry_the_contracts_names() {
    let (_chain, clients) = network(4).await;
    let (operator, stranger) = (&clients[0], &clients[5]);
    let change = ValidatorChange::Remove { node: node(3) };
    let refused = stranger.propose_validator(change).await;
    let refused = refused.expect_err("operates nothing");
    assert!(refused.is_refusal("NotAdmin"), "{refused}");

    let (number, _) = operator.propose_validator(change).await.expect("opens");
    operator.vote_ballot(number, true).await.expect("votes");
    let twice = operator.vote_ballot(number, false).await;
    let twice = twice.expect_err("has voted");
    assert!(twice.is_refusal("AlreadyVoted"), "{twice}");
    let early = operator.execute_ballot(number).await;
    let early = early.expect_err("one of four");
    assert!(early.is_refusal("QuorumMissing"), "{early}");
    let nobody = clients[4].activate_validator(node(4)).await;
    let nobody = nobody.expect_err("is not registered");
    assert!(nobody.is_refusal("Unknown"), "{nobody}");

    for missing in [
        operator.ballot(99).await.map(|_| ()),
        operator.ballot(0).await.map(|_| ()),
        operator.permitted_node(node(9)).await.map(|_| ()),
    ] {
        assert!(matches!(missing, Err(ClientError::Unknown { .. })));
    }
}
