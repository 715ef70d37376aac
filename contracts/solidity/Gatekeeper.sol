// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";

/// @title Lets GUARDIAN close a target without delay and without being ADMIN.
/// @notice The AccessManager keeps closing to its ADMIN. This contract is one and can do nothing else; opening
/// again is the GOVERNOR's.
contract Gatekeeper is AccessManaged {
    constructor(address authority) AccessManaged(authority) {}

    /// @notice GUARDIAN: from now on nothing new begins at `target`; exits, answers and callbacks go on.
    function close(address target) external restricted {
        IAccessManager(authority()).setTargetClosed(target, true);
    }
}
