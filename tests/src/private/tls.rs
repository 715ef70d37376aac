//! Node and enclave that know each other by keys, as on two machines.

use crate::processes::medina;
use serde_json::Value;
use std::path::Path;

/// A key in a file, made if it is not there: its public half.
fn key(path: &Path) -> String {
    let path = path.to_str().expect("a path in UTF-8");
    let shown: Value = serde_json::from_str(&medina(&["--json", "enclave", "key", path]))
        .expect("one JSON document");
    shown["key"].as_str().expect("a key").to_owned()
}

/// Tells a node where its enclave listens.
pub(super) fn configure(folder: &Path, port: u16) {
    let path = folder.join("config.toml");
    let text = std::fs::read_to_string(&path).expect("a configuration");
    let mut config: toml::Table = text.parse().expect("TOML");
    let Some(private) = config
        .get_mut("private")
        .and_then(toml::Value::as_table_mut)
    else {
        return;
    };
    private.insert(
        "enclave".to_owned(),
        format!("tls://localhost:{port}").into(),
    );
    let peer = key(&folder.join("enclave-tls.key"));
    key(&folder.join("node-tls.key"));
    let mut tls = toml::Table::new();
    tls.insert("key_file".to_owned(), "node-tls.key".into());
    tls.insert("peer".to_owned(), peer.into());
    private.insert("tls".to_owned(), tls.into());
    std::fs::write(&path, config.to_string()).expect("a configuration");
}

/// What the enclave of a node is told.
pub(super) fn section(folder: &Path, port: u16) -> String {
    let node = key(&folder.join("node-tls.key"));
    format!(
        "[tls]\nlisten = \"127.0.0.1:{port}\"\nkey_file = \"enclave-tls.key\"\npeers = [\"{node}\"]\n"
    )
}
