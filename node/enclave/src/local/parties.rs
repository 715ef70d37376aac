//! Keys of the parties: an identity for ever, an encryption key for a day.
//!
//! ```text
//! parties/<identity key>/label
//!                       /identity
//!                       /epochs/<number>-<valid from>
//! ```

use crate::sealing::Signer;
use crate::secret::{self, Secret};
use crate::{EnclaveError, EpochKey, Party, PartyId, hpke, key_files, limits};
use medina_types::NodeSecretKey;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const FIRST_EPOCH: u32 = 1;
const UNFINISHED: &str = "new";

/// All parties held here.
pub(crate) struct Parties {
    folder: PathBuf,
    held: RwLock<BTreeMap<PartyId, PartyKeys>>,
}

struct PartyKeys {
    label: String,
    identity: NodeSecretKey,
    /// Never empty.
    epochs: BTreeMap<u32, EpochSecret>,
}

struct EpochSecret {
    secret: Secret,
    valid_from_s: u64,
}

impl Parties {
    pub(crate) fn open(folder: &Path) -> Result<Self, EnclaveError> {
        key_files::private_folder(folder)?;
        let mut held = BTreeMap::new();
        for name in key_files::names(folder)? {
            let path = folder.join(&name);
            if path.extension().is_some_and(|end| end == UNFINISHED) {
                remove_unfinished(&path)?;
                continue;
            }
            let party = name
                .parse()
                .map_err(|error| EnclaveError::key_file(&path, format!("no party: {error}")))?;
            held.insert(party, PartyKeys::read(&path, &party)?);
        }
        Ok(Self {
            folder: folder.to_owned(),
            held: RwLock::new(held),
        })
    }

    pub(crate) fn all(&self) -> Vec<Party> {
        let held = self.held.read();
        held.iter().map(|(id, keys)| keys.shown(id)).collect()
    }

    pub(crate) fn labelled(&self, label: &str) -> Option<PartyId> {
        let held = self.held.read();
        let mut found = held.iter().filter(|(_, keys)| keys.label == label);
        found.next().map(|(party, _)| *party)
    }

    pub(crate) fn holds(&self, party: &PartyId) -> bool {
        self.held.read().contains_key(party)
    }

    /// Makes a party of that label, unless there is one now.
    pub(crate) fn create(&self, label: &str, now_s: u64) -> Result<PartyId, EnclaveError> {
        let mut held = self.held.write();
        if let Some((party, _)) = held.iter().find(|(_, keys)| keys.label == label) {
            return Ok(*party);
        }
        if held.len() >= limits::PARTIES_MAX {
            let max = limits::PARTIES_MAX;
            return Err(EnclaveError::too_large("parties", held.len() + 1, max));
        }
        let seed = secret::random().map_err(EnclaveError::Store)?;
        let identity = NodeSecretKey::from_bytes(*seed.expose());
        let party = PartyId(identity.public_key().0);
        let path = self.folder.join(party.to_string());
        let unfinished = path.with_extension(UNFINISHED);
        key_files::private_folder(&unfinished)?;
        key_files::private_folder(&unfinished.join("epochs"))?;
        write_label(&unfinished.join("label"), label)?;
        key_files::write(&unfinished.join("identity"), &seed)?;
        let mut keys = PartyKeys {
            label: label.to_owned(),
            identity,
            epochs: BTreeMap::new(),
        };
        keys.add_epoch(&unfinished, FIRST_EPOCH, now_s)?;
        fs::rename(&unfinished, &path).map_err(|error| EnclaveError::key_file(&path, error))?;
        key_files::sync_folder(&self.folder)?;
        held.insert(party, keys);
        Ok(party)
    }

    pub(crate) fn signer(&self, party: &PartyId) -> Result<Signer, EnclaveError> {
        self.with(party, |keys| Signer {
            party: *party,
            identity: keys.identity.clone(),
        })
    }

    pub(crate) fn epoch_keys(&self, party: &PartyId) -> Result<Vec<EpochKey>, EnclaveError> {
        self.with(party, |keys| {
            let epochs = keys.epochs.iter();
            epochs.map(|(epoch, secret)| secret.shown(*epoch)).collect()
        })
    }

    /// The secret of an epoch.
    pub(crate) fn secret(&self, party: &PartyId, epoch: u32) -> Result<Secret, EnclaveError> {
        let found = self.with(party, |keys| {
            keys.epochs.get(&epoch).map(|found| found.secret.clone())
        })?;
        found.ok_or(EnclaveError::UnknownEpoch {
            party: *party,
            epoch,
        })
    }

    /// Makes the key after an epoch, or answers with it.
    pub(crate) fn rotate(
        &self,
        party: &PartyId,
        from_epoch: u32,
        now_s: u64,
    ) -> Result<EpochKey, EnclaveError> {
        let mut held = self.held.write();
        let keys = held
            .get_mut(party)
            .ok_or(EnclaveError::UnknownParty(*party))?;
        let current = keys.current(party).epoch;
        if from_epoch.checked_add(1) == Some(current) {
            return Ok(keys.current(party));
        }
        let next = from_epoch.checked_add(1).filter(|_| from_epoch == current);
        let Some(next) = next else {
            let reason = format!("the epoch of {party} is {current}, not {from_epoch}");
            return Err(EnclaveError::BadRequest(reason));
        };
        keys.add_epoch(&self.folder.join(party.to_string()), next, now_s)?;
        Ok(keys.current(party))
    }

