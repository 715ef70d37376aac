//! Parties, epoch keys and groups of private transactions: how each action fails, then how it succeeds.

use crate::harness::{CHAIN_ID, Chain, key, node_key, node_secret, org, seconds};
use alloy_primitives::{B256, Bytes, keccak256};
use ed25519_dalek::{Signer, SigningKey};
use medina_contracts::{
    gatekeeper::Gatekeeper,
    identity::Identity,
    private_groups::{
        IPrivateGroups::{Group, Party, Proposal},
        PrivateGroups::*,
    },
    private_messages,
    values::{IdentityStatus, NodeState, PrivateMode},
};

const DAY: u64 = 24 * 60 * 60;

/// Identity key of the party of account `index`.
pub(crate) fn identity(index: usize) -> SigningKey {
    SigningKey::from_bytes(&keccak256(format!("identity-{index}")).0)
}

/// Its public half.
pub(crate) fn identity_key(index: usize) -> B256 {
    identity(index).verifying_key().to_bytes().into()
}

fn signed(index: usize, message: B256) -> Bytes {
    identity(index).sign(message.as_slice()).to_bytes().into()
}

/// `registerParty` with the identity key of `index`, served by the node of `node`, which signs as well.
pub(crate) fn registered(chain: &Chain, org: B256, index: usize, node: usize) -> registerPartyCall {
    let mut call = alone(chain, org, index, node);
    let message = party_message(chain, &call);
    let by_node = node_secret(node).sign(message.as_slice());
    call.proof = [&call.proof[..], &by_node.to_bytes()].concat().into();
    call
}

/// The same without a word of the node.
fn alone(chain: &Chain, org: B256, index: usize, node: usize) -> registerPartyCall {
    let mut call = registerPartyCall {
        org,
        identityKey: identity_key(index),
        nodeKey: node_key(node),
        proof: Bytes::new(),
    };
    call.proof = signed(index, party_message(chain, &call));
    call
}

fn party_message(chain: &Chain, call: &registerPartyCall) -> B256 {
    let at = chain.at.private_groups;
    private_messages::party(CHAIN_ID, at, call.org, call.identityKey, call.nodeKey)
}

/// An encryption key of an epoch.
pub(crate) fn epoch_key(index: usize, epoch: u32) -> B256 {
    keccak256(format!("key-{index}-{epoch}"))
}

/// `publishKey` signed by the identity key of `index`.
pub(crate) fn key_of(
    chain: &Chain,
    org: B256,
    index: usize,
    epoch: u32,
    valid_from: u64,
) -> publishKeyCall {
    let (key, from) = (epoch_key(index, epoch), seconds(valid_from));
    let at = chain.at.private_groups;
    let message = private_messages::epoch_key(CHAIN_ID, at, org, epoch, key, from);
    publishKeyCall {
        org,
        epoch,
        key,
        validFrom: from,
        signature: signed(index, message),
    }
}

/// `anchorFor` with the attestation of the identity key of `index`.
pub(crate) fn attested(
    id: B256,
    org: B256,
    index: usize,
    height: u64,
    root: B256,
) -> anchorForCall {
    let message = private_messages::attestation(CHAIN_ID, id, height, root);
    anchorForCall {
        id,
        org,
        height,
        root,
        signature: signed(index, message),
    }
}

/// `createGroup` of these accounts' organisations, mode Standard.
pub(crate) fn creation(id: B256, members: &[usize]) -> createGroupCall {
    createGroupCall {
        id,
        name: B256::ZERO,
        orgs: members.iter().map(|index| org(*index)).collect(),
        mode: PrivateMode::Standard.into(),
        mandatory: Vec::new(),
        quorum: 0,
        attestEvery: 0,
    }
}

/// Common scenes.
impl Chain {
    /// Registers the parties of these accounts' organisations, each on the node of account 0 to 3.
    pub(crate) fn register_parties(&mut self, members: &[usize]) {
        for index in members {
            let call = registered(self, org(*index), *index, index % 4);
            self.ok(*index, self.at.private_groups, &call);
        }
    }

    /// A group of these parties, which are registered too.
    pub(crate) fn private_group(&mut self, members: &[usize], name: &str) -> B256 {
        self.register_parties(members);
        let id = keccak256(name);
        let call = creation(id, members);
        self.ok(members[0], self.at.private_groups, &call);
        id
    }

    pub(crate) fn members(&self, id: B256) -> Vec<B256> {
        self.view(self.at.private_groups, &groupCall { id }).members
    }

    fn current_key(&self, index: usize) -> (u32, B256) {
        let call = currentKeyCall { org: org(index) };
        let found = self.view(self.at.private_groups, &call);
        (found.epoch, found.key)
    }

    fn proposal(&self, id: B256, index: usize) -> Proposal {
        let org = org(index);
        self.view(self.at.private_groups, &proposalOfCall { id, org })
    }

    fn secret_version(&self, id: B256) -> u32 {
        self.view(self.at.private_groups, &secretVersionCall { id })
    }

    /// Height and reports of an erasure, which `erasedAt` agrees with.
    fn erasure(&self, id: B256, digest: B256) -> (u64, u8) {
        let at = self.at.private_groups;
        let found = self.view(at, &erasureOfCall { id, digest });
        assert_eq!(self.view(at, &erasedAtCall { id, digest }), found.height);
        (found.height, found.reports)
    }

    /// A group of the parties of organisations 1 to 4 in mode Mandatory, registered too.
    fn mandatory_group(&mut self, mandatory: &[usize]) -> B256 {
        self.register_parties(&[1, 2, 3, 4]);
        let id = keccak256("mandatory");
        let mut call = creation(id, &[1, 2, 3, 4]);
        call.mode = PrivateMode::Mandatory.into();
        call.mandatory = mandatory.iter().map(|index| org(*index)).collect();
        self.ok(1, self.at.private_groups, &call);
        id
    }

