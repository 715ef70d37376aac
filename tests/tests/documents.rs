//! Every command that README.md and docs/ show is run as it stands there.
//!
//! # Convention
//!
//! | Block begins with | What happens here |
//! |---|---|
//! | `sh` | run by bash in a folder of its own; the first failing command fails the test |
//! | `sh background` | every line is a process that runs beside the following blocks |
//! | any other word | shown only |
//!
//! * The blocks of a document are run in order; variables and functions stay, the
//!   folder too.
//! * `medina dev` is a network of its own on the same ports, so whatever still
//!   runs in the background is stopped before it.
//! * Ports 8545 to 8644 on 127.0.0.1 become free ones, so that a network of the
//!   developer's own is not touched.
//! * `make` is run with `-n`, in the repository: the targets must exist, their
//!   work is done elsewhere. Programs that no reader is promised (`cast`, `curl`)
//!   are named as skipped where they are missing.

use medina_tests::processes::{eventually, free_ports, medina_binary};
use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// First port that documents use.
const FIRST_PORT: u16 = 8545;
/// Ports that documents use.
const PORTS: u16 = 100;
/// What a process prints once others can use it.
const READY: [(&str, &str); 4] = [
    ("medina dev", "Ctrl-C stops it"),
    ("medina node run", "node started"),
    ("medina gateway run", "gateway listens"),
    ("medina enclave run", "enclave listens"),
];
/// Commands that make a network, and their option for the first port.
const NETWORKS: [(&str, &str); 2] = [
    ("medina network new", "--base-port"),
    ("medina dev", "--rpc-port"),
];
/// What every block is run behind. With `-a` the variables of a block are
/// exported, so that they can be written down for the next one.
const PRELUDE: &str = r#"
if [ -f "$STATE" ]; then . "$STATE"; fi
set -aEeuo pipefail
make() { command make -n -C "$REPOSITORY" "$@"; }
for program in make cast curl; do
    type -P "$program" >/dev/null ||
        eval "$program() { echo \"skipped, not installed: $program \$*\"; }"
done
trap 'echo "this command failed: $BASH_COMMAND" >&2' ERR
"#;
/// What every block ends with.
const POSTLUDE: &str = "\nexport -p | grep -Ev '^declare -[a-z]+ (SHELLOPTS|BASHOPTS|PPID|EUID|UID)=' > \"$STATE\"\n\
     declare -f >> \"$STATE\"\n";

fn repository() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    folder.expect("a crate lies in the workspace").to_owned()
}

