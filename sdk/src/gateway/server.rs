//! Routes and handlers; each handler reads its input, asks, and answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, B256};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::challenge::Challenges;
use super::pages::{From, Pages};
use super::problem::ApiError;
use super::sessions::{OpenSession, Scope, Sessions};
use super::wire::{
    Answer, Challenge, ChallengeRequest, CouponAccess, Health, ListingInfo, Listings, Page,
    Session, SourceInfo,
};
use super::{Clock, Gateway, GatewayChain, GatewayError};
use crate::client::{CouponState, coupon_state_text};
use crate::companion::Companion;
use crate::limits::{
    GATEWAY_ACCESS_AGE_MS_MAX, GATEWAY_BODY_BYTES_MAX, GATEWAY_PAGE_READINGS_MAX,
    GATEWAY_REQUEST_SECONDS_MAX,
};

/// Everything handlers share.
pub(super) struct State {
    listings: BTreeMap<u64, Vec<B256>>,
    companion: Arc<Companion>,
    chain: Arc<dyn GatewayChain>,
    takes_coupons: bool,
    clock: Clock,
    pages: Pages,
    challenges: Mutex<Challenges>,
    sessions: Mutex<Sessions>,
    slots: Semaphore,
}

type Shared = Extract<Arc<State>>;
type Answered<T> = Result<Json<T>, ApiError>;

impl State {
    pub(super) fn new(gateway: Gateway, bound: SocketAddr) -> Result<Self, GatewayError> {
        let Gateway {
            config,
            chain_id,
            companion,
            chain,
            takes_coupons,
            clock,
        } = gateway;
        let limits = config.limits;
        let origin = config.origin(bound);
        let challenges = Challenges::new(origin, chain_id, limits.challenge_seconds)?;
        Ok(Self {
            listings: config
                .listings
                .into_iter()
                .map(|listing| (listing.id, listing.sources))
                .collect(),
            pages: Pages::new(companion.clone()),
            companion,
            chain,
            takes_coupons,
            clock,
            challenges: Mutex::new(challenges),
            sessions: Mutex::new(Sessions::new(limits.session_seconds, limits.sessions)),
            slots: Semaphore::new(limits.requests),
        })
    }

    fn now_ms(&self) -> u64 {
        (self.clock)()
    }

    fn sources(&self, listing: u64) -> Result<&[B256], ApiError> {
        let sources = self.listings.get(&listing).map(Vec::as_slice);
        sources.ok_or_else(|| ApiError::unknown_listing(listing))
    }

    fn serves(&self, resource: B256) -> bool {
        self.listings
            .values()
            .any(|sources| sources.contains(&resource))
    }

    async fn require_access(&self, listing: u64, account: Address) -> Result<(), ApiError> {
        if self.chain.has_access(listing, account).await? {
            Ok(())
        } else {
            Err(ApiError::no_access(listing))
        }
    }

    fn open_session(&self, account: Address, scope: Scope) -> Answered<Session> {
        let session = self.sessions.lock().open(account, scope, self.now_ms())?;
        let session = session.ok_or_else(ApiError::busy)?;
        tracing::info!(%account, ?scope, expires = session.expires, "session opened");
        Ok(Json(session))
    }
}

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/v1/listings", get(listings))
        .route("/v1/challenge", post(challenge))
        .route("/v1/session", post(session))
        .route("/v1/coupon/access", post(coupon_access))
        .route("/v1/listings/{id}/readings", get(listing_readings))
        .route("/v1/resources/{id}/readings", get(resource_readings))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(GATEWAY_BODY_BYTES_MAX))
        .layer(from_fn_with_state(state.clone(), bounded))
        .with_state(state)
}

/// So many requests at once, and none for ever.
async fn bounded(Extract(state): Shared, request: Request, next: Next) -> Response {
    let Ok(_slot) = state.slots.try_acquire() else {
        return ApiError::busy().into_response();
    };
    let patience = Duration::from_secs(GATEWAY_REQUEST_SECONDS_MAX);
    match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::timeout().into_response(),
    }
}

async fn unknown_route() -> ApiError {
    let hint =
        "GET /v1/listings, POST /v1/challenge, POST /v1/session, GET /v1/listings/{id}/readings";
    ApiError::new(StatusCode::NOT_FOUND, "there is nothing at this path", hint)
}

async fn wrong_method() -> ApiError {
    let hint = "challenges, sessions and coupons are POST, everything else is GET";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method", hint)
}

async fn health(Extract(state): Shared) -> Json<Health> {
    let sessions = state.sessions.lock().len();
    Json(Health {
        status: "ok".into(),
        listings: state.listings.len(),
        sessions,
    })
}

async fn listings(Extract(state): Shared) -> Answered<Listings> {
    let info = |source: &B256| -> Result<SourceInfo, ApiError> {
        Ok(SourceInfo {
            source: *source,
            batches: state.companion.last_anchored(*source)?,
        })
    };
    let entry = |(id, sources): (&u64, &Vec<B256>)| -> Result<ListingInfo, ApiError> {
        let sources = sources.iter().map(info).collect::<Result<_, _>>()?;
        Ok(ListingInfo { id: *id, sources })
    };
    let listings = state.listings.iter().map(entry).collect::<Result<_, _>>()?;
    Ok(Json(Listings { listings }))
}

