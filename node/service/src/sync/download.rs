//! One request for blocks: sent, answered, decoded and checked, off the driver.
//!
//! Certificates and bodies are checked here, many at once and while the driver
//! executes earlier blocks, against the validators of our head; the driver checks
//! again what turns out to belong to another set. Senders are taken as the peer
//! claims them where it does, and recovered else: see [`super::signatures`].

use super::{plan::Order, unpacked_key::UnpackedKey};
use crate::{
    chain::Chain,
    driver::{ImportBlock, KnownSenders},
    links::Links,
};
use alloy_consensus::transaction::SignerRecoverable;
use alloy_primitives::{Address, B256};
use medina_network::NetworkError;
use medina_types::{
    Certificate, Height, NodePublicKey, NodeSignature, SealedBlock, ValidatorSet, commit_message,
    limits,
    wire::{CertifiedBlock, SyncRequest, SyncResponse},
};
use rayon::prelude::*;
use std::{collections::HashMap, sync::Arc};

/// Share of an answer's largest size from which one that is cut short is
/// believed to be cut for its size.
const FULL_ANSWER_DIVISOR: usize = 4;

/// What came of one request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The first blocks of what was asked.
    Blocks {
        blocks: Vec<ImportBlock>,
        /// Fewer than asked for, though there was room for more.
        is_stingy: bool,
    },
    /// No answer.
    Silent,
    /// An empty answer, which may be honest: the peer has pruned these blocks, or,
    /// with Raft, their certificates are on their way.
    Nothing,
    /// The link is gone.
    Gone,
    /// Something that no honest peer sends.
    Wrong(String),
}

/// Asks.
pub(super) async fn fetch(links: &dyn Links, order: Order) -> Result<SyncResponse, Outcome> {
    match links.request_blocks(order.peer, order.request).await {
        Ok(response) if response.blocks.is_empty() => Err(Outcome::Nothing),
        Ok(response) => Ok(response),
        Err(NetworkError::RequestFailed { .. }) => Err(Outcome::Silent),
        Err(_) => Err(Outcome::Gone),
    }
}

/// Checks an answer of a peer whose newest block is `newest`.
pub(super) async fn check(
    chain: &Chain,
    newest: Height,
    order: Order,
    response: SyncResponse,
) -> Outcome {
    let set = Arc::new(chain.head().context.validators.clone());
    let chain = chain.clone();
    let check = move || Rules::new(&chain, set, newest).check(order.request, response);
    match tokio::task::spawn_blocking(check).await {
        Ok(outcome) => outcome,
        // The node is stopping.
        Err(_) => Outcome::Gone,
    }
}

/// Blocks of an answer, and their bytes.
pub(super) fn size(response: &SyncResponse) -> (u64, u64) {
    let blocks = response.blocks.iter();
    let bytes = blocks.map(|block| block.block.len() as u64).sum();
    (response.blocks.len() as u64, bytes)
}

/// Blocks that may wait for the check of their signatures: pruning waits for it, and a
/// node should not vote on the word of others for long.
const UNCHECKED_BLOCKS_MAX: u64 = 4_096;

fn is_check_far_behind(chain: &Chain) -> bool {
    let from = chain.store.unchecked_from();
    from.is_some_and(|from| chain.head().height.0.saturating_sub(from.0) > UNCHECKED_BLOCKS_MAX)
}

struct Rules<'a> {
    chain: &'a Chain,
    set: Arc<ValidatorSet>,
    /// The set's keys, unpacked once.
    keys: HashMap<NodePublicKey, UnpackedKey>,
    /// The peer's newest block as far as it says. Its signatures are checked at once,
    /// so that a node that follows block by block has nothing left to check.
    newest: Height,
    may_claim: bool,
}

impl<'a> Rules<'a> {
    fn new(chain: &'a Chain, set: Arc<ValidatorSet>, newest: Height) -> Self {
        let keys = set
            .validators()
            .iter()
            .filter_map(|validator| Some((validator.key, UnpackedKey::new(&validator.key)?)));
        Self {
            chain,
            keys: keys.collect(),
            set,
            newest,
            may_claim: chain.dev.is_none() && !is_check_far_behind(chain),
        }
    }

