// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Numbers that several contracts and the deployment agree on.
library Roles {
    // Roles of the AccessManager; 0 is its ADMIN.
    uint64 internal constant GOVERNOR = 1;
    uint64 internal constant GUARDIAN = 2;
    uint64 internal constant CERTIFIER = 3;
    uint64 internal constant ARBITER = 4;
    uint64 internal constant MONITOR = 5;
    uint64 internal constant MINTER = 6;

    // Business roles of Identity.
    uint8 internal constant MEMBER = 1;
    uint8 internal constant MANAGER = 2;
    uint8 internal constant MODERATOR = 3;
    uint8 internal constant ADMINISTRATOR = 4;

    // `uint8 status` of resources and listings.
    uint8 internal constant LIVE = 1;
    uint8 internal constant PAUSED = 2;
    uint8 internal constant RETIRED = 3;
    uint8 internal constant FLAGGED = 128;

    /// Longest batch of one call.
    uint256 internal constant BATCH_MAX = 64;
}
