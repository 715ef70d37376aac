//! From consensus types to the shapes of JSON-RPC.

use alloy_consensus::{
    Header, ReceiptEnvelope, Sealed, Transaction as _, TxReceipt as _,
    transaction::{Recovered, TransactionInfo, TransactionMeta},
};
use alloy_primitives::{Address, U256};
use alloy_rlp::Encodable as _;
use alloy_rpc_types_eth as rpc;
use alloy_rpc_types_eth::BlockTransactions;
use alloy_serde::JsonStorageKey;
use medina_storage::AccountProof;
use medina_types::{Receipt, RecoveredBlock, RecoveredTransaction, SealedBlock, Transaction};

/// A transaction as JSON-RPC shows it.
pub(crate) type RpcTransaction = rpc::Transaction<Transaction>;
/// A block as JSON-RPC shows it.
pub(crate) type RpcBlock = rpc::Block<RpcTransaction>;
/// A receipt as JSON-RPC shows it.
pub(crate) type RpcReceipt = rpc::TransactionReceipt<ReceiptEnvelope<rpc::Log>>;

/// A block with hashes, or with whole transactions.
pub(crate) fn block(block: &RecoveredBlock, full: bool) -> RpcBlock {
    let transactions = if full {
        let all = 0..block.sealed.transactions().len();
        BlockTransactions::Full(
            all.filter_map(|index| transaction_of(block, index))
                .collect(),
        )
    } else {
        let hashes = block
            .sealed
            .transactions()
            .iter()
            .map(|one| *one.tx_hash())
            .collect();
        BlockTransactions::Hashes(hashes)
    };
    let ommers = &block.sealed.block().body.ommers;
    RpcBlock {
        header: header(&block.sealed),
        // None of our blocks has any.
        uncles: ommers.iter().map(Header::hash_slow).collect(),
        transactions,
        withdrawals: block.sealed.block().body.withdrawals.clone(),
    }
}

/// A header with hash and size of its block.
pub(crate) fn header(block: &SealedBlock) -> rpc::Header {
    let sealed = Sealed::new_unchecked(block.header().clone(), block.hash());
    rpc::Header::from_consensus(sealed, None, Some(U256::from(block.block().length())))
}

/// The transaction at an index of a block.
pub(crate) fn transaction_of(block: &RecoveredBlock, index: usize) -> Option<RpcTransaction> {
    let transaction = block.sealed.transactions().get(index)?;
    let sender = *block.senders.get(index)?;
    let info = TransactionInfo {
        hash: Some(*transaction.tx_hash()),
        index: Some(index as u64),
        block_hash: Some(block.hash()),
        block_number: Some(block.header().number),
        base_fee: block.header().base_fee_per_gas,
        block_timestamp: Some(block.header().timestamp),
    };
    let recovered = Recovered::new_unchecked(transaction.clone(), sender);
    Some(RpcTransaction::from_transaction(recovered, info))
}

/// A transaction that waits in the pool.
pub(crate) fn pending_transaction(waiting: &RecoveredTransaction) -> RpcTransaction {
    let recovered = Recovered::new_unchecked(waiting.transaction().clone(), waiting.sender());
    RpcTransaction::from_transaction(recovered, TransactionInfo::default())
}

/// Receipts of a whole block, in order.
pub(crate) fn receipts(block: &RecoveredBlock, receipts: &[Receipt]) -> Vec<RpcReceipt> {
    let mut logs_before = 0;
    let mut gas_before = 0;
    let mut answers = Vec::with_capacity(receipts.len());
    for (index, ((transaction, sender), receipt)) in block.transactions().zip(receipts).enumerate()
    {
        let place = Place {
            block,
            index,
            sender,
            logs_before,
            gas_before,
        };
        answers.push(receipt_at(&place, transaction, receipt));
        logs_before += receipt.logs.len();
        gas_before = receipt.cumulative_gas_used;
    }
    answers
}

