//! Commands of `medina` as people type them, and programs that run beside a test: one helper for the tests of
//! the command line and for the stories.

use medina_sdk::wallet::TEST_MNEMONIC;
use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

/// A program that runs beside the test and ends with it.
#[derive(Debug)]
pub struct Beside {
    child: Child,
    /// A program whose reader is gone would end at its next line.
    _output: BufReader<ChildStdout>,
}

impl Beside {
    /// Starts it and waits until it has printed what says that it is ready.
    ///
    /// # Panics
    /// When it cannot be started, or ends before.
    #[must_use]
    pub fn start(program: impl AsRef<OsStr>, folder: &Path, line: &str, ready: &str) -> Self {
        let mut child = command(program, folder, line)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let output = child.stdout.take().expect("it is piped");
        let mut output = BufReader::new(output);
        let mut said = String::new();
        while !said.contains(ready) {
            let read = output.read_line(&mut said);
            assert_ne!(read.expect("it writes text"), 0, "{line} ended: {said}");
        }
        Self {
            child,
            _output: output,
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command as it is typed, in a folder, with the accounts of the test mnemonic.
pub fn command(program: impl AsRef<OsStr>, folder: &Path, line: &str) -> Command {
    let mut command = Command::new(program);
    command
        .args(words(line))
        .current_dir(folder)
        .env("MEDINA_MNEMONIC", TEST_MNEMONIC)
        .env("MEDINA_LOG", "warn")
        .env("MEDINA_DOCUMENT_KEY", folder.join("document.key"))
        .stdin(Stdio::null());
    command
}

/// A line's words; what stands in double quotes is one.
#[must_use]
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(words("a  \"b c\" d"), ["a", "b c", "d"]);
        assert_eq!(words("a \"\" b"), ["a", "", "b"]);
    }
}
