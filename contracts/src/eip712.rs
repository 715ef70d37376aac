//! The messages that are signed off-chain, and the domains they are signed for.
//!
//! The rule followed is EIP-712; a domain is the contract's name, version "1", the chain and the contract's
//! address. Where a contract says "20-byte signer ‖ signature", [`packed`] joins them.

use alloy_primitives::{Address, Bytes};
use alloy_sol_types::{Eip712Domain, sol};

sol! {
    /// `SensorRegistry`: a device proves its key.
    #[derive(Debug, PartialEq, Eq)]
    struct Registration { bytes32 id; bytes32 org; uint48 deadline; }

    /// `SensorRegistry`: a new device key proves itself.
    #[derive(Debug, PartialEq, Eq)]
    struct KeyRotation { bytes32 id; uint48 deadline; }

    /// `DataAnchor`: a device signs its batch.
    #[derive(Debug, PartialEq, Eq)]
    struct Anchoring { bytes32 source; uint64 seq; bytes32 root; uint48 from; uint48 to; uint32 count; }

    /// `Identity`: a certifier vouches for a new id.
    #[derive(Debug, PartialEq, Eq)]
    struct Enrolment {
        bytes32 userId;
        bytes32 nullifier;
        bytes32 org;
        address account;
        uint8 role;
        uint48 expires;
        bytes32 terms;
        uint48 deadline;
    }

    /// `Identity`: the next account of an id agrees.
    #[derive(Debug, PartialEq, Eq)]
    struct Rotation { bytes32 userId; address next; uint48 deadline; }

    /// `Identity`: a certifier prolongs an id.
    #[derive(Debug, PartialEq, Eq)]
    struct Renewal { bytes32 userId; uint48 expires; }

    /// `DataMarketplace`: a purchase that somebody else brings.
    #[derive(Debug, PartialEq, Eq)]
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

    /// `DataMarketplace`: the user has received so many units of an order in all.
    #[derive(Debug, PartialEq, Eq)]
    struct UnitVoucher { uint256 order; uint64 cumulative; }

    /// `BarteringCoupons`: the issuer's promise.
    #[derive(Debug, PartialEq, Eq)]
    struct Coupon {
        bytes32 issuer;
        bytes32 fed;
        uint8 kind;
        uint64 val;
        uint64 number;
        uint48 issuedAt;
        bytes32 holder;
        bytes32 scope;
    }

    /// `BarteringCoupons`: the client's coupon for one access to the owner's resource; both sign.
    #[derive(Debug, PartialEq, Eq)]
    struct Barter { Coupon give; bytes32 resource; }

    /// `BarteringCoupons`: the holder's use; `uses` counts it already.
    #[derive(Debug, PartialEq, Eq)]
    struct Use { bytes32 key; bytes32 resource; uint64 uses; }

    /// `BarteringCoupons`: the other holder agrees; `moves` are those of `theirs` so far.
    #[derive(Debug, PartialEq, Eq)]
    struct Swap { bytes32 mine; bytes32 theirs; uint64 moves; }

    /// `ConsentAndAccess`: an owner's grant that somebody else brings.
    #[derive(Debug, PartialEq, Eq)]
    struct GrantFor {
        bytes32 scope;
        bytes32 grantee;
        bytes32 purpose;
        uint8 ops;
        uint48 from;
        uint48 until;
        bytes32 form;
        uint48 deadline;
    }

    /// `FederationRegistry`: a client was refused what its federation lets it have. The target may sign it too.
    #[derive(Debug, PartialEq, Eq)]
    struct Denied {
        bytes32 fed;
        bytes32 resource;
        bytes32 targetOrg;
        bytes32 originOrg;
        bytes32 request;
        uint48 time;
        uint64 number;
        address client;
    }

    /// `FederationRegistry`: a client got what it asked for by `request`; rebuts a [`Denied`] of it.
    #[derive(Debug, PartialEq, Eq)]
    struct Receipt { bytes32 request; uint48 time; }

    /// ERC-2612, as `MedinaToken` checks it.
    #[derive(Debug, PartialEq, Eq)]
    struct Permit { address owner; address spender; uint256 value; uint256 nonce; uint256 deadline; }
}

/// The signing domain of `contract` at `address`; `contract` is the artifact's name, for `MedinaToken` the
/// token's own name (ERC-2612).
#[must_use]
pub fn domain(contract: &str, chain_id: u64, address: Address) -> Eip712Domain {
    Eip712Domain::new(
        Some(contract.to_owned().into()),
        Some("1".into()),
        Some(alloy_primitives::U256::from(chain_id)),
        Some(address),
        None,
    )
}

/// 20-byte signer ‖ signature.
#[must_use]
pub fn packed(signer: Address, signature: &[u8]) -> Bytes {
    [signer.as_slice(), signature].concat().into()
}

/// ERC-7913 form of an ed25519 device key: the verifier's address ‖ the 32-byte key.
#[must_use]
pub fn ed25519_signer(verifier: Address, key: &[u8; 32]) -> Bytes {
    [verifier.as_slice(), key].concat().into()
}

/// What `FederationRegistry.rebut` takes: 6-byte time ‖ the client's signature of [`Receipt`].
#[must_use]
pub fn receipt(time: alloy_primitives::aliases::U48, signature: &[u8]) -> Bytes {
    [time.to_be_bytes::<6>().as_slice(), signature]
        .concat()
        .into()
}