    fn mandatory(&self, id: B256) -> Vec<B256> {
        self.view(self.at.private_groups, &groupCall { id })
            .mandatory
    }
}

/// An account without an id of its own.
const WITHOUT_ID: &str = "admin without id";

#[test]
fn party_is_registered_by_its_admin_with_proof_of_the_key() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    // Its own node need not sign.
    let call = alone(&chain, org(1), 1, 1);
    chain.fails::<NotAdmin>(2, at, &call);
    let of_nobody = registered(&chain, keccak256("nobody"), 1, 1);
    chain.fails::<NotAdmin>(1, at, &of_nobody);
    let unknown_node = registered(&chain, org(1), 1, 9);
    chain.fails::<UnknownNode>(1, at, &unknown_node);
    let mut unusable = call.clone();
    // A point of small order.
    unusable.identityKey = B256::ZERO;
    chain.fails::<BadKey>(1, at, &unusable);
    let mut anothers = call.clone();
    anothers.identityKey = identity_key(2);
    chain.fails::<BadSignature>(1, at, &anothers);
    for length in [0, 63, 65] {
        let mut cut = call.clone();
        let mut proof = cut.proof.to_vec();
        proof.resize(length, 0);
        cut.proof = proof.into();
        chain.fails::<BadSignature>(1, at, &cut);
    }
    let mut elsewhere = registered(&chain, org(1), 1, 2);
    elsewhere.nodeKey = node_key(3);
    chain.fails::<BadSignature>(1, at, &elsewhere);

    let event = chain.ok(1, at, &call).event::<PartySet>();
    let expected = (org(1), identity_key(1), node_key(1));
    assert_eq!((event.org, event.identityKey, event.nodeKey), expected);
    let party = Party {
        identityKey: identity_key(1),
        nodeKey: node_key(1),
        since: seconds(chain.time),
        epoch: 0,
    };
    assert_eq!(chain.view(at, &partyCall { org: org(1) }), party);
    let identity_key = identity_key(1);
    assert_eq!(
        chain.view(
            at,
            &orgOfCall {
                identityKey: identity_key
            }
        ),
        org(1)
    );
    let count = chain.view(at, &partyCountCall {});
    assert_eq!(count.to::<u64>(), 1);
    assert_eq!(chain.view(at, &partyAtCall { index: count }), org(1));
    for index in [0_u64, 2] {
        let index = alloy_primitives::U256::from(index);
        assert_eq!(chain.view(at, &partyAtCall { index }), B256::ZERO);
    }
}

#[test]
fn identity_key_stays_its_organisations_for_ever() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    chain.register_parties(&[1]);
    // The same key signs for another organisation: whoever has it must not be able to move it.
    let moved = registered(&chain, org(2), 1, 2);
    chain.fails::<Known>(2, at, &moved);
    let replaced = registered(&chain, org(1), 21, 1);
    chain.ok(1, at, &replaced);
    chain.fails::<Known>(2, at, &moved);
    for index in [1, 21] {
        let call = orgOfCall {
            identityKey: identity_key(index),
        };
        assert_eq!(chain.view(at, &call), org(1));
    }
    let count = chain.view(at, &partyCountCall {});
    assert_eq!(count.to::<u64>(), 1);
}

#[test]
fn organisation_that_sleeps_registers_no_party() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let suspend = Identity::setOrgCall {
        org: org(1),
        admin: chain.account(1),
        s: IdentityStatus::Suspended.into(),
        meta: B256::ZERO,
    };
    chain.ok(0, chain.at.identity, &suspend);
    let call = registered(&chain, org(1), 1, 2);
    chain.fails::<NotAdmin>(1, at, &call);
}

#[test]
fn party_is_served_by_a_node_that_may_connect() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    chain.add_node(6, 6);
    let own = registered(&chain, org(6), 6, 6);
    chain.set_node(6, 6, NodeState::Inactive);
    chain.fails::<UnknownNode>(6, at, &own);
    chain.set_node(6, 6, NodeState::Active);
    chain.ok(6, at, &own);
}

#[test]
fn node_of_another_organisation_serves_a_party_only_if_it_signs_so() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    // Account 5's organisation has no node; that of account 3 would serve it.
    let unasked = alone(&chain, org(5), 5, 3);
    chain.fails::<NotHosted>(5, at, &unasked);
    let hosted = registered(&chain, org(5), 5, 3);
    let with = |bytes: &[u8]| {
        let proof = [&hosted.proof[..64], bytes].concat().into();
        registerPartyCall {
            proof,
            ..hosted.clone()
        }
    };
    let message = party_message(&chain, &hosted);
    let by_another_node = node_secret(2).sign(message.as_slice()).to_bytes();
    chain.fails::<BadSignature>(5, at, &with(&by_another_node));
    // What the node signed for another party, or for another organisation.
    let of_another = registered(&chain, org(5), 6, 3).proof;
    chain.fails::<BadSignature>(5, at, &with(&of_another[64..]));
    let of_another = registered(&chain, org(6), 5, 3).proof;
    chain.fails::<BadSignature>(5, at, &with(&of_another[64..]));
    for length in [1, 63, 65] {
        chain.fails::<NotHosted>(5, at, &with(&vec![0; length]));
    }
    // The node's word does not stand for the identity key's.
    let mut twice = hosted.clone();
    twice.proof = [&hosted.proof[64..], &hosted.proof[64..]].concat().into();
    chain.fails::<BadSignature>(5, at, &twice);
    // On one's own node a second signature is checked where there is one.
    let mut own = registered(&chain, org(3), 3, 3);
    own.proof = [&own.proof[..64], &own.proof[..64]].concat().into();
    chain.fails::<BadSignature>(3, at, &own);

    let event = chain.ok(5, at, &hosted).event::<PartySet>();
    assert_eq!((event.org, event.nodeKey), (org(5), node_key(3)));
    let party = chain.view(at, &partyCall { org: org(5) });
    assert_eq!(party.nodeKey, node_key(3));
}

