//! `medina enclave audit`: whether an audit log is whole, and the one that the chain knows.

use super::access::EnclaveArgs;
use crate::{
    args::RpcArgs,
    errors::{Failure, Outcome},
    ids::{self, Thing},
    output::{Output, table},
    signer::connect,
};
use clap::Args;
use medina_enclave::{
    AuditComparison, AuditEntry, AuditHead, Enclave, compare_audit, limits, read_audit_log,
};
use medina_sdk::private::Groups;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    enclave: EnclaveArgs,
    /// Read the log's file instead of asking: of an enclave in the node's process it is
    /// DATA/private/enclave/audit.log
    #[arg(long, value_name = "FILE", conflicts_with_all = ["socket", "address"], required_unless_present_any = ["socket", "address"])]
    file: Option<PathBuf>,
    /// Number of the first entry shown
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    from: u64,
    /// Compare with what this organisation's node wrote on the chain: id, name, or an account of it
    #[arg(long, value_name = "ORG")]
    org: Option<String>,
    #[command(flatten)]
    rpc: RpcArgs,
}

/// A log that follows from entry to entry.
struct Read {
    head: AuditHead,
    /// Entries to be shown.
    entries: Vec<AuditEntry>,
    /// The log's hash after as many entries as the chain has hashes of.
    hashes: BTreeMap<u64, [u8; 32]>,
}

pub(super) async fn run(args: &AuditArgs, output: Output) -> Outcome {
    let anchors = match &args.org {
        Some(org) => anchors(&args.rpc.rpc, org).await?,
        None => Vec::new(),
    };
    let read = match &args.file {
        Some(file) => read_file(file, args.from, &anchors)?,
        None => ask(&args.enclave.open()?, args.from, &anchors)?,
    };
    let hash_after = |entries: u64| {
        let hash = read.hashes.get(&entries).copied();
        hash.ok_or_else(|| Failure::new(format!("the log has no entry {entries}")))
    };
    let compared = compare_audit(&read.head, &anchors, hash_after)?;
    if let Some(reason) = wrong(compared) {
        return Err(Failure::new(reason));
    }
    show(args, &read, compared, output);
    Ok(())
}

/// What the organisation's node wrote on the chain.
async fn anchors(url: &str, org: &str) -> Outcome<Vec<AuditHead>> {
    let client = connect(url).await?;
    let org = ids::find(&client, Thing::Org, org).await?;
    let groups = Groups::of(&client)?;
    let mut records = groups.audits(org).await?;
    // Events of the past may be pruned; the last record is in the state.
    records.extend(groups.audit(org).await?);
    let head = |record: medina_sdk::private::AuditRecord| AuditHead {
        entries: record.entries,
        hash: record.head.0,
    };
    Ok(records.into_iter().map(head).collect())
}

fn read_file(path: &Path, from: u64, anchors: &[AuditHead]) -> Outcome<Read> {
    let wanted: Vec<_> = anchors.iter().map(|anchor| anchor.entries).collect();
    let (mut entries, mut hashes) = (Vec::new(), BTreeMap::new());
    let head = read_audit_log(path, |entry, hash| {
        let after = entry.seq + 1;
        if wanted.contains(&after) {
            hashes.insert(after, hash);
        }
        if entry.seq >= from && entries.len() < limits::ENTRIES_MAX {
            entries.push(entry);
        }
    })?;
    Ok(Read {
        head,
        entries,
        hashes,
    })
}

fn ask(enclave: &dyn Enclave, from: u64, anchors: &[AuditHead]) -> Outcome<Read> {
    let head = enclave.verify_audit()?;
    let mut hashes = BTreeMap::from([(head.entries, head.hash)]);
    for anchor in anchors
        .iter()
        .filter(|anchor| anchor.entries < head.entries)
    {
        if let Some(next) = enclave.audit_entries(anchor.entries, 1)?.pop() {
            hashes.insert(anchor.entries, next.previous);
        }
    }
    Ok(Read {
        head,
        entries: enclave.audit_entries(from, limits::ENTRIES_MAX)?,
        hashes,
    })
}

