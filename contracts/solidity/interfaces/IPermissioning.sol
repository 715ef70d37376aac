// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Who may connect, transact and validate.
/// @notice Read by every node per handshake, pooled transaction and block; the views never revert, whatever Identity
/// answers. A node is named by its ed25519 key; a validator is a node and the account of its operator. Organisations
/// and their admins are Identity's. All times are seconds since 1970.
interface IPermissioning {
    /// What the accounts of an organisation may do; Full also lets its admin add nodes.
    enum Access {
        Read,
        Transact,
        Deploy,
        Full
    }

    enum NodeState {
        None,
        Active,
        Inactive,
        Blacklisted
    }

    /// A node as genesis lists it.
    struct NodeSeed {
        bytes32 org;
        bytes32 nodeKey;
        /// The validator's operator, 0 for a node that does not validate.
        address operator;
    }

    /// A node as it stands.
    struct Node {
        bytes32 org;
        NodeState state;
        /// In the set that `validatorKeys` answers.
        bool validator;
        /// Of the validator, or of the one that a ballot has admitted and who has not called `activate`; else 0.
        address operator;
        /// Listed in genesis: connects until boot is closed, unless blacklisted.
        bool listed;
        /// Set by a ballot, so that its organisation cannot activate it.
        bool held;
    }

    /// A ballot as it stands.
    struct BallotView {
        uint8 kind;
        bytes data;
        uint48 opened;
        bool executed;
        /// Takes votes and can be executed.
        bool open;
        /// Of the organisations that run a validator now: how many there are and what they said.
        uint16 organisations;
        uint16 yes;
        uint16 no;
        /// `execute` has enough votes.
        bool passes;
    }

    event NodeSet(bytes32 indexed nodeKey, bytes32 indexed org, NodeState s);
    event AccountSet(address indexed a, uint8 state);
    event AccessSet(bytes32 indexed org, Access access);
    event ValidatorSet(bytes32 indexed nodeKey, address indexed operator, bool active);
    event Proposed(uint256 indexed ballot, uint8 kind, bytes data);
    event Voted(uint256 indexed ballot, bytes32 indexed org, bool yes);
    event Executed(uint256 indexed ballot);

    error NotAdmin();
    error Known();
    error Unknown();
    error Locked();
    error BadBallot();
    error BadKey();
    error NotOpen();
    error AlreadyVoted();
    error QuorumMissing();
    error TooMany();
    error LastValidator();

    /// @notice A validator always; others while they and their organisation are active. A blacklisted node never.
    function connectionAllowed(bytes32 nodeKey) external view returns (bool);

    /// @notice Live ids with access Transact, system accounts and operators, unless blocked; `target` 0 creates a
    /// contract and needs Deploy, also of operators. Value, gas and payload do not matter.
    function transactionAllowed(
        address sender,
        address target,
        uint256 value,
        uint256 gasPrice,
        uint256 gasLimit,
        bytes calldata payload
    ) external view returns (bool);

    /// @notice The operators of the validators, 1 to 128.
    function getValidators() external view returns (address[] memory);

    /// @notice The ed25519 keys of the validators in the same order.
    function validatorKeys() external view returns (bytes32[] memory);

    /// @notice The admin of an active organisation with access Full adds a node, active at once. Its key must be a
    /// point of the curve and not of small order.
    function addNode(bytes32 org, bytes32 nodeKey) external;

    /// @notice The org admin, for a node that does not validate. Only a ballot brings one back from Blacklisted, or
    /// activates what a ballot has set to Inactive.
    function setNode(bytes32 nodeKey, NodeState s) external;

    /// @notice The org admin, for its own users: 0 as their id says, 1 blocked. Nobody's who operates a validator,
    /// and nothing that a ballot has set.
    function setAccount(address a, uint8 state) external;

    /// @notice An operator opens a ballot for 30 days; 16 of its organisation may be open at a time. Kinds, with `data` = abi.encode of
    /// 0 OrgAccess(bytes32 org, Access), 1 AddValidator(bytes32 nodeKey, address operator), 2
    /// RemoveValidator(bytes32 nodeKey), 3 Recover(bytes32 nodeKey, NodeState), 4 Parameter(bytes32, uint256), 5
    /// Account(address, uint8: 0 by id, 1 blocked, 2 system).
    function propose(uint8 kind, bytes calldata data) external returns (uint256 ballot);

    /// @notice An operator votes for the organisation of its node, once per organisation and ballot.
    function vote(uint256 ballot, bool yes) external;

    /// @notice Anyone, while it is open and more than half of the organisations that run a validator now said yes.
    /// AddValidator admits only: the node counts after `activate`. RemoveValidator also takes an admission back, and
    /// leaves what was proposed before it to admit the same node without effect.
    function execute(uint256 ballot) external;

    /// @notice The operator whom a ballot has admitted starts validating with the next block; its node must be
    /// active and allowed to connect.
    function activate(bytes32 nodeKey) external;

    /// @notice GOVERNOR, once: from now on the lists of genesis count no more.
    function closeBoot() external;

    /// @notice Whether the lists of genesis still count.
    function isBooting() external view returns (bool);

    /// @notice All zero if unknown.
    function getNode(bytes32 nodeKey) external view returns (Node memory);

    /// @notice Ballots are numbered from 1 to this.
    function ballotCount() external view returns (uint256);

    /// @notice All zero if unknown.
    function getBallot(uint256 ballot) external view returns (BallotView memory);

    /// @notice What an organisation said: 0 nothing, 1 yes, 2 no.
    function voteOf(uint256 ballot, bytes32 org) external view returns (uint8);

    /// @notice Transact until a ballot or genesis says otherwise.
    function accessOf(bytes32 org) external view returns (Access);

    /// @notice 0 by id, 1 blocked, 2 system; `held` if a ballot has set it.
    function accountState(address a) external view returns (uint8 state, bool held);

    /// @notice What a ballot has set, else 0.
    function parameter(bytes32 key) external view returns (uint256);
}
