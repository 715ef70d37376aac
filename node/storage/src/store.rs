//! The store: one writer that extends the head, any number of readers.

use crate::commit::{self, BlockCommit, GenesisState, Senders, SyncMode};
use crate::database::{Database, corrupt};
use crate::notes::Note;
use crate::pruning::{Kept, Pruning};
use crate::schema::{CONSENSUS_RECORD, Table};
use crate::state::{
    AccountProof, HistoricalState, LatestState, StateRootUpdate, account_proof, compute_root,
    root_on_old_state,
};
use crate::{StorageError, encoding, keys};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, U256};
use alloy_trie::EMPTY_ROOT_HASH;
use medina_types::{Certificate, Height, HeightContext, StateChanges};
use parking_lot::{Mutex, RwLock};
use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// How to open a store.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Bytes of the block cache, shared by all tables, index blocks included; a
    /// group's store has none of its own.
    pub block_cache_bytes: usize,
    /// What it is dimensioned for.
    pub size: StoreSize,
}

/// What a store is dimensioned for.
#[derive(Clone, Debug, Default)]
pub enum StoreSize {
    /// The chain's: one per process, with large buffers.
    #[default]
    Node,
    /// A private group's: many per process, with small buffers, one cache for all,
    /// and room for notes ([`Store::note`]).
    Group(SharedCache),
}

/// A block cache for many stores. Cheap to clone.
#[derive(Clone)]
pub struct SharedCache(pub(crate) rocksdb::Cache);

impl SharedCache {
    /// A cache of this many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(rocksdb::Cache::new_lru_cache(bytes))
    }
}

impl fmt::Debug for SharedCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.get_usage();
        formatter
            .debug_struct("SharedCache")
            .field("bytes", &bytes)
            .finish()
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            block_cache_bytes: 64 * 1024 * 1024,
            size: StoreSize::Node,
        }
    }
}

/// The last block and what the next one builds on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub height: Height,
    /// Its hash.
    pub hash: B256,
    /// Its header.
    pub header: Header,
    /// Validators and proposers of the next height.
    pub context: HeightContext,
    /// Proof that it was decided; genesis needs none.
    pub certificate: Option<Certificate>,
}

/// Blocks, state and the consensus record of one node. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    database: Database,
    /// `None` until genesis is there.
    head: RwLock<Option<Arc<Head>>>,
    /// Held by whoever moves the head.
    writer: Mutex<()>,
    /// As it lies in the database; held by whoever prunes.
    pruning: Mutex<Pruning>,
    /// First block whose state is kept, and whose body is.
    state_from: AtomicU64,
    blocks_from: AtomicU64,
    /// First block whose signatures were not checked, [`ALL_CHECKED`] when all were.
    unchecked_from: AtomicU64,
}

