//! Marks what a web page sends.
//!
//! On loopback any page may call the server, as browser wallets need it. What
//! changes the node itself must not be reachable that way: browsers put the
//! page's origin into every such request, WebSockets included.

use jsonrpsee::{Extensions, server::HttpRequest};
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// The request comes from a script of a web page.
#[derive(Clone, Copy, Debug)]
struct FromWebPage;

/// Whether a web page made the request.
pub(crate) fn is_from_web_page(extensions: &Extensions) -> bool {
    extensions.get::<FromWebPage>().is_some()
}

/// Puts the mark on requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MarkWebPages;

/// The service behind the mark.
#[derive(Clone, Debug)]
pub(crate) struct Marked<S>(S);

impl<S> Layer<S> for MarkWebPages {
    type Service = Marked<S>;

    fn layer(&self, inner: S) -> Marked<S> {
        Marked(inner)
    }
}

impl<S, B> Service<HttpRequest<B>> for Marked<S>
where
    S: Service<HttpRequest<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: HttpRequest<B>) -> S::Future {
        if request.headers().contains_key("origin") {
            request.extensions_mut().insert(FromWebPage);
        }
        self.0.call(request)
    }
}
