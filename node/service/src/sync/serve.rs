//! Answers to peers that catch up.

use crate::chain::Chain;
use alloy_primitives::Address;
use medina_storage::StorageError;
use medina_types::{
    ConsensusEngine, Height, limits,
    wire::{CertifiedBlock, SyncRequest, SyncResponse},
};
use tracing::warn;

/// Answers a peer that catches up, with nothing that lacks the proof of a
/// quorum. Call on a blocking thread.
pub(crate) fn serve(chain: &Chain, request: SyncRequest) -> SyncResponse {
    let count = request.count.min(limits::SYNC_BLOCKS_MAX);
    let mut response = SyncResponse::default();
    let mut bytes = 0;
    for height in (request.from.0..request.from.0.saturating_add(count)).map(Height) {
        let certified = match certified_block(chain, height) {
            Ok(Some(certified)) => certified,
            // A peer may ask for what is pruned as often as it likes.
            Ok(None) | Err(StorageError::BlockPruned { .. }) => break,
            Err(error) => {
                warn!(%height, %error, "cannot read a block that a peer asked for");
                break;
            }
        };
        bytes += certified.block.len() + certified.senders.len() * Address::len_bytes();
        if bytes > limits::SYNC_RESPONSE_BYTES_MAX && !response.blocks.is_empty() {
            break;
        }
        response.blocks.push(certified);
    }
    response
}

fn certified_block(chain: &Chain, height: Height) -> Result<Option<CertifiedBlock>, StorageError> {
    // With Raft a block is stored before its certificate is complete.
    let may_lack_seals = chain.spec.consensus.engine == ConsensusEngine::Raft;
    if may_lack_seals && !chain.is_certified(height)? {
        return Ok(None);
    }
    let Some(encoded) = chain.store.block_rlp(height)? else {
        return Ok(None);
    };
    let certificate = chain.store.certificate(height)?;
    Ok(certificate.map(|certificate| CertifiedBlock {
        block: encoded.rlp,
        certificate,
        senders: encoded.senders.into_iter().map(Into::into).collect(),
    }))
}
