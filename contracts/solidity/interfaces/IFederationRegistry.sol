// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Organisations that open resources to each other.
/// @notice First slice: founding, joining, leaving and sharing. Ballots and reports of refused access follow in
/// a later version; until then rules of a federation do not change and its version stays 1.
interface IFederationRegistry {
    struct Constraint {
        /// 0 availability in basis points, 1 load, others custom.
        uint8 metric;
        /// 0 >, 1 >=, 2 =, 3 <, 4 <=.
        uint8 op;
        int64 threshold;
        uint16 durationDays;
        /// Mask of types, 0 = all.
        uint8 resourceType;
    }

    struct Federation {
        bytes32 name;
        uint48 created;
        uint48 removed;
        /// Joining needs no invitation.
        bool open;
        /// 0: any member invites; else invitations need a ballot.
        uint16 quorumBps;
        bytes32 infoModel;
        uint32 version;
        uint16 members;
    }

    event Created(bytes32 indexed fed);
    event Removed(bytes32 indexed fed);
    event Invited(bytes32 indexed fed, bytes32 indexed org);
    event Declined(bytes32 indexed fed, bytes32 indexed org);
    event Joined(bytes32 indexed fed, bytes32 indexed org);
    event Left(bytes32 indexed fed, bytes32 indexed org);
    event Shared(bytes32 indexed fed, bytes32 indexed resource, bool bartered);
    event Unshared(bytes32 indexed fed, bytes32 indexed resource);
    event Subscribed(bytes32 indexed fed, bytes32 indexed org, uint8 types, bytes32[] topics, uint64[] cells);

    error Unknown();
    error NotMember();
    error NotInvited();
    error StaleVersion();
    error QuorumMissing();
    error BadRequest();
    error NotOwner();
    error NotShared();
    error Duplicate();
    error TooEarly();

    /// @notice The caller's organisation founds a federation, is its first member and invites others.
    /// @param c at most 16
    /// @param invites at most 64
    function create(
        bytes32 id,
        bytes32 name,
        bool open,
        uint16 quorumBps,
        bytes32 infoModel,
        Constraint[] calldata c,
        bytes32[] calldata invites
    ) external;

    /// @notice Any member, where `quorumBps` is 0.
    function invite(bytes32 fed, bytes32 org) external;

    /// @notice The invited organisation joins; `version` is that of the rules it has read and signs by this.
    function accept(bytes32 fed, uint32 version) external;

    function decline(bytes32 fed) external;

    /// @notice All shares of the leaver end; the last leaver removes the federation.
    function leaveFederation(bytes32 fed) external;

    /// @notice Anyone lets a revoked or erased organisation's membership end.
    function lapse(bytes32 fed, bytes32 org) external;

    /// @notice The owner opens at most 64 resources, with or without barter.
    function share(bytes32 fed, bytes32[] calldata resources, bool[] calldata bartered) external;

    function unshare(bytes32 fed, bytes32[] calldata resources) external;

    /// @notice Says to the others what a member looks for; an event only.
    function subscribe(bytes32 fed, uint8 types, bytes32[] calldata topics, uint64[] calldata cells) external;

    function get(bytes32 fed) external view returns (Federation memory);

    function constraints(bytes32 fed) external view returns (Constraint[] memory);

    function isMember(bytes32 fed, bytes32 org) external view returns (bool);

    /// @notice Newest membership; `left` 0 while it lasts.
    function membership(bytes32 fed, bytes32 org)
        external
        view
        returns (uint48 joined, uint48 left, uint32 version);

    /// @notice A share lasts as long as that membership, the ownership and the resource.
    function isShared(bytes32 fed, bytes32 resource) external view returns (bool shared, bool bartered);

    function accessAllowed(bytes32 fed, bytes32 resource, bytes32 clientOrg)
        external
        view
        returns (bool allowed, bool bartered);

    /// @notice Created, removed, joined, left of the newest 16 memberships.
    function history(bytes32 org) external view returns (uint48[4][] memory);
}
