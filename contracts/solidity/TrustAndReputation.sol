// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Acting} from "./base/Acting.sol";
import {MedinaModule} from "./base/MedinaModule.sol";
import {Roles} from "./base/Roles.sol";
import {IDataAnchor} from "./interfaces/IDataAnchor.sol";
import {IDataMarketplace} from "./interfaces/IDataMarketplace.sol";
import {IFederationRegistry} from "./interfaces/IFederationRegistry.sol";
import {IIdentity} from "./interfaces/IIdentity.sol";
import {ISensorRegistry} from "./interfaces/ISensorRegistry.sol";
import {ITrustAndReputation} from "./interfaces/ITrustAndReputation.sol";
import {Ring} from "./libraries/Ring.sol";
import {TrustMath} from "./libraries/TrustMath.sol";

/// @notice See ITrustAndReputation.
/// @custom:oz-upgrades-unsafe-allow constructor state-variable-immutable
contract TrustAndReputation is ITrustAndReputation, MedinaModule, Acting {
    /// The modules that are read or that may call back; 0 where a module is not deployed.
    struct Modules {
        IIdentity identity;
        ISensorRegistry registry;
        IDataAnchor anchor;
        IFederationRegistry federation;
        IDataMarketplace market;
        address coupons;
        address sla;
    }

    /// Evidence in 1e-6 units as it was at `time`.
    struct Evidence {
        uint64 good;
        uint64 bad;
        uint48 time;
    }

    /// Seconds up and down in 1e-6 units as they were at `time`, and the coverage counted so far.
    struct Uptime {
        uint64 up;
        uint64 down;
        uint48 time;
        uint64 covered;
    }

    /// Misdeeds in 1e-6 units as they were at `time`.
    struct Count {
        uint64 value;
        uint48 time;
    }

    struct Adaptive {
        uint16 value;
        uint48 time;
    }

    /// @custom:storage-location erc7201:medina.storage.TrustAndReputation
    struct Storage {
        Params params;
        mapping(bytes32 resource => Evidence) resources;
        mapping(bytes32 org => Evidence) orgs;
        mapping(bytes32 resource => Uptime) uptimes;
        mapping(bytes32 org => Count) misdeeds;
        /// `Ring`s; a pair is keccak256(abi.encode(buyerOrg, sellerOrg, half-life)).
        mapping(bytes32 resource => uint256) violations;
        mapping(bytes32 org => uint256) coupons;
        mapping(bytes32 pair => uint256) pairs;
        /// By keccak256(abi.encode(observer, resource)).
        mapping(bytes32 pair => Adaptive) adaptive;
        mapping(uint256 order => bool) rated;
    }

    /// keccak256(abi.encode(uint256(keccak256("medina.storage.TrustAndReputation")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE = 0xd4f57c2f391ff20f9e7e1d64f6b63b787a4bd7a0b04ac4599359d9db2b618300;

    /// A ring covers its period by this slice and 15 more, each a fifteenth of the period.
    uint256 private constant SLICES = 15;
    uint256 private constant COUPON_PERIOD = 12 hours;
    uint256 private constant VIOLATION_PERIOD = 24 hours;
    /// A refresh looks back at most so far.
    uint48 private constant LOOK_BACK = 1 days;
    uint48 private constant ADAPTIVE_INTERVAL = 5 minutes;

    ISensorRegistry private immutable REGISTRY;
    IDataAnchor private immutable ANCHOR;
    IFederationRegistry private immutable FEDERATION;
    IDataMarketplace private immutable MARKET;
    address private immutable COUPONS;
    address private immutable SLA;

    constructor(Modules memory modules) Acting(modules.identity) {
        REGISTRY = modules.registry;
        ANCHOR = modules.anchor;
        FEDERATION = modules.federation;
        MARKET = modules.market;
        COUPONS = modules.coupons;
        SLA = modules.sla;
    }

    /// @notice Once, behind the proxy.
    function initialize(address authority, Params calldata p) external initializer {
        __AccessManaged_init(authority);
        _setParams(p);
    }

    function rate(uint256 order, uint16 score, bytes32 comment) external nonReentrant {
        if (score > TrustMath.FULL) revert OutOfRange();
        IDataMarketplace.Order memory o = MARKET.getOrder(order);
        if (o.buyer != msg.sender || IDENTITY.roleOf(msg.sender) < Roles.MEMBER) revert NotBuyer();
        if (o.state != IDataMarketplace.State.Completed && o.state != IDataMarketplace.State.Refunded) {
            revert NotClosed();
        }
        Storage storage $ = _storage();
        if ($.rated[order]) revert AlreadyRated();
        IDataMarketplace.Listing memory l = MARKET.getListing(o.listing);
        bytes32 buyerOrg = IDENTITY.orgOf(msg.sender);
        if (buyerOrg == l.org) revert SameOrg();
        bytes32 resource = _ratedResource(l);

        $.rated[order] = true;
        uint256 weight = _takeWeight(buyerOrg, l.org, o.paid);
        uint256 good = TrustMath.share(weight, score);
        _addEvidence(resource, l.org, good, weight - good);
        // A weight is at most one unit, 1e6.
        emit Rated(order, resource, l.org, score, uint64(weight), comment);
        MARKET.onRated(order);
    }

    function respond(uint256 order, bytes32 reply) external {
        if (!_storage().rated[order]) revert NotClosed();
        if (!_acts(MARKET.getListing(MARKET.getOrder(order).listing).org, msg.sender)) revert NotPermitted();
        emit Responded(order, reply);
    }

    function hide(uint256 order, bytes32 reason) external {
        if (!_storage().rated[order]) revert NotClosed();
        if (!_moderates()) revert NotPermitted();
        emit Hidden(order, reason);
    }

    function onClosed(
        uint256,
        bytes32 resource,
        bytes32 sellerOrg,
        bytes32 buyerOrg,
        uint128 paid,
        uint16 lostBps
    ) external {
        if (msg.sender != address(MARKET)) revert OnlyModule();
        if (lostBps == 0) return;
        uint256 weight = _takeWeight(buyerOrg, sellerOrg, paid);
        _addEvidence(resource, sellerOrg, 0, TrustMath.share(weight, lostBps));
    }

    function onViolation(bytes32 resource) external {
        if (msg.sender != SLA) revert OnlyModule();
        Storage storage $ = _storage();
        $.violations[resource] = Ring.add($.violations[resource], _slice(VIOLATION_PERIOD));
    }

    function onCoupon(bytes32 org) external {
        if (msg.sender != COUPONS) revert OnlyModule();
        Storage storage $ = _storage();
        $.coupons[org] = Ring.add($.coupons[org], _slice(COUPON_PERIOD));
    }

    function onMisdeed(bytes32 org) external {
        if (msg.sender != address(FEDERATION)) revert OnlyModule();
        Storage storage $ = _storage();
        uint256 value = _misdeeds(org) + TrustMath.UNIT;
        $.misdeeds[org] = Count(_toEvidence(value), uint48(block.timestamp));
    }

    function report(bytes32 resource, uint32 up, uint32 down) external restricted {
        (uint64 seq,,,,) = ANCHOR.stats(resource);
        if (seq != 0) revert OnlyModule();
        uint48 since = REGISTRY.get(resource).since;
        if (since == 0) revert OutOfRange();
        Uptime memory u = _uptime(resource);
        uint48 start = u.time > since ? u.time : since;
        if (uint256(up) + down > block.timestamp - start) revert TooSoon();
        _addUptime(resource, u, up, down);
    }

    function refresh(bytes32 resource) external {
        ISensorRegistry.Resource memory r = REGISTRY.get(resource);
        if (r.since == 0) revert OutOfRange();
        (uint64 seq,,, uint64 covered,) = ANCHOR.stats(resource);
        // Who does not anchor is spoken for by MONITOR.
        if (seq != 0) _countCoverage(resource, r.since, covered);
        (uint16 trust,, bool trustKnown) = resourceTrust(resource);
        (uint16 reputation,, bool reputationKnown) = platformReputation(r.org);
        if (trustKnown) emit TrustSet(resource, 0, trust);
        if (reputationKnown) emit TrustSet(r.org, 1, reputation);
    }

    function refreshAdaptive(bytes32[] calldata resources) external {
        if (resources.length > Roles.BATCH_MAX) revert OutOfRange();
        if (IDENTITY.roleOf(msg.sender) < Roles.MEMBER) revert NotPermitted();
        bytes32 observer = IDENTITY.orgOf(msg.sender);
        for (uint256 i; i < resources.length; ++i) _refreshAdaptive(observer, resources[i]);
    }

    function resourceTrust(bytes32 id) public view returns (uint16 value, uint16 confidence, bool known) {
        Params storage p = _storage().params;
        Evidence memory e = _evidence(_storage().resources[id], p);
        confidence = uint16(TrustMath.confidence(e.good, e.bad, p.w));
        Uptime memory u = _uptime(id);
        if (u.up == 0 && u.down == 0) return (0, confidence, false);
        uint256 violations = Ring.sum(_storage().violations[id], _slice(VIOLATION_PERIOD));
        uint256 feedback = _resourceFeedback(id, e, p);
        value = uint16(TrustMath.resourceTrust(u.up, u.down, violations, feedback));
        known = true;
    }

    function platformReputation(bytes32 org)
        public
        view
        returns (uint16 value, uint16 confidence, bool known)
    {
        Params storage p = _storage().params;
        Evidence memory e = _evidence(_storage().orgs[org], p);
        confidence = uint16(TrustMath.confidence(e.good, e.bad, p.w));
        uint256[4] memory values;
        uint256[4] memory weights;
        bool compat = p.compat;

        (uint256 ratios, uint256 memberships) = _membershipRatios(org);
        if (memberships != 0) (values[0], weights[0]) = (TrustMath.history(ratios, memberships), p.wFH);
        uint256 ring = _storage().coupons[org];
        if (ring != 0 || compat) {
            values[1] = TrustMath.bartering(Ring.sum(ring, _slice(COUPON_PERIOD)));
            weights[1] = p.wBT;
        }
        uint256 misdeeds = _misdeeds(org);
        if (memberships != 0 || misdeeds != 0 || compat) {
            (values[2], weights[2]) = (TrustMath.accessDenied(misdeeds), p.wAD);
        }
        if (!compat && e.good + e.bad != 0) (values[3], weights[3]) = (_orgFeedback(e, p), p.wFB);

        known = weights[0] + weights[1] + weights[2] + weights[3] != 0;
        value = uint16(known ? TrustMath.weightedMean(values, weights) : TrustMath.UNKNOWN);
    }

    function adaptiveTrust(bytes32 observerOrg, bytes32 id) external view returns (uint16 value, bool known) {
        Adaptive storage a = _storage().adaptive[keccak256(abi.encode(observerOrg, id))];
        return (a.value, a.time != 0);
    }

    function setParams(Params calldata p) external restricted {
        _setParams(p);
    }

    function params() external view returns (Params memory) {
        return _storage().params;
    }

    function _setParams(Params calldata p) private {
        if (p.prior > TrustMath.FULL) revert OutOfRange();
        _storage().params = p;
    }

    function _refreshAdaptive(bytes32 observer, bytes32 resource) private {
        bytes32 pair = keccak256(abi.encode(observer, resource));
        Adaptive storage a = _storage().adaptive[pair];
        if (a.time != 0 && block.timestamp < a.time + ADAPTIVE_INTERVAL) return;
        (uint16 trust,, bool trustKnown) = resourceTrust(resource);
        if (!trustKnown) return;
        (uint16 reputation,, bool reputationKnown) = platformReputation(REGISTRY.get(resource).org);
        if (!reputationKnown) return;
        uint16 value = uint16(TrustMath.adaptiveTrust(trust, reputation, a.time != 0, a.value));
        a.value = value;
        a.time = uint48(block.timestamp);
        emit TrustSet(pair, 2, value);
    }

    /// Weighs an order and remembers that this pair of organisations gave evidence.
    function _takeWeight(bytes32 buyerOrg, bytes32 sellerOrg, uint128 paid) private returns (uint256 weight) {
        Storage storage $ = _storage();
        uint256 half = $.params.halfFeedback;
        if (half == 0) half = 90 days;
        // Slices of another half-life are other numbers: a new half-life begins new rings.
        bytes32 pair = keccak256(abi.encode(buyerOrg, sellerOrg, half));
        uint256 slice = _slice(half);
        (uint16 reputation,,) = platformReputation(buyerOrg);
        uint256 ring = $.pairs[pair];
        weight = TrustMath.weight(paid, $.params.dust, reputation, Ring.sum(ring, slice));
        if (weight != 0) $.pairs[pair] = Ring.add(ring, slice);
    }

    function _addEvidence(bytes32 resource, bytes32 org, uint256 good, uint256 bad) private {
        if (good + bad == 0) return;
        Storage storage $ = _storage();
        _add($.resources[resource], good, bad);
        _add($.orgs[org], good, bad);
    }

    function _add(Evidence storage stored, uint256 good, uint256 bad) private {
        Evidence memory e = _evidence(stored, _storage().params);
        stored.good = _toEvidence(e.good + good);
        stored.bad = _toEvidence(e.bad + bad);
        stored.time = uint48(block.timestamp);
    }

    function _countCoverage(bytes32 resource, uint48 since, uint64 covered) private {
        Uptime memory u = _uptime(resource);
        uint48 start = u.time > since ? u.time : since;
        uint256 passed = block.timestamp - start;
        bool isCut = passed > LOOK_BACK;
        if (isCut) passed = LOOK_BACK;
        uint256 fresh = covered - u.covered;
        uint256 up = fresh < passed ? fresh : passed;
        // Readings are anchored after the time they cover. What the refreshes in between took for down is up
        // now; else whoever refreshes often enough makes any sensor look dead.
        if (!isCut) {
            uint256 late = (fresh - up > LOOK_BACK ? LOOK_BACK : fresh - up) * TrustMath.UNIT;
            if (late > u.down) late = u.down;
            u.down -= uint64(late);
            u.up = _toEvidence(u.up + late);
        }
        u.covered = covered;
        _addUptime(resource, u, up, passed - up);
    }

    function _addUptime(bytes32 resource, Uptime memory u, uint256 up, uint256 down) private {
        u.up = _toEvidence(u.up + up * TrustMath.UNIT);
        u.down = _toEvidence(u.down + down * TrustMath.UNIT);
        u.time = uint48(block.timestamp);
        _storage().uptimes[resource] = u;
    }

    /// Resource id for what has one, else the organisation's subject.
    function _ratedResource(IDataMarketplace.Listing memory l) private pure returns (bytes32) {
        bool isResource = l.kind == IDataMarketplace.Kind.Stream || l.kind == IDataMarketplace.Kind.Service;
        return isResource ? l.subject : keccak256(abi.encode(l.org, l.subject));
    }

    function _evidence(Evidence storage stored, Params storage p) private view returns (Evidence memory e) {
        e = stored;
        if (e.time == 0 || p.compat) return e;
        uint256 elapsed = block.timestamp - e.time;
        e.good = uint64(TrustMath.decay(e.good, elapsed, p.halfFeedback));
        e.bad = uint64(TrustMath.decay(e.bad, elapsed, p.halfFeedback));
    }

    /// `time` stays that of the last change.
    function _uptime(bytes32 resource) private view returns (Uptime memory u) {
        u = _storage().uptimes[resource];
        Params storage p = _storage().params;
        if (u.time == 0 || p.compat) return u;
        uint256 elapsed = block.timestamp - u.time;
        u.up = uint64(TrustMath.decay(u.up, elapsed, p.halfUptime));
        u.down = uint64(TrustMath.decay(u.down, elapsed, p.halfUptime));
    }

    function _misdeeds(bytes32 org) private view returns (uint256) {
        Count memory c = _storage().misdeeds[org];
        Params storage p = _storage().params;
        if (c.time == 0 || p.compat) return c.value;
        return TrustMath.decay(c.value, block.timestamp - c.time, p.halfMisdeed);
    }

    function _resourceFeedback(bytes32 id, Evidence memory e, Params storage p) private view returns (uint256) {
        if (p.compat) return TrustMath.FULL;
        Evidence memory owner = _evidence(_storage().orgs[REGISTRY.get(id).org], p);
        return TrustMath.feedback(e.good, e.bad, _orgFeedback(owner, p), p.w);
    }

    function _orgFeedback(Evidence memory e, Params storage p) private view returns (uint256) {
        return TrustMath.feedback(e.good, e.bad, p.prior, p.w);
    }

    function _membershipRatios(bytes32 org) private view returns (uint256 ratios, uint256 count) {
        uint256[16] memory times;
        (count, times) = FEDERATION.packedHistory(org);
        // Created ≤ joined ≤ left ≤ removed, and 16 ratios of at most 1e18 fit.
        unchecked {
            for (uint256 i; i < count; ++i) {
                uint256 t = times[i];
                uint256 removed = uint48(t >> 48);
                uint256 left = uint48(t >> 144);
                if (removed == 0) removed = block.timestamp;
                if (left == 0) left = removed;
                ratios += TrustMath.membershipRatio(left - uint48(t >> 96), removed - uint48(t));
            }
        }
    }

    function _slice(uint256 period) private view returns (uint256) {
        return block.timestamp * SLICES / period;
    }

    function _toEvidence(uint256 value) private pure returns (uint64) {
        return value > type(uint64).max ? type(uint64).max : uint64(value);
    }

    function _storage() private pure returns (Storage storage $) {
        assembly {
            $.slot := STORAGE
        }
    }
}
