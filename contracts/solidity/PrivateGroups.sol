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
        /// Who said that a payload is erased.
        mapping(bytes32 digest => mapping(bytes32 org => bool)) reports;
        /// Members that left or were removed so far.
        uint32 departures;
    }

    /// How far an audit log goes, and the hash of its last entry.
    struct Audit {
        uint64 entries;
        /// Number of the block that recorded it.
        uint64 height;
        bytes32 head;
    }

    /// @custom:storage-location erc7201:medina.storage.PrivateGroups
    struct Storage {
        mapping(bytes32 org => PartyRecord) parties;
        mapping(bytes32 identityKey => bytes32 org) owners;
        mapping(bytes32 id => GroupRecord) groups;
        bytes32[] partyList;
        bytes32[] groupList;
        mapping(bytes32 org => Audit) audits;
    }

    /// keccak256(abi.encode(uint256(keccak256("medina.storage.PrivateGroups")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE = 0x43a1c979b4b28c2d9d6217d24a109579395fce8c944f695da12d34928dad0000;

    bytes32 private constant PARTY_DOMAIN = keccak256("medina.private.party.v1");
    bytes32 private constant KEY_DOMAIN = keccak256("medina.private.key.v1");
    bytes32 private constant ATTESTATION_DOMAIN = keccak256("medina.private.attestation.v1");

    uint256 private constant MEMBERS_MAX = 64;
    uint256 private constant SIGNATURE_BYTES = 64;
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
        if (!_administers(org, msg.sender)) revert NotAdmin();
        if (!PERMISSIONING.connectionAllowed(nodeKey)) revert UnknownNode();
        if (!Ed25519Keys.isUsable(identityKey)) revert BadKey();
        Storage storage $ = _storage();
        bytes32 owner = $.owners[identityKey];
        if (owner != 0 && owner != org) revert Known();
        bytes32 message =
            keccak256(abi.encode(PARTY_DOMAIN, block.chainid, address(this), org, identityKey, nodeKey));
        // The second one is the node's, which so agrees to serve another organisation.
        bool isAgreed = proof.length == 2 * SIGNATURE_BYTES;
        if (!isAgreed && PERMISSIONING.getNode(nodeKey).org != org) revert NotHosted();
        if (!_isSigned(identityKey, message, isAgreed ? proof[:SIGNATURE_BYTES] : proof)) revert BadSignature();
        if (isAgreed && !_isSigned(nodeKey, message, proof[SIGNATURE_BYTES:])) revert BadSignature();

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
        if (id == 0 || quorum > orgs.length || attestEvery > ATTEST_EVERY_MAX) revert OutOfRange();
        if (mode == Mode.Mandatory && mandatory.length == 0) revert OutOfRange();
        bytes32 by = _actingAmong(orgs);
        (g.name, g.since, g.mode, g.quorum) = (name, uint48(block.timestamp), mode, quorum);
        g.attestEvery = attestEvery == 0 ? ATTEST_EVERY : attestEvery;
        $.groupList.push(id);
        emit GroupCreated(id, by, name, mode, quorum, g.attestEvery);

        for (uint256 i; i < orgs.length; ++i) {
            if (g.memberships[orgs[i]].place != 0) revert Known();
            _join(g, orgs[i]);
        }
        _setMandatory(g, mandatory);
        for (uint256 i; i < orgs.length; ++i) emit MemberAdded(id, orgs[i], g.memberships[orgs[i]].mandatory);
    }

    function proposeMember(bytes32 id, bytes32 org) external {
        GroupRecord storage g = _group(id);
        bytes32 by = _memberOrNone(g);
        bool asks = by == 0;
        if (asks) {
            if (!_acts(org, msg.sender)) revert NotMember();
            by = org;
        }
        if (g.memberships[org].place != 0) revert Known();
        _party(org);
        _propose(g, id, org, by);
        if (!asks) _vote(g, id, org, by);
    }

    function proposeRemoval(bytes32 id, bytes32 org) external {
        GroupRecord storage g = _group(id);
        bytes32 by = _member(g);
        if (g.memberships[org].place == 0) revert Unknown();
        _requireRemovable(g, org);
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
        mapping(bytes32 org => bool) storage reports = g.reports[digest];
        bool isNew = !reports[org];
        // Who has reported decides it where others left since.
        bool decides = g.erased[digest] == 0;
        if (isNew) {
            reports[org] = true;
            emit ErasureReported(id, digest, org, receiptsHash);
        }
        decides = decides && 2 * _countReports(g, digest) > g.members.length;
        if (!isNew && !decides) revert AlreadyReported();
        if (!decides) return;
        g.erased[digest] = uint64(block.number);
        emit Erased(id, digest);
    }

    function recordAudit(bytes32 org, uint64 entries, bytes32 head) external {
        if (!_acts(org, msg.sender)) revert NotPermitted();
        Audit storage a = _storage().audits[org];
        if (entries <= a.entries) revert Stale();
        (a.entries, a.height, a.head) = (entries, uint64(block.number), head);
        emit AuditRecorded(org, entries, head);
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

    function erasureOf(bytes32 id, bytes32 digest) external view returns (uint64 height, uint8 reports) {
        GroupRecord storage g = _storage().groups[id];
        // At most MEMBERS_MAX.
        return (g.erased[digest], uint8(_countReports(g, digest)));
    }

    function secretVersion(bytes32 id) external view returns (uint32) {
        return _storage().groups[id].departures;
    }

    function auditOf(bytes32 org) external view returns (uint64 entries, bytes32 head, uint64 height) {
        Audit storage a = _storage().audits[org];
        return (a.entries, a.head, a.height);
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
            // Another mandatory member may have left since the proposal.
            _requireRemovable(g, org);
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

    function _setMandatory(GroupRecord storage g, bytes32[] calldata mandatory) private {
        // Of at most 64 members, each once.
        if (mandatory.length > g.members.length) revert Known();
        for (uint256 i; i < mandatory.length; ++i) {
            Membership storage m = g.memberships[mandatory[i]];
            if (m.place == 0) revert Unknown();
            if (m.mandatory) revert Known();
            m.mandatory = true;
        }
    }

    function _remove(GroupRecord storage g, bytes32 id, bytes32 org) private {
        bool wasLast = _isLastMandatory(g, org);
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
        ++g.departures;
        emit MemberRemoved(id, org);
        if (wasLast) _bindAll(g, id);
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
        org = _memberOrNone(g);
        if (org == 0) revert NotMember();
    }

    /// The organisation of the caller's id if that is a member, else the first member whose admin it is: an admin
    /// needs no id of its own. 0 if there is none.
    function _memberOrNone(GroupRecord storage g) private view returns (bytes32 org) {
        org = _actingOrg();
        if (org != 0 && g.memberships[org].place != 0) return org;
        return _administered(g.members);
    }

    /// As `_member` where the members are still to be.
    function _actingAmong(bytes32[] memory orgs) private view returns (bytes32 org) {
        if (orgs.length == 0) revert OutOfRange();
        if (orgs.length > MEMBERS_MAX) revert TooMany();
        org = _actingOrg();
        for (uint256 i; org != 0 && i < orgs.length; ++i) {
            if (orgs[i] == org) return org;
        }
        org = _administered(orgs);
        if (org == 0) revert NotMember();
    }

    function _administered(bytes32[] memory orgs) private view returns (bytes32) {
        for (uint256 i; i < orgs.length; ++i) {
            if (_administers(orgs[i], msg.sender)) return orgs[i];
        }
        return 0;
    }

    /// Whether a group in mode Mandatory would be left without a mandatory member.
    function _isLastMandatory(GroupRecord storage g, bytes32 org) private view returns (bool) {
        if (g.mode != Mode.Mandatory || !g.memberships[org].mandatory) return false;
        uint256 count = g.members.length;
        for (uint256 i; i < count; ++i) {
            bytes32 other = g.members[i];
            if (other != org && g.memberships[other].mandatory) return false;
        }
        return true;
    }

    /// Who must see everything is not voted out by those whom it watches, unless it is no more.
    function _requireRemovable(GroupRecord storage g, bytes32 org) private view {
        if (!_isLastMandatory(g, org)) return;
        IIdentity.Status status = IDENTITY.getOrg(org).status;
        if (status != IIdentity.Status.Revoked && status != IIdentity.Status.None) revert LastMandatory();
    }

    /// Nobody is held in a group, and nothing of it is delivered with less than was agreed: all who stay must
    /// acknowledge.
    function _bindAll(GroupRecord storage g, bytes32 id) private {
        uint256 count = g.members.length;
        for (uint256 i; i < count; ++i) {
            bytes32 org = g.members[i];
            g.memberships[org].mandatory = true;
            emit BecameMandatory(id, org);
        }
    }

    /// Members of now that reported a payload erased.
    function _countReports(GroupRecord storage g, bytes32 digest) private view returns (uint256 reports) {
        mapping(bytes32 org => bool) storage reported = g.reports[digest];
        uint256 count = g.members.length;
        for (uint256 i; i < count; ++i) {
            if (reported[g.members[i]]) ++reports;
        }
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
