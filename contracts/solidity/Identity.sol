// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {MedinaModule} from "./base/MedinaModule.sol";
import {Roles} from "./base/Roles.sol";
import {IIdentity} from "./interfaces/IIdentity.sol";

/// @notice See IIdentity.
/// @custom:oz-upgrades-unsafe-allow constructor
contract Identity is IIdentity, MedinaModule, EIP712 {
    struct UserRecord {
        bytes32 org;
        address account;
        uint48 expires;
        uint8 role;
        Status status;
        uint8 level;
        address certifier;
        uint48 since;
    }

    /// @custom:storage-location erc7201:medina.storage.Identity
    struct Storage {
        mapping(bytes32 org => Org) orgs;
        mapping(bytes32 userId => UserRecord) users;
        mapping(address account => bytes32 userId) ids;
        mapping(bytes32 key => bytes32 userId) nullifiers;
        /// Ids with role Administrator, so that no call can leave none of them active.
        bytes32[] administrators;
        /// Messages of `rotate` that have worked.
        mapping(bytes32 structHash => bool) rotations;
    }

    /// keccak256(abi.encode(uint256(keccak256("medina.storage.Identity")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE = 0xd307595fc9c091e1e9de5178743620090f2bea04cd11bc3c2177799bbf44aa00;

    bytes32 private constant ENROLMENT = keccak256(
        "Enrolment(bytes32 userId,bytes32 nullifier,bytes32 org,address account,uint8 role,uint48 expires,bytes32 terms,uint48 deadline)"
    );
    bytes32 private constant ROTATION = keccak256("Rotation(bytes32 userId,address next,uint48 deadline)");
    bytes32 private constant RENEWAL = keccak256("Renewal(bytes32 userId,uint48 expires)");

    /// Most Administrators at a time: calls that could remove the last one look at all.
    uint256 private constant ADMINISTRATORS_MAX = 32;
    /// How long a nullifier outlives its id.
    uint256 private constant FORGET_AFTER = 360 days;

    constructor() EIP712("Identity", "1") {}

    /// @notice Once, behind the proxy: the authority and the users of genesis. Seeds have no certifier and do
    /// not expire; a seed with org == userId is an individual, else it is the admin of a registered org.
    function initialize(address authority, Seed[] calldata seeds) external initializer {
        __AccessManaged_init(authority);
        for (uint256 i; i < seeds.length; ++i) _seed(seeds[i]);
    }

    function registerOrg(bytes32 org, address admin, bytes32 meta) external restricted {
        _requireAdministrator();
        _registerOrg(org, admin, meta);
    }

    function setOrg(bytes32 org, address admin, Status s, bytes32 meta) external {
        _requireAdministrator();
        Org storage o = _storage().orgs[org];
        if (o.status == Status.None) revert UnknownOrg();
        if (o.status == Status.Revoked && s != Status.Revoked) revert OrgInactive();
        if (admin == address(0) || (s != Status.Active && s != Status.Suspended && s != Status.Revoked)) {
            revert NotAllowed();
        }
        o.admin = admin;
        o.status = s;
        o.meta = meta;
        _requireSomeAdministrator();
        emit OrgSet(org, admin, s, meta);
    }

    function enrol(Enrolment calldata e, address certifier, bytes calldata sig) external restricted {
        if (e.deadline < block.timestamp || e.expires <= block.timestamp) revert Expired();
        if (!_holds(Roles.CERTIFIER, certifier)) revert NotCertifier();
        if (e.role == 0 || e.role > Roles.MANAGER) revert RoleTooHigh();
        bytes32 hash = keccak256(
            abi.encode(
                ENROLMENT, e.userId, e.nullifier, e.org, e.account, e.role, e.expires, e.terms, e.deadline
            )
        );
        if (!SignatureChecker.isValidSignatureNow(certifier, _hashTypedDataV4(hash), sig)) revert BadSignature();
        Storage storage $ = _storage();
        bytes32 nullifierKey = keccak256(abi.encode(certifier, e.nullifier));
        if ($.nullifiers[nullifierKey] != 0) revert Nullified();
        bool waits;
        if (e.org != e.userId) {
            Org storage o = $.orgs[e.org];
            if (o.status == Status.None) revert UnknownOrg();
            if (o.status != Status.Active) revert OrgInactive();
            waits = o.admin != e.account && o.admin != msg.sender;
        }
        $.nullifiers[nullifierKey] = e.userId;
        _addUser(e.userId, e.org, e.account, e.expires, e.role, waits ? Status.Pending : Status.Active, certifier);
        emit Enrolled(e.userId, e.org, certifier, e.role, e.expires, e.terms);
    }

    function approve(bytes32 userId) external {
        UserRecord storage u = _storage().users[userId];
        if (u.status != Status.Pending || !_isOrgAdmin(u.org, msg.sender)) revert NotAllowed();
        u.status = Status.Active;
        emit StatusSet(userId, Status.Active, 0);
    }

    function setRole(bytes32 userId, uint8 role) external {
        UserRecord storage u = _storage().users[userId];
        if (!_isRuled(u.status) || role == 0) revert NotAllowed();
        if (role > Roles.ADMINISTRATOR) revert RoleTooHigh();
        if (roleOf(msg.sender) != Roles.ADMINISTRATOR) {
            if (!_isOrgAdmin(u.org, msg.sender)) revert NotAllowed();
            if (role > Roles.MANAGER || u.role > Roles.MANAGER) revert RoleTooHigh();
        }
        if (u.role == Roles.ADMINISTRATOR && role != Roles.ADMINISTRATOR) _removeAdministrator(userId);
        if (u.role != Roles.ADMINISTRATOR && role == Roles.ADMINISTRATOR) _addAdministrator(userId);
        u.role = role;
        _requireSomeAdministrator();
        emit RoleSet(userId, role);
    }

    function rotate(bytes32 userId, address next, uint48 deadline, bytes calldata nextSig) external {
        if (deadline < block.timestamp) revert Expired();
        Storage storage $ = _storage();
        UserRecord storage u = $.users[userId];
        if (!_isHolderOrCertifier(u)) revert NotAllowed();
        if (next == address(0) || $.ids[next] != 0) revert AccountTaken();
        bytes32 hash = keccak256(abi.encode(ROTATION, userId, next, deadline));
        if (!SignatureChecker.isValidSignatureNow(next, _hashTypedDataV4(hash), nextSig)) revert BadSignature();
        if ($.rotations[hash]) revert BadSignature();
        $.rotations[hash] = true;
        address old = u.account;
        delete $.ids[old];
        $.ids[next] = userId;
        u.account = next;
        Org storage o = $.orgs[u.org];
        if (o.admin == old) o.admin = next;
        emit Rotated(userId);
    }

    function renew(bytes32 userId, uint48 expires, address certifier, bytes calldata sig) external {
        UserRecord storage u = _storage().users[userId];
        if (u.status == Status.None || u.status == Status.Erased) revert NotAllowed();
        if (u.certifier != certifier || !_holds(Roles.CERTIFIER, certifier)) revert NotCertifier();
        if (expires <= u.expires) revert Expired();
        bytes32 hash = keccak256(abi.encode(RENEWAL, userId, expires));
        if (!SignatureChecker.isValidSignatureNow(certifier, _hashTypedDataV4(hash), sig)) revert BadSignature();
        u.expires = expires;
        emit Renewed(userId, expires);
    }

    function setStatus(bytes32 userId, Status s, bytes32 reason) external {
        UserRecord storage u = _storage().users[userId];
        uint8 level = _levelOver(u);
        if (level == 0 || !_isRuled(u.status)) revert NotAllowed();
        if (s != Status.Suspended && s != Status.Revoked) {
            if (s != Status.Active || u.status != Status.Suspended || level < u.level) revert NotAllowed();
        }
        // A suspension that is lifted must not stand for the approval of the org admin.
        if (s == Status.Suspended && u.status == Status.Pending) revert NotAllowed();
        // A later suspension by a lower level does not make an earlier one easier to lift.
        if (s == Status.Active) u.level = 0;
        else if (u.status != Status.Suspended || level > u.level) u.level = level;
        u.status = s;
        if (u.role == Roles.ADMINISTRATOR) {
            if (s == Status.Revoked) _removeAdministrator(userId);
            _requireSomeAdministrator();
        }
        emit StatusSet(userId, s, reason);
    }

    function erase(bytes32 userId) external {
        Storage storage $ = _storage();
        UserRecord storage u = $.users[userId];
        if (!_isHolderOrCertifier(u)) revert NotAllowed();
        bool wasAdministrator = u.role == Roles.ADMINISTRATOR && u.status != Status.Revoked;
        delete $.ids[u.account];
        delete $.users[userId];
        u.status = Status.Erased;
        u.expires = uint48(block.timestamp);
        if (wasAdministrator) {
            _removeAdministrator(userId);
            _requireSomeAdministrator();
        }
        emit Erased(userId);
    }

    function forget(bytes32 nullifier) external {
        if (!_holds(Roles.CERTIFIER, msg.sender)) revert NotCertifier();
        Storage storage $ = _storage();
        bytes32 nullifierKey = keccak256(abi.encode(msg.sender, nullifier));
        UserRecord storage u = $.users[$.nullifiers[nullifierKey]];
        if (u.status != Status.Erased || block.timestamp < u.expires + FORGET_AFTER) revert NotAllowed();
        delete $.nullifiers[nullifierKey];
    }

    function roleOf(address a) public view returns (uint8) {
        Storage storage $ = _storage();
        UserRecord storage u = $.users[$.ids[a]];
        if (u.status != Status.Active || u.expires <= block.timestamp) return 0;
        bytes32 org = u.org;
        if (org != $.ids[a] && $.orgs[org].status != Status.Active) return 0;
        return u.role;
    }

    function orgOf(address a) external view returns (bytes32) {
        Storage storage $ = _storage();
        return $.users[$.ids[a]].org;
    }

    function idOf(address a) external view returns (bytes32) {
        return _storage().ids[a];
    }

    function getOrg(bytes32 org) public view returns (Org memory o) {
        Storage storage $ = _storage();
        o = $.orgs[org];
        if (o.status != Status.None) return o;
        UserRecord storage u = $.users[org];
        if (u.org != org || org == 0) return o;
        // An individual: its own organisation, active while the id is.
        Status status = u.status;
        if (status == Status.Active && u.expires <= block.timestamp) status = Status.Suspended;
        return Org(u.account, u.since, status, 0);
    }

    function standing(address a) external view returns (bytes32 userId, bytes32 org, uint8 role) {
        Storage storage $ = _storage();
        userId = $.ids[a];
        return (userId, $.users[userId].org, roleOf(a));
    }

    function statusOf(bytes32 userId) external view returns (Status) {
        return _storage().users[userId].status;
    }

    function getUser(bytes32 userId) external view returns (User memory) {
        UserRecord storage u = _storage().users[userId];
        return User(u.org, u.account, u.expires, u.role, u.status, u.level, u.certifier);
    }

    function _seed(Seed calldata s) private {
        if (s.role == 0 || s.role > Roles.ADMINISTRATOR) revert RoleTooHigh();
        if (s.org != s.userId && _storage().orgs[s.org].status == Status.None) _registerOrg(s.org, s.account, 0);
        _addUser(s.userId, s.org, s.account, type(uint48).max, s.role, Status.Active, address(0));
        if (s.role == Roles.ADMINISTRATOR) _addAdministrator(s.userId);
        emit Enrolled(s.userId, s.org, address(0), s.role, type(uint48).max, 0);
    }

    function _registerOrg(bytes32 org, address admin, bytes32 meta) private {
        Storage storage $ = _storage();
        if (org == 0 || $.orgs[org].status != Status.None || $.users[org].status != Status.None) revert IdTaken();
        if (admin == address(0)) revert NotAllowed();
        $.orgs[org] = Org(admin, uint48(block.timestamp), Status.Active, meta);
        emit OrgSet(org, admin, Status.Active, meta);
    }

    function _addUser(
        bytes32 userId,
        bytes32 org,
        address account,
        uint48 expires,
        uint8 role,
        Status status,
        address certifier
    ) private {
        Storage storage $ = _storage();
        UserRecord storage u = $.users[userId];
        if (userId == 0 || u.status != Status.None || $.orgs[userId].status != Status.None) revert IdTaken();
        if (account == address(0) || $.ids[account] != 0) revert AccountTaken();
        $.ids[account] = userId;
        u.org = org;
        u.account = account;
        u.expires = expires;
        u.role = role;
        u.status = status;
        u.certifier = certifier;
        u.since = uint48(block.timestamp);
    }

    function _addAdministrator(bytes32 userId) private {
        bytes32[] storage administrators = _storage().administrators;
        if (administrators.length == ADMINISTRATORS_MAX) revert NotAllowed();
        administrators.push(userId);
    }

    function _removeAdministrator(bytes32 userId) private {
        bytes32[] storage administrators = _storage().administrators;
        uint256 last = administrators.length - 1;
        for (uint256 i; i <= last; ++i) {
            if (administrators[i] != userId) continue;
            administrators[i] = administrators[last];
            administrators.pop();
            return;
        }
    }

    function _requireAdministrator() private view {
        if (roleOf(msg.sender) != Roles.ADMINISTRATOR) revert NotAllowed();
    }

    function _requireSomeAdministrator() private view {
        Storage storage $ = _storage();
        uint256 count = $.administrators.length;
        for (uint256 i; i < count; ++i) {
            if (roleOf($.users[$.administrators[i]].account) == Roles.ADMINISTRATOR) return;
        }
        revert NotAllowed();
    }

    function _isOrgAdmin(bytes32 org, address account) private view returns (bool) {
        Org memory o = getOrg(org);
        return o.admin == account && o.status == Status.Active;
    }

    function _isHolderOrCertifier(UserRecord storage u) private view returns (bool) {
        if (u.status == Status.None || u.status == Status.Erased || u.status == Status.Revoked) {
            return _isCertifierOf(u) && u.status == Status.Revoked;
        }
        return u.account == msg.sender || _isCertifierOf(u);
    }

    function _isCertifierOf(UserRecord storage u) private view returns (bool) {
        return u.certifier == msg.sender && _holds(Roles.CERTIFIER, msg.sender);
    }

    function _isRuled(Status s) private pure returns (bool) {
        return s == Status.Active || s == Status.Suspended || s == Status.Pending;
    }

    function _levelOver(UserRecord storage u) private view returns (uint8) {
        uint8 role = roleOf(msg.sender);
        if (role == Roles.ADMINISTRATOR) return 4;
        if (role == Roles.MODERATOR && u.role <= Roles.MANAGER) return 3;
        if (_isCertifierOf(u)) return 2;
        if (u.role <= Roles.MANAGER && _isOrgAdmin(u.org, msg.sender)) return 1;
        return 0;
    }

    function _storage() private pure returns (Storage storage $) {
        assembly {
            $.slot := STORAGE
        }
    }
}
