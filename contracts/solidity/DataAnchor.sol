// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Acting} from "./base/Acting.sol";
import {Roles} from "./base/Roles.sol";
import {IDataAnchor} from "./interfaces/IDataAnchor.sol";
import {IIdentity} from "./interfaces/IIdentity.sol";
import {ISensorRegistry} from "./interfaces/ISensorRegistry.sol";

/// @notice See IDataAnchor.
contract DataAnchor is IDataAnchor, Acting, EIP712 {
    struct Source {
        uint64 seq;
        uint48 first;
        uint48 last;
        uint64 covered;
        bytes32 head;
    }

    bytes32 private constant ANCHORING =
        keccak256("Anchoring(bytes32 source,uint64 seq,bytes32 root,uint48 from,uint48 to,uint32 count)");

    ISensorRegistry private immutable REGISTRY;

    mapping(bytes32 source => Source) private _sources;
    mapping(bytes32 source => mapping(uint64 seq => bytes32 root)) private _roots;
    /// By keccak256(abi.encode(source, seq, leaf)).
    mapping(bytes32 erased => bool) private _tombstones;

    constructor(IIdentity identity, ISensorRegistry registry) Acting(identity) EIP712("DataAnchor", "1") {
        REGISTRY = registry;
    }

    function anchor(bytes32 source, Batch calldata b, bytes calldata sig) external returns (uint64) {
        return _anchor(source, b, sig);
    }

    function anchorMany(bytes32[] calldata sources, Batch[] calldata b, bytes[] calldata sigs) external {
        uint256 count = sources.length;
        if (count == 0 || count > Roles.BATCH_MAX || count != b.length || count != sigs.length) revert Empty();
        for (uint256 i; i < count; ++i) _anchor(sources[i], b[i], sigs[i]);
    }

    function tombstone(bytes32 source, uint64 seq, bytes32[] calldata leaves, bytes32 reason) external {
        if (leaves.length == 0 || leaves.length > Roles.BATCH_MAX) revert Empty();
        if (_roots[source][seq] == 0) revert UnknownBatch();
        if (!_acts(REGISTRY.get(source).org, msg.sender)) revert NotSource();
        for (uint256 i; i < leaves.length; ++i) {
            _tombstones[keccak256(abi.encode(source, seq, leaves[i]))] = true;
            emit Tombstoned(source, seq, leaves[i], reason);
        }
    }

    function verify(bytes32 source, uint64 seq, bytes32 leaf, bytes32[] calldata proof)
        external
        view
        returns (uint8)
    {
        bytes32 root = _roots[source][seq];
        if (root == 0 || !MerkleProof.verifyCalldata(proof, root, leaf)) return 0;
        return _tombstones[keccak256(abi.encode(source, seq, leaf))] ? 2 : 1;
    }

    function stats(bytes32 source)
        external
        view
        returns (uint64 seq, uint48 first, uint48 last, uint64 covered, bytes32 head)
    {
        Source storage s = _sources[source];
        return (s.seq, s.first, s.last, s.covered, s.head);
    }

    function _anchor(bytes32 source, Batch calldata b, bytes calldata sig) private returns (uint64 seq) {
        Source memory s = _sources[source];
        if (b.count == 0 || b.root == 0) revert Empty();
        if (b.to > block.timestamp) revert Future();
        if (b.from > b.to || b.to < s.last) revert Backwards();
        ISensorRegistry.Resource memory r = REGISTRY.get(source);
        seq = s.seq + 1;
        if (r.status != Roles.LIVE || !_isFromSource(source, b, sig, r.signer, seq)) revert NotSource();

        if (r.period > 0 && uint256(b.count) * 2 * r.period >= b.to - b.from) {
            uint48 start = b.from > s.last ? b.from : s.last;
            s.covered += b.to - start;
        }
        if (seq == 1) s.first = b.from;
        s.seq = seq;
        s.last = b.to;
        s.head = keccak256(abi.encode(s.head, b.root, b.from, b.to, b.count));
        _sources[source] = s;
        _roots[source][seq] = b.root;
        emit Anchored(source, seq, b.root, b.from, b.to, b.count);
    }

    function _isFromSource(
        bytes32 source,
        Batch calldata b,
        bytes calldata sig,
        bytes memory signer,
        uint64 seq
    ) private view returns (bool) {
        if (signer.length == 20 && address(bytes20(signer)) == msg.sender) return true;
        bytes32 hash = keccak256(abi.encode(ANCHORING, source, seq, b.root, b.from, b.to, b.count));
        return SignatureChecker.isValidSignatureNow(signer, _hashTypedDataV4(hash), sig);
    }
}