    /// Destroys the secrets of epochs before one.
    pub(crate) fn destroy_before(&self, party: &PartyId, epoch: u32) -> Result<(), EnclaveError> {
        let mut held = self.held.write();
        let keys = held
            .get_mut(party)
            .ok_or(EnclaveError::UnknownParty(*party))?;
        let current = keys.current(party).epoch;
        if epoch > current {
            let reason = format!("the epoch of {party} is {current}, before {epoch}");
            return Err(EnclaveError::BadRequest(reason));
        }
        let folder = self.folder.join(party.to_string());
        while let Some((oldest, secret)) = keys.epochs.first_key_value() {
            if *oldest >= epoch {
                break;
            }
            key_files::destroy(&epoch_path(&folder, *oldest, secret.valid_from_s))?;
            keys.epochs.pop_first();
        }
        Ok(())
    }

    /// Parties whose key is as old as that, with its number.
    pub(crate) fn due(&self, age_s: u64, now_s: u64) -> Vec<(PartyId, u32)> {
        let held = self.held.read();
        held.iter()
            .map(|(party, keys)| (*party, keys.current(party)))
            .filter(|(_, key)| key.valid_from_s.saturating_add(age_s) <= now_s)
            .map(|(party, key)| (party, key.epoch))
            .collect()
    }

    /// Parties with secrets that were replaced that long ago, with the first epoch to keep.
    pub(crate) fn outdated(&self, grace_s: u64, now_s: u64) -> Vec<(PartyId, u32)> {
        let held = self.held.read();
        held.iter()
            .filter_map(|(party, keys)| Some((*party, keys.first_kept(grace_s, now_s)?)))
            .collect()
    }

    fn with<T>(
        &self,
        party: &PartyId,
        read: impl FnOnce(&PartyKeys) -> T,
    ) -> Result<T, EnclaveError> {
        let held = self.held.read();
        let keys = held.get(party).ok_or(EnclaveError::UnknownParty(*party))?;
        Ok(read(keys))
    }
}

impl PartyKeys {
    fn read(folder: &Path, party: &PartyId) -> Result<Self, EnclaveError> {
        let fail = |reason: String| EnclaveError::key_file(folder, reason);
        key_files::private_folder(folder)?;
        let label = fs::read_to_string(folder.join("label")).map_err(|e| fail(e.to_string()))?;
        let seed = key_files::read(&folder.join("identity"))?;
        let identity = NodeSecretKey::from_bytes(*seed.expose());
        if identity.public_key().0 != party.0 {
            return Err(fail("the identity in it is another one's".into()));
        }
        let mut epochs = BTreeMap::new();
        let path = folder.join("epochs");
        key_files::private_folder(&path)?;
        for name in key_files::names(&path)? {
            let (epoch, valid_from_s) =
                parse_epoch(&name).ok_or_else(|| fail(format!("{name} is no key of an epoch")))?;
            let secret = key_files::read(&path.join(&name))?;
            epochs.insert(
                epoch,
                EpochSecret {
                    secret,
                    valid_from_s,
                },
            );
        }
        if epochs.is_empty() {
            return Err(fail("it has no encryption key; restore the folder".into()));
        }
        Ok(Self {
            label,
            identity,
            epochs,
        })
    }

    fn add_epoch(&mut self, folder: &Path, epoch: u32, now_s: u64) -> Result<(), EnclaveError> {
        let before = self.epochs.values().map(|epoch| epoch.valid_from_s).max();
        // The registry takes no key that is valid before the one it replaces.
        let valid_from_s = now_s.max(before.unwrap_or(0));
        let secret = secret::random().map_err(EnclaveError::Store)?;
        key_files::write(&epoch_path(folder, epoch, valid_from_s), &secret)?;
        self.epochs.insert(
            epoch,
            EpochSecret {
                secret,
                valid_from_s,
            },
        );
        Ok(())
    }

    fn current(&self, party: &PartyId) -> EpochKey {
        let newest = self.epochs.last_key_value();
        let (epoch, secret) = newest.unwrap_or_else(|| panic!("{party} has no key"));
        secret.shown(*epoch)
    }

    fn first_kept(&self, grace_s: u64, now_s: u64) -> Option<u32> {
        let replaced = self.epochs.iter().skip(1);
        replaced
            .filter(|(_, secret)| secret.valid_from_s.saturating_add(grace_s) <= now_s)
            .map(|(epoch, _)| *epoch)
            .max()
    }

    fn shown(&self, id: &PartyId) -> Party {
        Party {
            id: *id,
            label: self.label.clone(),
            epoch_key: self.current(id),
        }
    }
}

impl EpochSecret {
    fn shown(&self, epoch: u32) -> EpochKey {
        EpochKey {
            epoch,
            x25519: hpke::public_key(&self.secret),
            valid_from_s: self.valid_from_s,
        }
    }
}

fn epoch_path(folder: &Path, epoch: u32, valid_from_s: u64) -> PathBuf {
    folder
        .join("epochs")
        .join(format!("{epoch}-{valid_from_s}"))
}

fn parse_epoch(name: &str) -> Option<(u32, u64)> {
    let (epoch, valid_from_s) = name.split_once('-')?;
    Some((epoch.parse().ok()?, valid_from_s.parse().ok()?))
}

fn write_label(path: &Path, label: &str) -> Result<(), EnclaveError> {
    let write = || {
        fs::write(path, label)?;
        fs::File::open(path)?.sync_all()
    };
    write().map_err(|error: std::io::Error| EnclaveError::key_file(path, error))
}

/// A party that was being made when the process ended: nobody knows it.
fn remove_unfinished(folder: &Path) -> Result<(), EnclaveError> {
    for part in [folder.to_owned(), folder.join("epochs")] {
        if !part.exists() {
            continue;
        }
        for name in key_files::names(&part)? {
            let path = part.join(name);
            if path.is_file() {
                key_files::destroy(&path)?;
            }
        }
    }
    fs::remove_dir_all(folder).map_err(|error| EnclaveError::key_file(folder, error))
}
