//! Signs our roots and tells the members; asks them for theirs where they differ.

use crate::private::{
    attestation::KEPT_PER_MEMBER,
    exec::StepError,
    group::Group,
    judging::own_root,
    members::{ask, blocking},
    protocol::Question,
    rebuilding,
    registry::GroupRecord,
    serve,
    shared::{AskError, OwnParty, Shared},
};
use alloy_consensus::constants::EMPTY_ROOT_HASH;
use alloy_primitives::B256;
use medina_types::Height;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tracing::{debug, info};

/// How long a member that did not note our root is not told again.
const SILENCE_MS: u64 = 3_000;
/// How long members are not asked again about roots that differ.
const INQUIRY_MS: u64 = 2_000;
/// Roots of ours that a member has noted, as far as they are remembered.
const NOTED_MAX: usize = 64 * KEPT_PER_MEMBER;

/// Roots of ours by height and by who signed.
type Noted = BTreeMap<(u64, [u8; 32]), [u8; 32]>;

/// What is remembered of the talk about roots.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    /// Roots of ours that each member has noted.
    told: BTreeMap<B256, Noted>,
    /// Members that did not answer lately, and when they are told again.
    silent: BTreeMap<B256, u64>,
    /// When members may be asked about roots again.
    inquire_at_ms: u64,
}

/// Signs our root at the newest height that is due, and tells who does not know yet.
///
/// # Errors
/// When something of our own fails.
pub(crate) async fn attest(
    shared: &Arc<Shared>,
    group: &Arc<Group>,
    record: &GroupRecord,
    talk: &mut Talk,
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
        if talk.silent.get(&org).is_some_and(|until| *until > now_ms) {
            continue;
        }
        for attestation in &ours {
            let (name, root) = ((attestation.height, attestation.org), attestation.root);
            let noted = talk.told.entry(org).or_default();
            if noted.get(&name) == Some(&root) {
                continue;
            }
            let question = Question::Attest {
                group: record.id.0,
                attestation: attestation.clone(),
            };
            if let Err(error) = ask(shared, org, question).await {
                debug!(%org, %error, "a member did not note our root");
                talk.silent.insert(org, shared.now_ms() + SILENCE_MS);
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

/// Asks all members to sign the height at which roots differ, and the newest that we
/// signed; true if that brought something new. Who took its state anew knows no root of
/// the height in dispute any more, and one of the latter.
///
/// # Errors
/// When this node is stopping.
pub(crate) async fn inquire(
    shared: &Arc<Shared>,
    group: &Arc<Group>,
    record: &GroupRecord,
    height: u64,
    talk: &mut Talk,
) -> Result<bool, AskError> {
    let Some(from) = shared.parties_in(record).next().map(|party| party.org) else {
        return Ok(false);
    };
    if shared.now_ms() < talk.inquire_at_ms {
        return Ok(false);
    }
    let before = group.book.lock().clone();
    let own = shared.parties_in(record).map(|party| party.org).collect();
    let newest = before.newest_of(&own).map(|(newest, _)| newest);
    let heights: BTreeSet<_> = newest.into_iter().chain([height]).collect();
    for at in heights {
        rebuilding::collect(shared, group, record, from, Some(at)).await?;
    }
    talk.inquire_at_ms = shared.now_ms() + INQUIRY_MS;
    let is_news = *group.book.lock() != before;
    Ok(is_news)
}

/// Signs the newest root that is due, and anew what was signed before the state was
/// made anew and turns out to be another.
fn sign_due(shared: &Shared, group: &Group, record: &GroupRecord) -> Result<(), StepError> {
    for party in shared.parties_in(record) {
        let (signed, oldest) = {
            let book = group.book.lock();
            let ours = book.all().filter(|one| one.org == party.org.0);
            let signed: BTreeMap<_, _> = ours.map(|one| (one.height, one.root)).collect();
            (signed, book.oldest_of(party.org))
        };
        let mut due: Vec<_> = signed.keys().copied().collect();
        due.extend(newest_due(shared, group, record, &signed)?);
        due.extend(
            imported_at(shared, group)?
                .filter(|height| oldest.is_none_or(|oldest| *height > oldest)),
        );
        for height in due {
            sign(shared, group, party, height, signed.get(&height))?;
        }
    }
    Ok(())
}

/// The newest height of the group's interval, if the root is another since the last
/// one that we signed.
fn newest_due(
    shared: &Shared,
    group: &Group,
    record: &GroupRecord,
    signed: &BTreeMap<u64, [u8; 32]>,
) -> Result<Option<u64>, StepError> {
    let followed = group.height();
    let newest = followed - followed % record.attest_every;
    if newest == 0 || signed.contains_key(&newest) {
        return Ok(None);
    }
    // Nobody has said anything yet in a group that has no state.
    let root = own_root(shared, group, newest)?.filter(|root| *root != EMPTY_ROOT_HASH);
    let last = signed.range(..newest).next_back();
    let is_due = root.is_some_and(|root| last.is_none_or(|(_, last)| *last != root.0));
    Ok(is_due.then_some(newest))
}

/// Where the state was taken from others: signed at once, so that who disputed what we
/// had before knows that we stand with them now.
fn imported_at(shared: &Shared, group: &Group) -> Result<Option<u64>, StepError> {
    let known = group.sight.lock().imported;
    let height = match known {
        Some(height) => height,
        None => {
            let Some(store) = crate::private::exec::store(shared, group.id)? else {
                return Ok(None);
            };
            let height = store.public_of(Height::GENESIS)?.0;
            group.sight.lock().imported = Some(height);
            height
        }
    };
    Ok((height > 0).then_some(height))
}

fn sign(
    shared: &Shared,
    group: &Group,
    party: &OwnParty,
    height: u64,
    signed: Option<&[u8; 32]>,
) -> Result<(), StepError> {
    let Some(root) = own_root(shared, group, height)? else {
        return Ok(());
    };
    if signed == Some(&root.0) {
        return Ok(());
    }
    let number = group.state_number();
    let attestation = serve::sign_root(shared, group.id, party, (height, root))?;
    if number.is_some() && number == group.state_number() {
        info!(group = %group.id, height, %root, "signed the private root");
        serve::note(shared, group, attestation)?;
    }
    Ok(())
}
