// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Acting} from "./base/Acting.sol";
import {MedinaModule} from "./base/MedinaModule.sol";
import {Roles} from "./base/Roles.sol";
import {IIdentity} from "./interfaces/IIdentity.sol";
import {IIncidentRegistry} from "./interfaces/IIncidentRegistry.sol";
import {ISensorRegistry} from "./interfaces/ISensorRegistry.sol";

/// @notice See IIncidentRegistry.
/// @custom:oz-upgrades-unsafe-allow constructor state-variable-immutable
contract IncidentRegistry is IIncidentRegistry, MedinaModule, Acting {
    /// Three slots: what an alert is about, and in one who is asked and how bad it is.
    struct Alert {
        bytes32 site;
        bytes32 class;
        /// See `_mark`; 0 once decided.
        bytes31 assignee;
        /// Severity while it waits, the verdict once decided.
        uint8 value;
    }

    struct Record {
        bytes32 site;
        bool closed;
    }

    struct Plan {
        uint128 incident;
        uint48 timeout;
        bool needsAck;
        uint8 pending;
        bool escalated;
    }

    /// What a recipient has said.
    enum Answer {
        None,
        Asked,
        Accepted,
        Declined
    }

    /// @custom:storage-location erc7201:medina.storage.IncidentRegistry
    struct Storage {
        uint64 alertCount;
        uint64 incidentCount;
        uint64 impactCount;
        uint64 responseCount;
        mapping(uint256 alert => Alert) alerts;
        mapping(uint256 incident => Record) incidents;
        mapping(uint256 impact => uint256 incident) impacts;
        mapping(uint256 impact => mapping(bytes32 by => bool)) opinions;
        mapping(uint256 response => Plan) responses;
        mapping(uint256 response => mapping(bytes32 recipient => Answer)) answers;
    }

    /// keccak256(abi.encode(uint256(keccak256("medina.storage.IncidentRegistry")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE = 0x4cfe2db6cf3a0076a31b22686399fb262aa6a059fb78c4edeccdc1c816fed300;

    uint16 private constant SCORE_MAX = 10_000;

    ISensorRegistry private immutable REGISTRY;

    constructor(IIdentity identity, ISensorRegistry registry) Acting(identity) {
        REGISTRY = registry;
    }

    /// @notice Once, behind the proxy.
    function initialize(address authority) external initializer {
        __AccessManaged_init(authority);
    }

    function raiseAlert(
        bytes32 ref,
        bytes32 class,
        uint8 severity,
        bytes32 site,
        bytes32[] calldata assets,
        bytes32 doc,
        bytes32 assignee
    ) external restricted returns (uint256 alert) {
        if (_actingOrg() == 0) revert NotPermitted();
        if (assets.length > Roles.BATCH_MAX) revert OutOfRange();
        if (_orgOfSite(site) == 0) revert NotSite();
        if (!_canAnswer(assignee)) revert NotAssignee();
        Storage storage $ = _storage();
        alert = ++$.alertCount;
        $.alerts[alert] = Alert(site, class, _mark(assignee), severity);
        emit Alerted(alert, site, assignee, class, severity, ref, assets, doc);
    }

    function evaluate(uint256 alert, Verdict v, bytes32 passTo, bytes32 doc) external returns (uint256 incident) {
        Alert storage a = _storage().alerts[alert];
        (bytes31 assignee, uint8 severity, bytes32 site) = (a.assignee, a.value, a.site);
        if (site == 0) revert WrongState();
        if (assignee == 0) revert Answered();
        if (v == Verdict.None) revert OutOfRange();
        (bytes32 by, bytes32 org, uint8 role) = IDENTITY.standing(msg.sender);
        if (role == 0 || (_mark(by) != assignee && _mark(org) != assignee)) revert NotAssignee();

        if (v == Verdict.Passed) {
            if (!_canAnswer(passTo)) revert NotAssignee();
            a.assignee = _mark(passTo);
        } else {
            (a.assignee, a.value) = (0, uint8(v));
        }
        emit Evaluated(alert, by, v, passTo, doc);
        if (v == Verdict.Confirmed) incident = _begin(site, a.class, severity, alert, 0, doc);
    }

    function report(bytes32 class, uint8 severity, bytes32 site, bytes32 asset, bytes32 doc)
        external
        restricted
        returns (uint256)
    {
        if (IDENTITY.roleOf(msg.sender) < Roles.MEMBER) revert NotPermitted();
        if (_orgOfSite(site) == 0) revert NotSite();
        return _begin(site, class, severity, 0, asset, doc);
    }

    function publishImpact(
        uint256 incident,
        bytes32[] calldata assets,
        bytes32[] calldata risks,
        uint16[] calldata scores,
        bytes32 doc
    ) external returns (uint256 impact) {
        _requireManaged(incident);
        uint256 count = assets.length;
        if (count == 0 || count > Roles.BATCH_MAX) revert OutOfRange();
        if (count != risks.length || count != scores.length) revert OutOfRange();
        Storage storage $ = _storage();
        impact = ++$.impactCount;
        $.impacts[impact] = incident;
        for (uint256 i; i < count; ++i) {
            if (scores[i] > SCORE_MAX) revert OutOfRange();
            emit Impact(incident, impact, assets[i], risks[i], scores[i], doc);
        }
    }

    function evaluateImpact(uint256 impact, bool agree, bytes32 doc) external {
        Storage storage $ = _storage();
        Record storage r = _open($.impacts[impact]);
        (bytes32 by, bytes32 org, uint8 role) = IDENTITY.standing(msg.sender);
        if (role == 0 || org != _orgOfSite(r.site)) revert NotSite();
        if ($.opinions[impact][by]) revert Answered();
        $.opinions[impact][by] = true;
        emit ImpactEvaluated(impact, by, agree, doc);
    }

    function respond(
        uint256 incident,
        bytes32 plan,
        bytes32[] calldata recipients,
        uint48 timeout,
        bool needsAck
    ) external returns (uint256 response) {
        _requireManaged(incident);
        uint256 count = recipients.length;
        if (count == 0 || count > Roles.BATCH_MAX) revert OutOfRange();
        if (timeout <= block.timestamp) revert TimedOut();
        Storage storage $ = _storage();
        response = ++$.responseCount;
        $.responses[response] = Plan(uint128(incident), timeout, needsAck, uint8(count), false);
        for (uint256 i; i < count; ++i) {
            bytes32 recipient = recipients[i];
            if ($.answers[response][recipient] != Answer.None || !_canAnswer(recipient)) revert NotRecipient();
            $.answers[response][recipient] = Answer.Asked;
            emit Response(response, incident, recipient, plan, timeout, needsAck);
        }
    }

    function acknowledge(uint256 response, bool canExecute, bytes32 note) external {
        Storage storage $ = _storage();
        Plan storage p = $.responses[response];
        _open(p.incident);
        if (block.timestamp > p.timeout) revert TimedOut();
        bytes32 recipient = _recipientOf($.answers[response]);

        $.answers[response][recipient] = canExecute ? Answer.Accepted : Answer.Declined;
        --p.pending;
        emit Acked(response, recipient, canExecute, note);
    }

    function escalate(uint256 response) external {
        Plan storage p = _storage().responses[response];
        _open(p.incident);
        if (!p.needsAck) revert WrongState();
        if (block.timestamp <= p.timeout) revert TooEarly();
        if (p.pending == 0 || p.escalated) revert Answered();
        p.escalated = true;
        emit Escalated(response);
    }

    function close(uint256 incident, bytes32 doc) external {
        _requireManaged(incident).closed = true;
        emit Closed(incident, doc);
    }

    function getAlert(uint256 alert) external view returns (bytes32 site, bytes32 class, Verdict decided) {
        Alert storage a = _storage().alerts[alert];
        bool isDecided = a.site != 0 && a.assignee == 0;
        return (a.site, a.class, isDecided ? Verdict(a.value) : Verdict.None);
    }

    function isAssigned(uint256 alert, bytes32 id) external view returns (bool) {
        return _storage().alerts[alert].assignee == _mark(id);
    }

    function getIncident(uint256 incident) external view returns (bytes32 site, bool closed) {
        Record storage r = _storage().incidents[incident];
        return (r.site, r.closed);
    }

    function getResponse(uint256 response)
        external
        view
        returns (uint256 incident, uint48 timeout, bool needsAck, uint8 pending, bool escalated)
    {
        Plan storage p = _storage().responses[response];
        return (p.incident, p.timeout, p.needsAck, p.pending, p.escalated);
    }

    function answerOf(uint256 response, bytes32 recipient) external view returns (uint8) {
        return uint8(_storage().answers[response][recipient]);
    }

    function _begin(bytes32 site, bytes32 class, uint8 severity, uint256 alert, bytes32 asset, bytes32 doc)
        private
        returns (uint256 incident)
    {
        Storage storage $ = _storage();
        incident = ++$.incidentCount;
        $.incidents[incident].site = site;
        emit Incident(incident, site, class, severity, alert, asset, doc);
    }

    function _open(uint256 incident) private view returns (Record storage r) {
        r = _storage().incidents[incident];
        if (r.site == 0 || r.closed) revert WrongState();
    }

    function _requireManaged(uint256 incident) private view returns (Record storage r) {
        r = _open(incident);
        if (!_acts(_orgOfSite(r.site), msg.sender)) revert NotSite();
    }

    /// An organisation itself, else that of the resource; 0 if there is neither.
    function _orgOfSite(bytes32 site) private view returns (bytes32 org) {
        if (site == 0) return 0;
        if (IDENTITY.getOrg(site).status != IIdentity.Status.None) return site;
        (org,) = REGISTRY.ownerOf(site);
    }

    /// Whether somebody could answer for it: a user or an organisation that is active.
    function _canAnswer(bytes32 id) private view returns (bool) {
        if (id == 0) return false;
        if (IDENTITY.statusOf(id) == IIdentity.Status.Active) return true;
        return IDENTITY.getOrg(id).status == IIdentity.Status.Active;
    }

    /// Which recipient the caller answers for: himself, else his organisation.
    function _recipientOf(mapping(bytes32 => Answer) storage answers) private view returns (bytes32) {
        (bytes32 userId, bytes32 org, uint8 role) = IDENTITY.standing(msg.sender);
        if (role == 0) revert NotRecipient();
        (Answer own, Answer orgs) = (answers[userId], answers[org]);
        if (own == Answer.Asked) return userId;
        if (orgs == Answer.Asked) return org;
        if (own == Answer.None && orgs == Answer.None) revert NotRecipient();
        revert Answered();
    }

    /// What tells an assignee apart in 31 bytes. A hash, because ids may be chosen.
    function _mark(bytes32 id) private pure returns (bytes31) {
        return bytes31(keccak256(abi.encode(id)));
    }

    function _storage() private pure returns (Storage storage $) {
        assembly {
            $.slot := STORAGE
        }
    }
}
