//! Between the socket and the methods: connections, callers, limits.
//!
//! ```text
//! accept  : places for connections, in all and per address
//! Socket  : time for headers and for slow readers, backpressure
//! Gate    : HTTP: who calls, content type, size and time of the body
//! Guard   : each call: is it open to the caller, how often, how many at once
//! ```

mod accept;
mod calls;
mod flow;
mod gate;
mod rate;
mod socket;

pub(crate) use accept::{Doors, serve};
pub(crate) use calls::GuardLayer;
pub(crate) use gate::{Caller, GateLayer, PARTY, read_body};
pub(crate) use rate::Bucket;

use flow::Flow;
use std::sync::Arc;

/// One connection, known to every request that comes over it.
#[derive(Clone)]
pub(crate) struct Connection {
    /// Bytes and calls under way.
    flow: Arc<Flow>,
    /// How often it may call; `None`: as often as it likes.
    bucket: Option<Arc<Bucket>>,
}

impl Connection {
    /// Ends it.
    pub(crate) fn cut(&self) {
        self.flow.cut();
    }
}
