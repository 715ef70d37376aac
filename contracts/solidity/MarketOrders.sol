// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {MarketState} from "./base/MarketState.sol";
import {Roles} from "./base/Roles.sol";
import {IDataMarketplace} from "./interfaces/IDataMarketplace.sol";

/// @title What becomes of an order after its purchase.
/// @notice Code of DataMarketplace, which keeps the state and the reentrancy guard and documents each function;
/// apart only because a contract may not be larger. Called by itself it knows no order.
/// @custom:oz-upgrades-unsafe-allow constructor state-variable-immutable
contract MarketOrders is MarketState, EIP712 {
    bytes32 private constant UNIT_VOUCHER = keccak256("UnitVoucher(uint256 order,uint64 cumulative)");

    constructor(Modules memory modules) MarketState(modules) EIP712("DataMarketplace", "1") {}

    function deliver(uint256 order, bytes32 proof) external {
        (Record storage o, IDataMarketplace.Listing storage l) = _find(order);
        if (o.state != IDataMarketplace.State.Funded) revert IDataMarketplace.WrongState();
        if (l.judge != address(0) ? msg.sender != l.judge : !_delivers(l)) revert IDataMarketplace.NotParty();
        if (block.timestamp > o.deadline) revert IDataMarketplace.TooLate();
        bool runs = l.price == IDataMarketplace.Price.Period;
        o.state = runs ? IDataMarketplace.State.Active : IDataMarketplace.State.Delivered;
        o.deadline = uint48(block.timestamp) + l.confirmIn;
        o.proof = proof;
        emit IDataMarketplace.Delivered(order, proof);
    }

    function confirm(uint256 order) external {
        (Record storage o,) = _find(order);
        if (o.state != IDataMarketplace.State.Delivered) revert IDataMarketplace.WrongState();
        if (msg.sender != o.buyer && msg.sender != o.user) revert IDataMarketplace.NotParty();
        _settle(order, o, 0, 0);
    }

    function claim(uint256 order) external {
        (Record storage o, IDataMarketplace.Listing storage l) = _find(order);
        if (_isRunningPeriod(o, l)) return _claimVested(order, o, l);
        if (o.state != IDataMarketplace.State.Delivered) revert IDataMarketplace.WrongState();
        if (block.timestamp <= o.deadline) revert IDataMarketplace.TooEarly();
        _settle(order, o, 0, 0);
    }

    function claimUnits(uint256 order, uint64 cumulative, bytes calldata userSig) external {
        (Record storage o, IDataMarketplace.Listing storage l) = _find(order);
        if (o.state != IDataMarketplace.State.Active || l.price != IDataMarketplace.Price.PerUnit) {
            revert IDataMarketplace.WrongState();
        }
        uint64 used = o.used;
        uint64 units = o.units;
        if (cumulative <= used || cumulative > units) revert IDataMarketplace.BadVoucher();
        bytes32 hash = _hashTypedDataV4(keccak256(abi.encode(UNIT_VOUCHER, order, cumulative)));
        if (!SignatureChecker.isValidSignatureNow(o.user, hash, userSig)) revert IDataMarketplace.BadVoucher();
        o.used = cumulative;
        // The amount is a whole price times the units.
        if (cumulative == units) _settle(order, o, 0, 0);
        else _pay(order, o, o.amount / units * (cumulative - used));
    }

    function renew(uint256 order, uint64 periods, uint128 maxAmount) external {
        (Record storage o, IDataMarketplace.Listing storage l) = _find(order);
        bool isOpen = o.state == IDataMarketplace.State.Funded || o.state == IDataMarketplace.State.Active;
        if (!isOpen || l.price != IDataMarketplace.Price.Period || o.stopped != 0) {
            revert IDataMarketplace.WrongState();
        }
        if (msg.sender != o.buyer) revert IDataMarketplace.NotParty();
        if (block.timestamp >= o.end) revert IDataMarketplace.TooLate();
        if (periods == 0) revert OutOfRange();
        _checkBuyer(l, msg.sender, o.user, o.purpose);
        uint128 amount = _quote(l, periods);
        // Money vests at one speed, so what is added costs what the order costs.
        if (amount > maxAmount || uint256(l.unitPrice) * o.units != o.amount) revert IDataMarketplace.TooDear();
        uint48 end = _endOf(l, o.end, periods);
        o.end = end;
        o.units += periods;
        o.amount += amount;
        emit IDataMarketplace.Renewed(order, periods, amount, end);
        TOKEN.transferFrom(msg.sender, address(this), amount);
    }

    function cancel(uint256 order) external {
        (Record storage o, IDataMarketplace.Listing storage l) = _find(order);
        if (o.state == IDataMarketplace.State.Active) {
            if (l.price == IDataMarketplace.Price.Period) return _cancelPeriod(order, o, l);
            return _cancelUnits(order, o, l);
        }
        if (o.state != IDataMarketplace.State.Funded) revert IDataMarketplace.WrongState();
        if (block.timestamp <= o.deadline) revert IDataMarketplace.TooEarly();
        _settle(order, o, o.amount, l.judge != address(0) ? 0 : uint16(BPS_MAX));
    }

    function dispute(uint256 order, bytes32 evidence) external {
        (Record storage o, IDataMarketplace.Listing storage l) = _find(order);
        bool isRunning = _isRunningPeriod(o, l);
        if (!isRunning && o.state != IDataMarketplace.State.Delivered) revert IDataMarketplace.WrongState();
        if (msg.sender != o.buyer) revert IDataMarketplace.NotParty();
        if (l.judge != address(0)) revert IDataMarketplace.NotJudge();
        if (isRunning) {
            uint128 claimable = _claimable(o, l);
            if (_isAllClaimable(o, claimable)) revert IDataMarketplace.TooLate();
            _pay(order, o, claimable - o.paid);
            o.contested = _vested(o, block.timestamp) - claimable;
        } else if (block.timestamp > o.deadline) {
            revert IDataMarketplace.TooLate();
        }
        o.state = IDataMarketplace.State.Disputed;
        o.deadline = uint48(block.timestamp) + _storage().disputeIn;
        emit IDataMarketplace.Disputed(order, evidence);
    }

    function resolve(uint256 order, uint16 buyerBps) external {
        (Record storage o, IDataMarketplace.Listing storage l) = _find(order);
        if (buyerBps > BPS_MAX) revert OutOfRange();
        bool isJudged = l.judge != address(0);
        if (isJudged ? msg.sender != l.judge : !_holds(Roles.ARBITER, msg.sender)) {
            revert IDataMarketplace.NotJudge();
        }
        if (o.state != (isJudged ? IDataMarketplace.State.Delivered : IDataMarketplace.State.Disputed)) {
            revert IDataMarketplace.WrongState();
        }
        emit IDataMarketplace.Resolved(order, buyerBps);
        _settle(order, o, _refund(o, l, buyerBps), buyerBps);
    }

    function expire(uint256 order) external {
        (Record storage o, IDataMarketplace.Listing storage l) = _find(order);
        if (o.state != IDataMarketplace.State.Disputed) revert IDataMarketplace.WrongState();
        if (block.timestamp <= o.deadline) revert IDataMarketplace.TooEarly();
        // Who delivered without a proof has nothing to show for the money.
        _settle(order, o, _refund(o, l, o.proof == 0 ? BPS_MAX : BPS_MAX / 2), 0);
    }

    function _claimVested(uint256 order, Record storage o, IDataMarketplace.Listing storage l) private {
        uint128 claimable = _claimable(o, l);
        if (_isAllClaimable(o, claimable)) return _settle(order, o, o.amount - claimable, 0);
        uint128 due = claimable - o.paid;
        if (due == 0) revert IDataMarketplace.TooEarly();
        _pay(order, o, due);
    }

    /// What has vested is the seller's, the rest the buyer's: at once if the buyer says so. By the seller's word the
    /// order stops, and the buyer has his window for what he could still dispute.
    function _cancelPeriod(uint256 order, Record storage o, IDataMarketplace.Listing storage l) private {
        uint128 vested = _vested(o, block.timestamp);
        if (msg.sender == o.buyer) return _settle(order, o, o.amount - vested, 0);
        if (!_acts(l.org, msg.sender)) revert IDataMarketplace.NotParty();
        uint128 claimable = _claimable(o, l);
        if (claimable == vested) return _settle(order, o, o.amount - vested, 0);
        if (o.stopped != 0) revert IDataMarketplace.TooEarly();
        _pay(order, o, claimable - o.paid);
        uint48 deadline = uint48(block.timestamp) + l.confirmIn;
        (o.stopped, o.deadline) = (uint48(block.timestamp), deadline);
        emit IDataMarketplace.Noticed(order, deadline);
    }

    /// The seller gives up what no voucher was brought for; the buyer leaves him time to bring it.
    function _cancelUnits(uint256 order, Record storage o, IDataMarketplace.Listing storage l) private {
        bool isOver = block.timestamp > uint256(o.end) + l.confirmIn;
        if (!isOver && !_acts(l.org, msg.sender)) {
            if (msg.sender != o.buyer) revert IDataMarketplace.NotParty();
            uint48 notice = o.deadline;
            if (notice == 0) {
                notice = uint48(block.timestamp) + l.confirmIn;
                o.deadline = notice;
                emit IDataMarketplace.Noticed(order, notice);
                return;
            }
            if (block.timestamp < notice) revert IDataMarketplace.TooEarly();
        }
        _settle(order, o, o.amount - o.paid, 0);
    }

    /// The buyer's part of what is left of a contested order. Of a Period order only what had vested is contested.
    function _refund(Record storage o, IDataMarketplace.Listing storage l, uint256 buyerBps)
        private
        view
        returns (uint128)
    {
        uint128 left = o.amount - o.paid;
        uint128 contested = l.price == IDataMarketplace.Price.Period ? o.contested : left;
        return left - contested + _shareHalfUp(contested, buyerBps);
    }

    /// What had vested before the window that is still open; nothing while that of the delivery is. Nothing more
    /// while that of an order that the seller ended is open, and then all that vested.
    function _claimable(Record storage o, IDataMarketplace.Listing storage l) private view returns (uint128) {
        bool isOpen = block.timestamp <= o.deadline;
        if (o.stopped != 0) return isOpen ? o.paid : _vested(o, block.timestamp);
        return isOpen ? 0 : _vested(o, block.timestamp - l.confirmIn);
    }

    /// Whether no window is open and nothing will vest.
    function _isAllClaimable(Record storage o, uint128 claimable) private view returns (bool) {
        return o.stopped != 0 ? block.timestamp > o.deadline : claimable == o.amount;
    }

    /// A Period order's money as it grows from `time` to `end`, or till the seller stopped it.
    function _vested(Record storage o, uint256 moment) private view returns (uint128) {
        (uint256 start, uint256 end, uint256 stopped) = (o.time, o.end, o.stopped);
        if (stopped != 0 && moment > stopped) moment = stopped;
        if (moment >= end) return o.amount;
        if (moment <= start) return 0;
        return uint128(uint256(o.amount) * (moment - start) / (end - start));
    }

    function _isRunningPeriod(Record storage o, IDataMarketplace.Listing storage l) private view returns (bool) {
        return o.state == IDataMarketplace.State.Active && l.price == IDataMarketplace.Price.Period;
    }

    function _delivers(IDataMarketplace.Listing storage l) private view returns (bool) {
        if (msg.sender == l.payee || _acts(l.org, msg.sender)) return true;
        if (!_hasResource(l.kind)) return false;
        bytes memory signer = REGISTRY.get(l.subject).signer;
        return signer.length == 20 && address(bytes20(signer)) == msg.sender;
    }

    function _find(uint256 order)
        private
        view
        returns (Record storage o, IDataMarketplace.Listing storage l)
    {
        o = _storage().orders[order];
        l = _storage().listings[o.listing];
    }
}
