//! Blocks and transactions: Ethereum's own, with what we computed about them.

use crate::{Height, limits};
use alloy_consensus::{
    EthereumTxEnvelope, Header, TxEip4844, proofs, transaction::SignerRecoverable,
};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::{Decodable, Encodable};
use std::sync::{Arc, OnceLock};

/// A signed Ethereum transaction of any type, blobs without their sidecar.
pub type Transaction = EthereumTxEnvelope<TxEip4844>;

/// An Ethereum block: header and body.
pub type Block = alloy_consensus::Block<Transaction>;

/// An Ethereum receipt as consensus sees it (no derived fields).
pub type Receipt = alloy_consensus::EthereumReceipt;

/// Why bytes are no transaction that we take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionDecodeError {
    /// Larger than [`limits::TRANSACTION_BYTES_MAX`].
    #[error("oversized data: transaction size {got}, limit {max}")]
    TooLarge {
        /// Bytes given.
        got: usize,
        /// The bound.
        max: usize,
    },
    /// EIP-4844: Medina carries no blobs.
    #[error("transaction type not supported: blob transactions (type 3) are refused on this chain")]
    Blob,
    /// Not the encoding of EIP-2718, or bytes behind it.
    #[error("rlp: {0}")]
    Malformed(String),
    /// No account signed this.
    #[error("invalid sender: the signature recovers to no account")]
    BadSignature,
}

/// A transaction whose signature was checked; the sender travels with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredTransaction {
    transaction: Transaction,
    sender: Address,
    encoded_length: usize,
}

impl RecoveredTransaction {
    /// Decodes EIP-2718 bytes and recovers the signer, the one place where a
    /// waiting transaction's signature is checked.
    ///
    /// # Errors
    /// See [`TransactionDecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, TransactionDecodeError> {
        if bytes.len() > limits::TRANSACTION_BYTES_MAX {
            let (got, max) = (bytes.len(), limits::TRANSACTION_BYTES_MAX);
            return Err(TransactionDecodeError::TooLarge { got, max });
        }
        if bytes.first() == Some(&3) {
            return Err(TransactionDecodeError::Blob);
        }
        let transaction = Transaction::decode_2718_exact(bytes)
            .map_err(|error| TransactionDecodeError::Malformed(error.to_string()))?;
        Self::recover(transaction)
    }

    /// Recovers the signer of a decoded transaction (EIP-2: low s only).
    ///
    /// # Errors
    /// [`TransactionDecodeError::BadSignature`].
    pub fn recover(transaction: Transaction) -> Result<Self, TransactionDecodeError> {
        let sender = transaction
            .recover_signer()
            .map_err(|_| TransactionDecodeError::BadSignature)?;
        Ok(Self::new_unchecked(transaction, sender))
    }

    /// Joins a transaction with a sender that was recovered before, such as one
    /// read back from our own store.
    #[must_use]
    pub fn new_unchecked(transaction: Transaction, sender: Address) -> Self {
        let encoded_length = transaction.encode_2718_len();
        Self {
            transaction,
            sender,
            encoded_length,
        }
    }

    /// The signed transaction.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Who signed it.
    #[must_use]
    pub fn sender(&self) -> Address {
        self.sender
    }

    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> B256 {
        *self.transaction.tx_hash()
    }

    /// Bytes of its EIP-2718 encoding.
    #[must_use]
    pub fn encoded_length(&self) -> usize {
        self.encoded_length
    }
}

/// Why bytes are no block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockDecodeError {
    /// Larger than [`limits::BLOCK_BYTES_MAX`].
    #[error("block of {got} bytes, limit {max}")]
    TooLarge {
        /// Bytes given.
        got: usize,
        /// The bound.
        max: usize,
    },
    /// Not the RLP of a block, or bytes behind it.
    #[error("malformed block: {0}")]
    Malformed(String),
    /// Transaction at this index has no valid signature.
    #[error("transaction {0} of the block has no valid signature")]
    BadSignature(usize),
}

/// A block with its hash. Cheap to clone; what one clone computes, all know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedBlock(Arc<Sealed>);

#[derive(Debug)]
struct Sealed {
    block: Block,
    hash: B256,
    /// Asked by several steps of one block's way, and hashes every transaction.
    is_body_of_header: OnceLock<bool>,
}

impl PartialEq for Sealed {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.block == other.block
    }
}

impl Eq for Sealed {}

impl SealedBlock {
    /// Hashes the header of a block.
    #[must_use]
    pub fn new(block: Block) -> Self {
        let hash = block.header.hash_slow();
        Self(Arc::new(Sealed {
            block,
            hash,
            is_body_of_header: OnceLock::new(),
        }))
    }