#[test]
fn epoch_key_is_published_by_anyone_with_the_identity_keys_signature() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let call = key_of(&chain, org(1), 1, 7, chain.time);
    chain.fails::<Unknown>(9, at, &call);
    chain.register_parties(&[1, 2]);
    assert_eq!(chain.current_key(1), (0, B256::ZERO));
    let by_another = key_of(&chain, org(1), 2, 7, chain.time);
    chain.fails::<BadSignature>(9, at, &by_another);
    let mut zero = call.clone();
    zero.key = B256::ZERO;
    chain.fails::<BadKey>(9, at, &zero);
    for change in 0..4 {
        let mut changed = call.clone();
        match change {
            0 => changed.org = org(2),
            1 => changed.epoch = 8,
            2 => changed.key = keccak256("another"),
            _ => changed.validFrom = seconds(chain.time - 1),
        }
        chain.fails::<BadSignature>(9, at, &changed);
    }
    let far = key_of(&chain, org(1), 1, 7, chain.time + 7 * DAY + 1);
    chain.fails::<OutOfRange>(9, at, &far);

    let event = chain.ok(9, at, &call).event::<KeyPublished>();
    assert_eq!((event.org, event.epoch), (org(1), 7));
    assert_eq!(
        (event.key, event.validFrom),
        (epoch_key(1, 7), seconds(chain.time))
    );
    assert_eq!(chain.current_key(1), (7, epoch_key(1, 7)));
    assert_eq!(chain.view(at, &partyCall { org: org(1) }).epoch, 7);
    // Epochs only grow, so nothing that was published comes back.
    chain.fails::<Stale>(9, at, &call);
    let older = key_of(&chain, org(1), 1, 6, chain.time);
    chain.fails::<Stale>(9, at, &older);
}

#[test]
fn key_of_tomorrow_is_current_from_tomorrow_on() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    chain.register_parties(&[1]);
    let start = chain.time;
    let first = key_of(&chain, org(1), 1, 1, start);
    chain.ok(1, at, &first);
    let backwards = key_of(&chain, org(1), 1, 2, start - 1);
    chain.fails::<OutOfRange>(1, at, &backwards);
    let second = key_of(&chain, org(1), 1, 2, start + DAY);
    chain.ok(1, at, &second);
    assert_eq!(chain.current_key(1), (1, epoch_key(1, 1)));
    // One that waits is replaced, the current one stays.
    let third = key_of(&chain, org(1), 1, 3, start + DAY + 5);
    chain.ok(1, at, &third);
    assert_eq!(chain.current_key(1), (1, epoch_key(1, 1)));
    chain.warp(DAY + 4);
    assert_eq!(chain.current_key(1), (1, epoch_key(1, 1)));
    chain.warp(1);
    assert_eq!(chain.current_key(1), (3, epoch_key(1, 3)));
    let fourth = key_of(&chain, org(1), 1, 4, chain.time + 1);
    chain.ok(1, at, &fourth);
    assert_eq!(chain.current_key(1), (3, epoch_key(1, 3)));
    chain.warp(1);
    assert_eq!(chain.current_key(1), (4, epoch_key(1, 4)));
}

#[test]
fn another_identity_key_voids_the_epoch_keys_and_another_node_does_not() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    chain.register_parties(&[1]);
    let first = key_of(&chain, org(1), 1, 1, chain.time);
    chain.ok(1, at, &first);
    let second = key_of(&chain, org(1), 1, 2, chain.time + 60);
    chain.ok(1, at, &second);
    let moved = registered(&chain, org(1), 1, 2);
    chain.ok(1, at, &moved);
    assert_eq!(chain.current_key(1), (1, epoch_key(1, 1)));
    let replaced = registered(&chain, org(1), 21, 2);
    chain.ok(1, at, &replaced);
    for wait in [0, 60] {
        chain.warp(wait);
        assert_eq!(chain.current_key(1), (0, B256::ZERO));
    }
    // The old key signs no more, the epochs go on.
    let by_old = key_of(&chain, org(1), 1, 3, chain.time);
    chain.fails::<BadSignature>(1, at, &by_old);
    let used = key_of(&chain, org(1), 21, 2, chain.time);
    chain.fails::<Stale>(1, at, &used);
    let third = key_of(&chain, org(1), 21, 3, chain.time);
    chain.ok(1, at, &third);
    assert_eq!(chain.current_key(1), (3, epoch_key(21, 3)));
}

