//! Refusals as the buyer sees them: a status, what was wrong, and what to do.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::GatewayError;
use super::chain::ChainError;
use super::challenge::Refusal;
use super::wire::Problem;
use crate::companion::CompanionError;

/// A refused request.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    error: String,
    hint: &'static str,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, error: impl Into<String>, hint: &'static str) -> Self {
        Self {
            status,
            error: error.into(),
            hint,
        }
    }

    pub(super) fn bad_request(error: impl Into<String>, hint: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, hint)
    }

    pub(super) fn unknown_listing(listing: u64) -> Self {
        let error = format!("listing {listing} is not served here");
        Self::new(
            StatusCode::NOT_FOUND,
            error,
            "GET /v1/listings names what is",
        )
    }

    pub(super) fn no_session() -> Self {
        let hint = "send `Authorization: Bearer TOKEN` with the token of POST /v1/session";
        Self::new(StatusCode::UNAUTHORIZED, "no valid session", hint)
    }

    pub(super) fn no_access(listing: u64) -> Self {
        let error = format!("the account has no access to listing {listing}");
        Self::new(
            StatusCode::FORBIDDEN,
            error,
            "buy the listing first; access ends with the order",
        )
    }

    pub(super) fn wrong_scope() -> Self {
        let error = "the session is for something else";
        Self::new(
            StatusCode::FORBIDDEN,
            error,
            "open a session for this listing or resource",
        )
    }

    pub(super) fn busy() -> Self {
        let error = "too many requests or sessions at once";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            error,
            "try again in a few seconds",
        )
    }

    pub(super) fn timeout() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "the request took too long",
            "ask for a smaller page",
        )
    }

    /// What the operator's log shall say and the buyer not.
    fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "gateway failed");
        let hint = "try again later; the gateway's operator finds the reason in its log";
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the gateway failed",
            hint,
        )
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let again = "ask for a new challenge with POST /v1/challenge and sign it";
        let (error, hint) = match refusal {
            Refusal::Foreign => ("this gateway did not make this challenge", again),
            Refusal::Expired => ("the challenge has expired", again),
            Refusal::Used => ("the challenge was answered already", again),
            Refusal::WrongSigner => (
                "the signature is not of the challenge's account",
                "sign with that account",
            ),
            Refusal::Full => return Self::busy(),
        };
        Self::new(StatusCode::UNAUTHORIZED, error, hint)
    }
}

impl From<ChainError> for ApiError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Unreachable(reason) => {
                tracing::warn!(%reason, "the node does not answer");
                let error = "the gateway cannot ask the chain";
                Self::new(StatusCode::BAD_GATEWAY, error, "try again in a few seconds")
            }
            ChainError::Refused(reason) => {
                let error = format!("the contract refused: {reason}");
                Self::new(
                    StatusCode::FORBIDDEN,
                    error,
                    "check who holds the coupon and its uses",
                )
            }
        }
    }
}

impl From<CompanionError> for ApiError {
    fn from(error: CompanionError) -> Self {
        match error {
            CompanionError::UnknownBatch { .. } | CompanionError::UnknownRecord(_) => {
                let hint = "use `next` of the page before";
                Self::new(StatusCode::NOT_FOUND, error.to_string(), hint)
            }
            other => Self::internal(&other),
        }
    }
}

impl From<GatewayError> for ApiError {
    fn from(error: GatewayError) -> Self {
        Self::internal(&error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = Problem {
            error: self.error,
            hint: self.hint.into(),
        };
        (self.status, Json(problem)).into_response()
    }
}
