// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {FederationState} from "./base/FederationState.sol";
import {IFederationRegistry} from "./interfaces/IFederationRegistry.sol";
import {Ballots} from "./libraries/Ballots.sol";

/// @title The half of FederationRegistry that decides what members vote on; see IFederationRegistry.
/// @notice Run by FederationRegistry in its own state; called directly it knows no federation and does nothing.
/// @custom:oz-upgrades-unsafe-allow constructor state-variable-immutable
contract FederationBallots is FederationState {
    using Ballots for Ballots.Box;
    using Ballots for Ballots.Ballot;

    uint8 private constant RENAME = 0;
    uint8 private constant INFO_MODEL = 1;
    uint8 private constant CONSTRAINTS = 2;
    uint8 private constant EXPEL = 3;
    uint8 private constant QUORUM = 4;
    uint8 private constant REMOVE = 5;
    uint8 private constant INVITE = 6;
    uint8 private constant POLICY = 7;

    constructor(Modules memory modules) FederationState(modules) {}

    function propose(bytes32 fed, uint8 kind, bytes calldata data) external returns (uint256 ballot) {
        _requireMember(fed);
        if (!_isWellFormed(kind, data)) revert IFederationRegistry.BadBallot();
        Storage storage $ = _storage();
        ballot = $.box.open(kind, data);
        Record storage f = $.federations[fed];
        $.cases[ballot] = Case(fed, f.joins, f.members, f.quorumBps, 0, 0);
        emit IFederationRegistry.Proposed(ballot, fed, kind, data);
    }

    function vote(uint256 ballot, bool yes) external {
        (Ballots.Ballot storage b, Case storage c) = _openBallot(ballot);
        bytes32 org = _requireMember(c.fed);
        if (_storage().memberships[c.fed][org].join > c.joins) revert IFederationRegistry.NotMember();
        if (!b.cast(org, yes)) revert IFederationRegistry.AlreadyVoted();
        if (yes) ++c.yes;
        else ++c.no;
        emit IFederationRegistry.Voted(ballot, org, yes);
    }

    function execute(uint256 ballot) external {
        (Ballots.Ballot storage b, Case storage c) = _openBallot(ballot);
        if (c.yes < _needed(c)) revert IFederationRegistry.QuorumMissing();
        b.executed = true;
        emit IFederationRegistry.Executed(ballot);
        _apply(c.fed, b.kind, b.data);
    }

    function _apply(bytes32 fed, uint8 kind, bytes memory data) private {
        Storage storage $ = _storage();
        Record storage f = $.federations[fed];
        if (kind == RENAME) f.name = abi.decode(data, (bytes32));
        else if (kind == INFO_MODEL) f.infoModel = abi.decode(data, (bytes32));
        else if (kind == CONSTRAINTS) _setConstraints(fed, f, abi.decode(data, (IFederationRegistry.Constraint[])));
        else if (kind == EXPEL) _expel(fed, abi.decode(data, (bytes32)));
        else if (kind == QUORUM) f.quorumBps = abi.decode(data, (uint16));
        else if (kind == REMOVE) _remove(fed, f);
        else if (kind == INVITE) _invite(fed, abi.decode(data, (bytes32)));
        else _setPolicy(fed, f, data);
    }

    function _expel(bytes32 fed, bytes32 org) private {
        Membership storage m = _storage().memberships[fed][org];
        if (m.joined == 0 || m.left != 0) revert IFederationRegistry.NotMember();
        uint48 left = _leftOf(fed, m);
        _leave(fed, org, left == 0 ? uint48(block.timestamp) : left);
    }

    function _setConstraints(bytes32 fed, Record storage f, IFederationRegistry.Constraint[] memory list) private {
        Storage storage $ = _storage();
        delete $.constraints[fed];
        for (uint256 i; i < list.length; ++i) $.constraints[fed].push(list[i]);
        f.constraintsSince = _raise(fed, f);
    }

    function _setPolicy(bytes32 fed, Record storage f, bytes memory data) private {
        (uint8 index, uint8 count, uint32 interval, uint8 penalties, uint32 penaltyInterval, uint128 amount) =
            abi.decode(data, (uint8, uint8, uint32, uint8, uint32, uint128));
        if (index >= _storage().constraints[fed].length) revert IFederationRegistry.BadBallot();
        _raise(fed, f);
        SLA.setPolicy(fed, index, count, interval, penalties, penaltyInterval, amount);
    }

    function _raise(bytes32 fed, Record storage f) private returns (uint32 version) {
        version = ++f.version;
        _storage().changes[fed][version] = uint48(block.timestamp);
        emit IFederationRegistry.Changed(fed, version);
    }

    function _openBallot(uint256 ballot) private view returns (Ballots.Ballot storage b, Case storage c) {
        Storage storage $ = _storage();
        if (!$.box.exists(ballot)) revert IFederationRegistry.Unknown();
        b = $.box.ballots[ballot];
        c = $.cases[ballot];
        _existing(c.fed);
        if (!b.isOpen()) revert IFederationRegistry.TooLate();
    }

    /// Whether `data` is what abi.encode makes of the arguments of `kind`, within their ranges.
    function _isWellFormed(uint8 kind, bytes calldata data) private pure returns (bool) {
        uint256 length = data.length;
        if (kind == REMOVE) return length == 0;
        if (kind == CONSTRAINTS) return _isListOfConstraints(data);
        if (kind > POLICY || length != (kind == POLICY ? 192 : 32)) return false;
        uint256 first = _word(data, 0);
        if (kind == QUORUM) return first <= BPS_MAX;
        if (kind != POLICY) return first != 0 || kind < CONSTRAINTS;
        // In bits, per argument.
        return _fits(data, 0, [uint256(4), 8, 32, 8, 32, 128, 0], 6);
    }

    function _isListOfConstraints(bytes calldata data) private pure returns (bool) {
        if (data.length < 64 || _word(data, 0) != 32) return false;
        uint256 count = _word(data, 1);
        if (count > CONSTRAINTS_MAX || data.length != 64 + count * 160) return false;
        IFederationRegistry.Constraint memory c;
        for (uint256 i; i < count; ++i) {
            uint256 place = 2 + 5 * i;
            int256 threshold = int256(_word(data, place + 2));
            if (threshold != int64(threshold)) return false;
            if (!_fits(data, place, [uint256(8), 3, 256, 16, 4, 0, 0], 5)) return false;
            (c.metric, c.op, c.threshold) = (uint8(_word(data, place)), uint8(_word(data, place + 1)), int64(threshold));
            if (!_isSound(c)) return false;
        }
        return true;
    }

    function _fits(bytes calldata data, uint256 place, uint256[7] memory bits, uint256 count) private pure returns (bool) {
        for (uint256 i; i < count; ++i) {
            if (_word(data, place + i) >> bits[i] != 0) return false;
        }
        return true;
    }

    function _word(bytes calldata data, uint256 place) private pure returns (uint256) {
        return uint256(bytes32(data[place * 32:]));
    }
}
