//! Where cases, chain and schema lie.

use std::path::{Path, PathBuf};

/// Folders above the cases in which chain and schema are looked for.
const FOLDERS_ABOVE: usize = 3;

/// The folder with `openrpc.json` and `tests`: what `MEDINA_RPC_TESTS` names, or
/// `shared/rpc` beside the repository or the working directory.
#[must_use]
pub fn shared_rpc_folder() -> Option<PathBuf> {
    let named = std::env::var_os("MEDINA_RPC_TESTS").map(PathBuf::from);
    let beside = [
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/rpc"),
        PathBuf::from("../shared/rpc"),
        PathBuf::from("shared/rpc"),
    ];
    let mut places = named.into_iter().chain(beside);
    places.find(|folder| folder.is_dir())
}

/// The files that a run needs beside its cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcFiles {
    /// Genesis as geth writes it.
    pub genesis: PathBuf,
    /// Blocks from number 1 on, one RLP behind the other.
    pub chain: PathBuf,
    /// The OpenRPC document.
    pub schema: PathBuf,
}

impl RpcFiles {
    /// Those beside the cases or in the folders above, else the shared ones.
    ///
    /// # Errors
    /// A sentence that names what is missing.
    pub fn of_cases(cases: &Path) -> Result<Self, String> {
        Ok(Self {
            genesis: find(cases, "genesis.json")?,
            chain: find(cases, "chain.rlp")?,
            schema: find(cases, "openrpc.json")?,
        })
    }
}

fn find(cases: &Path, name: &str) -> Result<PathBuf, String> {
    let absolute = cases.canonicalize();
    let absolute = absolute.map_err(|error| format!("cannot read {}: {error}", cases.display()))?;
    let above = absolute.ancestors().take(FOLDERS_ABOVE);
    let shared = shared_rpc_folder();
    let shared = shared
        .iter()
        .flat_map(|folder| [folder.join("tests"), folder.clone()]);
    let folders = above.map(Path::to_path_buf).chain(shared);
    let mut files = folders.map(|folder| folder.join(name));
    files.find(|file| file.is_file()).ok_or_else(|| {
        format!(
            "no {name} beside {}; MEDINA_RPC_TESTS names a folder that has it",
            cases.display()
        )
    })
}
