// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IDataMarketplace} from "../interfaces/IDataMarketplace.sol";
import {IConsentAndAccess} from "../interfaces/IConsentAndAccess.sol";
import {IFederationRegistry} from "../interfaces/IFederationRegistry.sol";
import {IIdentity} from "../interfaces/IIdentity.sol";
import {IMedinaToken} from "../interfaces/IMedinaToken.sol";
import {ISensorRegistry} from "../interfaces/ISensorRegistry.sol";
import {ITrustAndReputation} from "../interfaces/ITrustAndReputation.sol";
import {Acting} from "./Acting.sol";
import {MedinaModule} from "./MedinaModule.sol";
import {Roles} from "./Roles.sol";

/// @title What both halves of the market share: its state, who may buy, and how money leaves an order.
/// @notice DataMarketplace is the half that is called; it runs the code of MarketOrders in its own state.
abstract contract MarketState is MedinaModule, Acting {
    struct Modules {
        IIdentity identity;
        IMedinaToken token;
        ISensorRegistry registry;
        IFederationRegistry federation;
        ITrustAndReputation trust;
        IConsentAndAccess consent;
    }

    /// An order, packed: three slots and the purpose are written by a purchase, the rest later.
    struct Record {
        address buyer;
        uint48 time;
        uint48 deadline;
        address user;
        uint48 end;
        IDataMarketplace.State state;
        /// Lowest fee at a payment, for the rebate; 0 once that is given.
        uint16 feeBps;
        uint64 listing;
        uint64 units;
        uint128 amount;
        uint128 paid;
        uint64 used;
        bytes32 purpose;
        bytes32 proof;
        /// Of a disputed Period order: what had vested and was not yet claimable.
        uint128 contested;
        /// Of a Period order: when the seller ended it; 0 if he has not.
        uint48 stopped;
    }

    /// @custom:storage-location erc7201:medina.storage.DataMarketplace
    struct Storage {
        uint128 pool;
        uint64 listingCount;
        uint64 orderCount;
        uint16 feeBps;
        uint16 rebateBps;
        uint32 disputeIn;
        mapping(uint64 id => IDataMarketplace.Listing) listings;
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

    uint256 internal constant BPS_MAX = 10_000;
    /// Of ConsentAndAccess.
    uint8 private constant OP_READ = 2;
    uint256 private constant CALLBACK_GAS = 300_000;

    IMedinaToken internal immutable TOKEN;
    ISensorRegistry internal immutable REGISTRY;
    IFederationRegistry internal immutable FEDERATION;
    ITrustAndReputation internal immutable TRUST;
    IConsentAndAccess internal immutable CONSENT;

    constructor(Modules memory modules) Acting(modules.identity) {
        TOKEN = modules.token;
        REGISTRY = modules.registry;
        FEDERATION = modules.federation;
        TRUST = modules.trust;
        CONSENT = modules.consent;
    }

    function _quote(IDataMarketplace.Listing storage l, uint64 units) internal view returns (uint128) {
        uint256 amount = uint256(l.unitPrice) * units;
        if (amount > type(uint128).max) revert IDataMarketplace.TooDear();
        return uint128(amount);
    }

    /// When access that begins or goes on at `from` ends; 0: never.
    function _endOf(IDataMarketplace.Listing storage l, uint256 from, uint64 units)
        internal
        view
        returns (uint48)
    {
        uint256 unit = l.unit;
        if (unit == 0) return 0;
        uint256 end = from + (l.price == IDataMarketplace.Price.Period ? unit * units : unit);
        if (end >= type(uint48).max) revert OutOfRange();
        return uint48(end);
    }

    function _checkBuyer(IDataMarketplace.Listing storage l, address buyer, address user, bytes32 purpose) internal view {
        if (l.status != Roles.LIVE) revert IDataMarketplace.NotLive();
        if (IDENTITY.roleOf(buyer) < Roles.MEMBER) revert IDataMarketplace.NotParty();
        bytes32 org = l.org;
        bytes32 buyerOrg = IDENTITY.orgOf(buyer);
        if (buyerOrg == org) revert IDataMarketplace.OwnListing();
        _requireLicence(l.judge);
        if (_hasResource(l.kind)) _requireOwnResource(l.subject, org);
        bytes32 audience = l.audience;
        if (audience != 0 && audience != buyerOrg) {
            if (!FEDERATION.isMember(audience, buyerOrg) || !FEDERATION.isMember(audience, org)) {
                revert IDataMarketplace.NotAudience();
            }
        }
        if (l.minReputation != 0) {
            (uint16 reputation,,) = TRUST.platformReputation(buyerOrg);
            if (reputation < l.minReputation) revert IDataMarketplace.LowReputation();
        }
        bytes32 scope = l.consentScope;
        if (scope != 0 && !CONSENT.allowed(scope, IDENTITY.idOf(user), purpose, OP_READ)) {
            revert IDataMarketplace.NoConsent();
        }
    }

    function _requireOwnResource(bytes32 id, bytes32 org) internal view {
        ISensorRegistry.Resource memory r = REGISTRY.get(id);
        if (r.org != org) revert IDataMarketplace.NotOwner();
        if (r.status != Roles.LIVE) revert IDataMarketplace.NotLive();
    }

    /// A judge that is no longer listed keeps the orders it has and gets no new ones.
    function _requireLicence(address judge) internal view {
        if (judge != address(0) && !_storage().judges[judge]) revert IDataMarketplace.NotJudge();
    }

    /// Pays the seller `due` of the order's money, less the fee.
    function _pay(uint256 order, Record storage o, uint128 due) internal {
        if (due == 0) return;
        Storage storage $ = _storage();
        uint16 feeBps = $.feeBps;
        uint128 fee = _shareDown(due, feeBps);
        address payee = $.listings[o.listing].payee;
        uint128 paid = o.paid;
        if (paid == 0 || feeBps < o.feeBps) o.feeBps = feeBps;
        o.paid = paid + due;
        $.pool += fee;
        $.credits[payee] += due - fee;
        emit IDataMarketplace.Paid(order, payee, due, fee);
    }

    /// Closes an order: `refund` to the buyer, what else is left to the seller, who is blamed with `lostBps`.
    function _settle(uint256 order, Record storage o, uint128 refund, uint16 lostBps) internal {
        uint128 amount = o.amount;
        _pay(order, o, amount - o.paid - refund);
        uint128 paid = o.paid;
        o.state = paid == 0 ? IDataMarketplace.State.Refunded : IDataMarketplace.State.Completed;
        if (refund != 0) {
            _storage().credits[o.buyer] += refund;
            emit IDataMarketplace.Refunded(order, refund);
        }
        _tellClosed(order, o, lostBps == 0 ? paid : amount, lostBps);
    }

    /// Closing does not hang on what trust makes of it.
    function _tellClosed(uint256 order, Record storage o, uint128 paid, uint16 lostBps) internal {
        if (gasleft() < CALLBACK_GAS) revert LowGas();
        IDataMarketplace.Listing storage l = _storage().listings[o.listing];
        bytes32 org = l.org;
        bytes32 subject = l.subject;
        bytes32 resource = _hasResource(l.kind) ? subject : keccak256(abi.encode(org, subject));
        try TRUST.onClosed(order, resource, org, IDENTITY.orgOf(o.buyer), paid, lostBps) {} catch {}
    }

    function _hasResource(IDataMarketplace.Kind kind) internal pure returns (bool) {
        return kind == IDataMarketplace.Kind.Stream || kind == IDataMarketplace.Kind.Service;
    }

    function _shareDown(uint128 amount, uint256 bps) internal pure returns (uint128) {
        return uint128(uint256(amount) * bps / BPS_MAX);
    }

    function _shareHalfUp(uint128 amount, uint256 bps) internal pure returns (uint128) {
        return uint128((uint256(amount) * bps + BPS_MAX / 2) / BPS_MAX);
    }

    function _storage() internal pure returns (Storage storage $) {
        assembly {
            $.slot := STORAGE
        }
    }
}
