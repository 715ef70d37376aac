//! Follows one group over the final blocks: finds its markers, gathers what is
//! missing, executes, attests, and stops where the members part.
//!
//! One task per group; one that waits holds up no other. How far a group has come is
//! in its own store, committed with its state, so that a crash repeats nothing.

use crate::private::{
    attestation::KEPT_PER_MEMBER,
    delivery, erasing,
    exec::{self, StepError},
    members::{ask, blocking},
    protocol::{Answer, Question},
    queue::{
        BlockTreatment, Holding, MARKERS_READ_AHEAD_MAX, OnChain, Placed, Treatment,
        block_treatment, first_block, repeats, treatment,
    },
    rebuilding,
    registry::GroupRecord,
    serve,
    shared::{AskError, Group, Halt, Phase, Shared},
    validated,
};
use alloy_primitives::B256;
use medina_enclave::{Digest, Envelope, GroupId, PayloadStatus};
use medina_execution::private::{GroupStore, Position, PrivateReceipt};
use medina_storage::SyncMode;
use medina_types::{Height, PrivacyMode};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;
use tracing::{debug, info, warn};

/// How often a group is looked at without being told to: what it waits for is asked
/// for again.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// Public blocks that one step settles before the group's other affairs are seen to.
const BLOCKS_PER_STEP: usize = 32;
/// How long a member that did not note our root is not told again.
const SILENCE_MS: u64 = 3_000;
/// Roots of ours that a member has noted, as far as they are remembered.
const NOTED_MAX: usize = 64 * KEPT_PER_MEMBER;
/// Payloads that are asked for at once.
const ASKED_AT_ONCE: usize = 16;

/// What a step came to.
enum Step {
    /// All that is known is done.
    UpToDate,
    /// There is more to do at once.
    More,
    /// These payloads are not here.
    Missing(Vec<B256>),
    /// The state comes from others, after this height or a later one.
    Rebuild(u64),
    /// The group stops.
    Halt(Halt),
}

/// Roots of ours by height and by who signed.
type Noted = BTreeMap<(u64, [u8; 32]), [u8; 32]>;

/// What a group's task keeps in memory.
#[derive(Debug, Default)]
struct Memory {
    /// Roots of ours that each member has noted, by height and who signed.
    attested_to: BTreeMap<B256, Noted>,
    /// Members that did not answer lately, and when they are asked again.
    silent: BTreeMap<B256, u64>,
    /// The group's state is here.
    has_begun: bool,
    /// Members that said that a payload was erased.
    erased_at: BTreeMap<B256, BTreeSet<B256>>,
}

