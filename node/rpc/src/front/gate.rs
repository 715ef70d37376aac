//! What is checked of an HTTP request before anybody reads its JSON: who calls,
//! from which page, in what form, how many bytes and for how long.

use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Method, StatusCode, Uri,
    body::{Body, Bytes, Frame, SizeHint},
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, ORIGIN, UPGRADE,
    },
};
use jsonrpsee::{
    core::BoxError,
    server::{HttpBody, HttpRequest, HttpResponse, http::response},
    types::ErrorObjectOwned,
};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service};

use super::{Connection, rate::Bucket};
use crate::{
    AllowedOrigins, NodeView, RpcConfig,
    access::{Access, ApiKey, ApiKeys, JwtSecret, PrivateAccess},
    errors,
};

/// Bytes of large requests and answers that the whole server holds for HTTP at once.
const LARGE_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Bytes from which a request or answer counts as large.
const LARGE_BYTES_MIN: usize = 64 * 1024;
/// How many times too large a request may be and still be heard to its end.
const HEARD_OUT: usize = 4;
/// How long one that is too large is listened to after it was refused.
const LISTEN_TO_REFUSED_MAX: Duration = Duration::from_secs(5);
/// Unit in which they are counted.
const LARGE_UNIT: usize = 1_024;
/// Header that carries an API key.
const KEY_HEADER: &str = "x-api-key";
/// Path before an API key, for wallets that can set no header.
const KEY_PATH: &str = "/key/";
/// Parameter of the address that carries an API key.
const KEY_PARAMETER: &str = "key";
/// Header and parameter of the address that select a private party, as `GoQuorum`
/// has them.
pub(crate) const PARTY: &str = "psi";

/// Who makes a request.
#[derive(Clone)]
pub(crate) struct Caller {
    /// What it may call.
    pub(crate) access: Arc<Access>,
    /// Its key, if it gave one.
    key: Option<Arc<ApiKey>>,
    /// The private parties that it may act as.
    pub(crate) private: Option<Arc<PrivateAccess>>,
    /// The one of them that it names.
    pub(crate) party: Option<String>,
    /// Where it calls from.
    pub(crate) connection: Connection,
    /// Whether answers can come without being asked for.
    pub(crate) is_websocket: bool,
}

impl Caller {
    /// How often the caller's key may call, over all connections.
    pub(crate) fn key_bucket(&self) -> Option<&Bucket> {
        self.key.as_ref()?.bucket.as_ref()
    }

    /// How often this connection may call.
    pub(crate) fn connection_bucket(&self) -> Option<&Bucket> {
        self.connection.bucket.as_deref()
    }
}

/// What a request proves of its sender.
struct Identified {
    key: Option<Arc<ApiKey>>,
    access: Arc<Access>,
    private: Option<Arc<PrivateAccess>>,
}

/// What the gate checks against.
struct Rules {
    node: Arc<dyn NodeView>,
    public: Arc<Access>,
    keys: ApiKeys,
    jwt: Option<JwtSecret>,
    origins: AllowedOrigins,
    request_bytes_max: u32,
    body_timeout: Duration,
    large: Arc<Semaphore>,
}

/// Puts the gate in front.
#[derive(Clone)]
pub(crate) struct GateLayer(Arc<Rules>);

impl GateLayer {
    pub(crate) fn new(config: &RpcConfig, node: Arc<dyn NodeView>) -> Self {
        Self(Arc::new(Rules {
            node,
            public: Arc::new(config.public.clone()),
            keys: config.keys.clone(),
            jwt: config.jwt.clone(),
            origins: config.origins.clone(),
            request_bytes_max: config.request_bytes_max,
            body_timeout: config.body_timeout,
            large: Arc::new(Semaphore::new(LARGE_BYTES_MAX / LARGE_UNIT)),
        }))
    }
}

/// The service behind the gate.
#[derive(Clone)]
pub(crate) struct Gate<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            inner,
            rules: self.0.clone(),
        }
    }
}

