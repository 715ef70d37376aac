//! Ties method names to functions.
//!
//! A method is a plain function from context and arguments to an answer. How it
//! is run (at once, or on a thread of a lane) is said where it is registered.

use jsonrpsee::{RpcModule, server::RegisterMethodError, types::Params};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;

use crate::{
    arguments::Arguments,
    context::Context,
    errors::{Answer, fault},
    workers::Lane,
};

/// A method: reads its arguments, looks at the node, answers.
pub(crate) type Method<T> = fn(&Context, &mut Arguments) -> Answer<T>;

/// The methods of a server while it is put together.
pub(crate) struct Registry {
    pub(crate) module: RpcModule<Context>,
}

impl Registry {
    pub(crate) fn new(context: Context) -> Self {
        Self {
            module: RpcModule::new(context),
        }
    }

    /// Namespaces of the methods registered so far.
    pub(crate) fn namespaces_of_methods(&self) -> Vec<&'static str> {
        let names = self.module.method_names();
        let namespaces = names.filter_map(|name| name.split_once('_').map(|(space, _)| space));
        let distinct: std::collections::BTreeSet<_> = namespaces.collect();
        distinct.into_iter().collect()
    }

    /// A method that answers from memory and runs on the event loop.
    pub(crate) fn quick<T: Serialize + 'static>(
        &mut self,
        name: &'static str,
        method: Method<T>,
    ) -> Result<(), RegisterMethodError> {
        self.module
            .register_method(name, move |params, context, _| {
                run(context, &params, method)
            })?;
        Ok(())
    }

    /// A method that reads a little from the store.
    pub(crate) fn read<T: Serialize + 'static>(
        &mut self,
        name: &'static str,
        method: Method<T>,
    ) -> Result<(), RegisterMethodError> {
        self.in_lane(name, Lane::Read, method)
    }

    /// A method that runs the EVM.
    pub(crate) fn compute<T: Serialize + 'static>(
        &mut self,
        name: &'static str,
        method: Method<T>,
    ) -> Result<(), RegisterMethodError> {
        self.in_lane(name, Lane::Compute, method)
    }

    /// A method that looks at many blocks.
    pub(crate) fn scan<T: Serialize + 'static>(
        &mut self,
        name: &'static str,
        method: Method<T>,
    ) -> Result<(), RegisterMethodError> {
        self.in_lane(name, Lane::Scan, method)
    }

    /// A method that executes transactions again.
    pub(crate) fn trace<T: Serialize + 'static>(
        &mut self,
        name: &'static str,
        method: Method<T>,
    ) -> Result<(), RegisterMethodError> {
        self.in_lane(name, Lane::Trace, method)
    }

    fn in_lane<T: Serialize + 'static>(
        &mut self,
        name: &'static str,
        lane: Lane,
        method: Method<T>,
    ) -> Result<(), RegisterMethodError> {
        self.module.register_async_method(
            name,
            move |params, context: Arc<Context>, _| async move {
                let workers = context.workers.clone();
                workers
                    .run(lane, move || run(&context, &params, method))
                    .await
            },
        )?;
        Ok(())
    }
}

/// Runs a method and writes its answer, both on the caller's thread.
fn run<T: Serialize>(
    context: &Context,
    params: &Params<'_>,
    method: Method<T>,
) -> Answer<Box<RawValue>> {
    let mut arguments = Arguments::of(params)?;
    let answer = method(context, &mut arguments)?;
    to_raw_value(&answer).map_err(fault)
}
