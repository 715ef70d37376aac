//! Where a group's state comes from when this node has none: empty for a founder, else
//! from the members.

use crate::private::{
    attestation::Standing,
    exec::{self, StepError},
    group::{Group, Phase},
    members::blocking,
    queue::{MARKERS_READ_AHEAD_MAX, Placed},
    rebuilding::{self, Rebuilt},
    registry::GroupRecord,
    shared::{AskError, Shared},
};
use alloy_primitives::B256;
use medina_execution::private::Position;
use medina_types::Height;
use std::sync::Arc;
use tracing::info;

enum Beginning {
    /// The state is here.
    Begun,
    /// The public chain is not looked through yet.
    NotYet,
    /// From a snapshot after this height or a later one, and from nothing else.
    FromOthers(u64),
    /// From a snapshot if somebody has one, else from an empty state here.
    FromOthersOrNothing {
        from: u64,
        base: Position,
        standing: Standing,
        /// Only once all members have said that they have none: what is missing here
        /// could be passed by without being noticed.
        asks_all: bool,
    },
}

/// Makes the group's state where there is none; false until that is done.
///
/// # Errors
/// When something of our own fails.
pub(crate) async fn begin(
    shared: &Arc<Shared>,
    group: &Arc<Group>,
    record: &GroupRecord,
) -> Result<bool, AskError> {
    let of = record.clone();
    let beginning = blocking(shared, move |shared| beginning(shared, &of)).await?;
    match beginning.map_err(|error| AskError::Ours(error.to_string()))? {
        Beginning::Begun => Ok(true),
        Beginning::NotYet => Ok(false),
        Beginning::FromOthers(from) => {
            group.enter(Phase::Rebuilding);
            // Who came back is as new as who has just come.
            let rebuilt = rebuilding::rebuild(shared, group, record, from, Standing::Lost);
            Ok(rebuilt.await? == Rebuilt::Done)
        }
        Beginning::FromOthersOrNothing {
            from,
            base,
            standing,
            asks_all,
        } => {
            group.enter(Phase::Rebuilding);
            let rebuilt = rebuilding::rebuild(shared, group, record, from, standing).await;
            match rebuilt.unwrap_or(Rebuilt::Unknown) {
                Rebuilt::Done => return Ok(true),
                Rebuilt::Unknown if asks_all => return Ok(false),
                Rebuilt::Unknown | Rebuilt::NobodyHasOne => {}
            }
            let id = record.id;
            info!(group = %id, "no member has signed a state of this private group: replaying its inputs");
            let made = blocking(shared, move |shared| {
                shared.stores.get_or_create(id, base).map(drop)
            });
            made.await?
                .map_err(|error| AskError::Ours(error.to_string()))?;
            Ok(true)
        }
    }
}

fn beginning(shared: &Shared, record: &GroupRecord) -> Result<Beginning, StepError> {
    let Some(party) = shared.parties_in(record).next() else {
        return Ok(Beginning::NotYet);
    };
    let since = shared
        .registry
        .now(|view| view.member_since(record.id, party.org))?;
    let scanned = *shared.scanned.borrow();
    let head = shared.chain.head().height.0;
    let Some(since) = since.filter(|_| scanned + 1 >= head) else {
        return Ok(Beginning::NotYet);
    };
    if let Some(store) = exec::store(shared, record.id)? {
        // Who left and came back has missed what was said between.
        let at = store.position()?.block.0;
        let missed = at < since && first_marker(shared, record.id, at, since - 1)?.is_some();
        return Ok(match missed {
            true => Beginning::FromOthers(since),
            false => Beginning::Begun,
        });
    }
    if first_marker(shared, record.id, 0, since.saturating_sub(1))?.is_some() {
        return Ok(Beginning::FromOthers(since));
    }
    let base = Position::start_of(Height(since));
    // A handle of a lost payload cannot be told from anybody's transaction.
    let is_compat = shared.chain.quorum_compat && shared.rows.has_handles_from(since)?;
    // What led away from the others once would lead there again.
    let was_halted = shared.rows.is_halted(record.id)?;
    let asks_all = is_compat || was_halted;
    if asks_all || first_marker(shared, record.id, since, scanned)?.is_some() {
        let standing = match was_halted {
            true => Standing::Disowned,
            false => Standing::Lost,
        };
        return Ok(Beginning::FromOthersOrNothing {
            from: since,
            base,
            standing,
            asks_all,
        });
    }
    shared.stores.get_or_create(record.id, base)?;
    Ok(Beginning::Begun)
}

/// The first marker of a group in these blocks.
fn first_marker(
    shared: &Shared,
    group: B256,
    from: u64,
    to: u64,
) -> Result<Option<Placed>, StepError> {
    let mut from = from;
    while from <= to {
        let rows = &shared.rows;
        let (markers, known_to) = rows.markers_of_blocks(from, to, MARKERS_READ_AHEAD_MAX)?;
        for (placed, row) in &markers {
            if shared.digest_in::<StepError>(group, row)?.is_some() {
                return Ok(Some(*placed));
            }
        }
        from = known_to + 1;
    }
    Ok(None)
}

/// Nothing was ever sent in the group: it is followed as far as the chain was looked
/// through when the members were asked. One that others made costs no file until
/// something happens in it.
///
/// # Errors
/// When something of our own fails.
pub(crate) async fn idle(
    shared: &Arc<Shared>,
    group: &Arc<Group>,
    record: &GroupRecord,
    scanned: u64,
) -> Result<(), AskError> {
    let of = record.clone();
    let made = blocking(shared, move |shared| {
        make_own(shared, &of)?;
        is_empty(shared, &of)
    });
    let is_empty = made
        .await?
        .map_err(|error: StepError| AskError::Ours(error.to_string()))?;
    if !is_empty {
        // This node has lost its secrets, and there are markers that it cannot tell.
        group.enter(Phase::WaitingForSecret);
        return Ok(());
    }
    group.followed.send_replace(scanned);
    group.enter(Phase::Following);
    Ok(())
}

/// Whether nothing is known of a group's state.
fn is_empty(shared: &Shared, record: &GroupRecord) -> Result<bool, StepError> {
    let Some(store) = exec::store(shared, record.id)? else {
        return Ok(true);
    };
    let is_imported = store.public_of(Height::GENESIS)? > Height::GENESIS;
    Ok(!is_imported && store.store().head().height == Height::GENESIS)
}

/// The empty state of a group that an organisation of this node made.
fn make_own(shared: &Shared, record: &GroupRecord) -> Result<(), StepError> {
    if shared.stores.has(record.id) {
        return Ok(());
    }
    let creator = shared.rows.creator(record.id)?;
    let Some(party) = creator.and_then(|org| shared.party(org)) else {
        return Ok(());
    };
    let since = shared
        .registry
        .now(|view| view.member_since(record.id, party.org))?;
    if let Some(since) = since.filter(|since| *since <= *shared.scanned.borrow()) {
        let base = Position::start_of(Height(since));
        shared.stores.get_or_create(record.id, base)?;
    }
    Ok(())
}