impl<S> Service<HttpRequest> for Gate<S>
where
    S: Service<HttpRequest, Response = HttpResponse, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        // The one that is ready does the work, its clone waits for the next.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let rules = self.rules.clone();
        Box::pin(async move {
            let LetIn {
                request,
                body,
                _held,
            } = match rules.let_in(request).await {
                Ok(passed) => passed,
                Err(refused) => return Ok(*refused),
            };
            // Members that nobody reads would pass as they are.
            if body
                .as_deref()
                .is_some_and(|body| std::str::from_utf8(body).is_err())
            {
                return Ok(json_answer(&errors::no_json()));
            }
            let answer = inner.call(request).await?;
            let answer = match &body {
                Some(asked) if is_parse_error(&answer) && is_json(asked) => no_request(),
                _ => answer,
            };
            Ok(match body.filter(|_| is_nothing(&answer)) {
                Some(asked) => answer_to_nothing(&asked),
                None => rules.hold(answer),
            })
        })
    }
}

type Refused = Box<HttpResponse>;

/// A request that passed the gate.
struct LetIn {
    request: HttpRequest,
    /// Its bytes, where it has a body.
    body: Option<Bytes>,
    /// Its place among the large ones.
    _held: Option<OwnedSemaphorePermit>,
}

impl LetIn {
    const fn without_body(request: HttpRequest) -> Self {
        Self {
            request,
            body: None,
            _held: None,
        }
    }
}

/// Whether jsonrpsee may have answered that the text is no JSON: what it says of
/// that has a length of its own.
fn is_parse_error(answer: &HttpResponse) -> bool {
    let text = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}"#;
    answer.body().size_hint().exact() == Some(text.len() as u64)
}

/// Whether the text is JSON that is neither a request nor a list, such as `1` or
/// `{}`, which jsonrpsee takes for no JSON.
fn is_json(asked: &[u8]) -> bool {
    use serde_json::Value;
    // Anything longer has members that say what it is.
    const BYTES_MAX: usize = 4 * 1024;
    if asked.len() > BYTES_MAX {
        return false;
    }
    match serde_json::from_slice(asked) {
        Ok(Value::Object(members)) => !members.contains_key("method"),
        Ok(Value::Array(_)) | Err(_) => false,
        Ok(_) => true,
    }
}

/// As geth: JSON, but no request.
fn no_request() -> HttpResponse {
    json_answer(&errors::invalid_request("invalid request"))
}

