//! Blocks built and executed on blocking threads, and what became of them.

use super::Driver;
use crate::{
    blocks::{self, Refusal},
    fatal::Fatal,
};
use alloy_primitives::B256;
use medina_consensus::Input;
use medina_execution::ExecutedBlock;
use medina_types::{Height, Round, SealedBlock};
use tracing::{debug, error, warn};

/// Executed blocks kept for their commit; beyond it a decided block is executed
/// again. One height knows a few, unless rounds change for hours.
const EXECUTED_BLOCKS_MAX: usize = 16;

/// A job that has ended.
pub(super) enum Completion {
    Built {
        height: Height,
        round: Round,
        executed: Option<Box<ExecutedBlock>>,
    },
    Checked {
        hash: B256,
        result: Result<Box<ExecutedBlock>, Refusal>,
    },
    /// `None`: it was executed here before.
    CheckedDecided {
        height: Height,
        hash: B256,
        result: Result<Option<Box<ExecutedBlock>>, Refusal>,
    },
}

impl Driver {
    pub(super) fn on_completion(&mut self, completion: Completion) -> Result<(), Fatal> {
        match completion {
            Completion::Built {
                height,
                round,
                executed,
            } => {
                let block = executed
                    .as_ref()
                    .map(|executed| executed.block.sealed.clone());
                let is_empty_handed = executed.is_none();
                if let Some(executed) = executed {
                    self.remember(executed);
                }
                self.feed(Input::BlockBuilt {
                    height,
                    round,
                    block,
                })?;
                if is_empty_handed {
                    // What waited may be gone: the builder drops what can never run.
                    self.look_for_work()?;
                }
                Ok(())
            }
            Completion::Checked { hash, result } => {
                let valid = result.is_ok();
                match result {
                    Ok(executed) => self.remember(executed),
                    // The head moved on, by sync or with a quorum's votes.
                    Err(_) if self.chain.head().hash == hash => {}
                    Err(Refusal::Invalid(error)) if error.is_our_fault() => {
                        error!(%hash, %error, "could not check a proposed block");
                    }
                    Err(error) => warn!(%hash, %error, "refused a proposed block"),
                }
                self.feed(Input::BlockChecked { hash, valid })
            }
            Completion::CheckedDecided {
                height,
                hash,
                result,
            } => {
                let valid = match result {
                    Ok(executed) => {
                        executed
                            .into_iter()
                            .for_each(|executed| self.remember(executed));
                        true
                    }
                    // Sync brought the height meanwhile: what is there was decided.
                    Err(_) if height <= self.chain.head().height => {
                        self.chain.store.hash_of_number(height)? == Some(hash)
                    }
                    Err(Refusal::Invalid(error)) if !error.is_our_fault() => {
                        warn!(%hash, %error, "a block of the log is invalid");
                        false
                    }
                    // To call it invalid would make this node differ from the others.
                    Err(refusal) => {
                        return Err(Fatal::LogEntryUnchecked {
                            hash,
                            reason: refusal.to_string(),
                        });
                    }
                };
                self.feed(Input::BlockChecked { hash, valid })
            }
        }
    }

    pub(super) fn remember(&mut self, executed: Box<ExecutedBlock>) {
        if self.executed.len() >= EXECUTED_BLOCKS_MAX {
            self.executed.pop_first();
        }
        self.executed.insert(executed.block.hash(), executed);
    }

    pub(super) fn build(&self, height: Height, round: Round, parent: B256) {
        let head = self.chain.head();
        let validators = &head.context.validators;
        let own = validators
            .index_of_key(&self.own_key)
            .and_then(|index| validators.get(index));
        let Some(operator) = own.map(|validator| validator.operator) else {
            return;
        };
        if head.hash != parent {
            debug!(%height, "the head moved before the block was built");
            return;
        }
        let next = self.chain.next_block(head.height);
        let may_be_empty = !round.is_zero() || self.is_heartbeat_due() || next.may_be_empty;
        let chain = self.chain.clone();
        let job = move || match blocks::build(&chain, &head, operator, next) {
            Ok(executed) if executed.block.senders.is_empty() && !may_be_empty => None,
            Ok(executed) => Some(Box::new(executed)),
            Err(error) => {
                warn!(%height, %round, %error, "could not build a block");
                None
            }
        };
        self.spawn_job(job, move |executed| Completion::Built {
            height,
            round,
            executed: executed.flatten(),
        });
    }

    /// Runs a job on a blocking thread; the engine hears of its end even when it
    /// panics, since it waits for an answer.
    pub(super) fn spawn_job<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
        completion: impl FnOnce(Option<T>) -> Completion + Send + 'static,
    ) {
        let completed = self.completed.clone();
        tokio::spawn(async move {
            let result = tokio::task::spawn_blocking(job).await;
            if let Err(error) = &result {
                error!(%error, "a build or check of a block ended badly; please report this");
            }
            // A closed channel means that the node is stopping.
            let _ = completed.send(completion(result.ok())).await;
        });
    }

    pub(super) fn is_heartbeat_due(&self) -> bool {
        let since_ms = self
            .chain
            .clock
            .now_ms()
            .saturating_sub(self.last_commit_ms);
        let period = self.chain.spec.consensus.empty_block_period;
        period.is_some_and(|period| u128::from(since_ms) >= period.as_millis())
    }

    pub(super) fn check(&self, block: SealedBlock, fresh: bool) {
        let (chain, hash) = (self.chain.clone(), block.hash());
        let job = move || blocks::check(&chain, &block, fresh).map(Box::new);
        self.spawn_job(job, move |result| Completion::Checked {
            hash,
            result: result.unwrap_or(Err(Refusal::Failed)),
        });
    }

    /// Executes a block of the replicated log. What was built or checked here
    /// before is not executed again.
    pub(super) fn check_decided(&self, block: SealedBlock) {
        let (chain, height, hash) = (self.chain.clone(), block.height(), block.hash());
        let is_known = self.executed.contains_key(&hash);
        let job = move || match is_known {
            true => Ok(None),
            false => blocks::check(&chain, &block, false).map(|executed| Some(Box::new(executed))),
        };
        self.spawn_job(job, move |result| Completion::CheckedDecided {
            height,
            hash,
            result: result.unwrap_or(Err(Refusal::Failed)),
        });
    }
}
