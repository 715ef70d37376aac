// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Acting} from "./base/Acting.sol";
import {MedinaModule} from "./base/MedinaModule.sol";
import {Roles} from "./base/Roles.sol";
import {IIdentity} from "./interfaces/IIdentity.sol";
import {ISensorRegistry} from "./interfaces/ISensorRegistry.sol";

/// @notice See ISensorRegistry.
/// @custom:oz-upgrades-unsafe-allow constructor state-variable-immutable
contract SensorRegistry is ISensorRegistry, MedinaModule, Acting, EIP712 {
    /// `head` is the first 20 bytes of the signer: the account, or the verifier of a longer key.
    struct Record {
        bytes32 org;
        bytes32 topic;
        bytes32 meta;
        address head;
        uint32 period;
        uint48 since;
        Type t;
        uint8 status;
    }

    /// The slot that reserves a signer has room for the resource's cell: a registration writes five slots.
    struct Device {
        bool taken;
        uint64 cell;
    }

    /// @custom:storage-location erc7201:medina.storage.SensorRegistry
    struct Storage {
        mapping(bytes32 id => Record) records;
        mapping(bytes32 signerHash => Device) devices;
        /// What follows the verifier in a signer longer than 20 bytes.
        mapping(bytes32 id => bytes) keys;
        /// Cells of retired resources, whose signer is free again.
        mapping(bytes32 id => uint64) retiredCells;
        mapping(bytes32 id => bytes32 org) offers;
        mapping(address verifier => bool) verifiers;
        /// Messages of `rotateKey` that have worked, by keccak256(abi.encode(struct hash, signer)).
        mapping(bytes32 message => bool) rotations;
    }

    /// keccak256(abi.encode(uint256(keccak256("medina.storage.SensorRegistry")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE = 0xbbe563d01ce17dc90dd314a2e589cc64ed61176535229a90cf472db774c3e600;

    bytes32 private constant REGISTRATION = keccak256("Registration(bytes32 id,bytes32 org,uint48 deadline)");
    bytes32 private constant KEY_ROTATION = keccak256("KeyRotation(bytes32 id,uint48 deadline)");

    /// Longest signer: a verifier and a 256-byte key.
    uint256 private constant SIGNER_BYTES_MAX = 276;

    constructor(IIdentity identity) Acting(identity) EIP712("SensorRegistry", "1") {}

    /// @notice Once, behind the proxy.
    function initialize(address authority) external initializer {
        __AccessManaged_init(authority);
    }

    function register(bytes32 id, Resource calldata r, uint48 deadline, bytes calldata deviceSig)
        external
        restricted
    {
        bytes32 org = _sellerOf(r.org);
        _register(id, r, org, deadline, deviceSig);
    }

    function registerMany(bytes32[] calldata ids, Resource[] calldata r, uint48 deadline, bytes[] calldata sigs)
        external
        restricted
    {
        uint256 count = ids.length;
        if (count > Roles.BATCH_MAX || count != r.length || count != sigs.length) revert OutOfRange();
        bytes32 asked;
        bytes32 org;
        for (uint256 i; i < count; ++i) {
            if (i == 0 || r[i].org != asked) {
                asked = r[i].org;
                org = _sellerOf(asked);
            }
            _register(ids[i], r[i], org, deadline, sigs[i]);
        }
    }

    function update(bytes32 id, uint32 period, uint64 cell, bytes32 meta) external {
        Record storage d = _owned(id);
        if (period == 0 && d.t != Type.Service) revert BadPeriod();
        d.period = period;
        d.meta = meta;
        _storage().devices[keccak256(_signerOf(id, d))].cell = cell;
        emit Updated(id, cell, period, meta);
    }

    function rotateKey(bytes32 id, bytes calldata signer, uint48 deadline, bytes calldata sig) external {
        Record storage d = _owned(id);
        bytes32 hash = keccak256(abi.encode(KEY_ROTATION, id, deadline));
        _checkDevice(signer, deadline, hash, sig);
        Storage storage $ = _storage();
        bytes32 message = keccak256(abi.encode(hash, signer));
        if ($.rotations[message]) revert BadDeviceKey();
        $.rotations[message] = true;
        bytes32 old = keccak256(_signerOf(id, d));
        uint64 cell = $.devices[old].cell;
        delete $.devices[old];
        delete $.keys[id];
        _reserve(signer, cell);
        _setSigner(id, d, signer);
        emit KeyRotated(id, signer);
    }

    function setStatus(bytes32 id, uint8 status) external {
        Storage storage $ = _storage();
        Record storage d = $.records[id];
        uint8 old = d.status;
        uint8 base = old & ~Roles.FLAGGED;
        if (old == 0) revert Unknown();
        if (status & ~Roles.FLAGGED == base && status != old) {
            if (!_moderates()) revert NotOwner();
        } else {
            if (!_acts(d.org, msg.sender)) revert NotOwner();
            if (base == Roles.RETIRED || status == 0 || status > Roles.RETIRED) revert Unknown();
            status |= old & Roles.FLAGGED;
        }
        d.status = status;
        if (base != Roles.RETIRED && status & ~Roles.FLAGGED == Roles.RETIRED) _release(id, d);
        emit StatusSet(id, status);
    }

    function transfer(bytes32 id, bytes32 toOrg) external restricted {
        _owned(id);
        _storage().offers[id] = toOrg;
        emit Offered(id, toOrg);
    }

    function accept(bytes32 id) external {
        Storage storage $ = _storage();
        bytes32 toOrg = $.offers[id];
        Record storage d = $.records[id];
        if (d.status & ~Roles.FLAGGED == Roles.RETIRED) revert Unknown();
        if (!_acts(toOrg, msg.sender)) revert NotOwner();
        bytes32 org = d.org;
        d.org = toOrg;
        d.since = uint48(block.timestamp);
        delete $.offers[id];
        emit Moved(id, org, toOrg);
    }

    function setVerifier(address verifier, bool allowed) external restricted {
        _storage().verifiers[verifier] = allowed;
    }

    function ownerOf(bytes32 id) external view returns (bytes32 org, uint48 since) {
        Record storage d = _storage().records[id];
        return (d.org, d.since);
    }

    function standing(bytes32 id) external view returns (bytes32 org, uint48 since, uint8 status) {
        Record storage d = _storage().records[id];
        return (d.org, d.since, d.status);
    }

    function get(bytes32 id) external view returns (Resource memory r) {
        Record storage d = _storage().records[id];
        if (d.status == 0) return r;
        r.org = d.org;
        r.signer = _signerOf(id, d);
        r.period = d.period;
        r.since = d.since;
        r.t = d.t;
        r.status = d.status;
        r.topic = d.topic;
        r.meta = d.meta;
        r.cell = d.status & ~Roles.FLAGGED == Roles.RETIRED
            ? _storage().retiredCells[id]
            : _storage().devices[keccak256(r.signer)].cell;
    }

    function _sellerOf(bytes32 asked) private view returns (bytes32 org) {
        org = asked == 0 ? IDENTITY.orgOf(msg.sender) : asked;
        if (!_acts(org, msg.sender)) revert NotOwner();
    }

    function _register(bytes32 id, Resource calldata r, bytes32 org, uint48 deadline, bytes calldata deviceSig)
        private
    {
        Record storage d = _storage().records[id];
        if (d.status != 0) revert Exists();
        if (id == 0) revert Unknown();
        if (r.period == 0 && r.t != Type.Service) revert BadPeriod();
        bytes32 hash = keccak256(abi.encode(REGISTRATION, id, org, deadline));
        _checkDevice(r.signer, deadline, hash, deviceSig);
        _reserve(r.signer, r.cell);
        d.org = org;
        d.topic = r.topic;
        d.meta = r.meta;
        d.period = r.period;
        d.since = uint48(block.timestamp);
        d.t = r.t;
        d.status = Roles.LIVE;
        _setSigner(id, d, r.signer);
        emit Registered(id, org, r.topic, r.t, r.cell, r.period, r.meta);
    }

    function _checkDevice(bytes calldata signer, uint48 deadline, bytes32 hash, bytes calldata sig) private view {
        if (deadline < block.timestamp || signer.length < 20 || signer.length > SIGNER_BYTES_MAX) {
            revert BadDeviceKey();
        }
        if (signer.length > 20 && !_storage().verifiers[address(bytes20(signer[:20]))]) revert BadDeviceKey();
        if (!SignatureChecker.isValidSignatureNow(signer, _hashTypedDataV4(hash), sig)) revert BadDeviceKey();
    }

    function _reserve(bytes calldata signer, uint64 cell) private {
        Device storage device = _storage().devices[keccak256(signer)];
        if (device.taken) revert BadDeviceKey();
        device.taken = true;
        device.cell = cell;
    }

    function _release(bytes32 id, Record storage d) private {
        Storage storage $ = _storage();
        bytes32 signerHash = keccak256(_signerOf(id, d));
        $.retiredCells[id] = $.devices[signerHash].cell;
        delete $.devices[signerHash];
        delete $.offers[id];
    }

    function _setSigner(bytes32 id, Record storage d, bytes calldata signer) private {
        d.head = address(bytes20(signer[:20]));
        if (signer.length > 20) _storage().keys[id] = signer[20:];
    }

    function _signerOf(bytes32 id, Record storage d) private view returns (bytes memory) {
        return abi.encodePacked(d.head, _storage().keys[id]);
    }

    function _owned(bytes32 id) private view returns (Record storage d) {
        d = _storage().records[id];
        if (d.status == 0 || d.status & ~Roles.FLAGGED == Roles.RETIRED) revert Unknown();
        if (!_acts(d.org, msg.sender)) revert NotOwner();
    }

    function _storage() private pure returns (Storage storage $) {
        assembly {
            $.slot := STORAGE
        }
    }
}
