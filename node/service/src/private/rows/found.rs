//! What the scanner found on the chain: markers and where they stand, handles of
//! `GoQuorum`'s clients, votes to pass a payload over, who made a group.

use super::{MarkerRow, RowResult, Rows, SCANNED, encode, key, malformed};
use crate::private::queue::Placed;
use alloy_primitives::B256;
use medina_storage::{Note, StorageError, SyncMode};

const MARKER: u8 = b'm';
const PLACE: u8 = b'd';
const HANDLE: u8 = b'h';
const HANDLE_PLACE: u8 = b'H';
const DIGEST_OF_HANDLE: u8 = b'g';
const HANDLE_OF_DIGEST: u8 = b'q';
const VOTE: u8 = b'k';
const CREATOR: u8 = b'c';
const LOOK: u8 = b'l';
const HALTED: u8 = b'Z';
const REPORT: u8 = b'r';

/// Places of one digest that one look lists.
const PLACES_PER_LOOK: usize = 64;
/// Groups that one handle may name.
const GROUPS_OF_HANDLE_MAX: usize = 64;
/// Votes of one group that one look lists.
const VOTES_PER_LOOK: usize = 1_024;

/// What was found in blocks up to a height.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// The height.
    pub(crate) scanned: u64,
    /// Height and index of markers, and of what may be a handle.
    pub(crate) markers: Vec<(u64, u32, MarkerRow)>,
    /// Group, digest and height of votes to pass a payload over that became final.
    pub(crate) votes: Vec<(B256, B256, u64)>,
    /// Groups and who made them.
    pub(crate) creators: Vec<(B256, B256)>,
    /// Digest, organisation and public transaction of reports that a payload is erased.
    pub(crate) reports: Vec<(B256, B256, B256)>,
}

fn place_key(height: u64, index: u32) -> Vec<u8> {
    [&height.to_be_bytes()[..], &index.to_be_bytes()].concat()
}

/// Height and index at the end of a key.
fn place_of(key: &[u8]) -> RowResult<(u64, u32)> {
    let place = key.last_chunk::<12>().ok_or_else(|| malformed(key))?;
    let (height, index) = place.split_at(8);
    let height = height.try_into().map_err(|_| malformed(key))?;
    let index = index.try_into().map_err(|_| malformed(key))?;
    Ok((u64::from_be_bytes(height), u32::from_be_bytes(index)))
}

impl MarkerRow {
    /// The 64 bytes of the public transaction, which are a handle if the row is one's.
    pub(crate) fn handle(&self) -> [u8; 64] {
        let mut handle = [0; 64];
        handle[..32].copy_from_slice(&self.digest);
        handle[32..].copy_from_slice(&self.tag);
        handle
    }

    /// The row of what may be a handle.
    pub(crate) fn of_handle(handle: &[u8; 64], transaction: B256) -> Self {
        let (digest, tag) = handle.split_at(32);
        Self {
            digest: B256::from_slice(digest).0,
            tag: B256::from_slice(tag).0,
            transaction: transaction.0,
            is_handle: true,
        }
    }

    const fn kind(&self) -> u8 {
        if self.is_handle { HANDLE } else { MARKER }
    }

    /// Key under which its places are listed.
    fn place_prefix(&self) -> Vec<u8> {
        if self.is_handle {
            key(HANDLE_PLACE, &self.handle())
        } else {
            key(PLACE, &self.digest)
        }
    }
}

impl Rows {
    /// Notes what was found.
    pub(crate) fn put_found(&self, found: &Findings) -> RowResult<()> {
        let mut notes = vec![Note::put(SCANNED, encode(&found.scanned))];
        for (height, index, row) in &found.markers {
            let place = place_key(*height, *index);
            notes.push(Note::put(key(row.kind(), &place), encode(row)));
            let by_name = [row.place_prefix(), place].concat();
            notes.push(Note::put(by_name, Vec::new()));
        }
        for (group, digest, height) in &found.votes {
            notes.push(Note::put(vote_key(group, digest), encode(height)));
        }
        for (group, org) in &found.creators {
            notes.push(Note::put(key(CREATOR, group.as_slice()), encode(&org.0)));
        }
        for (digest, org, transaction) in &found.reports {
            notes.push(Note::put(report_key(digest, org), encode(&transaction.0)));
        }
        // Lost with a crash, the blocks are looked through again.
        self.put(&notes, SyncMode::Deferred)
    }

    /// Markers of blocks from one to another, and what may be handles, at most so many,
    /// in order.
    pub(crate) fn markers(
        &self,
        from: u64,
        to: u64,
        max: usize,
    ) -> RowResult<Vec<(Placed, MarkerRow)>> {
        let mut markers = self.markers_of(MARKER, (from, to), max)?;
        markers.extend(self.markers_of(HANDLE, (from, to), max)?);
        markers.sort_by_key(|(placed, _)| (placed.height, placed.index));
        markers.truncate(max);
        Ok(markers)
    }

