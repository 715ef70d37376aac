//! Follows one group over the final blocks: what is missing is gathered, what can be
//! settled is, roots are signed and compared, and where the members part the group stops
//! or takes the state of the others.
//!
//! One task per group; one that waits holds up no other. How far a group has come is
//! in its own store, committed with its state, so that a crash repeats nothing.

pub(crate) use crate::private::secrets::ensure_secret;
use crate::private::{
    attestation::Standing,
    attesting::{self, Talk},
    beginning,
    exec::StepError,
    gathering::{self, ErasedBy},
    going_back::{self, Ground},
    group::{Group, Halt, Phase},
    members::blocking,
    rebuilding::{self, Rebuilt},
    registry::GroupRecord,
    secrets::{self, Patience, Secret},
    settling::{self, Step},
    shared::{AskError, Shared},
    validated,
};
use alloy_primitives::B256;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tracing::info;

/// How often a group is looked at without being told to: what it waits for is asked
/// for again.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// What a group's task keeps in memory.
#[derive(Debug, Default)]
struct Memory {
    /// The talk about roots.
    talk: Talk,
    /// The search for a secret.
    patience: Patience,
    /// The group's state is here.
    has_begun: bool,
    /// It was looked since the start whether markers were passed by.
    has_looked: bool,
    /// Members that said that a payload was erased.
    erased_by: ErasedBy,
}

/// Follows a group until told to stop, or until this node follows it no more.
pub(crate) async fn run(shared: Arc<Shared>, group: Arc<Group>, mut stop: watch::Receiver<bool>) {
    info!(group = %group.id, "following a private group");
    let mut memory = Memory::default();
    let mut scanned = shared.scanned.subscribe();
    loop {
        let record = shared.known().groups.get(&group.id).cloned();
        let Some(record) = record.filter(|_| shared.is_chosen(group.id)) else {
            info!(group = %group.id, "this private group is followed no more");
            shared.unfollow(group.id);
            return;
        };
        let is_more = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            is_more = turn(&shared, &group, &record, &mut memory) => is_more,
        };
        if is_more {
            continue;
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = group.wake.notified() => {}
            changed = scanned.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = tokio::time::sleep(LOOK_PERIOD) => {}
        }
    }
}

/// One look at everything; whether there is more to do at once.
async fn turn(
    shared: &Arc<Shared>,
    group: &Arc<Group>,
    record: &GroupRecord,
    memory: &mut Memory,
) -> bool {
    match try_turn(shared, group, record, memory).await {
        Ok(is_more) => is_more,
        Err(error) => {
            group.enter(Phase::Failing(error.to_string()));
            false
        }
    }
}

async fn try_turn(
    shared: &Arc<Shared>,
    group: &Arc<Group>,
    record: &GroupRecord,
    memory: &mut Memory,
) -> Result<bool, AskError> {
    let scanned = *shared.scanned.borrow();
    match secrets::look_for_secret(shared, record, &mut memory.patience).await? {
        Some(Secret::Here) => {}
        Some(Secret::Nowhere) => {
            beginning::idle(shared, group, record, scanned).await?;
            return Ok(false);
        }
        Some(Secret::Unknown) => {
            group.enter(Phase::WaitingForSecret);
            return Ok(false);
        }
        None => return Ok(false),
    }
    if let Ground::Rebuild(from) = look_again(shared, group, record, memory).await? {
        return rebuild(shared, group, record, (from, &[]), memory).await;
    }
    if !memory.has_begun {
        memory.has_begun = beginning::begin(shared, group, record).await?;
        if !memory.has_begun {
            return Ok(false);
        }
    }
    let step = {
        let _turn = shared.executions.acquire().await;
        let erased_by = memory.erased_by.clone();
        locked(shared, group, record, move |shared, group, record| {
            settling::step(shared, group, record, &erased_by)
        })
        .await?
    };
    attesting::attest(shared, group, record, &mut memory.talk).await?;
    match step {
        Step::More => Ok(true),
        Step::UpToDate => {
            group.enter(Phase::Following);
            validated::continue_lane(shared, record).await;
            Ok(false)
        }
        Step::Halt(halt) => dispute(shared, group, record, halt, memory).await,
        Step::Missing(missing) => {
            group.enter(Phase::Waiting(missing.clone()));
            gathering::gather(shared, record, &missing, &mut memory.erased_by).await
        }
        Step::Rebuild(from, wanted) => {
            rebuild(shared, group, record, (from, &wanted), memory).await
        }
    }
}

/// Runs something that may change the group's state, alone.
async fn locked<T: Send + 'static>(
    shared: &Arc<Shared>,
    group: &Arc<Group>,
    record: &GroupRecord,
    work: impl FnOnce(&Shared, &Group, &GroupRecord) -> Result<T, StepError> + Send + 'static,
) -> Result<T, AskError> {
    let _writer = group.writer.lock().await;
    let (group, record) = (group.clone(), record.clone());
    let done = blocking(shared, move |shared| work(shared, &group, &record));
    done.await?
        .map_err(|error| AskError::Ours(error.to_string()))
}

/// Looks at markers that were passed by, where a secret or an envelope came since.
async fn look_again(
    shared: &Arc<Shared>,
    group: &Arc<Group>,
    record: &GroupRecord,
    memory: &mut Memory,
) -> Result<Ground, AskError> {
    let is_told = group.take_look_again();
    if !is_told && memory.has_looked {
        return Ok(Ground::Firm);
    }
    let looked = locked(shared, group, record, |shared, group, record| {
        if shared.rows.wants_look(record.id)? {
            going_back::look_again(shared, group, record)
        } else {
            Ok(Ground::Firm)
        }
    })
    .await;
    memory.has_looked = matches!(looked, Ok(Ground::Firm));
    looked
}

/// Takes the state from others; meanwhile payloads are asked for that would do instead.
async fn rebuild(
    shared: &Arc<Shared>,
    group: &Arc<Group>,
    record: &GroupRecord,
    (from, wanted): (u64, &[B256]),
    memory: &mut Memory,
) -> Result<bool, AskError> {
    group.enter(Phase::Rebuilding);
    let rebuilt = rebuilding::rebuild(shared, group, record, from, Standing::Here);
    if rebuilt.await? == Rebuilt::Done {
        return Ok(true);
    }
    gathering::gather(shared, record, wanted, &mut memory.erased_by).await
}

/// Roots differ and nobody has more than half: the members are asked before the group
/// stops, and while it is stopped.
async fn dispute(
    shared: &Arc<Shared>,
    group: &Arc<Group>,
    record: &GroupRecord,
    halt: Halt,
    memory: &mut Memory,
) -> Result<bool, AskError> {
    let height = halt.height;
    if attesting::inquire(shared, group, record, height, &mut memory.talk).await? {
        return Ok(true);
    }
    group.enter(Phase::Halted(halt));
    Ok(false)
}
