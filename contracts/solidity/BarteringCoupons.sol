// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Acting} from "./base/Acting.sol";
import {MedinaModule} from "./base/MedinaModule.sol";
import {Roles} from "./base/Roles.sol";
import {IBarteringCoupons} from "./interfaces/IBarteringCoupons.sol";
import {IFederationRegistry} from "./interfaces/IFederationRegistry.sol";
import {IIdentity} from "./interfaces/IIdentity.sol";
import {ISensorRegistry} from "./interfaces/ISensorRegistry.sol";
import {ITrustAndReputation} from "./interfaces/ITrustAndReputation.sol";

/// @notice See IBarteringCoupons.
/// @custom:oz-upgrades-unsafe-allow constructor state-variable-immutable
contract BarteringCoupons is IBarteringCoupons, MedinaModule, Acting, EIP712 {
    struct Record {
        bytes32 issuer;
        bytes32 fed;
        bytes32 holder;
        bytes32 scope;
        Kind kind;
        bool revoked;
        uint64 val;
        uint64 used;
        uint48 issuedAt;
        uint48 firstUse;
        uint64 moves;
        uint48 lastUse;
    }

    struct Stats {
        uint64 issued;
        uint64 consumed;
        uint64 received;
        uint64 uses;
    }

    /// What an organisation asks of those who barter with it.
    struct Rules {
        bool isSet;
        uint16 minReputation;
        /// Mask of the resource types that it barters; 0: all.
        uint8 types;
    }

    /// @custom:storage-location erc7201:medina.storage.BarteringCoupons
    struct Storage {
        mapping(bytes32 key => Record) coupons;
        /// Used numbers, 256 to a word.
        mapping(bytes32 issuer => mapping(uint64 word => uint256)) numbers;
        mapping(bytes32 org => mapping(bytes32 fed => Stats)) stats;
        mapping(bytes32 org => mapping(bytes32 fed => Rules)) rules;
    }

    /// keccak256(abi.encode(uint256(keccak256("medina.storage.BarteringCoupons")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE = 0x2eeaabd3f3e076397ad65ce478be18d16f61dbdff443043ba7ce2bc6b6b42100;

    bytes32 private constant COUPON = keccak256(
        "Coupon(bytes32 issuer,bytes32 fed,uint8 kind,uint64 val,uint64 number,uint48 issuedAt,bytes32 holder,bytes32 scope)"
    );
    bytes32 private constant BARTER = keccak256(
        "Barter(Coupon give,bytes32 resource)Coupon(bytes32 issuer,bytes32 fed,uint8 kind,uint64 val,uint64 number,uint48 issuedAt,bytes32 holder,bytes32 scope)"
    );
    bytes32 private constant USE = keccak256("Use(bytes32 key,bytes32 resource,uint64 uses)");
    bytes32 private constant SWAP = keccak256("Swap(bytes32 mine,bytes32 theirs,uint64 moves)");

    /// Least reputation of a client where the owner has set none, basis points.
    uint16 private constant REPUTATION_MIN = 7_000;
    /// All bits of `ISensorRegistry.Type`.
    uint8 private constant TYPES = 15;
    uint16 private constant FULL = 10_000;

    ISensorRegistry private immutable REGISTRY;
    IFederationRegistry private immutable FEDERATION;
    ITrustAndReputation private immutable TRUST;

    constructor(
        IIdentity identity,
        ISensorRegistry registry,
        IFederationRegistry federation,
        ITrustAndReputation trust
    ) Acting(identity) EIP712("BarteringCoupons", "1") {
        REGISTRY = registry;
        FEDERATION = federation;
        TRUST = trust;
    }

    /// @notice Once, behind the proxy.
    function initialize(address authority) external initializer {
        __AccessManaged_init(authority);
    }

    function key(Coupon calldata c) public pure returns (bytes32) {
        return keccak256(abi.encode(c.issuer, c.number));
    }

    function register(Coupon calldata c, bytes calldata sig) external restricted {
        _checkTerms(c);
        if (!_isSignedFor(c.issuer, _hash(c), sig)) revert BadSignature();
        _issue(c, 0);
    }

    function barter(Coupon calldata give, bytes calldata giveSig, bytes32 resource, bytes calldata acceptSig)
        external
        restricted
    {
        _checkTerms(give);
        bytes32 hash = keccak256(abi.encode(BARTER, _hash(give), resource));
        if (!_isSignedFor(give.issuer, hash, giveSig)) revert BadSignature();
        if (!_isSignedFor(give.holder, hash, acceptSig)) revert BadSignature();
        if (give.issuer == give.holder) revert NotHolder();
        _checkBarter(give, resource);
        // What was given for something cannot be taken back.
        _issue(give, 1);
        emit Bartered(give.fed, give.issuer, give.holder, resource);
    }

    function setRules(bytes32 fed, uint16 minReputation, uint8 types) external {
        if (minReputation > FULL || types > TYPES) revert OutOfRange();
        bytes32 org = _actingOrg();
        if (org == 0 || !FEDERATION.isMember(fed, org)) revert NotMember();
        _storage().rules[org][fed] = Rules(true, minReputation, types);
        emit RulesSet(fed, org, minReputation, types);
    }

    function validity(Coupon calldata c)
        external
        view
        returns (CStatus status, Kind kind, uint64 remainingUses, uint64 remainingTime)
    {
        Record memory r = _storage().coupons[key(c)];
        if (r.kind == Kind.Null) return (CStatus.NotRegistered, Kind.Null, 0, 0);
        kind = r.kind;
        bool same = r.fed == c.fed && r.kind == c.kind && r.val == c.val && r.issuedAt == c.issuedAt
            && r.scope == c.scope;
        if (!same) return (CStatus.Mismatch, kind, 0, 0);
        status = _status(r);
        if (status != CStatus.Valid) return (status, kind, 0, 0);
        if (kind == Kind.Discrete) remainingUses = r.val - r.used;
        else remainingTime = r.firstUse == 0 ? r.val : uint64(r.firstUse + uint256(r.val) - block.timestamp);
    }

    function holderOf(bytes32 key_) external view returns (bytes32) {
        return _storage().coupons[key_].holder;
    }

    function consume(bytes32 key_, bytes32 resource, bytes calldata holderSig) external nonReentrant {
        Storage storage $ = _storage();
        Record memory r = $.coupons[key_];
        if (_status(r) != CStatus.Valid) revert NotValid();
        if (!_acts(r.issuer, msg.sender)) revert NotMember();
        if (r.holder == r.issuer) revert NotHolder();
        if (r.scope != 0 && r.scope != resource) revert NotBartered();
        if (REGISTRY.get(resource).org != r.issuer) revert NotBartered();
        (bool allowed, bool bartered) = FEDERATION.accessAllowed(r.fed, resource, r.holder);
        if (!allowed || !bartered) revert NotBartered();
        uint64 uses = r.used + 1;
        if (!_isSignedFor(r.holder, keccak256(abi.encode(USE, key_, resource, uses)), holderSig)) {
            revert BadSignature();
        }

        Record storage stored = $.coupons[key_];
        stored.used = uses;
        stored.lastUse = uint48(block.timestamp);
        if (uses == 1) stored.firstUse = uint48(block.timestamp);
        Stats storage s = $.stats[r.issuer][r.fed];
        ++s.uses;
        if (r.kind == Kind.Discrete ? uses == r.val : uses == 1) ++s.consumed;
        emit Used(key_, r.issuer, resource, uses);
        TRUST.onCoupon(r.issuer);
    }

    function transfer(bytes32 key_, bytes32 toOrg) external {
        Record storage r = _storage().coupons[key_];
        if (_status(r) != CStatus.Valid) revert NotValid();
        if (!_acts(r.holder, msg.sender)) revert NotHolder();
        _move(key_, r, toOrg);
    }

    function swap(bytes32 mine, bytes32 theirs, bytes calldata theirSig) external restricted {
        Storage storage $ = _storage();
        Record storage m = $.coupons[mine];
        Record storage t = $.coupons[theirs];
        if (_status(m) != CStatus.Valid || _status(t) != CStatus.Valid || mine == theirs) revert NotValid();
        bytes32 here = m.holder;
        bytes32 there = t.holder;
        if (!_acts(here, msg.sender)) revert NotHolder();
        if (!_isSignedFor(there, keccak256(abi.encode(SWAP, mine, theirs, t.moves)), theirSig)) {
            revert BadSignature();
        }
        _move(mine, m, there);
        _move(theirs, t, here);
    }

    function revoke(bytes32 key_) external {
        Record storage r = _storage().coupons[key_];
        if (_status(r) != CStatus.Valid) revert NotValid();
        if (!_moderates()) {
            if (!_acts(r.issuer, msg.sender)) revert NotMember();
            if (r.used != 0 || r.moves != 0) revert NotValid();
        }
        r.revoked = true;
        emit Revoked(key_);
    }

    function cleanup(bytes32[] calldata keys, uint48 before) external returns (uint256 count) {
        if (keys.length > Roles.BATCH_MAX) revert OutOfRange();
        Storage storage $ = _storage();
        for (uint256 i; i < keys.length; ++i) {
            Record storage r = $.coupons[keys[i]];
            if (_status(r) != CStatus.Consumed || r.lastUse >= before) continue;
            if (!_acts(r.issuer, msg.sender)) revert NotMember();
            delete $.coupons[keys[i]];
            ++count;
            emit Cleaned(keys[i]);
        }
    }

    function stats(bytes32 org, bytes32 fed)
        external
        view
        returns (uint64 issued, uint64 consumed, uint64 received, uint64 uses)
    {
        Stats storage s = _storage().stats[org][fed];
        return (s.issued, s.consumed, s.received, s.uses);
    }

    function _checkTerms(Coupon calldata c) private view {
        if (c.val == 0) revert ZeroVal();
        if (c.kind == Kind.Null) revert NotValid();
        if (!FEDERATION.isMember(c.fed, c.issuer) || !FEDERATION.isMember(c.fed, c.holder)) revert NotMember();
    }

    /// The owner's resource, offered for barter, of a type it barters, to a client it thinks well enough of.
    function _checkBarter(Coupon calldata give, bytes32 resource) private view {
        ISensorRegistry.Resource memory r = REGISTRY.get(resource);
        if (r.org != give.holder) revert NotBartered();
        (bool allowed, bool bartered) = FEDERATION.accessAllowed(give.fed, resource, give.issuer);
        if (!allowed || !bartered) revert NotBartered();
        Rules memory rules = _storage().rules[give.holder][give.fed];
        if (rules.types != 0 && rules.types & (1 << uint8(r.t)) == 0) revert NotBartered();
        (uint16 reputation,,) = TRUST.platformReputation(give.issuer);
        if (reputation < (rules.isSet ? rules.minReputation : REPUTATION_MIN)) revert LowReputation();
    }

    function _issue(Coupon calldata c, uint64 moves) private {
        Storage storage $ = _storage();
        uint256 bit = 1 << (c.number % 256);
        uint256 word = $.numbers[c.issuer][c.number / 256];
        if (word & bit != 0) revert NumberUsed();

        $.numbers[c.issuer][c.number / 256] = word | bit;
        bytes32 k = key(c);
        Record storage r = $.coupons[k];
        r.issuer = c.issuer;
        r.fed = c.fed;
        r.holder = c.holder;
        if (c.scope != 0) r.scope = c.scope;
        r.kind = c.kind;
        r.val = c.val;
        r.issuedAt = c.issuedAt;
        if (moves != 0) r.moves = moves;
        ++$.stats[c.issuer][c.fed].issued;
        ++$.stats[c.holder][c.fed].received;
        emit Issued(k, c.issuer, c.fed, c.kind, c.val, c.holder);
    }

    function _hash(Coupon calldata c) private pure returns (bytes32) {
        return keccak256(
            abi.encode(COUPON, c.issuer, c.fed, c.kind, c.val, c.number, c.issuedAt, c.holder, c.scope)
        );
    }

    function _move(bytes32 key_, Record storage r, bytes32 toOrg) private {
        if (!FEDERATION.isMember(r.fed, toOrg)) revert NotMember();
        r.holder = toOrg;
        ++r.moves;
        ++_storage().stats[toOrg][r.fed].received;
        emit Moved(key_, toOrg);
    }

    function _status(Record memory r) private view returns (CStatus) {
        if (r.kind == Kind.Null) return CStatus.NotRegistered;
        if (r.revoked) return CStatus.Revoked;
        bool over = r.kind == Kind.Discrete
            ? r.used >= r.val
            : r.firstUse != 0 && block.timestamp > r.firstUse + uint256(r.val);
        return over ? CStatus.Consumed : CStatus.Valid;
    }

    function _isSignedFor(bytes32 org, bytes32 hash, bytes calldata packed) private view returns (bool) {
        address signer = _signer(_hashTypedDataV4(hash), packed);
        return signer != address(0) && _acts(org, signer);
    }

    function _storage() private pure returns (Storage storage $) {
        assembly {
            $.slot := STORAGE
        }
    }
}
