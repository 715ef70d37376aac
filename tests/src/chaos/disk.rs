//! A node's data folder on a disk of its own, which can be filled at once.
//!
//! The disk is a tmpfs: shrinking it to what is used fills it without writing a
//! byte, growing it makes room. Mounting needs root.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Room on a disk that is not full, in bytes.
const SIZE_BYTES: u64 = 1 << 30;
/// Room that is left when a disk is full: tmpfs counts whole pages, and the node
/// may write while the disk shrinks.
const REST_BYTES: u64 = 16 * 1024;
/// Attempts to shrink a disk below a node that goes on writing.
const ATTEMPTS_MAX: usize = 10;

/// A disk; unmounted with the value.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts a disk on a folder, which is made if needed.
    ///
    /// # Errors
    /// A sentence that says why this machine cannot.
    pub fn mount(folder: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        let options = format!("size={SIZE_BYTES},mode=700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "medina-chaos"]);
        run(mount.arg(folder)).map_err(|error| format!("mounting a tmpfs needs root: {error}"))?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Leaves no room.
    ///
    /// # Errors
    /// When the disk cannot be shrunk.
    pub fn fill(&self) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..ATTEMPTS_MAX {
            match self.resize(self.used_bytes()? + REST_BYTES) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Makes room again.
    ///
    /// # Errors
    /// When the disk cannot be grown.
    pub fn free(&self) -> Result<(), String> {
        self.resize(SIZE_BYTES)
    }

    fn resize(&self, bytes: u64) -> Result<(), String> {
        let options = format!("remount,size={bytes}");
        run(Command::new("mount")
            .args(["-o", &options])
            .arg(&self.folder))
        .map(|_| ())
    }

    fn used_bytes(&self) -> Result<u64, String> {
        let printed = run(Command::new("df")
            .args(["--output=used", "-B1"])
            .arg(&self.folder))?;
        let used = printed.lines().last().unwrap_or_default().trim();
        used.parse().map_err(|_| format!("df printed {printed}"))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that ends just now may still hold a file.
        let _ = run(Command::new("umount").arg("-l").arg(&self.folder));
    }
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_takes_nothing_until_it_is_freed() {
        let folder = tempfile::tempdir().unwrap();
        let disk = match SmallDisk::mount(&folder.path().join("data")) {
            Ok(disk) => disk,
            Err(reason) => return println!("skipped: {reason}"),
        };
        let file = folder.path().join("data").join("file");
        std::fs::write(&file, vec![1; 100_000]).unwrap();
        disk.fill().unwrap();
        let error = std::fs::write(&file, vec![1; 300_000]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        disk.free().unwrap();
        std::fs::write(&file, vec![1; 300_000]).unwrap();
    }
}
