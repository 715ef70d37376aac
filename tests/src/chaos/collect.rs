//! Reads the chain that a stopped node has on its disk, proofs checked again.

use super::history::{IncludedTransaction, StoredBlock, StoredChain};
use alloy_consensus::{Transaction as _, TxReceipt as _};
use alloy_primitives::{Address, B256, U256};
use medina_storage::{OpenOptions, StateReader as _, Store};
use medina_types::{ConsensusEngine, Height};
use std::path::Path;

/// Reads a node's database; nobody else may have it open.
///
/// # Errors
/// What could not be read.
pub fn stored_chain(
    data: &Path,
    engine: ConsensusEngine,
    receivers: &[Address],
) -> Result<StoredChain, String> {
    let text = |error: medina_storage::StorageError| error.to_string();
    let store = Store::open(data, OpenOptions::default()).map_err(text)?;
    let head = store.try_head().ok_or("there is no genesis")?.height.0;
    let genesis = store.genesis_hash().map_err(text)?.ok_or("no genesis")?;
    let blocks = (0..=head)
        .map(|height| stored_block(&store, Height(height), engine, genesis))
        .collect::<Result<_, _>>()?;
    let state = store.state();
    let balance = |account: &Address| -> Result<(Address, U256), String> {
        let found = state.account(*account).map_err(text)?;
        Ok((*account, found.map_or(U256::ZERO, |state| state.balance)))
    };
    Ok(StoredChain {
        blocks,
        received: receivers.iter().map(balance).collect::<Result<_, _>>()?,
    })
}

fn stored_block(
    store: &Store,
    height: Height,
    engine: ConsensusEngine,
    genesis: B256,
) -> Result<StoredBlock, String> {
    let missing = |what: &str| format!("block {height}: {what} is missing");
    let read = |error: medina_storage::StorageError| format!("block {height}: {error}");
    let block = store.block_by_number(height).map_err(read)?;
    let block = block.ok_or_else(|| missing("the block"))?;
    let receipts = store.receipts(height).map_err(read)?;
    let receipts = receipts.ok_or_else(|| missing("receipts"))?;
    let transactions = block
        .transactions()
        .zip(&receipts)
        .map(|((transaction, sender), receipt)| IncludedTransaction {
            hash: *transaction.tx_hash(),
            sender,
            nonce: transaction.nonce(),
            succeeded: receipt.status(),
        })
        .collect::<Vec<_>>();
    if transactions.len() != block.transactions().len() {
        return Err(missing("a receipt"));
    }
    Ok(StoredBlock {
        hash: block.header().hash_slow(),
        parent: block.header().parent_hash,
        state_root: block.header().state_root,
        transactions,
        certificate: proof(store, height, engine, genesis, block.header().hash_slow()),
    })
}

/// Signers of a block, every signature verified.
fn proof(
    store: &Store,
    height: Height,
    engine: ConsensusEngine,
    genesis: B256,
    block: B256,
) -> Result<usize, String> {
    if height == Height::GENESIS {
        return Ok(0);
    }
    let text = |error: medina_storage::StorageError| error.to_string();
    let certificate = store.certificate(height).map_err(text)?;
    let certificate = certificate.ok_or("no certificate")?;
    let context = store.context_at(height).map_err(text)?;
    let set = context.ok_or("no validator set")?.validators;
    certificate
        .verify(genesis, height, block, &set, engine)
        .map_err(|error| error.to_string())?;
    Ok(certificate.signatures().len())
}
