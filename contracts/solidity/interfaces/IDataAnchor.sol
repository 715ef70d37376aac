// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Merkle roots of readings, in order, and the tombstones of erased ones.
/// @notice Leaf = keccak256(keccak256(abi.encode(source, seq, index, salt, keccak256(record)))), index uint32.
/// The salt lives with the record, off-chain: who erases both and sets the tombstone leaves a root behind that
/// says nothing.
interface IDataAnchor {
    struct Batch {
        bytes32 root;
        /// Time of the first and the last reading, seconds.
        uint48 from;
        uint48 to;
        /// Number of readings.
        uint32 count;
    }

    event Anchored(
        bytes32 indexed source, uint64 indexed seq, bytes32 root, uint48 from, uint48 to, uint32 count
    );
    event Tombstoned(bytes32 indexed source, uint64 indexed seq, bytes32 leaf, bytes32 reason);

    error NotSource();
    error Backwards();
    error Future();
    error Empty();
    error UnknownBatch();

    /// @notice The source's key itself calls (empty `sig`), or anyone with its signature of
    /// Anchoring(source, seq, root, from, to, count) for the next seq. The resource must be live; `to` never falls.
    function anchor(bytes32 source, Batch calldata b, bytes calldata sig) external returns (uint64 seq);

    /// @notice As `anchor`, at most 64.
    function anchorMany(bytes32[] calldata sources, Batch[] calldata b, bytes[] calldata sigs) external;

    /// @notice The owning organisation marks at most 64 leaves as erased, for ever.
    function tombstone(bytes32 source, uint64 seq, bytes32[] calldata leaves, bytes32 reason) external;

    /// @notice 0 unproven, 1 valid, 2 erased. Proofs hash pairs in sorted order.
    function verify(bytes32 source, uint64 seq, bytes32 leaf, bytes32[] calldata proof)
        external
        view
        returns (uint8);

    /// @notice Newest seq, start of the first batch, end of the last one, seconds covered as promised, and the
    /// fold head = keccak256(abi.encode(head, root, from, to, count)) over all batches.
    function stats(bytes32 source)
        external
        view
        returns (uint64 seq, uint48 first, uint48 last, uint64 covered, bytes32 head);
}
