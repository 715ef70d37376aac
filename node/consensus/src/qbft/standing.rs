//! Whether this node may vote, given what it remembers of its earlier votes.
//!
//! A validator that lost its consensus record does not know what it signed. It
//! observes until it has seen two further blocks decided live, that is, with
//! messages from a quorum at the very height it was working on (or with its own
//! COMMIT for the block): whatever it signed before the loss belongs to heights
//! below. At genesis nothing can have
//! been signed if the whole network is fresh, so there it votes as soon as a
//! quorum of validators is connected; should block 1 then arrive by sync
//! instead of by votes, the network was not fresh, and the node observes.
//!
//! A node that sees itself become a validator cannot have signed anything as one,
//! unless it lost its data and reads the chain again. It votes at its first height
//! once it has stood there for a base timeout with a quorum connected; should that
//! block arrive by sync instead, it had read old history, and it observes. So any
//! number may join in one block: were they all to observe, nobody could decide.
//!
//! # Deviations
//! Where every certificate needs every validator (n <= 2) a lost record cannot
//! lead to two decisions as long as the other remembers, and observing would
//! stop the chain: such a validator votes at once.

use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::{Height, ValidatorSet};

/// Blocks that must be seen decided live after a lost record.
const LIVE_BLOCKS_BEFORE_VOTING: u8 = 2;

/// What a validator without memory may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) enum Standing {
    /// Nothing is forgotten.
    Voting,
    /// No record on a fresh chain: votes at height 1 with a connected quorum.
    AtGenesis,
    /// The record is lost.
    Observing {
        /// Blocks seen decided live since.
        live_blocks: u8,
    },
    /// No record, but this node saw itself become a validator: votes at its
    /// first height with a connected quorum.
    Joined,
}

impl Standing {
    /// Standing of a validator that starts with nothing on record.
    pub(crate) fn without_record(head: Height, accepted_by_operator: bool) -> Self {
        match head {
            _ if accepted_by_operator => Self::Voting,
            Height::GENESIS => Self::AtGenesis,
            _ => Self::Observing { live_blocks: 0 },
        }
    }

    /// Standing of a validator whose record is there but damaged: it has signed
    /// something, at genesis too.
    pub(crate) fn with_damaged_record(accepted_by_operator: bool) -> Self {
        if accepted_by_operator {
            Self::Voting
        } else {
            Self::Observing { live_blocks: 0 }
        }
    }

    /// Standing of a validator whose record of height `recorded` was written
    /// with `self`. `voted_for_head`: it shows our COMMIT for the head.
    pub(crate) fn restored(self, head: Height, recorded: Height, voted_for_head: bool) -> Self {
        match self {
            Self::AtGenesis | Self::Joined if voted_for_head => Self::Voting,
            Self::AtGenesis if head > Height::GENESIS => Self::Observing { live_blocks: 0 },
            Self::Joined if head >= recorded => Self::Observing { live_blocks: 0 },
            other => other,
        }
    }

    /// After this node saw the block that makes it a validator.
    pub(crate) fn after_joining(self) -> Self {
        match self {
            Self::Voting => Self::Voting,
            Self::AtGenesis | Self::Observing { .. } | Self::Joined => Self::Joined,
        }
    }

    /// After a height was decided; `live` when a quorum's messages were seen at it.
    pub(crate) fn after_block(self, live: bool) -> Self {
        match self {
            Self::Voting => Self::Voting,
            Self::AtGenesis | Self::Joined if live => Self::Voting,
            Self::AtGenesis | Self::Joined => Self::Observing { live_blocks: 0 },
            Self::Observing { live_blocks } => {
                let live_blocks = live_blocks + u8::from(live);
                if live_blocks >= LIVE_BLOCKS_BEFORE_VOTING {
                    Self::Voting
                } else {
                    Self::Observing { live_blocks }
                }
            }
        }
    }

    /// Whether a member of `set` may sign.
    pub(crate) fn allows_voting(self, set: &ValidatorSet, quorum_connected: bool) -> bool {
        match self {
            Self::Voting => true,
            _ if set.quorum() == set.len() => true,
            Self::AtGenesis | Self::Joined => quorum_connected,
            Self::Observing { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_record_votes_after_two_live_blocks_and_not_after_synced_ones() {
        let lost = Standing::without_record(Height(9), false);
        assert_eq!(lost.after_block(false).after_block(false), lost);
        assert_eq!(lost.after_block(true).after_block(true), Standing::Voting);
        assert_eq!(Standing::without_record(Height(9), true), Standing::Voting);
    }

    #[test]
    fn wiped_node_at_genesis_observes_once_it_finds_an_old_chain() {
        let fresh = Standing::without_record(Height::GENESIS, false);
        assert_eq!(fresh, Standing::AtGenesis);
        assert_eq!(fresh.after_block(true), Standing::Voting);
        assert_eq!(
            fresh.after_block(false),
            Standing::Observing { live_blocks: 0 }
        );
        let first = Height(1);
        assert_eq!(
            fresh.restored(first, first, false),
            Standing::Observing { live_blocks: 0 }
        );
        assert_eq!(fresh.restored(first, first, true), Standing::Voting);
        assert_eq!(
            fresh.restored(Height::GENESIS, first, false),
            Standing::AtGenesis
        );
    }

    #[test]
    fn newcomer_that_finds_its_first_block_by_sync_observes() {
        let lost = Standing::Observing { live_blocks: 0 };
        let joined = lost.after_joining();
        assert_eq!(joined, Standing::Joined);
        assert_eq!(joined.after_block(true), Standing::Voting);
        assert_eq!(joined.after_block(false), lost);
        assert_eq!(joined.restored(Height(6), Height(7), false), joined);
        assert_eq!(
            joined.restored(Height(7), Height(7), true),
            Standing::Voting
        );
        assert_eq!(joined.restored(Height(7), Height(7), false), lost);
        assert_eq!(Standing::Voting.after_joining(), Standing::Voting);
    }

    #[test]
    fn damaged_record_observes_at_genesis_too() {
        let lost = Standing::Observing { live_blocks: 0 };
        assert_eq!(Standing::with_damaged_record(false), lost);
        assert_eq!(Standing::with_damaged_record(true), Standing::Voting);
    }
}
