//! Questions to other members: to whom, over which link, and what of the answer may
//! be believed.

use crate::private::{
    protocol::{Answer, Question},
    serve,
    shared::{AskError, Shared},
};
use alloy_primitives::B256;
use std::sync::Arc;

/// Asks the node that serves an organisation; one of our own is asked without a link.
///
/// # Errors
/// See [`AskError`]; [`Answer::Refused`], [`Answer::Later`] and [`Answer::Wrong`] are
/// errors here.
pub(crate) async fn ask(
    shared: &Arc<Shared>,
    org: B256,
    question: Question,
) -> Result<Answer, AskError> {
    let node = shared.known().parties.get(&org).map(|party| party.node);
    let node = node.ok_or(AskError::NoParty)?;
    let answer = if node == shared.own_node {
        serve::answer(shared, node, question).await
    } else {
        let bytes = shared
            .network
            .request_private(node, question.encode())
            .await?;
        Answer::decode(&bytes).ok_or_else(|| AskError::Wrong("it cannot be read".to_owned()))?
    };
    match answer {
        Answer::Refused => Err(AskError::Refused),
        Answer::Later => Err(AskError::Later),
        Answer::Wrong(reason) => Err(AskError::Wrong(reason)),
        answer => Ok(answer),
    }
}

/// Runs something that reads the disk, the enclave or the EVM on a thread that may
/// wait.
///
/// # Errors
/// [`AskError::Ours`] when it panicked or the node is stopping.
pub(crate) async fn blocking<T: Send + 'static>(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Arc<Shared>) -> T + Send + 'static,
) -> Result<T, AskError> {
    let shared = shared.clone();
    let done = tokio::task::spawn_blocking(move || work(&shared)).await;
    done.map_err(|error| AskError::Ours(error.to_string()))
}
