//! What remains of an erased payload: on the disk, in backups, in old copies.

use crate::common::{Pair, Place, SECRET, caller, copy_folder, files_with};
use medina_enclave::{Digest, Enclave, EnclaveError, LocalEnclave, PayloadStatus};
use std::fs;

/// A piece of the ciphertext, as anybody on the wire saw it.
fn ciphertext_of(envelope: &medina_enclave::Envelope) -> &[u8] {
    &envelope.ciphertext
}

#[test]
fn disk_of_a_holder_shows_no_payload_before_and_no_ciphertext_after_erasure() {
    let mut pair = Pair::new(Place::Local);
    let envelope = pair.seal(SECRET);
    let digest = envelope.digest();
    pair.bob().accept(&caller(), &envelope).unwrap();
    for (host, party) in [(pair.alice(), &pair.alice), (pair.bob(), &pair.bob)] {
        host.open(&caller(), &digest, party).unwrap();
    }
    let folders = [pair.alice_host.folder(), pair.bob_host.folder()];
    for folder in &folders {
        assert!(files_with(folder, SECRET).is_empty());
        assert!(!files_with(folder, ciphertext_of(&envelope)).is_empty());
    }
    pair.alice()
        .erase(&caller(), &digest, &pair.alice, "")
        .unwrap();
    pair.bob().erase(&caller(), &digest, &pair.bob, "").unwrap();
    for running in [true, false] {
        for folder in &folders {
            let left = files_with(folder, ciphertext_of(&envelope));
            assert!(left.is_empty(), "running {running}: {left:?}");
        }
        pair.alice_host.stop();
        pair.bob_host.stop();
    }
}

/// Everything but the secrets is copied before the erasure and put back after it.
#[test]
fn old_copy_of_both_databases_opens_the_erased_payload_no_more() {
    let mut pair = Pair::new(Place::Local);
    let (digest, kept) = (pair.deliver(SECRET), pair.deliver(b"keep me"));
    let old = tempfile::tempdir().unwrap();
    pair.bob_host.stop();
    let folder = pair.bob_host.folder();
    for part in ["payloads", "payload-keys"] {
        copy_folder(&folder.join(part), &old.path().join(part));
    }
    pair.bob_host.start();
    pair.bob().erase(&caller(), &digest, &pair.bob, "").unwrap();
    pair.bob_host.stop();
    for part in ["payloads", "payload-keys"] {
        fs::remove_dir_all(folder.join(part)).unwrap();
        copy_folder(&old.path().join(part), &folder.join(part));
    }
    pair.bob_host.start();
    // It is asked for again, and nobody believes that it is held.
    let refused = pair.bob().open(&caller(), &digest, &pair.bob);
    assert_eq!(refused.err(), Some(EnclaveError::Missing(digest)));
    assert_eq!(pair.bob().status(&digest).unwrap(), PayloadStatus::Missing);
    if kept.0[0] != digest.0[0] {
        let opened = pair.bob().open(&caller(), &kept, &pair.bob).unwrap();
        assert_eq!(opened.as_slice(), b"keep me");
    }
    // The enclave goes on: it can erase it by name, and take in new ones.
    pair.bob().erase(&caller(), &digest, &pair.bob, "").unwrap();
    let refused = pair.bob().open(&caller(), &digest, &pair.bob);
    assert_eq!(refused.err(), Some(EnclaveError::Erased(digest)));
    pair.deliver(SECRET);
}

/// A backup from before the erasure brings the ciphertext back, but no key.
#[test]
fn backup_put_back_does_not_bring_an_erased_payload_back() {
    let mut pair = Pair::new(Place::Local);
    let envelope = pair.seal(SECRET);
    let digest = envelope.digest();
    pair.bob().accept(&caller(), &envelope).unwrap();
    let target = tempfile::tempdir().unwrap();
    let backup = target.path().join("backup");
    pair.bob().back_up(&backup).unwrap();
    pair.bob().erase(&caller(), &digest, &pair.bob, "").unwrap();
    pair.bob_host.stop();
    let folder = pair.bob_host.folder();
    fs::remove_dir_all(folder.join("payloads")).unwrap();
    copy_folder(&backup, &folder.join("payloads"));
    pair.bob_host.start();
    assert!(matches!(
        pair.bob().status(&digest).unwrap(),
        PayloadStatus::Erased(_)
    ));
    let resent = pair.bob().accept(&caller(), &envelope);
    assert_eq!(resent, Err(EnclaveError::Erased(digest)));
    // The start has thrown the ciphertext out again.
    assert!(files_with(&folder, ciphertext_of(&envelope)).is_empty());
}

