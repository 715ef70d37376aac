//! Who may transact, asked at the pool's door and again when permissions change.
//!
//! Only where the genesis says that permissions are enforced. Block validity asks
//! the same question itself, on the parent's state; here it keeps out what no
//! block could hold, and tells the sender why.

use crate::{chain::Chain, clock::Clock};
use alloy_primitives::Address;
use medina_execution::{ExecutionError, Executor};
use medina_pool::Admission;
use medina_storage::Store;
use medina_types::{PermissionMode, RecoveredTransaction, Transaction};
use std::sync::Arc;
use tokio::sync::watch;
use tracing::{info, warn};

/// Waiting transactions that are looked at again after a change of permissions:
/// all of them, as the pool holds fewer.
const TRANSACTIONS_RECHECKED_MAX: usize = 1 << 20;

/// The pool's door.
pub(crate) struct TransactionPermissions {
    store: Store,
    executor: Arc<Executor>,
    clock: Clock,
}

impl TransactionPermissions {
    /// The door of this chain's pool; none where everybody may transact.
    pub(crate) fn for_pool(
        store: &Store,
        executor: &Arc<Executor>,
        clock: &Clock,
    ) -> Option<Arc<dyn Admission>> {
        let is_enforced = executor.spec().permissions == PermissionMode::Enforced;
        is_enforced.then(|| {
            Arc::new(Self {
                store: store.clone(),
                executor: executor.clone(),
                clock: clock.clone(),
            }) as Arc<dyn Admission>
        })
    }
}

impl Admission for TransactionPermissions {
    fn admit(&self, transaction: &RecoveredTransaction) -> Result<(), String> {
        let (sender, transaction) = (transaction.sender(), transaction.transaction());
        let verdict = judge(
            &self.executor,
            &self.store,
            &self.clock,
            sender,
            transaction,
        );
        match verdict {
            Ok(Verdict::Allowed) => Ok(()),
            Ok(refused) => Err(refused.reason(sender)),
            Err(error) => {
                warn!(%error, "cannot ask for permissions");
                Err(
                    "this node cannot ask for permissions now; try again or ask another node"
                        .to_owned(),
                )
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    /// The account may transact, and not create contracts.
    MayNotDeploy,
    MayNotTransact,
}

impl Verdict {
    fn reason(self, sender: Address) -> String {
        match self {
            Self::Allowed => format!("{sender} may transact"),
            Self::MayNotDeploy => format!(
                "the organisation of {sender} may transact and not create contracts; a ballot can give it access Deploy"
            ),
            Self::MayNotTransact => format!(
                "{sender} has no live id in an organisation that may transact, or is blocked; its administrator or a certifier can tell"
            ),
        }
    }
}

fn judge(
    executor: &Executor,
    store: &Store,
    clock: &Clock,
    sender: Address,
    transaction: &Transaction,
) -> Result<Verdict, ExecutionError> {
    let (head, state) = (store.head(), store.state());
    let environment = executor.pending_environment(&head, clock.unix_seconds());
    let Some(judge) = executor.transaction_judge(&state, environment) else {
        return Ok(Verdict::Allowed);
    };
    if judge.allows(sender, transaction)? {
        return Ok(Verdict::Allowed);
    }
    if alloy_consensus::Transaction::to(transaction).is_none() && judge.may_transact(sender)? {
        return Ok(Verdict::MayNotDeploy);
    }
    Ok(Verdict::MayNotTransact)
}

/// Drops waiting transactions whose senders have lost their permission, whenever a
/// block has changed who has one.
pub(crate) async fn recheck(chain: Chain, mut stop: watch::Receiver<bool>) {
    if chain.spec.permissions == PermissionMode::Open {
        return;
    }
    let mut height = chain.watch_height();
    let mut seen = chain.permissions.changes();
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            Ok(()) = height.changed() => {}
        }
        let now = chain.permissions.changes();
        if now == seen {
            continue;
        }
        seen = now;
        let chain = chain.clone();
        if tokio::task::spawn_blocking(move || drop_refused(&chain))
            .await
            .is_err()
        {
            warn!("waiting transactions could not be checked against the new permissions");
        }
    }
}

fn drop_refused(chain: &Chain) {
    let mut dropped = 0_usize;
    for hash in chain.pool.hashes(TRANSACTIONS_RECHECKED_MAX) {
        let Some(waiting) = chain.pool.get(&hash) else {
            continue;
        };
        let verdict = judge(
            &chain.executor,
            &chain.store,
            &chain.clock,
            waiting.sender(),
            waiting.transaction(),
        );
        if verdict.is_ok_and(|verdict| verdict != Verdict::Allowed) {
            dropped += usize::from(chain.pool.remove(&hash).is_some());
        }
    }
    if dropped > 0 {
        info!(
            dropped,
            "waiting transactions whose senders may not transact any more"
        );
    }
}
