//! Answers a browser that is pointed at the port, so that `GET /` is no error page.

use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tower::{Layer, Service};

const TEXT: &str = "Medina JSON-RPC: POST a request here, or open a WebSocket.\n";

/// Puts the answer in front of the JSON-RPC service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LandingLayer;

/// The JSON-RPC service behind the answer.
#[derive(Clone, Debug)]
pub(crate) struct Landing<S>(S);

impl<S> Layer<S> for LandingLayer {
    type Service = Landing<S>;

    fn layer(&self, inner: S) -> Landing<S> {
        Landing(inner)
    }
}

impl<S, B> Service<HttpRequest<B>> for Landing<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse>,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        let headers = request.headers();
        if request.method() == "GET" && !headers.contains_key("upgrade") {
            return Box::pin(async { Ok(page()) });
        }
        Box::pin(self.0.call(request))
    }
}

fn page() -> HttpResponse {
    HttpResponse::new(HttpBody::from(TEXT))
}
