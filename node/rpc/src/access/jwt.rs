//! JSON Web Tokens (RFC 7519), signed with HMAC-SHA256 (HS256) and a shared
//! secret of 32 bytes, as other nodes' authenticated ports take them.
//!
//! A token says what it opens in one of three ways: `scope`, a text of entries
//! parted by spaces; `namespaces` or `permissions`, lists of entries. What it
//! says nothing of, everybody has anyway. Entries `psi://PARTY` among these, or in
//! a list `private`, say which private parties it may act as. A token without an end (`exp`) must be
//! fresh: issued (`iat`) within a minute of now.

use alloy_primitives::hex;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use std::{fmt, path::Path, sync::Arc};

use super::{
    Access, KeysError,
    keys::read_secret_file,
    private::{PrivateAccess, part},
};

/// Bytes of a token; ours take a few hundred.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Who acts in the audit log where a token names nobody.
const NOBODY: &str = "token without subject";
/// Seconds by which two clocks may differ, and that a token without an end lives.
const CLOCK_SECONDS: u64 = 60;

/// The secret that tokens are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct JwtSecret([u8; 32]);

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// Whom it names, for logs.
    pub(crate) subject: Option<String>,
    /// What it opens.
    pub(crate) access: Arc<Access>,
    /// Whom it may act as among this node's private parties.
    pub(crate) private: Option<Arc<PrivateAccess>>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    iat: Option<f64>,
    nbf: Option<f64>,
    exp: Option<f64>,
    scope: Option<String>,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default)]
    permissions: Vec<String>,
    #[serde(default)]
    private: Vec<String>,
}

impl JwtSecret {
    /// A secret.
    #[must_use]
    pub const fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// Reads a file of 64 hexadecimal digits, with or without `0x`, which only its
    /// owner may be able to read.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub fn load(path: &Path) -> Result<Self, KeysError> {
        let text = read_secret_file(path)?;
        let bytes = hex::decode(text.trim()).ok();
        let secret = bytes.and_then(|bytes| bytes.try_into().ok());
        secret.map(Self).ok_or_else(|| KeysError::Malformed {
            path: path.to_owned(),
            reason: "a secret for tokens is 64 hexadecimal digits (`openssl rand -hex 32`)".into(),
        })
    }

    /// Checks a token.
    ///
    /// # Errors
    /// Why it opens nothing.
    pub(crate) fn verify(&self, token: &str, now_s: u64) -> Result<Token, &'static str> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err("the token is too long");
        }
        let malformed = "the token is no JSON Web Token";
        let (signed, signature) = token.rsplit_once('.').ok_or(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| malformed)?;
        if header.alg != "HS256" {
            return Err("the token is not signed with HS256");
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).map_err(|_| malformed)?;
        mac.update(signed.as_bytes());
        mac.verify_slice(&decode(signature)?)
            .map_err(|_| "the token's signature is wrong")?;
        let claims: Claims = serde_json::from_slice(&decode(claims)?)
            .map_err(|_| "the token's claims cannot be read")?;
        check_times(&claims, now_s)?;
        let scope = claims.scope.as_deref().unwrap_or_default();
        let listed = claims.namespaces.iter().chain(&claims.permissions);
        let listed = listed.chain(&claims.private).map(String::as_str);
        let (scopes, entries) = part(scope.split_whitespace().chain(listed))?;
        let access = Access::of(entries).map_err(|_| "the token opens something unknown")?;
        let access = Arc::new(access);
        let actor = claims.sub.clone().unwrap_or_else(|| NOBODY.to_owned());
        Ok(Token {
            subject: claims.sub,
            private: PrivateAccess::new(actor, access.clone(), scopes)?,
            access,
        })
    }
}

fn check_times(claims: &Claims, now_s: u64) -> Result<(), &'static str> {
    // Seconds of this era are exact in 64 bits of floating point.
    let (now, slack) = (now_s as f64, CLOCK_SECONDS as f64);
    let is_early = |time: f64| time > now + slack;
    if claims.nbf.is_some_and(is_early) || claims.iat.is_some_and(is_early) {
        return Err("the token is not valid yet");
    }
    match (claims.exp, claims.iat) {
        (Some(end), _) if end <= now => Err("the token has expired"),
        (Some(_), _) => Ok(()),
        (None, Some(issued)) if issued + slack >= now => Ok(()),
        (None, Some(_)) => Err("the token is stale: give it an exp, or issue a new one"),
        (None, None) => Err("the token has neither exp nor iat"),
    }
}

