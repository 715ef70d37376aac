//! Whether a proposal is justified: a second, small reading of the formal
//! specification's `isProposalJustification`, without a line of the engine's.

use crate::{block::GENESIS, crypto::SimulatedCrypto};
use alloy_primitives::B256;
use medina_consensus::{
    VoteCrypto,
    qbft::messages::{PreparedClaim, Proposal, RoundChangeStatement, prepare_message},
};
use medina_types::{Certificate, Height, HeightContext, NodePublicKey, Round};
use std::collections::BTreeSet;

/// What a proposal of one height is judged by.
pub(crate) struct Judge<'a> {
    pub(crate) crypto: &'a SimulatedCrypto,
    pub(crate) context: &'a HeightContext,
    pub(crate) height: Height,
    pub(crate) parent: B256,
}

/// Two thirds, rounded up.
pub(crate) fn quorum(context: &HeightContext) -> usize {
    (2 * context.validators.len()).div_ceil(3)
}

impl Judge<'_> {
    /// Whether this author may propose this, or why not.
    pub(crate) fn judge(&self, author: &NodePublicKey, it: &Proposal) -> Result<(), &'static str> {
        let digest = it.block.hash();
        let proposer = self.context.proposer(self.height, it.round);
        let bytes = Proposal::signed_bytes(GENESIS, self.height, it.round, digest);
        let header = it.block.header();
        let pays_proposer = header.beneficiary == proposer.operator;
        let justification = &it.justification;
        if proposer.key != *author {
            return Err("of another's turn");
        }
        if !self.crypto.verify(author, &bytes, &it.signature) {
            return Err("not signed");
        }
        if it.height != self.height
            || it.block.height() != self.height
            || header.parent_hash != self.parent
        {
            return Err("on another block");
        }
        if it.round.is_zero() {
            return match justification.is_empty() {
                true if pays_proposer => Ok(()),
                true => Err("fresh and pays another"),
                false => Err("of round 0 with a justification"),
            };
        }
        let mut authors = BTreeSet::new();
        for named in &justification.round_changes {
            self.judge_statement(&named.author, &named.statement, it.round)?;
            if !authors.insert(named.author) {
                return Err("justified twice by one");
            }
        }
        if authors.len() < quorum(self.context) {
            return Err("justified by too few");
        }
        let statements = justification.round_changes.iter();
        let claims = statements.filter_map(|named| named.statement.prepared);
        let claims: Vec<PreparedClaim> = claims.collect();
        let highest = claims.iter().map(|claim| claim.round).max();
        match (highest, &justification.prepares) {
            (None, None) if pays_proposer => Ok(()),
            (None, None) => Err("fresh and pays another"),
            (Some(round), Some(prepares)) => {
                if !claims.contains(&PreparedClaim { round, digest }) {
                    return Err("not the highest prepared");
                }
                self.judge_prepares(round, digest, prepares)
            }
            _ => Err("with claims and proof that do not match"),
        }
    }

    fn judge_statement(
        &self,
        author: &NodePublicKey,
        it: &RoundChangeStatement,
        round: Round,
    ) -> Result<(), &'static str> {
        let bytes = RoundChangeStatement::signed_bytes(GENESIS, self.height, round, it.prepared);
        if (it.height, it.round) != (self.height, round) {
            return Err("justified for another round");
        }
        if it.prepared.is_some_and(|claim| claim.round >= round) {
            return Err("justified by a claim from later");
        }
        if self.context.validators.index_of_key(author).is_none() {
            return Err("justified by a stranger");
        }
        if !self.crypto.verify(author, &bytes, &it.signature) {
            return Err("justified by what nobody signed");
        }
        Ok(())
    }

    fn judge_prepares(
        &self,
        round: Round,
        digest: B256,
        prepares: &Certificate,
    ) -> Result<(), &'static str> {
        let bytes = prepare_message(GENESIS, self.height, round, digest);
        let votes = prepares.signers().zip(prepares.signatures());
        let is_good = |(index, signature): (usize, &_)| {
            let member = self.context.validators.get(index);
            member.is_some_and(|member| self.crypto.verify(&member.key, &bytes, signature))
        };
        let (all, good) = (
            prepares.signatures().len(),
            votes.filter(|vote| is_good(*vote)).count(),
        );
        if prepares.round != round || good < quorum(self.context) || good < all {
            return Err("prepared by too few");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::operator;
    use medina_consensus::qbft::messages::{Justification, NamedRoundChange};
    use medina_types::{Block, NodeSignature, SealedBlock, Validator, ValidatorSet};

    const HEIGHT: Height = Height(1);

    fn crypto(index: usize) -> SimulatedCrypto {
        SimulatedCrypto::Cheap(key(index))
    }

    fn key(index: usize) -> NodePublicKey {
        SimulatedCrypto::secret(index).public_key()
    }

    fn context() -> HeightContext {
        let member = |index| Validator {
            key: key(index),
            operator: operator(index),
        };
        let set = ValidatorSet::new((0..4).map(member).collect()).expect("four distinct members");
        HeightContext::genesis(set)
    }

    /// The node whose turn a round is.
    fn turn(round: u32) -> usize {
        let context = context();
        let proposer = context.proposer(HEIGHT, Round(round)).key;
        (0..4)
            .find(|index| key(*index) == proposer)
            .expect("the proposer is a member")
    }

    fn block(pays: usize) -> SealedBlock {
        let header = alloy_consensus::Header {
            number: HEIGHT.0,
            parent_hash: GENESIS,
            beneficiary: operator(pays),
            ..alloy_consensus::Header::default()
        };
        SealedBlock::new(Block::new(header, alloy_consensus::BlockBody::default()))
    }

    fn change(author: usize, round: u32, prepared: Option<PreparedClaim>) -> NamedRoundChange {
        let round = Round(round);
        let bytes = RoundChangeStatement::signed_bytes(GENESIS, HEIGHT, round, prepared);
        NamedRoundChange {
            author: key(author),
            statement: RoundChangeStatement {
                height: HEIGHT,
                round,
                prepared,
                signature: crypto(author).sign(&bytes),
            },
        }
    }

    fn prepares(signers: &[usize], round: u32, block: &SealedBlock) -> Certificate {
        let bytes = prepare_message(GENESIS, HEIGHT, Round(round), block.hash());
        let context = context();
        let vote = |node: &usize| {
            let index = context.validators.index_of_key(&key(*node));
            (index.expect("a member"), crypto(*node).sign(&bytes))
        };
        Certificate::new(Round(round), signers.iter().map(vote))
    }

    fn judged(
        round: u32,
        block: SealedBlock,
        round_changes: Vec<NamedRoundChange>,
        prepares: Option<Certificate>,
    ) -> Result<(), &'static str> {
        let author = turn(round);
        let round = Round(round);
        let bytes = Proposal::signed_bytes(GENESIS, HEIGHT, round, block.hash());
        let proposal = Proposal {
            height: HEIGHT,
            round,
            block,
            justification: Justification {
                round_changes,
                prepares,
            },
            signature: crypto(author).sign(&bytes),
        };
        let judge = Judge {
            crypto: &crypto(0),
            context: &context(),
            height: HEIGHT,
            parent: GENESIS,
        };
        judge.judge(&key(author), &proposal)
    }

    fn unprepared(authors: &[usize], round: u32) -> Vec<NamedRoundChange> {
        authors
            .iter()
            .map(|author| change(*author, round, None))
            .collect()
    }

    #[test]
    fn fresh_blocks_need_a_quorum_of_round_changes_for_their_round() {
        assert_eq!(judged(0, block(turn(0)), Vec::new(), None), Ok(()));
        let fresh = block(turn(2));
        let refused = |changes: Vec<NamedRoundChange>| judged(2, fresh.clone(), changes, None);
        assert_eq!(refused(unprepared(&[0, 1, 2], 2)), Ok(()));
        assert!(refused(Vec::new()).is_err());
        assert!(refused(unprepared(&[0, 1], 2)).is_err());
        assert!(refused(unprepared(&[0, 0, 0], 2)).is_err());
        assert!(refused(unprepared(&[0, 1, 7], 2)).is_err());
        assert!(refused(unprepared(&[0, 1, 2], 1)).is_err());
        let mut forged = unprepared(&[0, 1, 2], 2);
        forged[0].statement.signature = NodeSignature([1; 64]);
        assert!(refused(forged).is_err());
        let other = block((turn(2) + 1) % 4);
        assert!(judged(2, other, unprepared(&[0, 1, 2], 2), None).is_err());
        assert!(judged(0, block(turn(0)), unprepared(&[0], 1), None).is_err());
    }

    #[test]
    fn prepared_blocks_need_their_proof_and_are_the_highest() {
        let old = block(turn(0));
        let claim = |round| {
            Some(PreparedClaim {
                round: Round(round),
                digest: old.hash(),
            })
        };
        let changes = |prepared| {
            let mut all = unprepared(&[0, 1, 2], 3);
            all[1] = change(1, 3, prepared);
            all
        };
        let proof = |signers: &[usize], round| Some(prepares(signers, round, &old));
        let judge = |prepared, proof| judged(3, old.clone(), changes(prepared), proof);
        assert_eq!(judge(claim(0), proof(&[1, 2, 3], 0)), Ok(()));
        assert!(judge(claim(0), proof(&[1, 2], 0)).is_err());
        assert!(judge(claim(0), proof(&[1, 2, 3], 1)).is_err());
        assert!(judge(claim(0), None).is_err());
        assert!(judge(None, proof(&[1, 2, 3], 0)).is_err());
        assert!(judge(claim(3), proof(&[1, 2, 3], 3)).is_err());
        let mut higher = changes(claim(0));
        let digest = B256::repeat_byte(9);
        let round = Round(1);
        higher[2] = change(2, 3, Some(PreparedClaim { round, digest }));
        assert!(judged(3, old.clone(), higher, proof(&[1, 2, 3], 0)).is_err());
    }
}