/// Follows a group until told to stop, or until this node is no member of it.
pub(crate) async fn run(shared: Arc<Shared>, group: Arc<Group>, mut stop: watch::Receiver<bool>) {
    info!(group = %group.id, "following a private group");
    let mut memory = Memory::default();
    let mut scanned = shared.scanned.subscribe();
    loop {
        let Some(record) = shared.known().groups.get(&group.id).cloned() else {
            info!(group = %group.id, "no member of this private group any more");
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
    match find_secret(shared, record).await? {
        Secret::Here => {}
        Secret::Nowhere => return idle(shared, group, record, scanned).await,
        Secret::Unknown => {
            group.enter(Phase::WaitingForSecret);
            return Ok(false);
        }
    }
    if group.take_look_again() {
        memory.has_begun = false;
        let (live, of) = (group.clone(), record.clone());
        let looked = blocking(shared, move |shared| look_again(shared, &live, &of)).await?;
        if let Err(error) = looked {
            group.look_again();
            return Err(AskError::Ours(error.to_string()));
        }
    }
    if !memory.has_begun {
        memory.has_begun = begin(shared, group, record).await?;
        if !memory.has_begun {
            return Ok(false);
        }
    }
    let step = {
        let _turn = shared.executions.acquire().await;
        let _writer = group.writer.lock().await;
        let (group, record) = (group.clone(), record.clone());
        let lost = memory.erased_at.clone();
        let step = blocking(shared, move |shared| step(shared, &group, &record, &lost));
        step.await?
            .map_err(|error| AskError::Ours(error.to_string()))?
    };
    attest(shared, group, record, memory).await?;
    match step {
        Step::More => Ok(true),
        Step::UpToDate => {
            group.enter(Phase::Following);
            validated::continue_lane(shared, record).await;
            Ok(false)
        }
        Step::Halt(halt) => {
            group.enter(Phase::Halted(halt));
            Ok(false)
        }
        Step::Missing(missing) => {
            group.enter(Phase::Waiting(missing.clone()));
            gather(shared, record, &missing, memory).await
        }
        Step::Rebuild(from) => {
            group.enter(Phase::Rebuilding);
            rebuilding::rebuild(shared, group, record, from).await
        }
    }
}

/// Where a secret of the group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Secret {
    Here,
    /// Every other member says that it has none: nothing was ever sent.
    Nowhere,
    /// Somebody may have one who does not answer.
    Unknown,
}

/// Looks for a secret of the group, and asks the members for one.
async fn find_secret(shared: &Arc<Shared>, record: &GroupRecord) -> Result<Secret, AskError> {
    if has_secret(shared, record.id).await? {
        return Ok(Secret::Here);
    }
    let Some(from) = shared.parties_in(record).next().map(|party| party.org) else {
        return Ok(Secret::Unknown);
    };
    let others = shared.others_in(record);
    let own = shared.parties_in(record).count();
    let mut without = 0;
    for (org, _) in &others {
        let question = Question::Secrets {
            from: from.0,
            group: record.id.0,
        };
        match ask(shared, *org, question).await {
            Ok(Answer::Secrets(sealed)) => {
                let of = record.clone();
                let taken = blocking(shared, move |shared| {
                    let mut sealed = sealed.iter();
                    sealed.try_for_each(|sealed| serve::take_secret(shared, &of, sealed))
                });
                match taken.await? {
                    Ok(()) => return Ok(Secret::Here),
                    Err(error) => debug!(%org, %error, "a member's secret is no use"),
                }
            }
            Ok(Answer::Missing) => without += 1,
            Ok(_) => {}
            Err(error) => debug!(%org, %error, "a member gave no secret"),
        }
    }
    // All members are counted, those of this node too.
    let is_everybody = without + own == record.members.len();
    Ok(if is_everybody {
        Secret::Nowhere
    } else {
        Secret::Unknown
    })
}

/// Nothing was ever sent in the group: it is followed as far as the chain was looked
/// through when the members were asked.
async fn idle(
    shared: &Arc<Shared>,
    group: &Arc<Group>,
    record: &GroupRecord,
    scanned: u64,
) -> Result<bool, AskError> {
    let (live, of) = (group.clone(), record.clone());
    let moved = blocking(shared, move |shared| {
        let Some(party) = shared.parties_in(&of).next() else {
            return Ok(());
        };
        let since = shared
            .registry
            .now(|view| view.member_since(of.id, party.org))?;
        let Some(since) = since.filter(|since| *since <= scanned) else {
            return Ok(());
        };
        let base = Position::start_of(Height(since));
        let store = shared.stores.get_or_create(of.id, base)?;
        store.advance(Position::after(Height(scanned)), SyncMode::Deferred)?;
        note_progress(&live, &store)
    });
    moved
        .await?
        .map_err(|error: StepError| AskError::Ours(error.to_string()))?;
    group.enter(Phase::Following);
    Ok(false)
}

async fn has_secret(shared: &Arc<Shared>, group: B256) -> Result<bool, AskError> {
    let secrets = blocking(shared, |shared| shared.enclave.group_secrets()).await?;
    let secrets = secrets.map_err(|error| AskError::Ours(error.to_string()))?;
    Ok(secrets.iter().any(|secret| secret.group.0 == group.0))
}

/// A secret to send with: another member's, or a new one.
///
/// # Errors
/// When the enclave does not answer.
pub(crate) async fn ensure_secret(
    shared: &Arc<Shared>,
    record: &GroupRecord,
) -> Result<(), AskError> {
    if find_secret(shared, record).await? == Secret::Here {
        return Ok(());
    }
    let group = GroupId(record.id.0);
    let made = blocking(shared, move |shared| {
        let caller = shared.caller("send");
        shared.enclave.ensure_group_secret(&caller, &group, 0)
    });
    made.await?
        .map_err(|error| AskError::Ours(error.to_string()))?;
    shared.forget_recognised();
    if let Some(live) = shared.group(record.id) {
        live.wake.notify_one();
    }
    Ok(())
}

/// Makes the group's state where there is none: empty for a founder, else from the
/// members. False until that is done.
async fn begin(
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
            rebuilding::rebuild(shared, group, record, from).await
        }
        Beginning::FromOthersOrNothing { from, base } => {
            group.enter(Phase::Rebuilding);
            if rebuilding::rebuild(shared, group, record, from)
                .await
                .unwrap_or(false)
            {
                return Ok(true);
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

enum Beginning {
    /// The state is here.
    Begun,
    /// The public chain is not looked through yet.
    NotYet,
    /// From a snapshot after this height or a later one, and from nothing else.
    FromOthers(u64),
    /// From a snapshot if somebody has one, else from an empty state here.
    FromOthersOrNothing { from: u64, base: Position },
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
    if first_marker(shared, record.id, since, scanned)?.is_some() {
        return Ok(Beginning::FromOthersOrNothing { from: since, base });
    }
    shared.stores.get_or_create(record.id, base)?;
    Ok(Beginning::Begun)
}

/// A secret is new: a marker behind us may be ours after all. Then the state is
/// wrong, and is made anew.
fn look_again(shared: &Shared, group: &Group, record: &GroupRecord) -> Result<(), StepError> {
    let Some(store) = exec::store(shared, record.id)? else {
        return Ok(());
    };
    let position = store.position()?;
    let first = store.public_of(Height::GENESIS)?.0;
    let mut from = first;
    while from < position.block.0 {
        let to = position.block.0 - 1;
        let markers = shared.rows.markers(from, to, MARKERS_READ_AHEAD_MAX)?;
        let Some((last, _)) = markers.last() else {
            return Ok(());
        };
        let next = last.height + 1;
        for (placed, row) in &markers {
            let found = shared.recognise(placed.digest, row.tag.into())?;
            let is_ours = found == Some(record.id);
            if is_ours && store.receipt_of_marker(placed.transaction)?.is_none() {
                warn!(group = %group.id, height = placed.height,
                    "a marker was passed by, because its secret came late: the private state is made anew");
                drop(store);
                shared.stores.remove(record.id)?;
                group.followed.send_replace(0);
                return Ok(());
            }
        }
        from = next;
    }
    Ok(())
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
        let markers = shared.rows.markers(from, to, MARKERS_READ_AHEAD_MAX)?;
        let Some((last, _)) = markers.last() else {
            return Ok(None);
        };
        let next = last.height + 1;
        for (placed, row) in &markers {
            if shared.recognise(placed.digest, row.tag.into())? == Some(group) {
                return Ok(Some(*placed));
            }
        }
        from = next;
    }
    Ok(None)
}

/// Settles what can be settled. Under the group's lock.
fn step(
    shared: &Shared,
    group: &Group,
    record: &GroupRecord,
    erased_at: &BTreeMap<B256, BTreeSet<B256>>,
) -> Result<Step, StepError> {
    let Some(store) = exec::store(shared, record.id)? else {
        return Ok(Step::UpToDate);
    };
    note_progress(group, &store)?;
    delivery::forget_absent(shared, record);
    if let Some(halt) = parted(shared, group, record)? {
        return Ok(Step::Halt(halt));
    }
    if let Some(from) = *group.rebuild_from.lock() {
        return Ok(Step::Rebuild(from));
    }
    for _ in 0..BLOCKS_PER_STEP {
        let position = store.position()?;
        let scanned = *shared.scanned.borrow();
        if position.block.0 > scanned {
            return Ok(Step::UpToDate);
        }
        let Ahead { markers, known_to } = ahead(shared, record.id, position.block.0, scanned)?;
        let block = first_block(&markers);
        let Some(first) = block.first() else {
            store.advance(Position::after(Height(known_to)), SyncMode::Deferred)?;
            note_progress(group, &store)?;
            continue;
        };
        let treated = match treat(shared, record, block, erased_at) {
            Err(StepError::Pruned(height)) => return Ok(Step::Rebuild(height)),
            treated => treated?,
        };
        let markers = match block_treatment(treated) {
            BlockTreatment::Settle(markers) => markers,
            BlockTreatment::Wait(missing) => return Ok(Step::Missing(missing)),
            BlockTreatment::Rebuild(digest) => {
                warn!(group = %group.id, %digest, height = first.height,
                    "an erased payload cannot be replayed");
                return Ok(Step::Rebuild(first.height));
            }
        };
        match exec::settle(shared, record, &store, &markers) {
            Ok(receipts) => on_settled(shared, record, &receipts)?,
            Err(StepError::Pruned(height)) => {
                warn!(group = %group.id, height, "the public history is pruned further than this private group has come");
                return Ok(Step::Rebuild(height));
            }
            Err(error) => return Err(error),
        }
        metrics::counter!("medina_private_executed_total").increment(markers.len() as u64);
        note_progress(group, &store)?;
    }
    Ok(Step::More)
}

fn note_progress(group: &Group, store: &GroupStore) -> Result<(), StepError> {
    let height = store.followed()?.map_or(0, |height| height.0);
    if group.height() != height {
        group.followed.send_replace(height);
        metrics::gauge!("medina_private_followed", "group" => group.id.to_string())
            .set(height as f64);
    }
    Ok(())
}

/// Whether a member signed another root than ours.
fn parted(shared: &Shared, group: &Group, record: &GroupRecord) -> Result<Option<Halt>, StepError> {
    let Some(party) = shared.parties_in(record).next() else {
        return Ok(None);
    };
    let members: BTreeSet<_> = record.members.iter().copied().collect();
    let book = {
        let mut book = group.book.lock();
        book.retain(&members);
        book.clone()
    };
    let mismatch = book.mismatch(party.org, |height| exec::root_at(shared, group.id, height))?;
    Ok(mismatch.map(|found| Halt {
        member: found.org,
        height: found.height,
        reason: format!(
            "member {} signed the private root {} after public block {}, this node came to {}",
            found.org, found.theirs, found.height, found.ours
        ),
    }))
}

/// Markers of the group from a block on.
struct Ahead {
    markers: Vec<Placed>,
    /// All markers up to this height are among them.
    known_to: u64,
}

fn ahead(shared: &Shared, group: B256, from: u64, scanned: u64) -> Result<Ahead, StepError> {
    let mut found = shared.rows.markers(from, scanned, MARKERS_READ_AHEAD_MAX)?;
    let is_all = found.len() < MARKERS_READ_AHEAD_MAX;
    // The last block may go on behind the bound; the first is read whole.
    let ends = found.first().zip(found.last());
    let ends = ends.map(|((first, _), (last, _))| (first.height, last.height));
    let known_to = match ends.filter(|_| !is_all) {
        Some((first, last)) if first == last => {
            found = shared.rows.markers(first, first, usize::MAX)?;
            first
        }
        Some((_, last)) => last - 1,
        None => scanned,
    };
    let mut markers = Vec::new();
    for (placed, row) in found {
        let is_known = placed.height <= known_to;
        if is_known && shared.recognise(placed.digest, row.tag.into())? == Some(group) {
            markers.push(placed);
        }
    }
    Ok(Ahead { markers, known_to })
}

fn treat(
    shared: &Shared,
    record: &GroupRecord,
    block: &[Placed],
    erased_at: &BTreeMap<B256, BTreeSet<B256>>,
) -> Result<Vec<(Placed, Treatment)>, StepError> {
    let mut treated = Vec::with_capacity(block.len());
    for placed in block {
        let first = shared.first_place::<StepError>(record.id, placed.digest)?;
        if repeats(placed, first.as_ref()) && exec::is_tagged(shared, placed)? {
            treated.push((*placed, Treatment::Repeated));
            continue;
        }
        let digest = Digest(placed.digest.0);
        let holding = match shared.enclave.status(&digest)? {
            PayloadStatus::Held(_) => Holding::Here,
            PayloadStatus::Erased(_) => Holding::Erased,
            PayloadStatus::Missing if erased_at.contains_key(&placed.digest) => Holding::Erased,
            PayloadStatus::Missing => Holding::Missing,
        };
        let chain = shared.registry.now(|view| {
            Ok(OnChain {
                skipped_at: view.skipped_at(record.id, placed.digest)?,
                erased_at: view.erased_at(record.id, placed.digest)?,
            })
        })?;
        treated.push((*placed, treatment(placed.height, holding, chain)));
    }
    Ok(treated)
}

fn on_settled(
    shared: &Shared,
    record: &GroupRecord,
    receipts: &[PrivateReceipt],
) -> Result<(), StepError> {
    for receipt in receipts {
        debug!(group = %record.id, digest = %receipt.digest, status = ?receipt.status.is_executed(),
            "a private transaction is settled");
    }
    if record.mode == PrivacyMode::Validated {
        for receipt in receipts {
            validated::on_receipt(shared, record, receipt);
        }
    }
    erasing::wake(shared);
    Ok(())
}

/// Asks the members for payloads; true if one came.
async fn gather(
    shared: &Arc<Shared>,
    record: &GroupRecord,
    missing: &[B256],
    memory: &mut Memory,
) -> Result<bool, AskError> {
    let Some(from) = shared.parties_in(record).next().map(|party| party.org) else {
        return Ok(false);
    };
    let mut has_come = false;
    for digest in missing.iter().take(ASKED_AT_ONCE).copied() {
        for (org, _) in shared.others_in(record) {
            let question = Question::Fetch {
                from: from.0,
                group: record.id.0,
                digest: digest.0,
            };
            match ask(shared, org, question).await {
                Ok(Answer::Envelope(bytes)) => match take_envelope(shared, digest, bytes).await {
                    Ok(()) => {
                        metrics::counter!("medina_private_fetched_total").increment(1);
                        has_come = true;
                        break;
                    }
                    Err(error) => debug!(%org, %digest, %error, "a member's envelope is no use"),
                },
                Ok(Answer::Erased(receipt)) => {
                    if is_receipt_of(shared, org, digest, &receipt) {
                        memory.erased_at.entry(digest).or_default().insert(org);
                        has_come = true;
                    }
                }
                Ok(_) => {}
                Err(error) => debug!(%org, %digest, %error, "a member gave no payload"),
            }
        }
    }
    Ok(has_come)
}

async fn take_envelope(shared: &Arc<Shared>, digest: B256, bytes: Vec<u8>) -> Result<(), AskError> {
    let taken = blocking(shared, move |shared| {
        let envelope = Envelope::from_bytes(&bytes)?;
        if envelope.digest().0 != digest.0 {
            return Err(medina_enclave::EnclaveError::BadEnvelope(
                "another one".to_owned(),
            ));
        }
        shared.enclave.accept(&shared.caller("fetch"), &envelope)
    });
    let taken = taken.await?;
    taken
        .map(drop)
        .map_err(|error| AskError::Ours(error.to_string()))
}

/// Whether an erasure receipt is a member's own, of this payload.
fn is_receipt_of(shared: &Shared, org: B256, digest: B256, bytes: &[u8]) -> bool {
    let receipt = medina_enclave::ErasureReceipt::from_bytes(bytes);
    let node = shared.known().parties.get(&org).map(|party| party.node);
    receipt.is_ok_and(|receipt| {
        let known = shared.known();
        let signer = known.org_of(&receipt.party);
        // One node may answer for several parties.
        let served = signer
            .and_then(|org| known.parties.get(&org))
            .map(|party| party.node);
        receipt.digest.0 == digest.0 && served.is_some() && served == node
    })
}

/// Signs our root at the newest height that is due, and tells who does not know yet.
async fn attest(
    shared: &Arc<Shared>,
    group: &Arc<Group>,
    record: &GroupRecord,
    memory: &mut Memory,
) -> Result<(), AskError> {
    let (live, of) = (group.clone(), record.clone());
    let signed = blocking(shared, move |shared| sign_due(shared, &live, &of)).await?;
    signed.map_err(|error| AskError::Ours(error.to_string()))?;
    let own: BTreeSet<_> = shared.parties_in(record).map(|party| party.org.0).collect();
    let ours: Vec<_> = {
        let book = group.book.lock();
        book.all()
            .filter(|one| own.contains(&one.org))
            .cloned()
            .collect()
    };
    let now_ms = shared.now_ms();
    for (org, _) in shared.others_in(record) {
        if memory.silent.get(&org).is_some_and(|until| *until > now_ms) {
            continue;
        }
        for attestation in &ours {
            let (name, root) = ((attestation.height, attestation.org), attestation.root);
            let noted = memory.attested_to.entry(org).or_default();
            if noted.get(&name) == Some(&root) {
                continue;
            }
            let question = Question::Attest {
                group: record.id.0,
                attestation: attestation.clone(),
            };
            if let Err(error) = ask(shared, org, question).await {
                debug!(%org, %error, "a member did not note our root");
                memory.silent.insert(org, shared.now_ms() + SILENCE_MS);
                break;
            }
            noted.insert(name, root);
            while noted.len() > NOTED_MAX {
                noted.pop_first();
            }
        }
    }
    Ok(())
}

/// Signs the newest root that is due, and anew what was signed before the state was
/// made anew and turns out to be another.
fn sign_due(shared: &Shared, group: &Group, record: &GroupRecord) -> Result<(), StepError> {
    let followed = group.height();
    let Some(store) = exec::store(shared, record.id)? else {
        return Ok(());
    };
    for party in shared.parties_in(record) {
        let signed: BTreeMap<u64, [u8; 32]> = {
            let book = group.book.lock();
            let ours = book.all().filter(|one| one.org == party.org.0);
            ours.map(|one| (one.height, one.root)).collect()
        };
        let mut due: Vec<_> = signed.keys().copied().collect();
        let newest = followed - followed % record.attest_every;
        let has_state = store.store().head().height > Height::GENESIS;
        if newest > 0 && has_state && !signed.contains_key(&newest) {
            let root = exec::root_at(shared, record.id, newest)?;
            let last = signed.range(..newest).next_back();
            if root.is_some_and(|root| last.is_none_or(|(_, last)| *last != root.0)) {
                due.push(newest);
            }
        }
        for height in due {
            let Some(root) = exec::root_at(shared, record.id, height)? else {
                continue;
            };
            if signed.get(&height) != Some(&root.0) {
                let attestation = serve::sign_root(shared, group.id, party, (height, root))?;
                info!(group = %group.id, height, %root, "signed the private root");
                serve::note(shared, group, attestation)?;
            }
        }
    }
    Ok(())
}
