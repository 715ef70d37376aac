//! All groups of a node: one folder each, opened when they are needed.
//!
//! ```text
//! <folder>/<group>             a group's store
//! <folder>/<group>.importing   an import under way, or one that was given up
//! <folder>/<group>.removed     a store on its way out
//! ```
//!
//! Open stores cost memory and file handles, so at most
//! [`limits::PRIVATE_STORES_OPEN_MAX`] are: at the bound the one that nobody holds and
//! nobody asked for longest is closed. Take a store for a piece of work, not for the
//! life of a process.

use super::{GroupImport, GroupStore, Position, PrivateError};
use alloy_consensus::Header;
use alloy_primitives::{B256, hex};
use medina_storage::{OpenOptions, SharedCache, Store, StoreSize};
use medina_types::{Height, limits};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Bytes of the block cache that all groups share.
const CACHE_BYTES: usize = 8 * 1024 * 1024;
const IMPORTING: &str = "importing";
const REMOVED: &str = "removed";

/// How the groups of a node are opened.
#[derive(Clone, Debug)]
pub struct GroupOpening {
    /// Where their folders are.
    pub folder: PathBuf,
    /// Hash of the public chain's genesis block.
    pub chain: B256,
    /// Groups kept at most; see [`limits::PRIVATE_GROUPS_MAX`].
    pub groups_max: usize,
    /// Stores open at once; see [`limits::PRIVATE_STORES_OPEN_MAX`].
    pub open_max: usize,
}

impl GroupOpening {
    /// The usual bounds.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, chain: B256) -> Self {
        Self {
            folder: folder.into(),
            chain,
            groups_max: limits::PRIVATE_GROUPS_MAX,
            open_max: limits::PRIVATE_STORES_OPEN_MAX,
        }
    }
}

/// The groups of a node.
#[derive(Debug)]
pub struct GroupStores {
    opening: GroupOpening,
    cache: SharedCache,
    open: Mutex<OpenStores>,
}

#[derive(Debug, Default)]
struct OpenStores {
    stores: BTreeMap<B256, OpenStore>,
    /// Counts uses.
    clock: u64,
}

#[derive(Debug)]
struct OpenStore {
    store: Arc<GroupStore>,
    used_at: u64,
}

impl GroupStores {
    /// Makes the folder where it is missing, and clears away what was given up in it.
    ///
    /// # Errors
    /// [`PrivateError::Files`].
    pub fn new(opening: GroupOpening) -> Result<Self, PrivateError> {
        let folder = &opening.folder;
        fs::create_dir_all(folder).map_err(|error| files(folder, &error))?;
        for entry in names(folder)? {
            let is_leftover = [IMPORTING, REMOVED].iter().any(|ending| {
                entry
                    .strip_suffix(ending)
                    .is_some_and(|rest| rest.ends_with('.'))
            });
            if is_leftover {
                remove_folder(&folder.join(entry))?;
            }
        }
        Ok(Self {
            opening,
            cache: SharedCache::new(CACHE_BYTES),
            open: Mutex::default(),
        })
    }

