//! Looks for texts in everything that a node has written: the bytes of its files,
//! and the rows of its databases, whatever their compression.

use rocksdb::{DB, IteratorMode, Options, ReadOptions};
use std::path::{Path, PathBuf};

/// File that every RocksDB has.
const DATABASE_MARK: &str = "CURRENT";

/// Files below a folder that hold a text as it is: logs, write-ahead logs, keys,
/// blocks of a database that are not compressed or hold the text as a literal.
///
/// # Panics
/// Never: what cannot be read is passed over, as a file that has just gone.
#[must_use]
pub fn files_with(folder: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    each_folder(folder, &mut |folder| {
        for path in entries(folder) {
            let holds = std::fs::read(&path).is_ok_and(|bytes| contains(&bytes, needle));
            if path.is_file() && holds {
                found.push(path);
            }
        }
    });
    found
}

/// Databases below a folder with a row that holds a text, after decompression and
/// with the write-ahead log replayed, and how many rows. No node may have them open.
///
/// # Panics
/// When a database cannot be read: then nothing was proven.
#[must_use]
pub fn rows_with(folder: &Path, needle: &[u8]) -> Vec<(PathBuf, usize)> {
    let mut found = Vec::new();
    each_folder(folder, &mut |folder| {
        if folder.join(DATABASE_MARK).is_file() {
            let rows = rows_of(folder, needle);
            if rows > 0 {
                found.push((folder.to_owned(), rows));
            }
        }
    });
    found
}

fn rows_of(folder: &Path, needle: &[u8]) -> usize {
    let options = Options::default();
    let families = DB::list_cf(&options, folder).expect("a database lists its families");
    let database = DB::open_cf_for_read_only(&options, folder, &families, false);
    let database = database.expect("a database opens");
    let mut rows = 0;
    for family in &families {
        let handle = database.cf_handle(family).expect("it was listed");
        let mut reading = ReadOptions::default();
        reading.set_total_order_seek(true);
        for row in database.iterator_cf_opt(handle, reading, IteratorMode::Start) {
            let (key, value) = row.expect("a sound row");
            rows += usize::from(contains(&key, needle) || contains(&value, needle));
        }
    }
    rows
}

/// Whether a text is in some bytes.
#[must_use]
pub fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

fn each_folder(folder: &Path, look: &mut dyn FnMut(&Path)) {
    look(folder);
    for path in entries(folder) {
        if path.is_dir() {
            each_folder(&path, look);
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_found_in_files_and_in_compressed_rows_below_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let text = b"a needle in a haystack";
        let inner = folder.path().join("inner");
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_compression_type(rocksdb::DBCompressionType::Lz4);
        let database = DB::open(&options, &inner).unwrap();
        database
            .put(b"key", [&[0; 1_000], &text[..]].concat())
            .unwrap();
        database.flush().unwrap();
        drop(database);
        assert_eq!(rows_with(folder.path(), text), [(inner.clone(), 1)]);
        assert_eq!(rows_with(folder.path(), b"another"), []);
        std::fs::write(inner.join("a.log"), [&[7; 9], &text[..]].concat()).unwrap();
        assert!(files_with(folder.path(), text).contains(&inner.join("a.log")));
        assert!(files_with(folder.path(), b"another").is_empty());
    }
}