    fn check(&self, request: SyncRequest, response: SyncResponse) -> Outcome {
        let (got, bytes) = size(&response);
        if got == 0 || got > request.count {
            return Outcome::Wrong("sent another number of blocks than asked for".to_owned());
        }
        let is_large = bytes >= (limits::SYNC_RESPONSE_BYTES_MAX / FULL_ANSWER_DIVISOR) as u64;
        let heights = (request.from.0..).map(Height);
        let checked: Result<Vec<_>, _> = heights
            .zip(response.blocks)
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|(height, certified)| self.check_block(height, certified))
            .collect();
        match checked {
            Ok(blocks) => Outcome::Blocks {
                blocks,
                is_stingy: got < request.count && !is_large,
            },
            Err(reason) => Outcome::Wrong(reason),
        }
    }

    /// Blocks that we have are skipped by the import, so old ones in place of
    /// those asked for would look like progress for ever.
    fn check_block(
        &self,
        height: Height,
        certified: CertifiedBlock,
    ) -> Result<ImportBlock, String> {
        let block = SealedBlock::decode(&certified.block).map_err(|error| error.to_string())?;
        if block.height() != height {
            return Err("sent other blocks than asked for".to_owned());
        }
        if !block.is_body_of_header() {
            return Err(format!(
                "sent block {height} with a body that its header does not name"
            ));
        }
        let certificate = certified.certificate;
        let is_verified = self.is_proven(&block, &certificate);
        let claimed = self.claimed(&block, &certified.senders);
        let senders = match (is_verified, claimed) {
            (true, Some(claimed)) => KnownSenders::Claimed(claimed),
            // A quorum's block is executed in any case; no work for anybody else's.
            (true, None) => KnownSenders::Recovered(self.recovered(&block)),
            (false, _) => KnownSenders::default(),
        };
        Ok(ImportBlock {
            verified_with: is_verified.then(|| self.set.clone()),
            is_body_checked: true,
            senders,
            block,
            certificate,
        })
    }

    /// The claimed senders by transaction, where the peer claims one for each. In a
    /// development network a signature may be anybody's.
    fn claimed(&self, block: &SealedBlock, senders: &[[u8; 20]]) -> Option<HashMap<B256, Address>> {
        let transactions = block.transactions();
        let may_claim = self.may_claim && block.height() < self.newest;
        let is_complete = !transactions.is_empty() && senders.len() == transactions.len();
        if !may_claim || !is_complete {
            return None;
        }
        let hashes = transactions
            .iter()
            .map(|transaction| *transaction.tx_hash());
        Some(hashes.zip(senders.iter().map(Address::from)).collect())
    }

    /// The same check as [`Certificate::verify`] makes, with keys unpacked once.
    fn is_proven(&self, block: &SealedBlock, certificate: &Certificate) -> bool {
        let spec = &self.chain.spec;
        let (genesis, round) = (spec.genesis_hash, certificate.round);
        let is_by = |key: &NodePublicKey, message: &[u8], signature: &NodeSignature| {
            let key = self.keys.get(key);
            key.is_some_and(|key| key.verifies(message, signature))
        };
        let quorum = spec.consensus.engine.quorum(&self.set);
        let message = || commit_message(genesis, block.height(), round, block.hash());
        let verified = certificate.verify_with(&self.set, quorum, is_by, message);
        verified.is_ok()
    }

    /// A signature that is none is left to the import, which names it.
    fn recovered(&self, block: &SealedBlock) -> HashMap<B256, Address> {
        let transactions = block.transactions().par_iter();
        let recovered = transactions.filter_map(|transaction| {
            let hash = *transaction.tx_hash();
            let known = self.chain.pool.sender_of(&hash);
            let sender = known.or_else(|| transaction.recover_signer().ok())?;
            Some((hash, sender))
        });
        recovered.collect()
    }
}
