//! When to dial whom: a schedule that is told the time and what happened.
//!
//! A lost peer is dialled again after a delay that doubles from
//! `REDIAL_DELAY_MIN` to `REDIAL_DELAY_MAX`, with jitter. A connection that
//! lasted resets the delay; one that is closed at once (the peer refuses us)
//! does not. Where packets vanish, a dial hangs: TCP repeats itself after one second
//! and then after two more, so a further dial is begun beside a hanging one, and a
//! link that heals is noticed within little more than a second. Of two nodes that start together, the one with the larger key
//! gives the other a head start, so that they rarely dial each other at once.

use medina_types::{
    NodePublicKey,
    limits::{REDIAL_DELAY_MAX, REDIAL_DELAY_MIN},
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::KnownPeer;

/// A connection that lasted this long was a good one.
const LASTED: Duration = Duration::from_secs(5);

/// Head start of the smaller key.
const HEAD_START: Duration = Duration::from_millis(100);

/// A dial without an answer for so long hangs.
const HANGS: Duration = Duration::from_millis(1_200);

/// Dials of one peer at once.
const DIALS_MAX: u32 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting {
        until: Instant,
    },
    /// So many dials are under way, the last since then.
    Dialing {
        dials: u32,
        since: Instant,
    },
    Connected {
        since: Instant,
    },
}

#[derive(Debug)]
struct Target {
    addresses: Vec<SocketAddr>,
    failures: u32,
    state: State,
}

/// The peers to dial and how they stand.
#[derive(Debug)]
pub(crate) struct DialSchedule {
    own_key: NodePublicKey,
    targets: BTreeMap<NodePublicKey, Target>,
}

impl DialSchedule {
    /// Nobody to dial yet.
    pub(crate) fn new(own_key: NodePublicKey) -> Self {
        Self {
            own_key,
            targets: BTreeMap::new(),
        }
    }

    /// Replaces the list; peers on both lists keep their state unless their
    /// addresses changed.
    pub(crate) fn set_peers(
        &mut self,
        peers: Vec<KnownPeer>,
        is_connected: impl Fn(&NodePublicKey) -> bool,
        now: Instant,
    ) {
        let mut former = std::mem::take(&mut self.targets);
        for peer in peers {
            if peer.key == self.own_key || peer.addresses.is_empty() {
                continue;
            }
            let target = match former.remove(&peer.key) {
                Some(target) if target.addresses == peer.addresses => target,
                _ => Target {
                    addresses: peer.addresses,
                    failures: 0,
                    state: self.first_state(&peer.key, is_connected(&peer.key), now),
                },
            };
            self.targets.insert(peer.key, target);
        }
    }

    fn first_state(&self, key: &NodePublicKey, connected: bool, now: Instant) -> State {
        if connected {
            return State::Connected { since: now };
        }
        let head_start = if *key < self.own_key {
            HEAD_START
        } else {
            Duration::ZERO
        };
        State::Waiting {
            until: now + head_start,
        }
    }

    /// When the next dial is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let due = self
            .targets
            .values()
            .filter_map(|target| match target.state {
                State::Waiting { until } => Some(until),
                State::Dialing { dials, since } if dials < DIALS_MAX => Some(since + HANGS),
                State::Dialing { .. } | State::Connected { .. } => None,
            });
        due.min()
    }

    /// Peers to dial now, perhaps beside a dial that hangs; they count as being dialled.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<(NodePublicKey, Vec<SocketAddr>)> {
        let mut due = Vec::new();
        for (key, target) in &mut self.targets {
            let under_way = match target.state {
                State::Waiting { until } if until <= now => 0,
                State::Dialing { dials, since } if dials < DIALS_MAX && since + HANGS <= now => {
                    dials
                }
                _ => continue,
            };
            target.state = State::Dialing {
                dials: under_way + 1,
                since: now,
            };
            due.push((*key, target.addresses.clone()));
        }
        due
    }

    /// A connection stands, whoever dialled.
    pub(crate) fn on_connected(&mut self, key: &NodePublicKey, now: Instant) {
        if let Some(target) = self.targets.get_mut(key)
            && !matches!(target.state, State::Connected { .. })
        {
            target.state = State::Connected { since: now };
        }
    }

    /// A dial failed. `jitter` is in 0..1.
    pub(crate) fn on_failed(&mut self, key: &NodePublicKey, now: Instant, jitter: f64) {
        let Some(target) = self.targets.get_mut(key) else {
            return;
        };
        match &mut target.state {
            State::Dialing { dials, .. } if *dials > 1 => *dials -= 1,
            State::Dialing { .. } => target.wait(now, jitter),
            State::Waiting { .. } | State::Connected { .. } => {}
        }
    }

    /// The last connection to a peer is gone. `jitter` is in 0..1.
    pub(crate) fn on_disconnected(&mut self, key: &NodePublicKey, now: Instant, jitter: f64) {
        if let Some(target) = self.targets.get_mut(key)
            && let State::Connected { since } = target.state
        {
            if now.saturating_duration_since(since) >= LASTED {
                target.failures = 0;
            }
            target.wait(now, jitter);
        }
    }
}

