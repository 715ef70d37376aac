//! A folder of keystore V3 files (Web3 Secret Storage), one per account.
//!
//! Files of other wallets are read as well. Before one is decrypted its fields are checked here:
//! a foreign file may ask for terabytes of scrypt memory or lengths that no cipher has.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use aes::cipher::{KeyIvInit, StreamCipher};
use alloy_primitives::{Address, keccak256};
use alloy_signer_local::PrivateKeySigner;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Account, WalletError};
use crate::limits::{
    KEYSTORE_BYTES_MAX, KEYSTORE_FILES_MAX, PBKDF2_ROUNDS_MAX, SCRYPT_MEMORY_BYTES_MAX,
};

/// Rounds, block size and parallelism of scrypt for new files: the standard of other wallets,
/// 256 MiB and about a second.
const SCRYPT_LOG_N: u8 = 18;
const SCRYPT_R: u32 = 8;
const SCRYPT_P: u32 = 1;

/// One file of the folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeystoreEntry {
    /// Whose key it is.
    pub address: Address,
    /// Where it lies.
    pub path: PathBuf,
}

/// A folder with keystore files.
#[derive(Debug, Clone)]
pub struct KeystoreDir {
    path: PathBuf,
}

impl KeystoreDir {
    /// Uses the folder, which is made if it is not there; only its owner can enter a new one.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, WalletError> {
        let path = path.into();
        if !path.is_dir() {
            make_private_dir(&path).map_err(|source| WalletError::Io {
                path: path.clone(),
                source,
            })?;
        }
        Ok(Self { path })
    }

    /// Makes a new key and keeps it under `password`.
    pub fn create(&self, password: &str) -> Result<(Account, KeystoreEntry), WalletError> {
        let account = Account::random()?;
        let entry = self.import(&account, password)?;
        Ok((account, entry))
    }

    /// Keeps a key under `password`.
    pub fn import(&self, account: &Account, password: &str) -> Result<KeystoreEntry, WalletError> {
        let address = account.address();
        if self.list()?.iter().any(|entry| entry.address == address) {
            return Err(WalletError::AlreadyThere(address));
        }
        let name = format!("medina--{}.json", hex::encode(address));
        let draft = self.path.join(format!(".{name}.draft"));
        let path = self.path.join(name);
        let written = Self::write_draft(account, password, &draft);
        let finished = written.and_then(|()| publish(&draft, &path));
        // Only the finished file stays, whatever happened.
        let _ = fs::remove_file(&draft);
        finished.map(|()| KeystoreEntry { address, path })
    }

    fn write_draft(account: &Account, password: &str, draft: &Path) -> Result<(), WalletError> {
        let io = |source| WalletError::Io {
            path: draft.to_owned(),
            source,
        };
        let json = seal(account, password)?;
        // What an interrupted import left must not stop the next one.
        let _ = fs::remove_file(draft);
        let mut file = private_file(draft).map_err(io)?;
        file.write_all(json.to_string().as_bytes()).map_err(io)?;
        file.sync_all().map_err(io)
    }

    /// Every account of the folder, by address. Files that are no keystores are passed over.
    pub fn list(&self) -> Result<Vec<KeystoreEntry>, WalletError> {
        let io = |source| WalletError::Io {
            path: self.path.clone(),
            source,
        };
        let mut entries = Vec::new();
        for file in fs::read_dir(&self.path)
            .map_err(io)?
            .take(KEYSTORE_FILES_MAX)
        {
            let path = file.map_err(io)?.path();
            let hidden = path
                .file_name()
                .is_none_or(|name| name.to_string_lossy().starts_with('.'));
            if hidden || !path.is_file() {
                continue;
            }
            let address = read_json(&path).ok().as_ref().and_then(address_in);
            entries.extend(address.map(|address| KeystoreEntry { address, path }));
        }
        entries.sort();
        Ok(entries)
    }

    /// Opens the key of `address`.
    pub fn unlock(&self, address: Address, password: &str) -> Result<Account, WalletError> {
        let entries = self.list()?;
        let found = entries.into_iter().find(|entry| entry.address == address);
        let unknown = || WalletError::UnknownAccount {
            address,
            path: self.path.clone(),
        };
        Self::unlock_file(&found.ok_or_else(unknown)?.path, password)
    }

    /// Opens one keystore file, wherever it lies.
    pub fn unlock_file(path: &Path, password: &str) -> Result<Account, WalletError> {
        let bad = |reason: String| WalletError::BadKeystore {
            path: path.to_owned(),
            reason,
        };
        let json = read_json(path)?;
        check_v3(&json).map_err(bad)?;
        let named = address_in(&json);
        let signer = PrivateKeySigner::decrypt_keystore(path, password)
            .map_err(|_| WalletError::WrongPassword(named.unwrap_or_default()))?;
        let account = Account::from_signer(signer);
        match named {
            Some(address) if address != account.address() => Err(bad(format!(
                "it names {address} but holds the key of {}",
                account.address()
            ))),
            _ => Ok(account),
        }
    }
}

/// Gives the finished draft its name; never replaces a file.
fn publish(draft: &Path, path: &Path) -> Result<(), WalletError> {
    let renamed = if path.exists() {
        Err(std::io::ErrorKind::AlreadyExists.into())
    } else {
        fs::rename(draft, path)
    };
    renamed.map_err(|source| WalletError::Io {
        path: path.to_owned(),
        source,
    })
}

