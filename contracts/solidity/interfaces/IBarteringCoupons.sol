// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Promises of access between members of a federation, instead of money.
/// @notice Issue, use, hand on, swap, give for an access, revoke.
interface IBarteringCoupons {
    enum Kind {
        Null,
        Discrete,
        Periodic
    }

    enum CStatus {
        NotRegistered,
        Valid,
        Consumed,
        Revoked,
        Mismatch
    }

    struct Coupon {
        bytes32 issuer;
        bytes32 fed;
        Kind kind;
        /// Discrete: uses. Periodic: seconds, from the first use on.
        uint64 val;
        /// Each number of an issuer works once, also after `cleanup`.
        uint64 number;
        uint48 issuedAt;
        bytes32 holder;
        /// 0: any bartered resource of the issuer; else this one.
        bytes32 scope;
    }

    event Issued(
        bytes32 indexed key, bytes32 indexed issuer, bytes32 indexed fed, Kind kind, uint64 val, bytes32 holder
    );
    event Used(bytes32 indexed key, bytes32 indexed issuer, bytes32 indexed resource, uint64 uses);
    event Moved(bytes32 indexed key, bytes32 indexed toOrg);
    event Revoked(bytes32 indexed key);
    event Cleaned(bytes32 indexed key);
    /// The owner's gateway opens one access to the resource for the client.
    event Bartered(bytes32 indexed fed, bytes32 indexed client, bytes32 indexed owner, bytes32 resource);
    event RulesSet(bytes32 indexed fed, bytes32 indexed org, uint16 minReputation, uint8 types);

    error NotMember();
    error BadSignature();
    error NumberUsed();
    error ZeroVal();
    error NotValid();
    error NotHolder();
    error NotBartered();
    error LowReputation();

    /// @notice keccak256(abi.encode(issuer, number)).
    function key(Coupon calldata c) external pure returns (bytes32);

    /// @notice Anyone brings the signature of `c` by a Manager of the issuer (20-byte signer ‖ signature); issuer
    /// and holder are members of the federation.
    function register(Coupon calldata c, bytes calldata sig) external;

    /// @notice Mismatch: registered with other fields (the holder aside, as coupons move).
    /// @return status as now
    /// @return kind of the registered coupon
    /// @return remainingUses of a Discrete coupon
    /// @return remainingTime of a Periodic coupon, seconds
    function validity(Coupon calldata c)
        external
        view
        returns (CStatus status, Kind kind, uint64 remainingUses, uint64 remainingTime);

    /// @notice The organisation that may use a coupon, 0 if there is no such coupon.
    function holderOf(bytes32 key) external view returns (bytes32);

    /// @notice The issuer's gateway takes one use against Use(key, resource, uses), signed by the holder with
    /// `uses` as it will be afterwards (20-byte signer ‖ signature).
    function consume(bytes32 key, bytes32 resource, bytes calldata holderSig) external;

    /// @notice The holder hands a valid coupon to another member.
    function transfer(bytes32 key, bytes32 toOrg) external;

    /// @notice The caller's coupon against another one, whose holder signed Swap(mine, theirs, moves) with both
    /// keys as the caller gives them and `moves` = those of `theirs` so far. Both move or none.
    function swap(bytes32 mine, bytes32 theirs, bytes calldata theirSig) external;

    /// @notice Anyone brings the trade of one access now, to a resource that its owner shares for barter, for a new
    /// coupon that the client issues to the owner: Barter(give, resource), signed for both (20-byte signer ‖
    /// signature each). The client's reputation must reach what the owner's rules ask. The client cannot revoke
    /// the coupon.
    function barter(Coupon calldata give, bytes calldata giveSig, bytes32 resource, bytes calldata acceptSig) external;

    /// @notice The caller's organisation barters in `fed` with clients of at least `minReputation` (basis points;
    /// 7000 before the first call) for resources of `types` (mask; 0: all).
    function setRules(bytes32 fed, uint16 minReputation, uint8 types) external;

    /// @notice The issuer until the coupon was used or moved; a Moderator always.
    function revoke(bytes32 key) external;

    /// @notice The issuer forgets consumed coupons last used before `before` (seconds); returns how many. At
    /// most 64.
    function cleanup(bytes32[] calldata keys, uint48 before) external returns (uint256);

    /// @notice Of an organisation in a federation.
    /// @return issued coupons it issued
    /// @return consumed its coupons that were used up, or begun if Periodic
    /// @return received coupons it came to hold
    /// @return uses made of its coupons
    function stats(bytes32 org, bytes32 fed)
        external
        view
        returns (uint64 issued, uint64 consumed, uint64 received, uint64 uses);
}