async fn challenge(
    Extract(state): Shared,
    body: Result<Bytes, BytesRejection>,
) -> Answered<Challenge> {
    let request: ChallengeRequest = parse(body, r#"{"listing": 1, "account": "0x…"}"#)?;
    state.sources(request.listing)?;
    let now = state.now_ms() / 1_000;
    let challenge = state.challenges.lock().issue(request, now)?;
    Ok(Json(challenge))
}

async fn session(Extract(state): Shared, body: Result<Bytes, BytesRejection>) -> Answered<Session> {
    let hint = r#"{"listing", "account", "expires", "nonce", "signature", "scheme": "eip191"}"#;
    let answer: Answer = parse(body, hint)?;
    state.sources(answer.listing)?;
    let now = || state.now_ms() / 1_000;
    state.challenges.lock().check(&answer, now())?;
    state.require_access(answer.listing, answer.account).await?;
    // Remembered only now: strangers shall fill no memory.
    state.challenges.lock().use_up(&answer, now())?;
    state.open_session(answer.account, Scope::Listing(answer.listing))
}

async fn coupon_access(
    Extract(state): Shared,
    body: Result<Bytes, BytesRejection>,
) -> Answered<Session> {
    if !state.takes_coupons {
        let error = "this gateway takes no coupons";
        return Err(ApiError::new(
            StatusCode::NOT_IMPLEMENTED,
            error,
            "buy the listing instead",
        ));
    }
    let access: CouponAccess = parse(body, r#"{"coupon": {…}, "resource", "signature"}"#)?;
    let CouponAccess {
        coupon,
        resource,
        signature,
    } = access;
    if !state.serves(resource) {
        let error = format!("resource {resource} is not served here");
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            error,
            "GET /v1/listings names what is",
        ));
    }
    // The signature's own signer reads; whether he is the holder is judged by the contract.
    let holder = signature.get(..20).map(Address::from_slice);
    let hint = "`signature` is the 20-byte signer and the 65-byte signature of `Use`";
    let holder = holder.ok_or_else(|| ApiError::bad_request("the signature is too short", hint))?;
    let status = state.chain.coupon_status(&coupon).await?;
    if status.state != CouponState::Valid {
        let error = format!("the coupon is {}", coupon_state_text(status.state));
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            error,
            "get a new coupon from its issuer",
        ));
    }
    let transaction = state
        .chain
        .consume(coupon.key(), resource, signature)
        .await?;
    tracing::info!(%resource, %holder, %transaction, "coupon consumed");
    state.open_session(holder, Scope::Resource(resource))
}

/// What to read from where.
#[derive(Deserialize)]
struct PageQuery {
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    limit: Option<usize>,
}

async fn listing_readings(
    Extract(state): Shared,
    Path(id): Path<String>,
    query: Result<Query<PageQuery>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Answered<Page> {
    let wrong =
        |_| ApiError::bad_request("the listing is no number", "GET /v1/listings names them");
    let listing: u64 = id.parse().map_err(wrong)?;
    let sources = state.sources(listing)?.to_vec();
    authorize(&state, &headers, Scope::Listing(listing)).await?;
    page(state, sources, query).await
}

async fn resource_readings(
    Extract(state): Shared,
    Path(id): Path<String>,
    query: Result<Query<PageQuery>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Answered<Page> {
    let wrong =
        |_| ApiError::bad_request("the resource is not 32 bytes in hex", "0x and 64 digits");
    let resource: B256 = id.parse().map_err(wrong)?;
    authorize(&state, &headers, Scope::Resource(resource)).await?;
    page(state, vec![resource], query).await
}

/// Whether the bearer may read `wanted` now. A session of a listing is asked about again once the
/// chain's last answer is too old, and closed when the answer is no.
async fn authorize(state: &State, headers: &HeaderMap, wanted: Scope) -> Result<(), ApiError> {
    let token = bearer(headers).ok_or_else(ApiError::no_session)?;
    let now_ms = state.now_ms();
    let found = state.sessions.lock().find(token, now_ms);
    let OpenSession {
        account,
        scope,
        checked_ms,
        ..
    } = found.ok_or_else(ApiError::no_session)?;
    if scope != wanted {
        return Err(ApiError::wrong_scope());
    }
    let Scope::Listing(listing) = scope else {
        return Ok(());
    };
    if now_ms.saturating_sub(checked_ms) < GATEWAY_ACCESS_AGE_MS_MAX {
        return Ok(());
    }
    if state.chain.has_access(listing, account).await? {
        state.sessions.lock().mark_checked(token, now_ms);
        Ok(())
    } else {
        state.sessions.lock().close(token);
        Err(ApiError::no_access(listing))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
        .map(str::trim)
}

async fn page(
    state: Arc<State>,
    sources: Vec<B256>,
    query: Result<Query<PageQuery>, axum::extract::rejection::QueryRejection>,
) -> Answered<Page> {
    let hint = "`from` is empty, 0 or `next` of the page before; `limit` is a number up to 500";
    let wrong = |_| ApiError::bad_request("the query cannot be read", hint);
    let Query(PageQuery { from, limit }) = query.map_err(wrong)?;
    let from = match from.as_deref() {
        None | Some("") => From::Offset(0),
        Some(text) => {
            From::parse(text).ok_or_else(|| ApiError::bad_request("no such cursor", hint))?
        }
    };
    let limit = limit.unwrap_or(GATEWAY_PAGE_READINGS_MAX);
    // Decryption and disk are no work for the threads that serve connections.
    let read = move || state.pages.page(&sources, from, limit);
    let page = tokio::task::spawn_blocking(read)
        .await
        .map_err(|_| GatewayError::Lost)?;
    Ok(Json(page?))
}

fn parse<T: DeserializeOwned>(
    body: Result<Bytes, BytesRejection>,
    hint: &'static str,
) -> Result<T, ApiError> {
    let body = body.map_err(|rejection| {
        let hint = "send at most 16 KiB";
        ApiError::new(rejection.status(), rejection.body_text(), hint)
    })?;
    serde_json::from_slice(&body).map_err(|error| {
        ApiError::bad_request(format!("the body is not as expected: {error}"), hint)
    })
}