/// What is wrong with a log that follows from entry to entry.
fn wrong(compared: AuditComparison) -> Option<String> {
    match compared {
        AuditComparison::Agrees { .. } => None,
        AuditComparison::Cut { entries, anchored } => Some(format!(
            "the log was cut: it ends before entry {entries}, the chain says that there were {anchored} entries"
        )),
        AuditComparison::Rewritten { first, before } => {
            let last = before - 1;
            Some(format!(
                "the log was rewritten: it leads elsewhere than the chain says; the first wrong entry is one of {first} to {last}"
            ))
        }
    }
}

fn show(args: &AuditArgs, read: &Read, compared: AuditComparison, output: Output) {
    let hash = alloy_primitives::hex::encode_prefixed(read.head.hash);
    let shown: Vec<_> = read.entries.iter().map(entry_json).collect();
    let count = read.head.entries;
    let mut value = json!({ "entries": shown, "count": count, "hash": hash });
    let mut anchored_text = String::new();
    if let (Some(_), AuditComparison::Agrees { anchored }) = (&args.org, compared) {
        value["anchored"] = json!(anchored);
        anchored_text = format!("\nthe chain says the same of the first {anchored}");
    }
    output.result(&value, || {
        let mut rows = table(&["number", "time", "actor", "scope", "action", "digest"]);
        for entry in &read.entries {
            rows.add_row(vec![
                entry.seq.to_string(),
                entry.at_s.to_string(),
                entry.actor.clone(),
                entry.scope.clone(),
                action(entry),
                entry.digest.to_string(),
            ]);
        }
        format!("{rows}\n{count} entries follow from each other, up to {hash}{anchored_text}")
    });
}

fn action(entry: &AuditEntry) -> String {
    format!("{:?}", entry.action).to_lowercase()
}

fn entry_json(entry: &AuditEntry) -> Value {
    json!({
        "seq": entry.seq,
        "time": entry.at_s,
        "actor": entry.actor,
        "scope": entry.scope,
        "action": action(entry),
        "digest": entry.digest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use medina_enclave::{Caller, EnclaveConfig, LocalEnclave};

    /// A log of some entries, and what it is after each.
    fn log(folder: &Path, entries: u64) -> Vec<AuditHead> {
        let enclave = LocalEnclave::open(EnclaveConfig::in_folder(folder)).expect("opens");
        let mut heads = vec![enclave.audit_head().expect("a head")];
        while heads.last().is_none_or(|head| head.entries < entries) {
            let label = format!("party {}", heads.len());
            let caller = Caller::new("tests", "private:*", 1_800_000_000);
            enclave.ensure_party(&caller, &label).expect("a party");
            heads.push(enclave.audit_head().expect("a head"));
        }
        heads
    }

    fn compare(file: &Path, anchors: &[AuditHead]) -> Outcome<AuditComparison> {
        let read = read_file(file, 0, anchors)?;
        compare_audit(&read.head, anchors, |entries| Ok(read.hashes[&entries]))
    }

    #[test]
    fn log_of_another_history_is_told_from_the_one_that_was_anchored() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        let anchors: Vec<_> = log(&one, 6)
            .into_iter()
            .filter(|head| head.entries > 0)
            .collect();
        let file = one.join("audit.log");
        let agrees = compare(&file, &anchors).unwrap();
        assert_eq!(wrong(agrees), None);
        // Whole entries taken off the end.
        let bytes = std::fs::read(&file).unwrap();
        let mut ends = Vec::new();
        for end in 0..bytes.len() {
            std::fs::write(&file, &bytes[..end]).unwrap();
            let cut = wrong(compare(&file, &anchors).unwrap()).expect("it is cut");
            assert!(cut.contains("cut"), "{cut}");
            ends.push(cut);
        }
        ends.dedup();
        let entries = anchors.last().unwrap().entries;
        assert_eq!(
            ends.len() as u64,
            entries,
            "each entry is missed by its number"
        );
        // Another log of as many entries, whole in itself.
        log(&other, entries);
        let rewritten = compare(&other.join("audit.log"), &anchors).unwrap();
        let text = wrong(rewritten).expect("another log");
        assert!(text.contains("first wrong entry is one of 0 to"), "{text}");
    }
}