    /// The folder that they are in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.opening.folder
    }

    /// Whether a group has a state here, without opening it.
    #[must_use]
    pub fn has(&self, group: B256) -> bool {
        self.folder_of(group).join("CURRENT").exists()
    }

    /// Groups with a state here, in order.
    ///
    /// # Errors
    /// [`PrivateError::Files`].
    pub fn groups(&self) -> Result<Vec<B256>, PrivateError> {
        let names = names(&self.opening.folder)?;
        let mut groups: Vec<_> = names
            .iter()
            .filter_map(|name| hex::decode(name).ok())
            .filter_map(|bytes| B256::try_from(&bytes[..]).ok())
            .collect();
        groups.sort_unstable();
        Ok(groups)
    }

    /// The store of a group that has one.
    ///
    /// # Errors
    /// [`PrivateError::NoState`], [`PrivateError::TooManyOpen`],
    /// [`PrivateError::AnotherGroup`], or when the store cannot be opened.
    pub fn get(&self, group: B256) -> Result<Arc<GroupStore>, PrivateError> {
        self.open(group, None)
    }

    /// The store of a group; where there is none, one with an empty state that begins
    /// at a position: the group's first public block.
    ///
    /// # Errors
    /// As [`Self::get`], and [`PrivateError::TooManyGroups`].
    pub fn get_or_create(
        &self,
        group: B256,
        base: Position,
    ) -> Result<Arc<GroupStore>, PrivateError> {
        self.open(group, Some(base))
    }

    fn open(&self, group: B256, base: Option<Position>) -> Result<Arc<GroupStore>, PrivateError> {
        let mut open = self.open.lock();
        open.clock += 1;
        let used_at = open.clock;
        if let Some(opened) = open.stores.get_mut(&group) {
            opened.used_at = used_at;
            return Ok(Arc::clone(&opened.store));
        }
        let folder = self.folder_of(group);
        // The first file of a store that was opened once.
        let is_there = self.has(group);
        let base = match (is_there, base) {
            (true, base) => base.unwrap_or_default(),
            (false, Some(base)) => {
                self.check_room()?;
                base
            }
            (false, None) => return Err(PrivateError::NoState(group)),
        };
        open.make_room(self.opening.open_max)?;
        let store = self.open_folder(&folder, group, (Height::GENESIS, base))?;
        let store = Arc::new(store);
        let opened = OpenStore {
            store: Arc::clone(&store),
            used_at,
        };
        open.stores.insert(group, opened);
        Ok(store)
    }

    fn open_folder(
        &self,
        folder: &Path,
        group: B256,
        base: (Height, Position),
    ) -> Result<GroupStore, PrivateError> {
        let options = OpenOptions {
            size: StoreSize::Group(self.cache.clone()),
            ..OpenOptions::default()
        };
        let store = Store::open(folder, options)?;
        GroupStore::initialize(store, (group, self.opening.chain), base)
    }

    fn check_room(&self) -> Result<(), PrivateError> {
        let max = self.opening.groups_max;
        if self.groups()?.len() >= max {
            return Err(PrivateError::TooManyGroups { max });
        }
        Ok(())
    }

    fn folder_of(&self, group: B256) -> PathBuf {
        self.opening.folder.join(hex::encode(group))
    }

    fn beside(&self, group: B256, ending: &str) -> PathBuf {
        self.folder_of(group).with_extension(ending)
    }

    /// Stores that are open now.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.open.lock().stores.len()
    }

    /// Removes a group's state for good.
    ///
    /// # Errors
    /// [`PrivateError::InUse`] while somebody holds the store, or
    /// [`PrivateError::Files`].
    pub fn remove(&self, group: B256) -> Result<(), PrivateError> {
        let mut open = self.open.lock();
        self.remove_closed(&mut open, group)
    }

    fn remove_closed(&self, open: &mut OpenStores, group: B256) -> Result<(), PrivateError> {
        self.set_aside(open, group)?;
        remove_folder(&self.beside(group, REMOVED))
    }

    /// Under its own name a store is whole or not there.
    fn set_aside(&self, open: &mut OpenStores, group: B256) -> Result<(), PrivateError> {
        open.close(group)?;
        let (folder, removed) = (self.folder_of(group), self.beside(group, REMOVED));
        if folder.exists() {
            remove_folder(&removed)?;
            fs::rename(&folder, &removed).map_err(|error| files(&folder, &error))?;
        }
        Ok(())
    }

    /// Begins to take a group's state right after a public block from other members;
    /// `root` is what more than half of them have signed.
    ///
    /// # Errors
    /// [`PrivateError::TooManyGroups`], or when the store cannot be made.
    pub fn begin_import(
        &self,
        group: B256,
        (header, hash): (&Header, B256),
        root: B256,
    ) -> Result<GroupImport, PrivateError> {
        if !self.folder_of(group).exists() {
            self.check_room()?;
        }
        let folder = self.beside(group, IMPORTING);
        remove_folder(&folder)?;
        let block = Height(header.number);
        let store = self.open_folder(&folder, group, (block, Position::after(block)))?;
        let at = (block, hash, header.timestamp);
        Ok(GroupImport::new(store, folder, at, root))
    }

    /// Puts a finished import in the place of the group's state.
    ///
    /// # Errors
    /// [`PrivateError::WrongRoot`] if it is not the promised state,
    /// [`PrivateError::InUse`] while somebody holds the former store; the former state
    /// stays then.
    pub fn finish_import(&self, import: GroupImport) -> Result<Arc<GroupStore>, PrivateError> {
        let group = import.group();
        let sealed = import.seal();
        if sealed.is_err() {
            remove_folder(&self.beside(group, IMPORTING))?;
        }
        let imported = sealed?;
        {
            let mut open = self.open.lock();
            self.set_aside(&mut open, group)?;
            let folder = self.folder_of(group);
            fs::rename(&imported, &folder).map_err(|error| files(&folder, &error))?;
            remove_folder(&self.beside(group, REMOVED))?;
        }
        self.get(group)
    }
}

impl OpenStores {
    /// Closes the stores that nobody holds, the longest unused first, until one more
    /// may be opened.
    fn make_room(&mut self, max: usize) -> Result<(), PrivateError> {
        while self.stores.len() >= max {
            let unused = self
                .stores
                .iter()
                .filter(|(_, opened)| opened.is_unused())
                .min_by_key(|(_, opened)| opened.used_at);
            let Some((group, _)) = unused else {
                return Err(PrivateError::TooManyOpen { max });
            };
            let group = *group;
            self.stores.remove(&group);
        }
        Ok(())
    }

    fn close(&mut self, group: B256) -> Result<(), PrivateError> {
        if self
            .stores
            .get(&group)
            .is_some_and(|opened| !opened.is_unused())
        {
            return Err(PrivateError::InUse(group));
        }
        self.stores.remove(&group);
        Ok(())
    }
}

impl OpenStore {
    fn is_unused(&self) -> bool {
        Arc::strong_count(&self.store) == 1
    }
}

fn names(folder: &Path) -> Result<Vec<String>, PrivateError> {
    let entries = fs::read_dir(folder).map_err(|error| files(folder, &error))?;
    entries
        .map(|entry| {
            let entry = entry.map_err(|error| files(folder, &error))?;
            Ok(entry.file_name().to_string_lossy().into_owned())
        })
        .collect()
}

fn remove_folder(folder: &Path) -> Result<(), PrivateError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(files(folder, &error)),
        _ => Ok(()),
    }
}

fn files(path: &Path, error: &io::Error) -> PrivateError {
    PrivateError::Files {
        path: path.into(),
        reason: error.to_string(),
    }
}
