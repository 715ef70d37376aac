// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Whose data may be read by whom, for what and until when; who did; what people asked about it.
/// @notice A scope is a user's id, which that user owns, or a resource, which its organisation owns. What nobody has
/// granted is denied. Times in seconds; forms, documents and notices are hashes of salted texts.
interface IConsentAndAccess {
    struct Grant {
        bytes32 scope;
        /// A user id, an organisation, or exactly a business role (1 Member to 4 Administrator as a number).
        bytes32 grantee;
        bytes32 purpose;
        /// Create 1, read 2, update 4, delete 8.
        uint8 ops;
        uint48 from;
        /// First second without it.
        uint48 until;
        /// Hash of the form that was agreed to.
        bytes32 form;
    }

    event Granted(
        bytes32 indexed scope,
        bytes32 indexed grantee,
        bytes32 indexed purpose,
        uint256 id,
        uint8 ops,
        uint48 from,
        uint48 until,
        bytes32 form
    );
    event Amended(
        bytes32 indexed scope,
        bytes32 indexed grantee,
        bytes32 indexed purpose,
        uint256 id,
        uint8 ops,
        uint48 until
    );
    /// `ops` are those that end, `until` is now.
    event Revoked(
        bytes32 indexed scope,
        bytes32 indexed grantee,
        bytes32 indexed purpose,
        uint256 id,
        uint8 ops,
        uint48 until
    );
    event RevokedAll(bytes32 indexed scope);
    event Delegated(bytes32 indexed scope, bytes32 indexed helper, uint48 until, bytes32 form);
    /// `by` is the organisation that says so.
    event Accessed(
        bytes32 indexed scope,
        bytes32 indexed actor,
        bytes32 indexed by,
        uint8 action,
        uint8 profile,
        bytes32 purpose,
        bytes32 detail
    );
    event Asked(
        uint256 indexed id, bytes32 indexed scope, bytes32 indexed by, uint8 kind, bytes32 doc, uint48 due
    );
    event Answered(uint256 indexed id, bytes32 doc);
    event Breach(bytes32 indexed scope, bytes32 indexed by, bytes32 notice);
    event PrivacySet(bytes32 indexed scope, uint8 level);

    error NotOwner();
    /// Neither the owner nor a delegate of now.
    error NotDelegate();
    /// The grant, delegation, signature or request is over.
    error Ended();
    /// A field has no meaning.
    error BadForm();

    /// @notice The owner or a delegate allows `g.ops`. Replaces what was granted to the same grantee for the same
    /// purpose.
    /// @return id keccak256(abi.encode(scope, grantee, purpose)), which a later grant of the same three has too
    function grant(Grant calldata g) external returns (uint256 id);

    /// @notice Anyone brings the owner's signature of GrantFor(members of `g`, deadline) (20-byte signer ‖
    /// signature); it works once, and not if the same consent or all of the scope was revoked after `g.from`.
    function grantFor(Grant calldata g, uint48 deadline, bytes calldata ownerSig) external returns (uint256 id);

    /// @notice The owner or a delegate changes a grant that has not ended.
    function amend(uint256 id, uint8 ops, uint48 until) external;

    /// @notice The owner or a delegate ends a grant at once. A user may do so also while suspended.
    function revoke(uint256 id) external;

    /// @notice The owner ends all grants and delegations of the scope at once.
    function revokeAll(bytes32 scope) external;

    /// @notice The owner lets a user grant, amend, revoke and set privacy for the scope until then; a time that is
    /// past ends it. Delegates cannot delegate.
    function delegate(bytes32 scope, bytes32 helper, uint48 until, bytes32 form) external;

    /// @notice Whether all bits of `op` are granted now to user `who`, its organisation or its role, for exactly this
    /// purpose.
    function allowed(bytes32 scope, bytes32 who, bytes32 purpose, uint8 op) external view returns (bool);

    /// @notice A Manager of the organisation that runs a gateway says that somebody read; kept in events only.
    function logAccess(
        bytes32 scope,
        bytes32 actor,
        uint8 profile,
        uint8 action,
        bytes32 purpose,
        bytes32 detail
    ) external;

    /// @notice A user with a live id asks about a resource or an organisation: 0 access, 1 rectify, 2 erase,
    /// 3 restrict, 4 port, 5 object. Due in 30 days.
    function ask(bytes32 scope, uint8 kind, bytes32 doc) external returns (uint256 id);

    /// @notice The organisation answers once; an erasure when the tombstones are set.
    function answer(uint256 id, bytes32 doc) external;

    /// @notice Whether a request is unanswered past its time.
    function overdue(uint256 id) external view returns (bool);

    /// @notice A Manager tells the owners of at most 64 scopes of a breach at its organisation.
    function notifyBreach(bytes32[] calldata scopes, bytes32 notice) external;

    /// @notice The owner or a delegate; kept in events only.
    function setPrivacy(bytes32 scope, uint8 level) external;
}