impl Target {
    /// Waits between half of the delay and all of it.
    fn wait(&mut self, now: Instant, jitter: f64) {
        let doubled = REDIAL_DELAY_MIN.saturating_mul(1 << self.failures.min(16));
        let delay = doubled.min(REDIAL_DELAY_MAX);
        self.failures = self.failures.saturating_add(1);
        let until = now + delay.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        self.state = State::Waiting { until };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: NodePublicKey = NodePublicKey([5; 32]);
    const PEER: NodePublicKey = NodePublicKey([9; 32]);

    fn known(key: NodePublicKey, port: u16) -> KnownPeer {
        KnownPeer {
            key,
            addresses: vec![([127, 0, 0, 1], port).into()],
        }
    }

    fn schedule(now: Instant) -> DialSchedule {
        let mut schedule = DialSchedule::new(OWN);
        schedule.set_peers(vec![known(PEER, 1), known(OWN, 2)], |_| false, now);
        schedule
    }

    #[test]
    fn known_peer_is_dialled_once_and_ourselves_never() {
        let now = Instant::now();
        let mut schedule = schedule(now);
        let keys: Vec<_> = schedule
            .take_due(now)
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        assert_eq!(keys, [PEER]);
        assert!(schedule.take_due(now).is_empty());
        assert_eq!(schedule.next_due(), Some(now + HANGS));
    }

    #[test]
    fn hanging_dial_gets_company_and_the_last_that_fails_starts_the_wait() {
        let mut now = Instant::now();
        let mut schedule = schedule(now);
        for _ in 0..DIALS_MAX {
            assert_eq!(schedule.take_due(now).len(), 1);
            assert!(schedule.take_due(now).is_empty());
            now += HANGS;
        }
        assert!(schedule.take_due(now).is_empty(), "no more at once");
        assert_eq!(schedule.next_due(), None);
        for left in (1..DIALS_MAX).rev() {
            schedule.on_failed(&PEER, now, 1.0);
            let is_dialing = matches!(
                schedule.targets[&PEER].state,
                State::Dialing { dials, .. } if dials == left
            );
            assert!(is_dialing, "{left} left");
        }
        let fresh = now + HANGS;
        schedule.targets.get_mut(&PEER).unwrap().state = State::Dialing {
            dials: 1,
            since: fresh,
        };
        schedule.on_failed(&PEER, fresh, 1.0);
        assert_eq!(schedule.next_due(), Some(fresh + REDIAL_DELAY_MIN));
    }

    #[test]
    fn delay_doubles_up_to_the_largest() {
        let mut now = Instant::now();
        let mut schedule = schedule(now);
        let mut delays = Vec::new();
        for _ in 0..8 {
            schedule.take_due(now);
            schedule.on_failed(&PEER, now, 1.0);
            let due = schedule.next_due().expect("waits");
            delays.push((due - now).as_millis());
            now = due;
        }
        assert_eq!(delays, [200, 400, 800, 800, 800, 800, 800, 800]);
    }

    #[test]
    fn only_a_connection_that_lasted_resets_the_delay() {
        let start = Instant::now();
        let mut schedule = schedule(start);
        schedule.take_due(start);
        schedule.on_failed(&PEER, start, 1.0);
        schedule.on_connected(&PEER, start);
        schedule.on_disconnected(&PEER, start, 1.0);
        assert_eq!(
            schedule.next_due(),
            Some(start + Duration::from_millis(400))
        );
        schedule.on_connected(&PEER, start);
        let later = start + LASTED;
        schedule.on_disconnected(&PEER, later, 1.0);
        assert_eq!(schedule.next_due(), Some(later + REDIAL_DELAY_MIN));
    }

    #[test]
    fn larger_key_gives_the_smaller_a_head_start() {
        let now = Instant::now();
        let mut schedule = DialSchedule::new(OWN);
        schedule.set_peers(vec![known(NodePublicKey([1; 32]), 1)], |_| false, now);
        assert_eq!(schedule.next_due(), Some(now + HEAD_START));
    }

    #[test]
    fn peer_that_left_the_list_is_not_dialled_again() {
        let now = Instant::now();
        let mut schedule = schedule(now);
        schedule.on_connected(&PEER, now);
        schedule.set_peers(Vec::new(), |_| true, now);
        schedule.on_disconnected(&PEER, now, 0.0);
        assert_eq!(schedule.next_due(), None);
    }
}
