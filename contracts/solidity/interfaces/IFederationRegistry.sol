// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Organisations that open resources to each other, and reports of accesses that were refused among them.
/// @notice An agreement is no record of its own: a member has agreed to the rules of the version it accepted. Times
/// are seconds since 1970, shares of votes and thresholds of availability basis points.
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

    /// Signed by the client whom `targetOrg` refused `resource`, which it had found with `originOrg`.
    struct Denied {
        bytes32 fed;
        bytes32 resource;
        /// Who owns the resource and refused.
        bytes32 targetOrg;
        /// The member that had named the resource to the client.
        bytes32 originOrg;
        /// Of the client's choice, one per request.
        bytes32 request;
        /// When, at most 120 seconds ago.
        uint48 time;
        /// Of the client's choice; each works once.
        uint64 number;
        address client;
    }

    enum ReportState {
        None,
        Pending,
        Rebutted,
        Counted
    }

    /// A report as tools show it; of one that counted at once neither resource nor request.
    struct ReportView {
        bytes32 fed;
        bytes32 resource;
        bytes32 targetOrg;
        bytes32 originOrg;
        bytes32 request;
        address client;
        /// When it was brought.
        uint48 time;
        ReportState state;
    }

    /// A ballot as tools show it.
    struct BallotView {
        bytes32 fed;
        uint8 kind;
        bytes data;
        uint48 opened;
        bool executed;
        /// Takes votes.
        bool open;
        /// Could be executed now.
        bool passes;
        /// At its start.
        uint16 members;
        uint16 yes;
        uint16 no;
        /// Votes that are enough.
        uint16 needed;
    }

    event Created(bytes32 indexed fed);
    event Removed(bytes32 indexed fed);
    /// Constraints or a policy were changed; members have 7 days to accept.
    event Changed(bytes32 indexed fed, uint32 version);
    event Invited(bytes32 indexed fed, bytes32 indexed org);
    event Declined(bytes32 indexed fed, bytes32 indexed org);
    event Joined(bytes32 indexed fed, bytes32 indexed org);
    event Left(bytes32 indexed fed, bytes32 indexed org);
    /// A member accepted a newer version.
    event Accepted(bytes32 indexed fed, bytes32 indexed org, uint32 version);
    event Proposed(uint256 indexed ballot, bytes32 indexed fed, uint8 kind, bytes data);
    event Voted(uint256 indexed ballot, bytes32 indexed org, bool yes);
    event Executed(uint256 indexed ballot);
    event Shared(bytes32 indexed fed, bytes32 indexed resource, bool bartered);
    event Unshared(bytes32 indexed fed, bytes32 indexed resource);
    event Subscribed(bytes32 indexed fed, bytes32 indexed org, uint8 types, bytes32[] topics, uint64[] cells);
    event Reported(uint256 indexed report, bytes32 indexed fed, bytes32 resource);
    event Rebutted(uint256 indexed report);
    event Misdeed(bytes32 indexed target, bytes32 indexed origin, bytes32 indexed fed, bytes32 resource);

    /// No such federation (any more), ballot or report.
    error Unknown();
    error NotMember();
    error NotInvited();
    error StaleVersion();
    error AlreadyVoted();
    error QuorumMissing();
    /// A ballot's kind or data, or what it asks for, makes no sense.
    error BadBallot();
    error NotOwner();
    error NotShared();
    /// A field is out of range, or a signature is not that of whom it should be.
    error BadRequest();
    error Duplicate();
    error TooEarly();
    error TooLate();

    /// @notice The caller's organisation founds a federation, is its first member and invites others.
    /// @param id not 0, used once for ever
    /// @param name hash or short text of the founder's choice
    /// @param open who joins needs no invitation
    /// @param quorumBps of the members, for ballots and invitations; 0: any member invites, and more than half decide
    /// @param infoModel hash of the information model
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

    /// @notice The invited organisation joins, or a member goes on under new rules; `version` is that of the rules
    /// it has read and signs by this.
    function accept(bytes32 fed, uint32 version) external;

    /// @notice The invited organisation does not want to.
    function decline(bytes32 fed) external;

    /// @notice All shares of the leaver end; the last leaver removes the federation.
    function leaveFederation(bytes32 fed) external;

    /// @notice Anyone notes the end of a membership: of an organisation revoked or erased, or of one that let 7 days
    /// pass without accepting new rules (it was no member from then on).
    function lapse(bytes32 fed, bytes32 org) external;

    /// @notice A member opens a ballot; it votes like the others, by `vote`.
    /// @param kind 0 Rename(bytes32), 1 InfoModel(bytes32), 2 Constraints(Constraint[]), 3 Expel(bytes32 org),
    /// 4 Quorum(uint16 bps), 5 Remove(), 6 Invite(bytes32 org), 7 Policy(uint8 constraint, uint8 count,
    /// uint32 interval in seconds, uint8 penaltyCount, uint32 penaltyInterval in seconds, uint128 amount in token base
    /// units)
    /// @param data abi.encode of these
    function propose(bytes32 fed, uint8 kind, bytes calldata data) external returns (uint256 ballot);

    /// @notice Members from before the ballot, once each, for 30 days.
    function vote(uint256 ballot, bool yes) external;

    /// @notice Anyone, within the 30 days, once enough members said yes: `quorumBps` of the members that there were at
    /// the ballot's start, more than half of them where it was 0.
    function execute(uint256 ballot) external;

    /// @notice The owner opens at most 64 resources, with or without barter.
    function share(bytes32 fed, bytes32[] calldata resources, bool[] calldata bartered) external;

    /// @notice The owner closes at most 64 resources.
    function unshare(bytes32 fed, bytes32[] calldata resources) external;

    /// @notice Says to the others what a member looks for; an event only.
    /// @param types mask of resource types, 0 = all
    /// @param topics at most 64, none = all
    /// @param cells coarse grid cells, at most 64, none = all
    function subscribe(bytes32 fed, uint8 types, bytes32[] calldata topics, uint64[] calldata cells) external;

    /// @notice All zero if unknown; `members` are joins less departures, 0 once removed.
    function get(bytes32 fed) external view returns (Federation memory);

    /// @notice What members promise for what they share, at most 16.
    function constraints(bytes32 fed) external view returns (Constraint[] memory);

    /// @notice One of them, the version that set it and when that began, seconds; reverts with Unknown if there is none.
    /// @param index place in `constraints`, from 0
    function constraintAt(bytes32 fed, uint8 index)
        external
        view
        returns (Constraint memory, uint32 since, uint48 begun);

    /// @notice Whether an organisation is one now.
    function isMember(bytes32 fed, bytes32 org) external view returns (bool);

    /// @notice Newest membership, times in seconds; `left` is 0 while it lasts. `version` is the newest it accepted.
    function membership(bytes32 fed, bytes32 org)
        external
        view
        returns (uint48 joined, uint48 left, uint32 version);

    /// @notice A share lasts as long as that membership, the ownership and the resource.
    function isShared(bytes32 fed, bytes32 resource) external view returns (bool shared, bool bartered);

    /// @notice Since when the present owner shares a resource, and until when it did, seconds; 0 where it never did,
    /// `end` 0 while it does. A pause of less than 7 days counts as shared, and so does one of the resource itself.
    function sharing(bytes32 fed, bytes32 resource)
        external
        view
        returns (bytes32 owner, uint48 start, uint48 end);

    /// @notice Whether an organisation may use a resource by this federation, and whether for barter only.
    function accessAllowed(bytes32 fed, bytes32 resource, bytes32 clientOrg)
        external
        view
        returns (bool allowed, bool bartered);

    /// @notice Created, removed, joined, left (seconds; 0: not yet) of the newest 16 memberships.
    function history(bytes32 org) external view returns (uint48[4][] memory);

    /// @notice The same for contracts, where sixteen must be cheap: `count` words, each with created, removed, joined and
    /// left in seconds, 48 bits each, the first lowest.
    function packedHistory(bytes32 org) external view returns (uint256 count, uint256[16] memory times);

    /// @notice Anyone brings a client's word that it was refused what its federation lets it have. It counts at once if
    /// the target signs too, else after 24 h without rebuttal. One per client, resource and hour.
    /// @param clientSig of `d.client`
    /// @param targetSig empty, or 20-byte signer ‖ signature of somebody who acts for `d.targetOrg`
    function reportDenied(Denied calldata d, bytes calldata clientSig, bytes calldata targetSig)
        external
        returns (uint256 report);

    /// @notice Who acts for the target shows within 24 h that the client got what it says it was refused.
    /// @param receipt 6-byte time ‖ the client's signature of Receipt(request, time)
    function rebut(uint256 report, bytes calldata receipt) external;

    /// @notice Anyone, once 24 h have passed without rebuttal.
    function settleReport(uint256 report) external;

    /// @notice Refused accesses that count, of all time.
    function misdeeds(bytes32 target) external view returns (uint64);

    /// @notice The part of `misdeeds` that came by one origin in one federation.
    function misdeedsBy(bytes32 target, bytes32 origin, bytes32 fed) external view returns (uint64);

    /// @notice All zero if unknown.
    function getReport(uint256 report) external view returns (ReportView memory);

    /// @notice All zero if unknown.
    function getBallot(uint256 ballot) external view returns (BallotView memory);

    /// @notice 0 nothing yet, 1 yes, 2 no.
    function voteOf(uint256 ballot, bytes32 org) external view returns (uint8);
}
