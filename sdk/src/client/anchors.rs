//! Batches on chain: anchoring, roots, tombstones.

use alloy_primitives::{Address, B256, Bytes};
use medina_contracts::data_anchor::{DataAnchor, IDataAnchor};

use super::logs::Indexed;
use super::{ClientError, MarketClient, Receipt};
use crate::device::{Batch, DeviceKey, domain, time48};
use crate::limits::CONTRACT_BATCH_MAX;

/// What the chain says of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The proof does not lead to the batch's root.
    Unproven,
    /// The record was anchored.
    Valid,
    /// The record was anchored and has been erased.
    Erased,
}

/// The root of a batch as it was anchored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnchoredRoot {
    /// The root.
    pub root: B256,
    /// How many records it covers.
    pub count: u32,
}

/// What the chain knows of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct AnchorStats {
    /// Number of its last batch, 0 if none.
    pub seq: u64,
    /// Time of its first reading, Unix seconds.
    pub first: u64,
    /// Time of its last reading, Unix seconds.
    pub last: u64,
    /// Seconds covered by readings as promised.
    pub covered: u64,
    /// Hash over all batches in order.
    pub head: B256,
}

impl MarketClient {
    /// A device's signature over a batch, for this chain's contract.
    pub fn sign_batch(&self, batch: &Batch, device: &DeviceKey) -> Result<Bytes, ClientError> {
        let domain = domain("DataAnchor", self.chain_id, self.anchor_address());
        Ok(device.sign_batch(batch, &domain)?)
    }

    /// Anchors one batch with its device's signature.
    pub async fn anchor(&self, batch: &Batch, signature: Bytes) -> Result<Receipt, ClientError> {
        let call = DataAnchor::anchorCall {
            source: batch.source,
            b: on_chain(batch)?,
            sig: signature,
        };
        self.send(self.anchor_address(), call).await
    }

    /// Anchors many batches, up to 64 in one transaction. Each comes with its device's signature.
    /// Gives one receipt per transaction; batch `i` is in receipt `i / 64`.
    pub async fn anchor_many(
        &self,
        batches: &[(Batch, Bytes)],
    ) -> Result<Vec<Receipt>, ClientError> {
        let mut receipts = Vec::new();
        for chunk in batches.chunks(CONTRACT_BATCH_MAX) {
            let call = DataAnchor::anchorManyCall {
                sources: chunk.iter().map(|(batch, _)| batch.source).collect(),
                b: chunk
                    .iter()
                    .map(|(batch, _)| on_chain(batch))
                    .collect::<Result<_, _>>()?,
                sigs: chunk
                    .iter()
                    .map(|(_, signature)| signature.clone())
                    .collect(),
            };
            receipts.push(self.send(self.anchor_address(), call).await?);
        }
        Ok(receipts)
    }

    /// Says on chain that records were erased.
    pub async fn tombstone(
        &self,
        source: B256,
        seq: u64,
        leaves: Vec<B256>,
        reason: B256,
    ) -> Result<Receipt, ClientError> {
        let call = DataAnchor::tombstoneCall {
            source,
            seq,
            leaves,
            reason,
        };
        self.send(self.anchor_address(), call).await
    }

    /// The chain's own judgement of a leaf and its proof.
    pub async fn verify_leaf(
        &self,
        source: B256,
        seq: u64,
        leaf: B256,
        proof: Vec<B256>,
    ) -> Result<Verdict, ClientError> {
        let call = DataAnchor::verifyCall {
            source,
            seq,
            leaf,
            proof,
        };
        match self.call(self.anchor_address(), call).await? {
            0 => Ok(Verdict::Unproven),
            1 => Ok(Verdict::Valid),
            2 => Ok(Verdict::Erased),
            _ => Err(ClientError::BadAnswer("verify")),
        }
    }

    /// The root and size of a batch, from its event.
    pub async fn anchored_root(&self, source: B256, seq: u64) -> Result<AnchoredRoot, ClientError> {
        let indexed = Indexed {
            first: Some(source),
            second: Some(word(seq)),
            ..Indexed::default()
        };
        let events: Vec<DataAnchor::Anchored> = self.events(self.anchor_address(), indexed).await?;
        let unknown = || ClientError::Unknown {
            what: "anchored batch",
            id: format!("{source}/{seq}"),
        };
        let event = events.into_iter().next().ok_or_else(unknown)?;
        Ok(AnchoredRoot {
            root: event.root,
            count: event.count,
        })
    }

    /// What the chain knows of a source.
    pub async fn anchor_stats(&self, source: B256) -> Result<AnchorStats, ClientError> {
        let stats = self
            .call(self.anchor_address(), DataAnchor::statsCall { source })
            .await?;
        Ok(AnchorStats {
            seq: stats.seq,
            first: stats.first.to(),
            last: stats.last.to(),
            covered: stats.covered,
            head: stats.head,
        })
    }

    fn anchor_address(&self) -> Address {
        self.contracts.data_anchor
    }
}

/// A number as an indexed topic.
pub(super) fn word(number: u64) -> B256 {
    alloy_primitives::U256::from(number).into()
}

fn on_chain(batch: &Batch) -> Result<IDataAnchor::Batch, ClientError> {
    Ok(IDataAnchor::Batch {
        root: batch.root,
        from: time48(batch.from)?,
        to: time48(batch.to)?,
        count: batch.count,
    })
}
