// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Notebook} from "../src/Notebook.sol";
import {vm} from "../src/Vm.sol";

/// Deploys, writes, pays many times, delegates with EIP-7702, and reverts.
contract Write {
    function run(uint256 key) external returns (Notebook book) {
        vm.startBroadcast(key);
        book = new Notebook("Forge");
        book.note("from a script");
        vm.stopBroadcast();
    }

    /// The payer owns nothing.
    function pay(uint256 key, uint256 times) external {
        vm.startBroadcast(key);
        for (uint256 index = 0; index < times; index++) {
            payable(address(0xF03)).transfer(0);
        }
        vm.stopBroadcast();
    }

    /// A transaction of type 4: the sender's account answers as the notebook, afterwards.
    function delegate(uint256 key, uint256 delegatorKey, Notebook book) external {
        vm.signAndAttachDelegation(address(book), delegatorKey);
        vm.startBroadcast(key);
        book.note("with a delegation");
        vm.stopBroadcast();
    }

    /// Must not get as far as sending.
    function refuse(uint256 key, Notebook book) external {
        vm.startBroadcast(key);
        book.refuse("closed on Sundays");
        vm.stopBroadcast();
    }
}