#[test]
fn stored_payload_is_forgotten_in_both_its_forms() {
    let mut pair = Pair::new(Place::Local);
    let handle = pair
        .alice()
        .store_raw(&caller(), SECRET, &pair.alice)
        .unwrap();
    let old = tempfile::tempdir().unwrap();
    pair.alice_host.stop();
    let folder = pair.alice_host.folder();
    for part in ["payloads", "payload-keys"] {
        copy_folder(&folder.join(part), &old.path().join(part));
    }
    pair.alice_host.start();
    let key = pair.bob_host.key(&pair.bob);
    let envelope = pair
        .alice()
        .seal_raw(
            &caller(),
            &handle,
            &crate::common::terms(pair.alice),
            &[key],
        )
        .unwrap();
    pair.alice()
        .erase(&caller(), &envelope.digest(), &pair.alice, "")
        .unwrap();
    pair.alice_host.stop();
    for part in ["payloads", "payload-keys"] {
        fs::remove_dir_all(folder.join(part)).unwrap();
        copy_folder(&old.path().join(part), &folder.join(part));
    }
    let again = LocalEnclave::open(pair.alice_host.config()).unwrap();
    let refused = again.open_raw(&caller(), &handle, &pair.alice);
    assert_eq!(refused.err(), Some(EnclaveError::UnknownHandle(handle)));
}

#[test]
fn erasures_and_arrivals_at_once_lose_nothing() {
    let pair = Pair::new(Place::Local);
    // All in a few buckets, so that they meet.
    let envelopes: Vec<_> = (0..48_u8).map(|number| pair.seal(&[number; 8])).collect();
    let forgotten: Vec<Digest> = (0..=u8::MAX).map(|number| Digest([number; 32])).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for digest in &forgotten[..64] {
                pair.bob().erase(&caller(), digest, &pair.bob, "").unwrap();
            }
        });
        for half in envelopes.chunks(24) {
            let pair = &pair;
            scope.spawn(move || {
                for envelope in half {
                    pair.bob().accept(&caller(), envelope).unwrap();
                }
            });
        }
    });
    for (envelope, number) in envelopes.iter().zip(0_u8..) {
        let opened = pair
            .bob()
            .open(&caller(), &envelope.digest(), &pair.bob)
            .unwrap();
        assert_eq!(opened.as_slice(), [number; 8]);
    }
    pair.bob().verify_audit().unwrap();
}

#[test]
fn lost_key_file_is_named_at_the_start_and_no_new_one_takes_its_place() {
    let mut pair = Pair::new(Place::Local);
    let digest = pair.deliver(SECRET);
    pair.bob_host.stop();
    let buckets = pair.bob_host.folder().join("secrets/buckets");
    let (file, aside) = (
        buckets.join(format!("{:03x}-1", digest.0[0])),
        pair.bob_host.folder().join("aside"),
    );
    fs::rename(&file, &aside).unwrap();
    let refused = LocalEnclave::open(pair.bob_host.config()).err();
    let named = file.display().to_string();
    assert!(
        matches!(&refused, Some(EnclaveError::KeyFile { path, reason })
            if *path == named && reason.contains("missing")),
        "{refused:?}"
    );
    assert!(!file.exists());
    fs::rename(&aside, &file).unwrap();
    pair.bob_host.start();
    let opened = pair.bob().open(&caller(), &digest, &pair.bob).unwrap();
    assert_eq!(opened.as_slice(), SECRET);
    // The same after its bucket has got another key.
    let other = same_bucket(&pair, &digest);
    pair.bob().erase(&caller(), &digest, &pair.bob, "").unwrap();
    pair.bob_host.stop();
    let second = buckets.join(format!("{:03x}-2", digest.0[0]));
    fs::rename(&second, &aside).unwrap();
    let refused = LocalEnclave::open(pair.bob_host.config()).err();
    let named = second.display().to_string();
    assert!(
        matches!(&refused, Some(EnclaveError::KeyFile { path, .. }) if *path == named),
        "{refused:?}"
    );
    fs::rename(&aside, &second).unwrap();
    pair.bob_host.start();
    pair.bob().open(&caller(), &other, &pair.bob).unwrap();
}

