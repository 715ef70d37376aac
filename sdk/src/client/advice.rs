//! What to do about a contract's refusal, in words for people.
//!
//! By the error's name; where one name means several things, by the function that was called too.
//! A test makes sure that no error of the suite is left without advice.

/// Advice that depends on the function.
const BY_CALL: &[(&str, &str, &str)] = &[
    (
        "enrol",
        "BadSignature",
        "the certifier's signature is not over these fields on this chain: have the enrolment signed anew",
    ),
    (
        "enrol",
        "Expired",
        "the enrolment was brought too late, or would end at once: have it signed anew",
    ),
    (
        "enrol",
        "IdTaken",
        "this enrolment was brought already (`medina user show`)",
    ),
    (
        "registerOrg",
        "IdTaken",
        "there is an organisation or user of this id already: choose another name (`medina org list`)",
    ),
    (
        "create",
        "Duplicate",
        "there is a federation of this name already: choose another (`medina federation list`)",
    ),
    (
        "revoke",
        "NotMember",
        "only the organisation that issued the coupon takes it back, while nothing of it is used",
    ),
    (
        "evaluate",
        "WrongState",
        "there is no alert of that number that waits (`medina incident alerts`)",
    ),
    (
        "answer",
        "NotOwner",
        "a Manager of the organisation that is asked answers its open requests (`medina consent requests`)",
    ),
    ("bond", "OutOfRange", "a bond is more than nothing"),
    (
        "registerOrg",
        "NotAllowed",
        "sign with an Administrator (`medina role show`)",
    ),
    (
        "setOrg",
        "NotAllowed",
        "sign with an Administrator; who is revoked stays so",
    ),
    (
        "approve",
        "NotAllowed",
        "sign with the admin account of the organisation; the id must be waiting",
    ),
    (
        "setRole",
        "NotAllowed",
        "sign with the admin of the organisation, or an Administrator",
    ),
    (
        "rotate",
        "NotAllowed",
        "the holder or its certifier brings it",
    ),
    (
        "erase",
        "NotAllowed",
        "only the holder or its certifier erases an id",
    ),
    (
        "renew",
        "Expired",
        "an id is only prolonged, to a later time than it has",
    ),
    (
        "register",
        "BadSignature",
        "the issuer's Manager must sign the coupon as it stands: ask for a new file",
    ),
    (
        "register",
        "NotOwner",
        "sign with a Manager of the organisation that the device belongs to",
    ),
    (
        "anchor",
        "BadSignature",
        "the batch must be signed by the device that is registered for the source",
    ),
    (
        "addNode",
        "NotAdmin",
        "sign with the admin account of your organisation, which must have full access",
    ),
    (
        "setNode",
        "NotAdmin",
        "sign with the admin account of the node's organisation",
    ),
    (
        "setAccount",
        "NotAdmin",
        "sign with the admin account of the user's organisation",
    ),
    (
        "cancel",
        "TooEarly",
        "the time to deliver, or the notice that you gave, is not over yet (`medina market order`)",
    ),
    (
        "claim",
        "TooEarly",
        "the buyer's time to confirm is not over yet (`medina market order`)",
    ),
    (
        "expire",
        "TooEarly",
        "the arbiter still has time (`medina market order`)",
    ),
    (
        "escalate",
        "TooEarly",
        "the recipients still have time to answer (`medina incident show`)",
    ),
    (
        "settle",
        "TooEarly",
        "the seller's time to reveal, or the buyer's to complain, is not over yet",
    ),
    (
        "collect",
        "TooEarly",
        "an arbiter can pardon for 7 days first",
    ),
    (
        "unbond",
        "TooEarly",
        "a bond is paid back 7 days after the organisation has left",
    ),
    (
        "lapse",
        "TooEarly",
        "members have 7 days to accept new terms",
    ),
    (
        "settleReport",
        "TooEarly",
        "the other side has 24 hours to show a receipt",
    ),
    (
        "deliver",
        "TooLate",
        "the time to deliver is over; the buyer can take the money back",
    ),
    ("dispute", "TooLate", "the time to object is over"),
    (
        "confirm",
        "WrongState",
        "an order is confirmed after its delivery (`medina market order`)",
    ),
    (
        "report",
        "NotMember",
        "a monitor, or consumers that are members of the federation, report; the owner does not",
    ),
    ("accept", "NotSeller", "the buyer accepts"),
    (
        "registerParty",
        "NotAdmin",
        "sign with the admin account of the organisation",
    ),
    (
        "registerParty",
        "Known",
        "this identity key is another organisation's: have the node make a new one",
    ),
    (
        "registerParty",
        "BadKey",
        "an identity key is a usable ed25519 key: take the one that the node shows",
    ),
    (
        "createGroup",
        "NotMember",
        "sign with an admin or Manager of one of the group's organisations",
    ),
    (
        "createGroup",
        "Unknown",
        "every member must have registered its party first (`medina private party register`)",
    ),
    (
        "createGroup",
        "OutOfRange",
        "a group has 1 to 64 members, a quorum of at most all of them, and in mode mandatory at least one that must acknowledge",
    ),
    (
        "createGroup",
        "Known",
        "a group of this name or id exists, or an organisation was named twice",
    ),
    (
        "proposeMember",
        "NotMember",
        "a member proposes, or the organisation asks for itself",
    ),
    (
        "proposeMember",
        "Unknown",
        "the organisation must have registered its party first (`medina private party register`)",
    ),
    (
        "proposeMember",
        "Known",
        "it is a member, or a vote about it is open: vote (`medina private groups vote`)",
    ),
    ("proposeMember", "TooMany", "a group has at most 64 members"),
    (
        "proposeRemoval",
        "NotMember",
        "sign with an admin or Manager of a member",
    ),
    (
        "proposeRemoval",
        "Known",
        "a vote about it is open: vote (`medina private groups vote`)",
    ),
    (
        "leaveGroup",
        "NotMember",
        "your organisation is no member of this group",
    ),
    ("skip", "NotMember", "only members of the group vote"),
    (
        "recordAudit",
        "NotPermitted",
        "sign with an admin or Manager of the organisation",
    ),
    (
        "recordAudit",
        "Stale",
        "as many entries of this audit log are recorded already",
    ),
    ("skip", "Known", "it is skipped already"),
    ("reveal", "NotSeller", "the seller shows the key"),
];

