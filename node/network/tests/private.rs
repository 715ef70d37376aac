//! Requests between parties of private groups: answered, refused, bounded.

mod support;

use medina_network::{NetworkError, NetworkEvent, PrivateReply};
use medina_types::{NodePublicKey, limits, wire::PeerMessage};
use support::{Node, consensus, key, pair};

async fn asked(node: &mut Node) -> (NodePublicKey, Vec<u8>, PrivateReply) {
    node.wait_for(|event| match event {
        NetworkEvent::PrivateRequested { from, bytes, reply } => Some((from, bytes, reply)),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn largest_request_gets_the_largest_answer() {
    let (first, mut second) = pair().await;
    let request = vec![7; limits::PRIVATE_REQUEST_BYTES_MAX];
    let (to, handle, sent) = (second.key, first.handle.clone(), request.clone());
    let answer = tokio::spawn(async move { handle.request_private(to, sent).await });
    let (from, bytes, reply) = asked(&mut second).await;
    assert_eq!((from, bytes), (first.key, request));
    reply.send(vec![9; limits::PRIVATE_ANSWER_BYTES_MAX]);
    let answer = answer.await.expect("a task").expect("an answer");
    assert_eq!(answer, vec![9; limits::PRIVATE_ANSWER_BYTES_MAX]);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_without_an_answer_fails_and_the_link_stays() {
    let (first, mut second) = pair().await;
    let (to, handle) = (second.key, first.handle.clone());
    let answer = tokio::spawn(async move { handle.request_private(to, vec![1]).await });
    let (_, _, reply) = asked(&mut second).await;
    drop(reply);
    let failed = answer.await.expect("a task").expect_err("no answer");
    assert!(matches!(failed, NetworkError::PrivateRequestFailed { .. }));
    assert!(first.handle.send(second.key, consensus(3)));
    assert_eq!(second.message().await, (first.key, consensus(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn request_that_nobody_reads_is_refused_at_home() {
    let (first, second) = pair().await;
    let bytes = vec![0; limits::PRIVATE_REQUEST_BYTES_MAX + 1];
    let refused = first.handle.request_private(second.key, bytes).await;
    assert!(matches!(
        refused,
        Err(NetworkError::PrivateRequestTooLarge { .. })
    ));
    let nobody = first.handle.request_private(key(3), vec![1]).await;
    assert!(matches!(nobody, Err(NetworkError::NotConnected(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_of_private_requests_costs_answers_and_no_votes() {
    let (first, mut second) = pair().await;
    let mut flood = tokio::task::JoinSet::new();
    // Nobody takes them out: what does not fit gets no answer.
    for _ in 0..2 * limits::PRIVATE_REQUESTS_WAITING_MAX {
        let (to, handle) = (second.key, first.handle.clone());
        flood.spawn(async move { handle.request_private(to, vec![2]).await });
    }
    let refused = flood.join_next().await.expect("one").expect("a task");
    assert!(refused.is_err());
    let vote = PeerMessage::Consensus(vec![1, 2, 3]);
    assert!(first.handle.send(second.key, vote.clone()));
    assert_eq!(second.message().await, (first.key, vote));
    assert!(second.handle.is_connected(&first.key));
}
