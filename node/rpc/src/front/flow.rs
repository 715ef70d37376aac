//! What is under way on one connection, so that no caller can make the node hold
//! more than it sends away.
//!
//! A WebSocket client may send requests faster than they are answered, and read
//! answers slower than they are made. Two rules keep that bounded: nothing is
//! read from a socket while too much waits or while it takes no bytes, and no
//! call begins while too many bytes of answers wait for it.

use parking_lot::Mutex;
use std::{
    sync::Arc,
    task::{Context, Waker},
};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// Calls of one connection that were read and not answered yet; then nothing more is read.
const CALLS_MAX: usize = 1_024;
/// Bytes of their arguments.
const ARGUMENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Calls of one connection that run at once; others wait their turn.
const RUNNING_MAX: usize = 64;
/// Bytes of answers that wait to be sent; then no call begins.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// State of one connection.
#[derive(Debug)]
pub(crate) struct Flow {
    state: Mutex<State>,
    running: Semaphore,
    sent: Notify,
}

#[derive(Debug, Default)]
struct State {
    calls: usize,
    argument_bytes: usize,
    /// Bytes of all answers made so far.
    answered: u64,
    /// Bytes written so far.
    written: u64,
    /// The other side takes no bytes at the moment.
    is_stalled: bool,
    /// The connection is to end.
    is_cut: bool,
    /// Who wants to read.
    reader: Option<Waker>,
    /// Who waits until it can write.
    writer: Option<Waker>,
}

impl State {
    fn may_read(&self) -> bool {
        let is_full = self.calls >= CALLS_MAX || self.argument_bytes >= ARGUMENT_BYTES_MAX;
        !self.is_stalled && !is_full
    }

    fn wake_reader(&mut self, could_read: bool) {
        if !could_read
            && self.may_read()
            && let Some(reader) = self.reader.take()
        {
            reader.wake();
        }
    }
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            running: Semaphore::new(RUNNING_MAX),
            sent: Notify::new(),
        }
    }
}

impl Flow {
    /// Whether more may be read; the task is woken when that changes.
    pub(crate) fn may_read(&self, context: &Context<'_>) -> bool {
        let mut state = self.state.lock();
        let waker = context.waker();
        if !state
            .reader
            .as_ref()
            .is_some_and(|reader| reader.will_wake(waker))
        {
            state.reader = Some(waker.clone());
        }
        state.may_read()
    }

    /// Ends the connection.
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock();
        state.is_cut = true;
        let (reader, writer) = (state.reader.take(), state.writer.take());
        drop(state);
        reader.into_iter().chain(writer).for_each(Waker::wake);
    }

    /// Whether the connection is to end.
    pub(crate) fn is_cut(&self) -> bool {
        self.state.lock().is_cut
    }

    /// The other side took bytes.
    pub(crate) fn on_written(&self, bytes: usize) {
        let mut state = self.state.lock();
        let could_read = state.may_read();
        state.written += bytes as u64;
        // Framing makes more bytes than answers have: once all is sent, they are even.
        state.answered = state.answered.max(state.written);
        state.is_stalled = false;
        state.wake_reader(could_read);
        drop(state);
        self.sent.notify_waiters();
    }

    /// The other side took none; the task is woken if the connection is to end.
    pub(crate) fn on_stalled(&self, context: &Context<'_>) {
        let mut state = self.state.lock();
        state.is_stalled = true;
        let waker = context.waker();
        if !state
            .writer
            .as_ref()
            .is_some_and(|writer| writer.will_wake(waker))
        {
            state.writer = Some(waker.clone());
        }
    }

    /// A call was read; it counts until the answer is dropped.
    pub(crate) fn enter(self: &Arc<Self>, argument_bytes: usize) -> UnderWay {
        let mut state = self.state.lock();
        state.calls += 1;
        state.argument_bytes += argument_bytes;
        drop(state);
        UnderWay {
            flow: self.clone(),
            argument_bytes,
        }
    }

    /// Waits for a turn, and until what was answered before has gone.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed, so there is always a permit.
        let permit = self.running.acquire().await.ok();
        loop {
            let sent = self.sent.notified();
            tokio::pin!(sent);
            // From here on no notice is missed.
            sent.as_mut().enable();
            {
                let state = self.state.lock();
                if state.answered - state.written <= ANSWER_BYTES_MAX {
                    return permit;
                }
            }
            sent.await;
        }
    }

    /// An answer was made.
    pub(crate) fn on_answered(&self, bytes: usize) {
        self.state.lock().answered += bytes as u64;
    }
}

/// A call between its reading and its answer.
#[derive(Debug)]
pub(crate) struct UnderWay {
    flow: Arc<Flow>,
    argument_bytes: usize,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.flow.state.lock();
        let could_read = state.may_read();
        state.calls -= 1;
        state.argument_bytes -= self.argument_bytes;
        state.wake_reader(could_read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Poll;

    fn polled<F: Future>(future: &mut std::pin::Pin<Box<F>>) -> Poll<F::Output> {
        future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    }

    fn may_read(flow: &Flow) -> bool {
        flow.may_read(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn nothing_is_read_while_too_much_waits() {
        let flow = Arc::new(Flow::default());
        let one = flow.enter(ARGUMENT_BYTES_MAX);
        assert!(!may_read(&flow), "bytes");
        drop(one);
        assert!(may_read(&flow));
        let many: Vec<_> = (0..CALLS_MAX).map(|_| flow.enter(1)).collect();
        assert!(!may_read(&flow), "calls");
        drop(many);
        assert!(may_read(&flow));
    }

    #[test]
    fn nothing_is_read_from_who_takes_nothing() {
        let flow = Flow::default();
        flow.on_stalled(&Context::from_waker(Waker::noop()));
        assert!(!may_read(&flow));
        flow.on_written(1);
        assert!(may_read(&flow));
    }

    #[tokio::test]
    async fn no_call_begins_while_answers_wait() {
        let flow = Arc::new(Flow::default());
        assert!(flow.turn().await.is_some());
        let bytes = usize::try_from(ANSWER_BYTES_MAX).unwrap() + 100;
        flow.on_answered(bytes);
        let mut turn = Box::pin(flow.turn());
        assert!(polled(&mut turn).is_pending());
        flow.on_written(99);
        assert!(polled(&mut turn).is_pending());
        flow.on_written(1);
        let Poll::Ready(permit) = polled(&mut turn) else {
            panic!("the answers have gone");
        };
        assert!(permit.is_some());
        drop(permit);
        // Framing bytes of the past do not make room for answers of the future.
        flow.on_written(bytes + 1_000_000);
        flow.on_answered(bytes);
        let mut turn = Box::pin(flow.turn());
        assert!(polled(&mut turn).is_pending());
    }
}
