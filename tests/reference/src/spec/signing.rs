//! The bytes that signatures are about, from their description: a domain of 16
//! bytes, the genesis hash, height and round as big-endian numbers, the block's
//! hash; a round change adds its claim.
//!
//! Specification: `signProposal`, `signPrepare`, `signCommit`, `signRoundChange`
//! and `signHash`, which it leaves open but for being injective.

use super::Claim;
use alloy_primitives::B256;
use medina_types::{Height, Round};

fn subject(domain: &[u8], genesis: B256, height: Height, round: Round, digest: B256) -> Vec<u8> {
    let mut bytes = domain.to_vec();
    bytes.extend(genesis.0);
    bytes.extend(height.0.to_be_bytes());
    bytes.extend(round.0.to_be_bytes());
    bytes.extend(digest.0);
    bytes
}

/// `UnsignedProposal`.
#[must_use]
pub fn proposal(genesis: B256, height: Height, round: Round, digest: B256) -> Vec<u8> {
    subject(b"medina/propose/1", genesis, height, round, digest)
}

/// `UnsignedPrepare`.
#[must_use]
pub fn prepare(genesis: B256, height: Height, round: Round, digest: B256) -> Vec<u8> {
    subject(b"medina/prepare/1", genesis, height, round, digest)
}

/// `UnsignedCommit` and the commit seal, which in Medina are one.
#[must_use]
pub fn commit(genesis: B256, height: Height, round: Round, digest: B256) -> Vec<u8> {
    subject(b"medina/commit/v1", genesis, height, round, digest)
}

/// `UnsignedRoundChange`.
#[must_use]
pub fn round_change(
    genesis: B256,
    height: Height,
    round: Round,
    prepared: Option<Claim>,
) -> Vec<u8> {
    let digest = prepared.map_or(B256::ZERO, |claim| claim.digest);
    let mut bytes = subject(b"medina/rndchng/1", genesis, height, round, digest);
    bytes.push(u8::from(prepared.is_some()));
    bytes.extend(prepared.map_or(0, |claim| claim.round.0).to_be_bytes());
    bytes
}
