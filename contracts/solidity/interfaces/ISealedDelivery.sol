// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title A judge of DataMarketplace for datasets: one wrong chunk, shown by its proofs, gives the money back.
/// @notice The seller encrypts each chunk of 1 to 32 words with word_i ⊕ keccak256(abi.encode(key, index, i)) and
/// sends the result; `offer` binds it. Both trees, `cipherRoot` and the listing's subject, have the leaves
/// keccak256(keccak256(abi.encode(index, h))), h = keccak256 of the chunk's packed words, index uint32 from 0; pairs
/// are hashed in sorted order. The first word of a plain chunk is random, so that h tells nothing. The buyer rebuilds
/// both trees from what was sent (the ciphertext and the promised h of every plain chunk), checks that they have as
/// many leaves, and accepts only then. After `reveal` anybody with the ciphertext can read it: a seller uses a key
/// for one order only. Nobody has an opinion: without a reveal the buyer has his money back, without a proof of a
/// wrong chunk the seller is paid.
interface ISealedDelivery {
    enum Phase {
        None,
        Offered,
        Accepted,
        Revealed,
        Complained,
        Settled
    }

    event Offered(uint256 indexed order, bytes32 cipherRoot, bytes32 keyHash);
    event Accepted(uint256 indexed order);
    event Revealed(uint256 indexed order, bytes32 key);
    event Complained(uint256 indexed order, uint32 index);
    event Settled(uint256 indexed order);

    /// The caller is neither the payee nor acts for the seller's organisation.
    error NotSeller();
    error NotBuyer();
    /// Not the order's phase, or no order that this contract judges.
    error WrongState();
    /// Not what the hash was made of, or no hash at all.
    error BadKey();
    /// A proof does not lead to its root, or the chunk has no words or more than 32.
    error BadProof();
    /// The chunk is what was promised.
    error NoFault();
    error TooEarly();
    error TooLate();

    /// @notice The seller of a Dataset, once, before the order's deadline.
    /// @param keyHash keccak256 of the key
    function offer(uint256 order, bytes32 cipherRoot, bytes32 keyHash) external;

    /// @notice The buyer, who has rebuilt both trees, before the order's deadline. Who accepts less pays for it.
    function accept(uint256 order) external;

    /// @notice The seller, before the order's deadline; delivers the order, which opens the buyer's window.
    function reveal(uint256 order, bytes32 key) external;

    /// @notice The buyer, inside the window: chunk `index` of the ciphertext does not decrypt to what was promised.
    /// The whole amount is refunded.
    /// @param chunk the encrypted words
    /// @param plainLeaf the promised h of the plain chunk
    function complain(
        uint256 order,
        uint32 index,
        bytes32[] calldata chunk,
        bytes32[] calldata cipherProof,
        bytes32 plainLeaf,
        bytes32[] calldata plainProof
    ) external;

    /// @notice Anyone: what was not revealed in time is refunded, what nobody complained of in time is paid.
    function settle(uint256 order) external;

    /// @notice All zero if nothing was offered; the key is 0 until it is revealed.
    function getSeal(uint256 order)
        external
        view
        returns (Phase phase, bytes32 cipherRoot, bytes32 keyHash, bytes32 key);
}
