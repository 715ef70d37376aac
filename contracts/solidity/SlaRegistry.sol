// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Acting} from "./base/Acting.sol";
import {MedinaModule} from "./base/MedinaModule.sol";
import {Roles} from "./base/Roles.sol";
import {IDataAnchor} from "./interfaces/IDataAnchor.sol";
import {IFederationRegistry} from "./interfaces/IFederationRegistry.sol";
import {IIdentity} from "./interfaces/IIdentity.sol";
import {IMedinaToken} from "./interfaces/IMedinaToken.sol";
import {ISensorRegistry} from "./interfaces/ISensorRegistry.sol";
import {ISlaRegistry} from "./interfaces/ISlaRegistry.sol";
import {ITrustAndReputation} from "./interfaces/ITrustAndReputation.sol";
import {Recent} from "./libraries/Recent.sol";
import {TrustMath} from "./libraries/TrustMath.sol";

/// @notice See ISlaRegistry.
/// @custom:oz-upgrades-unsafe-allow constructor state-variable-immutable
contract SlaRegistry is ISlaRegistry, MedinaModule, Acting {
    using Recent for Recent.Times;
    using SafeERC20 for IERC20;

    /// The modules that are read or told.
    struct Modules {
        IIdentity identity;
        ISensorRegistry registry;
        IDataAnchor anchor;
        IFederationRegistry federation;
        ITrustAndReputation trust;
        IMedinaToken token;
    }

    /// An organisation in a federation.
    struct Account {
        uint128 bonded;
        uint32 reports;
        uint32 breaches;
        uint32 violations;
        address payer;
        /// Penalties that wait.
        uint32 held;
    }

    /// The first of two organisations that say the same of a window.
    struct Word {
        address by;
        /// Of its id as much as fits: two organisations that it does not tell apart are taken for one.
        bytes12 org;
    }

    struct Checkpoint {
        uint48 time;
        uint64 covered;
    }

    struct Hold {
        bytes32 fed;
        bytes32 org;
        uint128 amount;
        uint48 time;
        PenaltyState state;
        address first;
        address second;
    }

    /// @custom:storage-location erc7201:medina.storage.SlaRegistry
    struct Storage {
        mapping(bytes32 fed => mapping(bytes32 org => Account)) accounts;
        /// A term is keccak256(abi.encode(fed, version that set the constraints, constraint)): new constraints
        /// void policies, windows and checkpoints of the old ones.
        mapping(bytes32 term => Policy) policies;
        /// A subject is keccak256(abi.encode(term, resource)). Decided windows by number, 256 to a word.
        mapping(bytes32 subject => mapping(uint256 word => uint256)) decided;
        /// By keccak256(abi.encode(subject, number of the window, kept)).
        mapping(bytes32 claim => Word) words;
        mapping(bytes32 subject => Checkpoint) checkpoints;
        /// By keccak256(abi.encode(subject, version of the policy)).
        mapping(bytes32 key => Recent.Times) breaches;
        /// By keccak256(abi.encode(term, org, version of the policy)).
        mapping(bytes32 key => Recent.Times) violations;
        uint256 penaltyCount;
        mapping(uint256 penalty => Hold) penalties;
    }

    /// A constraint as it applies to a resource.
    struct Subject {
        bytes32 fed;
        bytes32 resource;
        bytes32 owner;
        uint8 index;
        bytes32 term;
        bytes32 key;
        IFederationRegistry.Constraint constraint;
        /// When the share began and ended (0: it has not), and when the constraint began.
        uint48 start;
        uint48 end;
        uint48 begun;
    }

    /// keccak256(abi.encode(uint256(keccak256("medina.storage.SlaRegistry")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE = 0x30bb4478dd0c03a9d808a17b9e8bcdcc171ac5f9072807d808e8fa1b0862c600;

    uint8 private constant AVAILABILITY = 0;
    /// A bond stays so long after its organisation has left, and so long windows of an ended share can be reported.
    uint48 private constant AFTER_LEAVING = 7 days;
    uint48 private constant PARDON_IN = 7 days;

    ISensorRegistry private immutable REGISTRY;
    IDataAnchor private immutable ANCHOR;
    IFederationRegistry private immutable FEDERATION;
    ITrustAndReputation private immutable TRUST;
    IMedinaToken private immutable TOKEN;

    constructor(Modules memory modules) Acting(modules.identity) {
        REGISTRY = modules.registry;
        ANCHOR = modules.anchor;
        FEDERATION = modules.federation;
        TRUST = modules.trust;
        TOKEN = modules.token;
    }

    /// @notice Once, behind the proxy.
    function initialize(address authority) external initializer {
        __AccessManaged_init(authority);
    }

    function bond(bytes32 fed, uint128 amount) external restricted nonReentrant {
        bytes32 org = _actingOrg();
        if (org == 0 || !FEDERATION.isMember(fed, org)) revert NotMember();
        if (amount == 0) revert OutOfRange();
        Account storage a = _storage().accounts[fed][org];
        if (a.payer == address(0)) a.payer = msg.sender;
        else if (a.payer != msg.sender) revert BondLocked();
        a.bonded += amount;
        emit Bonded(fed, org, a.bonded);
        IERC20(address(TOKEN)).safeTransferFrom(msg.sender, address(this), amount);
    }

    function unbond(bytes32 fed, bytes32 org) external nonReentrant {
        Account storage a = _storage().accounts[fed][org];
        (address payer, uint128 amount) = (a.payer, a.bonded);
        if (payer == address(0)) revert NotMember();
        (, uint48 left,) = FEDERATION.membership(fed, org);
        if (left == 0 || block.timestamp < left + AFTER_LEAVING || a.held != 0) revert BondLocked();
        (a.payer, a.bonded) = (address(0), 0);
        emit Bonded(fed, org, 0);
        if (amount != 0) IERC20(address(TOKEN)).safeTransfer(payer, amount);
    }

    function report(Report[] calldata r) external nonReentrant {
        if (r.length == 0 || r.length > Roles.BATCH_MAX) revert OutOfRange();
        bool isMonitor = _holds(Roles.MONITOR, msg.sender);
        bytes32 org = isMonitor ? bytes32(0) : _actingOrg();
        for (uint256 i; i < r.length; ++i) _report(r[i], isMonitor, org);
    }

    function evaluate(bytes32 fed, bytes32 resource, uint8 constraint) external nonReentrant {
        Subject memory x = _subject(fed, resource, constraint);
        if (x.constraint.metric != AVAILABILITY) revert OutOfRange();
        if (x.end != 0) revert NotShared();
        (,,, uint64 covered,) = ANCHOR.stats(resource);
        Checkpoint storage stored = _storage().checkpoints[x.key];
        Checkpoint memory last = stored;
        uint48 time = uint48(block.timestamp);
        bool isNew = last.time == 0 || last.time < x.start;
        if (!isNew && time - last.time < _duration(x.constraint)) revert TooEarly();
        (stored.time, stored.covered) = (time, covered);
        if (isNew) return;

        uint256 passed = time - last.time;
        uint256 up = covered - last.covered;
        int64 value = int64(uint64(TrustMath.ratioHalfUp((up < passed ? up : passed) * TrustMath.FULL, passed)));
        ++_storage().accounts[fed][x.owner].reports;
        emit Reported(fed, resource, constraint, value, last.time, time);
        _decide(x, value, last.time, time, address(0), address(0));
    }

    function setPolicy(
        bytes32 fed,
        uint8 constraint,
        uint8 count,
        uint32 interval,
        uint8 penaltyCount,
        uint32 penaltyInterval,
        uint128 amount
    ) external {
        if (msg.sender != address(FEDERATION)) revert OnlyModule();
        (, uint32 since,) = FEDERATION.constraintAt(fed, constraint);
        uint32 version = FEDERATION.get(fed).version;
        _storage().policies[_term(fed, since, constraint)] =
            Policy(count, interval, penaltyCount, penaltyInterval, amount, version);
        emit PolicySet(fed, constraint, version);
    }

    function pardon(uint256 penalty) external {
        if (!_holds(Roles.ARBITER, msg.sender)) revert NotPermitted();
        Hold storage h = _held(penalty);
        if (block.timestamp > h.time + PARDON_IN) revert TooLate();
        h.state = PenaltyState.Pardoned;
        Account storage a = _storage().accounts[h.fed][h.org];
        --a.held;
        a.bonded += h.amount;
        emit Pardoned(penalty);
    }

    function collect(uint256 penalty) external nonReentrant {
        Hold storage h = _held(penalty);
        if (block.timestamp <= h.time + PARDON_IN) revert TooEarly();
        h.state = PenaltyState.Collected;
        --_storage().accounts[h.fed][h.org].held;
        emit Collected(penalty);
        IERC20 token = IERC20(address(TOKEN));
        uint128 amount = h.amount;
        if (h.first == address(0)) {
            token.safeTransfer(TOKEN.treasury(), amount);
            return;
        }
        // The one who confirmed gets the odd unit.
        token.safeTransfer(h.first, amount / 2);
        token.safeTransfer(h.second, amount - amount / 2);
    }

    function summary(bytes32 fed, bytes32 org)
        external
        view
        returns (uint32 reports, uint32 breaches, uint32 violations, uint128 bonded)
    {
        Account storage a = _storage().accounts[fed][org];
        return (a.reports, a.breaches, a.violations, a.bonded);
    }

    function policyOf(bytes32 fed, uint8 constraint) external view returns (Policy memory) {
        (, uint32 since,) = FEDERATION.constraintAt(fed, constraint);
        return _storage().policies[_term(fed, since, constraint)];
    }

    function getPenalty(uint256 penalty) external view returns (PenaltyView memory) {
        Hold storage h = _storage().penalties[penalty];
        return PenaltyView(h.fed, h.org, h.amount, h.time, h.state, h.first, h.second);
    }

    function penaltyTotal() external view returns (uint256) {
        return _storage().penaltyCount;
    }

    function payerOf(bytes32 fed, bytes32 org) external view returns (address) {
        return _storage().accounts[fed][org].payer;
    }

    function isDecided(bytes32 fed, bytes32 resource, uint8 constraint, uint48 from) external view returns (bool) {
        (IFederationRegistry.Constraint memory c, uint32 since,) = FEDERATION.constraintAt(fed, constraint);
        bytes32 key = keccak256(abi.encode(_term(fed, since, constraint), resource));
        uint256 window = from / _duration(c);
        return _storage().decided[key][window / 256] & (1 << (window % 256)) != 0;
    }

    function _report(Report calldata r, bool isMonitor, bytes32 org) private {
        Subject memory x = _subject(r.fed, r.resource, r.constraint);
        if (!isMonitor && (org == 0 || org == x.owner || !FEDERATION.isMember(r.fed, org))) revert NotMember();
        uint256 duration = _duration(x.constraint);
        if (r.from % duration != 0 || r.to != r.from + duration || r.to > block.timestamp) revert BadWindow();
        if (r.to <= x.begun) revert BadWindow();
        if (r.to <= x.start || (x.end != 0 && r.from >= x.end)) revert NotShared();
        uint256 window = r.from / duration;
        uint256 bit = 1 << (window % 256);
        mapping(uint256 => uint256) storage decided = _storage().decided[x.key];
        uint256 bits = decided[window / 256];
        if (bits & bit != 0) revert WindowDone();

        ++_storage().accounts[r.fed][x.owner].reports;
        emit Reported(r.fed, r.resource, r.constraint, r.value, r.from, r.to);
        address first;
        if (!isMonitor) {
            first = _agree(x, window, r.value, org);
            if (first == address(0)) return;
        }
        decided[window / 256] = bits | bit;
        _decide(x, r.value, r.from, r.to, first, isMonitor ? address(0) : msg.sender);
    }

    /// Who of another organisation said the same before; 0 if nobody, and then it is the caller who did.
    function _agree(Subject memory x, uint256 window, int64 value, bytes32 org) private returns (address first) {
        mapping(bytes32 => Word) storage words = _storage().words;
        bool isKept = _isKept(x.constraint, value);
        bytes12 mark = bytes12(org);
        Word storage other = words[keccak256(abi.encode(x.key, window, !isKept))];
        Word storage same = words[keccak256(abi.encode(x.key, window, isKept))];
        if (other.by != address(0) && other.org == mark) revert WindowDone();
        first = same.by;
        if (first == address(0)) (same.by, same.org) = (msg.sender, mark);
        else if (same.org == mark) revert WindowDone();
    }

    function _decide(Subject memory x, int64 value, uint48 from, uint48 to, address first, address second) private {
        if (_isKept(x.constraint, value)) return;
        Storage storage $ = _storage();
        Account storage a = $.accounts[x.fed][x.owner];
        ++a.breaches;
        Policy memory p = $.policies[x.term];
        if (p.count > 1 && p.interval != 0) {
            Recent.Times storage breaches = $.breaches[keccak256(abi.encode(x.key, p.version))];
            if (!breaches.add(to, p.count, p.interval)) return;
            breaches.clear();
        }
        ++a.violations;
        emit Violation(x.fed, x.resource, x.owner, x.index, value, from, to);
        if (p.penaltyCount != 0) _penalise(x, p, to, first, second);
        TRUST.onViolation(x.resource);
    }

    function _penalise(Subject memory x, Policy memory p, uint48 to, address first, address second) private {
        Storage storage $ = _storage();
        (,, uint32 accepted) = FEDERATION.membership(x.fed, x.owner);
        if (accepted < p.version) return;
        Recent.Times storage violations = $.violations[keccak256(abi.encode(x.term, x.owner, p.version))];
        uint256 interval = p.penaltyInterval == 0 ? type(uint256).max : p.penaltyInterval;
        if (!violations.add(to, p.penaltyCount, interval)) return;
        Account storage a = $.accounts[x.fed][x.owner];
        uint128 amount = p.amount < a.bonded ? p.amount : a.bonded;
        if (amount == 0) return;
        violations.clear();
        a.bonded -= amount;
        ++a.held;
        uint256 penalty = ++$.penaltyCount;
        $.penalties[penalty] =
            Hold(x.fed, x.owner, amount, uint48(block.timestamp), PenaltyState.Held, first, second);
        emit Penalty(penalty, x.fed, x.owner, amount);
    }

    /// What a constraint says of a resource that is shared, or was until less than 7 days ago.
    function _subject(bytes32 fed, bytes32 resource, uint8 index) private view returns (Subject memory x) {
        (x.owner, x.start, x.end) = FEDERATION.sharing(fed, resource);
        if (x.start == 0 || (x.end != 0 && block.timestamp >= x.end + AFTER_LEAVING)) revert NotShared();
        uint32 since;
        (x.constraint, since, x.begun) = FEDERATION.constraintAt(fed, index);
        uint8 types = x.constraint.resourceType;
        if (types != 0 && types & (1 << uint8(REGISTRY.get(resource).t)) == 0) revert OutOfRange();
        (x.fed, x.resource, x.index) = (fed, resource, index);
        x.term = _term(fed, since, index);
        x.key = keccak256(abi.encode(x.term, resource));
    }

    function _held(uint256 penalty) private view returns (Hold storage h) {
        h = _storage().penalties[penalty];
        if (h.state == PenaltyState.None) revert OutOfRange();
        if (h.state != PenaltyState.Held) revert TooLate();
    }

    function _term(bytes32 fed, uint32 since, uint8 constraint) private pure returns (bytes32) {
        return keccak256(abi.encode(fed, since, constraint));
    }

    /// Seconds of a window.
    function _duration(IFederationRegistry.Constraint memory c) private pure returns (uint48) {
        return c.durationDays == 0 ? 1 hours : uint48(c.durationDays) * 1 days;
    }

    function _isKept(IFederationRegistry.Constraint memory c, int64 value) private pure returns (bool) {
        if (c.op == 0) return value > c.threshold;
        if (c.op == 1) return value >= c.threshold;
        if (c.op == 2) return value == c.threshold;
        if (c.op == 3) return value < c.threshold;
        return value <= c.threshold;
    }

    function _storage() private pure returns (Storage storage $) {
        assembly {
            $.slot := STORAGE
        }
    }
}
