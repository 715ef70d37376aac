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
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::MissedTickBehavior};
use tracing::{info, warn};

/// Waiting transactions that are looked at again after a change of permissions:
/// all of them, as the pool holds fewer.
const TRANSACTIONS_RECHECKED_MAX: usize = 1 << 20;

/// Permissions end with time, too, since ids expire, and a transaction may come in
/// while the block that refuses it is committed: how often all are looked at again
/// although no block changed who may transact.
const RECHECK_PERIOD: Duration = Duration::from_secs(60);

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
/// block has changed who has one, and now and then: who never builds a block would
/// else keep them, and announce them, for good.
pub(crate) async fn recheck(chain: Chain, mut stop: watch::Receiver<bool>) {
    if chain.spec.permissions == PermissionMode::Open {
        return;
    }
    let mut height = chain.watch_height();
    let mut seen = chain.permissions.changes();
    let mut tick = tokio::time::interval(RECHECK_PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_time = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = tick.tick() => true,
            Ok(()) = height.changed() => false,
        };
        let now = chain.permissions.changes();
        if now == seen && !is_time {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chain::HeadAccounts, tests::support};
    use alloy_consensus::{SignableTransaction as _, TxLegacy};
    use alloy_primitives::{B256, TxKind};
    use alloy_signer::SignerSync as _;
    use alloy_signer_local::PrivateKeySigner;
    use medina_pool::Origin;
    use medina_types::ChainSpec;

    fn of_a_stranger(chain_id: u64) -> RecoveredTransaction {
        let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(9)).unwrap();
        let plain = TxLegacy {
            chain_id: Some(chain_id),
            gas_limit: 21_000,
            to: TxKind::Call(Address::repeat_byte(7)),
            ..TxLegacy::default()
        };
        let signature = signer.sign_hash_sync(&plain.signature_hash()).unwrap();
        let transaction: Transaction = plain.into_signed(signature).into();
        RecoveredTransaction::new_unchecked(transaction, signer.address())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_may_not_run_any_more_is_dropped_though_no_block_changed_permissions() {
        let (_folder, open) = support::chain();
        let spec = ChainSpec {
            permissions: PermissionMode::Enforced,
            ..ChainSpec::clone(&open.spec)
        };
        // Its pool has no door, as if the sender's id had expired since.
        let chain = support::chain_on(&spec, open.store.clone());
        let waiting = of_a_stranger(spec.chain_id);
        let accounts = HeadAccounts(&chain.store);
        let added = chain.pool.add(&accounts, waiting, 0, Origin::Local);
        added.unwrap();
        let (_stop, stopping) = watch::channel(false);
        let rechecking = tokio::spawn(recheck(chain.clone(), stopping));
        let dropped = async {
            while !chain.pool.hashes(1).is_empty() {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(60), dropped).await;
        in_time.expect("it is dropped");
        rechecking.abort();
    }
}