    /// Decodes the RLP of a block and nothing behind it.
    ///
    /// # Errors
    /// See [`BlockDecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, BlockDecodeError> {
        if bytes.len() > limits::BLOCK_BYTES_MAX {
            let (got, max) = (bytes.len(), limits::BLOCK_BYTES_MAX);
            return Err(BlockDecodeError::TooLarge { got, max });
        }
        let mut rest = bytes;
        let block = Block::decode(&mut rest)
            .map_err(|error| BlockDecodeError::Malformed(error.to_string()))?;
        if !rest.is_empty() {
            let text = format!("{} bytes behind the block", rest.len());
            return Err(BlockDecodeError::Malformed(text));
        }
        Ok(Self::new(block))
    }

    /// RLP of the block.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(self.0.block.length());
        self.0.block.encode(&mut bytes);
        bytes.into()
    }

    /// Keccak of the RLP header.
    #[must_use]
    pub fn hash(&self) -> B256 {
        self.0.hash
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.0.block.header
    }

    /// Header and body.
    #[must_use]
    pub fn block(&self) -> &Block {
        &self.0.block
    }

    /// The signed transactions in order.
    #[must_use]
    pub fn transactions(&self) -> &[Transaction] {
        &self.0.block.body.transactions
    }

    /// Its number.
    #[must_use]
    pub fn height(&self) -> Height {
        Height(self.0.block.header.number)
    }

    /// Whether the body is the one that the header commits to. The hash is the
    /// header's alone, so votes and certificates say nothing about a body until
    /// this was asked.
    #[must_use]
    pub fn is_body_of_header(&self) -> bool {
        let is_known = &self.0.is_body_of_header;
        *is_known.get_or_init(|| is_body_of_header(self.block()))
    }
}

fn is_body_of_header(Block { header, body }: &Block) -> bool {
    let withdrawals = body.withdrawals.as_ref();
    proofs::calculate_transaction_root(&body.transactions) == header.transactions_root
        && proofs::calculate_ommers_root(&body.ommers) == header.ommers_hash
        && withdrawals.map(|list| proofs::calculate_withdrawals_root(list))
            == header.withdrawals_root
}

/// A block whose transactions' senders are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredBlock {
    /// The block.
    pub sealed: SealedBlock,
    /// Sender of each transaction, same order.
    pub senders: Arc<[Address]>,
}

impl RecoveredBlock {
    /// Joins a block and senders that were recovered before.
    #[must_use]
    pub fn new_unchecked(sealed: SealedBlock, senders: Vec<Address>) -> Self {
        debug_assert_eq!(sealed.transactions().len(), senders.len());
        Self {
            sealed,
            senders: senders.into(),
        }
    }

    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> B256 {
        self.sealed.hash()
    }

    /// Its number.
    #[must_use]
    pub fn height(&self) -> Height {
        self.sealed.height()
    }

    /// Its header.
    #[must_use]
    pub fn header(&self) -> &Header {
        self.sealed.header()
    }

    /// Transactions with their senders, in order.
    pub fn transactions(&self) -> impl ExactSizeIterator<Item = (&Transaction, Address)> {
        self.sealed
            .transactions()
            .iter()
            .zip(self.senders.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn empty_block() -> Block {
        let header = Header {
            number: 3,
            base_fee_per_gas: Some(0),
            ..Header::default()
        };
        Block::new(header, alloy_consensus::BlockBody::default())
    }

    #[test]
    fn block_encoding_reads_back_and_tolerates_nothing_behind() {
        let sealed = SealedBlock::new(empty_block());
        let mut bytes = sealed.encode().to_vec();
        assert_eq!(SealedBlock::decode(&bytes), Ok(sealed));
        bytes.push(0);
        assert!(matches!(
            SealedBlock::decode(&bytes),
            Err(BlockDecodeError::Malformed(_))
        ));
    }

    #[test]
    fn body_that_the_header_does_not_commit_to_is_told_apart() {
        let block = empty_block();
        assert!(SealedBlock::new(block.clone()).is_body_of_header());
        let mut with_ommer = block.clone();
        with_ommer.body.ommers.push(Header::default());
        let mut with_withdrawals = block.clone();
        with_withdrawals.body.withdrawals = Some(Default::default());
        for other in [with_ommer, with_withdrawals].map(SealedBlock::new) {
            assert_eq!(other.hash(), block.header.hash_slow());
            assert!(!other.is_body_of_header());
        }
    }

    #[test]
    fn blob_and_oversized_transactions_are_named_as_such() {
        assert_eq!(
            RecoveredTransaction::decode(&[3, 0xc0]),
            Err(TransactionDecodeError::Blob)
        );
        let large = vec![2; limits::TRANSACTION_BYTES_MAX + 1];
        let error = RecoveredTransaction::decode(&large);
        assert!(matches!(
            error,
            Err(TransactionDecodeError::TooLarge { .. })
        ));
    }

    proptest! {
        #[test]
        fn decoders_survive_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = RecoveredTransaction::decode(&bytes);
            let _ = SealedBlock::decode(&bytes);
        }
    }
}
