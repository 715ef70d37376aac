// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC7913SignatureVerifier} from "@openzeppelin/contracts/interfaces/IERC7913.sol";

/// @title Lets a device sign with its own ed25519 key, by the chain's precompile.
/// @notice A signer is this contract's address ‖ 32-byte key; the signed message is the 32-byte hash.
contract Ed25519Verifier is IERC7913SignatureVerifier {
    /// Input: 32-byte key ‖ 64-byte signature ‖ message; output: 32-byte 1 if valid, else nothing.
    address private constant ED25519 = 0x000000000000000000000000000000000000ed25;

    /// @inheritdoc IERC7913SignatureVerifier
    function verify(bytes calldata key, bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        if (key.length != 32 || signature.length != 64) return 0xffffffff;
        (bool done, bytes memory output) = ED25519.staticcall(abi.encodePacked(key, signature, hash));
        bool valid = done && output.length == 32 && abi.decode(output, (uint256)) == 1;
        return valid ? IERC7913SignatureVerifier.verify.selector : bytes4(0xffffffff);
    }
}
