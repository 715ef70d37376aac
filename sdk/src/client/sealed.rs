//! Sealed delivery: the judge that refunds a dataset with a wrong chunk without anybody's opinion.
//!
//! Trees, keys and faults are computed by [`crate::sealed`]; here they are brought on chain.

use alloy_primitives::{Address, B256, U256};

use super::abi::Seals;
use super::logs::Indexed;
use super::{ClientError, MarketClient, Receipt};
use crate::sealed::Fault;

impl MarketClient {
    /// The judge's address, as a listing names it.
    pub fn sealed_judge(&self) -> Result<Address, ClientError> {
        self.contract("SealedDelivery")
    }

    /// The seller binds the encrypted dataset: the root of its chunks and the hash of the key.
    pub async fn offer_sealed(
        &self,
        order: U256,
        cipher_root: B256,
        key_hash: B256,
    ) -> Result<Receipt, ClientError> {
        let call = Seals::offerCall {
            order,
            cipherRoot: cipher_root,
            keyHash: key_hash,
        };
        self.send(self.sealed_judge()?, call).await
    }

    /// The buyer has the whole ciphertext and both trees fit.
    pub async fn accept_sealed(&self, order: U256) -> Result<Receipt, ClientError> {
        self.send(self.sealed_judge()?, Seals::acceptCall { order })
            .await
    }

    /// The seller shows the key, which delivers the order.
    pub async fn reveal_key(&self, order: U256, key: B256) -> Result<Receipt, ClientError> {
        self.send(self.sealed_judge()?, Seals::revealCall { order, key })
            .await
    }

    /// The buyer shows a chunk that does not decrypt to what was promised.
    pub async fn complain_sealed(
        &self,
        order: U256,
        fault: &Fault,
    ) -> Result<Receipt, ClientError> {
        self.send(self.sealed_judge()?, fault.complaint(order))
            .await
    }

    /// Refunds what was not revealed in time, pays what nobody complained of.
    pub async fn settle_sealed(&self, order: U256) -> Result<Receipt, ClientError> {
        self.send(self.sealed_judge()?, Seals::settleCall { order })
            .await
    }

    /// Root of the ciphertext and hash of the key, as the seller has bound them.
    pub async fn sealed_offer(&self, order: U256) -> Result<(B256, B256), ClientError> {
        let indexed = Indexed {
            first: Some(order.into()),
            ..Indexed::default()
        };
        let events: Vec<Seals::Offered> = self.events(self.sealed_judge()?, indexed).await?;
        let unknown = || ClientError::Unknown {
            what: "sealed offer of order",
            id: order.to_string(),
        };
        let offered = events.last().ok_or_else(unknown)?;
        Ok((offered.cipherRoot, offered.keyHash))
    }

    /// The key, once the seller has shown it.
    pub async fn sealed_key(&self, order: U256) -> Result<Option<B256>, ClientError> {
        let indexed = Indexed {
            first: Some(order.into()),
            ..Indexed::default()
        };
        let events: Vec<Seals::Revealed> = self.events(self.sealed_judge()?, indexed).await?;
        Ok(events.last().map(|revealed| revealed.key))
    }
}