/// The receipt at an index of a block.
pub(crate) fn receipt(
    block: &RecoveredBlock,
    receipts: &[Receipt],
    index: usize,
) -> Option<RpcReceipt> {
    let transaction = block.sealed.transactions().get(index)?;
    let before = receipts.get(..index)?;
    let place = Place {
        block,
        index,
        sender: *block.senders.get(index)?,
        logs_before: before.iter().map(|receipt| receipt.logs.len()).sum(),
        gas_before: before
            .last()
            .map_or(0, |receipt| receipt.cumulative_gas_used),
    };
    Some(receipt_at(&place, transaction, receipts.get(index)?))
}

/// Where a receipt stands in its block.
struct Place<'a> {
    block: &'a RecoveredBlock,
    index: usize,
    sender: Address,
    logs_before: usize,
    gas_before: u64,
}

fn receipt_at(place: &Place<'_>, transaction: &Transaction, receipt: &Receipt) -> RpcReceipt {
    let header = place.block.header();
    let meta = meta(place.block, transaction, place.index);
    let logs = rpc::Log::collect_for_receipt(place.logs_before, meta, receipt.logs.clone());
    let with_bloom = alloy_consensus::Receipt {
        status: receipt.success.into(),
        cumulative_gas_used: receipt.cumulative_gas_used,
        logs,
    };
    let bloom = receipt.bloom();
    let inner = ReceiptEnvelope::from_typed(
        receipt.tx_type,
        alloy_consensus::ReceiptWithBloom {
            receipt: with_bloom,
            logs_bloom: bloom,
        },
    );
    let created = || place.sender.create(transaction.nonce());
    RpcReceipt {
        inner,
        transaction_hash: meta.tx_hash,
        transaction_index: Some(meta.index),
        block_hash: Some(meta.block_hash),
        block_number: Some(meta.block_number),
        gas_used: receipt.cumulative_gas_used.saturating_sub(place.gas_before),
        effective_gas_price: transaction.effective_gas_price(header.base_fee_per_gas),
        blob_gas_used: transaction.blob_gas_used(),
        blob_gas_price: None,
        from: place.sender,
        to: transaction.to(),
        contract_address: transaction.to().is_none().then(created),
    }
}

fn meta(block: &RecoveredBlock, transaction: &Transaction, index: usize) -> TransactionMeta {
    let header = block.header();
    TransactionMeta {
        tx_hash: *transaction.tx_hash(),
        index: index as u64,
        block_hash: block.hash(),
        block_number: header.number,
        base_fee: header.base_fee_per_gas,
        excess_blob_gas: header.excess_blob_gas,
        timestamp: header.timestamp,
    }
}

/// All logs of a block in order, without those of which `keep` says no.
pub(crate) fn logs(
    block: &RecoveredBlock,
    receipts: &[Receipt],
    keep: impl Fn(&alloy_primitives::Log) -> bool,
) -> Vec<rpc::Log> {
    let mut log_index = 0;
    let mut answers = Vec::new();
    for (index, (transaction, receipt)) in
        block.sealed.transactions().iter().zip(receipts).enumerate()
    {
        for log in &receipt.logs {
            if keep(log) {
                answers.push(rpc::Log {
                    inner: log.clone(),
                    block_hash: Some(block.hash()),
                    block_number: Some(block.header().number),
                    block_timestamp: Some(block.header().timestamp),
                    transaction_hash: Some(*transaction.tx_hash()),
                    transaction_index: Some(index as u64),
                    log_index: Some(log_index),
                    removed: false,
                });
            }
            log_index += 1;
        }
    }
    answers
}

/// A proof, with its slots named as the caller named them.
pub(crate) fn proof(
    keys: &[JsonStorageKey],
    proof: AccountProof,
) -> rpc::EIP1186AccountProofResponse {
    let account = proof.account.unwrap_or_default();
    let slots = keys.iter().zip(proof.storage_proofs);
    rpc::EIP1186AccountProofResponse {
        address: proof.address,
        balance: account.balance,
        code_hash: account.code_hash,
        nonce: account.nonce,
        storage_hash: proof.storage_hash,
        account_proof: proof.account_proof,
        storage_proof: slots
            .map(|(key, slot)| rpc::EIP1186StorageProof::new(*key, slot.value, slot.proof))
            .collect(),
    }
}
