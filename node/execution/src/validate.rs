//! A validator's check: execute the block and compare every field of its header.

use crate::{
    BlockState, CallEnvironment, ExecutedBlock, Executor, InvalidBlock,
    block_execution::{BlockExecution, Executed, NotExecuted, ParentRoots},
    header_rules::{ParentOf, check_sealed_block},
};
use alloy_consensus::{Header, transaction::SignerRecoverable};
use alloy_primitives::{Address, B256};
use medina_storage::{Head, Store};
use medina_types::{RecoveredBlock, SealedBlock};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

impl Executor {
    /// Checks a block on top of `parent`, which must be the store's head, by
    /// executing it. Signatures are recovered in parallel, except those that
    /// `known_senders` answers for, by transaction hash.
    ///
    /// # Errors
    /// The first rule that is broken, with both values; see
    /// [`InvalidBlock::is_our_fault`] for what says nothing about the block.
    pub fn validate(
        &self,
        store: &Store,
        parent: &Head,
        block: &SealedBlock,
        known_senders: impl Fn(&B256) -> Option<Address>,
    ) -> Result<ExecutedBlock, InvalidBlock> {
        self.check_is_head(store, parent)?;
        let ours = ParentOf {
            hash: parent.hash,
            header: &parent.header,
            context: &parent.context,
        };
        let header = block.header();
        let rules = self.rules_of(header.number, header.timestamp);
        check_sealed_block(&self.spec, &rules, ours, block)?;
        let senders = recover_senders(block, known_senders)?;
        let latest = store.state();
        let environment = CallEnvironment::of_header(block.header());
        self.check_permissions(&latest, environment, block, &senders)?;
        let mut state = self.state_on(&latest);
        self.begin_edited(&block.header().extra_data, &mut state)?;
        let executed = self.execute_block(state, block, &senders)?;
        check_execution(block.header(), &executed)?;
        let next = self.next_validators(
            &latest,
            CallEnvironment::of_header(block.header()),
            &parent.context.validators,
            &executed.changes,
        )?;
        let root = store
            .state_root_after(&executed.changes)
            .map_err(crate::ExecutionError::from)?;
        let (expected, found) = (root.root, block.header().state_root);
        if found != expected {
            return Err(InvalidBlock::StateRoot { expected, found });
        }
        Ok(ExecutedBlock {
            block: RecoveredBlock::new_unchecked(block.clone(), senders),
            receipts: executed.receipts,
            changes: executed.changes,
            root,
            next_validators: next.set,
            validators_refused: next.refused,
            gas_used: executed.gas_used,
        })
    }

    /// Checks once more, on the state of its parent, that a block of the chain leads
    /// where its header says, with these senders.
    ///
    /// # Errors
    /// As [`Self::validate`]; a state that is pruned is our fault.
    pub fn check_again(
        &self,
        store: &Store,
        block: &SealedBlock,
        senders: &[Address],
    ) -> Result<(), InvalidBlock> {
        let header = block.header();
        let parent = block.height().previous().unwrap_or_default();
        let before = store
            .state_at(parent)
            .map_err(crate::ExecutionError::from)?;
        let environment = CallEnvironment::of_header(header);
        self.check_permissions(&before, environment, block, senders)?;
        let mut state = self.state_on(&before);
        self.begin_edited(&header.extra_data, &mut state)?;
        let executed = self.execute_block(state, block, senders)?;
        check_execution(header, &executed)?;
        let expected = store
            .state_root_on(parent, &executed.changes)
            .map_err(crate::ExecutionError::from)?;
        let found = header.state_root;
        if found == expected {
            Ok(())
        } else {
            Err(InvalidBlock::StateRoot { expected, found })
        }
    }

    fn execute_block(
        &self,
        state: BlockState<'_>,
        block: &SealedBlock,
        senders: &[Address],
    ) -> Result<Executed, InvalidBlock> {
        let header = block.header();
        let environment = CallEnvironment::of_header(header);
        let rules = self.rules_of(header.number, header.timestamp);
        let roots = ParentRoots {
            hash: header.parent_hash,
            beacon: header.parent_beacon_block_root.unwrap_or_default(),
        };
        let mut execution = BlockExecution::start(&self.spec, &rules, state, environment, roots)?;
        let transactions = block.transactions().iter().zip(senders);
        for (index, (transaction, sender)) in transactions.enumerate() {
            execution
                .execute(transaction, *sender)
                .map_err(|error| match error {
                    NotExecuted::Refused(reason) => InvalidBlock::Transaction {
                        index,
                        hash: *transaction.tx_hash(),
                        reason: Box::new(reason),
                    },
                    NotExecuted::Failed(error) => InvalidBlock::Execution(error),
                })?;
        }
        let withdrawals = block.block().body.withdrawals.as_ref();
        Ok(execution.finish(withdrawals.map(|list| list.as_slice()).unwrap_or_default())?)
    }
}

/// Sender of every transaction; the unknown ones are recovered in parallel.
fn recover_senders(
    block: &SealedBlock,
    known_senders: impl Fn(&B256) -> Option<Address>,
) -> Result<Vec<Address>, InvalidBlock> {
    let transactions = block.transactions();
    let known: Vec<_> = transactions
        .iter()
        .map(|transaction| known_senders(transaction.tx_hash()))
        .collect();
    let recovered: Vec<_> = transactions
        .par_iter()
        .zip(known)
        .enumerate()
        .map(|(index, (transaction, known))| match known {
            Some(sender) => Ok(sender),
            None => transaction
                .recover_signer()
                .map_err(|_| InvalidBlock::Signature {
                    index,
                    hash: *transaction.tx_hash(),
                }),
        })
        .collect();
    // Gathered in order, so that every node names the same transaction.
    recovered.into_iter().collect()
}

/// Compares what the header claims with what execution found.
fn check_execution(header: &Header, executed: &Executed) -> Result<(), InvalidBlock> {
    let (expected, found) = (executed.gas_used, header.gas_used);
    if found != expected {
        return Err(InvalidBlock::GasUsed { expected, found });
    }
    let (expected, found) = (executed.receipts_root, header.receipts_root);
    if found != expected {
        return Err(InvalidBlock::ReceiptsRoot { expected, found });
    }
    if header.logs_bloom != executed.logs_bloom {
        let (expected, found) = (Box::new(executed.logs_bloom), Box::new(header.logs_bloom));
        return Err(InvalidBlock::LogsBloom { expected, found });
    }
    let (expected, found) = (executed.requests_hash, header.requests_hash);
    if found != expected {
        return Err(InvalidBlock::RequestsHash { expected, found });
    }
    Ok(())
}