#[test]
fn group_is_created_by_one_of_its_members() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let id = keccak256("prices");
    chain.fails::<Unknown>(1, at, &creation(id, &[1, 2]));
    chain.register_parties(&[1, 2, 3]);
    chain.fails::<NotMember>(3, at, &creation(id, &[1, 2]));
    chain.fails::<Known>(1, at, &creation(id, &[1, 2, 1]));
    chain.fails::<OutOfRange>(1, at, &creation(id, &[]));
    chain.fails::<OutOfRange>(1, at, &creation(B256::ZERO, &[1, 2]));
    let with = |change: &dyn Fn(&mut createGroupCall)| {
        let mut call = creation(id, &[1, 2]);
        change(&mut call);
        call
    };
    let mandatory = u8::from(PrivateMode::Mandatory);
    chain.fails::<OutOfRange>(1, at, &with(&|call| call.quorum = 3));
    chain.fails::<OutOfRange>(1, at, &with(&|call| call.attestEvery = 100_001));
    chain.fails::<OutOfRange>(1, at, &with(&|call| call.mode = mandatory));
    chain.fails::<Unknown>(1, at, &with(&|call| call.mandatory = vec![org(3)]));
    chain.fails::<Known>(1, at, &with(&|call| call.mandatory = vec![org(1), org(1)]));
    chain.fails::<Known>(1, at, &with(&|call| call.mandatory = vec![org(1); 3]));

    let call = with(&|call| {
        (call.mode, call.mandatory) = (mandatory, vec![org(2)]);
        (call.name, call.quorum) = (B256::right_padding_from(b"prices"), 1);
    });
    let outcome = chain.ok(1, at, &call);
    let event = outcome.event::<GroupCreated>();
    assert_eq!((event.id, event.by, event.name), (id, org(1), call.name));
    assert_eq!(
        (event.mode, event.quorum, event.attestEvery),
        (mandatory, 1, 64)
    );
    let added = outcome.logs.iter().filter_map(|log| {
        let event = <MemberAdded as alloy_sol_types::SolEvent>::decode_log(log).ok()?;
        Some((event.id, event.org, event.mandatory))
    });
    let expected = [(id, org(1), false), (id, org(2), true)];
    assert_eq!(added.collect::<Vec<_>>(), expected);
    let group = Group {
        name: call.name,
        since: seconds(chain.time),
        mode: mandatory,
        quorum: 1,
        attestEvery: 64,
        members: vec![org(1), org(2)],
        mandatory: vec![org(2)],
    };
    assert_eq!(chain.view(at, &groupCall { id }), group);
    for (index, is_member) in [(1, true), (2, true), (3, false)] {
        let org = org(index);
        assert_eq!(chain.view(at, &isMemberCall { id, org }), is_member);
        let since = chain.view(at, &memberSinceCall { id, org });
        assert_eq!(since != 0, is_member);
    }
    let count = chain.view(at, &groupCountCall {});
    assert_eq!(count.to::<u64>(), 1);
    assert_eq!(chain.view(at, &groupAtCall { index: count }), id);
    chain.fails::<Known>(1, at, &creation(id, &[1, 2]));
}

#[test]
fn more_than_half_of_the_members_admit_and_remove() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let id = chain.private_group(&[1, 2, 3, 4], "prices");
    let unknown = keccak256("unknown");
    let propose = proposeMemberCall { id, org: org(5) };
    chain.fails::<Unknown>(1, at, &propose);
    chain.register_parties(&[5, 6]);
    chain.fails::<NotMember>(6, at, &propose);
    let in_unknown = proposeMemberCall {
        id: unknown,
        org: org(5),
    };
    chain.fails::<Unknown>(1, at, &in_unknown);
    chain.fails::<Known>(1, at, &proposeMemberCall { id, org: org(2) });
    chain.fails::<NotOpen>(1, at, &voteCall { id, org: org(5) });

    let event = chain.ok(1, at, &propose).event::<Proposed>();
    assert_eq!((event.id, event.org, event.by), (id, org(5), org(1)));
    chain.fails::<Known>(2, at, &propose);
    let vote = voteCall { id, org: org(5) };
    chain.fails::<AlreadyVoted>(1, at, &vote);
    chain.fails::<NotMember>(5, at, &vote);
    let event = chain.ok(2, at, &vote).event::<Voted>();
    assert_eq!((event.id, event.org, event.by), (id, org(5), org(2)));
    let proposal = Proposal {
        opened: seconds(chain.time),
        open: true,
        yes: 2,
        members: 4,
    };
    assert_eq!(chain.proposal(id, 5), proposal);
    assert_eq!(chain.members(id).len(), 4, "half is not more than half");
    let event = chain.ok(3, at, &vote).event::<MemberAdded>();
    assert_eq!((event.id, event.org, event.mandatory), (id, org(5), false));
    assert_eq!(chain.members(id), (1..=5).map(org).collect::<Vec<_>>());
    assert!(!chain.proposal(id, 5).open);
    chain.fails::<NotOpen>(4, at, &vote);

    chain.fails::<Unknown>(1, at, &proposeRemovalCall { id, org: org(6) });
    let remove = proposeRemovalCall { id, org: org(2) };
    chain.fails::<NotMember>(6, at, &remove);
    chain.ok(1, at, &remove);
    chain.fails::<Known>(3, at, &remove);
    let vote = voteCall { id, org: org(2) };
    chain.ok(3, at, &vote);
    let event = chain.ok(4, at, &vote).event::<MemberRemoved>();
    assert_eq!((event.id, event.org), (id, org(2)));
    // The last takes the place of who went.
    let expected = [org(1), org(5), org(3), org(4)];
    assert_eq!(chain.members(id), expected);
    let since = memberSinceCall { id, org: org(2) };
    assert_eq!(chain.view(at, &since), 0);
    chain.fails::<NotMember>(2, at, &leaveGroupCall { id });
}

#[test]
fn party_asks_to_be_admitted_without_a_vote_of_its_own() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let id = chain.private_group(&[1, 2], "prices");
    chain.register_parties(&[3]);
    let propose = proposeMemberCall { id, org: org(3) };
    let event = chain.ok(3, at, &propose).event::<Proposed>();
    assert_eq!(event.by, org(3));
    assert_eq!(chain.proposal(id, 3).yes, 0);
    let vote = voteCall { id, org: org(3) };
    chain.ok(1, at, &vote);
    chain.ok(2, at, &vote);
    assert_eq!(chain.members(id).len(), 3);
}

#[test]
fn votes_of_who_left_and_of_an_earlier_round_do_not_count() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let id = chain.private_group(&[1, 2, 3, 4], "prices");
    chain.register_parties(&[5]);
    let propose = proposeMemberCall { id, org: org(5) };
    let vote = voteCall { id, org: org(5) };
    chain.ok(1, at, &propose);
    chain.ok(2, at, &vote);
    chain.warp(30 * DAY);
    assert!(chain.proposal(id, 5).open);
    chain.warp(1);
    assert!(!chain.proposal(id, 5).open);
    chain.fails::<NotOpen>(3, at, &vote);
    chain.ok(1, at, &propose);
    assert_eq!(chain.proposal(id, 5).yes, 1, "the first round is over");
    chain.ok(2, at, &vote);
    chain.ok(2, at, &leaveGroupCall { id });
    assert_eq!(chain.proposal(id, 5).yes, 1);
    chain.ok(3, at, &vote);
    assert_eq!(chain.members(id).len(), 4, "two of three members");
}

