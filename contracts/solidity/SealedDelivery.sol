// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Acting} from "./base/Acting.sol";
import {IDataMarketplace} from "./interfaces/IDataMarketplace.sol";
import {IIdentity} from "./interfaces/IIdentity.sol";
import {ISealedDelivery} from "./interfaces/ISealedDelivery.sol";

/// @notice See ISealedDelivery.
contract SealedDelivery is ISealedDelivery, Acting {
    /// With what a complaint needs to know of the order, so that it asks the market nothing.
    struct Seal {
        bytes32 cipherRoot;
        /// The key's hash until it is revealed, then the key.
        bytes32 secret;
        /// Of the listing: the root of the promised chunks.
        bytes32 subject;
        address buyer;
        /// Last second to complain in.
        uint48 deadline;
        Phase phase;
    }

    uint256 private constant WORDS_MAX = 32;
    uint16 private constant WHOLE_BPS = 10_000;

    IDataMarketplace private immutable MARKET;

    mapping(uint256 order => Seal) private _seals;

    constructor(IIdentity identity, IDataMarketplace market) Acting(identity) {
        MARKET = market;
    }

    function offer(uint256 order, bytes32 cipherRoot, bytes32 keyHash) external {
        (IDataMarketplace.Order memory o, IDataMarketplace.Listing memory l) = _undelivered(order);
        // Other kinds have no root to compare with.
        if (l.kind != IDataMarketplace.Kind.Dataset) revert WrongState();
        if (!_sells(l)) revert NotSeller();
        if (block.timestamp > o.deadline) revert TooLate();
        if (_seals[order].phase != Phase.None) revert WrongState();
        if (keyHash == 0) revert BadKey();
        if (cipherRoot == 0) revert BadProof();
        _seals[order] = Seal(cipherRoot, keyHash, l.subject, o.buyer, 0, Phase.Offered);
        emit Offered(order, cipherRoot, keyHash);
    }

    function accept(uint256 order) external {
        (IDataMarketplace.Order memory o,) = _undelivered(order);
        if (msg.sender != o.buyer) revert NotBuyer();
        if (block.timestamp > o.deadline) revert TooLate();
        Seal storage s = _seals[order];
        if (s.phase != Phase.Offered) revert WrongState();
        s.phase = Phase.Accepted;
        emit Accepted(order);
    }

    function reveal(uint256 order, bytes32 key) external {
        (IDataMarketplace.Order memory o, IDataMarketplace.Listing memory l) = _undelivered(order);
        if (!_sells(l)) revert NotSeller();
        if (block.timestamp > o.deadline) revert TooLate();
        Seal storage s = _seals[order];
        if (s.phase != Phase.Accepted) revert WrongState();
        if (keccak256(abi.encode(key)) != s.secret) revert BadKey();
        s.secret = key;
        // The market opens the same window.
        (s.deadline, s.phase) = (uint48(block.timestamp) + l.confirmIn, Phase.Revealed);
        emit Revealed(order, key);
        MARKET.deliver(order, s.cipherRoot);
    }

    function complain(
        uint256 order,
        uint32 index,
        bytes32[] calldata chunk,
        bytes32[] calldata cipherProof,
        bytes32 plainLeaf,
        bytes32[] calldata plainProof
    ) external {
        Seal storage s = _seals[order];
        if (s.phase != Phase.Revealed) revert WrongState();
        if (msg.sender != s.buyer) revert NotBuyer();
        if (block.timestamp > s.deadline) revert TooLate();
        if (chunk.length == 0 || chunk.length > WORDS_MAX) revert BadProof();
        bytes32 sent = _leaf(index, keccak256(abi.encodePacked(chunk)));
        if (!MerkleProof.verifyCalldata(cipherProof, s.cipherRoot, sent)) revert BadProof();
        if (!MerkleProof.verifyCalldata(plainProof, s.subject, _leaf(index, plainLeaf))) revert BadProof();
        if (_openedHash(s.secret, index, chunk) == plainLeaf) revert NoFault();
        s.phase = Phase.Complained;
        emit Complained(order, index);
        MARKET.resolve(order, WHOLE_BPS);
    }

    function settle(uint256 order) external {
        (IDataMarketplace.Order memory o,) = _judged(order);
        bool isUndelivered = o.state == IDataMarketplace.State.Funded;
        if (!isUndelivered && o.state != IDataMarketplace.State.Delivered) revert WrongState();
        if (block.timestamp <= o.deadline) revert TooEarly();
        _seals[order].phase = Phase.Settled;
        emit Settled(order);
        if (isUndelivered) MARKET.cancel(order);
        else MARKET.claim(order);
    }

    function getSeal(uint256 order)
        external
        view
        returns (Phase phase, bytes32 cipherRoot, bytes32 keyHash, bytes32 key)
    {
        Seal storage s = _seals[order];
        (phase, cipherRoot, keyHash) = (s.phase, s.cipherRoot, s.secret);
        if (s.deadline != 0) (keyHash, key) = (keccak256(abi.encode(keyHash)), keyHash);
    }

    /// An order that this contract judges.
    function _judged(uint256 order)
        private
        view
        returns (IDataMarketplace.Order memory o, IDataMarketplace.Listing memory l)
    {
        o = MARKET.getOrder(order);
        l = MARKET.getListing(o.listing);
        if (l.judge != address(this)) revert WrongState();
    }

    function _undelivered(uint256 order)
        private
        view
        returns (IDataMarketplace.Order memory o, IDataMarketplace.Listing memory l)
    {
        (o, l) = _judged(order);
        if (o.state != IDataMarketplace.State.Funded) revert WrongState();
    }

    function _sells(IDataMarketplace.Listing memory l) private view returns (bool) {
        return msg.sender == l.payee || _acts(l.org, msg.sender);
    }

    /// The h of the plain words. In assembly, because words made one by one would cost a quarter more.
    function _openedHash(bytes32 key, uint32 index, bytes32[] calldata chunk) private pure returns (bytes32 h) {
        assembly ("memory-safe") {
            // Behind the free memory: key, index and i as they are hashed, then the plain words.
            let pad := mload(0x40)
            let words := add(pad, 0x60)
            mstore(pad, key)
            mstore(add(pad, 0x20), index)
            for { let i := 0 } lt(i, chunk.length) { i := add(i, 1) } {
                mstore(add(pad, 0x40), i)
                let sealed := calldataload(add(chunk.offset, shl(5, i)))
                mstore(add(words, shl(5, i)), xor(sealed, keccak256(pad, 0x60)))
            }
            h := keccak256(words, shl(5, chunk.length))
        }
    }

    function _leaf(uint32 index, bytes32 h) private pure returns (bytes32) {
        return keccak256(abi.encode(keccak256(abi.encode(index, h))));
    }
}
