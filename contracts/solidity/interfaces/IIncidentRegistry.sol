// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title From an alert to a closed incident, with who was asked and who answered.
/// @notice Alert → Rejected | Passed → Alert | Confirmed = Incident → Impact* → Response* → Acked / Nacked / TimedOut
/// → Closed. A site is an organisation or its resource. Assignees and recipients are users or organisations, for which
/// any of their users with a live id answers. Times in seconds; documents, plans, classes, assets, risks
/// and notes are hashes; scores are basis points.
interface IIncidentRegistry {
    enum Verdict {
        None,
        Confirmed,
        Rejected,
        Passed
    }

    event Alerted(
        uint256 indexed alert,
        bytes32 indexed site,
        bytes32 indexed assignee,
        bytes32 class,
        uint8 severity,
        bytes32 ref,
        bytes32[] assets,
        bytes32 doc
    );
    /// `by` is the id of the user.
    event Evaluated(uint256 indexed alert, bytes32 indexed by, Verdict v, bytes32 passTo, bytes32 doc);
    /// `alert` 0: reported without one; else `asset` is 0 and the assets are the alert's.
    event Incident(
        uint256 indexed incident,
        bytes32 indexed site,
        bytes32 indexed class,
        uint8 severity,
        uint256 alert,
        bytes32 asset,
        bytes32 doc
    );
    /// One of each asset of an impact.
    event Impact(
        uint256 indexed incident, uint256 indexed impact, bytes32 asset, bytes32 risk, uint16 score, bytes32 doc
    );
    event ImpactEvaluated(uint256 indexed impact, bytes32 indexed by, bool agree, bytes32 doc);
    /// One for each recipient of a response.
    event Response(
        uint256 indexed response,
        uint256 indexed incident,
        bytes32 indexed recipient,
        bytes32 plan,
        uint48 timeout,
        bool needsAck
    );
    event Acked(uint256 indexed response, bytes32 indexed recipient, bool canExecute, bytes32 note);
    event Escalated(uint256 indexed response);
    event Closed(uint256 indexed incident, bytes32 doc);

    /// The caller does not answer for the assignee, or nobody could.
    error NotAssignee();
    /// The caller answers for no recipient, or nobody could for one.
    error NotRecipient();
    /// The caller does not act for the site, or there is no such site.
    error NotSite();
    /// Already, or by all.
    error Answered();
    /// The moment to answer by has passed.
    error TimedOut();
    error TooEarly();
    /// Unknown, or closed, or not asked for.
    error WrongState();

    /// @notice A Manager of any organisation tells `assignee` of something at `site`.
    /// @param ref 0, or the hash of what it belongs to elsewhere
    /// @param assets at most 64
    function raiseAlert(
        bytes32 ref,
        bytes32 class,
        uint8 severity,
        bytes32 site,
        bytes32[] calldata assets,
        bytes32 doc,
        bytes32 assignee
    ) external returns (uint256 alert);

    /// @notice The assignee confirms or rejects, once, or passes the alert to `passTo`, who is the assignee then.
    /// @param passTo read only if passed
    /// @return incident 0 unless confirmed
    function evaluate(uint256 alert, Verdict v, bytes32 passTo, bytes32 doc) external returns (uint256 incident);

    /// @notice A Member of any organisation reports what needs no evaluation.
    function report(bytes32 class, uint8 severity, bytes32 site, bytes32 asset, bytes32 doc)
        external
        returns (uint256 incident);

    /// @notice A Manager of the site says what the incident does to 1 to 64 assets: which risk, how bad (0 to 10000).
    function publishImpact(
        uint256 incident,
        bytes32[] calldata assets,
        bytes32[] calldata risks,
        uint16[] calldata scores,
        bytes32 doc
    ) external returns (uint256 impact);

    /// @notice Each Member of the site once, before the incident is closed.
    function evaluateImpact(uint256 impact, bool agree, bytes32 doc) external;

    /// @notice A Manager of the site tells 1 to 64 different recipients what to do.
    /// @param timeout the last second to answer in, in the future
    /// @param needsAck whether silence is to be escalated
    function respond(
        uint256 incident,
        bytes32 plan,
        bytes32[] calldata recipients,
        uint48 timeout,
        bool needsAck
    ) external returns (uint256 response);

    /// @notice A recipient says, once, until `timeout`, whether it can execute the plan. Who answers for two answers
    /// for himself first.
    function acknowledge(uint256 response, bool canExecute, bytes32 note) external;

    /// @notice Anyone, once, after the timeout of a response that needs answers and lacks some.
    function escalate(uint256 response) external;

    /// @notice A Manager of the site ends the incident; nothing about it is answered any more.
    function close(uint256 incident, bytes32 doc) external;

    /// @notice None while an alert waits for its assignee; all zero if unknown.
    function getAlert(uint256 alert) external view returns (bytes32 site, bytes32 class, Verdict decided);

    /// @notice Whether `alert` waits for `id`, a user or an organisation.
    function isAssigned(uint256 alert, bytes32 id) external view returns (bool);

    /// @notice All zero if unknown.
    function getIncident(uint256 incident) external view returns (bytes32 site, bool closed);

    /// @notice `pending` counts the recipients that have not answered; incident 0 if unknown.
    function getResponse(uint256 response)
        external
        view
        returns (uint256 incident, uint48 timeout, bool needsAck, uint8 pending, bool escalated);

    /// @notice 0 no recipient, 1 asked, 2 can execute, 3 declined.
    function answerOf(uint256 response, bytes32 recipient) external view returns (uint8);
}
