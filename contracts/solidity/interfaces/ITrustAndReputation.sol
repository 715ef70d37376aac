// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Trust in resources, reputation of organisations.
/// @notice Scores are basis points, 0..10000 for 0.00..100.00. Formulas: TrustMath.
interface ITrustAndReputation {
    struct Params {
        /// a of an organisation nobody has rated.
        uint16 prior;
        /// W, whole units of evidence.
        uint8 w;
        /// Half-lives, seconds.
        uint32 halfFeedback;
        uint32 halfUptime;
        uint32 halfMisdeed;
        /// Weights of federation history, bartering, access denied and feedback in a reputation.
        uint8 wFH;
        uint8 wBT;
        uint8 wAD;
        uint8 wFB;
        /// Exactly symbIoTe: no feedback, no decay, bartering always known.
        bool compat;
        /// Payments below it weigh nothing, token base units.
        uint128 dust;
    }

    event Rated(
        uint256 indexed order,
        bytes32 indexed resource,
        bytes32 indexed org,
        uint16 score,
        uint64 weight,
        bytes32 comment
    );
    event Responded(uint256 indexed order, bytes32 reply);
    event Hidden(uint256 indexed order, bytes32 reason);
    /// `kind`: 0 trust of resource `key`, 1 reputation of organisation `key`, 2 adaptive trust with
    /// key = keccak256(abi.encode(observer, resource)).
    event TrustSet(bytes32 indexed key, uint8 kind, uint16 value);

    error NotBuyer();
    error AlreadyRated();
    error NotClosed();
    error SameOrg();
    error OnlyModule();
    error TooSoon();

    /// @notice The buyer rates a closed order once.
    /// @param score 0..10000
    /// @param comment hash of a document
    function rate(uint256 order, uint16 score, bytes32 comment) external;

    /// @notice The seller's organisation answers a rating.
    function respond(uint256 order, bytes32 reply) external;

    /// @notice A Moderator asks readers to hide the comment; the score stays.
    function hide(uint256 order, bytes32 reason) external;

    /// @notice The market tells of a closed order.
    /// @param paid what it was about, token base units
    /// @param lostBps the seller's blame
    function onClosed(
        uint256 order,
        bytes32 resource,
        bytes32 sellerOrg,
        bytes32 buyerOrg,
        uint128 paid,
        uint16 lostBps
    ) external;

    /// @notice The SLA registry tells of a violation.
    function onViolation(bytes32 resource) external;

    /// @notice The coupons tell that a coupon of `org` was used.
    function onCoupon(bytes32 org) external;

    /// @notice The federations tell of a refused access by `org`.
    function onMisdeed(bytes32 org) external;

    /// @notice MONITOR, for resources that do not anchor: seconds up and down since the last report, `TooSoon`
    /// if that is more than has passed.
    function report(bytes32 resource, uint32 up, uint32 down) external;

    /// @notice Anyone: counts anchored coverage since the last refresh (at most a day) as time up, the rest as
    /// down; coverage that comes late makes time counted as down up again (at most a day); emits the resource's trust and its owner's reputation where known.
    function refresh(bytes32 resource) external;

    /// @notice For the caller's organisation, at most 64; pairs younger than 5 min and unknown ones are skipped.
    function refreshAdaptive(bytes32[] calldata resources) external;

    /// @notice RT and how much evidence there is, basis points; not known before the first uptime.
    function resourceTrust(bytes32 id) external view returns (uint16 value, uint16 confidence, bool known);

    /// @notice PR and how much evidence there is, basis points; 5000 and not known for an organisation without
    /// federation, coupon or rating.
    function platformReputation(bytes32 org)
        external
        view
        returns (uint16 value, uint16 confidence, bool known);

    /// @notice What an organisation makes of a resource, basis points, as its last `refreshAdaptive` left it.
    function adaptiveTrust(bytes32 observerOrg, bytes32 id) external view returns (uint16 value, bool known);

    /// @notice GOVERNOR.
    function setParams(Params calldata p) external;

    /// @notice What the formulas are set to, units as `Params` says.
    function params() external view returns (Params memory);
}
