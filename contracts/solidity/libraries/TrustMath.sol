// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title The formulas of trust and reputation: values in, values out.
/// @notice Scores are basis points, 0..10000 for 0.00..100.00. Evidence is counted in 1e-6 units, times in
/// seconds. Every formula rounds half up, once, at its end. The Rust SDK holds the same formulas bit by bit.
library TrustMath {
    /// One unit of evidence.
    uint256 internal constant UNIT = 1e6;
    /// 100.00 as a score.
    uint256 internal constant FULL = 10_000;
    /// What an unknown reputation counts as.
    uint256 internal constant UNKNOWN = 5_000;
    /// Precision of the single ratios inside `history`.
    uint256 internal constant RATIO = 1e18;

    /// @notice `a / b`, half up.
    function ratioHalfUp(uint256 a, uint256 b) internal pure returns (uint256) {
        return (2 * a + b) / (2 * b);
    }

    /// @notice What is left of `value` after `elapsed`, if half is lost every `half`.
    /// k = elapsed / half whole halvings by shift, then v - v·f(4-f)/6 with f the part of the next one; 0 from
    /// k = 64; unchanged if `half` is 0.
    function decay(uint256 value, uint256 elapsed, uint256 half) internal pure returns (uint256) {
        if (half == 0) return value;
        uint256 halvings = elapsed / half;
        if (halvings >= 64) return 0;
        uint256 rest = elapsed % half;
        uint256 whole = 6 * half * half;
        return ratioHalfUp((value >> halvings) * (whole - rest * (4 * half - rest)), whole);
    }

    /// @notice Weight of an order as evidence, in 1e-6 units, at most one unit.
    /// @param paid what was paid, token base units
    /// @param dust payments below it weigh nothing
    /// @param reputation of the buyer's organisation, basis points
    /// @param earlier pieces of evidence of the same pair of organisations; each halves the weight
    function weight(uint256 paid, uint256 dust, uint256 reputation, uint256 earlier)
        internal
        pure
        returns (uint256)
    {
        if (paid < dust || earlier >= 64) return 0;
        uint256 size = log2(paid / (dust == 0 ? 1 : dust));
        if (size > 10) size = 10;
        return (size * reputation * 10) >> earlier;
    }

    /// @notice ⌊log2(x)⌋, 0 for 0.
    function log2(uint256 x) internal pure returns (uint256 result) {
        while (x > 1) {
            x >>= 1;
            ++result;
        }
    }

    /// @notice The part of `weight_` for which a score speaks: w·x, half up. The rest speaks against.
    function share(uint256 weight_, uint256 score) internal pure returns (uint256) {
        return ratioHalfUp(weight_ * score, FULL);
    }

    /// @notice F = (r + a·W) / (r + s + W), basis points.
    /// @param good r, 1e-6 units
    /// @param bad s, 1e-6 units
    /// @param prior a, basis points
    /// @param priorWeight W, whole units
    function feedback(uint256 good, uint256 bad, uint256 prior, uint256 priorWeight)
        internal
        pure
        returns (uint256)
    {
        uint256 all = good + bad + priorWeight * UNIT;
        if (all == 0) return prior;
        return ratioHalfUp(good * FULL + prior * priorWeight * UNIT, all);
    }

    /// @notice (r + s) / (r + s + W), basis points.
    function confidence(uint256 good, uint256 bad, uint256 priorWeight) internal pure returns (uint256) {
        uint256 seen = good + bad;
        if (seen == 0) return 0;
        return ratioHalfUp(seen * FULL, seen + priorWeight * UNIT);
    }

    /// @notice Factor of the violations within 24 h, percent.
    function violationFactor(uint256 violations) internal pure returns (uint256) {
        if (violations < 5) return 100;
        if (violations < 10) return 95;
        if (violations < 15) return 80;
        if (violations < 25) return 60;
        if (violations < 40) return 30;
        return 10;
    }

    /// @notice RT = 100·A·VF·F, basis points; the caller checks `up + down > 0`.
    /// @param up time up, any unit
    /// @param down time down, same unit
    /// @param violations within 24 h
    /// @param feedback_ F of the resource, basis points
    function resourceTrust(uint256 up, uint256 down, uint256 violations, uint256 feedback_)
        internal
        pure
        returns (uint256)
    {
        return ratioHalfUp(up * violationFactor(violations) * feedback_, (up + down) * 100);
    }

    /// @notice One term of `history`: time as a member over the federation's time; 1 where both are 0.
    function membershipRatio(uint256 memberTime, uint256 federationTime) internal pure returns (uint256) {
        if (federationTime == 0) return RATIO;
        return memberTime * RATIO / federationTime;
    }

    /// @notice FH, basis points: the mean of `count` > 0 membership ratios with sum `ratios`.
    function history(uint256 ratios, uint256 count) internal pure returns (uint256) {
        return ratioHalfUp(ratios * FULL, count * RATIO);
    }

    /// @notice BT, basis points, by own coupons used within 12 h.
    function bartering(uint256 uses) internal pure returns (uint256) {
        if (uses > 100) return 10_000;
        if (uses > 50) return 9_500;
        if (uses > 25) return 8_000;
        if (uses > 12) return 6_000;
        if (uses > 6) return 3_000;
        return 1_000;
    }

    /// @notice AD, basis points, by misdeeds in 1e-6 units.
    function accessDenied(uint256 misdeeds) internal pure returns (uint256) {
        if (misdeeds < 10 * UNIT) return 10_000;
        if (misdeeds < 100 * UNIT) return 9_500;
        if (misdeeds < 1_000 * UNIT) return 8_000;
        if (misdeeds < 10_000 * UNIT) return 6_000;
        if (misdeeds < 100_000 * UNIT) return 3_000;
        return 1_000;
    }

    /// @notice Weighted mean of the known parts, basis points; the caller checks that one weight is not 0.
    function weightedMean(uint256[4] memory values, uint256[4] memory weights) internal pure returns (uint256) {
        uint256 sum;
        uint256 all;
        for (uint256 i; i < 4; ++i) {
            sum += values[i] * weights[i];
            all += weights[i];
        }
        return ratioHalfUp(sum, all);
    }

    /// @notice CF, percent, by the reputation of the owner in basis points.
    function credibility(uint256 reputation) internal pure returns (uint256) {
        if (reputation > 9_000) return 100;
        if (reputation > 7_000) return 95;
        if (reputation > 5_000) return 80;
        if (reputation > 3_000) return 60;
        if (reputation > 1_000) return 30;
        return 10;
    }

    /// @notice ART, basis points: RT·CF, averaged with the earlier value if there is one.
    function adaptiveTrust(uint256 trust, uint256 reputation, bool known, uint256 earlier)
        internal
        pure
        returns (uint256)
    {
        uint256 fresh = trust * credibility(reputation);
        return known ? ratioHalfUp(fresh + earlier * 100, 200) : ratioHalfUp(fresh, 100);
    }
}
