//! Frames that wait for one stream, bounded in number and bytes, and the signal
//! that ends a link.

use medina_types::limits;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::mpsc;

/// An encoded message; shared when it goes to many peers.
pub(crate) type OutboundFrame = Arc<Vec<u8>>;

/// Where frames are put.
#[derive(Clone)]
pub(crate) struct OutboundQueue {
    frames: mpsc::Sender<OutboundFrame>,
    waiting_bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// Where frames are taken.
pub(crate) struct OutboundFrames {
    frames: mpsc::Receiver<OutboundFrame>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// Both ends of a queue of at most `bytes_max` bytes.
pub(crate) fn channel(bytes_max: usize) -> (OutboundQueue, OutboundFrames) {
    let (sender, receiver) = mpsc::channel(limits::PEER_QUEUE_FRAMES_MAX);
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    (
        OutboundQueue {
            frames: sender,
            waiting_bytes: waiting_bytes.clone(),
            bytes_max,
        },
        OutboundFrames {
            frames: receiver,
            waiting_bytes,
        },
    )
}

impl OutboundQueue {
    /// False when the queue is full or its stream gone.
    pub(crate) fn push(&self, frame: OutboundFrame) -> bool {
        let bytes = frame.len();
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes <= self.bytes_max && self.frames.try_send(frame).is_ok() {
            return true;
        }
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        false
    }
}

impl OutboundFrames {
    /// The next frame; `None` once the queue is gone.
    pub(crate) async fn next(&mut self) -> Option<OutboundFrame> {
        let frame = self.frames.recv().await?;
        self.waiting_bytes.fetch_sub(frame.len(), Ordering::Relaxed);
        Some(frame)
    }

    /// The next frame if one waits.
    pub(crate) fn try_next(&mut self) -> Option<OutboundFrame> {
        let frame = self.frames.try_recv().ok()?;
        self.waiting_bytes.fetch_sub(frame.len(), Ordering::Relaxed);
        Some(frame)
    }
}

/// Tells a supervisor to end its link; the first reason counts.
#[derive(Clone)]
pub(crate) struct CloseSignal(mpsc::Sender<String>);

impl CloseSignal {
    /// The signal and where its reason arrives.
    pub(crate) fn new() -> (Self, mpsc::Receiver<String>) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), receiver)
    }

    /// Ends the link.
    pub(crate) fn close(&self, reason: &str) {
        // Full means that a reason was given before.
        let _ = self.0.try_send(reason.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_queue_refuses_and_has_room_again_when_read() {
        let (queue, mut frames) = channel(10);
        assert!(queue.push(Arc::new(vec![0; 6])));
        assert!(!queue.push(Arc::new(vec![0; 6])));
        assert!(queue.push(Arc::new(vec![0; 4])));
        assert_eq!(frames.try_next().map(|frame| frame.len()), Some(6));
        assert!(queue.push(Arc::new(vec![0; 6])));
    }

    #[test]
    fn number_of_frames_is_bounded_too() {
        let (queue, _frames) = channel(usize::MAX / 2);
        let frame = Arc::new(Vec::new());
        let pushed = (0..=limits::PEER_QUEUE_FRAMES_MAX).filter(|_| queue.push(frame.clone()));
        assert_eq!(pushed.count(), limits::PEER_QUEUE_FRAMES_MAX);
    }
}
