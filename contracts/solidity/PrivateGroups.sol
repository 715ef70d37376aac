// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC7913SignatureVerifier} from "@openzeppelin/contracts/interfaces/IERC7913.sol";
import {Acting} from "./base/Acting.sol";
import {MedinaModule} from "./base/MedinaModule.sol";
import {IIdentity} from "./interfaces/IIdentity.sol";
import {IPermissioning} from "./interfaces/IPermissioning.sol";
import {IPrivateGroups} from "./interfaces/IPrivateGroups.sol";
import {Ed25519Keys} from "./libraries/Ed25519Keys.sol";

/// @notice See IPrivateGroups. Closing it stops new parties and groups only: those that are there rotate their keys
/// and decide on.
/// @custom:oz-upgrades-unsafe-allow constructor state-variable-immutable
contract PrivateGroups is IPrivateGroups, MedinaModule, Acting {
    struct Key {
        bytes32 key;
        uint32 epoch;
        uint48 validFrom;
    }

    struct PartyRecord {
        bytes32 identityKey;
        bytes32 nodeKey;
        uint48 since;
        /// Valid until `newest` is.
        Key former;
        Key newest;
    }

    struct Membership {
        /// Place in `members`, from 1; 0 for an organisation that is no member.
        uint8 place;
        bool mandatory;
        /// Number of the block.
        uint64 since;
    }

    /// One question, which may be asked again; votes name the round they were given in.
    struct Ballot {
        uint48 opened;
        uint32 round;
        bool open;
        mapping(bytes32 org => uint32 round) votes;
    }

    struct Anchor {
        uint64 height;
        bytes32 root;
    }

    struct GroupRecord {
        bytes32 name;
        uint48 since;
        Mode mode;
        uint16 quorum;
        uint32 attestEvery;
        bytes32[] members;
        mapping(bytes32 org => Membership) memberships;
        /// Admission or removal, whatever the organisation is not.
        mapping(bytes32 org => Ballot) proposals;
        mapping(bytes32 digest => Ballot) skips;
        /// Numbers of blocks.
        mapping(bytes32 digest => uint64) skipped;
        mapping(bytes32 digest => uint64) erased;
        mapping(bytes32 org => Anchor) anchors;
    }

    /// @custom:storage-location erc7201:medina.storage.PrivateGroups
    struct Storage {
        mapping(bytes32 org => PartyRecord) parties;
        mapping(bytes32 identityKey => bytes32 org) owners;
        mapping(bytes32 id => GroupRecord) groups;
        bytes32[] partyList;
        bytes32[] groupList;
    }

    /// keccak256(abi.encode(uint256(keccak256("medina.storage.PrivateGroups")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE = 0x43a1c979b4b28c2d9d6217d24a109579395fce8c944f695da12d34928dad0000;

    bytes32 private constant PARTY_DOMAIN = keccak256("medina.private.party.v1");
    bytes32 private constant KEY_DOMAIN = keccak256("medina.private.key.v1");
    bytes32 private constant ATTESTATION_DOMAIN = keccak256("medina.private.attestation.v1");

    uint256 private constant MEMBERS_MAX = 64;
    uint256 private constant VOTES_FOR = 30 days;
    uint256 private constant KEY_AHEAD_MAX = 7 days;
    uint32 private constant ATTEST_EVERY = 64;
    uint32 private constant ATTEST_EVERY_MAX = 100_000;

    IPermissioning private immutable PERMISSIONING;
    IERC7913SignatureVerifier private immutable ED25519;

    constructor(IIdentity identity, IPermissioning permissioning, IERC7913SignatureVerifier ed25519)
        Acting(identity)
    {
        PERMISSIONING = permissioning;
        ED25519 = ed25519;
    }

    /// @notice Once, behind the proxy.
    function initialize(address authority) external initializer {
        __AccessManaged_init(authority);
    }

    function registerParty(bytes32 org, bytes32 identityKey, bytes32 nodeKey, bytes calldata proof)
        external
        restricted
    {
        IIdentity.Org memory o = IDENTITY.getOrg(org);
        if (o.admin != msg.sender || o.status != IIdentity.Status.Active) revert NotAdmin();
        if (!PERMISSIONING.connectionAllowed(nodeKey)) revert UnknownNode();
        if (!Ed25519Keys.isUsable(identityKey)) revert BadKey();
        Storage storage $ = _storage();
        bytes32 owner = $.owners[identityKey];
        if (owner != 0 && owner != org) revert Known();
        bytes32 message =
            keccak256(abi.encode(PARTY_DOMAIN, block.chainid, address(this), org, identityKey, nodeKey));
        if (!_isSigned(identityKey, message, proof)) revert BadSignature();

        PartyRecord storage p = $.parties[org];
        if (p.since == 0) $.partyList.push(org);
        if (p.identityKey != identityKey) {
            $.owners[identityKey] = org;
            p.identityKey = identityKey;
            // Whoever has the old identity key may have published them. The epoch goes on.
            delete p.former;
            (p.newest.key, p.newest.validFrom) = (0, 0);
        }
        (p.nodeKey, p.since) = (nodeKey, uint48(block.timestamp));
        emit PartySet(org, identityKey, nodeKey);
    }

    function publishKey(bytes32 org, uint32 epoch, bytes32 key, uint48 validFrom, bytes calldata signature)
        external
    {
        PartyRecord storage p = _party(org);
        if (key == 0) revert BadKey();
        if (epoch <= p.newest.epoch) revert Stale();
        if (validFrom > block.timestamp + KEY_AHEAD_MAX) revert OutOfRange();
        bool replaces = p.newest.validFrom > block.timestamp;
        if (validFrom < (replaces ? p.former : p.newest).validFrom) revert OutOfRange();
        bytes32 message =
            keccak256(abi.encode(KEY_DOMAIN, block.chainid, address(this), org, epoch, key, validFrom));
        if (!_isSigned(p.identityKey, message, signature)) revert BadSignature();

        if (!replaces) p.former = p.newest;
        p.newest = Key(key, epoch, validFrom);
        emit KeyPublished(org, epoch, key, validFrom);
    }

    function createGroup(
        bytes32 id,
        bytes32 name,
        bytes32[] calldata orgs,
        Mode mode,
        bytes32[] calldata mandatory,
        uint16 quorum,
        uint32 attestEvery
    ) external restricted {
        Storage storage $ = _storage();
        GroupRecord storage g = $.groups[id];
        if (g.since != 0) revert Known();
        if (id == 0 || orgs.length == 0 || quorum > orgs.length || attestEvery > ATTEST_EVERY_MAX) {
            revert OutOfRange();
        }
        if (mode == Mode.Mandatory && mandatory.length == 0) revert OutOfRange();
        // Of at most 64 members, each once.
        if (mandatory.length > orgs.length) revert Known();
        (g.name, g.since, g.mode, g.quorum) = (name, uint48(block.timestamp), mode, quorum);
        g.attestEvery = attestEvery == 0 ? ATTEST_EVERY : attestEvery;
        $.groupList.push(id);
        bytes32 by = _actingOrg();
        emit GroupCreated(id, by, name, mode, quorum, g.attestEvery);

        for (uint256 i; i < orgs.length; ++i) {
            if (g.memberships[orgs[i]].place != 0) revert Known();
            _join(g, orgs[i]);
        }
        if (by == 0 || g.memberships[by].place == 0) revert NotMember();
        for (uint256 i; i < mandatory.length; ++i) {
            Membership storage m = g.memberships[mandatory[i]];
            if (m.place == 0) revert Unknown();
            if (m.mandatory) revert Known();
            m.mandatory = true;
        }
        for (uint256 i; i < orgs.length; ++i) emit MemberAdded(id, orgs[i], g.memberships[orgs[i]].mandatory);
    }

    function proposeMember(bytes32 id, bytes32 org) external {
        GroupRecord storage g = _group(id);
        bytes32 by = _actingOrg();
        bool isMember_ = by != 0 && g.memberships[by].place != 0;
        if (!isMember_ && (by == 0 || by != org)) revert NotMember();
        if (g.memberships[org].place != 0) revert Known();
        _party(org);
        _propose(g, id, org, by);
        if (isMember_) _vote(g, id, org, by);
    }

    function proposeRemoval(bytes32 id, bytes32 org) external {
        GroupRecord storage g = _group(id);
        bytes32 by = _member(g);
        if (g.memberships[org].place == 0) revert Unknown();
        _propose(g, id, org, by);
        _vote(g, id, org, by);
    }

    function vote(bytes32 id, bytes32 org) external {
        GroupRecord storage g = _group(id);
        bytes32 by = _member(g);
        if (!_isOpen(g.proposals[org])) revert NotOpen();
        _vote(g, id, org, by);
    }

    function leaveGroup(bytes32 id) external {
        GroupRecord storage g = _group(id);
        _remove(g, id, _member(g));
    }

    function skip(bytes32 id, bytes32 digest) external {
        GroupRecord storage g = _group(id);
        bytes32 by = _member(g);
        if (g.skipped[digest] != 0) revert Known();
        Ballot storage b = g.skips[digest];
        if (!_isOpen(b)) _open(b);
        bool isNew = _cast(b, by);
        bool passes = _passes(g, b);
        if (!isNew && !passes) revert AlreadyVoted();
        emit SkipVoted(id, digest, by);
        if (!passes) return;
        b.open = false;
        g.skipped[digest] = uint64(block.number);
        emit Skipped(id, digest);
    }

    function anchor(bytes32 id, uint64 height, bytes32 root) external {
        GroupRecord storage g = _group(id);
        _anchor(g, id, _member(g), height, root);
    }

    function anchorFor(bytes32 id, bytes32 org, uint64 height, bytes32 root, bytes calldata signature) external {
        GroupRecord storage g = _group(id);
        if (g.memberships[org].place == 0) revert Unknown();
        bytes32 message = keccak256(abi.encode(ATTESTATION_DOMAIN, block.chainid, id, height, root));
        if (!_isSigned(_party(org).identityKey, message, signature)) revert BadSignature();
        _anchor(g, id, org, height, root);
    }

    function reportErased(bytes32 id, bytes32 digest, bytes32 receiptsHash) external {
        GroupRecord storage g = _group(id);
        bytes32 org = _member(g);
        if (g.erased[digest] == 0) g.erased[digest] = uint64(block.number);
        emit Erased(id, digest, org, receiptsHash);
    }

    function party(bytes32 org) external view returns (Party memory) {
        PartyRecord storage p = _storage().parties[org];
        return Party(p.identityKey, p.nodeKey, p.since, p.newest.epoch);
    }

    function currentKey(bytes32 org) external view returns (uint32 epoch, bytes32 key, uint48 validFrom) {
        PartyRecord storage p = _storage().parties[org];
        Key storage k = p.newest.validFrom > block.timestamp ? p.former : p.newest;
        if (k.key != 0) (epoch, key, validFrom) = (k.epoch, k.key, k.validFrom);
    }

    function orgOf(bytes32 identityKey) external view returns (bytes32) {
        return _storage().owners[identityKey];
    }

    function partyCount() external view returns (uint256) {
        return _storage().partyList.length;
    }

    function partyAt(uint256 index) external view returns (bytes32) {
        return _at(_storage().partyList, index);
    }

    function group(bytes32 id) external view returns (Group memory seen) {
        GroupRecord storage g = _storage().groups[id];
        (seen.name, seen.since, seen.mode) = (g.name, g.since, g.mode);
        (seen.quorum, seen.attestEvery, seen.members) = (g.quorum, g.attestEvery, g.members);
        uint256 count;
        bytes32[] memory mandatory = new bytes32[](seen.members.length);
        for (uint256 i; i < seen.members.length; ++i) {
            if (g.memberships[seen.members[i]].mandatory) mandatory[count++] = seen.members[i];
        }
        assembly ("memory-safe") {
            mstore(mandatory, count)
        }
        seen.mandatory = mandatory;
    }

    function groupCount() external view returns (uint256) {
        return _storage().groupList.length;
    }

    function groupAt(uint256 index) external view returns (bytes32) {
        return _at(_storage().groupList, index);
    }

    function isMember(bytes32 id, bytes32 org) external view returns (bool) {
        return _storage().groups[id].memberships[org].place != 0;
    }

    function memberSince(bytes32 id, bytes32 org) external view returns (uint64) {
        return _storage().groups[id].memberships[org].since;
    }

    function proposalOf(bytes32 id, bytes32 org) external view returns (Proposal memory) {
        GroupRecord storage g = _storage().groups[id];
        Ballot storage b = g.proposals[org];
        // At most MEMBERS_MAX.
        return Proposal(b.opened, _isOpen(b), uint8(_tally(g, b)), uint8(g.members.length));
    }

    function skipOf(bytes32 id, bytes32 digest) external view returns (uint64 height, uint8 yes) {
        GroupRecord storage g = _storage().groups[id];
        return (g.skipped[digest], uint8(_tally(g, g.skips[digest])));
    }

    function erasedAt(bytes32 id, bytes32 digest) external view returns (uint64) {
        return _storage().groups[id].erased[digest];
    }

    function anchorOf(bytes32 id, bytes32 org) external view returns (uint64 height, bytes32 root) {
        Anchor storage a = _storage().groups[id].anchors[org];
        return (a.height, a.root);
    }

    function _propose(GroupRecord storage g, bytes32 id, bytes32 org, bytes32 by) private {
        Ballot storage b = g.proposals[org];
        if (_isOpen(b)) revert Known();
        _open(b);
        emit Proposed(id, org, by);
    }

    function _vote(GroupRecord storage g, bytes32 id, bytes32 org, bytes32 by) private {
        Ballot storage b = g.proposals[org];
        bool isNew = _cast(b, by);
        bool passes = _passes(g, b);
        // Who has voted decides it where others left since.
        if (!isNew && !passes) revert AlreadyVoted();
        emit Voted(id, org, by);
        if (!passes) return;
        if (g.memberships[org].place != 0) {
            _remove(g, id, org);
        } else {
            b.open = false;
            _join(g, org);
            emit MemberAdded(id, org, false);
        }
    }

    function _open(Ballot storage b) private {
        b.opened = uint48(block.timestamp);
        b.open = true;
        ++b.round;
    }

    /// False if it has voted in this round.
    function _cast(Ballot storage b, bytes32 org) private returns (bool isNew) {
        isNew = b.votes[org] != b.round;
        if (isNew) b.votes[org] = b.round;
    }

    function _join(GroupRecord storage g, bytes32 org) private {
        if (g.members.length == MEMBERS_MAX) revert TooMany();
        _party(org);
        g.members.push(org);
        // At most MEMBERS_MAX.
        g.memberships[org] = Membership(uint8(g.members.length), false, uint64(block.number));
    }

    function _remove(GroupRecord storage g, bytes32 id, bytes32 org) private {
        uint8 place = g.memberships[org].place;
        uint256 last = g.members.length - 1;
        if (place - 1 != last) {
            bytes32 moved = g.members[last];
            g.members[place - 1] = moved;
            g.memberships[moved].place = place;
        }
        g.members.pop();
        delete g.memberships[org];
        // It would be one of admission now.
        g.proposals[org].open = false;
        emit MemberRemoved(id, org);
    }

    function _anchor(GroupRecord storage g, bytes32 id, bytes32 org, uint64 height, bytes32 root) private {
        Anchor storage a = g.anchors[org];
        if (height <= a.height) revert Stale();
        if (height > block.number) revert OutOfRange();
        (a.height, a.root) = (height, root);
        emit Anchored(id, org, height, root);
    }

    function _group(bytes32 id) private view returns (GroupRecord storage g) {
        g = _storage().groups[id];
        if (g.since == 0) revert Unknown();
    }

    function _party(bytes32 org) private view returns (PartyRecord storage p) {
        p = _storage().parties[org];
        if (p.since == 0) revert Unknown();
    }

    /// The member for which the caller acts.
    function _member(GroupRecord storage g) private view returns (bytes32 org) {
        org = _actingOrg();
        if (org == 0 || g.memberships[org].place == 0) revert NotMember();
    }

    function _isOpen(Ballot storage b) private view returns (bool) {
        return b.open && block.timestamp <= b.opened + VOTES_FOR;
    }

    function _passes(GroupRecord storage g, Ballot storage b) private view returns (bool) {
        return 2 * _tally(g, b) > g.members.length;
    }

    /// Members of now that voted in this round.
    function _tally(GroupRecord storage g, Ballot storage b) private view returns (uint256 yes) {
        uint32 round = b.round;
        if (round == 0) return 0;
        uint256 count = g.members.length;
        for (uint256 i; i < count; ++i) {
            if (b.votes[g.members[i]] == round) ++yes;
        }
    }

    function _isSigned(bytes32 key, bytes32 message, bytes calldata signature) private view returns (bool) {
        return ED25519.verify(abi.encodePacked(key), message, signature)
            == IERC7913SignatureVerifier.verify.selector;
    }

    function _at(bytes32[] storage list, uint256 index) private view returns (bytes32) {
        return index == 0 || index > list.length ? bytes32(0) : list[index - 1];
    }

    function _storage() private pure returns (Storage storage $) {
        assembly {
            $.slot := STORAGE
        }
    }
}
