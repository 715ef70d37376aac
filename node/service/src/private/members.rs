//! Questions to other members: to whom, over which link, and what of the answer may
//! be believed.

use crate::private::{
    protocol::{Answer, Question},
    serve,
    shared::{AskError, Shared},
};
use alloy_primitives::B256;
use std::sync::Arc;
use tokio::sync::Semaphore;

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
/// wait, once one of the private side's few is free.
///
/// # Errors
/// [`AskError::Ours`] when it panicked or the node is stopping.
pub(crate) async fn blocking<T: Send + 'static>(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Arc<Shared>) -> T + Send + 'static,
) -> Result<T, AskError> {
    let with = shared.clone();
    on_thread(&shared.threads, move || work(&with)).await
}

async fn on_thread<T: Send + 'static>(
    threads: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AskError> {
    let place = threads.clone().acquire_owned().await;
    let place = place.map_err(|error| AskError::Ours(error.to_string()))?;
    // The place goes with the thread: who asks no more does not make room for others.
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        work()
    });
    done.await
        .map_err(|error| AskError::Ours(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::mpsc;

    #[test]
    fn private_work_that_hangs_leaves_threads_for_the_public_chain() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(8)
            .build()
            .unwrap();
        runtime.block_on(async {
            let threads = Arc::new(Semaphore::new(7));
            let (release, hangs) = mpsc::channel::<()>();
            let hangs = Arc::new(Mutex::new(hangs));
            let asked: Vec<_> = (0..200)
                .map(|_| {
                    let (threads, hangs) = (threads.clone(), hangs.clone());
                    let hang = move || hangs.lock().recv().is_err();
                    tokio::spawn(async move { on_thread(&threads, hang).await })
                })
                .collect();
            while threads.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
            // A block is built on a thread of the same pool.
            assert_eq!(tokio::task::spawn_blocking(|| 7).await.unwrap(), 7);
            drop(release);
            for one in asked {
                assert!(one.await.unwrap().unwrap());
            }
        });
    }
}
