//! Messages before they are signed, so that anything about them can be wrong.

use super::world::{GENESIS, World};
use alloy_primitives::B256;
use medina_consensus::{
    VoteCrypto,
    qbft::messages::{
        Commit, Justification, Message, NamedRoundChange, Prepare, PreparedClaim, PreparedProof,
        Proposal, RoundChange, RoundChangeStatement, prepare_message,
    },
};
use medina_types::{
    Certificate, Height, NodeSignature, Round, SealedBlock, commit_message, limits,
};

/// Whose signature is put on something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// The author's.
    Well,
    /// Another validator's.
    By(usize),
    /// The author's over the same facts of another round.
    OfOtherRound,
    /// The author's over the same facts of another height.
    OfOtherHeight,
    /// The author's as another kind of message.
    AsOtherKind,
    /// Nobody's.
    Not,
}

/// PREPAREs of some validators, by our index.
#[derive(Clone, Debug)]
pub struct PreparesDraft {
    /// Round named by the certificate.
    pub round: u32,
    /// Round that was signed.
    pub signed_round: u32,
    /// Block that was signed.
    pub digest: B256,
    /// Who signed, how.
    pub signers: Vec<(usize, Signed)>,
    /// Adds a signer beyond the set.
    pub has_outsider: bool,
}

/// The signed part of a round change.
#[derive(Clone, Debug)]
pub struct StatementDraft {
    /// Who says it.
    pub author: usize,
    /// Height.
    pub height: Height,
    /// Round.
    pub round: u32,
    /// Claim.
    pub prepared: Option<(u32, B256)>,
    /// Signature.
    pub signed: Signed,
}

/// A whole message.
#[derive(Clone, Debug)]
pub enum Draft {
    /// PROPOSAL.
    Proposal {
        /// Height.
        height: Height,
        /// Round.
        round: u32,
        /// Block.
        block: SealedBlock,
        /// Quoted round changes.
        changes: Vec<StatementDraft>,
        /// Quoted PREPAREs.
        prepares: Option<PreparesDraft>,
        /// Signature.
        signed: Signed,
    },
    /// PREPARE, or COMMIT.
    Vote {
        /// Which of the two.
        is_commit: bool,
        /// Height.
        height: Height,
        /// Round.
        round: u32,
        /// Block.
        digest: B256,
        /// Signature.
        signed: Signed,
    },
    /// ROUND-CHANGE.
    RoundChange {
        /// Signed part.
        statement: StatementDraft,
        /// Proof of the claim.
        proof: Option<(SealedBlock, PreparesDraft)>,
    },
}

/// The four kinds of bytes that are signed.
#[derive(Clone, Copy)]
enum Bytes {
    Proposal(B256),
    Prepare(B256),
    Commit(B256),
    RoundChange(Option<PreparedClaim>),
}

impl Bytes {
    fn at(self, height: Height, round: Round) -> Vec<u8> {
        match self {
            Self::Proposal(digest) => {
                Proposal::signed_bytes(GENESIS, height, round, digest).to_vec()
            }
            Self::Prepare(digest) => prepare_message(GENESIS, height, round, digest).to_vec(),
            Self::Commit(digest) => commit_message(GENESIS, height, round, digest).to_vec(),
            Self::RoundChange(claim) => {
                RoundChangeStatement::signed_bytes(GENESIS, height, round, claim).to_vec()
            }
        }
    }

    fn as_other_kind(self) -> Self {
        match self {
            Self::Proposal(digest) | Self::Commit(digest) => Self::Prepare(digest),
            Self::Prepare(digest) => Self::Commit(digest),
            Self::RoundChange(claim) => Self::Proposal(claim.map_or(B256::ZERO, |c| c.digest)),
        }
    }
}

impl World {
    fn sign(
        &self,
        author: usize,
        signed: Signed,
        bytes: Bytes,
        height: Height,
        round: u32,
    ) -> NodeSignature {
        let (round, other) = (Round(round), Round(round ^ 1));
        let by = |who: usize, bytes: Vec<u8>| self.signers[who].sign(&bytes);
        match signed {
            Signed::Well => by(author, bytes.at(height, round)),
            Signed::By(who) => by(who, bytes.at(height, round)),
            Signed::OfOtherRound => by(author, bytes.at(height, other)),
            Signed::OfOtherHeight => by(author, bytes.at(height.next(), round)),
            Signed::AsOtherKind => by(author, bytes.as_other_kind().at(height, round)),
            Signed::Not => NodeSignature([7; 64]),
        }
    }

    fn statement(&self, draft: &StatementDraft) -> RoundChangeStatement {
        let prepared = draft.prepared.map(|(round, digest)| PreparedClaim {
            round: Round(round),
            digest,
        });
        let bytes = Bytes::RoundChange(prepared);
        RoundChangeStatement {
            height: draft.height,
            round: Round(draft.round),
            prepared,
            signature: self.sign(draft.author, draft.signed, bytes, draft.height, draft.round),
        }
    }

    fn certificate(&self, draft: &PreparesDraft) -> Certificate {
        let bytes = Bytes::Prepare(draft.digest);
        let (height, round) = (self.height(), draft.signed_round);
        let vote = |&(author, signed): &(usize, Signed)| {
            let signature = self.sign(author, signed, bytes, height, round);
            (self.place(author), signature)
        };
        let outsider = (limits::VALIDATORS_MAX - 1, NodeSignature([9; 64]));
        let outsider = draft.has_outsider.then_some(outsider);
        let votes = draft.signers.iter().map(vote).chain(outsider);
        Certificate::new(Round(draft.round), votes)
    }

    /// The message as `author` sends it.
    #[must_use]
    pub fn finish(&self, author: usize, draft: &Draft) -> Message {
        match draft {
            Draft::Proposal {
                height,
                round,
                block,
                changes,
                prepares,
                signed,
            } => {
                let named = |change: &StatementDraft| NamedRoundChange {
                    author: self.keys[change.author],
                    statement: self.statement(change),
                };
                let justification = Justification {
                    round_changes: changes.iter().map(named).collect(),
                    prepares: prepares.as_ref().map(|prepares| self.certificate(prepares)),
                };
                let bytes = Bytes::Proposal(block.hash());
                Message::Proposal(Box::new(Proposal {
                    height: *height,
                    round: Round(*round),
                    block: block.clone(),
                    justification,
                    signature: self.sign(author, *signed, bytes, *height, *round),
                }))
            }
            Draft::Vote {
                is_commit,
                height,
                round,
                digest,
                signed,
            } => {
                let (height, digest) = (*height, *digest);
                let bytes = if *is_commit {
                    Bytes::Commit(digest)
                } else {
                    Bytes::Prepare(digest)
                };
                let signature = self.sign(author, *signed, bytes, height, *round);
                let round = Round(*round);
                if *is_commit {
                    let seal = signature;
                    Message::Commit(Commit {
                        height,
                        round,
                        digest,
                        seal,
                    })
                } else {
                    Message::Prepare(Prepare {
                        height,
                        round,
                        digest,
                        signature,
                    })
                }
            }
            Draft::RoundChange { statement, proof } => {
                let proof = proof.as_ref().map(|(block, prepares)| PreparedProof {
                    prepares: self.certificate(prepares),
                    block: block.clone(),
                });
                Message::RoundChange(Box::new(RoundChange {
                    statement: self.statement(statement),
                    proof,
                }))
            }
        }
    }
}