#[test]
fn who_has_voted_decides_once_others_left() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let id = chain.private_group(&[1, 2, 3], "prices");
    chain.register_parties(&[4]);
    chain.ok(1, at, &proposeMemberCall { id, org: org(4) });
    let vote = voteCall { id, org: org(4) };
    chain.fails::<AlreadyVoted>(1, at, &vote);
    chain.ok(2, at, &leaveGroupCall { id });
    chain.fails::<AlreadyVoted>(1, at, &vote);
    chain.ok(3, at, &leaveGroupCall { id });
    chain.ok(1, at, &vote);
    assert_eq!(chain.members(id), [org(1), org(4)]);
}

#[test]
fn removal_that_was_proposed_ends_with_the_membership() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let id = chain.private_group(&[1, 2, 3, 4, 5], "prices");
    chain.ok(1, at, &proposeRemovalCall { id, org: org(2) });
    chain.ok(3, at, &voteCall { id, org: org(2) });
    let event = chain.ok(2, at, &leaveGroupCall { id });
    assert_eq!(event.event::<MemberRemoved>().org, org(2));
    // Else these votes to remove it would admit it again.
    chain.fails::<NotOpen>(4, at, &voteCall { id, org: org(2) });
    chain.ok(2, at, &proposeMemberCall { id, org: org(2) });
    assert_eq!(chain.proposal(id, 2).yes, 0);
}

#[test]
fn group_has_at_most_64_members() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    chain.register_parties(&[1, 2]);
    let mut orgs = vec![org(1)];
    for index in 100..164 {
        let name = org(index);
        let register = Identity::registerOrgCall {
            org: name,
            admin: chain.account(3),
            meta: B256::ZERO,
        };
        chain.ok(0, chain.at.identity, &register);
        let party = registered(&chain, name, index, 0);
        chain.ok(3, at, &party);
        orgs.push(name);
    }
    let id = keccak256("crowd");
    let mut call = creation(id, &[]);
    call.orgs = orgs.clone();
    chain.fails::<TooMany>(1, at, &call);
    call.orgs.pop();
    chain.ok(1, at, &call);
    assert_eq!(chain.members(id).len(), 64);
    // One more than half of 64 decides; here nobody else votes, so it stays open.
    chain.ok(1, at, &proposeMemberCall { id, org: org(2) });
    assert_eq!(chain.proposal(id, 2).members, 64);
}

#[test]
fn marker_is_skipped_by_more_than_half() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let id = chain.private_group(&[1, 2, 3], "prices");
    let digest = keccak256("digest");
    let skip = skipCall { id, digest };
    chain.fails::<NotMember>(4, at, &skip);
    let unknown = skipCall { id: digest, digest };
    chain.fails::<Unknown>(1, at, &unknown);
    let event = chain.ok(1, at, &skip).event::<SkipVoted>();
    assert_eq!((event.id, event.digest, event.by), (id, digest, org(1)));
    chain.fails::<AlreadyVoted>(1, at, &skip);
    let seen = chain.view(at, &skipOfCall { id, digest });
    assert_eq!((seen.height, seen.yes), (0, 1));
    chain.warp(30 * DAY + 1);
    chain.ok(2, at, &skip);
    let seen = chain.view(at, &skipOfCall { id, digest });
    assert_eq!((seen.height, seen.yes), (0, 1), "the first round is over");
    let event = chain.ok(3, at, &skip).event::<Skipped>();
    assert_eq!((event.id, event.digest), (id, digest));
    let seen = chain.view(at, &skipOfCall { id, digest });
    assert_ne!(seen.height, 0);
    chain.fails::<Known>(1, at, &skip);
    // Another marker, another group: another question.
    let other = keccak256("other");
    assert_eq!(chain.view(at, &skipOfCall { id, digest: other }).height, 0);
}

#[test]
fn roots_are_anchored_by_members_or_with_their_attestation() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let id = chain.private_group(&[1, 2], "prices");
    chain.warp(200);
    let root = keccak256("root");
    let anchor = |height| anchorCall { id, height, root };
    chain.fails::<NotMember>(3, at, &anchor(64));
    chain.fails::<OutOfRange>(1, at, &anchor(100_000));
    let event = chain.ok(1, at, &anchor(64)).event::<Anchored>();
    assert_eq!((event.id, event.org), (id, org(1)));
    assert_eq!((event.height, event.root), (64, root));
    chain.fails::<Stale>(1, at, &anchor(64));
    let stored = chain.view(at, &anchorOfCall { id, org: org(1) });
    assert_eq!((stored.height, stored.root), (64, root));

    let by_another = attested(id, org(2), 1, 64, root);
    chain.fails::<BadSignature>(9, at, &by_another);
    let mut other_root = attested(id, org(2), 2, 64, root);
    other_root.root = id;
    chain.fails::<BadSignature>(9, at, &other_root);
    let no_member = attested(id, org(3), 3, 64, root);
    chain.fails::<Unknown>(9, at, &no_member);
    let in_unknown = attested(root, org(2), 2, 64, root);
    chain.fails::<Unknown>(9, at, &in_unknown);
    let attestation = attested(id, org(2), 2, 64, root);
    let event = chain.ok(9, at, &attestation).event::<Anchored>();
    assert_eq!((event.org, event.height), (org(2), 64));
    chain.fails::<Stale>(9, at, &attestation);
    let none = chain.view(at, &anchorOfCall { id, org: org(3) });
    assert_eq!((none.height, none.root), (0, B256::ZERO));
}

fn report(id: B256, digest: B256) -> reportErasedCall {
    reportErasedCall {
        id,
        digest,
        receiptsHash: keccak256("receipts"),
    }
}

