//! Opens the private side and keeps its tasks: beside the node's, never before them.
//!
//! The enclave may start later than the node, and end earlier: until it answers for
//! the first time nothing private happens, and public blocks do not notice.

use crate::{
    chain::Chain,
    private::{
        anchored::ANCHOR_BLOCKS_MAX,
        audit_anchor,
        config::{EnclavePlace, PrivateSection, TlsSection},
        delivery,
        directory::Directory,
        erasing, following,
        guard::Guarded,
        keys::{self, write_registration},
        node::PrivateSide,
        places::Places,
        protocol::Question,
        registry::{Registry, RegistryError},
        rows::Rows,
        scanner,
        sending::{self, AccountError, Sending, load_account},
        serve,
        shared::{OwnParty, Parts, Shared},
        upkeep,
    },
    transactions::Transactions,
};
use medina_enclave::{
    Caller, Enclave, EnclaveAddress, EnclaveConfig, EnclaveError, LocalEnclave, RemoteEnclave,
    TlsKey, forbid_core_dumps,
};
use medina_execution::private::{GroupOpening, GroupStores};
use medina_network::{NetworkHandle, PrivateReply};
use medina_storage::{OpenOptions, SharedCache, StorageError, StoreSize};
use medina_types::{NodePublicKey, NodeSecretKey};
use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tracing::{error, info, warn};

