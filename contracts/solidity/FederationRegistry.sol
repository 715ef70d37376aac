// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {FederationState} from "./base/FederationState.sol";
import {Roles} from "./base/Roles.sol";
import {IFederationRegistry} from "./interfaces/IFederationRegistry.sol";
import {IIdentity} from "./interfaces/IIdentity.sol";
import {ISensorRegistry} from "./interfaces/ISensorRegistry.sol";
import {Ballots} from "./libraries/Ballots.sol";

/// @notice See IFederationRegistry.
/// @custom:oz-upgrades-unsafe-allow constructor state-variable-immutable delegatecall
contract FederationRegistry is IFederationRegistry, FederationState, EIP712 {
    using Ballots for Ballots.Box;
    using Ballots for Ballots.Ballot;

    bytes32 private constant DENIED = keccak256(
        "Denied(bytes32 fed,bytes32 resource,bytes32 targetOrg,bytes32 originOrg,bytes32 request,uint48 time,uint64 number,address client)"
    );
    bytes32 private constant RECEIPT = keccak256("Receipt(bytes32 request,uint48 time)");

    /// Memberships that `history` tells of.
    uint32 private constant HISTORY = 16;
    /// Of them in `Party.first`, and bits of each.
    uint256 private constant HISTORY_FIRST = 6;
    uint256 private constant INDEX_BITS = 24;
    uint256 private constant TIME_BITS = 48;
    /// Members there can be at once, as `uint16` counts.
    uint16 private constant MEMBERS_MAX = type(uint16).max;
    /// A share that comes back within this is the same one.
    uint48 private constant PAUSE_MAX = 7 days;
    uint48 private constant DENIED_AGE_MAX = 120;
    uint48 private constant REBUT_IN = 24 hours;
    uint256 private constant REPORT_INTERVAL = 1 hours;
    /// Before the signature in a receipt.
    uint256 private constant TIME_BYTES = 6;
    /// Parts of `Refusal.about`.
    uint256 private constant TARGET_BIT = 2;
    uint256 private constant ORIGIN_BIT = 24;
    uint256 private constant FED_BIT = 46;
    uint24 private constant ORGS_MAX = (1 << 22) - 1;
    uint256 private constant FEDS_IN_PLACE = (1 << 18) - 1;

    /// Whose code runs ballots.
    address private immutable BALLOTS;

    constructor(Modules memory modules, address ballots)
        FederationState(modules)
        EIP712("FederationRegistry", "1")
    {
        BALLOTS = ballots;
    }

    /// @notice Once, behind the proxy.
    function initialize(address authority) external initializer {
        __AccessManaged_init(authority);
    }

    function create(
        bytes32 id,
        bytes32 name,
        bool open,
        uint16 quorumBps,
        bytes32 infoModel,
        Constraint[] calldata c,
        bytes32[] calldata invites
    ) external restricted {
        bytes32 org = _actingOrg();
        if (org == 0) revert NotPermitted();
        if (id == 0 || quorumBps > BPS_MAX) revert BadRequest();
        if (c.length > CONSTRAINTS_MAX || invites.length > Roles.BATCH_MAX) revert BadRequest();
        Record storage f = _storage().federations[id];
        if (f.created != 0) revert Duplicate();
        f.name = name;
        f.infoModel = infoModel;
        f.created = uint48(block.timestamp);
        f.open = open;
        f.quorumBps = quorumBps;
        f.version = 1;
        f.constraintsSince = 1;
        f.index = ++_storage().fedCount;
        _storage().fedIds[f.index] = id;
        for (uint256 i; i < c.length; ++i) {
            if (!_isSound(c[i])) revert BadRequest();
            _storage().constraints[id].push(c[i]);
        }
        emit Created(id);
        _join(id, org);
        for (uint256 i; i < invites.length; ++i) _invite(id, invites[i]);
    }

    function invite(bytes32 fed, bytes32 org) external {
        _requireMember(fed);
        if (_storage().federations[fed].quorumBps != 0) revert QuorumMissing();
        _invite(fed, org);
    }

    function accept(bytes32 fed, uint32 version) external {
        bytes32 org = _actingOrg();
        if (org == 0) revert NotPermitted();
        Record storage f = _existing(fed);
        Membership storage m = _storage().memberships[fed][org];
        bool isNew = !_isMember(fed, org);
        if (!isNew && m.version == f.version) revert Duplicate();
        if (isNew && !f.open && !m.invited) revert NotInvited();
        if (version != f.version) revert StaleVersion();
        if (!isNew) {
            m.version = version;
            emit Accepted(fed, org, version);
            return;
        }
        // It let the time to accept pass, and nobody has noted that yet.
        if (m.joined != 0 && m.left == 0) _leave(fed, org, _leftOf(fed, m));
        if (f.removed != 0) revert Unknown();
        _join(fed, org);
    }

    function decline(bytes32 fed) external {
        bytes32 org = _actingOrg();
        Membership storage m = _storage().memberships[fed][org];
        if (org == 0 || !m.invited) revert NotInvited();
        m.invited = false;
        emit Declined(fed, org);
    }

    function leaveFederation(bytes32 fed) external {
        _leave(fed, _requireMember(fed), uint48(block.timestamp));
    }

    function lapse(bytes32 fed, bytes32 org) external {
        _existing(fed);
        Membership storage m = _storage().memberships[fed][org];
        if (m.joined == 0 || m.left != 0) revert NotMember();
        uint48 left = _leftOf(fed, m);
        if (left == 0) {
            IIdentity.Status status = IDENTITY.getOrg(org).status;
            // An erased individual has no organisation any more.
            if (status != IIdentity.Status.Revoked && status != IIdentity.Status.None) revert TooEarly();
            left = uint48(block.timestamp);
        }
        _leave(fed, org, left);
    }

    function propose(bytes32 fed, uint8 kind, bytes calldata data) external returns (uint256 ballot) {
        // The other half reads them from the same call.
        (fed, kind, data);
        ballot = abi.decode(_runBallots(), (uint256));
    }

    function vote(uint256 ballot, bool yes) external {
        (ballot, yes);
        _runBallots();
    }

    function execute(uint256 ballot) external {
        (ballot);
        _runBallots();
    }

    function share(bytes32 fed, bytes32[] calldata resources, bool[] calldata bartered) external {
        bytes32 org = _requireMember(fed);
        if (resources.length > Roles.BATCH_MAX || resources.length != bartered.length) revert BadRequest();
        for (uint256 i; i < resources.length; ++i) _share(fed, org, resources[i], bartered[i]);
    }

    function unshare(bytes32 fed, bytes32[] calldata resources) external {
        bytes32 org = _requireMember(fed);
        if (resources.length > Roles.BATCH_MAX) revert BadRequest();
        for (uint256 i; i < resources.length; ++i) {
            (bytes32 owner, uint48 since) = REGISTRY.ownerOf(resources[i]);
            if (owner != org) revert NotOwner();
            Share storage s = _storage().shares[fed][resources[i]];
            if (s.end != 0 || !_isOf(s, owner, since)) revert NotShared();
            s.end = uint48(block.timestamp);
            emit Unshared(fed, resources[i]);
        }
    }

    function subscribe(bytes32 fed, uint8 types, bytes32[] calldata topics, uint64[] calldata cells) external {
        bytes32 org = _requireMember(fed);
        if (topics.length > Roles.BATCH_MAX || cells.length > Roles.BATCH_MAX) revert BadRequest();
        emit Subscribed(fed, org, types, topics, cells);
    }

    function reportDenied(Denied calldata d, bytes calldata clientSig, bytes calldata targetSig)
        external
        restricted
        returns (uint256 report)
    {
        bytes32 digest = _checkDenied(d, clientSig);
        _takeNumber(d.client, d.number);
        report = _takeHour(d.client, d.resource);

        bool isAgreed = targetSig.length != 0;
        if (isAgreed && !_acts(d.targetOrg, _signer(digest, targetSig))) revert BadRequest();
        _record(report, d, isAgreed);
        emit Reported(report, d.fed, d.resource);
        if (isAgreed) _count(d.targetOrg, d.originOrg, d.fed, d.resource);
    }

    function rebut(uint256 report, bytes calldata receipt) external {
        Refusal storage r = _pending(report);
        if (block.timestamp > r.time + REBUT_IN) revert TooLate();
        (bytes32 target,,) = _partiesOf(r);
        if (!_acts(target, msg.sender)) revert NotOwner();
        if (receipt.length < TIME_BYTES) revert BadRequest();
        uint48 time = uint48(bytes6(receipt[:TIME_BYTES]));
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(RECEIPT, r.request, time)));
        if (time > block.timestamp) revert BadRequest();
        if (!SignatureChecker.isValidSignatureNow(r.client, digest, receipt[TIME_BYTES:])) revert BadRequest();
        _setState(r, ReportState.Rebutted);
        emit Rebutted(report);
    }

    function settleReport(uint256 report) external {
        Refusal storage r = _pending(report);
        if (block.timestamp <= r.time + REBUT_IN) revert TooEarly();
        _setState(r, ReportState.Counted);
        (bytes32 target, bytes32 origin, bytes32 fed) = _partiesOf(r);
        _count(target, origin, fed, r.resource);
    }

    function get(bytes32 fed) external view returns (Federation memory) {
        Record storage f = _storage().federations[fed];
        return Federation(
            f.name, f.created, f.removed, f.open, f.quorumBps, f.infoModel, f.version, f.members
        );
    }

    function constraints(bytes32 fed) external view returns (Constraint[] memory) {
        return _storage().constraints[fed];
    }

    function constraintAt(bytes32 fed, uint8 index)
        external
        view
        returns (Constraint memory, uint32 since, uint48 begun)
    {
        Constraint[] storage list = _storage().constraints[fed];
        if (index >= list.length) revert Unknown();
        Record storage f = _storage().federations[fed];
        since = f.constraintsSince;
        begun = since == 1 ? f.created : _storage().changes[fed][since];
        return (list[index], since, begun);
    }

    function isMember(bytes32 fed, bytes32 org) external view returns (bool) {
        return _isMember(fed, org);
    }

    function membership(bytes32 fed, bytes32 org)
        external
        view
        returns (uint48 joined, uint48 left, uint32 version)
    {
        Membership storage m = _storage().memberships[fed][org];
        return (m.joined, _leftOf(fed, m), m.version);
    }

    function isShared(bytes32 fed, bytes32 resource) public view returns (bool shared, bool bartered) {
        (bytes32 owner, uint48 since, uint8 status) = REGISTRY.standing(resource);
        return _isShared(fed, resource, owner, since, status);
    }

    function sharing(bytes32 fed, bytes32 resource)
        external
        view
        returns (bytes32 owner, uint48 start, uint48 end)
    {
        Share memory s = _storage().shares[fed][resource];
        uint48 since;
        (owner, since) = REGISTRY.ownerOf(resource);
        if (!_isOf(s, owner, since)) return (0, 0, 0);
        return (owner, s.start, _endOf(fed, owner, s));
    }

    function accessAllowed(bytes32 fed, bytes32 resource, bytes32 clientOrg)
        external
        view
        returns (bool allowed, bool bartered)
    {
        if (!_isMember(fed, clientOrg)) return (false, false);
        return isShared(fed, resource);
    }

    function history(bytes32 org) external view returns (uint48[4][] memory times) {
        (uint256 count, uint256[16] memory packed) = packedHistory(org);
        times = new uint48[4][](count);
        for (uint256 i; i < count; ++i) {
            uint48[4] memory t = times[i];
            for (uint256 j; j < 4; ++j) t[j] = uint48(packed[i] >> (j * TIME_BITS));
        }
    }

    function packedHistory(bytes32 org) public view returns (uint256 count, uint256[16] memory times) {
        Storage storage $ = _storage();
        Party memory p = $.parties[org];
        uint256 all = p.memberships;
        count = all > HISTORY ? HISTORY : all;
        for (uint256 i; i < count; ++i) {
            bytes32 fed = $.fedIds[_indexAt(p, i)];
            // The newest membership with this place: at most 15 before the last.
            unchecked {
                uint32 number = uint32(all - 1 - (all - 1 + HISTORY - i) % HISTORY);
                times[i] = _timesOf($.federations[fed], $.memberships[fed][org], fed, org, number);
            }
        }
    }

    function misdeeds(bytes32 target) external view returns (uint64) {
        return _storage().parties[target].misdeeds;
    }

    function misdeedsBy(bytes32 target, bytes32 origin, bytes32 fed) external view returns (uint64) {
        return _storage().misdeedsBy[target][origin][fed];
    }

    function getReport(uint256 report) external view returns (ReportView memory) {
        Refusal storage r = _storage().refusals[report];
        (bytes32 target, bytes32 origin, bytes32 fed) = _partiesOf(r);
        return ReportView(fed, r.resource, target, origin, r.request, r.client, r.time, _stateOf(r));
    }

    function getBallot(uint256 ballot) external view returns (BallotView memory seen) {
        Storage storage $ = _storage();
        if (!$.box.exists(ballot)) return seen;
        Ballots.Ballot storage b = $.box.ballots[ballot];
        Case storage c = $.cases[ballot];
        (seen.fed, seen.kind, seen.data, seen.opened, seen.executed) = (c.fed, b.kind, b.data, b.opened, b.executed);
        (seen.members, seen.yes, seen.no, seen.needed) = (c.members, c.yes, c.no, _needed(c));
        seen.open = b.isOpen() && $.federations[c.fed].removed == 0;
        seen.passes = seen.open && c.yes >= seen.needed;
    }

    function voteOf(uint256 ballot, bytes32 org) external view returns (uint8) {
        return uint8(_storage().box.ballots[ballot].votes[org]);
    }

    function _join(bytes32 fed, bytes32 org) private {
        Storage storage $ = _storage();
        Party storage p = $.parties[org];
        if (p.index == 0) {
            p.index = ++$.orgCount;
            if (p.index > ORGS_MAX) revert OutOfRange();
            $.orgs[p.index] = org;
        }
        Record storage f = $.federations[fed];
        if (f.members == MEMBERS_MAX) revert OutOfRange();
        Membership storage m = $.memberships[fed][org];
        if (m.joined != 0) $.past[org][m.number] = Period(m.joined, m.left);
        uint32 number = p.memberships++;
        $.memberships[fed][org] = Membership(false, uint48(block.timestamp), 0, f.version, number, ++f.joins);
        _setFedAt(p, number % HISTORY, f.index);
        ++f.members;
        emit Joined(fed, org);
    }

    function _indexAt(Party memory p, uint256 place) private pure returns (uint24) {
        if (place < HISTORY_FIRST) return uint24(p.first >> (place * INDEX_BITS));
        return uint24(p.rest >> ((place - HISTORY_FIRST) * INDEX_BITS));
    }

    /// Created, removed, joined, left, 48 bits each; by two reads of storage, because sixteen of them are in every
    /// reputation.
    function _timesOf(Record storage f, Membership storage m, bytes32 fed, bytes32 org, uint32 number)
        private
        view
        returns (uint256)
    {
        uint256 record;
        uint256 membership_;
        assembly ("memory-safe") {
            // The third slot of a Record: created, removed, open, quorumBps, version and others.
            record := sload(add(f.slot, 2))
            // invited, joined, left, version, number, join.
            membership_ := sload(m.slot)
        }
        uint256 times = uint96(record);
        if (uint32(membership_ >> 136) != number) {
            Period storage p = _storage().past[org][number];
            return times | (uint256(p.joined) << 96) | (uint256(p.left) << 144);
        }
        uint256 left = uint48(membership_ >> 56);
        bool isOver = times >> TIME_BITS != 0 || uint32(membership_ >> 104) != uint32(record >> 120);
        if (left == 0 && isOver) left = _leftOf(fed, m);
        return times | (uint256(uint48(membership_ >> 8)) << 96) | (left << 144);
    }

    function _setFedAt(Party storage p, uint256 place, uint256 index) private {
        if (place < HISTORY_FIRST) p.first = uint144(_with(p.first, place, index));
        else p.rest = uint240(_with(p.rest, place - HISTORY_FIRST, index));
    }

    function _with(uint256 list, uint256 place, uint256 index) private pure returns (uint256) {
        uint256 shift = place * INDEX_BITS;
        return list & ~(uint256(type(uint24).max) << shift) | (index << shift);
    }

    function _share(bytes32 fed, bytes32 org, bytes32 resource, bool bartered) private {
        (bytes32 owner, uint48 since, uint8 status) = REGISTRY.standing(resource);
        if (owner != org || status != Roles.LIVE) revert NotOwner();
        Storage storage $ = _storage();
        Share memory s = $.shares[fed][resource];
        uint48 start = uint48(block.timestamp);
        if (_isOf(s, org, since)) {
            uint48 end = _endOf(fed, org, s);
            // Else a member could be rid of a window it had missed.
            if (end == 0 || start - end <= PAUSE_MAX) start = s.start;
        }
        uint32 number = $.memberships[fed][org].number;
        $.shares[fed][resource] = Share(bartered, start, 0, number, bytes15(org));
        emit Shared(fed, resource, bartered);
    }

    /// Fields, federation, client and target, origin, resource: in this order.
    function _checkDenied(Denied calldata d, bytes calldata clientSig) private view returns (bytes32 digest) {
        if (d.request == 0 || d.client == address(0) || d.time > block.timestamp) revert BadRequest();
        _existing(d.fed);
        (, bytes32 clientOrg, uint8 role) = IDENTITY.standing(d.client);
        if (role == 0 || !_isMember(d.fed, clientOrg) || !_isMember(d.fed, d.targetOrg)) revert NotMember();
        if (clientOrg == d.targetOrg || block.timestamp - d.time > DENIED_AGE_MAX) revert BadRequest();
        digest = _hashTypedDataV4(keccak256(abi.encode(DENIED, d)));
        if (!SignatureChecker.isValidSignatureNow(d.client, digest, clientSig)) revert BadRequest();
        bool isKnown = d.originOrg == clientOrg || d.originOrg == d.targetOrg;
        if (!isKnown && !_isMember(d.fed, d.originOrg)) revert NotMember();
        (bytes32 owner, uint48 since, uint8 status) = REGISTRY.standing(d.resource);
        if (owner != d.targetOrg) revert NotOwner();
        if (!_isOffered(d.fed, _storage().shares[d.fed][d.resource], owner, since, status)) revert NotShared();
    }

    /// What is not settled yet keeps what it was about.
    function _record(uint256 report, Denied calldata d, bool isAgreed) private {
        Storage storage $ = _storage();
        Refusal storage r = $.refusals[report];
        uint256 fed = $.federations[d.fed].index;
        if (fed > FEDS_IN_PLACE) fed = 0;
        uint256 about = uint256(isAgreed ? ReportState.Counted : ReportState.Pending)
            | (uint256($.parties[d.targetOrg].index) << TARGET_BIT)
            | (uint256($.parties[d.originOrg].index) << ORIGIN_BIT) | (fed << FED_BIT);
        uint256 first = uint256(uint160(d.client)) | (uint256(uint32(block.timestamp)) << 160) | (about << 192);
        // The whole slot at once.
        assembly ("memory-safe") {
            sstore(r.slot, first)
        }
        if (isAgreed) return;
        (r.resource, r.request) = (d.resource, d.request);
        if (fed == 0) r.fed = d.fed;
    }

    function _stateOf(Refusal storage r) private view returns (ReportState) {
        return ReportState(uint8(r.about & 3));
    }

    function _setState(Refusal storage r, ReportState state) private {
        r.about = (r.about & ~uint64(3)) | uint8(state);
    }

    function _partiesOf(Refusal storage r) private view returns (bytes32 target, bytes32 origin, bytes32 fed) {
        Storage storage $ = _storage();
        uint64 about = r.about;
        target = $.orgs[uint24((about >> TARGET_BIT) & ORGS_MAX)];
        origin = $.orgs[uint24((about >> ORIGIN_BIT) & ORGS_MAX)];
        uint24 index = uint24(about >> FED_BIT);
        fed = index == 0 ? r.fed : $.fedIds[index];
    }

    function _takeNumber(address client, uint64 number) private {
        mapping(uint64 => uint256) storage words = _storage().numbers[client];
        uint256 word = words[number / 256];
        uint256 bit = 1 << (number % 256);
        if (word & bit != 0) revert Duplicate();
        words[number / 256] = word | bit;
    }

    /// The id of a report that may be made now: of this client, resource and hour. One of the hour before must be
    /// an hour old.
    function _takeHour(address client, bytes32 resource) private view returns (uint256 report) {
        mapping(uint256 => Refusal) storage refusals = _storage().refusals;
        uint256 hour = block.timestamp / REPORT_INTERVAL;
        report = _reportId(client, resource, hour);
        uint256 before = refusals[_reportId(client, resource, hour - 1)].time;
        bool isSoon = before != 0 && block.timestamp < before + REPORT_INTERVAL;
        if (isSoon || refusals[report].time != 0) revert Duplicate();
    }

    function _reportId(address client, bytes32 resource, uint256 hour) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(client, resource, hour)));
    }

    function _count(bytes32 target, bytes32 origin, bytes32 fed, bytes32 resource) private {
        Storage storage $ = _storage();
        ++$.parties[target].misdeeds;
        ++$.misdeedsBy[target][origin][fed];
        emit Misdeed(target, origin, fed, resource);
        TRUST.onMisdeed(target);
    }

    function _pending(uint256 report) private view returns (Refusal storage r) {
        r = _storage().refusals[report];
        ReportState state = _stateOf(r);
        if (state == ReportState.None) revert Unknown();
        if (state != ReportState.Pending) revert TooLate();
    }

    function _isShared(bytes32 fed, bytes32 resource, bytes32 owner, uint48 since, uint8 status)
        private
        view
        returns (bool shared, bool bartered)
    {
        Share memory s = _storage().shares[fed][resource];
        if (!_isOffered(fed, s, owner, since, status) || !_isMember(fed, owner)) return (false, false);
        return (true, s.bartered);
    }

    /// Whether a live resource is shared by its owner in the owner's newest membership, if that goes on.
    function _isOffered(bytes32 fed, Share memory s, bytes32 owner, uint48 since, uint8 status)
        private
        view
        returns (bool)
    {
        if (s.end != 0 || status != Roles.LIVE || !_isOf(s, owner, since)) return false;
        return _storage().memberships[fed][owner].number == s.number;
    }

    /// Whether the owner of a resource is who shared it, and has had it all the while.
    function _isOf(Share memory s, bytes32 org, uint48 since) private pure returns (bool) {
        return s.start != 0 && since <= s.start && bytes15(org) == s.owner;
    }

    /// When a share ended; 0 if it has not.
    function _endOf(bytes32 fed, bytes32 org, Share memory s) private view returns (uint48 end) {
        (, uint48 left) = _periodOf(fed, org, s.number);
        if (s.end == 0 || (left != 0 && left < s.end)) return left;
        return s.end;
    }

    function _periodOf(bytes32 fed, bytes32 org, uint32 number) private view returns (uint48 joined, uint48 left) {
        Membership storage m = _storage().memberships[fed][org];
        if (m.number == number) return (m.joined, _leftOf(fed, m));
        Period storage p = _storage().past[org][number];
        return (p.joined, p.left);
    }

    /// The same call with the code of FederationBallots, which does as IFederationRegistry says.
    function _runBallots() private returns (bytes memory) {
        return Address.functionDelegateCall(BALLOTS, msg.data);
    }
}
