// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Who may exchange private transactions, and under which keys.
/// @notice A party is an organisation's presence on a node: an ed25519 identity key that signs for it, and the node
/// that serves it. Under it lie epoch keys (X25519), to which others encrypt. A group is a set of organisations with
/// one private state; more than half of its members admit, remove and skip. What members exchange never comes here,
/// only what all of them must read alike. All times are seconds since 1970, heights are numbers of blocks.
///
/// Identity keys sign keccak256(abi.encode(domain, block.chainid, ...)), the domain being keccak256 of
/// "medina.private.party.v1": (this contract, org, identityKey, nodeKey);
/// "medina.private.key.v1": (this contract, org, epoch, key, validFrom);
/// "medina.private.attestation.v1": (group, height, root).
interface IPrivateGroups {
    /// What a transaction of a group must satisfy.
    enum Mode {
        /// Any account that a member's node accepts.
        Standard,
        /// Only accounts of member organisations.
        CounterParty,
        /// Acknowledged by the mandatory members before it is ordered.
        Mandatory,
        /// Names the private state root before and after it.
        Validated
    }

    /// A party as it stands.
    struct Party {
        bytes32 identityKey;
        bytes32 nodeKey;
        uint48 since;
        /// Of the newest key published, also of one that is not valid yet.
        uint32 epoch;
    }

    /// A group as it stands.
    struct Group {
        /// Free text that everybody reads, or 0.
        bytes32 name;
        uint48 since;
        Mode mode;
        /// Acknowledgements that delivery waits for besides those of `mandatory`; 0: of all members.
        uint16 quorum;
        /// Members sign the private state root at heights divisible by this.
        uint32 attestEvery;
        bytes32[] members;
        bytes32[] mandatory;
    }

    /// What is voted about an organisation: its admission, or its removal if it is a member.
    struct Proposal {
        uint48 opened;
        /// Takes votes.
        bool open;
        /// Of the members now.
        uint8 yes;
        uint8 members;
    }

    event PartySet(bytes32 indexed org, bytes32 indexed identityKey, bytes32 indexed nodeKey);
    event KeyPublished(bytes32 indexed org, uint32 indexed epoch, bytes32 key, uint48 validFrom);
    event GroupCreated(
        bytes32 indexed id, bytes32 indexed by, bytes32 name, Mode mode, uint16 quorum, uint32 attestEvery
    );
    event MemberAdded(bytes32 indexed id, bytes32 indexed org, bool mandatory);
    event MemberRemoved(bytes32 indexed id, bytes32 indexed org);
    event Proposed(bytes32 indexed id, bytes32 indexed org, bytes32 indexed by);
    event Voted(bytes32 indexed id, bytes32 indexed org, bytes32 indexed by);
    event SkipVoted(bytes32 indexed id, bytes32 indexed digest, bytes32 indexed by);
    event Skipped(bytes32 indexed id, bytes32 indexed digest);
    event Anchored(bytes32 indexed id, bytes32 indexed org, uint64 indexed height, bytes32 root);
    event BecameMandatory(bytes32 indexed id, bytes32 indexed org);
    event ErasureReported(bytes32 indexed id, bytes32 indexed digest, bytes32 indexed org, bytes32 receiptsHash);
    event Erased(bytes32 indexed id, bytes32 indexed digest);
    event AuditRecorded(bytes32 indexed org, uint64 entries, bytes32 head);

    error NotAdmin();
    error NotMember();
    error Known();
    error Unknown();
    error UnknownNode();
    error BadKey();
    error BadSignature();
    error Stale();
    error NotOpen();
    error NotHosted();
    error AlreadyVoted();
    error AlreadyReported();
    error LastMandatory();
    error TooMany();

    /// @notice The admin of an active organisation, for it; again to replace it. `proof` is the identity key's
    /// signature (64 bytes), so that nobody claims another's; a key stays its organisation's for ever. The node may
    /// connect by Permissioning and is the organisation's own there. One of another organisation serves this one if
    /// it agrees: `proof` then goes on with the node key's signature of the same message. With another identity key
    /// the epoch keys of the old one are void.
    function registerParty(bytes32 org, bytes32 identityKey, bytes32 nodeKey, bytes calldata proof) external;

    /// @notice Anyone, with the identity key's signature. Epochs only grow; `validFrom`, in seconds, is not before
    /// that of the current key and at most 7 days ahead. A key that is not valid yet is replaced by the next one.
    function publishKey(bytes32 org, uint32 epoch, bytes32 key, uint48 validFrom, bytes calldata signature) external;

