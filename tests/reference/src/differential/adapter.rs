//! The engine's messages in the checker's terms, field by field.

use super::world::World;
use crate::spec;
use medina_consensus::qbft::messages::{Message, PreparedClaim, RoundChangeStatement};
use medina_types::{Certificate, NodePublicKey};

fn claim(claim: PreparedClaim) -> spec::Claim {
    spec::Claim {
        round: claim.round,
        digest: claim.digest,
    }
}

/// A certificate of PREPAREs or seals.
#[must_use]
pub fn prepares(certificate: &Certificate) -> spec::Prepares {
    let signatures = certificate.signatures().iter().copied();
    spec::Prepares {
        round: certificate.round,
        votes: certificate.signers().zip(signatures).collect(),
    }
}

fn round_change(author: NodePublicKey, statement: &RoundChangeStatement) -> spec::RoundChange {
    spec::RoundChange {
        author,
        height: statement.height,
        round: statement.round,
        prepared: statement.prepared.map(claim),
        signature: statement.signature,
    }
}

/// The message as said by its author; `None` for what QBFT does not know.
#[must_use]
pub fn message(author: NodePublicKey, message: &Message) -> Option<spec::Message> {
    let vote = |height, round, digest, signature| spec::Vote {
        height,
        round,
        digest,
        signature,
    };
    match message {
        Message::Proposal(proposal) => {
            let quoted = proposal.justification.round_changes.iter();
            Some(spec::Message::Proposal(spec::Proposal {
                height: proposal.height,
                round: proposal.round,
                block: World::plain(&proposal.block),
                round_changes: quoted
                    .map(|named| round_change(named.author, &named.statement))
                    .collect(),
                prepares: proposal.justification.prepares.as_ref().map(prepares),
                signature: proposal.signature,
            }))
        }
        Message::Prepare(one) => Some(spec::Message::Prepare(vote(
            one.height,
            one.round,
            one.digest,
            one.signature,
        ))),
        Message::Commit(one) => Some(spec::Message::Commit(vote(
            one.height, one.round, one.digest, one.seal,
        ))),
        Message::RoundChange(change) => {
            let proof = change.proof.as_ref();
            let proof = proof.map(|proof| (World::plain(&proof.block), prepares(&proof.prepares)));
            let statement = round_change(author, &change.statement);
            Some(spec::Message::RoundChange(statement, proof))
        }
        Message::Ahead { .. } => None,
    }
}
