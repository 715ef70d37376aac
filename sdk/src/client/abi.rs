//! Calls and events by their signatures in the contracts specification, where the bindings of the
//! suite have none to offer yet: ballots and reports of 8, and 9, 12 and 13.
//!
//! What is signed for them is here too; the members are those of the specification, section 0.

#![allow(
    missing_docs,
    clippy::too_many_arguments,
    reason = "generated code; the documentation is in the Solidity interfaces"
)]

use alloy_sol_types::sol;

sol! {
    /// `FederationRegistry`: a client was refused what it should have got.
    #[derive(Debug, PartialEq, Eq)]
    struct Denied {
        bytes32 fed;
        bytes32 resource;
        bytes32 targetOrg;
        bytes32 originOrg;
        bytes32 request;
        uint48 time;
        uint64 number;
        address client;
    }

    /// `FederationRegistry`: a client has got what it asked for.
    #[derive(Debug, PartialEq, Eq)]
    struct Receipt { bytes32 request; uint48 time; }

    #[derive(Debug, PartialEq, Eq)]
    struct Constraint { uint8 metric; uint8 op; int64 threshold; uint16 durationDays; uint8 resourceType; }

    #[derive(Debug, PartialEq, Eq)]
    struct SlaReport { bytes32 fed; bytes32 resource; uint8 constraint; int64 value; uint48 from; uint48 to; }

    interface Federations {
        function create(bytes32 id, bytes32 name, bool open, uint16 quorumBps, bytes32 infoModel, Constraint[] c, bytes32[] invites) external;
        function decline(bytes32 fed) external;
        function leaveFederation(bytes32 fed) external;
        function lapse(bytes32 fed, bytes32 org) external;
        function propose(bytes32 fed, uint8 kind, bytes data) external returns (uint256 ballot);
        function vote(uint256 ballot, bool yes) external;
        function execute(uint256 ballot) external;
        function unshare(bytes32 fed, bytes32[] resources) external;
        function subscribe(bytes32 fed, uint8 types, bytes32[] topics, uint64[] cells) external;
        function constraints(bytes32 fed) external view returns (Constraint[] memory found);
        function reportDenied(Denied d, bytes clientSig, bytes targetSig) external returns (uint256 report);
        function rebut(uint256 report, bytes receipt) external;
        function settleReport(uint256 report) external;
        function misdeeds(bytes32 target) external view returns (uint64 count);
        function misdeedsBy(bytes32 target, bytes32 origin, bytes32 fed) external view returns (uint64 count);

        event Proposed(uint256 indexed ballot, bytes32 indexed fed, uint8 kind, bytes data);
        event Voted(uint256 indexed ballot, bytes32 indexed org, bool yes);
        event Executed(uint256 indexed ballot);
        event Reported(uint256 indexed report, bytes32 indexed fed, bytes32 resource);
        event Rebutted(uint256 indexed report);
        event Misdeed(bytes32 indexed target, bytes32 indexed origin, bytes32 indexed fed, bytes32 resource);
    }

    interface Slas {
        function bond(bytes32 fed, uint128 amount) external;
        function unbond(bytes32 fed, bytes32 org) external;
        function report(SlaReport[] r) external;
        function evaluate(bytes32 fed, bytes32 resource, uint8 constraint) external;
        function pardon(uint256 penalty) external;
        function collect(uint256 penalty) external;
        function summary(bytes32 fed, bytes32 org) external view returns (uint32 reports, uint32 breaches, uint32 violations, uint128 bonded);

        event Bonded(bytes32 indexed fed, bytes32 indexed org, uint128 bonded);
        event Reported(bytes32 indexed fed, bytes32 indexed resource, uint8 constraint, int64 value, uint48 from, uint48 to);
        event Violation(bytes32 indexed fed, bytes32 indexed resource, bytes32 indexed org, uint8 constraint, int64 value, uint48 from, uint48 to);
        event Penalty(uint256 indexed penalty, bytes32 indexed fed, bytes32 indexed org, uint128 amount);
        event Pardoned(uint256 indexed penalty);
        event Collected(uint256 indexed penalty);
    }

    interface Incidents {
        function raiseAlert(bytes32 ref, bytes32 class, uint8 severity, bytes32 site, bytes32[] assets, bytes32 doc, bytes32 assignee) external returns (uint256 alert);
        function evaluate(uint256 alert, uint8 v, bytes32 passTo, bytes32 doc) external returns (uint256 incident);
        function report(bytes32 class, uint8 severity, bytes32 site, bytes32 asset, bytes32 doc) external returns (uint256 incident);
        function publishImpact(uint256 incident, bytes32[] assets, bytes32[] risks, uint16[] scores, bytes32 doc) external returns (uint256 impact);
        function evaluateImpact(uint256 impact, bool agree, bytes32 doc) external;
        function respond(uint256 incident, bytes32 plan, bytes32[] recipients, uint48 timeout, bool needsAck) external returns (uint256 response);
        function acknowledge(uint256 response, bool canExecute, bytes32 note) external;
        function escalate(uint256 response) external;
        function close(uint256 incident, bytes32 doc) external;

        event Alerted(uint256 indexed alert, bytes32 indexed site, bytes32 indexed assignee, bytes32 class, uint8 severity, bytes32 ref, bytes32[] assets, bytes32 doc);
        event Evaluated(uint256 indexed alert, bytes32 indexed by, uint8 v, bytes32 passTo, bytes32 doc);
        event Incident(uint256 indexed incident, bytes32 indexed site, bytes32 indexed class, uint8 severity, uint256 alert, bytes32 asset, bytes32 doc);
        event Impact(uint256 indexed incident, uint256 indexed impact, bytes32 asset, bytes32 risk, uint16 score, bytes32 doc);
        event ImpactEvaluated(uint256 indexed impact, bytes32 indexed by, bool agree, bytes32 doc);
        event Response(uint256 indexed response, uint256 indexed incident, bytes32 indexed recipient, bytes32 plan, uint48 timeout, bool needsAck);
        event Acked(uint256 indexed response, bytes32 indexed recipient, bool canExecute, bytes32 note);
        event Escalated(uint256 indexed response);
        event Closed(uint256 indexed incident, bytes32 doc);
    }

    interface Seals {
        function offer(uint256 order, bytes32 cipherRoot, bytes32 keyHash) external;
        function accept(uint256 order) external;
        function reveal(uint256 order, bytes32 key) external;
        function complain(uint256 order, uint32 index, bytes32[] chunk, bytes32[] cipherProof, bytes32 plainLeaf, bytes32[] plainProof) external;
        function settle(uint256 order) external;

        event Offered(uint256 indexed order, bytes32 cipherRoot, bytes32 keyHash);
        event Accepted(uint256 indexed order);
        event Revealed(uint256 indexed order, bytes32 key);
        event Complained(uint256 indexed order, uint32 index);
        event Settled(uint256 indexed order);
    }
}
