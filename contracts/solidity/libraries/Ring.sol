// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Sixteen sliding counters and the number of the newest, in one word.
/// @notice Bits 255..192 hold the newest bucket plus 1 (0: never counted), bits 191..0 sixteen counters of 12
/// bits, the newest lowest. A bucket is a number of time slices; a sum covers the bucket asked for and the 15
/// before it. A full counter stays at 4095.
library Ring {
    uint256 private constant COUNTERS = 16;
    uint256 private constant BITS = 12;
    uint256 private constant COUNTER_MAX = (1 << BITS) - 1;
    uint256 private constant COUNTERS_MASK = (1 << (COUNTERS * BITS)) - 1;

    /// @notice The ring with one more in `bucket`; an older bucket than the newest counts as the newest.
    function add(uint256 ring, uint256 bucket) internal pure returns (uint256) {
        uint256 newest = ring >> (COUNTERS * BITS);
        if (newest > bucket + 1) bucket = newest - 1;
        uint256 counters = _shifted(ring, bucket);
        if (counters & COUNTER_MAX != COUNTER_MAX) ++counters;
        return ((bucket + 1) << (COUNTERS * BITS)) | counters;
    }

    /// @notice How many were counted in `bucket` and the 15 before it.
    function sum(uint256 ring, uint256 bucket) internal pure returns (uint256 total) {
        uint256 counters = _shifted(ring, bucket);
        while (counters != 0) {
            total += counters & COUNTER_MAX;
            counters >>= BITS;
        }
    }

    function _shifted(uint256 ring, uint256 bucket) private pure returns (uint256) {
        uint256 newest = ring >> (COUNTERS * BITS);
        if (newest == 0) return 0;
        uint256 counters = ring & COUNTERS_MASK;
        uint256 age = bucket + 1 > newest ? bucket + 1 - newest : 0;
        if (age >= COUNTERS) return 0;
        return (counters << (age * BITS)) & COUNTERS_MASK;
    }
}
