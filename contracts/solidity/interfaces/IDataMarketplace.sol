// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Offers of data, orders with escrow, and who may read.
/// @notice Free: complete at once. Fixed: delivered, then confirmed. PerUnit: paid by what the user signs to have
/// received. Period: once delivered, money vests linearly from `time` to `end`, and what has vested can be claimed
/// `confirmIn` later. Money is in token base units, times in seconds. The token in use is MedinaToken; money is
/// paid out by `withdraw` only.
interface IDataMarketplace {
    enum Kind {
        Stream,
        Dataset,
        Service,
        Compute
    }

    enum Price {
        Free,
        Fixed,
        PerUnit,
        Period
    }

    enum State {
        None,
        Funded,
        Delivered,
        Active,
        Disputed,
        Completed,
        Refunded
    }

    struct Listing {
        bytes32 org;
        /// Who is credited.
        address payee;
        Kind kind;
        Price price;
        /// 1 live, 2 paused, 3 retired (final), +128 while flagged; set to 1 by `list`.
        uint8 status;
        /// Least reputation of a buyer's organisation, basis points; 0: none asked.
        uint16 minReputation;
        uint128 unitPrice;
        /// Seconds of access: per unit (Period), in all (others); 0: endless (Fixed and Free only).
        uint32 unit;
        /// Seconds the seller has to deliver, at most 30 days.
        uint32 deliverIn;
        /// Seconds the buyer has to confirm or dispute, 1 minute to 30 days.
        uint32 confirmIn;
        /// 0, or an allowed contract that alone delivers and resolves (Fixed only).
        address judge;
        /// Resource id (Stream, Service), anchored root (Dataset) or allow list of algorithms (Compute).
        bytes32 subject;
        /// 0: everybody; an organisation; or a federation of both.
        bytes32 audience;
        /// 0, or whose consent a purchase needs: `allowed` to read by ConsentAndAccess, for user and purpose.
        bytes32 consentScope;
        /// Hash of an ODRL policy.
        bytes32 policy;
        bytes32 meta;
        bytes32 topic;
    }

    struct Order {
        uint64 listing;
        State state;
        /// Of the purchase.
        uint48 time;
        /// Of delivery, window, notice (PerUnit: 0 if none is given; Period: by the seller) or dispute.
        uint48 deadline;
        /// Of access; 0: endless.
        uint48 end;
        uint64 units;
        uint64 used;
        uint128 amount;
        /// The seller's part, fee included.
        uint128 paid;
        address buyer;
        /// Who may read.
        address user;
        bytes32 proof;
        bytes32 purpose;
    }

    struct BuyIntent {
        uint64 listing;
        uint64 units;
        address buyer;
        address user;
        uint128 maxAmount;
        bytes32 purpose;
        uint48 deadline;
        uint64 number;
    }

    event Listed(
        uint64 indexed id,
        bytes32 indexed topic,
        bytes32 indexed org,
        Kind kind,
        Price price,
        uint128 unitPrice,
        bytes32 subject,
        bytes32 audience,
        bytes32 meta
    );
    event ListingSet(uint64 indexed id, uint8 status, uint128 unitPrice, bytes32 meta, bytes32 policy);
    event Bought(
        uint256 indexed order,
        uint64 indexed listing,
        address indexed user,
        address buyer,
        uint64 units,
        uint128 amount,
        uint48 end,
        bytes32 purpose
    );
    /// What was added, and the new end.
    event Renewed(uint256 indexed order, uint64 units, uint128 amount, uint48 end);
    event Delivered(uint256 indexed order, bytes32 proof);
    event Noticed(uint256 indexed order, uint48 deadline);
    /// `amount` is the seller's part, `fee` the part of it that goes to the pool.
    event Paid(uint256 indexed order, address to, uint128 amount, uint128 fee);
    event Refunded(uint256 indexed order, uint128 amount);
    event Disputed(uint256 indexed order, bytes32 evidence);
    event Resolved(uint256 indexed order, uint16 buyerBps);

    error NotLive();
    error OwnListing();
    error NotOwner();
    error BadListing();
    error NotParty();
    error WrongState();
    error TooDear();
    error TooEarly();
    error TooLate();
    error NotAudience();
    error LowReputation();
    error NoConsent();
    error BadVoucher();
    error NotJudge();
    error OnlyModule();

    /// @notice A Manager of `l.org` (0: the caller's) offers data; the resource of a Stream or Service must be
    /// live and the organisation's own.
    function list(Listing calldata l) external returns (uint64 id);

    /// @notice The seller's organisation; always 0 for Free, else never. Open orders keep theirs.
    function setPrice(uint64 id, uint128 unitPrice) external;

