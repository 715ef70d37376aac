// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title People, organisations and what they may do.
/// @notice A certifier checks a person off-chain and signs an enrolment of a random id. Nothing personal is
/// stored: `nullifier` = keccak256 of an HMAC under the certifier's key, `meta` and `terms` are hashes of salted
/// documents. An individual is its own organisation. All times are seconds since 1970.
interface IIdentity {
    enum Status {
        None,
        Active,
        Suspended,
        Revoked,
        Erased,
        Pending
    }

    struct Org {
        address admin;
        uint48 since;
        Status status;
        bytes32 meta;
    }

    struct User {
        bytes32 org;
        address account;
        /// Last second of validity is the one before; for an erased id the time of the erasure.
        uint48 expires;
        /// 1 Member, 2 Manager, 3 Moderator, 4 Administrator.
        uint8 role;
        Status status;
        /// Who suspended: 1 org admin, 2 certifier, 3 Moderator, 4 Administrator.
        uint8 level;
        address certifier;
    }

    struct Enrolment {
        bytes32 userId;
        bytes32 nullifier;
        bytes32 org;
        address account;
        uint8 role;
        uint48 expires;
        bytes32 terms;
        uint48 deadline;
    }

    /// One organisation and its first user, as genesis lists them.
    struct Seed {
        bytes32 org;
        bytes32 userId;
        address account;
        uint8 role;
    }

    event OrgSet(bytes32 indexed org, address admin, Status status, bytes32 meta);
    event Enrolled(
        bytes32 indexed userId,
        bytes32 indexed org,
        address indexed certifier,
        uint8 role,
        uint48 expires,
        bytes32 terms
    );
    event RoleSet(bytes32 indexed userId, uint8 role);
    event Rotated(bytes32 indexed userId);
    event Renewed(bytes32 indexed userId, uint48 expires);
    event StatusSet(bytes32 indexed userId, Status status, bytes32 reason);
    event Erased(bytes32 indexed userId);

    error NotCertifier();
    error BadSignature();
    error Expired();
    error Nullified();
    error IdTaken();
    error AccountTaken();
    error UnknownOrg();
    error OrgInactive();
    error RoleTooHigh();
    error NotAllowed();

    /// @notice Administrators only. The id must be new and nobody's user id.
    function registerOrg(bytes32 org, address admin, bytes32 meta) external;

    /// @notice Administrators only; `s` is Active, Suspended or Revoked, and Revoked is final.
    function setOrg(bytes32 org, address admin, Status s, bytes32 meta) external;

    /// @notice Anyone brings a certifier's signature of `e`. Role at most Manager. In a registered organisation
    /// the id waits for `approve`, unless it is its admin's account or call.
    function enrol(Enrolment calldata e, address certifier, bytes calldata sig) external;

    /// @notice The org admin admits a waiting id.
    function approve(bytes32 userId) external;

    /// @notice The org admin up to Manager, Administrators above.
    function setRole(bytes32 userId, uint8 role) external;

    /// @notice The holder, or the certifier if the key is lost, moves the id to `next`, who signs
    /// Rotation(userId, next, deadline). An organisation whose admin was the old account follows.
    function rotate(bytes32 userId, address next, uint48 deadline, bytes calldata nextSig) external;

    /// @notice Anyone brings a certifier's Renewal(userId, expires); only to a later time.
    function renew(bytes32 userId, uint48 expires, address certifier, bytes calldata sig) external;

    /// @notice Org admins rule their users up to Manager, certifiers their ids, Moderators all up to Manager,
    /// Administrators all. Only the same level or a higher one lifts a suspension. Revoked is final.
    /// Who is Pending can only be revoked.
    function setStatus(bytes32 userId, Status s, bytes32 reason) external;

    /// @notice The holder or the certifier; the id keeps only its nullifier and the time.
    function erase(bytes32 userId) external;

    /// @notice The certifier frees a nullifier 360 days after the erasure.
    function forget(bytes32 nullifier) external;

    /// @notice 0 for everybody who is not active, unexpired and in an active organisation.
    function roleOf(address a) external view returns (uint8);

    /// @notice The organisation of an account, of any status; 0 if the account has no id.
    function orgOf(address a) external view returns (bytes32);

    /// @notice The id of an account, of any status.
    function idOf(address a) external view returns (bytes32);

    /// @notice An organisation, all zero if unknown; `since` in seconds.
    function getOrg(bytes32 org) external view returns (Org memory);

    /// @notice `idOf`, `orgOf` and `roleOf` at once.
    function standing(address a) external view returns (bytes32 userId, bytes32 org, uint8 role);

    /// @notice As `getUser` has it.
    function statusOf(bytes32 userId) external view returns (Status);

    /// @notice A user, all zero if unknown; `expires` in seconds.
    function getUser(bytes32 userId) external view returns (User memory);
}
