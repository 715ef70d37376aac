// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {AccessManagedUpgradeable} from
    "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

/// @title What every upgradeable module is: behind a proxy, ruled by the one AccessManager.
/// @notice Module addresses are immutables of the code, so an upgrade names them anew; state lies in one
/// ERC-7201 struct per module. Functions that begin something are `restricted` to the PUBLIC role, which is what
/// lets a guardian close a target without touching exits.
abstract contract MedinaModule is AccessManagedUpgradeable, UUPSUpgradeable, ReentrancyGuardTransient {
    /// A number, length or score is outside what its function documents.
    error OutOfRange();
    /// The caller's business role or organisation does not allow this.
    error NotPermitted();

    constructor() {
        _disableInitializers();
    }

    function _authorizeUpgrade(address) internal override restricted {}

    function _holds(uint64 role, address account) internal view returns (bool member) {
        (member,) = IAccessManager(authority()).hasRole(role, account);
    }
}