    /// As [`Self::markers`], no block by half; and the height up to which that is all.
    pub(crate) fn markers_of_blocks(
        &self,
        from: u64,
        to: u64,
        max: usize,
    ) -> RowResult<(Vec<(Placed, MarkerRow)>, u64)> {
        let mut found = self.markers(from, to, max)?;
        if found.len() < max {
            return Ok((found, to));
        }
        let ends = found.first().zip(found.last());
        let ends = ends.map(|((first, _), (last, _))| (first.height, last.height));
        match ends {
            None => Ok((found, to)),
            // The first is read whole, however long it is.
            Some((first, last)) if first == last => {
                Ok((self.markers(first, first, usize::MAX)?, first))
            }
            Some((_, last)) => {
                found.retain(|(placed, _)| placed.height < last);
                Ok((found, last - 1))
            }
        }
    }

    fn markers_of(
        &self,
        kind: u8,
        (from, to): (u64, u64),
        max: usize,
    ) -> RowResult<Vec<(Placed, MarkerRow)>> {
        let start = key(kind, &place_key(from, 0));
        let mut markers = Vec::new();
        for found in self.0.note_keys(&[kind], &start, max)? {
            let (height, index) = place_of(&found)?;
            if height > to {
                break;
            }
            let row = self.marker_at(kind, (height, index))?;
            let row = row.ok_or_else(|| malformed(&found))?;
            markers.push((placed(&row, (height, index)), row));
        }
        Ok(markers)
    }

    fn marker_at(&self, kind: u8, (height, index): (u64, u32)) -> RowResult<Option<MarkerRow>> {
        let row: Option<MarkerRow> = self.get(&key(kind, &place_key(height, index)))?;
        Ok(row.map(|row| MarkerRow {
            is_handle: kind == HANDLE,
            ..row
        }))
    }

    /// Where the first marker of a digest stands: height, index and transaction.
    pub(crate) fn place_of_digest(&self, digest: B256) -> RowResult<Option<Placed>> {
        self.first_place_of(digest, |_, _| Ok::<_, StorageError>(true))
    }

    /// Where the first marker of a digest stands that somebody recognises: anybody may
    /// put a digest on the chain with another tag. That of a handle's envelope stands
    /// where the handle does.
    pub(crate) fn first_place_of<E: From<StorageError>>(
        &self,
        digest: B256,
        mut is_recognised: impl FnMut(u64, &MarkerRow) -> Result<bool, E>,
    ) -> Result<Option<Placed>, E> {
        let handle = self.handle_of(digest)?;
        let (prefix, kind) = match &handle {
            Some(handle) => (key(HANDLE_PLACE, handle), HANDLE),
            None => (key(PLACE, digest.as_slice()), MARKER),
        };
        let mut start = prefix.clone();
        loop {
            let page = self.0.note_keys(&prefix, &start, PLACES_PER_LOOK)?;
            for found in &page {
                let place = place_of(found)?;
                if let Some(row) = self.marker_at(kind, place)?
                    && is_recognised(place.0, &row)?
                {
                    let place = placed(&row, place);
                    return Ok(Some(Placed { digest, ..place }));
                }
            }
            match page.last() {
                Some(last) if page.len() == PLACES_PER_LOOK => {
                    start = [&last[..], &[0]].concat();
                }
                _ => return Ok(None),
            }
        }
    }

    /// Notes that a handle names an envelope in its group; true if the group had none
    /// under it. On the disk when this returns.
    pub(crate) fn put_handle(
        &self,
        handle: &[u8; 64],
        group: B256,
        digest: B256,
    ) -> RowResult<bool> {
        if self.digest_of_handle(handle, group)?.is_some() {
            return Ok(false);
        }
        let notes = [
            Note::put(handle_key(handle, &group), encode(&digest.0)),
            Note::put(
                key(HANDLE_OF_DIGEST, digest.as_slice()),
                encode(&handle.to_vec()),
            ),
        ];
        self.put(&notes, SyncMode::Synced)?;
        Ok(true)
    }

    /// The envelope that a handle names in a group.
    pub(crate) fn digest_of_handle(
        &self,
        handle: &[u8; 64],
        group: B256,
    ) -> RowResult<Option<B256>> {
        let digest: Option<[u8; 32]> = self.get(&handle_key(handle, &group))?;
        Ok(digest.map(B256::from))
    }

    /// The envelopes that a handle names in all groups.
    pub(crate) fn digests_of_handle(&self, handle: &[u8; 64]) -> RowResult<Vec<B256>> {
        let prefix = key(DIGEST_OF_HANDLE, handle);
        let keys = self.0.note_keys(&prefix, &prefix, GROUPS_OF_HANDLE_MAX)?;
        let digest = |key: &Vec<u8>| {
            let digest: Option<[u8; 32]> = self.get(key)?;
            Ok(B256::from(digest.ok_or_else(|| malformed(key))?))
        };
        keys.iter().map(digest).collect()
    }