    /// @notice The seller's organisation sets 1, 2 or 3; a Moderator only sets or lifts the flag, by the present
    /// status with or without 128 (meta and policy are then ignored).
    function setListing(uint64 id, uint8 status, bytes32 meta, bytes32 policy) external;

    /// @notice Unit price times units.
    function quote(uint64 id, uint64 units) external view returns (uint128);

    /// @notice A Member of another organisation buys `units` for `user`; the amount goes to escrow from the
    /// caller's allowance. A Free order is complete at once.
    /// @param maxAmount most the buyer pays, against a price that changes under way
    function buy(uint64 id, uint64 units, address user, uint128 maxAmount, bytes32 purpose)
        external
        returns (uint256 order);

    /// @notice As `buy`, after an ERC-2612 permit over `maxAmount`; a failing permit is ignored.
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
    ) external returns (uint256);

    /// @notice As `buy`, brought by anyone with the buyer's signature of BuyIntent; each number works once.
    function buyFor(BuyIntent calldata i, bytes calldata buyerSig) external returns (uint256);

    /// @notice Before the deadline: the payee, a Manager of the seller, the resource's key, or the judge alone.
    function deliver(uint256 order, bytes32 proof) external;

    /// @notice The buyer or the user accepts the delivery of a Fixed order; the seller is credited.
    function confirm(uint256 order) external;

    /// @notice Anyone, after the buyer's window; the seller is credited. Of a Period order with what had vested
    /// `confirmIn` ago, once that is also the age of the delivery.
    function claim(uint256 order) external;

    /// @notice Anyone brings the user's signature of UnitVoucher(order, cumulative): units received in all, more
    /// than before and at most those bought. The seller is credited with the price of the new ones.
    function claimUnits(uint256 order, uint64 cumulative, bytes calldata userSig) external;

    /// @notice The buyer adds units to a Period order before its end, if he could buy it and the price is still
    /// the order's.
    /// @param maxAmount most the buyer pays for them
    function renew(uint256 order, uint64 periods, uint128 maxAmount) external;

    /// @notice Not delivered in time: anyone, the buyer is credited with everything. A running Period order: the
    /// buyer, the seller is credited with what has vested and the buyer with the rest; or the seller's organisation,
    /// which stops it: access and vesting end, what is claimable is paid, and the rest is divided likewise by
    /// `claim` once the buyer has had `confirmIn` to dispute it (or by the buyer's own `cancel` before).
    /// PerUnit: what is not yet paid goes to the buyer, when the seller's organisation calls, or the buyer twice,
    /// `confirmIn` apart (the first call is a notice and ends access; vouchers still count), or anyone later than
    /// `confirmIn` after the end.
    function cancel(uint256 order) external;

    /// @notice The buyer, inside the window. A running Period order stops; what is claimable is paid first, what
    /// has vested since is contested, the rest will be the buyer's.
    function dispute(uint256 order, bytes32 evidence) external;

    /// @notice The judge, or where there is none an ARBITER, gives the buyer a part of what is contested and the
    /// seller the rest.
    function resolve(uint256 order, uint16 buyerBps) external;

    /// @notice Anyone, for a dispute nobody answered in time: half of what is contested each; all to the
    /// buyer if delivered without a proof.
    function expire(uint256 order) external;

    /// @notice Pays the caller's credit to `to`.
    function withdraw(address to) external returns (uint128);

    /// @notice Anyone pays the credit of `owner` to `owner`.
    function withdrawFor(address owner) external returns (uint128);

    /// @notice What `withdraw` would pay, token base units.
    function credits(address owner) external view returns (uint128);

    /// @notice Whether the order in use lets `user` read now.
    function hasAccess(uint64 listing, address user) external view returns (bool);

    /// @notice Its user makes `order` the one `hasAccess` looks at.
    function useOrder(uint256 order) external;

    /// @notice First second without access; 2^48-1 if endless, 0 if the order gives none.
    function expiresAt(uint256 order) external view returns (uint48);

    /// @notice A listing, all zero if unknown.
    function getListing(uint64 id) external view returns (Listing memory);

    /// @notice An order, all zero if unknown.
    function getOrder(uint256 order) external view returns (Order memory);

    /// @notice Trust tells that the buyer has rated: he is credited with a set part of the fee.
    function onRated(uint256 order) external;

    /// @notice GOVERNOR: fee at most 5 %, `rebateBps` of the fee goes to a rating buyer, `disputeIn` 1 minute to
    /// 30 days.
    function setParams(uint16 feeBps, uint16 rebateBps, uint32 disputeIn) external;

    /// @notice GOVERNOR.
    function setJudge(address judge, bool allowed) external;

    /// @notice GOVERNOR moves collected fees to the token's treasury.
    function collectFees(uint128 amount) external;
}
