//! Where the store of a test chain lies: in memory where the system has a place
//! for that, since a database that lives for a few milliseconds waits for a disk
//! most of its time.

use std::path::Path;
use tempfile::TempDir;

/// Linux's file system in memory.
const IN_MEMORY: &str = "/dev/shm";

/// Where stores are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In memory, or on the disk where there is no such place.
    Memory,
    /// In the system's folder for temporary files.
    Disk,
}

impl Place {
    /// A new folder, which is removed with the value.
    pub(crate) fn folder(self) -> Result<TempDir, String> {
        let in_memory = Path::new(IN_MEMORY);
        if self == Self::Memory
            && in_memory.is_dir()
            && let Ok(folder) = tempfile::tempdir_in(in_memory)
        {
            return Ok(folder);
        }
        tempfile::tempdir().map_err(|error| format!("no folder: {error}"))
    }
}
