//! A call under an inspector: as [`Executor::call`], within bounds.

use crate::{
    CallEnvironment, CallRequest, Executor, MachineContext,
    trace::{Before, Bounded, TraceBounds, TraceError, Watched},
};
use medina_storage::StateReader;
use revm::{InspectEvm, Inspector};

impl Executor {
    /// Runs a call under an inspector; `read` makes the answer.
    ///
    /// # Errors
    /// When a bound is passed, the call could not be a transaction, or this node
    /// cannot execute. A revert is an outcome.
    pub fn watch_call<'a, I, T>(
        &'a self,
        state: &'a dyn StateReader,
        environment: CallEnvironment,
        request: &CallRequest,
        bounds: TraceBounds,
        inspector: I,
        read: impl FnOnce(Watched<'_, 'a, I>) -> T,
    ) -> Result<T, TraceError>
    where
        I: Inspector<MachineContext<'a>>,
    {
        let gas = self.call_gas(state, request)?;
        let inspector = Bounded::new(inspector, bounds);
        let (mut machine, transaction) =
            self.prepare_call(state, environment, request, gas, inspector)?;
        let context = self.refusal_context(&machine, &transaction);
        let outcome = machine.inspect_tx(transaction.clone()).map_err(|error| {
            let passed = machine.inspector.passed();
            passed.unwrap_or_else(|| context.failure(error).into())
        })?;
        Ok(read(Watched {
            inspector: &mut machine.inspector.inner,
            transaction: &transaction,
            block: &machine.ctx.block,
            outcome: &outcome,
            before: Before::new(&mut machine.ctx.journaled_state.database),
        }))
    }
}
