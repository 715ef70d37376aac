//! Certified blocks from other nodes: checked, executed, stored, told to the engine.

use super::{Driver, Unsynced};
use crate::{chain::Written, fatal::Fatal};
use alloy_consensus::transaction::SignerRecoverable;
use alloy_primitives::{Address, B256};
use medina_execution::InvalidBlock;
use medina_storage::SyncMode;
use medina_types::{Certificate, CertificateError, Height, SealedBlock, ValidatorSet};
use rayon::prelude::*;
use std::{collections::HashMap, sync::Arc};

/// Time between syncs of the disk while blocks are imported in bulk.
const IMPORT_SYNC_PERIOD_MS: u64 = 100;

/// A block from a peer on its way to the chain.
#[derive(Clone, Debug)]
pub(crate) struct ImportBlock {
    pub(crate) block: SealedBlock,
    pub(crate) certificate: Certificate,
    /// Set whose quorum the certificate was found to hold; checked again if the
    /// block's height turns out to have another one.
    pub(crate) verified_with: Option<Arc<ValidatorSet>>,
    /// Whether the body was found to be the header's.
    pub(crate) is_body_checked: bool,
    /// What is known of its senders.
    pub(crate) senders: KnownSenders,
}

/// Senders that came with a block, by transaction.
#[derive(Clone, Debug)]
pub(crate) enum KnownSenders {
    /// From the signatures; the import recovers those that are missing.
    Recovered(HashMap<B256, Address>),
    /// All of them, from the peer that sent the block.
    Claimed(HashMap<B256, Address>),
}

impl Default for KnownSenders {
    fn default() -> Self {
        Self::Recovered(HashMap::new())
    }
}

impl KnownSenders {
    const fn by_transaction(&self) -> &HashMap<B256, Address> {
        match self {
            Self::Recovered(senders) | Self::Claimed(senders) => senders,
        }
    }

    const fn how_written(&self) -> Written {
        match self {
            Self::Recovered(_) => Written::IMPORTED,
            Self::Claimed(_) => Written::IMPORTED_WITH_CLAIMED_SENDERS,
        }
    }

    /// Who signed, if these are claims and one of them is false. What nobody signed
    /// is no false claim: the block is wrong then.
    fn corrected(&self, block: &SealedBlock) -> Option<HashMap<B256, Address>> {
        let Self::Claimed(claimed) = self else {
            return None;
        };
        let signers = block.transactions().par_iter().map(|transaction| {
            let sender = transaction.recover_signer().ok()?;
            Some((*transaction.tx_hash(), sender))
        });
        let signers: Option<HashMap<_, _>> = signers.collect();
        signers.filter(|signers| signers != claimed)
    }
}

impl From<(SealedBlock, Certificate)> for ImportBlock {
    fn from((block, certificate): (SealedBlock, Certificate)) -> Self {
        Self {
            block,
            certificate,
            verified_with: None,
            is_body_checked: false,
            senders: KnownSenders::default(),
        }
    }
}

/// Height reached, or why the blocks were refused.
pub(crate) type ImportResult = Result<Height, ImportError>;

/// Why imported blocks were refused. The peer that sent them was wrong, except
/// for [`ImportError::Stopped`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    #[error("block {got} does not follow the head {head}")]
    NotNext { got: Height, head: Height },
    #[error("block {height}: {source}")]
    BadCertificate {
        height: Height,
        source: CertificateError,
    },
    #[error("block {0} came with a body that its header does not name")]
    OtherBody(Height),
    #[error("block {0} came with senders that did not sign its transactions")]
    FalseSenders(Height),
    #[error("the node is stopping")]
    Stopped,
}

impl Driver {
    /// Imports certified blocks; an error says what is wrong with them.
    pub(super) fn import(&mut self, blocks: Vec<ImportBlock>) -> Result<ImportResult, Fatal> {
        let mut result = Ok(());
        for block in blocks {
            if *self.stop.borrow() {
                result = Err(ImportError::Stopped);
                break;
            }
            result = tokio::task::block_in_place(|| self.import_one(&block))?;
            if result.is_err() {
                break;
            }
        }
        self.announce();
        while let Some(order) = self.orders.pop_front() {
            self.carry_out(order)?;
        }
        self.status.send_replace(self.engine.status());
        Ok(result.map(|()| self.chain.head().height))
    }