/// The key as a V3 document. The library that reads files would write 2^13 rounds of scrypt, a
/// thirty-second of what other wallets take as their standard, so they are written here.
fn seal(account: &Account, password: &str) -> Result<Value, WalletError> {
    let key = account.to_bytes()?;
    let mut random = [0; 32 + 16 + 16];
    getrandom::fill(&mut random).map_err(|_| WalletError::NoRandomness)?;
    let (salt, rest) = random.split_at(32);
    let (iv, id) = rest.split_at(16);
    let parameters = scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P)
        .expect("the constants are within scrypt's bounds");
    let mut derived = Zeroizing::new([0; 32]);
    scrypt::scrypt(
        password.as_bytes(),
        salt,
        &parameters,
        derived.as_mut_slice(),
    )
    .expect("32 bytes are a length scrypt gives");
    let mut text = *key;
    let mut cipher = ctr::Ctr128BE::<aes::Aes128>::new_from_slices(&derived[..16], iv)
        .expect("16 bytes are the cipher's key and its start");
    cipher.apply_keystream(&mut text);
    let mac = keccak256([&derived[16..], &text[..]].concat());
    Ok(json!({
        "address": hex::encode(account.address()),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": hex::encode(iv)},
            "ciphertext": hex::encode(text),
            "kdf": "scrypt",
            "kdfparams": {
                "dklen": 32,
                "n": 1_u64 << SCRYPT_LOG_N,
                "p": SCRYPT_P,
                "r": SCRYPT_R,
                "salt": hex::encode(salt),
            },
            "mac": hex::encode(mac),
        },
        "id": uuid(id),
        "version": 3,
    }))
}

/// A random (version 4) UUID of 16 random bytes.
fn uuid(random: &[u8]) -> String {
    let mut id = [0; 16];
    id.copy_from_slice(random);
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    let text = hex::encode(id);
    let (a, b, c, d, e) = (
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    );
    format!("{a}-{b}-{c}-{d}-{e}")
}

fn read_json(path: &Path) -> Result<Value, WalletError> {
    let io = |source| WalletError::Io {
        path: path.to_owned(),
        source,
    };
    let bad = |reason: &str| WalletError::BadKeystore {
        path: path.to_owned(),
        reason: reason.into(),
    };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(io)?;
    file.take(KEYSTORE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|_| bad("it is not text"))?;
    if text.len() as u64 > KEYSTORE_BYTES_MAX {
        return Err(bad("it is larger than any keystore file"));
    }
    serde_json::from_str(&text).map_err(|_| bad("it is not JSON"))
}

fn address_in(json: &Value) -> Option<Address> {
    let is_keystore = json.get("crypto").is_some_and(Value::is_object);
    json.get("address")?
        .as_str()?
        .parse()
        .ok()
        .filter(|_| is_keystore)
}

/// Whether the library can decrypt this without a panic and without harm.
fn check_v3(json: &Value) -> Result<(), String> {
    if json["version"].as_u64() != Some(3) {
        return Err("version is not 3".into());
    }
    let crypto = &json["crypto"];
    if crypto["cipher"].as_str() != Some("aes-128-ctr") {
        return Err("cipher is not aes-128-ctr".into());
    }
    check_hex(&crypto["cipherparams"]["iv"], 16, "cipherparams.iv")?;
    check_hex(&crypto["ciphertext"], 32, "ciphertext")?;
    check_hex(&crypto["mac"], 32, "mac")?;
    let parameters = &crypto["kdfparams"];
    if parameters["dklen"].as_u64() != Some(32) {
        return Err("kdfparams.dklen is not 32".into());
    }
    match crypto["kdf"].as_str() {
        Some("scrypt") => check_scrypt(parameters),
        Some("pbkdf2") => check_pbkdf2(parameters),
        _ => Err("kdf is neither scrypt nor pbkdf2".into()),
    }
}

fn check_hex(field: &Value, bytes: usize, name: &str) -> Result<(), String> {
    let decoded = field.as_str().and_then(|text| hex::decode(text).ok());
    match decoded {
        Some(decoded) if decoded.len() == bytes => Ok(()),
        _ => Err(format!("{name} is not {bytes} bytes in hex")),
    }
}

fn check_scrypt(parameters: &Value) -> Result<(), String> {
    let number = |name: &str| parameters[name].as_u64().filter(|number| *number > 0);
    let (Some(n), Some(r), Some(p)) = (number("n"), number("r"), number("p")) else {
        return Err("kdfparams n, r, p are not positive numbers".into());
    };
    let memory = 128_u64.checked_mul(n).and_then(|part| part.checked_mul(r));
    let work = memory.and_then(|memory| memory.checked_mul(p));
    if !n.is_power_of_two() || n < 2 {
        return Err("kdfparams.n is not a power of two".into());
    }
    // RFC 7914: N < 2^(128·r/8); the library refuses it too, but as if the password were wrong.
    if u64::from(n.ilog2()) >= r.saturating_mul(16) {
        return Err("kdfparams.n is too large for its r".into());
    }
    match work {
        Some(work) if work <= SCRYPT_MEMORY_BYTES_MAX => Ok(()),
        _ => Err(format!(
            "its scrypt parameters ask for more than {SCRYPT_MEMORY_BYTES_MAX} bytes"
        )),
    }
}

fn check_pbkdf2(parameters: &Value) -> Result<(), String> {
    if parameters["prf"].as_str() != Some("hmac-sha256") {
        return Err("kdfparams.prf is not hmac-sha256".into());
    }
    match parameters["c"].as_u64() {
        Some(rounds) if (1..=PBKDF2_ROUNDS_MAX).contains(&rounds) => Ok(()),
        _ => Err(format!(
            "kdfparams.c is not between 1 and {PBKDF2_ROUNDS_MAX}"
        )),
    }
}

#[cfg(unix)]
fn make_private_dir(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

#[cfg(not(unix))]
fn make_private_dir(path: &Path) -> std::io::Result<()> {
    fs::create_dir_all(path)
}

/// A new file that only its owner reads; fails if it is there.
pub(crate) fn private_file(path: &Path) -> std::io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