#[test]
fn erasure_takes_effect_with_the_report_of_more_than_half() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let id = chain.private_group(&[1, 2, 3, 4], "prices");
    let digest = keccak256("digest");
    let call = report(id, digest);
    chain.fails::<Unknown>(1, at, &report(digest, digest));
    chain.fails::<NotMember>(5, at, &call);
    assert_eq!(chain.erasure(id, digest), (0, 0));
    for (by, reports) in [(1, 1), (2, 2)] {
        let outcome = chain.ok(by, at, &call);
        let event = outcome.event::<ErasureReported>();
        assert_eq!((event.id, event.digest), (id, digest));
        assert_eq!(
            (event.org, event.receiptsHash),
            (org(by), call.receiptsHash)
        );
        assert_eq!(outcome.logs.len(), 1, "one member decides nothing");
        assert_eq!(chain.erasure(id, digest), (0, reports));
        chain.fails::<AlreadyReported>(by, at, &call);
    }
    chain.warp(60);
    let outcome = chain.ok(3, at, &call);
    assert_eq!(outcome.event::<ErasureReported>().org, org(3));
    let event = outcome.event::<Erased>();
    assert_eq!((event.id, event.digest), (id, digest));
    let (height, reports) = chain.erasure(id, digest);
    assert_eq!((height != 0, reports), (true, 3));
    // The last one is noted, and changes nothing; nor does who left since.
    chain.warp(60);
    assert_eq!(chain.ok(4, at, &call).logs.len(), 1);
    chain.fails::<AlreadyReported>(4, at, &call);
    assert_eq!(chain.erasure(id, digest), (height, 4));
    for by in [1, 2, 3] {
        chain.ok(by, at, &leaveGroupCall { id });
    }
    assert_eq!(chain.erasure(id, digest), (height, 1));
    chain.fails::<AlreadyReported>(4, at, &call);
    chain.fails::<NotMember>(1, at, &call);
    assert_eq!(chain.erasure(id, keccak256("other")), (0, 0));
}

#[test]
fn erasure_needs_both_of_two_members() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let id = chain.private_group(&[1, 2], "prices");
    let digest = keccak256("digest");
    chain.ok(1, at, &report(id, digest));
    assert_eq!(chain.erasure(id, digest), (0, 1));
    chain.ok(2, at, &report(id, digest));
    assert_ne!(chain.erasure(id, digest).0, 0);
}

#[test]
fn reports_of_who_left_do_not_count_and_who_reported_decides_once_others_left() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let id = chain.private_group(&[1, 2, 3, 4, 5], "prices");
    let digest = keccak256("digest");
    let call = report(id, digest);
    for by in [1, 2] {
        chain.ok(by, at, &call);
    }
    chain.ok(1, at, &leaveGroupCall { id });
    chain.ok(3, at, &call);
    assert_eq!(chain.erasure(id, digest), (0, 2), "two of four");
    chain.fails::<AlreadyReported>(2, at, &call);
    chain.ok(5, at, &leaveGroupCall { id });
    let outcome = chain.ok(2, at, &call);
    assert_eq!(outcome.logs.len(), 1, "it reported already");
    assert_eq!(outcome.event::<Erased>().digest, digest);
    let (height, reports) = chain.erasure(id, digest);
    assert_eq!((height != 0, reports), (true, 2));
    // Who comes back has said what it said.
    let back = proposeMemberCall { id, org: org(1) };
    chain.ok(1, at, &back);
    for by in [2, 3] {
        chain.ok(by, at, &voteCall { id, org: org(1) });
    }
    assert_eq!(chain.erasure(id, digest), (height, 3));
    chain.fails::<AlreadyReported>(1, at, &call);
}

#[test]
fn version_of_the_secret_counts_who_left_and_who_was_removed() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let id = chain.private_group(&[1, 2, 3, 4], "prices");
    assert_eq!(chain.secret_version(id), 0);
    assert_eq!(chain.secret_version(keccak256("unknown")), 0);
    chain.ok(4, at, &leaveGroupCall { id });
    assert_eq!(chain.secret_version(id), 1);
    chain.ok(1, at, &proposeRemovalCall { id, org: org(3) });
    assert_eq!(chain.secret_version(id), 1, "a vote is no removal");
    chain.ok(2, at, &voteCall { id, org: org(3) });
    assert_eq!(chain.secret_version(id), 2);
    chain.ok(3, at, &proposeMemberCall { id, org: org(3) });
    for by in [1, 2] {
        chain.ok(by, at, &voteCall { id, org: org(3) });
    }
    assert_eq!(chain.members(id).len(), 3);
    assert_eq!(chain.secret_version(id), 2, "who comes may know it");
}

#[test]
fn last_mandatory_member_is_not_removed() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let id = chain.mandatory_group(&[2, 3]);
    let remove = |index| proposeRemovalCall {
        id,
        org: org(index),
    };
    // Two votes for each of the two mandatory ones, while there are two.
    for about in [2, 3] {
        chain.ok(1, at, &remove(about));
        chain.ok(
            about,
            at,
            &voteCall {
                id,
                org: org(about),
            },
        );
    }
    chain.ok(4, at, &voteCall { id, org: org(2) });
    assert_eq!(chain.mandatory(id), [org(3)]);
    // Two of three would decide.
    chain.fails::<LastMandatory>(4, at, &voteCall { id, org: org(3) });
    assert_eq!(chain.members(id).len(), 3);
    chain.warp(30 * DAY + 1);
    chain.fails::<LastMandatory>(1, at, &remove(3));
    chain.fails::<LastMandatory>(3, at, &remove(3));
    // Others go as ever, and in other modes so does the last one.
    chain.ok(1, at, &remove(4));
    chain.ok(3, at, &voteCall { id, org: org(4) });
    let mut standard = creation(keccak256("standard"), &[1, 2, 3]);
    standard.mandatory = vec![org(3)];
    chain.ok(1, at, &standard);
    let id = standard.id;
    chain.ok(1, at, &proposeRemovalCall { id, org: org(3) });
    chain.ok(2, at, &voteCall { id, org: org(3) });
    assert_eq!(chain.members(id).len(), 2);
}

