// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {TrustMath} from "./libraries/TrustMath.sol";
import {Ring} from "./libraries/Ring.sol";

/// @title Opens TrustMath and Ring to tests, which compare them with the SDK; deployed on no network.
contract TrustMathHarness {
    function decay(uint256 value, uint256 elapsed, uint256 half) external pure returns (uint256) {
        return TrustMath.decay(value, elapsed, half);
    }

    function weight(uint256 paid, uint256 dust, uint256 reputation, uint256 earlier)
        external
        pure
        returns (uint256)
    {
        return TrustMath.weight(paid, dust, reputation, earlier);
    }

    function share(uint256 weight_, uint256 score) external pure returns (uint256) {
        return TrustMath.share(weight_, score);
    }

    function feedback(uint256 good, uint256 bad, uint256 prior, uint256 priorWeight)
        external
        pure
        returns (uint256)
    {
        return TrustMath.feedback(good, bad, prior, priorWeight);
    }

    function confidence(uint256 good, uint256 bad, uint256 priorWeight) external pure returns (uint256) {
        return TrustMath.confidence(good, bad, priorWeight);
    }

    function violationFactor(uint256 violations) external pure returns (uint256) {
        return TrustMath.violationFactor(violations);
    }

    function resourceTrust(uint256 up, uint256 down, uint256 violations, uint256 feedback_)
        external
        pure
        returns (uint256)
    {
        return TrustMath.resourceTrust(up, down, violations, feedback_);
    }

    function membershipRatio(uint256 memberTime, uint256 federationTime) external pure returns (uint256) {
        return TrustMath.membershipRatio(memberTime, federationTime);
    }

    function history(uint256 ratios, uint256 count) external pure returns (uint256) {
        return TrustMath.history(ratios, count);
    }

    function bartering(uint256 uses) external pure returns (uint256) {
        return TrustMath.bartering(uses);
    }

    function accessDenied(uint256 misdeeds) external pure returns (uint256) {
        return TrustMath.accessDenied(misdeeds);
    }

    function weightedMean(uint256[4] calldata values, uint256[4] calldata weights)
        external
        pure
        returns (uint256)
    {
        return TrustMath.weightedMean(values, weights);
    }

    function credibility(uint256 reputation) external pure returns (uint256) {
        return TrustMath.credibility(reputation);
    }

    function adaptiveTrust(uint256 trust, uint256 reputation, bool known, uint256 earlier)
        external
        pure
        returns (uint256)
    {
        return TrustMath.adaptiveTrust(trust, reputation, known, earlier);
    }

    function ringAdd(uint256 ring, uint256 bucket) external pure returns (uint256) {
        return Ring.add(ring, bucket);
    }

    function ringSum(uint256 ring, uint256 bucket) external pure returns (uint256) {
        return Ring.sum(ring, bucket);
    }
}