/// An error of JSON-RPC, which for HTTP is none.
fn json_answer(error: &ErrorObjectOwned) -> HttpResponse {
    let mut answer = HttpResponse::new(HttpBody::from(error_body(error).to_string()));
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

/// Whether jsonrpsee had nothing to answer, which it writes as `null`.
fn is_nothing(answer: &HttpResponse) -> bool {
    const NULL_BYTES: u64 = 4;
    answer.body().size_hint().exact() == Some(NULL_BYTES)
}

/// What is answered where nobody asked: to notifications nothing at all, to what
/// has an id that is none (`1.5`, `{}`) an error.
fn answer_to_nothing(asked: &[u8]) -> HttpResponse {
    // Such as a number beyond all numbers, which passes where nobody reads it.
    let Ok(asked) = serde_json::from_slice::<serde_json::Value>(asked) else {
        return json_answer(&errors::no_json());
    };
    let has_id = |one: &serde_json::Value| one.get("id").is_some();
    let text = "invalid request: an id is a text, a whole number from 0 on, or null";
    let error = || error_body(&errors::invalid_request(text));
    let body = match &asked {
        serde_json::Value::Array(calls) => {
            let errors: Vec<_> = calls
                .iter()
                .filter(|call| has_id(call))
                .map(|_| error())
                .collect();
            (!errors.is_empty()).then(|| serde_json::Value::from(errors))
        }
        call => has_id(call).then(error),
    };
    let mut answer = HttpResponse::new(match body {
        Some(body) => HttpBody::from(body.to_string()),
        None => HttpBody::empty(),
    });
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

impl Rules {
    async fn let_in(&self, mut request: HttpRequest) -> Result<LetIn, Refused> {
        let is_websocket = request.headers().contains_key(UPGRADE);
        let Some(connection) = request.extensions().get::<Connection>().cloned() else {
            return Err(refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                &errors::internal("no connection"),
            ));
        };
        let party = named_party(&request);
        let Identified {
            key,
            access,
            private,
        } = self.identify(&mut request)?;
        request.extensions_mut().insert(Caller {
            access,
            key,
            private,
            party,
            connection,
            is_websocket,
        });
        if is_websocket {
            self.check_origin(request.headers())?;
            return Ok(LetIn::without_body(request));
        }
        if [Method::GET, Method::HEAD].contains(request.method()) {
            return Ok(LetIn::without_body(request));
        }
        if request.method() != Method::POST {
            let error = errors::invalid_request("HTTP method not allowed: POST a request");
            return Err(refused(StatusCode::METHOD_NOT_ALLOWED, &error));
        }
        check_content_type(request.headers_mut())?;
        let held = self.reserve(request.headers())?;
        let (request, body) = self.read(request).await?;
        Ok(LetIn {
            request,
            body: Some(body),
            _held: held,
        })
    }

    /// Finds out who calls, and takes what proves it out of the request, so that
    /// nobody behind can log it.
    fn identify(&self, request: &mut HttpRequest) -> Result<Identified, Refused> {
        let Some(secret) = take_secret(request)? else {
            return Ok(Identified {
                key: None,
                access: self.public.clone(),
                private: None,
            });
        };
        if let Some(key) = self.keys.find(&secret) {
            return Ok(Identified {
                key: Some(key.clone()),
                access: Arc::new(self.public.and(&key.access)),
                private: key.private.clone(),
            });
        }
        let Some(jwt) = &self.jwt else {
            return Err(unauthorized("the API key is unknown here"));
        };
        match jwt.verify(&secret, self.node.clock_s()) {
            Ok(token) => {
                tracing::debug!(subject = token.subject, "a token was taken");
                Ok(Identified {
                    key: None,
                    access: Arc::new(self.public.and(&token.access)),
                    private: token.private,
                })
            }
            Err(reason) => Err(unauthorized(reason)),
        }
    }

    /// Browsers do not ask before they open a WebSocket: we do.
    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let AllowedOrigins::These(allowed) = &self.origins else {
            return Ok(());
        };
        let Some(origin) = headers.get(ORIGIN) else {
            return Ok(());
        };
        if allowed
            .iter()
            .any(|one| one.as_bytes() == origin.as_bytes())
        {
            return Ok(());
        }
        let text = "this web page may not call here; add its origin to cors_origins";
        Err(refused(StatusCode::FORBIDDEN, &errors::server(text)))
    }

    /// Room for a large request.
    fn reserve(&self, headers: &HeaderMap) -> Result<Option<OwnedSemaphorePermit>, Refused> {
        let max = self.request_bytes_max as usize;
        match self.room_for(told_bytes(headers).unwrap_or(max).min(max)) {
            Ok(held) => Ok(held),
            Err(()) => Err(refused(StatusCode::SERVICE_UNAVAILABLE, &errors::busy())),
        }
    }

    fn room_for(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, ()> {
        if bytes < LARGE_BYTES_MIN {
            return Ok(None);
        }
        let units = u32::try_from(bytes / LARGE_UNIT).map_err(|_| ())?;
        let held = self.large.clone().try_acquire_many_owned(units);
        held.map(Some).map_err(|_| ())
    }

    /// Reads the whole body within its time.
    async fn read(&self, request: HttpRequest) -> Result<(HttpRequest, Bytes), Refused> {
        let (parts, body) = request.into_parts();
        let max = self.request_bytes_max as usize;
        if told_bytes(&parts.headers).is_some_and(|told| told > max) {
            // The answer is certain, but many clients listen only once all is said.
            let listen = self.body_timeout.min(LISTEN_TO_REFUSED_MAX);
            tokio::spawn(tokio::time::timeout(listen, read_body(body, max)));
            return Err(Box::new(response::too_large(self.request_bytes_max)));
        }
        let read = tokio::time::timeout(self.body_timeout, read_body(body, max));
        match read.await {
            Ok(Ok(Some(bytes))) => {
                let bytes = Bytes::from(bytes);
                let body = HttpBody::new(Full::new(bytes.clone()));
                Ok((HttpRequest::from_parts(parts, body), bytes))
            }
            Ok(Ok(None)) => Err(Box::new(response::too_large(self.request_bytes_max))),
            Ok(Err(_)) => Err(Box::new(response::malformed())),
            Err(_) => {
                let seconds = self.body_timeout.as_secs_f64();
                let text = format!("the request did not arrive within {seconds} s");
                let error = errors::unavailable(text);
                Err(refused(StatusCode::REQUEST_TIMEOUT, &error))
            }
        }
    }

    /// A large answer has its place until it is sent, or is not given.
    fn hold(&self, answer: HttpResponse) -> HttpResponse {
        let bytes = answer.body().size_hint().lower();
        match self.room_for(usize::try_from(bytes).unwrap_or(usize::MAX)) {
            Ok(None) => answer,
            Ok(Some(place)) => answer.map(|body| {
                HttpBody::new(Held {
                    body,
                    _place: place,
                })
            }),
            Err(()) => {
                // The connection counts on bytes that now never come.
                let mut answer = *refused(StatusCode::SERVICE_UNAVAILABLE, &errors::busy());
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
                answer
            }
        }
    }
}

/// Bytes of the body as the client announces them.
fn told_bytes(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The bytes of a body, `None` if there are more than `max`. A client that sends
/// somewhat too much is heard to the end, since it listens only then.
pub(crate) async fn read_body(mut body: HttpBody, max: usize) -> Result<Option<Vec<u8>>, BoxError> {
    let mut bytes = Vec::new();
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        seen += data.len();
        if seen <= max {
            bytes.extend_from_slice(&data);
        } else {
            bytes = Vec::new();
        }
        if seen > max.saturating_mul(HEARD_OUT) {
            break;
        }
    }
    Ok((seen <= max).then_some(bytes))
}

/// The key or token of a request, from wherever a client can put one.
fn take_secret(request: &mut HttpRequest) -> Result<Option<String>, Refused> {
    let of_address = secret_of(request.uri());
    if of_address.is_some() {
        *request.uri_mut() = Uri::from_static("/");
    }
    let headers = request.headers_mut();
    let bearer = headers.remove(AUTHORIZATION);
    let key = headers.remove(KEY_HEADER);
    let text = |value: HeaderValue| value.to_str().map(str::to_owned);
    if let Some(bearer) = bearer {
        let bearer = text(bearer).unwrap_or_default();
        // Other schemes are for proxies in between.
        let secret = bearer
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        if let Some((_, secret)) = secret {
            return Ok(Some(secret.trim().to_owned()));
        }
    }
    match key.map(text) {
        Some(Ok(key)) => Ok(Some(key)),
        Some(Err(_)) => Err(unauthorized("the API key is no text")),
        None => Ok(of_address),
    }
}

/// The private party that a request names, in its header or in its address.
fn named_party(request: &HttpRequest) -> Option<String> {
    let header = request.headers().get(PARTY);
    let header = header.and_then(|value| value.to_str().ok());
    let in_address = || {
        let mut parameters = request.uri().query()?.split('&');
        parameters.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.eq_ignore_ascii_case(PARTY).then_some(value)
        })
    };
    header.or_else(in_address).map(str::to_owned)
}