#[test]
fn last_mandatory_member_is_removed_once_its_organisation_is_no_more() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let id = chain.mandatory_group(&[2]);
    let remove = proposeRemovalCall { id, org: org(2) };
    let set = |chain: &mut Chain, s: IdentityStatus| {
        let set = Identity::setOrgCall {
            org: org(2),
            admin: chain.account(2),
            s: s.into(),
            meta: B256::ZERO,
        };
        chain.ok(0, chain.at.identity, &set);
    };
    // It may come back from this.
    set(&mut chain, IdentityStatus::Suspended);
    chain.fails::<LastMandatory>(1, at, &remove);
    set(&mut chain, IdentityStatus::Revoked);
    chain.fails::<NotMember>(2, at, &leaveGroupCall { id });
    chain.ok(1, at, &remove);
    for by in [3, 4] {
        chain.ok(by, at, &voteCall { id, org: org(2) });
    }
    assert_eq!(chain.members(id).len(), 3);
    let mut mandatory = chain.mandatory(id);
    mandatory.sort_unstable();
    let mut members = chain.members(id);
    members.sort_unstable();
    assert_eq!(mandatory, members);
}

#[test]
fn all_are_mandatory_once_the_last_mandatory_member_left() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let id = chain.mandatory_group(&[1, 2]);
    let outcome = chain.ok(1, at, &leaveGroupCall { id });
    assert_eq!(outcome.logs.len(), 1, "another one is there");
    assert_eq!(chain.mandatory(id), [org(2)]);
    let outcome = chain.ok(2, at, &leaveGroupCall { id });
    let bound = outcome.logs.iter().filter_map(|log| {
        let event = <BecameMandatory as alloy_sol_types::SolEvent>::decode_log(log).ok()?;
        Some((event.id, event.org))
    });
    let mut bound: Vec<_> = bound.collect();
    bound.sort_unstable();
    let mut expected = vec![(id, org(3)), (id, org(4))];
    expected.sort_unstable();
    assert_eq!(bound, expected);
    assert_eq!(chain.mandatory(id).len(), 2);
    // Who comes later is not, and nobody is held.
    chain.ok(3, at, &proposeMemberCall { id, org: org(1) });
    chain.ok(4, at, &voteCall { id, org: org(1) });
    assert_eq!(chain.mandatory(id).len(), 2);
    for by in [3, 4, 1] {
        chain.ok(by, at, &leaveGroupCall { id });
    }
    assert_eq!(chain.members(id), Vec::<B256>::new());
}

#[test]
fn audit_log_only_grows() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let head = keccak256("head");
    let record = |entries, head| recordAuditCall {
        org: org(1),
        entries,
        head,
    };
    let audit = |chain: &Chain| {
        let seen = chain.view(at, &auditOfCall { org: org(1) });
        (seen.entries, seen.head, seen.height != 0)
    };
    assert_eq!(audit(&chain), (0, B256::ZERO, false));
    chain.fails::<NotPermitted>(2, at, &record(7, head));
    chain.fails::<NotPermitted>(9, at, &record(7, head));
    chain.fails::<Stale>(1, at, &record(0, head));
    let event = chain.ok(1, at, &record(7, head)).event::<AuditRecorded>();
    assert_eq!((event.org, event.entries, event.head), (org(1), 7, head));
    assert_eq!(audit(&chain), (7, head, true));
    for entries in [6, 7] {
        chain.fails::<Stale>(1, at, &record(entries, keccak256("another")));
    }
    chain.ok(1, at, &record(u64::MAX, at.into_word()));
    assert_eq!(audit(&chain), (u64::MAX, at.into_word(), true));
    let none = chain.view(at, &auditOfCall { org: org(2) });
    assert_eq!((none.entries, none.height), (0, 0));
}

#[test]
fn admin_without_an_id_acts_for_its_organisation() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    chain.register_parties(&[1, 2, 3]);
    let admin = key(WITHOUT_ID).address();
    let register = Identity::registerOrgCall {
        org: org(40),
        admin,
        meta: B256::ZERO,
    };
    chain.ok(0, chain.at.identity, &register);
    let party = registered(&chain, org(40), 40, 1);
    assert!(chain.call(admin, at, &party).success);
    let id = keccak256("by an admin");
    let strange = creation(keccak256("without it"), &[1, 2]);
    chain.fails_from::<NotMember>(admin, at, &strange);
    let create = creation(id, &[1, 40, 2]);
    let outcome = chain.call(admin, at, &create);
    assert_eq!(outcome.event::<GroupCreated>().by, org(40));
    let digest = keccak256("digest");
    let propose = proposeMemberCall { id, org: org(3) };
    let event = chain.call(admin, at, &propose).event::<Voted>();
    assert_eq!((event.org, event.by), (org(3), org(40)));
    let event = chain.call(admin, at, &skipCall { id, digest });
    assert_eq!(event.event::<SkipVoted>().by, org(40));
    let event = chain.call(admin, at, &report(id, digest));
    assert_eq!(event.event::<ErasureReported>().org, org(40));
    let (height, root) = (1, digest);
    let event = chain.call(admin, at, &anchorCall { id, height, root });
    assert_eq!(event.event::<Anchored>().org, org(40));
    let audit = recordAuditCall {
        org: org(40),
        entries: 1,
        head: digest,
    };
    assert!(chain.call(admin, at, &audit).success);
    let outcome = chain.call(admin, at, &leaveGroupCall { id });
    assert_eq!(outcome.event::<MemberRemoved>().org, org(40));
    // Outside it asks for itself, and votes for nobody.
    let vote = voteCall { id, org: org(3) };
    chain.fails_from::<NotMember>(admin, at, &vote);
    let ask = proposeMemberCall { id, org: org(40) };
    let outcome = chain.call(admin, at, &ask);
    assert_eq!(outcome.event::<Proposed>().by, org(40));
    // It is nobody once its organisation sleeps.
    chain.ok(1, at, &voteCall { id, org: org(40) });
    chain.ok(2, at, &voteCall { id, org: org(40) });
    assert_eq!(chain.members(id), [org(1), org(2), org(40)]);
    let suspend = Identity::setOrgCall {
        org: org(40),
        admin,
        s: IdentityStatus::Suspended.into(),
        meta: B256::ZERO,
    };
    chain.ok(0, chain.at.identity, &suspend);
    let leave = leaveGroupCall { id };
    chain.fails_from::<NotMember>(admin, at, &leave);
}

