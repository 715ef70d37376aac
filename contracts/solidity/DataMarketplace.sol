// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Acting} from "./base/Acting.sol";
import {MedinaModule} from "./base/MedinaModule.sol";
import {Roles} from "./base/Roles.sol";
import {IDataMarketplace} from "./interfaces/IDataMarketplace.sol";
import {IFederationRegistry} from "./interfaces/IFederationRegistry.sol";
import {IIdentity} from "./interfaces/IIdentity.sol";
import {IMedinaToken} from "./interfaces/IMedinaToken.sol";
import {ISensorRegistry} from "./interfaces/ISensorRegistry.sol";
import {ITrustAndReputation} from "./interfaces/ITrustAndReputation.sol";

/// @notice See IDataMarketplace.
/// @custom:oz-upgrades-unsafe-allow constructor state-variable-immutable
contract DataMarketplace is IDataMarketplace, MedinaModule, Acting, EIP712 {
    struct Modules {
        IIdentity identity;
        IMedinaToken token;
        ISensorRegistry registry;
        IFederationRegistry federation;
        ITrustAndReputation trust;
    }

    /// An order, packed: three slots and the purpose are written by a purchase, the rest later.
    struct Record {
        address buyer;
        uint48 time;
        uint48 deadline;
        address user;
        uint48 end;
        State state;
        /// Fee at payment, for the rebate; 0 once that is given.
        uint16 feeBps;
        uint64 listing;
        uint64 units;
        uint128 amount;
        uint128 paid;
        uint64 used;
        bytes32 purpose;
        bytes32 proof;
    }

    /// @custom:storage-location erc7201:medina.storage.DataMarketplace
    struct Storage {
        uint128 pool;
        uint64 listingCount;
        uint64 orderCount;
        uint16 feeBps;
        uint16 rebateBps;
        uint32 disputeIn;
        mapping(uint64 id => Listing) listings;
        mapping(uint256 order => Record) orders;
        mapping(uint64 listing => mapping(address user => uint256 order)) inUse;
        mapping(address owner => uint128) credits;
        mapping(address judge => bool) judges;
        /// Used intents, 256 to a word.
        mapping(address buyer => mapping(uint64 word => uint256)) intents;
    }

    /// The gas that closing an order must have left when it tells `trust`.
    error LowGas();

    /// keccak256(abi.encode(uint256(keccak256("medina.storage.DataMarketplace")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE = 0x96da7bb4bf1ff420783cc27b7b610eff6e411f092154eb1c7220f4f548c10000;

    bytes32 private constant BUY_INTENT = keccak256(
        "BuyIntent(uint64 listing,uint64 units,address buyer,address user,uint128 maxAmount,bytes32 purpose,uint48 deadline,uint64 number)"
    );

    uint256 private constant BPS_MAX = 10_000;
    uint16 private constant FEE_BPS_MAX = 500;
    uint32 private constant WINDOW_MIN = 1 minutes;
    uint32 private constant WINDOW_MAX = 30 days;
    uint256 private constant CALLBACK_GAS = 300_000;

    IMedinaToken private immutable TOKEN;
    ISensorRegistry private immutable REGISTRY;
    IFederationRegistry private immutable FEDERATION;
    ITrustAndReputation private immutable TRUST;

    constructor(Modules memory modules) Acting(modules.identity) EIP712("DataMarketplace", "1") {
        TOKEN = modules.token;
        REGISTRY = modules.registry;
        FEDERATION = modules.federation;
        TRUST = modules.trust;
    }

    /// @notice Once, behind the proxy.
    function initialize(address authority, uint16 feeBps, uint16 rebateBps, uint32 disputeIn)
        external
        initializer
    {
        __AccessManaged_init(authority);
        _setParams(feeBps, rebateBps, disputeIn);
    }

    function list(Listing calldata l) external restricted returns (uint64 id) {
        bytes32 org = l.org == 0 ? IDENTITY.orgOf(msg.sender) : l.org;
        if (!_acts(org, msg.sender)) revert NotOwner();
        _checkListing(l);
        _requireLicence(l.judge);
        if (_hasResource(l.kind)) _requireOwnResource(l.subject, org);
        Storage storage $ = _storage();
        id = ++$.listingCount;
        Listing storage stored = $.listings[id];
        $.listings[id] = l;
        if (l.org == 0) stored.org = org;
        stored.status = Roles.LIVE;
        emit Listed(id, l.topic, org, l.kind, l.price, l.unitPrice, l.subject, l.audience, l.meta);
    }

    function setPrice(uint64 id, uint128 unitPrice) external {
        Listing storage l = _ownListing(id);
        if ((unitPrice == 0) != (l.price == Price.Free)) revert BadListing();
        l.unitPrice = unitPrice;
        emit ListingSet(id, l.status, unitPrice, l.meta, l.policy);
    }

    function setListing(uint64 id, uint8 status, bytes32 meta, bytes32 policy) external {
        Listing storage l = _storage().listings[id];
        uint8 old = l.status;
        if (old != 0 && status != old && (status ^ old) == Roles.FLAGGED) {
            if (!_moderates()) revert NotOwner();
            l.status = status;
            emit ListingSet(id, status, l.unitPrice, l.meta, l.policy);
            return;
        }
        _ownListing(id);
        if (status == 0 || status > Roles.RETIRED) revert BadListing();
        status |= old & Roles.FLAGGED;
        l.status = status;
        l.meta = meta;
        l.policy = policy;
        emit ListingSet(id, status, l.unitPrice, meta, policy);
    }

    function quote(uint64 id, uint64 units) public view returns (uint128) {
        uint256 amount = uint256(_storage().listings[id].unitPrice) * units;
        if (amount > type(uint128).max) revert TooDear();
        return uint128(amount);
    }

    function buy(uint64 id, uint64 units, address user, uint128 maxAmount, bytes32 purpose)
        external
        restricted
        nonReentrant
        returns (uint256)
    {
        return _buy(id, units, msg.sender, user, maxAmount, purpose);
    }

    function buyWithPermit(
        uint64 id,
        uint64 units,
        address user,
        uint128 maxAmount,
        bytes32 purpose,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external restricted nonReentrant returns (uint256) {
        // Somebody else may have brought the permit already; the allowance decides.
        try TOKEN.permit(msg.sender, address(this), maxAmount, deadline, v, r, s) {} catch {}
        return _buy(id, units, msg.sender, user, maxAmount, purpose);
    }

    function buyFor(BuyIntent calldata i, bytes calldata buyerSig)
        external
        restricted
        nonReentrant
        returns (uint256)
    {
        if (i.deadline < block.timestamp) revert TooLate();
        bytes32 hash = keccak256(
            abi.encode(
                BUY_INTENT, i.listing, i.units, i.buyer, i.user, i.maxAmount, i.purpose, i.deadline, i.number
            )
        );
        if (!SignatureChecker.isValidSignatureNow(i.buyer, _hashTypedDataV4(hash), buyerSig)) revert BadVoucher();
        mapping(uint64 => uint256) storage numbers = _storage().intents[i.buyer];
        uint256 bit = 1 << (i.number % 256);
        if (numbers[i.number / 256] & bit != 0) revert BadVoucher();
        numbers[i.number / 256] |= bit;
        return _buy(i.listing, i.units, i.buyer, i.user, i.maxAmount, i.purpose);
    }

    function deliver(uint256 order, bytes32 proof) external {
        Record storage o = _storage().orders[order];
        if (o.state != State.Funded) revert WrongState();
        Listing storage l = _storage().listings[o.listing];
        if (l.judge != address(0) ? msg.sender != l.judge : !_delivers(l)) revert NotParty();
        if (block.timestamp > o.deadline) revert TooLate();
        o.state = State.Delivered;
        o.deadline = uint48(block.timestamp) + l.confirmIn;
        o.proof = proof;
        emit Delivered(order, proof);
    }

    function confirm(uint256 order) external nonReentrant {
        Record storage o = _storage().orders[order];
        if (o.state != State.Delivered) revert WrongState();
        if (msg.sender != o.buyer && msg.sender != o.user) revert NotParty();
        _settle(order, 0, 0);
    }

    function claim(uint256 order) external nonReentrant {
        Record storage o = _storage().orders[order];
        if (o.state != State.Delivered) revert WrongState();
        if (block.timestamp <= o.deadline) revert TooEarly();
        _settle(order, 0, 0);
    }

    function cancel(uint256 order) external nonReentrant {
        Record storage o = _storage().orders[order];
        if (o.state != State.Funded) revert WrongState();
        if (block.timestamp <= o.deadline) revert TooEarly();
        bool judged = _storage().listings[o.listing].judge != address(0);
        _settle(order, o.amount, judged ? 0 : uint16(BPS_MAX));
    }

    function dispute(uint256 order, bytes32 evidence) external {
        Storage storage $ = _storage();
        Record storage o = $.orders[order];
        if (o.state != State.Delivered) revert WrongState();
        if (msg.sender != o.buyer) revert NotParty();
        if ($.listings[o.listing].judge != address(0)) revert NotJudge();
        if (block.timestamp > o.deadline) revert TooLate();
        o.state = State.Disputed;
        o.deadline = uint48(block.timestamp) + $.disputeIn;
        emit Disputed(order, evidence);
    }

    function resolve(uint256 order, uint16 buyerBps) external nonReentrant {
        Record storage o = _storage().orders[order];
        if (buyerBps > BPS_MAX) revert OutOfRange();
        address judge = _storage().listings[o.listing].judge;
        if (judge != address(0) ? msg.sender != judge : !_holds(Roles.ARBITER, msg.sender)) revert NotJudge();
        if (o.state != (judge != address(0) ? State.Delivered : State.Disputed)) revert WrongState();
        emit Resolved(order, buyerBps);
        _settle(order, _shareHalfUp(o.amount, buyerBps), buyerBps);
    }

    function expire(uint256 order) external nonReentrant {
        Record storage o = _storage().orders[order];
        if (o.state != State.Disputed) revert WrongState();
        if (block.timestamp <= o.deadline) revert TooEarly();
        // Who delivered without a proof has nothing to show for the money.
        _settle(order, o.proof == 0 ? o.amount : _shareHalfUp(o.amount, BPS_MAX / 2), 0);
    }

    function withdraw(address to) external nonReentrant returns (uint128) {
        return _withdraw(msg.sender, to);
    }

    function withdrawFor(address owner) external nonReentrant returns (uint128) {
        return _withdraw(owner, owner);
    }

    function credits(address owner) external view returns (uint128) {
        return _storage().credits[owner];
    }

    function hasAccess(uint64 listing, address user) public view returns (bool) {
        return _grants(_storage().orders[_storage().inUse[listing][user]]);
    }

    function useOrder(uint256 order) external {
        Record storage o = _storage().orders[order];
        if (o.state == State.None || msg.sender != o.user) revert NotParty();
        _storage().inUse[o.listing][msg.sender] = order;
    }

    function expiresAt(uint256 order) external view returns (uint48) {
        Record storage o = _storage().orders[order];
        if (o.state == State.None || o.state == State.Refunded) return 0;
        return o.end == 0 ? type(uint48).max : o.end;
    }

    function getListing(uint64 id) external view returns (Listing memory) {
        return _storage().listings[id];
    }

    function getOrder(uint256 order) external view returns (Order memory) {
        Record memory o = _storage().orders[order];
        return Order({
            listing: o.listing,
            state: o.state,
            time: o.time,
            deadline: o.deadline,
            end: o.end,
            units: o.units,
            used: o.used,
            amount: o.amount,
            paid: o.paid,
            buyer: o.buyer,
            user: o.user,
            proof: o.proof,
            purpose: o.purpose
        });
    }

    function onRated(uint256 order) external {
        if (msg.sender != address(TRUST)) revert OnlyModule();
        Storage storage $ = _storage();
        Record storage o = $.orders[order];
        uint128 rebate = _shareDown(_shareDown(o.paid, o.feeBps), $.rebateBps);
        if (rebate > $.pool) rebate = $.pool;
        if (rebate == 0) return;
        o.feeBps = 0;
        $.pool -= rebate;
        $.credits[o.buyer] += rebate;
    }

    function setParams(uint16 feeBps, uint16 rebateBps, uint32 disputeIn) external restricted {
        _setParams(feeBps, rebateBps, disputeIn);
    }

    function setJudge(address judge, bool allowed) external restricted {
        _storage().judges[judge] = allowed;
    }

    function collectFees(uint128 amount) external restricted nonReentrant {
        Storage storage $ = _storage();
        if (amount > $.pool) revert OutOfRange();
        $.pool -= amount;
        TOKEN.transfer(TOKEN.treasury(), amount);
    }

    function _setParams(uint16 feeBps, uint16 rebateBps, uint32 disputeIn) private {
        if (feeBps > FEE_BPS_MAX || rebateBps > BPS_MAX) revert OutOfRange();
        if (disputeIn < WINDOW_MIN || disputeIn > WINDOW_MAX) revert OutOfRange();
        Storage storage $ = _storage();
        $.feeBps = feeBps;
        $.rebateBps = rebateBps;
        $.disputeIn = disputeIn;
    }

    function _buy(uint64 id, uint64 units, address buyer, address user, uint128 maxAmount, bytes32 purpose)
        private
        returns (uint256 order)
    {
        Storage storage $ = _storage();
        Listing storage l = $.listings[id];
        _checkBuyer(l, buyer);
        if (units == 0 || user == address(0)) revert OutOfRange();
        uint128 amount = quote(id, units);
        if (amount > maxAmount) revert TooDear();

        order = ++$.orderCount;
        Record storage o = $.orders[order];
        uint48 time = uint48(block.timestamp);
        uint48 end = l.unit == 0 ? 0 : time + l.unit;
        bool isFree = l.price == Price.Free;
        (o.buyer, o.time, o.deadline) = (buyer, time, isFree ? time : time + l.deliverIn);
        (o.user, o.end, o.state) = (user, end, isFree ? State.Completed : State.Funded);
        (o.listing, o.units, o.amount) = (id, units, amount);
        if (purpose != 0) o.purpose = purpose;
        _takeIntoUse(id, order, buyer, user);
        emit Bought(order, id, user, buyer, units, amount, end, purpose);
        if (isFree) _tellClosed(order, o, 0, 0);
        else TOKEN.transferFrom(buyer, address(this), amount);
    }

    /// A stranger's purchase for a user replaces no order that lets him read.
    function _takeIntoUse(uint64 id, uint256 order, address buyer, address user) private {
        Storage storage $ = _storage();
        uint256 old = $.inUse[id][user];
        if (old != 0 && buyer != user && $.orders[old].buyer != buyer && _grants($.orders[old])) return;
        $.inUse[id][user] = order;
    }

    function _checkBuyer(Listing storage l, address buyer) private view {
        if (l.status != Roles.LIVE) revert NotLive();
        if (IDENTITY.roleOf(buyer) < Roles.MEMBER) revert NotParty();
        bytes32 org = l.org;
        bytes32 buyerOrg = IDENTITY.orgOf(buyer);
        if (buyerOrg == org) revert OwnListing();
        _requireLicence(l.judge);
        if (_hasResource(l.kind)) _requireOwnResource(l.subject, org);
        bytes32 audience = l.audience;
        if (audience != 0 && audience != buyerOrg) {
            if (!FEDERATION.isMember(audience, buyerOrg) || !FEDERATION.isMember(audience, org)) {
                revert NotAudience();
            }
        }
        if (l.minReputation != 0) {
            (uint16 reputation,,) = TRUST.platformReputation(buyerOrg);
            if (reputation < l.minReputation) revert LowReputation();
        }
        // Until the consent contract is deployed nobody can have consented.
        if (l.consentScope != 0) revert NoConsent();
    }

    function _checkListing(Listing calldata l) private view {
        bool priced = l.price == Price.Fixed;
        if (!priced && l.price != Price.Free) revert BadListing();
        if (priced != (l.unitPrice != 0) || (!priced && l.judge != address(0))) revert BadListing();
        if (l.payee == address(0) || l.payee == address(this) || l.subject == 0 || l.minReputation > BPS_MAX) revert BadListing();
        if (l.deliverIn > WINDOW_MAX || l.confirmIn < WINDOW_MIN || l.confirmIn > WINDOW_MAX) revert BadListing();
    }

    function _requireOwnResource(bytes32 id, bytes32 org) private view {
        ISensorRegistry.Resource memory r = REGISTRY.get(id);
        if (r.org != org) revert NotOwner();
        if (r.status != Roles.LIVE) revert NotLive();
    }

    /// A judge that is no longer listed keeps the orders it has and gets no new ones.
    function _requireLicence(address judge) private view {
        if (judge != address(0) && !_storage().judges[judge]) revert NotJudge();
    }

    function _ownListing(uint64 id) private view returns (Listing storage l) {
        l = _storage().listings[id];
        if (l.status == 0 || l.status & ~Roles.FLAGGED == Roles.RETIRED) revert NotLive();
        if (!_acts(l.org, msg.sender)) revert NotOwner();
    }

    function _delivers(Listing storage l) private view returns (bool) {
        if (msg.sender == l.payee || _acts(l.org, msg.sender)) return true;
        if (!_hasResource(l.kind)) return false;
        bytes memory signer = REGISTRY.get(l.subject).signer;
        return signer.length == 20 && address(bytes20(signer)) == msg.sender;
    }

    /// Closes an order: `refund` to the buyer, the rest to the seller, who is blamed with `lostBps`.
    function _settle(uint256 order, uint128 refund, uint16 lostBps) private {
        Storage storage $ = _storage();
        Record storage o = $.orders[order];
        uint128 amount = o.amount;
        uint128 paid = amount - refund;
        o.state = paid == 0 ? State.Refunded : State.Completed;
        if (paid != 0) {
            uint16 feeBps = $.feeBps;
            uint128 fee = _shareDown(paid, feeBps);
            address payee = $.listings[o.listing].payee;
            o.paid = paid;
            o.feeBps = feeBps;
            $.pool += fee;
            $.credits[payee] += paid - fee;
            emit Paid(order, payee, paid, fee);
        }
        if (refund != 0) {
            $.credits[o.buyer] += refund;
            emit Refunded(order, refund);
        }
        _tellClosed(order, o, lostBps == 0 ? paid : amount, lostBps);
    }

    /// Closing does not hang on what trust makes of it.
    function _tellClosed(uint256 order, Record storage o, uint128 paid, uint16 lostBps) private {
        if (gasleft() < CALLBACK_GAS) revert LowGas();
        Listing storage l = _storage().listings[o.listing];
        bytes32 org = l.org;
        bytes32 subject = l.subject;
        bytes32 resource = _hasResource(l.kind) ? subject : keccak256(abi.encode(org, subject));
        try TRUST.onClosed(order, resource, org, IDENTITY.orgOf(o.buyer), paid, lostBps) {} catch {}
    }

    function _withdraw(address owner, address to) private returns (uint128 amount) {
        // Tokens that the market sends to itself are in no order, credit or pool.
        if (to == address(this)) revert NotParty();
        Storage storage $ = _storage();
        amount = $.credits[owner];
        if (amount == 0) return 0;
        $.credits[owner] = 0;
        TOKEN.transfer(to, amount);
    }

    function _grants(Record storage o) private view returns (bool) {
        State state = o.state;
        if (state != State.Funded && state != State.Delivered && state != State.Completed) return false;
        return o.end == 0 || block.timestamp < o.end;
    }

    function _hasResource(Kind kind) private pure returns (bool) {
        return kind == Kind.Stream || kind == Kind.Service;
    }

    function _shareDown(uint128 amount, uint256 bps) private pure returns (uint128) {
        return uint128(uint256(amount) * bps / BPS_MAX);
    }

    function _shareHalfUp(uint128 amount, uint256 bps) private pure returns (uint128) {
        return uint128((uint256(amount) * bps + BPS_MAX / 2) / BPS_MAX);
    }

    function _storage() private pure returns (Storage storage $) {
        assembly {
            $.slot := STORAGE
        }
    }
}