/// No block has this height.
const ALL_CHECKED: u64 = u64::MAX;

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let height = self.try_head().map(|head| head.height);
        formatter
            .debug_struct("Store")
            .field("head", &height)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in a folder, or makes one in an empty or new folder.
    ///
    /// # Errors
    /// [`StorageError::Foreign`], [`StorageError::NewerSchema`],
    /// [`StorageError::OlderSchema`], [`StorageError::Locked`],
    /// [`StorageError::Unreadable`]; [`StorageError::Corrupt`] if the head does
    /// not read back.
    pub fn open(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self, StorageError> {
        let database = Database::open(path.as_ref(), &options)?;
        let pruning = database.view().pruning()?;
        let unchecked = database.view().unchecked_from()?;
        let store = Self(Arc::new(Inner {
            database,
            head: RwLock::new(None),
            writer: Mutex::new(()),
            state_from: AtomicU64::new(pruning.state_from),
            blocks_from: AtomicU64::new(pruning.blocks_from),
            unchecked_from: AtomicU64::new(unchecked.map_or(ALL_CHECKED, |from| from.0)),
            pruning: Mutex::new(pruning),
        }));
        let head = store.read_head()?.map(Arc::new);
        *store.0.head.write() = head;
        Ok(store)
    }

    /// Writes the genesis block, or checks that the one there is the same.
    ///
    /// # Errors
    /// [`StorageError::WrongGenesis`], [`StorageError::StateRootMismatch`], or a
    /// failure of the database.
    pub fn initialize_genesis(&self, genesis: &GenesisState) -> Result<(), StorageError> {
        let _writer = self.0.writer.lock();
        let expected = genesis.header.hash_slow();
        if let Some(found) = self.genesis_hash()? {
            let same = found == expected;
            return if same {
                Ok(())
            } else {
                Err(StorageError::WrongGenesis { expected, found })
            };
        }
        let view = self.0.database.view();
        let root = compute_root(&view, expected, EMPTY_ROOT_HASH, &genesis.state)?;
        check_root(&genesis.header, &root)?;
        let mut batch = self.0.database.batch();
        commit::write_genesis(&mut batch, &view, genesis, (expected, &root))?;
        batch.write(SyncMode::Synced)?;
        self.set_head(Head {
            height: Height::GENESIS,
            hash: expected,
            header: genesis.header.clone(),
            context: genesis.context.clone(),
            certificate: None,
        });
        Ok(())
    }

    /// The last block.
    ///
    /// # Panics
    /// Before [`Self::initialize_genesis`]; see [`Self::try_head`].
    #[must_use]
    pub fn head(&self) -> Arc<Head> {
        self.try_head()
            .expect("genesis is initialized before anybody asks for the head")
    }

    /// The last block, `None` before genesis.
    #[must_use]
    pub fn try_head(&self) -> Option<Arc<Head>> {
        self.0.head.read().clone()
    }

    /// The state of the head, fixed at this moment.
    #[must_use]
    pub fn state(&self) -> LatestState<'_> {
        LatestState::new(self.0.database.view())
    }

    /// The state right after an old block.
    ///
    /// # Errors
    /// [`StorageError::UnknownHeight`] above the head, [`StorageError::StatePruned`]
    /// below what is kept.
    pub fn state_at(&self, height: Height) -> Result<HistoricalState<'_>, StorageError> {
        let state = HistoricalState::new(self.0.database.view(), height)?;
        self.check_state_is_kept(height)?;
        Ok(state)
    }

    /// To be asked after the view was taken: what is deleted later is still in it,
    /// and what was deleted before lies below this mark.
    fn check_state_is_kept(&self, height: Height) -> Result<(), StorageError> {
        let from = self.kept().state_from;
        if height < from {
            let asked = height;
            return Err(StorageError::StatePruned { asked, from });
        }
        Ok(())
    }

    /// What can still be read.
    #[must_use]
    pub fn kept(&self) -> Kept {
        Kept {
            state_from: Height(self.0.state_from.load(Ordering::SeqCst)),
            blocks_from: Height(self.0.blocks_from.load(Ordering::SeqCst)),
        }
    }

    pub(crate) fn pruning(&self) -> &Mutex<Pruning> {
        &self.0.pruning
    }

    /// From here on nobody reads what lies below.
    pub(crate) fn announce_kept(&self, kept: Kept) {
        let Inner {
            state_from,
            blocks_from,
            ..
        } = &*self.0;
        state_from.store(kept.state_from.0, Ordering::SeqCst);
        blocks_from.store(kept.blocks_from.0, Ordering::SeqCst);
    }

    pub(crate) fn unchecked(&self) -> Option<Height> {
        let from = self.0.unchecked_from.load(Ordering::SeqCst);
        (from != ALL_CHECKED).then_some(Height(from))
    }

    pub(crate) fn announce_unchecked(&self, from: Option<Height>) {
        let from = from.map_or(ALL_CHECKED, |from| from.0);
        self.0.unchecked_from.store(from, Ordering::SeqCst);
    }

    /// The state root after changes on top of the head.
    ///
    /// # Errors
    /// [`StorageError::ChangesOffState`] if the changes were computed on another
    /// state, or a failure of the database.
    pub fn state_root_after(
        &self,
        changes: &StateChanges,
    ) -> Result<StateRootUpdate, StorageError> {
        let view = self.0.database.view();
        let stored = view.head()?.ok_or(StorageError::NotInitialized)?;
        let former = match self.try_head().filter(|head| head.hash == stored.hash()) {
            Some(head) => head.header.state_root,
            // A block was committed in between.
            None => {
                let header = self.header_by_number(stored.height)?;
                header.ok_or_else(|| no_header(stored.height))?.state_root
            }
        };
        compute_root(&view, stored.hash(), former, changes)
    }

    /// The state root after changes on top of any kept block: what a simulation
    /// comes to. Nothing is written.
    ///
    /// # Errors
    /// [`StorageError::UnknownHeight`] above the head; as [`Self::state_root_after`].
    pub fn state_root_on(
        &self,
        height: Height,
        changes: &StateChanges,
    ) -> Result<B256, StorageError> {
        let view = self.0.database.view();
        let head = view.head_height()?;
        let header = self.header_by_number(height)?;
        let Some(header) = header.filter(|_| height <= head) else {
            let asked = height;
            return Err(StorageError::UnknownHeight { asked, head });
        };
        self.check_state_is_kept(height)?;
        root_on_old_state(&view, (height, header.state_root), changes)
    }

    /// Makes a block the head: one batch, all or nothing.
    ///
    /// # Errors
    /// [`StorageError::NotOnHead`], [`StorageError::StateRootMismatch`],
    /// [`StorageError::ReceiptCount`]; the head then stays. After
    /// [`StorageError::Database`] the caller stops: the disk is full or broken.
    pub fn commit(&self, commit: BlockCommit<'_>) -> Result<(), StorageError> {
        self.commit_as(commit, &[], Senders::Recovered)
    }

    /// As [`Self::commit`], of a block whose senders nobody checked yet.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn commit_with_claimed_senders(&self, commit: BlockCommit<'_>) -> Result<(), StorageError> {
        self.commit_as(commit, &[], Senders::Claimed)
    }

    /// As [`Self::commit`], with notes in the same batch.
    ///
    /// # Errors
    /// As [`Self::commit`]; [`StorageError::NoNotes`] in a store that keeps none.
    pub fn commit_with_notes(
        &self,
        commit: BlockCommit<'_>,
        notes: &[Note],
    ) -> Result<(), StorageError> {
        self.commit_as(commit, notes, Senders::Recovered)
    }

    fn commit_as(
        &self,
        commit: BlockCommit<'_>,
        notes: &[Note],
        senders: Senders,
    ) -> Result<(), StorageError> {
        let _writer = self.0.writer.lock();
        self.check_commit(&commit)?;
        let mut batch = self.0.database.batch();
        commit::write_block(&mut batch, &self.0.database.view(), &commit, senders)?;
        self.write_notes(&mut batch, notes)?;
        let unchecked = match senders {
            Senders::Claimed => self.note_unchecked(&mut batch, commit.block.height())?,
            Senders::Recovered => None,
        };
        batch.write(commit.sync)?;
        if let Some(from) = unchecked {
            self.announce_unchecked(Some(from));
        }
        self.set_head(Head {
            height: commit.block.height(),
            hash: commit.block.hash(),
            header: commit.block.header().clone(),
            context: commit.context.clone(),
            certificate: Some(commit.certificate.clone()),
        });
        Ok(())
    }

    fn check_commit(&self, commit: &BlockCommit<'_>) -> Result<(), StorageError> {
        let head = self.try_head().ok_or(StorageError::NotInitialized)?;
        let (header, height) = (commit.block.header(), commit.block.height());
        let follows = header.parent_hash == head.hash && height == head.height.next();
        if !follows || commit.root.base != head.hash {
            let parent = if follows {
                commit.root.base
            } else {
                header.parent_hash
            };
            let (head_height, head) = (head.height, head.hash);
            return Err(StorageError::NotOnHead {
                height,
                parent,
                head_height,
                head,
            });
        }
        let transactions = commit.block.sealed.transactions().len();
        let receipts = commit.receipts.len();
        if transactions != receipts || transactions != commit.block.senders.len() {
            return Err(StorageError::ReceiptCount {
                height,
                transactions,
                receipts,
            });
        }
        check_root(header, &commit.root)
    }

    fn set_head(&self, head: Head) {
        *self.0.head.write() = Some(Arc::new(head));
    }

    /// Puts deferred commits on the disk.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn flush(&self) -> Result<(), StorageError> {
        self.0.database.sync()
    }

    /// Replaces the record of the consensus engine; on the disk when this returns.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn put_consensus_record(&self, record: &[u8]) -> Result<(), StorageError> {
        self.put_consensus_record_with(record, SyncMode::Synced)
    }

    /// As [`Self::put_consensus_record`]. Whoever defers it must not let anything
    /// leave that the record promises before the next synced write.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn put_consensus_record_with(
        &self,
        record: &[u8],
        sync: SyncMode,
    ) -> Result<(), StorageError> {
        let mut batch = self.0.database.batch();
        batch.put(Table::Consensus, CONSENSUS_RECORD, record);
        batch.write(sync)
    }

    /// Replaces the certificate of a committed block by a more complete one. It is
    /// on the disk with the next synced write.
    ///
    /// # Errors
    /// [`StorageError::UnknownHeight`] above the head, [`StorageError::Database`].
    pub fn put_certificate(
        &self,
        height: Height,
        certificate: &Certificate,
    ) -> Result<(), StorageError> {
        let _writer = self.0.writer.lock();
        let head = self.head();
        if height > head.height {
            return Err(StorageError::UnknownHeight {
                asked: height,
                head: head.height,
            });
        }
        let mut batch = self.0.database.batch();
        let (key, value) = (keys::height(height), encoding::borsh(certificate));
        batch.put(Table::Certificates, &key, &value);
        batch.write(SyncMode::Deferred)?;
        if height == head.height {
            let certificate = Some(certificate.clone());
            self.set_head(Head {
                certificate,
                ..(*head).clone()
            });
        }
        Ok(())
    }

    /// The current record of the consensus engine.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn consensus_record(&self) -> Result<Option<Vec<u8>>, StorageError> {
        let record = self.database().get(Table::Consensus, CONSENSUS_RECORD)?;
        Ok(record.map(|record| record.to_vec()))
    }

    /// Proves an account and slots of it against a block's state root.
    ///
    /// # Errors
    /// As [`Self::state_at`].
    pub fn proof_at(
        &self,
        height: Height,
        address: Address,
        slots: &[U256],
    ) -> Result<AccountProof, StorageError> {
        let view = self.0.database.view();
        let head = view.head_height()?;
        if height > head {
            return Err(StorageError::UnknownHeight {
                asked: height,
                head,
            });
        }
        self.check_state_is_kept(height)?;
        let header = self
            .header_by_number(height)?
            .ok_or_else(|| no_header(height))?;
        account_proof(&view, (height, header.state_root), address, slots)
    }

    /// Copies the store, as it is now, to a folder that does not exist yet. It
    /// can be taken while the node runs; the copy opens like any store.
    ///
    /// The consensus record stays behind: a copy may be older than what the node
    /// has signed since, so whoever starts on it starts as after a lost record.
    ///
    /// # Errors
    /// [`StorageError::CheckpointExists`] or [`StorageError::Database`].
    pub fn checkpoint(&self, path: impl AsRef<Path>) -> Result<(), StorageError> {
        let path = path.as_ref();
        if path.exists() {
            return Err(StorageError::CheckpointExists { path: path.into() });
        }
        // Under its own name only once the record is out of it.
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".unfinished");
        let unfinished = Path::new(&unfinished);
        let failed = |error: std::io::Error| StorageError::Database(error.to_string());
        if unfinished.exists() {
            std::fs::remove_dir_all(unfinished).map_err(failed)?;
        }
        self.0.database.checkpoint(unfinished)?;
        let copy = Database::open(unfinished, &OpenOptions::default())?;
        let mut batch = copy.batch();
        batch.delete(Table::Consensus, CONSENSUS_RECORD);
        batch.write(SyncMode::Synced)?;
        drop(copy);
        std::fs::rename(unfinished, path).map_err(failed)
    }

    /// The head as it lies on the disk, checked as far as one read each allows.
    fn read_head(&self) -> Result<Option<Head>, StorageError> {
        let Some(stored) = self.0.database.view().head()? else {
            return Ok(None);
        };
        let (height, hash) = (stored.height, stored.hash());
        let header = self
            .header_by_number(height)?
            .ok_or_else(|| no_header(height))?;
        let found = header.hash_slow();
        if found != hash {
            let reason = format!("the header's hash is {found}, the head's {hash}");
            return Err(corrupt(Table::Headers, &keys::height(height), reason));
        }
        let next = keys::height(height.next());
        let context = self
            .context_at(height.next())?
            .ok_or_else(|| corrupt(Table::Contexts, &next, "the next height's is missing"))?;
        let certificate = self.certificate(height)?;
        // Proving any account reads the first nodes of the trie against the root.
        self.proof_at(height, Address::ZERO, &[])?;
        Ok(Some(Head {
            height,
            hash,
            header,
            context,
            certificate,
        }))
    }

    /// Keeps others from moving the head.
    pub(crate) fn lock_writer(&self) -> parking_lot::MutexGuard<'_, ()> {
        self.0.writer.lock()
    }

    /// Takes the head from the disk; whoever calls this holds the writer's lock.
    pub(crate) fn reread_head(&self) -> Result<(), StorageError> {
        let head = self.read_head()?.map(Arc::new);
        *self.0.head.write() = head;
        Ok(())
    }

    pub(crate) fn database(&self) -> &Database {
        &self.0.database
    }
}

fn check_root(header: &Header, update: &StateRootUpdate) -> Result<(), StorageError> {
    let (expected, computed) = (header.state_root, update.root);
    if expected == computed {
        return Ok(());
    }
    Err(StorageError::StateRootMismatch {
        height: Height(header.number),
        expected,
        computed,
    })
}

fn no_header(height: Height) -> StorageError {
    corrupt(
        Table::Headers,
        &keys::height(height),
        "the header of a known block is missing",
    )
}
