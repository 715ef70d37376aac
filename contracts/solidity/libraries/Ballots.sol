// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Ballots: one vote per organisation, executed once.
/// @notice Keeps what was said, not who may say it nor how many are enough: that is the module's to decide. Nothing
/// here reverts; each module has errors of its own. A ballot's id is its place in the list, from 1.
library Ballots {
    enum Vote {
        None,
        Yes,
        No
    }

    struct Ballot {
        uint48 opened;
        uint8 kind;
        bool executed;
        /// Abi-encoded arguments of `kind`.
        bytes data;
        mapping(bytes32 org => Vote) votes;
    }

    struct Box {
        uint256 count;
        mapping(uint256 id => Ballot) ballots;
    }

    /// How long votes are taken and a ballot can be executed.
    uint256 internal constant OPEN_FOR = 30 days;

    /// A new ballot on `data`, which its module has checked.
    function open(Box storage box, uint8 kind, bytes calldata data) internal returns (uint256 id) {
        id = ++box.count;
        Ballot storage b = box.ballots[id];
        b.opened = uint48(block.timestamp);
        b.kind = kind;
        b.data = data;
    }

    /// Whether there is such a ballot.
    function exists(Box storage box, uint256 id) internal view returns (bool) {
        return id != 0 && id <= box.count;
    }

    /// Whether it takes votes and can be executed.
    function isOpen(Ballot storage b) internal view returns (bool) {
        return b.opened != 0 && !b.executed && block.timestamp <= b.opened + OPEN_FOR;
    }

    /// Notes the one vote of an organisation; false if it has voted.
    function cast(Ballot storage b, bytes32 org, bool yes) internal returns (bool) {
        if (b.votes[org] != Vote.None) return false;
        b.votes[org] = yes ? Vote.Yes : Vote.No;
        return true;
    }
}
