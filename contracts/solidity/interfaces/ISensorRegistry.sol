// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Sensors, actuators, devices and services, each with its own key.
/// @notice Times are seconds since 1970, periods seconds.
interface ISensorRegistry {
    enum Type {
        Sensor,
        Actuator,
        Device,
        Service
    }

    struct Resource {
        /// Set by the contract; on input 0 or the organisation the caller acts for.
        bytes32 org;
        /// The device's key in ERC-7913 form: 20-byte account, or an allowed verifier ‖ public key.
        bytes signer;
        /// Promised seconds between readings; 0 only for a Service.
        uint32 period;
        /// When this organisation got it; set by the contract.
        uint48 since;
        Type t;
        /// 1 live, 2 paused, 3 retired (final), +128 while flagged; set by the contract.
        uint8 status;
        /// keccak256 of the observed property or capability.
        bytes32 topic;
        /// Coarse grid cell.
        uint64 cell;
        /// Hash of a salted document.
        bytes32 meta;
    }

    event Registered(
        bytes32 indexed id,
        bytes32 indexed org,
        bytes32 indexed topic,
        Type t,
        uint64 cell,
        uint32 period,
        bytes32 meta
    );
    event Updated(bytes32 indexed id, uint64 indexed cell, uint32 period, bytes32 meta);
    event KeyRotated(bytes32 indexed id, bytes signer);
    event StatusSet(bytes32 indexed id, uint8 status);
    event Offered(bytes32 indexed id, bytes32 indexed toOrg);
    event Moved(bytes32 indexed id, bytes32 indexed org, bytes32 indexed toOrg);

    error Exists();
    error Unknown();
    error NotOwner();
    error BadDeviceKey();
    error BadPeriod();

    /// @notice A Manager registers a resource of its organisation. The device proves its key by signing
    /// Registration(id, org, deadline). A key belongs to at most one resource that is not retired.
    function register(bytes32 id, Resource calldata r, uint48 deadline, bytes calldata deviceSig) external;

    /// @notice As `register`, for at most 64 resources with one deadline.
    function registerMany(bytes32[] calldata ids, Resource[] calldata r, uint48 deadline, bytes[] calldata sigs)
        external;

    /// @notice The owner. Not for retired ones.
    function update(bytes32 id, uint32 period, uint64 cell, bytes32 meta) external;

    /// @notice The owner; the new key signs KeyRotation(id, deadline).
    function rotateKey(bytes32 id, bytes calldata signer, uint48 deadline, bytes calldata sig) external;

    /// @notice The owner sets 1, 2 or 3 and leaves a flag as it is; a Moderator only sets or lifts the flag by
    /// giving the present status with or without 128.
    function setStatus(bytes32 id, uint8 status) external;

    /// @notice The owner offers the resource; 0 takes the offer back.
    function transfer(bytes32 id, bytes32 toOrg) external;

    /// @notice The organisation it was offered to takes it.
    function accept(bytes32 id) external;

    /// @notice GOVERNOR allows a contract to judge device signatures.
    function setVerifier(address verifier, bool allowed) external;

    /// @notice As `get` has them; 0 if there is no such resource.
    function ownerOf(bytes32 id) external view returns (bytes32 org, uint48 since);

    /// @notice What other contracts ask about a resource before they let it serve: as `get` has it, for less; all
    /// zero if unknown. `since` in seconds since 1970.
    function standing(bytes32 id) external view returns (bytes32 org, uint48 since, uint8 status);

    /// @notice All zero if unknown.
    function get(bytes32 id) external view returns (Resource memory);
}