    /// The handle that an envelope has or had.
    pub(crate) fn handle_of(&self, digest: B256) -> RowResult<Option<[u8; 64]>> {
        let name = key(HANDLE_OF_DIGEST, digest.as_slice());
        let handle: Option<Vec<u8>> = self.get(&name)?;
        let handle =
            handle.map(|handle| <[u8; 64]>::try_from(handle).map_err(|_| malformed(&name)));
        handle.transpose()
    }

    /// Where a handle stands, in order.
    pub(crate) fn handle_places(&self, handle: &[u8; 64], max: usize) -> RowResult<Vec<Placed>> {
        let prefix = key(HANDLE_PLACE, handle);
        let mut places = Vec::new();
        for found in self.0.note_keys(&prefix, &prefix, max)? {
            let place = place_of(&found)?;
            let row = self.marker_at(HANDLE, place)?;
            places.extend(row.map(|row| placed(&row, place)));
        }
        Ok(places)
    }

    /// The public transaction by which an organisation reported a payload erased.
    pub(crate) fn report_of(&self, digest: B256, org: B256) -> RowResult<Option<B256>> {
        let transaction: Option<[u8; 32]> = self.get(&report_key(&digest, &org))?;
        Ok(transaction.map(B256::from))
    }

    /// Whether a handle stands in a block.
    pub(crate) fn is_handle_placed(&self, handle: &[u8; 64]) -> RowResult<bool> {
        let prefix = key(HANDLE_PLACE, handle);
        Ok(!self.0.note_keys(&prefix, &prefix, 1)?.is_empty())
    }

    /// Whether anything from this block on may be a handle.
    pub(crate) fn has_handles_from(&self, height: u64) -> RowResult<bool> {
        let start = key(HANDLE, &place_key(height, 0));
        Ok(!self.0.note_keys(&[HANDLE], &start, 1)?.is_empty())
    }

    /// Votes of a group that are still to be looked at: digest and height.
    pub(crate) fn votes(&self, group: B256) -> RowResult<Vec<(B256, u64)>> {
        let prefix = key(VOTE, group.as_slice());
        let keys = self.0.note_keys(&prefix, &prefix, VOTES_PER_LOOK)?;
        let vote = |key: &Vec<u8>| {
            let digest = B256::try_from(&key[prefix.len()..]).map_err(|_| malformed(key))?;
            let height: Option<u64> = self.get(key)?;
            Ok((digest, height.ok_or_else(|| malformed(key))?))
        };
        keys.iter().map(vote).collect()
    }

    /// A vote was looked at.
    pub(crate) fn delete_vote(&self, group: B256, digest: B256) -> RowResult<()> {
        let gone = Note::delete(vote_key(&group, &digest));
        self.put(&[gone], SyncMode::Synced)
    }

    /// Who made a group, where its block was looked through.
    pub(crate) fn creator(&self, group: B256) -> RowResult<Option<B256>> {
        let org: Option<[u8; 32]> = self.get(&key(CREATOR, group.as_slice()))?;
        Ok(org.map(B256::from))
    }

    /// Has markers that were passed by looked at again, over a crash too.
    pub(crate) fn put_look(&self, group: B256) -> RowResult<()> {
        let note = Note::put(key(LOOK, group.as_slice()), Vec::new());
        self.put(&[note], SyncMode::Synced)
    }

    /// Whether they are to be looked at.
    pub(crate) fn wants_look(&self, group: B256) -> RowResult<bool> {
        Ok(self.0.note(&key(LOOK, group.as_slice()))?.is_some())
    }

    /// Notes whether a group has stopped because its members' roots differ.
    pub(crate) fn put_halted(&self, group: B256, is_halted: bool) -> RowResult<()> {
        let name = key(HALTED, group.as_slice());
        let note = match is_halted {
            true => Note::put(name, Vec::new()),
            false => Note::delete(name),
        };
        self.put(&[note], SyncMode::Synced)
    }

    /// Whether a group had stopped when it was last looked at.
    pub(crate) fn is_halted(&self, group: B256) -> RowResult<bool> {
        Ok(self.0.note(&key(HALTED, group.as_slice()))?.is_some())
    }

    /// They were looked at.
    pub(crate) fn delete_look(&self, group: B256) -> RowResult<()> {
        let gone = Note::delete(key(LOOK, group.as_slice()));
        self.put(&[gone], SyncMode::Synced)
    }
}

fn placed(row: &MarkerRow, (height, index): (u64, u32)) -> Placed {
    Placed {
        height,
        index,
        digest: B256::from(row.digest),
        transaction: B256::from(row.transaction),
    }
}

fn handle_key(handle: &[u8; 64], group: &B256) -> Vec<u8> {
    key(DIGEST_OF_HANDLE, &[&handle[..], group.as_slice()].concat())
}

fn report_key(digest: &B256, org: &B256) -> Vec<u8> {
    key(REPORT, &[digest.as_slice(), org.as_slice()].concat())
}

fn vote_key(group: &B256, digest: &B256) -> Vec<u8> {
    key(VOTE, &[group.as_slice(), digest.as_slice()].concat())
}

#[cfg(test)]
mod tests;