#[test]
fn own_id_comes_before_what_an_account_is_admin_of() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    // Account 2 is also admin of organisation 40.
    let register = Identity::registerOrgCall {
        org: org(40),
        admin: chain.account(2),
        meta: B256::ZERO,
    };
    chain.ok(0, chain.at.identity, &register);
    chain.register_parties(&[1, 2]);
    let party = registered(&chain, org(40), 40, 1);
    chain.ok(2, at, &party);
    let id = keccak256("both");
    let event = chain.ok(2, at, &creation(id, &[40, 1, 2]));
    assert_eq!(event.event::<GroupCreated>().by, org(2));
    let event = chain.ok(2, at, &leaveGroupCall { id });
    assert_eq!(event.event::<MemberRemoved>().org, org(2));
    let event = chain.ok(2, at, &leaveGroupCall { id });
    assert_eq!(event.event::<MemberRemoved>().org, org(40));
}

#[test]
fn closing_stops_new_parties_and_groups_and_nothing_else() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let id = chain.private_group(&[1, 2, 3], "prices");
    chain.register_parties(&[4]);
    chain.ok(
        0,
        chain.at.gatekeeper,
        &Gatekeeper::closeCall { target: at },
    );
    let party = registered(&chain, org(5), 5, 1);
    chain.fails::<AccessManagedUnauthorized>(5, at, &party);
    let group = creation(keccak256("new"), &[1, 2]);
    chain.fails::<AccessManagedUnauthorized>(1, at, &group);
    let key = key_of(&chain, org(1), 1, 1, chain.time);
    chain.ok(9, at, &key);
    chain.ok(1, at, &proposeMemberCall { id, org: org(4) });
    chain.ok(2, at, &voteCall { id, org: org(4) });
    assert_eq!(chain.members(id).len(), 4);
    chain.ok(3, at, &leaveGroupCall { id });
}

#[test]
fn suspended_organisation_neither_votes_nor_creates() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let id = chain.private_group(&[1, 2, 3], "prices");
    let suspend = Identity::setOrgCall {
        org: org(2),
        admin: chain.account(2),
        s: IdentityStatus::Suspended.into(),
        meta: B256::ZERO,
    };
    chain.ok(0, chain.at.identity, &suspend);
    chain.fails::<NotMember>(2, at, &proposeRemovalCall { id, org: org(1) });
    chain.fails::<NotMember>(2, at, &creation(keccak256("new"), &[1, 2]));
    chain.ok(1, at, &proposeRemovalCall { id, org: org(2) });
    chain.ok(3, at, &voteCall { id, org: org(2) });
    assert_eq!(chain.members(id), [org(1), org(3)]);
}

#[test]
fn calls_stay_below_their_ceilings() {
    let mut chain = Chain::new();
    let at = chain.at.private_groups;
    let mut table = crate::gas::Table::default();
    chain.register_parties(&[1]);
    let register = alone(&chain, org(2), 2, 2);
    table.add(&chain, "registerParty", 2, at, &register, 150_000);
    chain.register_parties(&[2, 3, 4, 5]);
    for epoch in 1..3 {
        let call = key_of(&chain, org(1), 1, epoch, chain.time);
        if epoch == 2 {
            table.add(&chain, "publishKey", 9, at, &call, 60_000);
        }
        chain.ok(9, at, &call);
    }
    chain.ok(1, at, &creation(keccak256("first"), &[1, 2]));
    let id = keccak256("prices");
    let create = creation(id, &[1, 2, 3, 4]);
    table.add(&chain, "createGroup, 4", 1, at, &create, 350_000);
    chain.ok(1, at, &create);
    let propose = proposeMemberCall { id, org: org(5) };
    table.add(&chain, "proposeMember", 1, at, &propose, 70_000);
    chain.ok(1, at, &propose);
    let vote = voteCall { id, org: org(5) };
    chain.ok(2, at, &vote);
    table.add(&chain, "vote, decides", 3, at, &vote, 100_000);
    let digest = keccak256("digest");
    let skip = skipCall { id, digest };
    table.add(&chain, "skip, first", 1, at, &skip, 60_000);
    chain.warp(200);
    let root = keccak256("root");
    chain.ok(
        1,
        at,
        &anchorCall {
            id,
            height: 64,
            root,
        },
    );
    let next = anchorCall {
        id,
        height: 128,
        root: id,
    };
    table.add(&chain, "anchor, private", 1, at, &next, 25_000);
    let attestation = attested(id, org(1), 1, 128, id);
    table.add(&chain, "anchorFor", 9, at, &attestation, 25_000);
    let hosted = registered(&chain, org(6), 6, 2);
    table.add(&chain, "registerParty, hosted", 6, at, &hosted, 150_000);
    let erased = report(id, digest);
    table.add(&chain, "reportErased", 1, at, &erased, 40_000);
    for by in [1, 2] {
        chain.ok(by, at, &erased);
    }
    table.add(&chain, "reportErased, decides", 3, at, &erased, 65_000);
    let audit = |entries| recordAuditCall {
        org: org(1),
        entries,
        head: root,
    };
    table.add(&chain, "recordAudit, first", 1, at, &audit(1), 60_000);
    chain.ok(1, at, &audit(1));
    table.add(&chain, "recordAudit", 1, at, &audit(2), 25_000);
    let current = currentKeyCall { org: org(1) };
    table.add(&chain, "currentKey", 9, at, &current, 3_000);
    table.check();
}