    /// @notice Who acts for one of `orgs` (as its Manager, or as its admin with or without an id), 1 to 64 parties; the id must be new. `mandatory` are some of them, and at
    /// least one in mode Mandatory. `quorum` is at most their number. `attestEvery` is at most 100000 blocks; 0 means 64.
    function createGroup(
        bytes32 id,
        bytes32 name,
        bytes32[] calldata orgs,
        Mode mode,
        bytes32[] calldata mandatory,
        uint16 quorum,
        uint32 attestEvery
    ) external;

    /// @notice A member proposes a party and votes for it, or a party asks to be admitted. Votes are taken for 30
    /// days; with more than half of the members it joins at once.
    function proposeMember(bytes32 id, bytes32 org) external;

    /// @notice A member proposes to remove a member, and votes for it. Who is to go counts as a member, and may vote.
    /// The last mandatory member in mode Mandatory is not removed unless its organisation is revoked; it can leave.
    function proposeRemoval(bytes32 id, bytes32 org) external;

    /// @notice A member votes for what is proposed about `org`, once. The vote that makes more than half decides.
    function vote(bytes32 id, bytes32 org) external;

    /// @notice A member leaves. With the last mandatory one gone in mode Mandatory, all who stay become mandatory.
    function leaveGroup(bytes32 id) external;

    /// @notice A member votes for a marker to have no effect, because nobody serves its payload. More than half
    /// decide within 30 days, for ever.
    function skip(bytes32 id, bytes32 digest) external;

    /// @notice A member says its private state root at a height, which grows and is not above the chain's.
    function anchor(bytes32 id, uint64 height, bytes32 root) external;

    /// @notice As `anchor`; anyone, with the attestation that the member's identity key signed.
    function anchorFor(bytes32 id, bytes32 org, uint64 height, bytes32 root, bytes calldata signature) external;

    /// @notice A member says, once, that a payload is erased. `receiptsHash` = keccak256 of the holders' signed
    /// receipts. The report with which more than half of the members of now have said so takes effect; where others
    /// left since, one of those who have reported says it again.
    function reportErased(bytes32 id, bytes32 digest, bytes32 receiptsHash) external;

    /// @notice Who acts for `org` says how many entries its enclave's audit log has, which grow, and the hash of the
    /// last one, so that nobody can shorten or rewrite the log afterwards.
    function recordAudit(bytes32 org, uint64 entries, bytes32 head) external;

    /// @notice All zero if unknown; `since` in seconds.
    function party(bytes32 org) external view returns (Party memory);

    /// @notice The key to encrypt to now, valid from that second on; 0 if there is none.
    function currentKey(bytes32 org) external view returns (uint32 epoch, bytes32 key, uint48 validFrom);

    /// @notice Whose identity key it is or was; 0 if unknown.
    function orgOf(bytes32 identityKey) external view returns (bytes32);

    /// @notice Parties are numbered from 1 to this.
    function partyCount() external view returns (uint256);

    /// @notice The organisation of that number, 0 if unknown.
    function partyAt(uint256 index) external view returns (bytes32);

    /// @notice All zero if unknown; `since` in seconds.
    function group(bytes32 id) external view returns (Group memory);

    /// @notice Groups are numbered from 1 to this.
    function groupCount() external view returns (uint256);

    /// @notice The group of that number, 0 if unknown.
    function groupAt(uint256 index) external view returns (bytes32);

    /// @notice Whether an organisation is a member now.
    function isMember(bytes32 id, bytes32 org) external view returns (bool);

    /// @notice The block in which a member joined, 0 if it is none.
    function memberSince(bytes32 id, bytes32 org) external view returns (uint64);

    /// @notice What is voted about an organisation; `opened` in seconds, all zero if nothing ever was.
    function proposalOf(bytes32 id, bytes32 org) external view returns (Proposal memory);

    /// @notice The block in which a marker was skipped, 0 if it was not, and how many members want it now.
    function skipOf(bytes32 id, bytes32 digest) external view returns (uint64 height, uint8 yes);

    /// @notice How many members left or were removed so far: who of them knew a secret of an earlier version does
    /// not know this one's. 0 if unknown.
    function secretVersion(bytes32 id) external view returns (uint32);

    /// @notice The block in which a payload's erasure took effect, 0 if it did not, and how many members reported it
    /// of those there are now.
    function erasureOf(bytes32 id, bytes32 digest) external view returns (uint64 height, uint8 reports);

    /// @notice The `height` of `erasureOf`.
    function erasedAt(bytes32 id, bytes32 digest) external view returns (uint64);

    /// @notice What was last recorded of an audit log, and in which block; all zero if nothing was.
    function auditOf(bytes32 org) external view returns (uint64 entries, bytes32 head, uint64 height);

    /// @notice The newest root that a member anchored, all zero if none.
    function anchorOf(bytes32 id, bytes32 org) external view returns (uint64 height, bytes32 root);
}
