//! Bounded threads for work that blocks: disk reads and EVM runs.
//!
//! Six lanes. Reads are short and many; EVM runs and scans over many blocks are
//! long and few; traces are longest, take the most memory and are fewest. What asks for private state
//! may have to wait for the enclave, and does so apart from all others. A full lane
//! makes callers wait, a full waiting room turns them away, and neither touches
//! another lane or the event loop.

use jsonrpsee::types::ErrorObjectOwned;
use medina_types::limits;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::errors;

/// Transactions that are checked at once for each processor: they compute alone.
const SUBMISSIONS_PER_PROCESSOR: usize = 2;

/// Private requests at work at once: each may hold its thread until the enclave answers.
const PRIVATE_PLACES: usize = 8;

/// Which kind of work a method is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// A few seeks in the store.
    Read,
    /// An EVM run: call, estimate, access list.
    Compute,
    /// A look at many blocks: logs, fee history.
    Scan,
    /// Transactions executed again under a tracer.
    Trace,
    /// A transaction that the pool checks.
    Submit,
    /// Private state or payloads: the enclave may not answer for long.
    Private,
}

/// A place in a lane, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _waiting: OwnedSemaphorePermit,
    working: OwnedSemaphorePermit,
}

/// One lane: threads at work, and callers that wait for one.
#[derive(Clone, Debug)]
struct Places {
    working: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Places {
    fn new(working: usize) -> Self {
        let waiting = working + limits::RPC_WAITING_MAX;
        Self {
            working: Arc::new(Semaphore::new(working)),
            waiting: Arc::new(Semaphore::new(waiting)),
        }
    }
}

/// The lanes of one server. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Workers {
    read: Places,
    compute: Places,
    scan: Places,
    trace: Places,
    submit: Places,
    private: Places,
}

impl Workers {
    /// Lanes with this many threads for computations, as many for scans, and half
    /// as many for traces.
    #[must_use]
    pub(crate) fn new(computing: usize) -> Self {
        let few = computing.clamp(1, limits::RPC_READERS_MAX);
        Self {
            read: Places::new(limits::RPC_READERS_MAX),
            compute: Places::new(few),
            scan: Places::new(few),
            trace: Places::new(few.div_ceil(2)),
            submit: Places::new(few * SUBMISSIONS_PER_PROCESSOR),
            private: Places::new(PRIVATE_PLACES),
        }
    }

    /// Lanes for this machine: as many computations as it has processors, at
    /// least two, so that one long call does not stop all others.
    #[must_use]
    pub(crate) fn for_this_machine() -> Self {
        Self::new(std::thread::available_parallelism().map_or(2, |count| count.get().max(2)))
    }

    /// Waits for a place in a lane, for work whose threads others start.
    ///
    /// # Errors
    /// -32005 if too many callers wait already.
    pub(crate) async fn turn(&self, lane: Lane) -> Result<Turn, ErrorObjectOwned> {
        let places = match lane {
            Lane::Read => &self.read,
            Lane::Compute => &self.compute,
            Lane::Scan => &self.scan,
            Lane::Trace => &self.trace,
            Lane::Submit => &self.submit,
            Lane::Private => &self.private,
        };
        let waiting = places.waiting.clone().try_acquire_owned();
        let waiting = waiting.map_err(|_| errors::busy())?;
        let working = places.working.clone().acquire_owned().await;
        Ok(Turn {
            _waiting: waiting,
            working: working.map_err(|_| errors::busy())?,
        })
    }

    /// Runs `work` on a blocking thread of the lane.
    ///
    /// # Errors
    /// What `work` answers; -32005 if too many callers wait already; -32603 if
    /// `work` panics, which stays in its thread.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce() -> Result<T, ErrorObjectOwned> + Send + 'static,
    ) -> Result<T, ErrorObjectOwned> {
        let Turn { _waiting, working } = self.turn(lane).await?;
        // The permit moves into the thread: a caller that hangs up does not
        // make room for more work than the lane has threads.
        let task = tokio::task::spawn_blocking(move || {
            let answer = work();
            drop(working);
            answer
        });
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a JSON-RPC method panicked");
            Err(errors::internal("the method failed; see the node's log"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn blocked_computations_do_not_stop_reads() {
        let workers = Workers::new(1);
        let (release, blocked) = mpsc::channel::<()>();
        let busy = workers.clone();
        let slow = tokio::spawn(async move {
            busy.run(Lane::Compute, move || {
                blocked.recv().map_err(|_| errors::busy())
            })
            .await
        });
        assert_eq!(workers.run(Lane::Read, || Ok(7)).await, Ok(7));
        release.send(()).unwrap();
        assert_eq!(slow.await.unwrap(), Ok(()));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn enclave_that_hangs_does_not_stop_public_reads() {
        let workers = Workers::new(1);
        let (release, blocked) = mpsc::channel::<()>();
        let blocked = Arc::new(std::sync::Mutex::new(blocked));
        let asked: Vec<_> = (0..200)
            .map(|_| {
                let (workers, blocked) = (workers.clone(), blocked.clone());
                let wait = move || {
                    let blocked = blocked.lock().map_err(|_| errors::busy())?;
                    blocked.recv().map_err(|_| errors::busy())
                };
                tokio::spawn(async move { workers.run(Lane::Private, wait).await })
            })
            .collect();
        while workers.private.working.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(workers.run(Lane::Read, || Ok(7)).await, Ok(7));
        drop(release);
        for one in asked {
            assert!(one.await.unwrap().is_err());
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error_for_its_caller_only() {
        let workers = Workers::new(1);
        let answer = workers.run::<()>(Lane::Compute, || panic!("broken")).await;
        assert_eq!(answer.unwrap_err().code(), -32603);
        assert_eq!(workers.run(Lane::Compute, || Ok(1)).await, Ok(1));
    }

    #[tokio::test]
    async fn callers_beyond_the_waiting_room_are_turned_away() {
        let workers = Workers::new(1);
        let all = workers.compute.waiting.clone();
        let _places = all
            .try_acquire_many(u32::try_from(limits::RPC_WAITING_MAX).unwrap() + 1)
            .unwrap();
        let answer = workers.run(Lane::Compute, || Ok(1)).await;
        assert_eq!(answer.unwrap_err().code(), -32005);
    }
}
