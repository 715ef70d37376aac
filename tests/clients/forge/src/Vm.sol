// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// What is used here of the cheat codes that forge serves at a fixed address.
interface Vm {
    struct EthGetLogs {
        address emitter;
        bytes32[] topics;
        bytes data;
        bytes32 blockHash;
        uint64 blockNumber;
        bytes32 transactionHash;
        uint64 transactionIndex;
        uint256 logIndex;
        bool removed;
    }

    struct SignedDelegation {
        uint8 v;
        bytes32 r;
        bytes32 s;
        uint64 nonce;
        address implementation;
    }

    function startBroadcast(uint256 key) external;
    function stopBroadcast() external;
    function signAndAttachDelegation(address implementation, uint256 key) external returns (SignedDelegation memory);
    function envAddress(string calldata name) external view returns (address);
    function envUint(string calldata name) external view returns (uint256);
    function envString(string calldata name) external view returns (string memory);
    function createSelectFork(string calldata url, uint256 blockNumber) external returns (uint256);
    function rollFork(uint256 blockNumber) external;
    function prank(address sender) external;
    function expectRevert(bytes calldata data) external;
    function expectEmit() external;
    function eth_getLogs(uint256 from, uint256 to, address target, bytes32[] calldata topics)
        external
        returns (EthGetLogs[] memory);
    function rpc(string calldata method, string calldata params) external returns (bytes memory);
}

Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