/// Advice by the error alone.
const BY_NAME: &[(&str, &str)] = &[
    // 1, and the library below it.
    (
        "ERC20InsufficientBalance",
        "the account has too few tokens (`medina market balance`)",
    ),
    (
        "ERC20InsufficientAllowance",
        "the market may not take that much: allow it first",
    ),
    (
        "ERC20ExceededCap",
        "more tokens than the token's cap cannot exist",
    ),
    (
        "ERC2612ExpiredSignature",
        "the permit is too old: try again",
    ),
    (
        "AccessManagedUnauthorized",
        "the account lacks the power for this (`medina role show`)",
    ),
    (
        "AccessManagerUnauthorizedAccount",
        "only the governor gives and takes powers",
    ),
    (
        "AccessManagedRequiredDelay",
        "this takes effect after a delay: announce it first (`medina governance`, or `schedule` of the AccessManager)",
    ),
    (
        "AccessManagerNotReady",
        "its time has not come: `medina governance waiting` says when",
    ),
    (
        "AccessManagerExpired",
        "it was not executed within a week: announce it again",
    ),
    (
        "AccessManagerUnauthorizedCancel",
        "a guardian cancels, or who announced it",
    ),
    // 2
    (
        "NotCertifier",
        "sign with an account that holds the certifier's power (`medina role show`)",
    ),
    ("Expired", "its time is over: have it signed anew"),
    (
        "Nullified",
        "this certifier has enrolled this person before; an erased id can be forgotten after 360 days",
    ),
    ("IdTaken", "choose another id"),
    (
        "AccountTaken",
        "the account has an id already (`medina user show`)",
    ),
    (
        "UnknownOrg",
        "register the organisation first (`medina org register`)",
    ),
    (
        "OrgInactive",
        "the organisation is suspended or revoked (`medina org show`)",
    ),
    (
        "RoleTooHigh",
        "certifiers enrol up to Manager; higher roles are set by Administrators (`medina role set`)",
    ),
    (
        "NotAllowed",
        "the account may not do this to that id (`medina user show` says who may)",
    ),
    (
        "NotPermitted",
        "the account has no live id or too low a role (`medina role show`)",
    ),
    // 3
    (
        "NotAdmin",
        "only operators of current validators propose and vote, and only an organisation's admin acts for it",
    ),
    ("Known", "it is there already"),
    (
        "Locked",
        "it was switched off or blacklisted: only its organisation, or a ballot, brings it back",
    ),
    (
        "BadBallot",
        "there is no such ballot, or its content has no meaning",
    ),
    (
        "BadKey",
        "a node's key is the ed25519 key that `medina node status` shows; a sealed delivery's key is the one its hash was made of",
    ),
    ("NotOpen", "it was executed, or its 30 days are over"),
    (
        "AlreadyVoted",
        "your organisation has voted, and one vote stands for it",
    ),
    ("QuorumMissing", "too few have said yes so far"),
    (
        "TooMany",
        "the limit is reached: at most 128 validators, 64 items in one call",
    ),
    (
        "LastValidator",
        "a chain keeps at least one validator: admit and activate another one first",
    ),
    (
        "UnknownNode",
        "the node's key is not allowed to connect: its organisation adds it first (`medina validator register`)",
    ),
    (
        "NotHosted",
        "the node is another organisation's, which has not signed that it serves this one: take the whole proof that the node wrote",
    ),
    (
        "LastMandatory",
        "a group in mode mandatory keeps a mandatory member: this one can leave by itself (`medina private groups leave`)",
    ),
    (
        "AlreadyReported",
        "your organisation has reported this erasure; more than half of the members must",
    ),
    (
        "Stale",
        "there is a newer one already: epochs of keys and heights of roots only grow",
    ),
    // 4, 5
    (
        "Exists",
        "something is registered under this id, or for this device key, already: each sensor has a key of its own (another --device-key)",
    ),
    ("Unknown", "there is nothing under this id on this chain"),
    (
        "BadDeviceKey",
        "the device's key is in use, its signature is too old or not its own, or its kind is not allowed here",
    ),
    (
        "BadPeriod",
        "say how often readings come (--period); only a service promises none",
    ),
    (
        "NotSource",
        "the device that is registered for the source must sign its batches, and it must be live",
    ),
    (
        "Backwards",
        "readings before the last anchored one cannot be anchored",
    ),
    (
        "Future",
        "readings from the future cannot be anchored: look at the device's clock",
    ),
    ("Empty", "a batch has at least one reading"),
    ("UnknownBatch", "no batch of that number is anchored"),
    // 6
    (
        "NotLive",
        "there is none of that number, or it is paused, retired or flagged (`medina market show`)",
    ),
    ("OwnListing", "an organisation cannot buy from itself"),
    (
        "NotOwner",
        "sign with an account of the organisation (or the person) it belongs to",
    ),
    (
        "BadListing",
        "the terms do not go together: free has no price, others need one; --confirm-in is 1 minute to 30 days",
    ),
    ("NotParty", "only buyer or seller of the order may do this"),
    ("WrongState", "it is not in the state for that"),
    (
        "TooDear",
        "the price has changed: look again and allow more with --max",
    ),
    ("TooEarly", "it is not time yet"),
    ("TooLate", "its time is over"),
    (
        "NotAudience",
        "the offer is for another organisation or federation",
    ),
    (
        "LowReputation",
        "your organisation's reputation is below what is asked (`medina trust show`)",
    ),
    (
        "NoConsent",
        "the person it is about has not agreed to this purpose (`medina consent grant`)",
    ),
    (
        "BadVoucher",
        "a voucher must be signed by the order's user, for more units than the last one and no more than were bought",
    ),
    (
        "NotJudge",
        "only an arbiter, or the listing's judge, decides this",
    ),
    (
        "OnlyModule",
        "only another contract of the suite calls this",
    ),
    ("LowGas", "give the transaction more gas: at least 700,000"),
    (
        "OutOfRange",
        "a number is out of its bounds: at least one unit, at most 64 items",
    ),
    // 7
    ("NotBuyer", "only the buyer may do this"),
    ("AlreadyRated", "an order is rated once"),
    (
        "NotClosed",
        "an order is rated when it is closed: confirm it first",
    ),
    ("SameOrg", "an organisation cannot rate itself"),
    ("TooSoon", "more time was reported than has passed"),
    // 8, 9
    (
        "NotMember",
        "the organisation is no member of the federation, or has not accepted its newest terms (`medina federation accept`)",
    ),
    (
        "NotInvited",
        "a member must invite the organisation first (`medina federation invite`)",
    ),
    (
        "StaleVersion",
        "the terms have changed: read them (`medina federation show`) and accept again",
    ),
    (
        "NotShared",
        "the resource is not shared in this federation (`medina federation share`)",
    ),
    (
        "BadRequest",
        "the fields do not fit together, or a signature is not over them",
    ),
    (
        "Duplicate",
        "this was done already; of one client and resource one report counts per hour",
    ),
    (
        "BadWindow",
        "report a window that is past and as long as the constraint says",
    ),
    ("WindowDone", "this window is decided already"),
    (
        "BondLocked",
        "the bond stays while the organisation is a member or a penalty is held",
    ),
    // 10
    (
        "BadSignature",
        "a signature is not over these fields, on this chain, by who must sign",
    ),
    ("NumberUsed", "a coupon of this number was issued already"),
    (
        "ZeroVal",
        "a coupon is worth at least one use or one second",
    ),
    (
        "NotValid",
        "the coupon is used up, revoked or not registered (`medina coupon show`)",
    ),
    (
        "NotHolder",
        "only the organisation that holds the coupon may do this",
    ),
    (
        "NotBartered",
        "the resource is not shared for barter in the coupon's federation",
    ),
    // 11
    (
        "NotDelegate",
        "only the owner, or whom it has delegated to, may do this",
    ),
    (
        "Ended",
        "it has ended: it is over, revoked, answered, or its signature is too old",
    ),
    (
        "BadForm",
        "a field has no meaning: grants need a form, some operation, and an end after their start",
    ),
    // 12
    (
        "NotAssignee",
        "the alert waits for somebody else (`medina incident alerts`)",
    ),
    ("NotRecipient", "the response was not sent to you"),
    ("NotSite", "sign with a Manager of the site's organisation"),
    ("Answered", "it is answered already"),
    ("TimedOut", "the time to answer is over"),
    // 13
    ("NotSeller", "only the seller may do this"),
    (
        "BadProof",
        "the chunk and its proofs do not lead to the offered roots",
    ),
    ("NoFault", "the chunk is what was promised"),
];