/// README.md and everything in docs/.
fn documents() -> Vec<PathBuf> {
    let mut found = vec![repository().join("README.md")];
    let mut folders = vec![repository().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// One fenced block of a document.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// Line of its fence, from 1.
    line: usize,
    /// What stands behind the fence.
    kind: String,
    text: String,
}

/// Blocks of a document in order.
fn blocks(document: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in document.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(kind), None) => {
                open = Some(Block {
                    line: index + 1,
                    kind: kind.trim().to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some(block)) => block.text.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    assert_eq!(open, None, "a block has no end");
    found
}

/// A process of a `sh background` block.
struct Beside {
    child: Child,
    line: String,
    log: PathBuf,
}

impl Drop for Beside {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the blocks of one document are run.
struct Reader {
    name: String,
    folder: TempDir,
    /// State and logs, which the document's commands shall not meet.
    notes: TempDir,
    first_port: u16,
    beside: Vec<Beside>,
    started: usize,
}

impl Reader {
    fn new(path: &Path) -> Self {
        let name = path.strip_prefix(repository()).expect("our own file");
        Self {
            name: name.display().to_string(),
            folder: tempfile::tempdir().expect("a temporary folder"),
            notes: tempfile::tempdir().expect("a temporary folder"),
            first_port: free_ports(PORTS),
            beside: Vec::new(),
            started: 0,
        }
    }

    /// The document's commands on ports of this reader.
    fn with_own_ports(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (command, option) in NETWORKS {
            text = text.replace(command, &format!("{command} {option} {}", self.first_port));
        }
        for offset in 0..PORTS {
            let (shown, own) = (FIRST_PORT + offset, self.first_port + offset);
            text = text.replace(&format!("127.0.0.1:{shown}"), &format!("127.0.0.1:{own}"));
        }
        text
    }

    /// bash in this reader's folder, without the developer's own settings.
    fn bash(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        command
            .args(["-c", script])
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", search_path())
            .env("HOME", self.folder.path())
            // What killed processes leave behind goes with the notes.
            .env("TMPDIR", self.notes.path())
            .env("STATE", self.notes.path().join("state"))
            .env("REPOSITORY", repository())
            .env(
                "MEDINA_RPC",
                format!("http://127.0.0.1:{}", self.first_port),
            )
            .stdin(Stdio::null());
        command
    }

    async fn follow(&mut self, block: &Block) {
        match block.kind.as_str() {
            "sh" => self.run(block),
            "sh background" => self.start(block).await,
            _ => {}
        }
    }

    fn run(&self, block: &Block) {
        let script = format!("{PRELUDE}{}{POSTLUDE}", self.with_own_ports(&block.text));
        let output = self.bash(&script).output().expect("bash can be started");
        let printed = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let place = format!("{}, line {}", self.name, block.line);
        for line in printed.lines().filter(|line| line.starts_with("skipped")) {
            eprintln!("{place}: {line}");
        }
        let logs: String = self.beside.iter().map(Beside::log).collect();
        assert!(
            output.status.success(),
            "{logs}\n{place}: {}\n{}\n{printed}{errors}",
            output.status,
            block.text
        );
    }

    async fn start(&mut self, block: &Block) {
        for line in block.text.lines().filter(|line| !line.trim().is_empty()) {
            if line.starts_with("medina dev") {
                self.beside.clear();
            }
            self.started += 1;
            let log = self.notes.path().join(format!("{}.log", self.started));
            let file = File::create(&log).expect("a writable folder");
            let script = format!("{PRELUDE}exec {}", self.with_own_ports(line));
            let mut command = self.bash(&script);
            command
                .stdout(file.try_clone().expect("a file can be shared"))
                .stderr(file);
            let child = command.spawn().expect("bash can be started");
            let line = line.to_owned();
            self.beside.push(Beside { child, line, log });
        }
        for beside in &mut self.beside {
            beside.ready(&self.name).await;
        }
    }
}

impl Beside {
    fn log(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        format!("\n{}\n{log}", self.line)
    }

    async fn ready(&mut self, document: &str) {
        let known = READY.iter().find(|(start, _)| self.line.starts_with(start));
        let (_, sign) = known.unwrap_or_else(|| {
            panic!(
                "{document}: when is {:?} ready? Add it to READY in {}",
                self.line,
                file!()
            )
        });
        let ended = |child: &mut Child| child.try_wait().expect("our own child");
        let this = std::cell::RefCell::new(self);
        eventually(sign, || async {
            let mut this = this.borrow_mut();
            let log = this.log();
            if let Some(status) = ended(&mut this.child) {
                panic!("{document}: it ended, {status}: {log}");
            }
            log.contains(sign).then_some(())
        })
        .await;
    }
}

/// The built `medina` first, then the developer's programs, then the clients
/// that tests install for themselves.
fn search_path() -> OsString {
    let built = medina_binary().parent().expect("a file").to_owned();
    let own = std::env::var_os("PATH").unwrap_or_default();
    let clients = repository().join("tests/clients/node_modules/@foundry-rs");
    let clients = fs::read_dir(clients).into_iter().flatten().flatten();
    let clients = clients.map(|entry| entry.path().join("bin"));
    let folders = std::iter::once(built)
        .chain(std::env::split_paths(&own))
        .chain(clients);
    std::env::join_paths(folders).expect("parts of a path make a path")
}

async fn follow(name: &str) {
    let path = repository().join(name);
    let document = fs::read_to_string(&path).expect("a readable document");
    let mut reader = Reader::new(&path);
    for block in blocks(&document) {
        reader.follow(&block).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_the_readme_work() {
    follow("README.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_for_operators_work() {
    follow("docs/operators.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_for_sellers_work() {
    follow("docs/sellers.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_for_administrators_work() {
    follow("docs/administrators.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_for_buyers_work() {
    follow("docs/buyers.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_for_federations_work() {
    follow("docs/federations.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_about_consent_work() {
    follow("docs/consent.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_about_incidents_work() {
    follow("docs/incidents.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_about_private_transactions_work() {
    follow("docs/private-transactions.md").await;
}

#[test]
fn every_document_with_commands_is_followed() {
    let followed = [
        "README.md",
        "docs/operators.md",
        "docs/sellers.md",
        "docs/administrators.md",
        "docs/buyers.md",
        "docs/federations.md",
        "docs/consent.md",
        "docs/incidents.md",
        "docs/private-transactions.md",
    ];
    for path in documents() {
        let document = fs::read_to_string(&path).expect("a readable document");
        let is_followed = followed.iter().any(|name| path.ends_with(name));
        for block in blocks(&document) {
            let place = format!("{}, line {}", path.display(), block.line);
            let is_other_shell = ["", "bash", "shell", "console"].contains(&block.kind.as_str());
            assert!(!is_other_shell, "{place}: say `sh` or `text`");
            let is_shell = block.kind.split(' ').next() == Some("sh");
            let is_known = ["sh", "sh background"].contains(&block.kind.as_str());
            assert_eq!(is_shell, is_known, "{place}: {}", block.kind);
            assert!(!is_shell || is_followed, "{place} is run by no test");
        }
    }
}

/// Sources as one text, with strings that go on in the next line joined.
fn sources() -> String {
    let mut text = fs::read_to_string(repository().join("scripts/setup")).expect("readable");
    let mut folders: Vec<_> = ["node", "genesis", "sdk", "cli"]
        .map(|name| repository().join(name))
        .to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(path).expect("a readable source"));
            }
        }
    }
    let lines: Vec<_> = text.split("\\\n").map(str::trim_start).collect();
    lines.concat()
}

/// `unknown field` is the TOML reader's own.
const NOT_OURS: [&str; 1] = ["unknown field"];

#[test]
fn troubleshooting_quotes_messages_that_exist() {
    let readme = fs::read_to_string(repository().join("README.md")).expect("readable");
    let section = readme
        .split("## Troubleshooting")
        .nth(1)
        .expect("it is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    let sources = sources();
    let mut quotes = 0;
    for row in section
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
    {
        let seen = row.split('|').nth(1).unwrap_or_default();
        let Some(quote) = seen.split('`').nth(1) else {
            continue;
        };
        quotes += 1;
        let parts = quote.split('…').map(|part| part.trim_matches([' ', ',']));
        for part in parts.filter(|part| part.len() > 2 && !NOT_OURS.contains(part)) {
            let part = part.trim_end_matches(": false");
            assert!(sources.contains(part), "no source says {part:?}");
        }
    }
    assert!(quotes >= 5, "the table has lost its quotes");
}

#[test]
fn blocks_are_found_with_kind_and_place() {
    let document = "a\n```sh\nls\n```\n\n```sh background\nmedina dev\n```\n";
    let block = |line, kind: &str, text: &str| Block {
        line,
        kind: kind.to_owned(),
        text: text.to_owned(),
    };
    let expected = [
        block(2, "sh", "ls\n"),
        block(6, "sh background", "medina dev\n"),
    ];
    assert_eq!(blocks(document), expected);
}
