// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {IIdentity} from "../interfaces/IIdentity.sol";
import {Roles} from "./Roles.sol";

/// @title Who may act for an organisation: its admin or its Managers.
abstract contract Acting {
    /// Where organisations and roles are kept.
    IIdentity internal immutable IDENTITY;

    constructor(IIdentity identity) {
        IDENTITY = identity;
    }

    /// Whether `account` acts for `org`; false for org 0.
    function _acts(bytes32 org, address account) internal view returns (bool) {
        if (org == 0) return false;
        (, bytes32 ownOrg, uint8 role) = IDENTITY.standing(account);
        if (ownOrg == org && role >= Roles.MANAGER) return true;
        return _administers(org, account);
    }

    /// Whether `account` is the admin of an active organisation.
    function _administers(bytes32 org, address account) internal view returns (bool) {
        IIdentity.Org memory o = IDENTITY.getOrg(org);
        return o.admin == account && o.status == IIdentity.Status.Active;
    }

    /// The organisation the caller acts for, 0 if none.
    function _actingOrg() internal view returns (bytes32 org) {
        org = IDENTITY.orgOf(msg.sender);
        if (!_acts(org, msg.sender)) return 0;
    }

    /// Whether the caller may flag content.
    function _moderates() internal view returns (bool) {
        return IDENTITY.roleOf(msg.sender) >= Roles.MODERATOR;
    }

    /// The signer named by `packed` = 20-byte signer ‖ signature, 0 if the signature is not his.
    function _signer(bytes32 digest, bytes calldata packed) internal view returns (address signer) {
        if (packed.length < 20) return address(0);
        signer = address(bytes20(packed[:20]));
        if (!SignatureChecker.isValidSignatureNow(signer, digest, packed[20:])) return address(0);
    }
}