/// What to do when `call` (its signature) was refused with `reason` (an error's name, perhaps with
/// arguments).
pub(super) fn advice(call: &str, reason: &str) -> Option<&'static str> {
    let function = call.split('(').next().unwrap_or_default();
    let name = reason.split('(').next().unwrap_or_default();
    let special = BY_CALL
        .iter()
        .find(|(at, error, _)| *at == function && *error == name);
    if let Some((_, _, text)) = special {
        return Some(text);
    }
    let general = BY_NAME.iter().find(|(error, _)| *error == name);
    general.map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contracts that people call.
    const CONTRACTS: [&str; 15] = [
        "MedinaToken",
        "Identity",
        "Permissioning",
        "SensorRegistry",
        "DataAnchor",
        "DataMarketplace",
        "TrustAndReputation",
        "FederationRegistry",
        "SlaRegistry",
        "BarteringCoupons",
        "ConsentAndAccess",
        "IncidentRegistry",
        "SealedDelivery",
        "MarketOrders",
        "PrivateGroups",
    ];

    /// Errors that only a mistake of ours or an upgrade can cause.
    fn is_internal(name: &str) -> bool {
        let parts = [
            "ERC1967",
            "UUPS",
            "Initializ",
            "Reentrancy",
            "Invalid",
            "SafeERC20",
            "AddressEmpty",
            "FailedCall",
            "InsufficientBalance",
            "StringTooLong",
            "ECDSA",
        ];
        parts.iter().any(|part| name.contains(part))
            && !["ERC20InsufficientBalance", "ERC20InsufficientAllowance"].contains(&name)
    }

    #[test]
    fn every_error_of_the_suite_has_advice() {
        let mut missing = Vec::new();
        for artifact in medina_contracts::artifacts::all() {
            if !CONTRACTS.contains(&artifact.name) {
                continue;
            }
            let json: serde_json::Value = serde_json::from_str(artifact.json).expect("is JSON");
            for item in json["abi"].as_array().into_iter().flatten() {
                let name = item["name"].as_str().unwrap_or_default();
                if item["type"] == "error" && !is_internal(name) && advice("x()", name).is_none() {
                    missing.push(format!("{}: {name}", artifact.name));
                }
            }
        }
        assert!(missing.is_empty(), "no advice for {missing:?}");
    }

    #[test]
    fn function_decides_where_a_name_means_several_things() {
        let call = "renew(bytes32,uint48,address,bytes)";
        assert!(advice(call, "Expired").is_some_and(|text| text.contains("prolonged")));
        assert_ne!(
            advice("claim(uint256)", "TooEarly"),
            advice("cancel(uint256)", "TooEarly")
        );
        assert!(advice("buy(uint64)", "TooDear(1)").is_some());
        assert_eq!(advice("buy(uint64)", "unknown error 0x12345678"), None);
    }
}
