// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Acting} from "./base/Acting.sol";
import {MedinaModule} from "./base/MedinaModule.sol";
import {Roles} from "./base/Roles.sol";
import {IFederationRegistry} from "./interfaces/IFederationRegistry.sol";
import {IIdentity} from "./interfaces/IIdentity.sol";
import {ISensorRegistry} from "./interfaces/ISensorRegistry.sol";

/// @notice See IFederationRegistry.
/// @custom:oz-upgrades-unsafe-allow constructor state-variable-immutable
contract FederationRegistry is IFederationRegistry, MedinaModule, Acting {
    struct Membership {
        bool invited;
        uint48 joined;
        uint48 left;
        uint32 version;
        /// Number of this membership among all of the organisation, from 0.
        uint64 number;
    }

    struct Share {
        bool shared;
        bool bartered;
        /// Membership and ownership it hangs on. Several blocks may share a second, so `since` alone does not
        /// tell two owners apart; half of the owner's id does, and fits the slot.
        uint64 number;
        uint48 since;
        bytes16 owner;
    }

    /// One membership of an organisation, for `history`.
    struct Entry {
        bytes32 fed;
        uint48 joined;
        uint48 left;
    }

    /// @custom:storage-location erc7201:medina.storage.FederationRegistry
    struct Storage {
        mapping(bytes32 fed => Federation) federations;
        mapping(bytes32 fed => Constraint[]) constraints;
        mapping(bytes32 fed => mapping(bytes32 org => Membership)) memberships;
        mapping(bytes32 fed => mapping(bytes32 resource => Share)) shares;
        mapping(bytes32 org => uint64) membershipCounts;
        mapping(bytes32 org => Entry[16]) entries;
    }

    /// keccak256(abi.encode(uint256(keccak256("medina.storage.FederationRegistry")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE = 0x46c9786542ca2dac1a827057447852785ea77370b378d9f15686253165976700;

    /// Memberships that `history` tells of.
    uint256 private constant HISTORY = 16;
    uint256 private constant CONSTRAINTS_MAX = 16;
    uint16 private constant BPS_MAX = 10_000;

    ISensorRegistry private immutable REGISTRY;

    constructor(IIdentity identity, ISensorRegistry registry) Acting(identity) {
        REGISTRY = registry;
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
        Storage storage $ = _storage();
        if ($.federations[id].created != 0) revert Duplicate();
        $.federations[id] =
            Federation(name, uint48(block.timestamp), 0, open, quorumBps, infoModel, 1, 0);
        for (uint256 i; i < c.length; ++i) $.constraints[id].push(c[i]);
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
        Federation storage f = _existing(fed);
        Membership storage m = _storage().memberships[fed][org];
        if (isMember(fed, org)) revert Duplicate();
        if (!f.open && !m.invited) revert NotInvited();
        if (version != f.version) revert StaleVersion();
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
        _leave(fed, _requireMember(fed));
    }

    function lapse(bytes32 fed, bytes32 org) external {
        _existing(fed);
        if (!isMember(fed, org)) revert NotMember();
        IIdentity.Status status = IDENTITY.getOrg(org).status;
        // An erased individual has no organisation any more.
        if (status != IIdentity.Status.Revoked && status != IIdentity.Status.None) revert TooEarly();
        _leave(fed, org);
    }

    function share(bytes32 fed, bytes32[] calldata resources, bool[] calldata bartered) external {
        bytes32 org = _requireMember(fed);
        if (resources.length > Roles.BATCH_MAX || resources.length != bartered.length) revert BadRequest();
        Storage storage $ = _storage();
        uint64 number = $.memberships[fed][org].number;
        for (uint256 i; i < resources.length; ++i) {
            ISensorRegistry.Resource memory r = REGISTRY.get(resources[i]);
            if (r.org != org || r.status != Roles.LIVE) revert NotOwner();
            $.shares[fed][resources[i]] = Share(true, bartered[i], number, r.since, bytes16(org));
            emit Shared(fed, resources[i], bartered[i]);
        }
    }

    function unshare(bytes32 fed, bytes32[] calldata resources) external {
        bytes32 org = _requireMember(fed);
        if (resources.length > Roles.BATCH_MAX) revert BadRequest();
        Storage storage $ = _storage();
        for (uint256 i; i < resources.length; ++i) {
            if (REGISTRY.get(resources[i]).org != org) revert NotOwner();
            if (!$.shares[fed][resources[i]].shared) revert NotShared();
            delete $.shares[fed][resources[i]];
            emit Unshared(fed, resources[i]);
        }
    }

    function subscribe(bytes32 fed, uint8 types, bytes32[] calldata topics, uint64[] calldata cells) external {
        bytes32 org = _requireMember(fed);
        if (topics.length > Roles.BATCH_MAX || cells.length > Roles.BATCH_MAX) revert BadRequest();
        emit Subscribed(fed, org, types, topics, cells);
    }

    function get(bytes32 fed) external view returns (Federation memory) {
        return _storage().federations[fed];
    }

    function constraints(bytes32 fed) external view returns (Constraint[] memory) {
        return _storage().constraints[fed];
    }

    function isMember(bytes32 fed, bytes32 org) public view returns (bool) {
        Membership storage m = _storage().memberships[fed][org];
        return m.joined != 0 && m.left == 0;
    }

    function membership(bytes32 fed, bytes32 org)
        external
        view
        returns (uint48 joined, uint48 left, uint32 version)
    {
        Membership storage m = _storage().memberships[fed][org];
        return (m.joined, m.left, m.version);
    }

    function isShared(bytes32 fed, bytes32 resource) public view returns (bool shared, bool bartered) {
        Storage storage $ = _storage();
        Share memory s = $.shares[fed][resource];
        if (!s.shared) return (false, false);
        ISensorRegistry.Resource memory r = REGISTRY.get(resource);
        if (r.since != s.since || bytes16(r.org) != s.owner || r.status != Roles.LIVE) return (false, false);
        Membership storage m = $.memberships[fed][r.org];
        if (m.joined == 0 || m.left != 0 || m.number != s.number) return (false, false);
        return (true, s.bartered);
    }

    function accessAllowed(bytes32 fed, bytes32 resource, bytes32 clientOrg)
        external
        view
        returns (bool allowed, bool bartered)
    {
        if (!isMember(fed, clientOrg)) return (false, false);
        return isShared(fed, resource);
    }

    function history(bytes32 org) external view returns (uint48[4][] memory times) {
        Storage storage $ = _storage();
        uint256 count = $.membershipCounts[org];
        if (count > HISTORY) count = HISTORY;
        times = new uint48[4][](count);
        Entry[16] storage entries = $.entries[org];
        for (uint256 i; i < count; ++i) {
            Entry storage e = entries[i];
            Federation storage f = $.federations[e.fed];
            uint48[4] memory t = times[i];
            (t[0], t[1], t[2], t[3]) = (f.created, f.removed, e.joined, e.left);
        }
    }

    function _invite(bytes32 fed, bytes32 org) private {
        if (org == 0 || isMember(fed, org)) revert Duplicate();
        _storage().memberships[fed][org].invited = true;
        emit Invited(fed, org);
    }

    function _join(bytes32 fed, bytes32 org) private {
        Storage storage $ = _storage();
        uint64 number = $.membershipCounts[org]++;
        $.memberships[fed][org] =
            Membership(false, uint48(block.timestamp), 0, $.federations[fed].version, number);
        $.entries[org][number % HISTORY] = Entry(fed, uint48(block.timestamp), 0);
        ++$.federations[fed].members;
        emit Joined(fed, org);
    }

    function _leave(bytes32 fed, bytes32 org) private {
        Storage storage $ = _storage();
        Membership storage m = $.memberships[fed][org];
        m.left = uint48(block.timestamp);
        if ($.membershipCounts[org] - m.number <= HISTORY) {
            $.entries[org][m.number % HISTORY].left = uint48(block.timestamp);
        }
        Federation storage f = $.federations[fed];
        --f.members;
        emit Left(fed, org);
        if (f.members == 0) {
            f.removed = uint48(block.timestamp);
            emit Removed(fed);
        }
    }

    function _existing(bytes32 fed) private view returns (Federation storage f) {
        f = _storage().federations[fed];
        if (f.created == 0 || f.removed != 0) revert Unknown();
    }

    function _requireMember(bytes32 fed) private view returns (bytes32 org) {
        _existing(fed);
        org = _actingOrg();
        if (org == 0 || !isMember(fed, org)) revert NotMember();
    }

    function _storage() private pure returns (Storage storage $) {
        assembly {
            $.slot := STORAGE
        }
    }
}
