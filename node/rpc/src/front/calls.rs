//! What is checked of every call, single or in a batch: whether the method is
//! open to the caller, and how often it may call.

use jsonrpsee::{
    server::middleware::rpc::{
        Batch, BatchEntry, BatchEntryErr, MethodResponse, Notification, Request, RpcServiceT,
    },
    types::ErrorObjectOwned,
};
use std::{collections::BTreeSet, sync::Arc};
use tower::Layer;

use super::gate::Caller;
use crate::{access::is_private, errors};

/// Methods that need a connection on which the server can speak unasked.
const SUBSCRIPTIONS: [&str; 2] = ["eth_subscribe", "eth_unsubscribe"];

/// Puts the guard in front of the methods.
#[derive(Clone)]
pub(crate) struct GuardLayer(Arc<BTreeSet<&'static str>>);

impl GuardLayer {
    /// For a server with these methods.
    pub(crate) fn new(methods: impl Iterator<Item = &'static str>) -> Self {
        Self(Arc::new(methods.collect()))
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard {
            inner,
            methods: self.0.clone(),
        }
    }
}

/// The methods behind the guard.
#[derive(Clone)]
pub(crate) struct Guard<S> {
    inner: S,
    methods: Arc<BTreeSet<&'static str>>,
}

impl<S> Guard<S> {
    /// Whether a method may be called.
    fn check(&self, caller: &Caller, method: &str) -> Result<(), ErrorObjectOwned> {
        if !self.methods.contains(method) {
            return Err(errors::unknown_method(method));
        }
        if is_private(method) {
            let private = caller.private.as_ref();
            if !private.is_some_and(|private| private.allows(method)) {
                return Err(errors::private_method(method));
            }
        } else if !caller.access.allows(method) {
            return Err(errors::closed_method(method));
        }
        if !caller.is_websocket && SUBSCRIPTIONS.contains(&method) {
            return Err(errors::no_notifications());
        }
        Ok(())
    }
}

/// Counts calls against what the caller may make.
fn count(caller: &Caller, calls: usize) -> Result<(), ErrorObjectOwned> {
    let of_connection = caller.connection_bucket().map(|bucket| bucket.take(calls));
    if let Some(Err(rate)) = of_connection {
        return Err(errors::too_often("connection", rate));
    }
    match caller.key_bucket().map(|bucket| bucket.take(calls)) {
        Some(Err(rate)) => Err(errors::too_often("API key", rate)),
        _ => Ok(()),
    }
}

fn argument_bytes(request: &Request<'_>) -> usize {
    request
        .params
        .as_ref()
        .map_or(0, |params| params.get().len())
}

impl<S> RpcServiceT for Guard<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let this = self.clone();
        async move {
            let Some(caller) = request.extensions().get::<Caller>().cloned() else {
                return MethodResponse::error(request.id, errors::internal("no caller"));
            };
            let flow = &caller.connection.flow;
            let _under_way = flow.enter(argument_bytes(&request));
            let counted = count(&caller, 1);
            let checked = counted.and_then(|()| this.check(&caller, request.method_name()));
            let answer = match checked {
                Err(error) => MethodResponse::error(request.id, error),
                Ok(()) => {
                    let _turn = flow.turn().await;
                    this.inner.call(request).await
                }
            };
            flow.on_answered(answer.as_json().get().len());
            answer
        }
    }

    fn batch<'a>(&self, mut batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let this = self.clone();
        async move {
            let calls = batch.len();
            let Some(caller) = batch.extensions().get::<Caller>().cloned() else {
                // Nothing in it is a call.
                return this.inner.batch(batch).await;
            };
            let flow = &caller.connection.flow;
            let entries = batch.iter().flatten();
            let bytes = entries.map(|entry| entry.params().map_or(0, |params| params.get().len()));
            let _under_way = flow.enter(bytes.sum());
            let counted = count(&caller, calls);
            for entry in batch.iter_mut() {
                let Ok(BatchEntry::Call(request)) = entry else {
                    continue;
                };
                let counted = counted.clone();
                let checked = counted.and_then(|()| this.check(&caller, request.method_name()));
                if let Err(error) = checked {
                    *entry = Err(BatchEntryErr::new(request.id.clone(), error));
                }
            }
            let _turn = flow.turn().await;
            let answer = this.inner.batch(batch).await;
            // Nothing is sent for notifications alone.
            if !answer.is_notification() {
                flow.on_answered(answer.as_json().get().len());
            }
            answer
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}
