//! The buyer's side of a gateway: open a session, read everything, believe nothing.
//!
//! Every record is hashed here and its proof followed to the root that the chain has; a record
//! that does not prove itself, comes twice or is left out is an error that names its place.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use alloy_primitives::{B256, Bytes};
use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::error::innermost;
use super::{AnchoredRoot, ClientError, Coupon, ListingKind, MarketClient};
use crate::gateway::wire::{
    Answer, Challenge, ChallengeRequest, CouponAccess, Listings, Page, PageItem, Problem, Scheme,
    Session,
};
use crate::limits::{
    GATEWAY_PAGE_BYTES_MAX, GATEWAY_PAGE_READINGS_MAX, GATEWAY_REQUEST_SECONDS_MAX,
};
use crate::merkle::{RecordId, leaf, verify};
use crate::readings::{Reading, ReadingError};
use crate::url::{place_of, without_secrets};
use crate::wallet::{Account, WalletError};

/// Why a buyer does not get what was bought.
#[derive(Debug, Error)]
pub enum BuyerError {
    /// The gateway cannot be reached.
    #[error("the gateway {url} does not answer: {reason}")]
    Unreachable {
        /// Which gateway, without path and query.
        url: String,
        /// What the connection said.
        reason: String,
    },
    /// The gateway refused.
    #[error("the gateway refused ({status}): {error}; {hint}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What was wrong.
        error: String,
        /// What to do.
        hint: String,
    },
    /// The gateway's answer is not what it should be.
    #[error("the gateway {url} answered with something else than expected: {reason}")]
    BadAnswer {
        /// Which gateway, without path and query.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The challenge is of another gateway, or asks to sign something else.
    #[error(
        "the gateway calls itself {found}, but was reached as {expected}; it may be passing on another's challenge"
    )]
    ForeignChallenge {
        /// What the challenge says.
        found: String,
        /// What was asked.
        expected: String,
    },
    /// A record does not prove itself.
    #[error("record {} of batch {} of source {} does not lead to the anchored root", .0.index, .0.seq, .0.source)]
    Unproven(RecordId),
    /// A record that is no reading.
    #[error("record {} of batch {} is no reading: {reason}", .id.index, .id.seq)]
    BadRecord {
        /// Which record.
        id: RecordId,
        /// Why.
        reason: ReadingError,
    },
    /// Places left out, repeated or out of order.
    #[error("batch {seq} of source {source_id} has {expected} records, the gateway gave {found}")]
    Incomplete {
        /// Which source.
        source_id: B256,
        /// Which batch.
        seq: u64,
        /// How many the chain knows.
        expected: u64,
        /// How many came.
        found: u64,
    },
    /// A data set was sold, and something else was given.
    #[error("the gateway gave other batches than the sold one with root {0}")]
    NotSold(B256),
    /// The chain's part.
    #[error(transparent)]
    Chain(#[from] ClientError),
    /// The account's part.
    #[error(transparent)]
    Wallet(#[from] WalletError),
}

/// What a session reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A bought listing.
    Listing(u64),
    /// A resource, by coupon.
    Resource(B256),
}

/// A reading whose proof holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedReading {
    /// Where it stands.
    pub id: RecordId,
    /// What was read.
    pub reading: Reading,
}

/// Everything of a target, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Readings, each proven.
    pub readings: Vec<VerifiedReading>,
    /// Places whose record was erased; their leaves are proven.
    pub erased: Vec<RecordId>,
    /// How many batches.
    pub batches: usize,
    /// Anchored batches of the same sources that the gateway did not give: withheld, or anchored
    /// while it was read.
    pub withheld: Vec<(B256, u64)>,
}

/// What a listing sells, as far as the chain says which readings these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sold {
    /// All batches of a resource.
    Resource(B256),
    /// The batch with this root.
    Root(B256),
    /// The chain does not say it.
    Other,
}

/// Where roots come from: the chain.
pub trait RootSource: Sync {
    /// What a listing sells.
    fn sold(&self, listing: u64) -> BoxFuture<'_, Result<Sold, ClientError>>;

    /// The anchored root of a batch.
    fn root(&self, source: B256, seq: u64) -> BoxFuture<'_, Result<AnchoredRoot, ClientError>>;

    /// Number of the last anchored batch of a source.
    fn last_seq(&self, source: B256) -> BoxFuture<'_, Result<u64, ClientError>>;
}

