//! Wall clocks of single nodes that jump while the nodes run.
//!
//! A few lines of C, compiled by the machine's own compiler and loaded into each
//! node, add what a file says to the wall clock. The node is not built for it.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    process::{Command, Stdio},
};

const SOURCE: &str = include_str!("clock_shim.c");

/// Clocks of all nodes of a network.
#[derive(Debug)]
pub struct Clocks {
    files: Vec<File>,
    environments: Vec<Vec<(&'static str, OsString)>>,
}

impl Clocks {
    /// Compiles the library and makes one file per node, in a folder that
    /// outlives the nodes.
    ///
    /// # Errors
    /// A sentence that says why clocks cannot be moved on this machine.
    pub fn new(folder: &Path, nodes: usize) -> Result<Self, String> {
        if !cfg!(target_os = "linux") {
            return Err("moving a process's clock needs LD_PRELOAD of Linux".to_owned());
        }
        let library = compile(folder)?;
        let mut clocks = Self {
            files: Vec::new(),
            environments: Vec::new(),
        };
        for node in 0..nodes {
            let path = folder.join(format!("clock-{node}"));
            let file = make(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            clocks.files.push(file);
            clocks.environments.push(vec![
                ("LD_PRELOAD", library.clone()),
                ("MEDINA_CHAOS_CLOCK", path.into()),
            ]);
        }
        Ok(clocks)
    }

    /// What a node's process needs to have such a clock.
    #[must_use]
    pub fn environment(&self, node: usize) -> Vec<(&'static str, OsString)> {
        self.environments[node].clone()
    }

    /// Moves a clock, seen from the machine's.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set(&self, node: usize, offset_s: i64) -> io::Result<()> {
        self.files[node].write_all_at(&offset_s.to_ne_bytes(), 0)
    }
}

fn make(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    file.write_all_at(&0i64.to_ne_bytes(), 0)?;
    Ok(file)
}

fn compile(folder: &Path) -> Result<OsString, String> {
    let source = folder.join("clock_shim.c");
    std::fs::write(&source, SOURCE).map_err(|error| format!("{}: {error}", source.display()))?;
    let library = folder.join("clock_shim.so");
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("no C compiler `cc`: {error}"))?;
    if output.status.success() {
        Ok(library.into())
    } else {
        let errors = String::from_utf8_lossy(&output.stderr);
        Err(format!("cc failed: {errors}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock_of(environment: &[(&'static str, OsString)]) -> i64 {
        let output = Command::new("date")
            .arg("+%s")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }

    #[test]
    fn clock_of_one_process_is_moved_and_the_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let clocks = match Clocks::new(folder.path(), 2) {
            Ok(clocks) => clocks,
            Err(reason) => return println!("skipped: {reason}"),
        };
        clocks.set(0, -3_600).unwrap();
        let behind = clock_of(&clocks.environment(1)) - clock_of(&clocks.environment(0));
        assert!((3_590..3_610).contains(&behind), "{behind}");
    }
}
