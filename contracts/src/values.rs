//! The numbers behind the contracts' enums and roles, by name.
//!
//! The bindings carry enums as `u8`; these constants and conversions are the one place that knows what they mean.

macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "lowercase")]
        #[repr(u8)]
        pub enum $name { $($(#[$variant_doc])* $variant = $value),+ }

        impl From<$name> for u8 {
            fn from(value: $name) -> Self {
                value as Self
            }
        }

        impl TryFrom<u8> for $name {
            type Error = UnknownValue;

            fn try_from(value: u8) -> Result<Self, UnknownValue> {
                match value {
                    $($value => Ok(Self::$variant),)+
                    _ => Err(UnknownValue { name: stringify!($name), value }),
                }
            }
        }
    };
}

/// A contract answered with a number that this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value} is no {name}")]
pub struct UnknownValue {
    /// What was expected.
    pub name: &'static str,
    /// What was there.
    pub value: u8,
}

wire_enum!(
    /// `ISensorRegistry.Type`.
    ResourceType {
        /// Measures.
        Sensor = 0,
        /// Acts.
        Actuator = 1,
        /// Both, or neither.
        Device = 2,
        /// A service such as a store; the only one that promises no period.
        Service = 3,
    }
);

wire_enum!(
    /// `IDataMarketplace.Kind`.
    ListingKind {
        /// Readings of a resource as they come.
        Stream = 0,
        /// An anchored root.
        Dataset = 1,
        /// What a resource does on request.
        Service = 2,
        /// Algorithms that visit the data.
        Compute = 3,
    }
);

wire_enum!(
    /// `IDataMarketplace.Price`.
    Price {
        /// Nothing to pay.
        Free = 0,
        /// Once.
        Fixed = 1,
        /// By signed counts.
        PerUnit = 2,
        /// By time, vesting.
        Period = 3,
    }
);

wire_enum!(
    /// `IDataMarketplace.State`.
    OrderState {
        /// No such order.
        None = 0,
        /// Paid into escrow, to be delivered.
        Funded = 1,
        /// To be confirmed or disputed.
        Delivered = 2,
        /// Running.
        Active = 3,
        /// Waiting for an arbiter.
        Disputed = 4,
        /// Closed; the seller has the money or a part of it.
        Completed = 5,
        /// Closed; the buyer has the money.
        Refunded = 6,
    }
);

wire_enum!(
    /// `kind` of `ConsentAndAccess.ask`: what a person asks an organisation for.
    RequestKind {
        /// To see what is kept.
        Access = 0,
        /// To put something right.
        Rectify = 1,
        /// To erase.
        Erase = 2,
        /// To stop using without erasing.
        Restrict = 3,
        /// To hand over in a common form.
        Port = 4,
        /// To stop a use that needs no consent.
        Object = 5,
    }
);

wire_enum!(
    /// `IBarteringCoupons.Kind`.
    CouponKind {
        /// No coupon.
        Null = 0,
        /// Counted uses.
        Discrete = 1,
        /// A time from the first use on.
        Periodic = 2,
    }
);

wire_enum!(
    /// `IBarteringCoupons.CStatus`.
    CouponStatus {
        /// Unknown, or cleaned up.
        NotRegistered = 0,
        /// Can be used.
        Valid = 1,
        /// Used up or run out.
        Consumed = 2,
        /// Taken back.
        Revoked = 3,
        /// Registered with other fields.
        Mismatch = 4,
    }
);

wire_enum!(
    /// Business roles of `Identity`.
    BusinessRole {
        /// Reads.
        Visitor = 0,
        /// Buys, rates.
        Member = 1,
        /// Acts for the organisation: registers, lists.
        Manager = 2,
        /// Flags content.
        Moderator = 3,
        /// Rules users and organisations.
        Administrator = 4,
    }
);

wire_enum!(
    /// `IIdentity.Status` of ids and organisations.
    IdentityStatus {
        /// Unknown.
        None = 0,
        /// In force.
        Active = 1,
        /// Until lifted.
        Suspended = 2,
        /// For ever.
        Revoked = 3,
        /// Gone but for its nullifier.
        Erased = 4,
        /// Waits for the organisation's admin.
        Pending = 5,
    }
);

wire_enum!(
    /// `IPermissioning.Access`: what the accounts of an organisation may do.
    Access {
        /// Nothing but reading.
        Read = 0,
        /// Calls.
        Transact = 1,
        /// Also creates contracts.
        Deploy = 2,
        /// Its admin also adds nodes.
        Full = 3,
    }
);

wire_enum!(
    /// `IPermissioning.NodeState`.
    NodeState {
        /// Unknown.
        None = 0,
        /// Connects while its organisation is active.
        Active = 1,
        /// Switched off.
        Inactive = 2,
        /// For misconduct; only a ballot brings it back.
        Blacklisted = 3,
    }
);

wire_enum!(
    /// Kinds of ballots of `Permissioning`.
    BallotKind {
        /// `(bytes32 org, Access access)`.
        OrgAccess = 0,
        /// `(bytes32 nodeKey, address operator)`; admits, the operator activates.
        AddValidator = 1,
        /// `(bytes32 nodeKey)`; also takes an admission back.
        RemoveValidator = 2,
        /// `(bytes32 nodeKey, NodeState state)`.
        Recover = 3,
        /// `(bytes32 key, uint256 value)`.
        Parameter = 4,
        /// `(address account, uint8 state)`: 0 by id, 1 blocked, 2 system.
        Account = 5,
    }
);

wire_enum!(
    /// Kinds of ballots of `FederationRegistry`; their data is `abi.encode` of what is named here.
    FederationBallotKind {
        /// `(bytes32 name)`.
        Rename = 0,
        /// `(bytes32 infoModel)`.
        InfoModel = 1,
        /// `(Constraint[])`, at most 16.
        Constraints = 2,
        /// `(bytes32 org)`.
        Expel = 3,
        /// `(uint16 bps)`.
        Quorum = 4,
        /// `()`.
        Remove = 5,
        /// `(bytes32 org)`.
        Invite = 6,
        /// `(uint8 constraint, uint8 count, uint32 interval, uint8 penaltyCount, uint32 penaltyInterval,
        /// uint128 amount)`.
        Policy = 7,
    }
);

wire_enum!(
    /// `op` of a federation's constraint: value `op` threshold must hold.
    Comparator {
        /// `>`.
        Greater = 0,
        /// `>=`.
        GreaterOrEqual = 1,
        /// `=`.
        Equal = 2,
        /// `<`.
        Less = 3,
        /// `<=`.
        LessOrEqual = 4,
    }
);

wire_enum!(
    /// `IFederationRegistry.ReportState` of a refused access.
    ReportState {
        /// No such report.
        None = 0,
        /// The target has 24 hours.
        Pending = 1,
        /// The client had got what it asked for.
        Rebutted = 2,
        /// A misdeed.
        Counted = 3,
    }
);

wire_enum!(
    /// `ISlaRegistry.PenaltyState`.
    PenaltyState {
        /// No such penalty.
        None = 0,
        /// Waits for pardon or collection.
        Held = 1,
        /// Part of the bond again.
        Pardoned = 2,
        /// Paid.
        Collected = 3,
    }
);

wire_enum!(
    /// `IIncidentRegistry.Verdict` on an alert.
    Verdict {
        /// Nothing yet.
        None = 0,
        /// It is an incident.
        Confirmed = 1,
        /// It is not.
        Rejected = 2,
        /// Somebody else shall say.
        Passed = 3,
    }
);

wire_enum!(
    /// `IPrivateGroups.Mode`, what a transaction of a group must satisfy.
    PrivateMode {
        /// Any account that a member's node accepts.
        Standard = 0,
        /// Only accounts of member organisations.
        CounterParty = 1,
        /// Acknowledged by the mandatory members before it is ordered.
        Mandatory = 2,
        /// Names the private state root before and after it.
        Validated = 3,
    }
);

/// `status` of resources and listings: 1 live.
pub const STATUS_LIVE: u8 = 1;
/// 2 paused.
pub const STATUS_PAUSED: u8 = 2;
/// 3 retired, final.
pub const STATUS_RETIRED: u8 = 3;
/// Added while a Moderator's flag is set.
pub const STATUS_FLAGGED: u8 = 128;

/// Roles of the AccessManager.
pub mod access_roles {
    /// Sets roles; held by the governor and the [`Gatekeeper`](crate::bindings::gatekeeper).
    pub const ADMIN: u64 = 0;
    /// Upgrades, parameters, allow lists.
    pub const GOVERNOR: u64 = 1;
    /// Cancels scheduled operations, closes targets.
    pub const GUARDIAN: u64 = 2;
    /// Signs enrolments.
    pub const CERTIFIER: u64 = 3;
    /// Resolves disputes.
    pub const ARBITER: u64 = 4;
    /// Reports metrics.
    pub const MONITOR: u64 = 5;
    /// Mints tokens.
    pub const MINTER: u64 = 6;
    /// Everybody; what begins something asks for it, so that a target can be closed.
    pub const PUBLIC: u64 = u64::MAX;
}

/// Bits of `ops` of a grant in `ConsentAndAccess`.
pub mod operations {
    /// Create.
    pub const CREATE: u8 = 1;
    /// Read; what a purchase needs.
    pub const READ: u8 = 2;
    /// Update.
    pub const UPDATE: u8 = 4;
    /// Delete.
    pub const DELETE: u8 = 8;
}
