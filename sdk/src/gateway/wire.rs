//! What gateway and buyer say to each other, as JSON.
//!
//! ```text
//! POST /v1/challenge        ChallengeRequest -> Challenge
//! POST /v1/session          Answer           -> Session
//! POST /v1/coupon/access    CouponAccess     -> Session
//! GET  /v1/listings                          -> Listings
//! GET  /v1/listings/{id}/readings?from=&limit=    (Authorization: Bearer TOKEN) -> Page
//! GET  /v1/resources/{id}/readings?from=&limit=   (the same, for a coupon's session)
//! GET  /healthz                              -> Health
//! anything else, or an error                 -> Problem
//! ```

use std::fmt;

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::{Eip712Domain, SolStruct};
use serde::{Deserialize, Serialize};

use crate::client::Coupon;

/// Who wants to read which listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// The listing that was bought.
    pub listing: u64,
    /// The account that may read it.
    pub account: Address,
}

/// What the account has to sign: `challenge` as a message (EIP-191), or [`Challenge::typed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The text to sign.
    pub challenge: String,
    /// The gateway's own address, part of the text, so that no other gateway can pass it on.
    pub gateway: String,
    /// The listing.
    pub listing: u64,
    /// The account.
    pub account: Address,
    /// Last second in which it can be answered, Unix seconds.
    pub expires: u64,
    /// What makes it single.
    pub nonce: B256,
}

/// The typed form of a challenge, and why it is here: wallets show it field by field.
#[allow(missing_docs, reason = "the macro makes one field per member")]
mod typed {
    alloy_sol_types::sol! {
        /// A request to read a listing at a gateway.
        #[derive(Debug, PartialEq, Eq)]
        struct Access { string gateway; uint64 listing; address account; uint64 expires; bytes32 nonce; }
    }
}
pub use typed::Access;

impl Challenge {
    /// The text that is signed, made of the fields. Both sides make it themselves.
    pub fn text(&self) -> String {
        let Self {
            gateway,
            listing,
            account,
            expires,
            nonce,
            ..
        } = self;
        format!(
            "I want to read data I have access to.\n\nGateway: {gateway}\nListing: {listing}\n\
             Account: {account}\nExpires: {expires}\nNonce: {nonce}"
        )
    }

    /// The hash that is signed instead of the text by EIP-712.
    pub fn typed_hash(&self, chain_id: u64) -> B256 {
        self.typed().eip712_signing_hash(&access_domain(chain_id))
    }

    /// The challenge as typed data.
    pub fn typed(&self) -> Access {
        Access {
            gateway: self.gateway.clone(),
            listing: self.listing,
            account: self.account,
            expires: self.expires,
            nonce: self.nonce,
        }
    }
}

/// The EIP-712 domain of a challenge.
pub fn access_domain(chain_id: u64) -> Eip712Domain {
    let chain_id = alloy_primitives::U256::from(chain_id);
    Eip712Domain::new(
        Some("MedinaGateway".into()),
        Some("1".into()),
        Some(chain_id),
        None,
        None,
    )
}

/// How a challenge was signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// The text, by `personal_sign`.
    #[default]
    Eip191,
    /// The struct, by `eth_signTypedData_v4`.
    Eip712,
}

/// The answer to a challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// As in the challenge.
    pub listing: u64,
    /// As in the challenge.
    pub account: Address,
    /// As in the challenge.
    pub expires: u64,
    /// As in the challenge.
    pub nonce: B256,
    /// 65 bytes r, s, v.
    pub signature: Bytes,
    /// How it was signed.
    #[serde(default)]
    pub scheme: Scheme,
}

/// A coupon instead of a purchase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CouponAccess {
    /// The coupon, as it was registered.
    pub coupon: Coupon,
    /// The resource to read.
    pub resource: B256,
    /// `Use`, signed by the holder: 20-byte signer ‖ signature.
    pub signature: Bytes,
}

/// The right to read for a while. `Debug` hides the token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Sent as `Authorization: Bearer TOKEN`.
    pub token: String,
    /// Last second of the session, Unix seconds.
    pub expires: u64,
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// What the gateway serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listings {
    /// One entry per listing of its configuration.
    pub listings: Vec<ListingInfo>,
}

