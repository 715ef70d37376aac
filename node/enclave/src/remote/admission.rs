//! Which connections an enclave process holds: a bounded number, and few of them before they have
//! shown whose they are.

use super::link::Wire;
use crate::limits::{CONNECTIONS_MAX, UNPROVEN_CONNECTIONS_MAX};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::Shutdown;
use std::thread::JoinHandle;

/// Threads that still end a connection which lost its place; while there are more, new ones are
/// closed at once.
const LEAVING_MAX: usize = 64;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has not shown whose it is.
    Unproven,
    /// It is served.
    Proven,
    /// It was shut; its thread ends.
    Leaving,
}

struct Open {
    stage: Stage,
    wire: Wire,
    serving: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Connections {
    next: u64,
    open: BTreeMap<u64, Open>,
}

impl Connections {
    fn count(&self, stage: Stage) -> usize {
        let is_it = |open: &&Open| open.stage == stage;
        self.open.values().filter(is_it).count()
    }

    fn shut_oldest_unproven(&mut self) {
        let oldest = self
            .open
            .values_mut()
            .find(|open| open.stage == Stage::Unproven);
        if let Some(open) = oldest {
            open.stage = Stage::Leaving;
            let _ = open.wire.shutdown(Shutdown::Both);
        }
    }
}

/// The connections of one server.
#[derive(Default)]
pub(super) struct Admission(Mutex<Connections>);

impl Admission {
    /// Takes a connection in that has still to show whose it is; none where too many end just now.
    pub(super) fn enter(&self, wire: Wire) -> Option<u64> {
        let mut connections = self.0.lock();
        if connections.count(Stage::Leaving) >= LEAVING_MAX {
            tracing::warn!("the enclave has no room for a connection");
            return None;
        }
        if connections.count(Stage::Unproven) >= UNPROVEN_CONNECTIONS_MAX {
            connections.shut_oldest_unproven();
        }
        let number = connections.next;
        connections.next += 1;
        let open = Open {
            stage: Stage::Unproven,
            wire,
            serving: None,
        };
        connections.open.insert(number, open);
        Some(number)
    }

    /// A connection has shown whose it is; false if there is no room for it, or no more.
    pub(super) fn prove(&self, number: u64) -> bool {
        let mut connections = self.0.lock();
        if connections.count(Stage::Proven) >= CONNECTIONS_MAX {
            tracing::warn!(CONNECTIONS_MAX, "the enclave has no room for a connection");
            return false;
        }
        match connections.open.get_mut(&number) {
            Some(open) if open.stage == Stage::Unproven => {
                open.stage = Stage::Proven;
                true
            }
            _ => false,
        }
    }

    /// Which thread serves a connection.
    pub(super) fn served_by(&self, number: u64, serving: JoinHandle<()>) {
        if let Some(open) = self.0.lock().open.get_mut(&number) {
            open.serving = Some(serving);
        }
    }

    /// A connection is gone.
    pub(super) fn leave(&self, number: u64) {
        self.0.lock().open.remove(&number);
    }

    /// Ends all connections; answers under way still go out.
    pub(super) fn end_all(&self) {
        let open = std::mem::take(&mut self.0.lock().open);
        for connection in open.into_values() {
            let _ = connection.wire.shutdown(Shutdown::Read);
            if let Some(serving) = connection.serving {
                // A panic there was reported by its hook.
                let _ = serving.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    /// A connection taken in, and its other end.
    fn enter(admission: &Admission) -> (Option<u64>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        (admission.enter(Wire::Unix(ours)), theirs)
    }

    #[test]
    fn oldest_that_says_nothing_makes_room_and_who_is_served_stays() {
        let admission = Admission::default();
        let (served, mut kept) = enter(&admission);
        assert!(admission.prove(served.unwrap()));
        let mut silent: Vec<_> = (0..=UNPROVEN_CONNECTIONS_MAX)
            .map(|_| enter(&admission))
            .collect();
        // The first of them was shut, and cannot prove itself any more.
        assert_eq!(silent[0].1.read(&mut [0]).unwrap(), 0);
        assert!(!admission.prove(silent[0].0.unwrap()));
        for (number, other) in &mut silent[1..] {
            other.set_nonblocking(true).unwrap();
            assert!(other.read(&mut [0]).is_err(), "it is open");
            assert!(admission.prove(number.unwrap()));
        }
        kept.set_nonblocking(true).unwrap();
        assert!(kept.read(&mut [0]).is_err(), "it is open");
    }

    #[test]
    fn connections_are_bounded_and_a_place_comes_free() {
        let admission = Admission::default();
        let all: Vec<_> = (0..CONNECTIONS_MAX)
            .map(|_| {
                let (number, other) = enter(&admission);
                assert!(admission.prove(number.expect("taken in")));
                (number.expect("taken in"), other)
            })
            .collect();
        let (further, _other) = enter(&admission);
        assert!(!admission.prove(further.unwrap()));
        admission.leave(all[5].0);
        assert!(admission.prove(further.unwrap()));
    }

    #[test]
    fn flood_of_connections_that_do_not_end_is_closed_at_once() {
        let admission = Admission::default();
        let max = UNPROVEN_CONNECTIONS_MAX + LEAVING_MAX;
        let taken: Vec<_> = (0..2 * max).map(|_| enter(&admission)).collect();
        let count = taken.iter().filter(|(number, _)| number.is_some()).count();
        assert_eq!(count, max);
    }
}