/// Questions of members that wait to be looked at; further ones get no answer.
const QUESTIONS_WAITING_MAX: usize = 128;
/// Questions that are answered at once: each holds a thread that reads the disk.
const QUESTIONS_AT_ONCE: usize = 8;
/// Of them those of one peer.
const QUESTIONS_AT_ONCE_PER_PEER: usize = 2;
/// Pause between two looks for an enclave that is not there yet.
const ENCLAVE_PAUSE: Duration = Duration::from_secs(1);
/// Bytes of the cache of the private database.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// Why the private side did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivateError {
    /// The chain has no such contract, or it does not answer.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The marker account's key.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The private database.
    #[error("the private database: {0}")]
    Storage(#[from] StorageError),
    /// The groups' states.
    #[error("the private groups' states: {0}")]
    Groups(#[from] medina_execution::private::PrivateError),
    /// The enclave in this process.
    #[error("the enclave: {0}")]
    Enclave(#[from] EnclaveError),
    /// Core dumps of this process would hold keys.
    #[error("core dumps cannot be forbidden: {0}")]
    CoreDumps(std::io::Error),
    /// A folder cannot be made.
    #[error("{}: {reason}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

/// A peer's private request on its way to be answered.
pub(crate) struct Asked {
    from: NodePublicKey,
    bytes: Vec<u8>,
    reply: PrivateReply,
}

/// How the node's other tasks reach the private side. Cheap to clone; nothing here
/// waits.
#[derive(Clone)]
pub(crate) struct PrivateHandle {
    questions: mpsc::Sender<Asked>,
    shared: watch::Receiver<Option<Arc<Shared>>>,
    /// Blocks by which pruning waits at most.
    pruning_waits: u64,
    /// Whether somebody was told that it waits no more.
    has_warned: Arc<AtomicBool>,
}

impl PrivateHandle {
    /// Hands a peer's request over; dropped when too many wait.
    pub(crate) fn on_question(&self, from: NodePublicKey, bytes: Vec<u8>, reply: PrivateReply) {
        let _ = self.questions.try_send(Asked { from, bytes, reply });
    }

    /// A peer has a link again.
    pub(crate) fn on_peer(&self, node: &NodePublicKey) {
        if let Some(shared) = self.shared.borrow().as_ref() {
            delivery::on_reachable(shared, node);
        }
    }

    /// Public history is kept from this block on, for the group that is furthest
    /// behind; as much as the bound allows until the enclave has answered.
    pub(crate) fn history_from(&self, head: u64) -> u64 {
        let bound = head.saturating_sub(self.pruning_waits);
        let shared = self.shared.borrow();
        let Some(shared) = shared.as_ref() else {
            return bound;
        };
        // A group without a state here needs no history.
        let groups = shared.groups().into_iter();
        let heights = groups.filter_map(|group| group.has_state().then(|| group.height()));
        let slowest = heights.chain([*shared.scanned.borrow()]).min();
        // Validated transactions read the block that they were tried on.
        let slowest = slowest.unwrap_or(0).saturating_sub(ANCHOR_BLOCKS_MAX);
        let is_too_slow = slowest < bound;
        if is_too_slow && !self.has_warned.swap(true, Ordering::Relaxed) {
            let waits = self.pruning_waits;
            warn!(
                slowest,
                waits,
                "a private group is so far behind that pruning waits for it no more: it will take its state from other members"
            );
        }
        if !is_too_slow {
            self.has_warned.store(false, Ordering::Relaxed);
        }
        slowest.max(bound)
    }
}

/// The private side, started.
pub(crate) struct Started {
    /// For the node's other tasks.
    pub(crate) handle: PrivateHandle,
    /// For JSON-RPC.
    pub(crate) side: Arc<PrivateSide>,
    /// Runs until the node stops.
    pub(crate) task: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// What the private side is made on.
pub(crate) struct Grounds {
    pub(crate) chain: Chain,
    pub(crate) network: NetworkHandle,
    pub(crate) transactions: Transactions,
    pub(crate) own_node: NodePublicKey,
    /// Signs that this node serves its parties.
    pub(crate) node_secret: NodeSecretKey,
    /// Folder of everything private.
    pub(crate) folder: PathBuf,
}

/// What is opened before the enclave answers.
struct Opened {
    grounds: Grounds,
    section: PrivateSection,
    registry: Registry,
    rows: Rows,
    stores: GroupStores,
    sending: Sending,
    enclave: Arc<dyn Enclave>,
}

/// Opens what is on the disk; the rest happens in the task.
///
/// # Errors
/// See [`PrivateError`].
pub(crate) fn start(
    section: &PrivateSection,
    grounds: Grounds,
    stop: watch::Receiver<bool>,
) -> Result<Started, PrivateError> {
    let opened = open(section, grounds)?;
    let (questions, asked) = mpsc::channel(QUESTIONS_WAITING_MAX);
    let (sender, shared) = watch::channel(None);
    let side = Arc::new(PrivateSide::new(
        section,
        &opened.grounds.chain,
        shared.clone(),
    ));
    let handle = PrivateHandle {
        questions,
        shared,
        pruning_waits: section.limits.pruning_waits_blocks,
        has_warned: Arc::default(),
    };
    let task = Box::pin(run(opened, sender, asked, stop));
    Ok(Started { handle, side, task })
}

fn open(section: &PrivateSection, grounds: Grounds) -> Result<Opened, PrivateError> {
    let (chain, folder) = (&grounds.chain, &grounds.folder);
    let registry = Registry::new(chain.store.clone(), chain.executor.clone())?;
    make_folder(folder)?;
    // The marker account's key and opened payloads are here in any case, and mostly all others.
    forbid_core_dumps().map_err(PrivateError::CoreDumps)?;
    let options = OpenOptions {
        size: StoreSize::Group(SharedCache::new(CACHE_BYTES)),
        ..OpenOptions::default()
    };
    let rows = Rows::open(&folder.join("node"), options)?;
    let mut opening = GroupOpening::new(folder.join("groups"), chain.spec.genesis_hash);
    opening.groups_max = section.limits.groups;
    let stores = GroupStores::new(opening)?;
    let key_file = section.marker_key_file.clone();
    let key_file = key_file.unwrap_or_else(|| folder.join("marker.key"));
    let sending = Sending::new(load_account(&key_file)?, rows.sent_markers()?);
    let enclave: Arc<dyn Enclave> = match section.place() {
        EnclavePlace::InProcess => {
            let config = EnclaveConfig::in_folder(folder.join("enclave"));
            Arc::new(LocalEnclave::open(config)?)
        }
        EnclavePlace::Elsewhere(address) => {
            let remote = remote(&address, section.tls.as_ref())?;
            Arc::new(Guarded::new(remote, address.to_string().as_ref()))
        }
    };
    Ok(Opened {
        section: section.clone(),
        registry,
        rows,
        stores,
        sending,
        enclave,
        grounds,
    })
}

/// An enclave of another process, which need not be there yet.
fn remote(
    address: &EnclaveAddress,
    tls: Option<&TlsSection>,
) -> Result<RemoteEnclave, EnclaveError> {
    match (address, tls) {
        (EnclaveAddress::Unix(socket), _) => Ok(RemoteEnclave::new(socket)),
        (EnclaveAddress::Tls(place), Some(tls)) => {
            RemoteEnclave::over_tls(place, &TlsKey::load(&tls.key_file)?, tls.peer)
        }
        (EnclaveAddress::Tls(_), None) => {
            let reason = format!("{address} without [private.tls]: name key_file and peer");
            Err(EnclaveError::BadRequest(reason))
        }
    }
}

/// Only this user may look into it.
fn make_folder(path: &Path) -> Result<(), PrivateError> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    let failed = |error: std::io::Error| PrivateError::Folder {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed)?;
    let permissions = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(path, permissions).map_err(failed)
}

async fn run(
    opened: Opened,
    sender: watch::Sender<Option<Arc<Shared>>>,
    asked: mpsc::Receiver<Asked>,
    mut stop: watch::Receiver<bool>,
) {
    let parties = tokio::select! {
        _ = stop.wait_for(|stop| *stop) => return,
        parties = find_parties(&opened) => parties,
    };
    let section = opened.section.clone();
    let made = tokio::task::spawn_blocking(move || make_shared(opened, parties)).await;
    let shared = match made {
        Ok(Ok(shared)) => Arc::new(shared),
        Ok(Err(error)) => {
            error!(%error, "private transactions are off until the node is started again");
            return;
        }
        Err(_) => return,
    };
    sender.send_replace(Some(shared.clone()));
    info!(
        parties = shared.parties.len(),
        "private transactions are on"
    );
    let mut tasks = JoinSet::new();
    tasks.spawn(scanner::run(shared.clone(), stop.clone()));
    tasks.spawn(sending::run(shared.clone(), stop.clone()));
    tasks.spawn(delivery::run(shared.clone(), stop.clone()));
    tasks.spawn(keys::run(shared.clone(), stop.clone()));
    tasks.spawn(erasing::run(shared.clone(), stop.clone()));
    tasks.spawn(upkeep::run(shared.clone(), stop.clone()));
    tasks.spawn(audit_anchor::run(shared.clone(), stop.clone()));
    tasks.spawn(answer_all(shared.clone(), asked, stop.clone()));
    tasks.spawn(following::run(shared.clone(), section, stop.clone()));
    while let Some(ended) = tasks.join_next().await {
        // Public blocks go on; what is private is found again at the next start.
        if let Err(error) = ended {
            error!(%error, "a task of the private side ended unexpectedly; start the node again and report this");
        }
    }
    if let Err(error) = keys::flush(&shared) {
        warn!(%error, "the private database was not flushed");
    }
}

/// Makes or finds the parties in the enclave, however long it takes to be there.
async fn find_parties(opened: &Opened) -> Vec<OwnParty> {
    let mut has_said = false;
    loop {
        let (enclave, sections) = (opened.enclave.clone(), opened.section.parties.clone());
        let now_s = opened.grounds.chain.clock.machine_seconds();
        let found = tokio::task::spawn_blocking(move || {
            let caller = Caller::node("start", now_s);
            let party = |section: &crate::private::config::PartySection| {
                Ok(OwnParty {
                    id: enclave.ensure_party(&caller, &section.name)?,
                    name: section.name.clone(),
                    org: section.org,
                })
            };
            sections
                .iter()
                .map(party)
                .collect::<Result<Vec<_>, EnclaveError>>()
        });
        match found.await {
            Ok(Ok(parties)) => return parties,
            Ok(Err(error)) if !has_said => {
                warn!(%error, "private transactions wait for the enclave");
                has_said = true;
            }
            Ok(Err(_)) | Err(_) => {}
        }
        tokio::time::sleep(ENCLAVE_PAUSE).await;
    }
}

fn make_shared(opened: Opened, parties: Vec<OwnParty>) -> Result<Shared, PrivateError> {
    let Opened {
        grounds,
        section,
        registry,
        rows,
        stores,
        sending,
        enclave,
    } = opened;
    let place = (grounds.chain.spec.chain_id, registry.contract());
    let folder = grounds.folder.join("parties");
    for party in &parties {
        write_registration(
            &folder,
            enclave.as_ref(),
            party,
            place,
            &grounds.node_secret,
        )?;
    }
    let own = parties.iter().map(|party| party.org).collect();
    let directory = Directory::new(registry.clone(), own)?;
    let parts = Parts {
        chain: grounds.chain,
        network: grounds.network,
        own_node: grounds.own_node,
        transactions: grounds.transactions,
        enclave,
        registry,
        directory,
        rows,
        stores,
        parties,
        limits: section.limits,
        sending,
    };
    Ok(Shared::new(parts)?)
}

/// Answers members, a few at once, and nobody so many that others wait.
async fn answer_all(
    shared: Arc<Shared>,
    mut asked: mpsc::Receiver<Asked>,
    mut stop: watch::Receiver<bool>,
) {
    let mut places = Places::new(QUESTIONS_AT_ONCE, QUESTIONS_AT_ONCE_PER_PEER);
    let mut answering = JoinSet::new();
    loop {
        while let Some((peer, asked)) = places.next() {
            let shared = shared.clone();
            answering.spawn(async move {
                let answered = tokio::spawn(answer_one(shared, asked)).await;
                if let Err(error) = answered {
                    error!(%error, "a question of a member was not answered; report this");
                }
                peer
            });
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            next = asked.recv() => match next {
                Some(asked) => places.add(asked.from, asked),
                None => return,
            },
            Some(Ok(peer)) = answering.join_next(), if !answering.is_empty() => places.done(peer),
        }
    }
}

async fn answer_one(shared: Arc<Shared>, asked: Asked) {
    let Asked { from, bytes, reply } = asked;
    if let Some(question) = Question::decode(&bytes) {
        drop(bytes);
        let answer = serve::answer(&shared, from, question).await;
        reply.send(answer.encode());
    }
}
