// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Whether 32 bytes are an ed25519 key with which somebody could sign.
/// @notice As nodes see it, who leave the validators as they are while one of their keys is unusable: a point of
/// the curve, not one of the eight of small order. Beyond that the encoding must be the canonical one, which that
/// of every signer is.
library Ed25519Keys {
    /// The field's prime, 2^255 - 19.
    uint256 private constant P = 0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed;
    /// Of the curve -x^2 + y^2 = 1 + D x^2 y^2, RFC 8032 section 5.1.
    uint256 private constant D = 0x52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3;
    /// The y of points of order eight is this or P - this.
    uint256 private constant Y_OF_ORDER_8 =
        0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826;
    address private constant MODEXP = address(5);

    /// A few thousand gas. Too little gas says no.
    function isUsable(bytes32 key) internal view returns (bool) {
        uint256 y = _y(key);
        if (y >= P || y < 2 || y == P - 1 || y == Y_OF_ORDER_8 || y == P - Y_OF_ORDER_8) return false;
        uint256 yy = mulmod(y, y, P);
        // x^2 = u / v, which is a square if u * v is; neither is zero here.
        uint256 u = addmod(yy, P - 1, P);
        uint256 v = addmod(mulmod(D, yy, P), 1, P);
        return _isSquare(mulmod(u, v, P));
    }

    /// The lower 255 bits, the lowest byte first; the highest bit is the sign of x.
    function _y(bytes32 key) private pure returns (uint256 y) {
        for (uint256 i; i < 32; ++i) y |= uint256(uint8(key[i])) << (8 * i);
        y &= (1 << 255) - 1;
    }

    /// Euler's criterion, for what is not zero.
    function _isSquare(uint256 a) private view returns (bool) {
        bytes memory input = abi.encode(32, 32, 32, a, (P - 1) / 2, P);
        (bool done, bytes memory power) = MODEXP.staticcall(input);
        return done && power.length == 32 && abi.decode(power, (uint256)) == 1;
    }
}