impl RootSource for MarketClient {
    fn sold(&self, listing: u64) -> BoxFuture<'_, Result<Sold, ClientError>> {
        Box::pin(async move {
            let listing = self.listing(listing).await?;
            Ok(match listing.kind {
                Ok(ListingKind::Stream | ListingKind::Service) => Sold::Resource(listing.subject),
                Ok(ListingKind::Dataset) => Sold::Root(listing.subject),
                _ => Sold::Other,
            })
        })
    }

    fn root(&self, source: B256, seq: u64) -> BoxFuture<'_, Result<AnchoredRoot, ClientError>> {
        Box::pin(self.anchored_root(source, seq))
    }

    fn last_seq(&self, source: B256) -> BoxFuture<'_, Result<u64, ClientError>> {
        Box::pin(async move { Ok(self.anchor_stats(source).await?.seq) })
    }
}

/// A gateway as a buyer sees it.
#[derive(Debug, Clone)]
pub struct GatewayBuyer {
    http: reqwest::Client,
    url: String,
    origin: String,
}

impl GatewayBuyer {
    /// A gateway at this URL, which must also be what it calls itself.
    pub fn new(url: &str) -> Result<Self, BuyerError> {
        let url = url.trim_end_matches('/').to_owned();
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(GATEWAY_REQUEST_SECONDS_MAX))
            .build()
            .map_err(|error| BuyerError::Unreachable {
                url: place_of(&url),
                reason: without_secrets(&error.to_string()),
            })?;
        Ok(Self {
            http,
            origin: url.clone(),
            url,
        })
    }

    /// The same gateway, which calls itself otherwise (behind a proxy or tunnel).
    #[must_use]
    pub fn called(self, origin: &str) -> Self {
        Self {
            origin: origin.trim_end_matches('/').to_owned(),
            ..self
        }
    }

    /// What it serves.
    pub async fn listings(&self) -> Result<Listings, BuyerError> {
        self.answer(self.http.get(format!("{}/v1/listings", self.url)))
            .await
    }

    /// Signs the gateway's challenge and opens a session for a bought listing.
    pub async fn open_session(
        &self,
        account: &Account,
        listing: u64,
    ) -> Result<Session, BuyerError> {
        let request = ChallengeRequest {
            listing,
            account: account.address(),
        };
        let challenge: Challenge = self.post("/v1/challenge", &request).await?;
        self.check_challenge(&challenge, request)?;
        let signature = account.sign_message(challenge.text().as_bytes())?;
        let answer = Answer {
            listing,
            account: account.address(),
            expires: challenge.expires,
            nonce: challenge.nonce,
            signature: signature.as_bytes().to_vec().into(),
            scheme: Scheme::Eip191,
        };
        self.post("/v1/session", &answer).await
    }

    /// Opens a session by one use of a coupon; `signature` is the holder's over `Use`.
    pub async fn open_session_with_coupon(
        &self,
        coupon: &Coupon,
        resource: B256,
        signature: Bytes,
    ) -> Result<Session, BuyerError> {
        let access = CouponAccess {
            coupon: coupon.clone(),
            resource,
            signature,
        };
        self.post("/v1/coupon/access", &access).await
    }

    /// One page as the gateway gives it, unchecked.
    pub async fn page(
        &self,
        session: &Session,
        target: Target,
        from: &str,
        limit: usize,
    ) -> Result<Page, BuyerError> {
        let path = match target {
            Target::Listing(id) => format!("listings/{id}"),
            Target::Resource(id) => format!("resources/{id}"),
        };
        let url = format!("{}/v1/{path}/readings?from={from}&limit={limit}", self.url);
        self.answer(self.http.get(url).bearer_auth(&session.token))
            .await
    }

    /// Reads everything and checks each record against the anchored root, and whether it is what
    /// was sold: batches of the sold resource that do not come are `withheld`.
    pub async fn fetch_verified(
        &self,
        roots: &impl RootSource,
        session: &Session,
        target: Target,
    ) -> Result<Delivery, BuyerError> {
        let sold = match target {
            Target::Listing(listing) => roots.sold(listing).await?,
            Target::Resource(resource) => Sold::Resource(resource),
        };
        let mut check = Check::default();
        let mut from = "0".to_owned();
        loop {
            let page = self
                .page(session, target, &from, GATEWAY_PAGE_READINGS_MAX)
                .await?;
            let is_stuck = page.readings.is_empty() || page.next.as_ref() == Some(&from);
            for item in page.readings {
                check.take(roots, item).await?;
            }
            match page.next {
                None => return check.finish(roots, sold).await,
                Some(_) if is_stuck => {
                    let reason = "its pages do not come to an end".into();
                    return Err(BuyerError::BadAnswer {
                        url: place_of(&self.url),
                        reason,
                    });
                }
                Some(next) => from = next,
            }
        }
    }

    /// What is signed must be what was asked for, at this gateway.
    fn check_challenge(
        &self,
        challenge: &Challenge,
        request: ChallengeRequest,
    ) -> Result<(), BuyerError> {
        if challenge.gateway != self.origin {
            let (found, expected) = (challenge.gateway.clone(), self.origin.clone());
            return Err(BuyerError::ForeignChallenge { found, expected });
        }
        if (challenge.listing, challenge.account) != (request.listing, request.account) {
            let reason = "its challenge is about something else".into();
            return Err(BuyerError::BadAnswer {
                url: place_of(&self.url),
                reason,
            });
        }
        Ok(())
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, BuyerError> {
        self.answer(self.http.post(format!("{}{path}", self.url)).json(body))
            .await
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, BuyerError> {
        let unreachable = |error: reqwest::Error| BuyerError::Unreachable {
            url: place_of(&self.url),
            // The innermost cause says more than "error sending request".
            reason: without_secrets(&innermost(&error)),
        };
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > GATEWAY_PAGE_BYTES_MAX {
                let reason = format!("it is larger than {GATEWAY_PAGE_BYTES_MAX} bytes");
                return Err(BuyerError::BadAnswer {
                    url: place_of(&self.url),
                    reason,
                });
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            let bad = |error: serde_json::Error| BuyerError::BadAnswer {
                url: place_of(&self.url),
                reason: error.to_string(),
            };
            return serde_json::from_slice(&body).map_err(bad);
        }
        let unknown = || Problem {
            error: "no reason given".into(),
            hint: "is this a gateway?".into(),
        };
        let problem = serde_json::from_slice(&body).unwrap_or_else(|_| unknown());
        let Problem { error, hint } = problem;
        Err(BuyerError::Refused {
            status: status.as_u16(),
            error,
            hint,
        })
    }
}

/// The check on its way through the pages.
#[derive(Default)]
struct Check {
    delivery: Delivery,
    roots: BTreeMap<(B256, u64), AnchoredRoot>,
    seen: BTreeMap<(B256, u64), u64>,
}

impl Check {
    async fn take(&mut self, roots: &impl RootSource, item: PageItem) -> Result<(), BuyerError> {
        let PageItem {
            source,
            seq,
            index,
            record,
            erased_leaf,
            proof,
        } = item;
        let id = RecordId { source, seq, index };
        let batch = (source, seq);
        if let std::collections::btree_map::Entry::Vacant(entry) = self.roots.entry(batch) {
            entry.insert(roots.root(source, seq).await?);
        }
        let anchored = self.roots[&batch];
        let seen = self.seen.entry(batch).or_default();
        // Places come in order, so none can be given twice in another's stead.
        if u64::from(index) != *seen {
            let (expected, found) = (u64::from(anchored.count), *seen);
            return Err(BuyerError::Incomplete {
                source_id: source,
                seq,
                expected,
                found,
            });
        }
        *seen += 1;
        let hash = match (&record, erased_leaf) {
            (Some(record), _) => leaf(id, record.salt, record.record.as_bytes()),
            (None, Some(leaf)) => leaf,
            (None, None) => return Err(BuyerError::Unproven(id)),
        };
        if !verify(anchored.root, hash, &proof) {
            return Err(BuyerError::Unproven(id));
        }
        match record {
            None => self.delivery.erased.push(id),
            Some(record) => {
                let reading = Reading::from_record(record.record.as_bytes())
                    .map_err(|reason| BuyerError::BadRecord { id, reason })?;
                self.delivery.readings.push(VerifiedReading { id, reading });
            }
        }
        Ok(())
    }

    async fn finish(mut self, roots: &impl RootSource, sold: Sold) -> Result<Delivery, BuyerError> {
        if let Sold::Root(root) = sold
            && !self.roots.values().any(|anchored| anchored.root == root)
        {
            return Err(BuyerError::NotSold(root));
        }
        for (&(source_id, seq), found) in &self.seen {
            let expected = u64::from(self.roots[&(source_id, seq)].count);
            if *found != expected {
                let found = *found;
                return Err(BuyerError::Incomplete {
                    source_id,
                    seq,
                    expected,
                    found,
                });
            }
        }
        self.delivery.batches = self.seen.len();
        let mut sources: BTreeSet<B256> = self.seen.keys().map(|(source, _)| *source).collect();
        // A gateway that gives nothing of it, or something else, shall not look complete.
        if let Sold::Resource(resource) = sold {
            sources.insert(resource);
        }
        for source in sources {
            let anchored = 1..=roots.last_seq(source).await?;
            let missing = anchored
                .map(|seq| (source, seq))
                .filter(|batch| !self.seen.contains_key(batch));
            self.delivery.withheld.extend(missing);
        }
        Ok(self.delivery)
    }
}
