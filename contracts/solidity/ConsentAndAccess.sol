// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Acting} from "./base/Acting.sol";
import {MedinaModule} from "./base/MedinaModule.sol";
import {Roles} from "./base/Roles.sol";
import {IConsentAndAccess} from "./interfaces/IConsentAndAccess.sol";
import {IIdentity} from "./interfaces/IIdentity.sol";
import {ISensorRegistry} from "./interfaces/ISensorRegistry.sol";

/// @notice See IConsentAndAccess.
/// @custom:oz-upgrades-unsafe-allow constructor state-variable-immutable
contract ConsentAndAccess is IConsentAndAccess, MedinaModule, Acting, EIP712 {
    /// Grants and delegations of an earlier epoch, or of another owner, have ended.
    struct Scope {
        uint32 epoch;
        /// Mark of the owner they are from; see `_ownerOf`.
        uint160 owner;
        /// When everything was revoked last.
        uint48 revoked;
    }

    struct Record {
        bytes32 scope;
        bytes32 grantee;
        bytes32 purpose;
        uint32 epoch;
        uint8 ops;
        uint48 from;
        uint48 until;
        /// When it was given, amended or revoked last; if it holds from an earlier time on, that time.
        uint48 said;
    }

    struct Delegation {
        uint32 epoch;
        uint48 until;
    }

    struct Request {
        bytes32 scope;
        uint48 due;
        bool answered;
    }

    /// @custom:storage-location erc7201:medina.storage.ConsentAndAccess
    struct Storage {
        mapping(bytes32 scope => Scope) scopes;
        mapping(uint256 id => Record) grants;
        mapping(bytes32 scope => mapping(bytes32 helper => Delegation)) delegations;
        mapping(bytes32 digest => bool) used;
        uint256 requestCount;
        mapping(uint256 id => Request) requests;
    }

    /// keccak256(abi.encode(uint256(keccak256("medina.storage.ConsentAndAccess")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE = 0xbc9e53d95335cf1754d62b502e065c59070d33ea1a9aafdb662364ee3616f300;

    bytes32 private constant GRANT_FOR = keccak256(
        "GrantFor(bytes32 scope,bytes32 grantee,bytes32 purpose,uint8 ops,uint48 from,uint48 until,bytes32 form,uint48 deadline)"
    );

    /// Marks of scopes that are no resource.
    uint160 private constant NOBODY = 0;
    uint160 private constant USER = 1;

    uint8 private constant OPS = 15;
    uint8 private constant KIND_MAX = 5;
    uint48 private constant ANSWER_IN = 30 days;

    ISensorRegistry private immutable REGISTRY;

    constructor(IIdentity identity, ISensorRegistry registry) Acting(identity) EIP712("ConsentAndAccess", "1") {
        REGISTRY = registry;
    }

    /// @notice Once, behind the proxy.
    function initialize(address authority) external initializer {
        __AccessManaged_init(authority);
    }

    function grant(Grant calldata g) external restricted returns (uint256) {
        uint160 mark = _requireActing(g.scope);
        return _grant(g, mark);
    }

    function grantFor(Grant calldata g, uint48 deadline, bytes calldata ownerSig)
        external
        restricted
        returns (uint256)
    {
        if (deadline < block.timestamp) revert Ended();
        bytes32 digest = _hashTypedDataV4(
            keccak256(
                abi.encode(
                    GRANT_FOR, g.scope, g.grantee, g.purpose, g.ops, g.from, g.until, g.form, deadline
                )
            )
        );
        address signer = _signer(digest, ownerSig);
        (uint160 mark, bytes32 org) = _ownerOf(g.scope);
        if (signer == address(0) || !_owns(g.scope, mark, org, signer)) revert NotOwner();
        Storage storage $ = _storage();
        // What was signed before consent was taken back, narrowed or given otherwise is not brought after that.
        Record storage r = $.grants[_idOf(g.scope, g.grantee, g.purpose)];
        if (g.from < $.scopes[g.scope].revoked || g.from < r.said) revert Ended();
        if ($.used[digest]) revert Ended();
        $.used[digest] = true;
        return _grant(g, mark);
    }

    function amend(uint256 id, uint8 ops, uint48 until) external {
        Record storage r = _storage().grants[id];
        uint160 mark = _requireActing(r.scope);
        if (!_isLive(r, mark)) revert Ended();
        if (ops == 0 || ops > OPS || until <= r.from) revert BadForm();
        if (until <= block.timestamp) revert Ended();
        (r.ops, r.until, r.said) = (ops, until, uint48(block.timestamp));
        emit Amended(r.scope, r.grantee, r.purpose, id, ops, until);
    }

    function revoke(uint256 id) external {
        Record storage r = _storage().grants[id];
        bytes32 scope = r.scope;
        (uint160 mark, bytes32 org) = _ownerOf(scope);
        if (!_mayEnd(scope, mark, org) && !_isDelegate(scope, mark)) revert NotDelegate();
        if (!_isLive(r, mark)) revert Ended();
        uint8 ops = r.ops;
        (r.ops, r.until, r.said) = (0, uint48(block.timestamp), uint48(block.timestamp));
        emit Revoked(scope, r.grantee, r.purpose, id, ops, uint48(block.timestamp));
    }

    function revokeAll(bytes32 scope) external {
        (uint160 mark, bytes32 org) = _ownerOf(scope);
        if (!_mayEnd(scope, mark, org)) revert NotOwner();
        Scope storage s = _storage().scopes[scope];
        ++s.epoch;
        s.revoked = uint48(block.timestamp);
        emit RevokedAll(scope);
    }

    function delegate(bytes32 scope, bytes32 helper, uint48 until, bytes32 form) external restricted {
        (uint160 mark, bytes32 org) = _ownerOf(scope);
        if (!_owns(scope, mark, org, msg.sender)) revert NotOwner();
        if (helper == 0 || form == 0) revert BadForm();
        _storage().delegations[scope][helper] = Delegation(_epochNow(scope, mark), until);
        emit Delegated(scope, helper, until, form);
    }

    function allowed(bytes32 scope, bytes32 who, bytes32 purpose, uint8 op) external view returns (bool) {
        if (op == 0) return false;
        IIdentity.User memory user = IDENTITY.getUser(who);
        uint8 role = IDENTITY.roleOf(user.account);
        if (role == 0) return false;
        Scope storage s = _storage().scopes[scope];
        (uint32 epoch, uint160 owner) = (s.epoch, s.owner);
        bool isGranted = _grants(epoch, scope, who, purpose, op) || _grants(epoch, scope, user.org, purpose, op)
            || _grants(epoch, scope, bytes32(uint256(role)), purpose, op);
        if (!isGranted) return false;
        (uint160 mark,) = _ownerOf(scope);
        return owner == mark;
    }

    function logAccess(
        bytes32 scope,
        bytes32 actor,
        uint8 profile,
        uint8 action,
        bytes32 purpose,
        bytes32 detail
    ) external {
        emit Accessed(scope, actor, _managedOrg(), action, profile, purpose, detail);
    }

    function ask(bytes32 scope, uint8 kind, bytes32 doc) external restricted returns (uint256 id) {
        (bytes32 by,, uint8 role) = IDENTITY.standing(msg.sender);
        if (role == 0) revert NotPermitted();
        if (kind > KIND_MAX || _answering(scope) == 0) revert BadForm();
        Storage storage $ = _storage();
        id = ++$.requestCount;
        uint48 due = uint48(block.timestamp) + ANSWER_IN;
        $.requests[id] = Request(scope, due, false);
        emit Asked(id, scope, by, kind, doc, due);
    }

    function answer(uint256 id, bytes32 doc) external {
        Request storage r = _storage().requests[id];
        if (!_acts(_answering(r.scope), msg.sender)) revert NotOwner();
        if (r.answered) revert Ended();
        if (doc == 0) revert BadForm();
        r.answered = true;
        emit Answered(id, doc);
    }

    function overdue(uint256 id) external view returns (bool) {
        Request storage r = _storage().requests[id];
        return r.due != 0 && !r.answered && block.timestamp > r.due;
    }

    function notifyBreach(bytes32[] calldata scopes, bytes32 notice) external {
        if (scopes.length > Roles.BATCH_MAX) revert OutOfRange();
        bytes32 by = _managedOrg();
        for (uint256 i; i < scopes.length; ++i) {
            emit Breach(scopes[i], by, notice);
        }
    }

    function setPrivacy(bytes32 scope, uint8 level) external {
        _requireActing(scope);
        emit PrivacySet(scope, level);
    }

    function _grant(Grant calldata g, uint160 mark) private returns (uint256 id) {
        if (g.grantee == 0 || g.form == 0 || g.ops == 0 || g.ops > OPS || g.until <= g.from) revert BadForm();
        if (g.until <= block.timestamp) revert Ended();
        id = _idOf(g.scope, g.grantee, g.purpose);
        uint32 epoch = _epochNow(g.scope, mark);
        uint48 said = g.from < block.timestamp ? g.from : uint48(block.timestamp);
        _storage().grants[id] = Record(g.scope, g.grantee, g.purpose, epoch, g.ops, g.from, g.until, said);
        emit Granted(g.scope, g.grantee, g.purpose, id, g.ops, g.from, g.until, g.form);
    }

    /// The epoch for what the present owner begins; a new owner begins a new one.
    function _epochNow(bytes32 scope, uint160 mark) private returns (uint32 epoch) {
        Scope storage s = _storage().scopes[scope];
        epoch = s.epoch;
        uint160 old = s.owner;
        if (old == mark) return epoch;
        if (old != 0) ++epoch;
        (s.epoch, s.owner) = (epoch, mark);
    }

    /// The owner or a delegate calls.
    function _requireActing(bytes32 scope) private view returns (uint160 mark) {
        bytes32 org;
        (mark, org) = _ownerOf(scope);
        if (!_owns(scope, mark, org, msg.sender) && !_isDelegate(scope, mark)) revert NotDelegate();
    }

    function _managedOrg() private view returns (bytes32 org) {
        org = _actingOrg();
        if (org == 0) revert NotPermitted();
    }

    function _grants(uint32 epoch, bytes32 scope, bytes32 grantee, bytes32 purpose, uint8 op)
        private
        view
        returns (bool)
    {
        Record storage r = _storage().grants[_idOf(scope, grantee, purpose)];
        if (r.ops & op != op || r.epoch != epoch) return false;
        return r.from <= block.timestamp && block.timestamp < r.until;
    }

    /// Neither over, nor revoked, nor of an earlier owner; perhaps not begun.
    function _isLive(Record storage r, uint160 mark) private view returns (bool) {
        Scope storage s = _storage().scopes[r.scope];
        return r.ops != 0 && block.timestamp < r.until && r.epoch == s.epoch && s.owner == mark;
    }

    function _isDelegate(bytes32 scope, uint160 mark) private view returns (bool) {
        (bytes32 userId,, uint8 role) = IDENTITY.standing(msg.sender);
        if (mark == NOBODY || role == 0) return false;
        Delegation storage d = _storage().delegations[scope][userId];
        if (block.timestamp >= d.until) return false;
        Scope storage s = _storage().scopes[scope];
        return d.epoch == s.epoch && s.owner == mark;
    }

    function _owns(bytes32 scope, uint160 mark, bytes32 org, address account) private view returns (bool) {
        if (mark != USER) return _acts(org, account);
        (bytes32 userId,, uint8 role) = IDENTITY.standing(account);
        return userId == scope && role != 0;
    }

    /// As `_owns`, but nothing keeps a user from taking consent back.
    function _mayEnd(bytes32 scope, uint160 mark, bytes32 org) private view returns (bool) {
        if (mark == USER && IDENTITY.idOf(msg.sender) == scope) return true;
        return _owns(scope, mark, org, msg.sender);
    }

    /// The owner's mark, which changes when a scope gets another owner or loses it, and the organisation if the scope
    /// is a resource. Who registers a resource under a user's id gets nothing by it.
    function _ownerOf(bytes32 scope) private view returns (uint160 mark, bytes32 org) {
        IIdentity.Status status = IDENTITY.statusOf(scope);
        if (status != IIdentity.Status.None) return (status == IIdentity.Status.Erased ? NOBODY : USER, 0);
        uint48 since;
        (org, since) = REGISTRY.ownerOf(scope);
        mark = org == 0 ? NOBODY : uint160(uint256(keccak256(abi.encode(org, since))));
    }

    /// An organisation itself, else that of the resource; 0 if there is neither.
    function _answering(bytes32 scope) private view returns (bytes32) {
        if (IDENTITY.getOrg(scope).status != IIdentity.Status.None) return scope;
        (bytes32 org,) = REGISTRY.ownerOf(scope);
        return org;
    }

    function _idOf(bytes32 scope, bytes32 grantee, bytes32 purpose) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(scope, grantee, purpose)));
    }

    function _storage() private pure returns (Storage storage $) {
        assembly {
            $.slot := STORAGE
        }
    }
}
