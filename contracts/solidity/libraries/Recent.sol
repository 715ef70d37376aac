// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title The newest times of something, as many as make it serious.
/// @notice Times may come in any order; one older than all that are kept is forgotten. Five to a word.
library Recent {
    struct Times {
        uint256 length;
        mapping(uint256 word => uint256) words;
    }

    uint256 private constant PER_WORD = 5;
    uint256 private constant BITS = 48;
    uint256 private constant TIME_MASK = (1 << BITS) - 1;

    /// Notes a time; true if there are `count` now, all within `interval` seconds. Reads and writes at most
    /// `count` / 5 + 2 slots.
    function add(Times storage times, uint48 time, uint256 count, uint256 interval) internal returns (bool) {
        if (count < 2) return true;
        uint256 length = times.length;
        if (length < count) {
            _put(times, length, time);
            times.length = ++length;
            if (length < count) return false;
            (, uint256 oldest, uint256 newest) = _bounds(times, length);
            return newest - oldest <= interval;
        }
        (uint256 place, uint256 first,) = _bounds(times, length);
        if (time > first) _put(times, place, time);
        (, uint256 start, uint256 end) = _bounds(times, length);
        return end - start <= interval;
    }

    /// Forgets all.
    function clear(Times storage times) internal {
        if (times.length != 0) times.length = 0;
    }

    /// Place and value of the oldest, and the newest.
    function _bounds(Times storage times, uint256 length)
        private
        view
        returns (uint256 place, uint256 oldest, uint256 newest)
    {
        oldest = type(uint256).max;
        uint256 word;
        for (uint256 i; i < length; ++i) {
            word = i % PER_WORD == 0 ? times.words[i / PER_WORD] : word >> BITS;
            uint256 time = word & TIME_MASK;
            if (time < oldest) (place, oldest) = (i, time);
            if (time > newest) newest = time;
        }
    }

    function _put(Times storage times, uint256 place, uint48 time) private {
        uint256 shift = (place % PER_WORD) * BITS;
        uint256 word = times.words[place / PER_WORD];
        times.words[place / PER_WORD] = word & ~(TIME_MASK << shift) | (uint256(time) << shift);
    }
}
