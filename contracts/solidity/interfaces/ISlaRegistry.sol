// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Whether members of a federation keep what its constraints promise, and what it costs them if not.
/// @notice No agreement is stored: it is in force while its organisation is a member that accepted the federation's
/// version. Amounts are token base units, times seconds, availability basis points.
interface ISlaRegistry {
    /// What somebody measured of a resource in a window.
    struct Report {
        bytes32 fed;
        bytes32 resource;
        /// Place in the federation's list, from 0.
        uint8 constraint;
        /// In the constraint's own unit.
        int64 value;
        /// First second of the window: a multiple of its length.
        uint48 from;
        /// First second after it.
        uint48 to;
    }

    /// A policy as a ballot of the federation set it; all zero: each breach is a violation, none costs anything.
    struct Policy {
        uint8 count;
        /// Seconds.
        uint32 interval;
        uint8 penaltyCount;
        /// Seconds.
        uint32 penaltyInterval;
        uint128 amount;
        /// The federation's version that it made; members owe penalties once they accepted it.
        uint32 version;
    }

    enum PenaltyState {
        None,
        Held,
        Pardoned,
        Collected
    }

    /// A part of a bond that waits for pardon or collection.
    struct PenaltyView {
        bytes32 fed;
        bytes32 org;
        uint128 amount;
        /// When it was held.
        uint48 time;
        PenaltyState state;
        /// The two whose agreement decided; 0 where a monitor or the anchored coverage did.
        address first;
        address second;
    }

    /// `bonded` is the whole bond.
    event Bonded(bytes32 indexed fed, bytes32 indexed org, uint128 bonded);
    event Reported(
        bytes32 indexed fed, bytes32 indexed resource, uint8 constraint, int64 value, uint48 from, uint48 to
    );
    event Violation(
        bytes32 indexed fed,
        bytes32 indexed resource,
        bytes32 indexed org,
        uint8 constraint,
        int64 value,
        uint48 from,
        uint48 to
    );
    event Penalty(uint256 indexed penalty, bytes32 indexed fed, bytes32 indexed org, uint128 amount);
    event Pardoned(uint256 indexed penalty);
    event Collected(uint256 indexed penalty);
    event PolicySet(bytes32 indexed fed, uint8 indexed constraint, uint32 version);

    error NotMember();
    error NotShared();
    error BadWindow();
    error WindowDone();
    error BondLocked();
    error TooEarly();
    error TooLate();
    error OnlyModule();

    /// @notice Adds to the bond of the caller's organisation; only the account that paid the first part does.
    /// @param amount more than 0, taken from the caller's allowance
    function bond(bytes32 fed, uint128 amount) external;

    /// @notice Anyone; the bond goes back to its payer, 7 days after its organisation left, if no penalty is held.
    function unbond(bytes32 fed, bytes32 org) external;

    /// @notice At most 64 measurements. A MONITOR's word decides a window, and so do two organisations of the federation
    /// other than the owner that agree on whether the constraint was kept. Windows that a share touched can be reported
    /// until 7 days after it ended.
    function report(Report[] calldata r) external;

    /// @notice Anyone; for constraints on availability. Judges the coverage anchored since the last call, which must be
    /// as long ago as the constraint's duration; the first call only begins.
    /// @param constraint place in the federation's list, from 0
    function evaluate(bytes32 fed, bytes32 resource, uint8 constraint) external;

    /// @notice The federations, by ballot. `count` breaches of a resource within `interval` are a violation (each one
    /// if `count` < 2 or `interval` is 0); `penaltyCount` violations of an organisation within `penaltyInterval`
    /// since its last penalty hold `amount` of its bond (none if `penaltyCount` is 0).
    /// @param interval seconds
    /// @param penaltyInterval seconds; 0: however long ago
    /// @param amount token base units
    function setPolicy(
        bytes32 fed,
        uint8 constraint,
        uint8 count,
        uint32 interval,
        uint8 penaltyCount,
        uint32 penaltyInterval,
        uint128 amount
    ) external;

    /// @notice ARBITER, within 7 days; the amount is part of the bond again.
    function pardon(uint256 penalty) external;

    /// @notice Anyone, after 7 days; halves go to the two accounts that reported, all to the treasury if nobody did.
    function collect(uint256 penalty) external;

    /// @notice Of an organisation's resources: reports, windows in which a constraint was not kept, violations; and the
    /// bond, token base units, without what is held.
    function summary(bytes32 fed, bytes32 org)
        external
        view
        returns (uint32 reports, uint32 breaches, uint32 violations, uint128 bonded);

    /// @notice The policy of a constraint, all zero if it has none.
    function policyOf(bytes32 fed, uint8 constraint) external view returns (Policy memory);

    /// @notice All zero if unknown.
    function getPenalty(uint256 penalty) external view returns (PenaltyView memory);

    /// @notice How many there ever were; their ids are 1 to this.
    function penaltyTotal() external view returns (uint256);

    /// @notice Who paid a bond and gets it back; 0 if there is none.
    function payerOf(bytes32 fed, bytes32 org) external view returns (address);

    /// @notice Whether a window has been decided; `from` is its first second.
    function isDecided(bytes32 fed, bytes32 resource, uint8 constraint, uint48 from) external view returns (bool);
}
