//! Messages as the specification sees them (`types.dfy`): facts, no encoding.

use alloy_primitives::{Address, B256};
use medina_types::{Height, NodePublicKey, NodeSignature, Round};

/// `Block`: what the predicates look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block {
    /// `digest(block)`.
    pub digest: B256,
    /// `header.height`.
    pub number: Height,
    /// Hash of the block it extends.
    pub parent: B256,
    /// `header.proposer`: in Medina the beneficiary.
    pub beneficiary: Address,
}

/// `preparedRound` and `preparedValue`, which come together or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// Round in which the block was prepared.
    pub round: Round,
    /// The block.
    pub digest: B256,
}

/// `set<SignedPrepare>` for one round: who signed, by place in the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepares {
    /// The round they name.
    pub round: Round,
    /// Signers and signatures.
    pub votes: Vec<(usize, NodeSignature)>,
}

/// `SignedRoundChange`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundChange {
    /// Who says to have signed it.
    pub author: NodePublicKey,
    /// Height.
    pub height: Height,
    /// Round asked for.
    pub round: Round,
    /// What the author prepared.
    pub prepared: Option<Claim>,
    /// The author's signature.
    pub signature: NodeSignature,
}

/// `SignedPrepare` or `SignedCommit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Height.
    pub height: Height,
    /// Round.
    pub round: Round,
    /// Block voted for.
    pub digest: B256,
    /// The author's signature; of a COMMIT the seal.
    pub signature: NodeSignature,
}

/// `Proposal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Height.
    pub height: Height,
    /// Round.
    pub round: Round,
    /// `proposedBlock`.
    pub block: Block,
    /// `proposalJustification`.
    pub round_changes: Vec<RoundChange>,
    /// `roundChangeJustification`.
    pub prepares: Option<Prepares>,
    /// The author's signature.
    pub signature: NodeSignature,
}

/// Which message, in the order in which kept ones are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// PROPOSAL.
    Proposal,
    /// PREPARE.
    Prepare,
    /// COMMIT.
    Commit,
    /// ROUND-CHANGE.
    RoundChange,
}

/// `QbftMessage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// `Proposal`.
    Proposal(Proposal),
    /// `Prepare`.
    Prepare(Vote),
    /// `Commit`.
    Commit(Vote),
    /// `RoundChange`: the signed part, then block and PREPAREs.
    RoundChange(RoundChange, Option<(Block, Prepares)>),
}

impl Message {
    /// Which message.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Proposal(_) => Kind::Proposal,
            Self::Prepare(_) => Kind::Prepare,
            Self::Commit(_) => Kind::Commit,
            Self::RoundChange(..) => Kind::RoundChange,
        }
    }

    /// Its height.
    #[must_use]
    pub fn height(&self) -> Height {
        match self {
            Self::Proposal(proposal) => proposal.height,
            Self::Prepare(vote) | Self::Commit(vote) => vote.height,
            Self::RoundChange(change, _) => change.height,
        }
    }

    /// Its round.
    #[must_use]
    pub fn round(&self) -> Round {
        match self {
            Self::Proposal(proposal) => proposal.round,
            Self::Prepare(vote) | Self::Commit(vote) => vote.round,
            Self::RoundChange(change, _) => change.round,
        }
    }

    /// What it says, without the signatures.
    #[must_use]
    pub fn said(&self) -> Said {
        let signers = |prepares: &Prepares| {
            let signers = prepares.votes.iter().map(|(index, _)| *index);
            (prepares.round, signers.collect())
        };
        match self {
            Self::Proposal(proposal) => {
                let changes = proposal.round_changes.iter();
                Said::Proposal {
                    round: proposal.round,
                    digest: proposal.block.digest,
                    round_changes: changes
                        .map(|change| (change.author, change.prepared))
                        .collect(),
                    prepares: proposal.prepares.as_ref().map(signers),
                }
            }
            Self::Prepare(vote) => Said::Prepare {
                round: vote.round,
                digest: vote.digest,
            },
            Self::Commit(vote) => Said::Commit {
                round: vote.round,
                digest: vote.digest,
            },
            Self::RoundChange(change, proof) => Said::RoundChange {
                round: change.round,
                prepared: change.prepared,
                proof: proof
                    .as_ref()
                    .map(|(block, prepares)| (block.digest, signers(prepares))),
            },
        }
    }
}

/// Round and signers of a set of PREPAREs.
pub type Signers = (Round, Vec<usize>);

/// What a message says, apart from its signatures: what two implementations
/// must agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// PROPOSAL.
    Proposal {
        /// Round.
        round: Round,
        /// Block.
        digest: B256,
        /// Quoted round changes: author and claim.
        round_changes: Vec<(NodePublicKey, Option<Claim>)>,
        /// Quoted PREPAREs.
        prepares: Option<Signers>,
    },
    /// PREPARE.
    Prepare {
        /// Round.
        round: Round,
        /// Block.
        digest: B256,
    },
    /// COMMIT.
    Commit {
        /// Round.
        round: Round,
        /// Block.
        digest: B256,
    },
    /// ROUND-CHANGE.
    RoundChange {
        /// Round.
        round: Round,
        /// Claim.
        prepared: Option<Claim>,
        /// Block and PREPAREs that prove it.
        proof: Option<(B256, Signers)>,
    },
}
