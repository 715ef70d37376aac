//! What a thief gets: recorded traffic and today's keys, or a disk without its secrets.

use crate::common::{Pair, Place, SECRET, caller, copy_folder, files_with, key_of};
use medina_enclave::{Enclave, EnclaveConfig, EnclaveError, LocalEnclave};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Bob's keys of today, without his store: what opens for them opens for the thief.
fn thief(pair: &Pair, folder: &std::path::Path) -> LocalEnclave {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("permissions");
    let secrets = pair.bob_host.folder().join("secrets");
    copy_folder(&secrets, &folder.join("secrets"));
    LocalEnclave::open(EnclaveConfig::in_folder(folder)).expect("opens with stolen keys")
}

#[test]
fn recorded_traffic_does_not_open_with_todays_keys() {
    let mut pair = Pair::new(Place::Local);
    let recorded = pair.seal(SECRET);
    let digest = recorded.digest();

    // The day's keys do open it: the thief's way works as such.
    let same_day = tempfile::tempdir().unwrap();
    let stolen = thief(&pair, same_day.path());
    stolen.accept(&caller(), &recorded).unwrap();
    let opened = stolen.open(&caller(), &digest, &pair.bob).unwrap();
    assert_eq!(opened.as_slice(), SECRET);

    pair.bob().accept(&caller(), &recorded).unwrap();
    let new = pair.bob().rotate(&caller(), &pair.bob, 1).unwrap();
    pair.bob()
        .destroy_epochs_before(&caller(), &pair.bob, new.epoch)
        .unwrap();
    pair.bob_host.stop();
    let next_day = tempfile::tempdir().unwrap();
    let stolen = thief(&pair, next_day.path());
    assert_eq!(key_of(&stolen, &pair.bob).epoch, new.epoch);
    let refused = stolen.accept(&caller(), &recorded);
    assert!(matches!(refused, Err(EnclaveError::UnknownEpoch { .. })));

    // Bob himself goes on reading what he took in.
    pair.bob_host.start();
    let opened = pair.bob().open(&caller(), &digest, &pair.bob).unwrap();
    assert_eq!(opened.as_slice(), SECRET);
}

/// The sender's keys, long-lived ones too, never open what it sent: HPKE's are of the moment.
#[test]
fn recorded_traffic_does_not_open_with_the_senders_keys() {
    let mut pair = Pair::new(Place::Local);
    let recorded = pair.seal(SECRET);
    pair.alice_host.stop();
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    copy_folder(
        &pair.alice_host.folder().join("secrets"),
        &folder.path().join("secrets"),
    );
    let stolen = LocalEnclave::open(EnclaveConfig::in_folder(folder.path())).unwrap();
    let refused = stolen.accept(&caller(), &recorded);
    assert_eq!(refused, Err(EnclaveError::NotForUs(recorded.digest())));
}

#[test]
fn disk_without_its_secrets_opens_nothing() {
    let mut pair = Pair::new(Place::Local);
    let digest = pair.deliver(SECRET);
    pair.bob_host.stop();
    let disk = tempfile::tempdir().unwrap();
    fs::set_permissions(disk.path(), fs::Permissions::from_mode(0o700)).unwrap();
    for part in ["payloads", "payload-keys"] {
        copy_folder(&pair.bob_host.folder().join(part), &disk.path().join(part));
    }
    assert!(files_with(disk.path(), SECRET).is_empty());
    let stolen = LocalEnclave::open(EnclaveConfig::in_folder(disk.path()));
    let bucket = format!("{:03x}-1", digest.0[0]);
    assert!(
        matches!(&stolen, Err(EnclaveError::KeyFile { path, .. }) if path.ends_with(&bucket)),
        "{:?}",
        stolen.err()
    );
}

#[test]
fn secrets_may_lie_on_another_medium() {
    let (folder, medium) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = EnclaveConfig {
        secrets: Some(medium.path().join("secrets")),
        ..EnclaveConfig::in_folder(folder.path().join("enclave"))
    };
    let enclave = LocalEnclave::open(config.clone()).unwrap();
    let party = enclave.ensure_party(&caller(), "alice").unwrap();
    drop(enclave);
    assert!(!folder.path().join("enclave/secrets").exists());
    let again = LocalEnclave::open(config).unwrap();
    assert_eq!(again.ensure_party(&caller(), "alice").unwrap(), party);
}

#[test]
fn files_and_folders_are_for_their_owner_only() {
    let pair = Pair::new(Place::Local);
    pair.deliver(SECRET);
    let secrets = pair.bob_host.folder().join("secrets");
    let mut folders = vec![pair.bob_host.folder(), secrets.clone()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        let mode = fs::metadata(&folder).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{}", folder.display());
        if !folder.starts_with(&secrets) {
            continue;
        }
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap() != "label" {
                let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
                assert_eq!(mode, 0o600, "{}", path.display());
                files += 1;
            }
        }
    }
    assert!(files >= 3, "identity, epoch, bucket: found {files}");
}

#[test]
fn secrets_open_to_others_are_refused_with_the_remedy() {
    let mut pair = Pair::new(Place::Local);
    pair.bob_host.stop();
    let secrets = pair.bob_host.folder().join("secrets");
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o755)).unwrap();
    let refused = LocalEnclave::open(pair.bob_host.config()).err().unwrap();
    assert!(refused.to_string().contains("chmod 700"), "{refused}");
}

#[test]
fn two_enclaves_never_share_a_folder() {
    let pair = Pair::new(Place::Local);
    let second = LocalEnclave::open(pair.bob_host.config()).err().unwrap();
    assert!(second.to_string().contains("another enclave"), "{second}");
}
