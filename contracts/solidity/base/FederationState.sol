// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IFederationRegistry} from "../interfaces/IFederationRegistry.sol";
import {IIdentity} from "../interfaces/IIdentity.sol";
import {ISensorRegistry} from "../interfaces/ISensorRegistry.sol";
import {ISlaRegistry} from "../interfaces/ISlaRegistry.sol";
import {ITrustAndReputation} from "../interfaces/ITrustAndReputation.sol";
import {Ballots} from "../libraries/Ballots.sol";
import {Acting} from "./Acting.sol";
import {MedinaModule} from "./MedinaModule.sol";

/// @title What both halves of the federations share: their state, who is a member, and how a membership ends.
/// @notice FederationRegistry is the half that is called; it runs the code of FederationBallots in its own state.
abstract contract FederationState is MedinaModule, Acting {
    /// The modules that are read or told.
    struct Modules {
        IIdentity identity;
        ISensorRegistry registry;
        ITrustAndReputation trust;
        ISlaRegistry sla;
    }

    /// Everything about a federation that others ask often is in one slot.
    struct Record {
        bytes32 name;
        bytes32 infoModel;
        uint48 created;
        uint48 removed;
        bool open;
        uint16 quorumBps;
        uint32 version;
        uint16 members;
        /// Joins so far: tells who was there before a ballot.
        uint32 joins;
        /// Place in `fedIds`, from 1.
        uint24 index;
        /// Version that set the constraints.
        uint32 constraintsSince;
    }

    /// The newest membership of an organisation in a federation.
    struct Membership {
        bool invited;
        uint48 joined;
        uint48 left;
        uint32 version;
        /// Number of this membership among all of the organisation, from 0.
        uint32 number;
        /// Number of this join among all of the federation, from 1.
        uint32 join;
    }

    struct Share {
        bool bartered;
        uint48 start;
        /// When the owner took it back; 0 if it did not.
        uint48 end;
        /// Membership and ownership it hangs on. Several blocks may share a second, so `start` alone does not tell
        /// two owners apart; half of the owner's id does, and fits the slot.
        uint32 number;
        bytes15 owner;
    }

    /// An organisation as a whole. The first membership fills one slot.
    struct Party {
        uint32 memberships;
        /// Place in `orgs`, from 1.
        uint24 index;
        uint48 misdeeds;
        /// Places in `fedIds` of the newest memberships: of numbers 0 to 5 and of 6 to 15, modulo 16; 24 bits each.
        uint144 first;
        uint240 rest;
    }

    struct Period {
        uint48 joined;
        uint48 left;
    }

    /// What is a federation's about a ballot.
    struct Case {
        bytes32 fed;
        /// Joins and members at its start, and the quorum then.
        uint32 joins;
        uint16 members;
        uint16 quorumBps;
        uint16 yes;
        uint16 no;
    }

    /// A refused access; the first slot is all that one that counts at once has.
    struct Refusal {
        address client;
        /// In seconds, until 2106.
        uint32 time;
        /// From the lowest bit: the state in 2 bits, places in `orgs` of target and origin in 22 each, place in
        /// `fedIds` in 18, which is 0 if that does not fit: then `fed` has the federation.
        uint64 about;
        bytes32 resource;
        bytes32 request;
        bytes32 fed;
    }

    /// @custom:storage-location erc7201:medina.storage.FederationRegistry
    struct Storage {
        mapping(bytes32 fed => Record) federations;
        mapping(bytes32 fed => IFederationRegistry.Constraint[]) constraints;
        /// When a version began.
        mapping(bytes32 fed => mapping(uint32 version => uint48)) changes;
        mapping(bytes32 fed => mapping(bytes32 org => Membership)) memberships;
        mapping(bytes32 fed => mapping(bytes32 resource => Share)) shares;
        mapping(bytes32 org => Party) parties;
        uint24 orgCount;
        uint24 fedCount;
        mapping(uint24 index => bytes32 org) orgs;
        mapping(uint24 index => bytes32 fed) fedIds;
        /// Memberships that another one in the same federation followed.
        mapping(bytes32 org => mapping(uint32 number => Period)) past;
        Ballots.Box box;
        mapping(uint256 ballot => Case) cases;
        mapping(uint256 report => Refusal) refusals;
        /// Used numbers, 256 to a word.
        mapping(address client => mapping(uint64 word => uint256)) numbers;
        mapping(bytes32 target => mapping(bytes32 origin => mapping(bytes32 fed => uint64))) misdeedsBy;
    }

    /// keccak256(abi.encode(uint256(keccak256("medina.storage.FederationRegistry")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE = 0x46c9786542ca2dac1a827057447852785ea77370b378d9f15686253165976700;

    uint256 internal constant CONSTRAINTS_MAX = 16;
    uint16 internal constant BPS_MAX = 10_000;
    uint8 internal constant AVAILABILITY = 0;
    uint8 internal constant OP_MAX = 4;
    /// All bits of `ISensorRegistry.Type`.
    uint8 internal constant TYPES = 15;
    uint48 internal constant ACCEPT_IN = 7 days;

    ISensorRegistry internal immutable REGISTRY;
    ITrustAndReputation internal immutable TRUST;
    ISlaRegistry internal immutable SLA;

    constructor(Modules memory modules) Acting(modules.identity) {
        REGISTRY = modules.registry;
        TRUST = modules.trust;
        SLA = modules.sla;
    }

    function _isMember(bytes32 fed, bytes32 org) internal view returns (bool) {
        Membership storage m = _storage().memberships[fed][org];
        return m.joined != 0 && _leftOf(fed, m) == 0;
    }

    function _invite(bytes32 fed, bytes32 org) internal {
        if (org == 0 || _isMember(fed, org)) revert IFederationRegistry.Duplicate();
        _storage().memberships[fed][org].invited = true;
        emit IFederationRegistry.Invited(fed, org);
    }

    function _leave(bytes32 fed, bytes32 org, uint48 left) internal {
        Storage storage $ = _storage();
        $.memberships[fed][org].left = left;
        Record storage f = $.federations[fed];
        --f.members;
        emit IFederationRegistry.Left(fed, org);
        if (f.members == 0) _remove(fed, f);
    }

    /// Ends every membership without touching them.
    function _remove(bytes32 fed, Record storage f) internal {
        f.removed = uint48(block.timestamp);
        f.members = 0;
        emit IFederationRegistry.Removed(fed);
    }

    /// When a membership ended: by leaving, by the federation's end, by letting 7 days pass under new rules. 0 if it
    /// has not.
    function _leftOf(bytes32 fed, Membership storage m) internal view returns (uint48 left) {
        left = m.left;
        if (left != 0 || m.joined == 0) return left;
        Record storage f = _storage().federations[fed];
        left = f.removed;
        uint32 version = m.version;
        if (version < f.version) {
            uint48 last = _storage().changes[fed][version + 1] + ACCEPT_IN;
            if (last < block.timestamp && (left == 0 || last < left)) left = last;
        }
    }

    /// Votes that are enough.
    function _needed(Case storage c) internal view returns (uint16) {
        uint256 members = c.members;
        uint256 quorum = c.quorumBps;
        // At most `members`, which fits.
        return uint16(quorum == 0 ? members / 2 + 1 : (quorum * members + BPS_MAX - 1) / BPS_MAX);
    }

    function _isSound(IFederationRegistry.Constraint memory c) internal pure returns (bool) {
        if (c.op > OP_MAX || c.resourceType > TYPES) return false;
        return c.metric != AVAILABILITY || (c.threshold >= 0 && c.threshold <= int64(uint64(BPS_MAX)));
    }

    function _existing(bytes32 fed) internal view returns (Record storage f) {
        f = _storage().federations[fed];
        if (f.created == 0 || f.removed != 0) revert IFederationRegistry.Unknown();
    }

    function _requireMember(bytes32 fed) internal view returns (bytes32 org) {
        _existing(fed);
        org = _actingOrg();
        if (org == 0 || !_isMember(fed, org)) revert IFederationRegistry.NotMember();
    }

    function _storage() internal pure returns (Storage storage $) {
        assembly {
            $.slot := STORAGE
        }
    }
}