impl fmt::Debug for JwtSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JwtSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW_S: u64 = 1_800_000_000;
    const SECRET: [u8; 32] = [7; 32];

    fn token(header: &Value, claims: &Value, secret: &[u8]) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        mac.update(signed.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        format!("{signed}.{signature}")
    }

    fn verified(claims: &Value) -> Result<Token, &'static str> {
        let token = token(&json!({ "alg": "HS256", "typ": "JWT" }), claims, &SECRET);
        JwtSecret(SECRET).verify(&token, NOW_S)
    }

    #[test]
    fn token_that_another_implementation_signed_is_verified() {
        // Python's hmac: {"sub": "explorer", "exp": 1800000001, "scope": "eth debug"}.
        let text = "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiZXhwbG9yZXIiLCAiZXhwIjogMTgwMDAwMDAwMSwgInNjb3BlIjogImV0aCBkZWJ1ZyJ9.IDo1SWBKH3yhW_LoMGyXMWhZb6mxUXNTuwGexJJugBs";
        let token = JwtSecret(SECRET).verify(text, NOW_S).unwrap();
        assert_eq!(token.subject.as_deref(), Some("explorer"));
        assert!(token.access.allows("debug_traceCall"));
    }

    #[test]
    fn scopes_are_read_however_they_are_written() {
        let end = NOW_S + 1;
        for claims in [
            json!({ "exp": end, "scope": "eth debug_traceCall" }),
            json!({ "exp": end, "namespaces": ["eth", "debug_traceCall"] }),
            json!({ "exp": end, "permissions": ["eth:*", "debug:traceCall"] }),
        ] {
            let access = verified(&claims).unwrap().access;
            assert!(access.allows("eth_call") && access.allows("debug_traceCall"));
            assert!(!access.allows("debug_traceBlockByNumber"), "{claims}");
        }
        let named = verified(&json!({ "iat": NOW_S, "sub": "alice" })).unwrap();
        assert_eq!(named.subject.as_deref(), Some("alice"));
    }

    #[test]
    fn private_scopes_stand_where_the_others_do_or_by_themselves() {
        let end = NOW_S + 1;
        for claims in [
            json!({ "exp": end, "sub": "alice", "scope": "priv psi://clinic?self.eoa=0x0" }),
            json!({ "exp": end, "sub": "alice", "permissions": ["priv:*", "psi://clinic"] }),
            json!({ "exp": end, "sub": "alice", "scope": "priv", "private": ["psi://clinic"] }),
        ] {
            let private = verified(&claims).unwrap().private.unwrap();
            assert_eq!(private.actor, "alice");
            assert!(private.allows("priv_call") && !private.allows("eth_getQuorumPayload"));
            assert!(private.scope("clinic").is_some() && private.scope("lab").is_none());
        }
        let none = verified(&json!({ "exp": end, "scope": "priv *" })).unwrap();
        assert!(none.private.is_none());
        let wrong = json!({ "exp": end, "scope": "psi://clinic?what=1" });
        assert!(verified(&wrong).is_err());
    }

    #[test]
    fn what_is_late_early_forged_or_unsigned_opens_nothing() {
        for (claims, reason) in [
            (json!({ "exp": NOW_S }), "expired"),
            (
                json!({ "exp": NOW_S + 9, "nbf": NOW_S + 61 }),
                "not valid yet",
            ),
            (json!({ "iat": NOW_S - 61 }), "stale"),
            (json!({ "iat": NOW_S + 61 }), "not valid yet"),
            (json!({}), "neither exp nor iat"),
            (json!({ "exp": NOW_S + 9, "scope": "eth.call" }), "unknown"),
        ] {
            let refused = verified(&claims).unwrap_err();
            assert!(refused.contains(reason), "{claims}: {refused}");
        }
        let claims = json!({ "exp": NOW_S + 9, "scope": "*" });
        let secret = JwtSecret(SECRET);
        let forged = token(&json!({ "alg": "HS256" }), &claims, &[8; 32]);
        assert!(secret.verify(&forged, NOW_S).is_err());
        let unsigned = token(&json!({ "alg": "none" }), &claims, &SECRET);
        assert!(secret.verify(&unsigned, NOW_S).is_err());
        for text in [
            "",
            ".",
            "..",
            "a.b.c",
            "eyJhbGciOiJIUzI1NiJ9..",
            &"a".repeat(9_000),
        ] {
            assert!(secret.verify(text, NOW_S).is_err(), "{text}");
        }
        assert_eq!(format!("{secret:?}"), "JwtSecret(..)");
    }
}
