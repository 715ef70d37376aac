// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Notebook} from "../src/Notebook.sol";
import {vm} from "../src/Vm.sol";

/// Runs with `--fork-url` on the chain that the script wrote to.
contract ForkTest {
    Notebook private book;
    uint256 private writtenAt;

    function setUp() external {
        book = Notebook(vm.envAddress("NOTEBOOK"));
        writtenAt = vm.envUint("WRITTEN_AT");
    }

    function testReadsWhatTheChainHolds() external view {
        require(keccak256(bytes(book.title())) == keccak256("Forge"), "title");
        require(keccak256(bytes(book.textOf(1))) == keccak256("from a script"), "text");
        require(block.chainid == 20_262, "chain id");
    }

    function testReadsHistory() external {
        vm.rollFork(writtenAt - 1);
        // Deployment and first page may share a block.
        require(address(book).code.length == 0 || book.pages() == 0, "nothing was written yet");
        vm.rollFork(writtenAt);
        require(book.pages() == 1, "one page was written");
    }

    function testWritesOnTheForkOnly() external {
        uint256 before = book.pages();
        book.note("only here");
        require(book.pages() == before + 1, "a page more");
    }

    function testFindsTheEvent() external {
        bytes32[] memory topics = new bytes32[](1);
        topics[0] = Notebook.Noted.selector;
        require(vm.eth_getLogs(writtenAt, writtenAt, address(book), topics).length == 1, "one event");
    }

    function testExpectsBothKindsOfRevert() external {
        vm.expectRevert(bytes("closed"));
        book.refuse("closed");
        uint256 pages = book.pages();
        vm.expectRevert(abi.encodeWithSelector(Notebook.Full.selector, address(this), pages));
        book.overfill();
    }

    function testAsksTheNodeDirectly() external {
        require(vm.rpc("eth_chainId", "[]").length > 0, "an answer");
    }

    function test_mustFail() external pure {
        require(false, "this one fails");
    }
}
