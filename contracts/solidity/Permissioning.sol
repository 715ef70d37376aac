// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {MedinaModule} from "./base/MedinaModule.sol";
import {IIdentity} from "./interfaces/IIdentity.sol";
import {IPermissioning} from "./interfaces/IPermissioning.sol";
import {Ballots} from "./libraries/Ballots.sol";
import {Ed25519Keys} from "./libraries/Ed25519Keys.sol";

/// @notice See IPermissioning. Closing it stops new nodes only: neither votes nor the set of validators may depend
/// on a guardian.
/// @custom:oz-upgrades-unsafe-allow constructor state-variable-immutable
contract Permissioning is IPermissioning, MedinaModule {
    using Ballots for Ballots.Box;
    using Ballots for Ballots.Ballot;

    struct NodeRecord {
        bytes32 org;
        NodeState state;
        bool listed;
        bool held;
        /// Place among the validators, from 1; 0 for a node that is none.
        uint8 place;
        /// Whom a ballot has admitted, until he activates.
        address admitted;
        /// How many ballots there were when one removed it; none of those brings it back.
        uint64 ballotsAtRemoval;
    }

    struct AccountRecord {
        uint8 state;
        bool listed;
        bool held;
    }

    /// @custom:storage-location erc7201:medina.storage.Permissioning
    struct Storage {
        bool bootClosed;
        /// The validators, in two lists of the same order, as they are read.
        bytes32[] keys;
        address[] operators;
        mapping(bytes32 nodeKey => NodeRecord) nodes;
        /// Node of an operator, be it a validator's or admitted; so nobody operates two.
        mapping(address operator => bytes32 nodeKey) seats;
        mapping(address a => AccountRecord) accounts;
        /// One more than the Access, 0 until set.
        mapping(bytes32 org => uint8) access;
        mapping(bytes32 key => uint256) parameters;
        Ballots.Box box;
        /// Ballots that operators of an organisation opened: those that are still open, and some that are not.
        mapping(bytes32 org => uint256[] ballots) opened;
    }

    /// keccak256(abi.encode(uint256(keccak256("medina.storage.Permissioning")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE = 0x16c9156557cd3fb8d2da263bb361e2f8024002a72a594f4687d7488265aa8200;

    uint8 private constant ORG_ACCESS = 0;
    uint8 private constant ADD_VALIDATOR = 1;
    uint8 private constant REMOVE_VALIDATOR = 2;
    uint8 private constant RECOVER = 3;
    uint8 private constant PARAMETER = 4;
    uint8 private constant ACCOUNT = 5;

    uint8 private constant BY_ID = 0;
    uint8 private constant BLOCKED = 1;
    uint8 private constant SYSTEM = 2;

    /// As many as a certificate's bitmap has bits.
    uint256 private constant VALIDATORS_MAX = 128;
    /// Of one organisation at a time, so that none buries the ballots of the others.
    uint256 private constant OPEN_BALLOTS_MAX = 16;
    /// Of one question to Identity, whose answers need a tenth: a node gives a whole view a million.
    uint256 private constant QUESTION_GAS = 200_000;

    IIdentity private immutable IDENTITY;

    constructor(IIdentity identity) {
        IDENTITY = identity;
    }

    /// @notice Once, behind the proxy: the lists of genesis. `orgs` get access Full, `accounts` transact and deploy
    /// until boot is closed. Without any validator in `seeds` the chain's validators are kept elsewhere until a
    /// ballot, which then nobody can open.
    function initialize(
        address authority,
        NodeSeed[] calldata seeds,
        bytes32[] calldata orgs,
        address[] calldata accounts
    ) external initializer {
        __AccessManaged_init(authority);
        for (uint256 i; i < orgs.length; ++i) _setAccess(orgs[i], Access.Full);
        for (uint256 i; i < seeds.length; ++i) _seed(seeds[i]);
        for (uint256 i; i < accounts.length; ++i) _storage().accounts[accounts[i]].listed = true;
    }

    function addNode(bytes32 org, bytes32 nodeKey) external restricted {
        if (!_isOrgAdmin(org, msg.sender) || accessOf(org) != Access.Full) revert NotAdmin();
        _addNode(org, nodeKey);
    }

    function setNode(bytes32 nodeKey, NodeState s) external {
        NodeRecord storage n = _known(nodeKey);
        if (!_isOrgAdmin(n.org, msg.sender)) revert NotAdmin();
        if (s == NodeState.None) revert OutOfRange();
        if (n.place != 0 || n.state == NodeState.Blacklisted) revert Locked();
        if (n.held && s == NodeState.Active) revert Locked();
        _setNode(nodeKey, n, s);
    }

    function setAccount(address a, uint8 state) external {
        bytes32 org = IDENTITY.orgOf(a);
        if (org == 0) revert Unknown();
        if (!_isOrgAdmin(org, msg.sender)) revert NotAdmin();
        if (state > BLOCKED) revert OutOfRange();
        if (_storage().accounts[a].held) revert Locked();
        _setAccount(a, state, false);
    }

    function propose(uint8 kind, bytes calldata data) external returns (uint256 ballot) {
        bytes32 org = _operatorsOrg();
        if (!_isWellFormed(kind, data)) revert BadBallot();
        ballot = _storage().box.open(kind, data);
        _note(org, ballot);
        emit Proposed(ballot, kind, data);
    }

    function vote(uint256 ballot, bool yes) external {
        bytes32 org = _operatorsOrg();
        Ballots.Ballot storage b = _openBallot(ballot);
        if (!b.cast(org, yes)) revert AlreadyVoted();
        emit Voted(ballot, org, yes);
    }

    function execute(uint256 ballot) external {
        Ballots.Ballot storage b = _openBallot(ballot);
        (uint256 organisations, uint256 yes,) = _tally(b);
        if (2 * yes <= organisations) revert QuorumMissing();
        b.executed = true;
        emit Executed(ballot);
        _apply(ballot, b.kind, b.data);
    }

    function activate(bytes32 nodeKey) external {
        Storage storage $ = _storage();
        NodeRecord storage n = _known(nodeKey);
        if (n.admitted == address(0)) revert Unknown();
        if (n.admitted != msg.sender) revert NotAdmin();
        if ($.keys.length == VALIDATORS_MAX) revert TooMany();
        if (n.state != NodeState.Active || !connectionAllowed(nodeKey)) revert Locked();
        if ($.accounts[msg.sender].state == BLOCKED) revert Locked();
        n.admitted = address(0);
        _pushValidator(nodeKey, n, msg.sender);
    }

    function closeBoot() external restricted {
        Storage storage $ = _storage();
        if ($.bootClosed) revert NotOpen();
        $.bootClosed = true;
    }

    function connectionAllowed(bytes32 nodeKey) public view returns (bool) {
        Storage storage $ = _storage();
        NodeRecord storage n = $.nodes[nodeKey];
        if (n.state == NodeState.Blacklisted) return false;
        if (n.place != 0) return true;
        if (n.listed && !$.bootClosed) return true;
        return n.state == NodeState.Active && _isActive(n.org);
    }

    function transactionAllowed(
        address sender,
        address target,
        uint256 value,
        uint256 gasPrice,
        uint256 gasLimit,
        bytes calldata payload
    ) external view returns (bool) {
        // Part of the interface; no rule looks at them.
        (value, gasPrice, gasLimit, payload);
        Storage storage $ = _storage();
        AccountRecord memory account = $.accounts[sender];
        if (account.state == BLOCKED) return false;
        if (account.state == SYSTEM || (account.listed && !$.bootClosed)) return true;
        Access needed = target == address(0) ? Access.Deploy : Access.Transact;
        bytes32 seat = $.seats[sender];
        // An operator keeps its voice whatever its organisation may do.
        if (seat != 0) return needed == Access.Transact || accessOf($.nodes[seat].org) >= needed;
        return _hasLiveId(sender) && accessOf(_orgOf(sender)) >= needed;
    }

    function getValidators() external view returns (address[] memory) {
        return _storage().operators;
    }

    function validatorKeys() external view returns (bytes32[] memory) {
        return _storage().keys;
    }

    function isBooting() external view returns (bool) {
        return !_storage().bootClosed;
    }

    function getNode(bytes32 nodeKey) external view returns (Node memory) {
        Storage storage $ = _storage();
        NodeRecord storage n = $.nodes[nodeKey];
        address operator = n.place == 0 ? n.admitted : $.operators[n.place - 1];
        return Node(n.org, n.state, n.place != 0, operator, n.listed, n.held);
    }

    function ballotCount() external view returns (uint256) {
        return _storage().box.count;
    }

    function getBallot(uint256 ballot) external view returns (BallotView memory seen) {
        Storage storage $ = _storage();
        if (!$.box.exists(ballot)) return seen;
        Ballots.Ballot storage b = $.box.ballots[ballot];
        (uint256 organisations, uint256 yes, uint256 no) = _tally(b);
        (seen.kind, seen.data, seen.opened, seen.executed) = (b.kind, b.data, b.opened, b.executed);
        seen.open = b.isOpen();
        // At most VALIDATORS_MAX each.
        (seen.organisations, seen.yes, seen.no) = (uint16(organisations), uint16(yes), uint16(no));
        seen.passes = seen.open && 2 * yes > organisations;
    }

    function voteOf(uint256 ballot, bytes32 org) external view returns (uint8) {
        return uint8(_storage().box.ballots[ballot].votes[org]);
    }

    function accessOf(bytes32 org) public view returns (Access) {
        uint8 set = _storage().access[org];
        return set == 0 ? Access.Transact : Access(set - 1);
    }

    function accountState(address a) external view returns (uint8 state, bool held) {
        AccountRecord storage account = _storage().accounts[a];
        return (account.state, account.held);
    }

    function parameter(bytes32 key) external view returns (uint256) {
        return _storage().parameters[key];
    }

    function _seed(NodeSeed calldata s) private {
        NodeRecord storage n = _addNode(s.org, s.nodeKey);
        n.listed = true;
        if (s.operator == address(0)) return;
        Storage storage $ = _storage();
        if ($.keys.length == VALIDATORS_MAX) revert TooMany();
        if ($.seats[s.operator] != 0) revert Known();
        $.seats[s.operator] = s.nodeKey;
        _pushValidator(s.nodeKey, n, s.operator);
    }

    /// Notes who opened a ballot, in the place of one that is over where there is one.
    function _note(bytes32 org, uint256 ballot) private {
        Storage storage $ = _storage();
        uint256[] storage opened = $.opened[org];
        uint256 count = opened.length;
        for (uint256 i; i < count; ++i) {
            if ($.box.ballots[opened[i]].isOpen()) continue;
            opened[i] = ballot;
            return;
        }
        if (count == OPEN_BALLOTS_MAX) revert TooMany();
        opened.push(ballot);
    }

    function _apply(uint256 ballot, uint8 kind, bytes memory data) private {
        (uint256 first, uint256 second) = _words(data);
        if (kind == ORG_ACCESS) _setAccess(bytes32(first), Access(second));
        else if (kind == ADD_VALIDATOR) _admit(ballot, bytes32(first), address(uint160(second)));
        else if (kind == REMOVE_VALIDATOR) _removeValidator(bytes32(first));
        else if (kind == RECOVER) _recover(bytes32(first), NodeState(second));
        else if (kind == PARAMETER) _storage().parameters[bytes32(first)] = second;
        else _setAccount(address(uint160(first)), uint8(second), second != BY_ID);
    }

    /// Whether `data` is what abi.encode makes of the arguments of `kind`, within their ranges.
    function _isWellFormed(uint8 kind, bytes calldata data) private pure returns (bool) {
        if (kind > ACCOUNT || data.length != (kind == REMOVE_VALIDATOR ? 32 : 64)) return false;
        (uint256 first, uint256 second) = _words(data);
        if (first == 0 && kind != PARAMETER) return false;
        if (kind == ORG_ACCESS) return second <= uint8(type(Access).max);
        if (kind == ADD_VALIDATOR) return second != 0 && second <= type(uint160).max;
        if (kind == RECOVER) return second != 0 && second <= uint8(type(NodeState).max);
        if (kind == ACCOUNT) return first <= type(uint160).max && second <= SYSTEM;
        return true;
    }

    function _words(bytes memory data) private pure returns (uint256 first, uint256 second) {
        if (data.length == 32) return (abi.decode(data, (uint256)), 0);
        return abi.decode(data, (uint256, uint256));
    }

    function _admit(uint256 ballot, bytes32 nodeKey, address operator) private {
        Storage storage $ = _storage();
        NodeRecord storage n = _known(nodeKey);
        if (ballot <= n.ballotsAtRemoval) revert NotOpen();
        if (n.place != 0) revert Known();
        if (n.state != NodeState.Active) revert Locked();
        if ($.keys.length == VALIDATORS_MAX) revert TooMany();
        bytes32 seat = $.seats[operator];
        if (seat != 0 && seat != nodeKey) revert Known();
        // A later ballot names another operator for the same node.
        if (n.admitted != address(0)) delete $.seats[n.admitted];
        n.admitted = operator;
        $.seats[operator] = nodeKey;
    }

    function _removeValidator(bytes32 nodeKey) private {
        Storage storage $ = _storage();
        NodeRecord storage n = _known(nodeKey);
        n.ballotsAtRemoval = uint64($.box.count);
        if (n.place == 0) {
            if (n.admitted == address(0)) revert Unknown();
            _dismiss(n);
            return;
        }
        uint256 last = $.keys.length - 1;
        if (last == 0) revert LastValidator();
        uint8 place = n.place;
        address operator = $.operators[place - 1];
        if (place - 1 != last) {
            bytes32 moved = $.keys[last];
            $.keys[place - 1] = moved;
            $.operators[place - 1] = $.operators[last];
            $.nodes[moved].place = place;
        }
        $.keys.pop();
        $.operators.pop();
        n.place = 0;
        delete $.seats[operator];
        emit ValidatorSet(nodeKey, operator, false);
    }

    function _recover(bytes32 nodeKey, NodeState s) private {
        NodeRecord storage n = _known(nodeKey);
        if (n.place != 0 && s != NodeState.Active) revert Locked();
        n.held = s == NodeState.Inactive;
        _setNode(nodeKey, n, s);
    }

    function _pushValidator(bytes32 nodeKey, NodeRecord storage n, address operator) private {
        Storage storage $ = _storage();
        $.keys.push(nodeKey);
        $.operators.push(operator);
        // At most VALIDATORS_MAX.
        n.place = uint8($.keys.length);
        emit ValidatorSet(nodeKey, operator, true);
    }

    function _addNode(bytes32 org, bytes32 nodeKey) private returns (NodeRecord storage n) {
        if (org == 0 || nodeKey == 0) revert OutOfRange();
        n = _storage().nodes[nodeKey];
        if (n.state != NodeState.None) revert Known();
        // One such key among the validators, and nodes take over no change of the set until a ballot removes it.
        if (!Ed25519Keys.isUsable(nodeKey)) revert BadKey();
        n.org = org;
        _setNode(nodeKey, n, NodeState.Active);
    }

    function _setNode(bytes32 nodeKey, NodeRecord storage n, NodeState s) private {
        n.state = s;
        // An admission must not outlive what makes the node unwanted.
        if (s == NodeState.Blacklisted && n.admitted != address(0)) _dismiss(n);
        emit NodeSet(nodeKey, n.org, s);
    }

    function _dismiss(NodeRecord storage n) private {
        delete _storage().seats[n.admitted];
        n.admitted = address(0);
    }

    function _setAccount(address a, uint8 state, bool held) private {
        Storage storage $ = _storage();
        if (state == BLOCKED && _isValidator($.seats[a])) revert Locked();
        $.accounts[a].state = state;
        $.accounts[a].held = held;
        emit AccountSet(a, state);
    }

    function _setAccess(bytes32 org, Access access) private {
        _storage().access[org] = uint8(access) + 1;
        emit AccessSet(org, access);
    }

    /// Organisations that run a validator now, and what they said.
    function _tally(Ballots.Ballot storage b)
        private
        view
        returns (uint256 organisations, uint256 yes, uint256 no)
    {
        Storage storage $ = _storage();
        uint256 count = $.keys.length;
        bytes32[] memory seen = new bytes32[](count);
        for (uint256 i; i < count; ++i) {
            bytes32 org = $.nodes[$.keys[i]].org;
            if (_contains(seen, organisations, org)) continue;
            seen[organisations++] = org;
            Ballots.Vote said = b.votes[org];
            if (said == Ballots.Vote.Yes) ++yes;
            else if (said == Ballots.Vote.No) ++no;
        }
    }

    function _contains(bytes32[] memory list, uint256 length, bytes32 wanted) private pure returns (bool) {
        for (uint256 i; i < length; ++i) {
            if (list[i] == wanted) return true;
        }
        return false;
    }

    function _known(bytes32 nodeKey) private view returns (NodeRecord storage n) {
        n = _storage().nodes[nodeKey];
        if (n.state == NodeState.None) revert Unknown();
    }

    function _openBallot(uint256 ballot) private view returns (Ballots.Ballot storage b) {
        Storage storage $ = _storage();
        if (!$.box.exists(ballot)) revert Unknown();
        b = $.box.ballots[ballot];
        if (!b.isOpen()) revert NotOpen();
    }

    /// The organisation for which the caller votes.
    function _operatorsOrg() private view returns (bytes32) {
        Storage storage $ = _storage();
        bytes32 seat = $.seats[msg.sender];
        if (!_isValidator(seat)) revert NotAdmin();
        return $.nodes[seat].org;
    }

    function _isValidator(bytes32 nodeKey) private view returns (bool) {
        return _storage().nodes[nodeKey].place != 0;
    }

    function _isActive(bytes32 org) private view returns (bool) {
        (bool answered, uint256[4] memory o) = _ask(abi.encodeCall(IIdentity.getOrg, (org)), 4);
        return answered && o[2] == uint8(IIdentity.Status.Active);
    }

    function _isOrgAdmin(bytes32 org, address a) private view returns (bool) {
        (bool answered, uint256[4] memory o) = _ask(abi.encodeCall(IIdentity.getOrg, (org)), 4);
        return answered && o[0] == uint160(a) && o[2] == uint8(IIdentity.Status.Active);
    }

    function _hasLiveId(address a) private view returns (bool) {
        (bool answered, uint256[4] memory role) = _ask(abi.encodeCall(IIdentity.roleOf, (a)), 1);
        return answered && role[0] != 0;
    }

    function _orgOf(address a) private view returns (bytes32) {
        (bool answered, uint256[4] memory org) = _ask(abi.encodeCall(IIdentity.orgOf, (a)), 1);
        return answered ? bytes32(org[0]) : bytes32(0);
    }

    /// The first words of Identity's answer; not answered if it fails, says less or is not there. `try` would
    /// revert with a malformed answer, and copies whatever length comes back.
    function _ask(bytes memory question, uint256 words)
        private
        view
        returns (bool answered, uint256[4] memory answer)
    {
        address identity = address(IDENTITY);
        assembly ("memory-safe") {
            let length := mul(words, 32)
            answered :=
                staticcall(QUESTION_GAS, identity, add(question, 32), mload(question), answer, length)
            answered := and(answered, iszero(lt(returndatasize(), length)))
        }
    }

    function _storage() private pure returns (Storage storage $) {
        assembly {
            $.slot := STORAGE
        }
    }
}
