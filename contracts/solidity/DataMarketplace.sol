// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {MarketState} from "./base/MarketState.sol";
import {Roles} from "./base/Roles.sol";
import {IDataMarketplace} from "./interfaces/IDataMarketplace.sol";

/// @notice See IDataMarketplace.
/// @custom:oz-upgrades-unsafe-allow constructor state-variable-immutable delegatecall
contract DataMarketplace is IDataMarketplace, MarketState, EIP712 {
    bytes32 private constant BUY_INTENT = keccak256(
        "BuyIntent(uint64 listing,uint64 units,address buyer,address user,uint128 maxAmount,bytes32 purpose,uint48 deadline,uint64 number)"
    );

    uint16 private constant FEE_BPS_MAX = 500;
    uint32 private constant WINDOW_MIN = 1 minutes;
    uint32 private constant WINDOW_MAX = 30 days;

    /// Whose code goes on with an order after its purchase.
    address private immutable ORDERS;

    constructor(Modules memory modules, address orders) MarketState(modules) EIP712("DataMarketplace", "1") {
        ORDERS = orders;
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

    function quote(uint64 id, uint64 units) external view returns (uint128) {
        return _quote(_storage().listings[id], units);
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
        _goOn(abi.encodeCall(IDataMarketplace.deliver, (order, proof)));
    }

    function confirm(uint256 order) external nonReentrant {
        _goOn(abi.encodeCall(IDataMarketplace.confirm, (order)));
    }

    function claim(uint256 order) external nonReentrant {
        _goOn(abi.encodeCall(IDataMarketplace.claim, (order)));
    }

    function claimUnits(uint256 order, uint64 cumulative, bytes calldata userSig) external nonReentrant {
        _goOn(abi.encodeCall(IDataMarketplace.claimUnits, (order, cumulative, userSig)));
    }

    function renew(uint256 order, uint64 periods, uint128 maxAmount) external restricted nonReentrant {
        _goOn(abi.encodeCall(IDataMarketplace.renew, (order, periods, maxAmount)));
    }

    function cancel(uint256 order) external nonReentrant {
        _goOn(abi.encodeCall(IDataMarketplace.cancel, (order)));
    }

    function dispute(uint256 order, bytes32 evidence) external nonReentrant {
        _goOn(abi.encodeCall(IDataMarketplace.dispute, (order, evidence)));
    }

    function resolve(uint256 order, uint16 buyerBps) external nonReentrant {
        _goOn(abi.encodeCall(IDataMarketplace.resolve, (order, buyerBps)));
    }

    function expire(uint256 order) external nonReentrant {
        _goOn(abi.encodeCall(IDataMarketplace.expire, (order)));
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
        if (!_isOpenToUser(o)) return 0;
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
        _checkBuyer(l, buyer, user, purpose);
        if (units == 0 || user == address(0)) revert OutOfRange();
        uint128 amount = _quote(l, units);
        if (amount > maxAmount) revert TooDear();

        order = ++$.orderCount;
        Record storage o = $.orders[order];
        uint48 time = uint48(block.timestamp);
        uint48 end = _endOf(l, time, units);
        Price price = l.price;
        bool isFree = price == Price.Free;
        (o.buyer, o.time, o.user, o.end) = (buyer, time, user, end);
        // What is paid by voucher is not delivered, and nobody has given notice.
        if (price == Price.PerUnit) o.state = State.Active;
        else (o.deadline, o.state) = isFree ? (time, State.Completed) : (time + l.deliverIn, State.Funded);
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

    function _checkListing(Listing calldata l) private view {
        if ((l.price == Price.Free) != (l.unitPrice == 0)) revert BadListing();
        if (l.price != Price.Fixed && l.judge != address(0)) revert BadListing();
        if ((l.price == Price.PerUnit || l.price == Price.Period) && l.unit == 0) revert BadListing();
        if (l.payee == address(0) || l.payee == address(this) || l.subject == 0 || l.minReputation > BPS_MAX) revert BadListing();
        if (l.deliverIn > WINDOW_MAX || l.confirmIn < WINDOW_MIN || l.confirmIn > WINDOW_MAX) revert BadListing();
    }

    function _ownListing(uint64 id) private view returns (Listing storage l) {
        l = _storage().listings[id];
        if (l.status == 0 || l.status & ~Roles.FLAGGED == Roles.RETIRED) revert NotLive();
        if (!_acts(l.org, msg.sender)) revert NotOwner();
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
        return _isOpenToUser(o) && (o.end == 0 || block.timestamp < o.end);
    }

    /// Whether the order lets its user read while its time lasts.
    function _isOpenToUser(Record storage o) private view returns (bool) {
        State state = o.state;
        if (state == State.Funded || state == State.Delivered) return true;
        if (state != State.Active && state != State.Completed) return false;
        Price price = _storage().listings[o.listing].price;
        if (state == State.Completed) return price == Price.Fixed || price == Price.Free;
        // An order by units is Active until all are used; its only deadline is that of a notice.
        return price == Price.Period ? o.stopped == 0 : o.deadline == 0;
    }

    /// The call with the code of MarketOrders, which does as IDataMarketplace says.
    function _goOn(bytes memory call) private {
        Address.functionDelegateCall(ORDERS, call);
    }
}