/// One listing as the gateway serves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListingInfo {
    /// Its number on chain.
    pub id: u64,
    /// The resources whose readings it gives, each with its last anchored batch.
    pub sources: Vec<SourceInfo>,
}

/// A resource behind a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceInfo {
    /// The resource id.
    pub source: B256,
    /// Number of its last anchored batch.
    pub batches: u64,
}

/// One page of readings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// In the order of source, batch and place.
    pub readings: Vec<PageItem>,
    /// `from` of the next page; absent at the end.
    pub next: Option<String>,
}

/// One place of a batch on a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageItem {
    /// The resource.
    pub source: B256,
    /// The batch.
    pub seq: u64,
    /// The place in the batch.
    pub index: u32,
    /// The record and its salt; absent if it was erased.
    #[serde(flatten)]
    pub record: Option<PageRecord>,
    /// The leaf, for an erased record, which cannot be hashed anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_leaf: Option<B256>,
    /// The siblings from leaf to root.
    pub proof: Vec<B256>,
}

/// What a buyer hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRecord {
    /// The canonical bytes, which are JSON text.
    pub record: String,
    /// The salt of the leaf.
    pub salt: B256,
}

/// Whether the gateway works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`
    pub status: String,
    /// How many listings it serves.
    pub listings: usize,
    /// How many sessions are open.
    pub sessions: usize,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What was wrong.
    pub error: String,
    /// What to do.
    pub hint: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode_all(bytes: &[u8]) {
        let _ = serde_json::from_slice::<ChallengeRequest>(bytes);
        let _ = serde_json::from_slice::<Challenge>(bytes);
        let _ = serde_json::from_slice::<Answer>(bytes);
        let _ = serde_json::from_slice::<CouponAccess>(bytes);
        let _ = serde_json::from_slice::<Session>(bytes);
        let _ = serde_json::from_slice::<Listings>(bytes);
        let _ = serde_json::from_slice::<Page>(bytes);
        let _ = serde_json::from_slice::<Problem>(bytes);
    }

    fn item(record: Option<PageRecord>, erased_leaf: Option<B256>) -> PageItem {
        let proof = vec![B256::repeat_byte(3)];
        PageItem {
            source: B256::repeat_byte(1),
            seq: 2,
            index: 3,
            record,
            erased_leaf,
            proof,
        }
    }

    #[test]
    fn present_and_erased_places_read_back() {
        let record = PageRecord {
            record: "{\"a\":\"°\"}".into(),
            salt: B256::repeat_byte(4),
        };
        for item in [
            item(Some(record), None),
            item(None, Some(B256::repeat_byte(5))),
        ] {
            let json = serde_json::to_string(&item).expect("serializes");
            assert_eq!(
                serde_json::from_str::<PageItem>(&json).expect("reads"),
                item
            );
        }
    }

    #[test]
    fn text_to_sign_says_everything_that_is_agreed_to() {
        let challenge = Challenge {
            challenge: String::new(),
            gateway: "http://gateway".into(),
            listing: 7,
            account: Address::repeat_byte(1),
            expires: 99,
            nonce: B256::repeat_byte(2),
        };
        let text = challenge.text();
        let account = challenge.account.to_string();
        for part in ["http://gateway", "Listing: 7", "Expires: 99", &account] {
            assert!(text.contains(part), "{part}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>(), text in "[\\{\\}\\[\\]\":,a-z0-9\\\\]{0,60}") {
            decode_all(&bytes);
            decode_all(text.as_bytes());
        }

        #[test]
        fn cut_or_damaged_pages_do_not_panic(cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let record = PageRecord { record: "{}".into(), salt: B256::ZERO };
            let page = Page { readings: vec![item(Some(record), None)], next: Some("0-1-0".into()) };
            let mut json = serde_json::to_vec(&page)?;
            let place = cut.index(json.len());
            decode_all(&json[..place]);
            json[place] = byte;
            decode_all(&json);
        }
    }
}