    fn import_one(&mut self, import: &ImportBlock) -> Result<Result<(), ImportError>, Fatal> {
        let ImportBlock {
            block,
            certificate,
            verified_with,
            is_body_checked,
            senders,
        } = import;
        let head = self.chain.head();
        let height = block.height();
        if height <= head.height {
            return Ok(Ok(()));
        }
        if height != head.height.next() {
            return Ok(Err(ImportError::NotNext {
                got: height,
                head: head.height,
            }));
        }
        let genesis = self.chain.spec.genesis_hash;
        let validators = &head.context.validators;
        let engine = self.chain.spec.consensus.engine;
        let is_verified = verified_with.as_deref() == Some(validators);
        let verify = || certificate.verify(genesis, height, block.hash(), validators, engine);
        if !is_verified && let Err(source) = verify() {
            return Ok(Err(ImportError::BadCertificate { height, source }));
        }
        // The certificate names the header; whoever sent the block chose the body.
        if !is_body_checked && !block.is_body_of_header() {
            return Ok(Err(ImportError::OtherBody(height)));
        }
        // From here on it is a quorum's block, and not the sender's fault unless it
        // claimed false senders; then it is imported all the same.
        let invalid = |error: InvalidBlock| Fatal::CertifiedBlockInvalid {
            height,
            reason: error.to_string(),
        };
        let validate = |senders: &KnownSenders| {
            let senders = senders.by_transaction();
            self.chain.validate_with(block, senders)
        };
        let (executed, how, result) = match validate(senders) {
            Ok(executed) => (executed, senders.how_written(), Ok(())),
            Err(error) if error.is_our_fault() => return Err(invalid(error)),
            Err(error) => {
                let Some(signers) = senders.corrected(block) else {
                    return Err(invalid(error));
                };
                let signers = KnownSenders::Recovered(signers);
                let executed = validate(&signers).map_err(invalid)?;
                let lie = Err(ImportError::FalseSenders(height));
                (executed, signers.how_written(), lie)
            }
        };
        self.finish(executed, certificate, None, how)?;
        self.sync_disk_now_and_then()?;
        self.decided()?;
        Ok(result)
    }

    fn sync_disk_now_and_then(&mut self) -> Result<(), Fatal> {
        let now_ms = self.chain.clock.now_ms();
        match self.disk_sync_at_ms() {
            Some(at_ms) if at_ms <= now_ms => self.sync_disk(),
            _ => Ok(()),
        }
    }

    /// When what was written must be on the disk at the latest.
    pub(super) fn disk_sync_at_ms(&self) -> Option<u64> {
        let at_ms = self.last_disk_sync_ms.saturating_add(IMPORT_SYNC_PERIOD_MS);
        (self.unsynced != Unsynced::Nothing).then_some(at_ms)
    }

    /// Puts on the disk what was written.
    pub(super) fn sync_disk(&mut self) -> Result<(), Fatal> {
        self.chain.store.flush()?;
        self.unsynced = Unsynced::Nothing;
        self.last_disk_sync_ms = self.chain.clock.now_ms();
        Ok(())
    }

    /// Writes the engine's record: at once to the disk, or, while blocks are
    /// imported in bulk, with them or before the first message that follows.
    pub(super) fn persist(&mut self, record: &[u8]) -> Result<(), Fatal> {
        let sync = match self.unsynced {
            Unsynced::Nothing => SyncMode::Synced,
            Unsynced::Blocks | Unsynced::Record => SyncMode::Deferred,
        };
        let store = &self.chain.store;
        tokio::task::block_in_place(|| store.put_consensus_record_with(record, sync))?;
        if sync == SyncMode::Deferred {
            self.unsynced = Unsynced::Record;
        }
        Ok(())
    }

    /// To be called before anything leaves that a signature is on.
    pub(super) fn sync_record(&mut self) -> Result<(), Fatal> {
        match self.unsynced {
            Unsynced::Record => tokio::task::block_in_place(|| self.sync_disk()),
            Unsynced::Nothing | Unsynced::Blocks => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::support::*;
    use medina_consensus::Output;
    use tokio::sync::watch;

    fn driver(on_decided: Vec<Output>) -> (tempfile::TempDir, watch::Sender<bool>, Driver) {
        let (folder, chain) = chain();
        let (stop, stopping) = watch::channel(false);
        let engine = ScriptedEngine {
            on_decided,
            ..idle_engine(&chain)
        };
        let links = Arc::new(FakeLinks::default());
        let (driver, _, _) = Driver::new(
            chain,
            Box::new(engine),
            links,
            key(3),
            Arc::default(),
            stopping,
        );
        (folder, stop, driver)
    }

    fn one_block() -> Vec<ImportBlock> {
        let (_folder, source) = chain();
        let (executed, certificate) = next_block(&source);
        vec![(executed.block.sealed, certificate).into()]
    }

    fn persist() -> Output {
        let record = b"a promise".to_vec();
        Output::Persist { record }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn record_of_imported_blocks_is_on_disk_once_anything_leaves() {
        let sends = [
            Output::Broadcast { bytes: vec![1] },
            Output::Send {
                to: key(1),
                bytes: vec![1],
            },
        ];
        for send in sends {
            let (_folder, _stop, mut driver) = driver(vec![persist(), send]);
            driver.last_disk_sync_ms = u64::MAX;
            driver.import(one_block()).unwrap().unwrap();
            assert_eq!(driver.unsynced, Unsynced::Nothing);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_nothing_has_left_after_is_on_disk_a_moment_later() {
        let (_folder, _stop, mut driver) = driver(vec![persist()]);
        driver.last_disk_sync_ms = driver.chain.clock.now_ms();
        let since_ms = driver.last_disk_sync_ms;
        driver.last_disk_sync_ms += 3_600_000;
        driver.import(one_block()).unwrap().unwrap();
        assert_eq!(driver.unsynced, Unsynced::Record);
        driver.last_disk_sync_ms = since_ms;
        let due_ms = since_ms + IMPORT_SYNC_PERIOD_MS;
        assert_eq!(driver.disk_sync_at_ms(), Some(due_ms));
        while driver.chain.clock.now_ms() < due_ms {
            driver.sleep_until_timer().await;
        }
        driver.on_timers().unwrap();
        assert_eq!(driver.unsynced, Unsynced::Nothing);
        assert_eq!(driver.disk_sync_at_ms(), None);
    }
}
