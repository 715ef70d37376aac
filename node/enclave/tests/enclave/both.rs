//! What every enclave does, in this process, behind a socket and over TLS alike.

use crate::common::{NOW_S, Pair, Place, SECRET, at, caller, files_with, terms};
use medina_enclave::{
    AuditAction, Certificate, Digest, EnclaveError, GroupId, Mode, PartyId, PayloadStatus,
    RawHandle, RecipientKey, Roots, SignDomain, Tag, epoch_key_hash, limits, party_hash, verify,
};

/// Runs each story in every place.
macro_rules! everywhere {
    ($($story:ident),* $(,)?) => {
        mod in_process {
            use super::{Place, stories};
            $(#[test] fn $story() { stories::$story(Place::Local); })*
        }
        mod behind_a_socket {
            use super::{Place, stories};
            $(#[test] fn $story() { stories::$story(Place::Remote); })*
        }
        mod over_tls {
            use super::{Place, stories};
            $(#[test] fn $story() { stories::$story(Place::Tls); })*
        }
    };
}

everywhere!(
    payload_opens_for_its_parties_and_nobody_else,
    tenants_of_one_enclave_do_not_see_each_other,
    everything_survives_a_restart,
    envelope_taken_in_twice_is_the_same,
    envelope_for_others_is_refused,
    replaced_key_opens_what_was_under_way_and_then_no_more,
    time_rotates_and_destroys_keys,
    rotation_asked_for_twice_happens_once,
    member_wraps_for_one_who_came_later,
    erased_payload_is_erased_and_not_missing,
    erased_payload_does_not_come_back,
    payload_that_never_came_is_kept_away_too,
    others_in_the_bucket_survive_an_erasure,
    tombstones_are_listed_in_order,
    group_secret_makes_markers_known_to_members_only,
    twin_secrets_of_a_group_come_to_one,
    secret_given_away_as_another_groups_changes_no_marker,
    unused_payload_is_dropped_and_may_come_again,
    stored_payload_is_sealed_under_its_handle,
    stored_payload_sealed_twice_is_one_envelope,
    erased_handle_is_erased,
    certificates_are_what_the_contract_checks,
    signatures_are_of_their_domain,
    audit_log_tells_who_did_what,
    backup_holds_no_keys,
    everything_has_a_bound,
    wrong_requests_are_refused_by_name,
);

// They are tests in both places.
#[cfg(test)]
mod stories {
    use super::*;

    pub(super) fn payload_opens_for_its_parties_and_nobody_else(place: Place) {
        let pair = Pair::new(place);
        let envelope = pair.seal(SECRET);
        let digest = envelope.digest();
        let missing = pair.bob().open(&caller(), &digest, &pair.bob);
        assert_eq!(missing.err(), Some(EnclaveError::Missing(digest)));

        let accepted = pair.bob().accept(&caller(), &envelope).unwrap();
        assert_eq!((accepted.digest, accepted.is_new), (digest, true));
        assert_eq!(accepted.parties, [pair.bob]);
        for (host, party) in [(pair.alice(), &pair.alice), (pair.bob(), &pair.bob)] {
            assert_eq!(
                host.open(&caller(), &digest, party).unwrap().as_slice(),
                SECRET
            );
        }
        let PayloadStatus::Held(held) = pair.bob().status(&digest).unwrap() else {
            panic!("the payload is held");
        };
        let mut parties = [pair.alice, pair.bob];
        parties.sort();
        assert_eq!(held.metadata.recipients, parties);
        assert_eq!(
            (held.metadata.anchor_slot, held.parties),
            (77, vec![pair.bob])
        );
    }

    pub(super) fn tenants_of_one_enclave_do_not_see_each_other(place: Place) {
        let pair = Pair::new(place);
        let carol = pair.bob_host.party("carol");
        assert_ne!(carol, pair.bob);
        assert_eq!(pair.bob_host.party("carol"), carol);
        let digest = pair.deliver(SECRET);
        let refused = pair.bob().open(&caller(), &digest, &carol);
        assert_eq!(
            refused.err(),
            Some(EnclaveError::NotAParty {
                digest,
                party: carol
            })
        );
        let handle = pair.bob().store_raw(&caller(), SECRET, &pair.bob).unwrap();
        let refused = pair.bob().open_raw(&caller(), &handle, &carol);
        assert_eq!(refused.err(), Some(EnclaveError::UnknownHandle(handle)));
        let key = pair.bob_host.key(&carol);
        let refused = pair.bob().rewrap(&caller(), &digest, &carol, &[key]);
        assert!(matches!(refused, Err(EnclaveError::NotAParty { .. })));
    }

    pub(super) fn everything_survives_a_restart(place: Place) {
        let mut pair = Pair::new(place);
        let digest = pair.deliver(SECRET);
        let group = GroupId([4; 32]);
        pair.bob()
            .ensure_group_secret(&caller(), &group, 1)
            .unwrap();
        let tag = pair.bob().tag(&group, &digest).unwrap();
        let before = (
            pair.bob().parties().unwrap(),
            pair.bob().audit_head().unwrap(),
        );
        pair.bob_host.restart();
        let after = (
            pair.bob().parties().unwrap(),
            pair.bob().audit_head().unwrap(),
        );
        assert_eq!(before, after);
        assert_eq!(
            pair.bob()
                .secret_of(&digest, &tag)
                .unwrap()
                .map(|info| info.group),
            Some(group)
        );
        let opened = pair.bob().open(&caller(), &digest, &pair.bob).unwrap();
        assert_eq!(opened.as_slice(), SECRET);
    }

    pub(super) fn envelope_taken_in_twice_is_the_same(place: Place) {
        let pair = Pair::new(place);
        let envelope = pair.seal(SECRET);
        let first = pair.bob().accept(&caller(), &envelope).unwrap();
        let second = pair.bob().accept(&caller(), &envelope).unwrap();
        assert!(first.is_new && !second.is_new);
        assert_eq!(first.digest, second.digest);
        // Its sender holds it already, without any wrap.
        let own = pair.alice().accept(&caller(), &envelope).unwrap();
        assert!(!own.is_new);
    }

    pub(super) fn envelope_for_others_is_refused(place: Place) {
        let pair = Pair::new(place);
        let stranger = place.host();
        stranger.party("mallory");
        let envelope = pair.seal(SECRET);
        let digest = envelope.digest();
        let refused = stranger.enclave().accept(&caller(), &envelope);
        assert_eq!(refused, Err(EnclaveError::NotForUs(digest)));
        assert_eq!(
            stranger.enclave().status(&digest).unwrap(),
            PayloadStatus::Missing
        );
    }

    pub(super) fn replaced_key_opens_what_was_under_way_and_then_no_more(place: Place) {
        let pair = Pair::new(place);
        let (under_way, too_late) = (pair.seal(SECRET), pair.seal(SECRET));
        let old = pair.bob_host.key(&pair.bob);
        let new = pair.bob().rotate(&caller(), &pair.bob, old.epoch).unwrap();
        assert_eq!(new.epoch, old.epoch + 1);
        assert_ne!(new.x25519, old.x25519);
        pair.bob().accept(&caller(), &under_way).unwrap();

        pair.bob()
            .destroy_epochs_before(&caller(), &pair.bob, new.epoch)
            .unwrap();
        let refused = pair.bob().accept(&caller(), &too_late);
        assert_eq!(
            refused,
            Err(EnclaveError::UnknownEpoch {
                party: pair.bob,
                epoch: old.epoch
            })
        );
        let again = pair
            .alice()
            .rewrap(
                &caller(),
                &too_late.digest(),
                &pair.alice,
                &[pair.bob_host.key(&pair.bob)],
            )
            .unwrap();
        pair.bob().accept(&caller(), &again).unwrap();
        // What was taken in before opens as ever: its key moved under the enclave's own.
        let opened = pair.bob().open(&caller(), &under_way.digest(), &pair.bob);
        assert_eq!(opened.unwrap().as_slice(), SECRET);
    }

    pub(super) fn time_rotates_and_destroys_keys(place: Place) {
        let pair = Pair::new(place);
        let bob = pair.bob();
        let day = limits::EPOCH_S;
        assert_eq!(bob.keep_time(&at(NOW_S + day - 1)).unwrap(), []);
        let new = bob.keep_time(&at(NOW_S + day)).unwrap();
        assert_eq!(new.len(), 1);
        assert_eq!((new[0].0, new[0].1.epoch), (pair.bob, 2));
        assert_eq!(new[0].1.valid_from_s, NOW_S + day);
        let after_grace = NOW_S + day + limits::EPOCH_GRACE_S;
        assert_eq!(bob.keep_time(&at(after_grace - 1)).unwrap(), []);
        assert_eq!(bob.epoch_keys(&pair.bob).unwrap().len(), 2);
        assert_eq!(bob.keep_time(&at(after_grace)).unwrap(), []);
        assert_eq!(bob.epoch_keys(&pair.bob).unwrap(), [new[0].1]);
        // A clock that goes back does no harm.
        assert_eq!(bob.keep_time(&at(1)).unwrap(), []);
    }

    pub(super) fn rotation_asked_for_twice_happens_once(place: Place) {
        let pair = Pair::new(place);
        let first = pair.bob().rotate(&caller(), &pair.bob, 1).unwrap();
        assert_eq!(pair.bob().rotate(&caller(), &pair.bob, 1).unwrap(), first);
        let skipped = pair.bob().rotate(&caller(), &pair.bob, 5);
        assert!(matches!(skipped, Err(EnclaveError::BadRequest(_))));
    }

    pub(super) fn member_wraps_for_one_who_came_later(place: Place) {
        let pair = Pair::new(place);
        let digest = pair.deliver(SECRET);
        let later = place.host();
        let carol = later.party("carol");
        let envelope = pair
            .bob()
            .rewrap(&caller(), &digest, &pair.bob, &[later.key(&carol)])
            .unwrap();
        assert_eq!(envelope.digest(), digest);
        assert_eq!(envelope.wraps[0].wrapper, pair.bob);
        let accepted = later.enclave().accept(&caller(), &envelope).unwrap();
        assert_eq!(accepted.parties, [carol]);
        let opened = later.enclave().open(&caller(), &digest, &carol).unwrap();
        assert_eq!(opened.as_slice(), SECRET);
    }

    pub(super) fn erased_payload_is_erased_and_not_missing(place: Place) {
        let mut pair = Pair::new(place);
        let digest = pair.deliver(SECRET);
        let receipt = pair
            .bob()
            .erase(&at(NOW_S + 5), &digest, &pair.bob, "article 17")
            .unwrap();
        receipt.verify().unwrap();
        assert_eq!((receipt.party, receipt.digest), (pair.bob, digest));
        assert_eq!((receipt.erased_at_s, receipt.was_held), (NOW_S + 5, true));
        for _ in 0..2 {
            let refused = pair.bob().open(&caller(), &digest, &pair.bob);
            assert_eq!(refused.err(), Some(EnclaveError::Erased(digest)));
            let PayloadStatus::Erased(tombstone) = pair.bob().status(&digest).unwrap() else {
                panic!("the payload is erased");
            };
            assert_eq!(
                (tombstone.by, tombstone.actor.as_str()),
                (pair.bob, "tests")
            );
            assert_eq!(tombstone.reason, "article 17");
            pair.bob_host.restart();
        }
        let again = pair
            .bob()
            .erase(&at(NOW_S + 9), &digest, &pair.bob, "again");
        assert_eq!(again.unwrap(), receipt);
        // Erasing is each holder's own deed.
        assert!(pair.alice().open(&caller(), &digest, &pair.alice).is_ok());
    }

    pub(super) fn erased_payload_does_not_come_back(place: Place) {
        let pair = Pair::new(place);
        let digest = pair.deliver(SECRET);
        pair.bob().erase(&caller(), &digest, &pair.bob, "").unwrap();
        let resent = pair
            .alice()
            .rewrap(
                &caller(),
                &digest,
                &pair.alice,
                &[pair.bob_host.key(&pair.bob)],
            )
            .unwrap();
        let refused = pair.bob().accept(&caller(), &resent);
        assert_eq!(refused, Err(EnclaveError::Erased(digest)));
        let refused = pair.bob().rewrap(
            &caller(),
            &digest,
            &pair.bob,
            &[pair.alice_host.key(&pair.alice)],
        );
        assert_eq!(refused, Err(EnclaveError::Erased(digest)));
    }

    pub(super) fn payload_that_never_came_is_kept_away_too(place: Place) {
        let pair = Pair::new(place);
        let envelope = pair.seal(SECRET);
        let digest = envelope.digest();
        let receipt = pair.bob().erase(&caller(), &digest, &pair.bob, "").unwrap();
        assert!(!receipt.was_held);
        let refused = pair.bob().accept(&caller(), &envelope);
        assert_eq!(refused, Err(EnclaveError::Erased(digest)));
    }

    pub(super) fn others_in_the_bucket_survive_an_erasure(place: Place) {
        let pair = Pair::new(place);
        let seal = |number: usize| {
            let payload = number.to_be_bytes();
            (pair.seal(&payload).digest(), payload)
        };
        let mut sealed = vec![seal(0)];
        let forgotten = sealed[0].0;
        // Until another one lies in the bucket of the first.
        while sealed.len() < 2 || sealed[sealed.len() - 1].0.0[0] != forgotten.0[0] {
            sealed.push(seal(sealed.len()));
        }
        pair.alice()
            .erase(&caller(), &forgotten, &pair.alice, "")
            .unwrap();
        for (digest, payload) in &sealed[1..] {
            let opened = pair.alice().open(&caller(), digest, &pair.alice).unwrap();
            assert_eq!(opened.as_slice(), payload);
        }
    }

    pub(super) fn tombstones_are_listed_in_order(place: Place) {
        let host = place.host();
        let party = host.party("alice");
        let digests = [1, 2, 3].map(|number| Digest([number; 32]));
        for digest in digests.iter().rev() {
            host.enclave().erase(&caller(), digest, &party, "").unwrap();
        }
        let listed = |after: Option<&Digest>, limit| -> Vec<Digest> {
            let tombstones = host.enclave().tombstones(after, limit).unwrap();
            tombstones.into_iter().map(|stone| stone.digest).collect()
        };
        assert_eq!(listed(None, 10), digests);
        assert_eq!(listed(None, 2), digests[..2]);
        assert_eq!(listed(Some(&digests[0]), 10), digests[1..]);
        assert_eq!(listed(Some(&digests[2]), 10), []);
    }

    pub(super) fn group_secret_makes_markers_known_to_members_only(place: Place) {
        let pair = Pair::new(place);
        let (group, other) = (GroupId([1; 32]), GroupId([2; 32]));
        let digest = Digest([7; 32]);
        assert_eq!(
            pair.alice().tag(&group, &digest),
            Err(EnclaveError::NoGroupSecret(group))
        );
        pair.alice()
            .ensure_group_secret(&caller(), &other, 1)
            .unwrap();
        let info = pair
            .alice()
            .ensure_group_secret(&caller(), &group, 1)
            .unwrap();
        let again = pair.alice().ensure_group_secret(&caller(), &group, 1);
        assert_eq!(again.unwrap(), info);
        let tag = pair.alice().tag(&group, &digest).unwrap();
        assert_eq!(pair.bob().secret_of(&digest, &tag).unwrap(), None);

        let shared = pair
            .alice()
            .share_group_secrets(
                &caller(),
                &group,
                &pair.alice,
                &pair.bob_host.key(&pair.bob),
            )
            .unwrap();
        assert_eq!(shared.len(), 1);
        let taken = pair.bob().accept_group_secret(&caller(), &shared[0]);
        assert_eq!(taken.unwrap(), info);
        assert_eq!(
            pair.bob()
                .secret_of(&digest, &tag)
                .unwrap()
                .map(|info| info.group),
            Some(group)
        );
        assert_eq!(
            pair.alice()
                .secret_of(&digest, &tag)
                .unwrap()
                .map(|info| info.group),
            Some(group)
        );
        let wrong = Tag([0; 32]);
        assert_eq!(pair.alice().secret_of(&digest, &wrong).unwrap(), None);
        assert_eq!(
            pair.alice().secret_of(&Digest([8; 32]), &tag).unwrap(),
            None
        );
    }

    pub(super) fn secret_given_away_as_another_groups_changes_no_marker(place: Place) {
        let pair = Pair::new(place);
        let (group, other, digest) = (GroupId([1; 32]), GroupId([2; 32]), Digest([7; 32]));
        let made = |version| {
            let made = pair.alice().ensure_group_secret(&caller(), &group, version);
            made.expect("a secret")
        };
        let old = made(0);
        let tag = pair.alice().tag(&group, &digest).unwrap();
        let new = made(1);
        assert_eq!(pair.alice().secret_of(&digest, &tag).unwrap(), Some(old));
        let newer = pair.alice().tag(&group, &digest).unwrap();
        assert_eq!(pair.alice().secret_of(&digest, &newer).unwrap(), Some(new));
        let key = pair.bob_host.key(&pair.bob);
        let share = |of: &GroupId| {
            let sealed = pair
                .alice()
                .share_group_secrets(&caller(), of, &pair.alice, &key);
            sealed.expect("secrets")
        };
        let sealed = share(&group);
        let versions: Vec<_> = sealed.iter().map(|sealed| sealed.version).collect();
        assert_eq!(versions, [1, 0], "what is in use comes first");
        // What alice knows of one group says nothing about a marker of another.
        pair.alice()
            .ensure_group_secret(&caller(), &other, 0)
            .unwrap();
        for sealed in share(&other).iter().chain(&sealed) {
            pair.bob().accept_group_secret(&caller(), sealed).unwrap();
        }
        assert_eq!(pair.bob().secret_of(&digest, &tag).unwrap(), Some(old));
        assert_eq!(pair.bob().secret_of(&digest, &newer).unwrap(), Some(new));
    }

    pub(super) fn unused_payload_is_dropped_and_may_come_again(place: Place) {
        let pair = Pair::new(place);
        let digest = pair.deliver(SECRET);
        let again = pair
            .alice()
            .rewrap(
                &caller(),
                &digest,
                &pair.alice,
                &[pair.bob_host.key(&pair.bob)],
            )
            .unwrap();
        pair.bob().discard(&caller(), &digest).unwrap();
        pair.bob().discard(&caller(), &digest).unwrap();
        assert_eq!(pair.bob().status(&digest).unwrap(), PayloadStatus::Missing);
        assert!(pair.bob().accept(&caller(), &again).unwrap().is_new);
        let opened = pair.bob().open(&caller(), &digest, &pair.bob).unwrap();
        assert_eq!(opened.as_slice(), SECRET);
        // What was forgotten stays forgotten.
        pair.bob()
            .erase(&caller(), &digest, &pair.bob, "asked for")
            .unwrap();
        pair.bob().discard(&caller(), &digest).unwrap();
        let status = pair.bob().status(&digest).unwrap();
        assert!(matches!(status, PayloadStatus::Erased(_)));
    }

    pub(super) fn twin_secrets_of_a_group_come_to_one(place: Place) {
        let pair = Pair::new(place);
        let (group, digest) = (GroupId([1; 32]), Digest([7; 32]));
        pair.alice()
            .ensure_group_secret(&caller(), &group, 1)
            .unwrap();
        pair.bob()
            .ensure_group_secret(&caller(), &group, 1)
            .unwrap();
        let early = [pair.alice(), pair.bob()].map(|host| host.tag(&group, &digest).unwrap());
        assert_ne!(early[0], early[1]);
        let keys = (
            pair.alice_host.key(&pair.alice),
            pair.bob_host.key(&pair.bob),
        );
        for sealed in pair
            .alice()
            .share_group_secrets(&caller(), &group, &pair.alice, &keys.1)
            .unwrap()
        {
            pair.bob().accept_group_secret(&caller(), &sealed).unwrap();
        }
        for sealed in pair
            .bob()
            .share_group_secrets(&caller(), &group, &pair.bob, &keys.0)
            .unwrap()
        {
            pair.alice()
                .accept_group_secret(&caller(), &sealed)
                .unwrap();
        }
        let late = [pair.alice(), pair.bob()].map(|host| host.tag(&group, &digest).unwrap());
        assert_eq!(late[0], late[1]);
        for tag in early {
            assert_eq!(
                pair.alice()
                    .secret_of(&digest, &tag)
                    .unwrap()
                    .map(|info| info.group),
                Some(group)
            );
        }
        // A later version takes over.
        pair.alice()
            .ensure_group_secret(&caller(), &group, 2)
            .unwrap();
        assert_ne!(pair.alice().tag(&group, &digest).unwrap(), late[0]);
        assert_eq!(pair.alice().group_secrets().unwrap().len(), 3);
    }

    pub(super) fn stored_payload_is_sealed_under_its_handle(place: Place) {
        let mut pair = Pair::new(place);
        let handle = pair
            .alice()
            .store_raw(&caller(), SECRET, &pair.alice)
            .unwrap();
        pair.alice_host.restart();
        let opened = pair.alice().open_raw(&caller(), &handle, &pair.alice);
        assert_eq!(opened.unwrap().as_slice(), SECRET);
        assert_eq!(pair.alice().digest_of(&handle).unwrap(), None);

        let envelope = pair
            .alice()
            .seal_raw(
                &caller(),
                &handle,
                &terms(pair.alice),
                &[pair.bob_host.key(&pair.bob)],
            )
            .unwrap();
        assert_eq!(envelope.metadata.handle, Some(handle));
        let digest = envelope.digest();
        pair.bob().accept(&caller(), &envelope).unwrap();
        for (host, party) in [(pair.alice(), &pair.alice), (pair.bob(), &pair.bob)] {
            assert_eq!(host.digest_of(&handle).unwrap(), Some(digest));
            let by_handle = host.open_raw(&caller(), &handle, party).unwrap();
            let by_digest = host.open(&caller(), &digest, party).unwrap();
            assert_eq!(by_handle.as_slice(), SECRET);
            assert_eq!(by_digest.as_slice(), SECRET);
        }
    }

    pub(super) fn stored_payload_sealed_twice_is_one_envelope(place: Place) {
        let pair = Pair::new(place);
        let handle = pair
            .alice()
            .store_raw(&caller(), SECRET, &pair.alice)
            .unwrap();
        let key = pair.bob_host.key(&pair.bob);
        let seal = |terms| pair.alice().seal_raw(&caller(), &handle, &terms, &[key]);
        let first = seal(terms(pair.alice)).unwrap();
        let second = seal(terms(pair.alice)).unwrap();
        assert_eq!(first.digest(), second.digest());
        pair.bob().accept(&caller(), &second).unwrap();
        let mut elsewhere = terms(pair.alice);
        elsewhere.group = GroupId([99; 32]);
        assert!(matches!(seal(elsewhere), Err(EnclaveError::BadRequest(_))));
    }

    pub(super) fn erased_handle_is_erased(place: Place) {
        let pair = Pair::new(place);
        let handle = pair
            .alice()
            .store_raw(&caller(), SECRET, &pair.alice)
            .unwrap();
        let key = pair.bob_host.key(&pair.bob);
        let envelope = pair
            .alice()
            .seal_raw(&caller(), &handle, &terms(pair.alice), &[key])
            .unwrap();
        let digest = envelope.digest();
        pair.bob().accept(&caller(), &envelope).unwrap();
        for (host, party) in [(pair.alice(), &pair.alice), (pair.bob(), &pair.bob)] {
            assert!(host.erase(&caller(), &digest, party, "").unwrap().was_held);
            let refused = host.open_raw(&caller(), &handle, party);
            assert_eq!(refused.err(), Some(EnclaveError::Erased(digest)));
        }
        let refused = pair
            .alice()
            .seal_raw(&caller(), &handle, &terms(pair.alice), &[key]);
        assert_eq!(refused, Err(EnclaveError::Erased(digest)));
    }

    pub(super) fn certificates_are_what_the_contract_checks(place: Place) {
        let host = place.host();
        let party = host.party("alice");
        let key = host.enclave().epoch_keys(&party).unwrap()[0];
        let (contract, org) = ([5; 20], [6; 32]);
        let certificate = Certificate::EpochKey {
            chain_id: 4242,
            contract,
            org,
            epoch: key.epoch,
        };
        let signature = host.enclave().certify(&party, &certificate).unwrap();
        let hash = epoch_key_hash(
            4242,
            contract.into(),
            org,
            key.epoch,
            key.x25519,
            key.valid_from_s,
        );
        party.verify(&hash, &signature).unwrap();
        let certificate = Certificate::Party {
            chain_id: 4242,
            contract,
            org,
            node_key: [8; 32],
        };
        let signature = host.enclave().certify(&party, &certificate).unwrap();
        let hash = party_hash(4242, contract.into(), org, party, [8; 32]);
        party.verify(&hash, &signature).unwrap();
        let unknown = Certificate::EpochKey {
            chain_id: 4242,
            contract,
            org,
            epoch: 9,
        };
        assert!(matches!(
            host.enclave().certify(&party, &unknown),
            Err(EnclaveError::UnknownEpoch { epoch: 9, .. })
        ));
    }

    pub(super) fn signatures_are_of_their_domain(place: Place) {
        let host = place.host();
        let party = host.party("alice");
        let sign = |domain| host.enclave().sign(&party, domain, b"message");
        let signature = sign(SignDomain::Acknowledgement).unwrap();
        verify(&party, SignDomain::Acknowledgement, b"message", &signature).unwrap();
        let other = verify(&party, SignDomain::Request, b"message", &signature);
        assert!(other.is_err());
        for domain in [
            SignDomain::ErasureReceipt,
            SignDomain::Envelope,
            SignDomain::Wrap,
            SignDomain::GroupSecret,
        ] {
            assert!(matches!(sign(domain), Err(EnclaveError::BadRequest(_))));
        }
    }

    pub(super) fn audit_log_tells_who_did_what(place: Place) {
        let pair = Pair::new(place);
        let bob = pair.bob();
        let envelope = pair.seal(SECRET);
        let digest = envelope.digest();
        let before = bob.audit_head().unwrap().entries;
        bob.accept(&caller(), &envelope).unwrap();
        let reader = medina_enclave::Caller::new("token 17", "psi://bob", NOW_S + 1);
        bob.open(&reader, &digest, &pair.bob).unwrap();
        let key = pair.alice_host.key(&pair.alice);
        bob.rewrap(&caller(), &digest, &pair.bob, &[key]).unwrap();
        bob.rotate(&caller(), &pair.bob, 1).unwrap();
        bob.erase(&caller(), &digest, &pair.bob, "").unwrap();
        let entries = bob.audit_entries(before, 100).unwrap();
        let actions: Vec<AuditAction> = entries.iter().map(|entry| entry.action).collect();
        use AuditAction as A;
        let expected = [A::Decrypt, A::Read, A::Extend, A::Rotate, A::Erase];
        assert_eq!(actions, expected);
        let read = &entries[1];
        assert_eq!((read.actor.as_str(), read.at_s), ("token 17", NOW_S + 1));
        assert_eq!((read.scope.as_str(), read.digest), ("psi://bob", digest));
        let head = bob.verify_audit().unwrap();
        assert_eq!(head.entries, before + 5);
        assert_eq!(bob.audit_entries(before, 2).unwrap(), entries[..2]);
        assert_eq!(bob.audit_entries(head.entries, 2).unwrap(), []);
    }

    pub(super) fn backup_holds_no_keys(place: Place) {
        let pair = Pair::new(place);
        let digest = pair.deliver(SECRET);
        let target = tempfile::tempdir().unwrap();
        let folder = target.path().join("backup");
        pair.bob().back_up(&folder).unwrap();
        assert!(!files_with(&folder, &digest.0).is_empty());
        assert!(files_with(&folder, SECRET).is_empty());
        assert!(files_with(&folder, b"payload_keys").is_empty());
        assert!(pair.bob().back_up(&folder).is_err());
    }

    pub(super) fn everything_has_a_bound(place: Place) {
        let pair = Pair::new(place);
        // A private transaction with as much data as it may carry is a payload.
        let largest = vec![7; medina_types::limits::PRIVATE_TRANSACTION_BYTES_MAX];
        let digest = pair.deliver(&largest);
        let opened = pair.bob().open(&caller(), &digest, &pair.bob).unwrap();
        assert_eq!(*opened, largest);
        let handle = pair.alice().store_raw(&caller(), &largest, &pair.alice);
        let key = pair.bob_host.key(&pair.bob);
        let envelope = pair
            .alice()
            .seal_raw(&caller(), &handle.unwrap(), &terms(pair.alice), &[key])
            .unwrap();
        pair.bob().accept(&caller(), &envelope).unwrap();

        let alice = pair.alice();
        let too_large = |error: Option<EnclaveError>| {
            assert!(
                matches!(error, Some(EnclaveError::TooLarge { .. })),
                "{error:?}"
            );
        };
        let larger = vec![7; limits::PAYLOAD_BYTES_MAX + 1];
        let terms = terms(pair.alice);
        too_large(alice.seal(&caller(), &terms, &larger, &[key]).err());
        too_large(alice.store_raw(&caller(), &larger, &pair.alice).err());
        let many: Vec<RecipientKey> = (0..=limits::RECIPIENTS_MAX)
            .map(|number| RecipientKey {
                party: PartyId([u8::try_from(number).expect("few"); 32]),
                ..key
            })
            .collect();
        too_large(alice.seal(&caller(), &terms, SECRET, &many).err());
        let long = "x".repeat(limits::TEXT_BYTES_MAX + 1);
        too_large(alice.ensure_party(&caller(), &long).err());
        too_large(alice.erase(&caller(), &digest, &pair.alice, &long).err());
        let mut talker = caller();
        talker.actor = long;
        too_large(alice.seal(&talker, &terms, SECRET, &[key]).err());
        let message = vec![0; limits::SIGNED_BYTES_MAX + 1];
        too_large(alice.sign(&pair.alice, SignDomain::Request, &message).err());
    }

    pub(super) fn wrong_requests_are_refused_by_name(place: Place) {
        let pair = Pair::new(place);
        let key = pair.bob_host.key(&pair.bob);
        let good = terms(pair.alice);
        let seal = |terms, keys: &[RecipientKey]| {
            let sealed = pair.alice().seal(&caller(), &terms, SECRET, keys);
            sealed.expect_err("refused").to_string()
        };
        let mut stranger = good;
        stranger.sender = pair.bob;
        assert!(seal(stranger, &[key]).contains("holds no party"));
        assert!(seal(good, &[key, key]).contains("named twice"));
        let weak = RecipientKey {
            x25519: [0; 32],
            ..key
        };
        assert!(seal(good, &[weak]).contains("no usable key"));
        let mut rootless = good;
        rootless.mode = Mode::Validated;
        assert!(seal(rootless, &[key]).contains("roots"));
        rootless.roots = Some(Roots {
            before: [1; 32],
            after: [2; 32],
        });
        let sealed = pair.alice().seal(&caller(), &rootless, SECRET, &[key]);
        assert_eq!(sealed.unwrap().metadata.roots, rootless.roots);
        let unknown = RawHandle([3; 64]);
        assert_eq!(
            pair.alice()
                .open_raw(&caller(), &unknown, &pair.alice)
                .err(),
            Some(EnclaveError::UnknownHandle(unknown))
        );
    }
}
