//! Who is linked to us, and which rounds are lost because somebody is not.
//!
//! A process that dies takes its links with it at once, long before a round's
//! timer would notice. A round is *lost* when
//! * its proposer has no link to us and has proposed nothing that we heard, or
//! * those who may still vote in it are no quorum: linked to us and not gone on
//!   to a later round, or known to have sent their COMMIT.
//!
//! While a round is lost and a quorum of validators is linked to us, its timer is
//! cut to a quarter of the base timeout, counted from when we saw it.
//!
//! # Why rounds still succeed
//! Safety asks nothing of timers: a validator may change rounds at any time. For
//! liveness, once links between honest validators stand:
//! * An honest proposer keeps its whole time. No honest validator sees it gone,
//!   and none misses a quorum: the honest are one, and those who entered the round
//!   leave it by their timers only. So the known argument about growing timeouts
//!   holds for its rounds, however short those of others are.
//! * A liar that drops its links shortens rounds of its own. With at most f faulty
//!   ones the second rule never holds because of them: a quorum is left.
//! * A validator that is cut off has no quorum of links: nothing is shortened. And
//!   above round 0 no timer runs without a quorum that asks, so nobody races ahead.
//! * A link that flaps shortens nothing, unless it is gone for the quarter in one
//!   piece. When it is back, the round has its whole time, counted from its start.
//! * Where fewer than f + 1 miss the proposer, they leave the round alone. They
//!   could neither hear it nor be heard by it, so it goes on as it would have; and
//!   if it needed them, the others see by the second rule that it is lost.
//! * When all restart, a proposer that is the last to be linked costs one round.

use super::{Qbft, justification::quorum};
use crate::{
    Output,
    mutants::{Mutant, is_on},
};
use medina_types::{NodePublicKey, limits};

impl Qbft {
    pub(super) fn note_connected(&mut self) {
        let others = self
            .connected
            .iter()
            .filter(|peer| self.is_validator(peer))
            .count();
        self.has_seen_quorum |=
            others + usize::from(self.is_member()) >= quorum(&self.context.validators);
    }

    pub(super) fn on_peer_connected(&mut self, peer: NodePublicKey) {
        let is_validator = self.is_validator(&peer);
        let is_full = self.connected.len() >= limits::PEERS_MAX;
        if peer == self.config.own_key || (is_full && !is_validator) {
            return;
        }
        self.connected.insert(peer);
        if !is_validator {
            return;
        }
        self.note_connected();
        if is_on(Mutant::RoundChangeOnce) {
            return;
        }
        for bytes in self.current_messages() {
            self.out.push(Output::Send { to: peer, bytes });
        }
    }

    pub(super) fn on_peer_disconnected(&mut self, peer: &NodePublicKey) {
        self.connected.remove(peer);
    }

    fn is_here(&self, key: &NodePublicKey) -> bool {
        *key == self.config.own_key || self.connected.contains(key)
    }

    /// Whether nothing can come of the current round, as far as links tell.
    pub(super) fn is_round_lost(&self) -> bool {
        let (set, state) = (&self.context.validators, &self.state);
        let quorum = quorum(set);
        let keys = || set.validators().iter().map(|validator| validator.key);
        if keys().filter(|key| self.is_here(key)).count() < quorum {
            // It is we who are cut off.
            return false;
        }
        if state.proposal().is_none() && !self.is_here(&self.proposer_key()) {
            return true;
        }
        let highest = state.round_changes.highest_rounds();
        let has_left =
            |key: &NodePublicKey| highest.get(key).is_some_and(|asked| *asked > state.round);
        let may_help = |key: &NodePublicKey| {
            let is_voting = self.is_here(key) && !has_left(key);
            is_voting || state.commits.contains(state.round, key)
        };
        keys().filter(may_help).count() < quorum
    }
}