/// The way out that the message names: members have the payload, and its erasures stay known.
#[test]
fn after_the_loss_of_a_key_file_payloads_are_taken_in_again() {
    let mut pair = Pair::new(Place::Local);
    let (envelope, erased) = (pair.seal(SECRET), pair.seal(b"erased"));
    let digest = envelope.digest();
    for one in [&envelope, &erased] {
        pair.bob().accept(&caller(), one).unwrap();
    }
    pair.bob()
        .erase(&caller(), &erased.digest(), &pair.bob, "")
        .unwrap();
    let folder = pair.bob_host.folder();
    pair.bob_host.stop();
    let file = format!("secrets/buckets/{:03x}-", digest.0[0]);
    let version = if digest.0[0] == erased.digest().0[0] {
        2
    } else {
        1
    };
    fs::remove_file(folder.join(format!("{file}{version}"))).unwrap();
    assert!(LocalEnclave::open(pair.bob_host.config()).is_err());
    fs::rename(folder.join("payload-keys"), folder.join("aside")).unwrap();
    pair.bob_host.start();
    assert_eq!(pair.bob().status(&digest).unwrap(), PayloadStatus::Missing);
    assert!(pair.bob().accept(&caller(), &envelope).unwrap().is_new);
    let opened = pair.bob().open(&caller(), &digest, &pair.bob).unwrap();
    assert_eq!(opened.as_slice(), SECRET);
    let back = pair.bob().accept(&caller(), &erased);
    assert_eq!(back, Err(EnclaveError::Erased(erased.digest())));
}

/// Another payload in the bucket of one.
fn same_bucket(pair: &Pair, digest: &Digest) -> Digest {
    let sealed = || pair.seal(b"a neighbour");
    let found = std::iter::repeat_with(sealed)
        .take(10_000)
        .find(|sealed| sealed.digest().0[0] == digest.0[0])
        .expect("one of 256 buckets comes up");
    pair.bob().accept(&caller(), &found).expect("taken in");
    found.digest()
}

/// What an older copy of the store lost with a key comes from another holder again.
#[test]
fn payload_whose_key_is_of_a_destroyed_version_is_taken_in_again() {
    let mut pair = Pair::new(Place::Local);
    let (erased, envelope) = (pair.deliver(SECRET), pair.seal(b"stays"));
    let envelope = std::iter::once(envelope)
        .chain(std::iter::repeat_with(|| pair.seal(b"stays")))
        .take(10_000)
        .find(|sealed| sealed.digest().0[0] == erased.0[0])
        .expect("one of 256 buckets comes up");
    let kept = envelope.digest();
    pair.bob().accept(&caller(), &envelope).unwrap();
    pair.bob_host.stop();
    let (folder, old) = (pair.bob_host.folder(), tempfile::tempdir().unwrap());
    for part in ["payloads", "payload-keys"] {
        copy_folder(&folder.join(part), &old.path().join(part));
    }
    pair.bob_host.start();
    pair.bob().erase(&caller(), &erased, &pair.bob, "").unwrap();
    pair.bob_host.stop();
    for part in ["payloads", "payload-keys"] {
        fs::remove_dir_all(folder.join(part)).unwrap();
        copy_folder(&old.path().join(part), &folder.join(part));
    }
    pair.bob_host.start();
    assert_eq!(pair.bob().status(&kept).unwrap(), PayloadStatus::Missing);
    assert!(pair.bob().accept(&caller(), &envelope).unwrap().is_new);
    let open = |pair: &Pair| pair.bob().open(&caller(), &kept, &pair.bob).unwrap();
    assert_eq!(open(&pair).as_slice(), b"stays");
    pair.bob_host.restart();
    assert_eq!(open(&pair).as_slice(), b"stays");
}