fn secret_of(uri: &Uri) -> Option<String> {
    if let Some(secret) = uri.path().strip_prefix(KEY_PATH) {
        return Some(secret.trim_end_matches('/').to_owned());
    }
    let parameters = uri.query()?.split('&');
    parameters
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| *name == KEY_PARAMETER)
        .map(|(_, secret)| secret.to_owned())
}

/// JSON, however it is spelt; nothing else, since browsers send the rest to other
/// sites unasked.
fn check_content_type(headers: &mut HeaderMap) -> Result<(), Refused> {
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = given
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    let is_json = [
        "application/json",
        "application/json-rpc",
        "application/jsonrequest",
    ]
    .iter()
    .any(|json| kind.eq_ignore_ascii_case(json));
    if !is_json {
        let text = "invalid content type, only application/json is supported";
        let error = errors::invalid_request(text);
        return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, &error));
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(())
}

fn unauthorized(reason: &str) -> Refused {
    let error = errors::server(format!("unauthorized: {reason}"));
    let mut answer = refused(StatusCode::UNAUTHORIZED, &error);
    let bearer = HeaderValue::from_static("Bearer");
    answer.headers_mut().insert("www-authenticate", bearer);
    answer
}

/// An HTTP error whose body is a JSON-RPC error.
fn refused(status: StatusCode, error: &ErrorObjectOwned) -> Refused {
    let mut answer = HttpResponse::new(HttpBody::from(error_body(error).to_string()));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    Box::new(answer)
}

fn error_body(error: &ErrorObjectOwned) -> serde_json::Value {
    serde_json::json!({ "jsonrpc": "2.0", "id": null, "error": error })
}

/// A body that keeps its place until it is sent.
struct Held {
    body: HttpBody,
    _place: OwnedSemaphorePermit,
}

impl Body for Held {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
