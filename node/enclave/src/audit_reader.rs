//! Reads an audit log's file and checks that each entry follows from the one before it.

use crate::{AuditEntry, AuditHead, EnclaveError, limits};
use alloy_primitives::keccak256;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

const DOMAIN: &[u8] = b"medina.private.audit.v1";
const LENGTH_BYTES: usize = 8;
const HASH_BYTES: usize = 32;
/// Bytes of an entry: two texts at their bound and the rest.
const ENTRY_BYTES_MAX: usize = 2 * limits::TEXT_BYTES_MAX + 256;
/// Reads a log's file from its beginning without changing it, also while an enclave writes to it:
/// `each` is told every entry and the hash after it. An unfinished last entry is passed over.
///
/// # Errors
/// [`EnclaveError::AuditBroken`] names the first entry that does not follow from the one before it;
/// [`EnclaveError::Store`] if the file cannot be read.
pub fn read_audit_log(
    path: &Path,
    mut each: impl FnMut(AuditEntry, [u8; 32]),
) -> Result<AuditHead, EnclaveError> {
    let file = File::open(path).map_err(|error| store_error(path, &error))?;
    let mut reader = Reader::new(path, &file, 0, AuditHead::default())?;
    while let Some((entry, _)) = reader.next()? {
        each(entry, reader.head.hash);
    }
    Ok(reader.head)
}

/// Reads entries one after the other and checks that each follows from the one before.
pub(crate) struct Reader<'a> {
    path: &'a Path,
    input: BufReader<&'a File>,
    /// After the last good entry.
    pub(crate) head: AuditHead,
    /// Where the next entry begins.
    pub(crate) offset: u64,
    pub(crate) torn_bytes: u64,
    /// The first entry read names a predecessor that was not read.
    trusts_first: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        path: &'a Path,
        file: &'a File,
        offset: u64,
        head: AuditHead,
    ) -> Result<Self, EnclaveError> {
        let mut input = BufReader::new(file);
        input
            .seek(SeekFrom::Start(offset))
            .map_err(|error| store_error(path, &error))?;
        Ok(Self {
            path,
            input,
            head,
            offset,
            torn_bytes: 0,
            trusts_first: false,
        })
    }

    pub(crate) fn inside(
        path: &'a Path,
        file: &'a File,
        offset: u64,
        entries: u64,
    ) -> Result<Self, EnclaveError> {
        let head = AuditHead {
            entries,
            hash: [0; 32],
        };
        let mut reader = Self::new(path, file, offset, head)?;
        reader.trusts_first = true;
        Ok(reader)
    }

    /// The next entry and where it begins; none at the end, or at an entry that ends too early.
    pub(crate) fn next(&mut self) -> Result<Option<(AuditEntry, u64)>, EnclaveError> {
        let mut lengths = [0; LENGTH_BYTES];
        let got = self.fill(&mut lengths)?;
        if got < LENGTH_BYTES {
            return Ok(self.ends(got));
        }
        let length = self.body_bytes(lengths)?;
        let mut record = vec![0; length + HASH_BYTES];
        let got = self.fill(&mut record)?;
        if got < record.len() {
            return Ok(self.ends(LENGTH_BYTES + got));
        }
        let (body, hash) = record.split_at(length);
        let entry = self.check(body, hash)?;
        let begins = self.offset;
        let read = u64::try_from(LENGTH_BYTES + record.len()).expect("a small number");
        self.offset += read;
        Ok(Some((entry, begins)))
    }

    fn ends(&mut self, torn: usize) -> Option<(AuditEntry, u64)> {
        self.torn_bytes = u64::try_from(torn).expect("less than an entry");
        None
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, EnclaveError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.input.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(store_error(self.path, &error)),
            }
        }
        Ok(filled)
    }

    fn body_bytes(&self, lengths: [u8; LENGTH_BYTES]) -> Result<usize, EnclaveError> {
        let [a, b, c, d, e, f, g, h] = lengths;
        let length = u32::from_be_bytes([a, b, c, d]);
        let complement = u32::from_be_bytes([e, f, g, h]);
        let bytes = usize::try_from(length).unwrap_or(usize::MAX);
        if length != !complement || bytes > ENTRY_BYTES_MAX {
            return Err(self.broken("its length is damaged"));
        }
        Ok(bytes)
    }

    fn check(&mut self, body: &[u8], hash: &[u8]) -> Result<AuditEntry, EnclaveError> {
        let expected = entry_hash(body);
        if expected != hash {
            return Err(self.broken("it was changed"));
        }
        let entry: AuditEntry =
            borsh::from_slice(body).map_err(|error| self.broken(&error.to_string()))?;
        if entry.seq != self.head.entries {
            return Err(self.broken("its number is another"));
        }
        if entry.previous != self.head.hash && !self.trusts_first {
            return Err(self.broken("it names another predecessor"));
        }
        self.trusts_first = false;
        self.head = AuditHead {
            entries: entry.seq + 1,
            hash: expected,
        };
        Ok(entry)
    }

    fn broken(&self, reason: &str) -> EnclaveError {
        EnclaveError::AuditBroken {
            seq: self.head.entries,
            reason: format!("{reason} ({})", self.path.display()),
        }
    }
}

/// What an entry is in the next one.
pub(crate) fn entry_hash(body: &[u8]) -> [u8; 32] {
    keccak256([DOMAIN, body].concat()).0
}

/// The file does not do what it should.
pub(crate) fn store_error(path: &Path, error: &std::io::Error) -> EnclaveError {
    EnclaveError::Store(format!("audit log {}: {error}", path.display()))
}
