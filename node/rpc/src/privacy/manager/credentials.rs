//! Who calls the transaction manager's port, and for what.

use hyper::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, HeaderName},
};
use jsonrpsee::server::HttpRequest;
use std::sync::Arc;

use super::Failure;
use crate::{access::PrivateAccess, context::Context, front::PARTY};

/// Path before a token, for clients that can set no header.
const KEY_PATH: &str = "/key/";
/// Parameter of the address that carries a token.
const KEY_PARAMETER: &str = "key";
/// Header that carries an API key.
const KEY_HEADER: &str = "x-api-key";

/// What a request's address and headers say, the token taken apart from the path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) path: String,
    pub(super) party: Option<String>,
    secret: Option<String>,
}

impl Address {
    pub(super) fn of(request: &HttpRequest) -> Self {
        let (secret, path) = split(request.uri().path());
        let query = request.uri().query().unwrap_or_default();
        let parameter = |wanted: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let mut found = pairs.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.next().map(|(_, value)| value.to_owned())
        };
        let headers = request.headers();
        let bearer = text(headers, AUTHORIZATION.as_str()).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            let is_bearer = scheme.eq_ignore_ascii_case("bearer");
            is_bearer.then(|| token.trim().to_owned())
        });
        let key = || text(headers, KEY_HEADER).map(str::to_owned);
        Self {
            path: path.to_owned(),
            party: text(headers, PARTY)
                .map(str::to_owned)
                .or_else(|| parameter(PARTY)),
            secret: bearer
                .or_else(key)
                .or(secret.map(str::to_owned))
                .or_else(|| parameter(KEY_PARAMETER)),
        }
    }

    /// The private scopes of the caller, if they open a method.
    ///
    /// # Errors
    /// 401 without a token that is known here, 403 where it does not open this.
    pub(super) fn authorize(
        &self,
        context: &Context,
        method: &str,
    ) -> Result<Arc<PrivateAccess>, Failure> {
        let unauthorized =
            |text: &str| Failure::new(StatusCode::UNAUTHORIZED, format!("unauthorized: {text}"));
        let secret = self.secret.as_deref();
        let secret = secret.ok_or_else(|| unauthorized("give an API key or token"))?;
        let private = private_of(context, secret)?;
        let private = private.filter(|private| private.allows(method));
        private.ok_or_else(|| {
            let text = format!("unauthorized: it does not open {method} for any psi://PARTY");
            Failure::new(StatusCode::FORBIDDEN, text)
        })
    }
}

fn private_of(context: &Context, secret: &str) -> Result<Option<Arc<PrivateAccess>>, Failure> {
    let config = &context.config;
    if let Some(key) = config.keys.find(secret) {
        if key
            .bucket
            .as_ref()
            .is_some_and(|bucket| bucket.take(1).is_err())
        {
            let text = "request rate exceeded; slow down";
            return Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, text));
        }
        return Ok(key.private.clone());
    }
    let unauthorized =
        |text: &str| Failure::new(StatusCode::UNAUTHORIZED, format!("unauthorized: {text}"));
    let jwt = config.jwt.as_ref();
    let jwt = jwt.ok_or_else(|| unauthorized("the API key is unknown here"))?;
    let token = jwt.verify(secret, context.node.clock_s());
    Ok(token.map_err(unauthorized)?.private)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    headers.get(name)?.to_str().ok()
}

/// A token before the path, and the path.
fn split(path: &str) -> (Option<&str>, &str) {
    let Some(rest) = path.strip_prefix(KEY_PATH) else {
        return (None, path);
    };
    match rest.find('/') {
        Some(end) => (Some(&rest[..end]), &rest[end..]),
        None => (Some(rest), "/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonrpsee::server::HttpBody;

    fn address(uri: &str, headers: &[(&str, &str)]) -> Address {
        let mut request = hyper::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Address::of(&request.body(HttpBody::empty()).unwrap())
    }

    #[test]
    fn token_and_party_are_found_wherever_a_client_can_put_them() {
        for (uri, headers) in [
            ("/key/secret/storeraw?PSI=lab", &[][..]),
            ("/storeraw?key=secret&PSI=lab", &[]),
            ("/storeraw?psi=lab", &[("authorization", "Bearer secret")]),
            ("/storeraw", &[("x-api-key", "secret"), ("psi", "lab")]),
        ] {
            let found = address(uri, headers);
            let expected = Address {
                path: "/storeraw".into(),
                party: Some("lab".into()),
                secret: Some("secret".into()),
            };
            assert_eq!(found, expected, "{uri}");
        }
        let nobody = address("/upcheck", &[]);
        assert_eq!((nobody.secret, nobody.party), (None, None));
        assert_eq!(address("/key/secret", &[]).path, "/");
    }
}
