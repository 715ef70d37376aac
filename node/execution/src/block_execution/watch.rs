//! The next transaction of a block under an inspector: as
//! [`BlockExecution::execute`], and the state before can still be read.

use super::{BlockExecution, NotExecuted};
use crate::{
    MachineContext,
    trace::{Before, Bounded, TraceError, Watched, stopped},
    transaction::machine_transaction,
};
use alloy_primitives::Address;
use medina_types::{Receipt, Transaction};
use revm::{InspectEvm, Inspector};

impl<'a> BlockExecution<'a> {
    /// Receipts so far.
    pub(crate) fn receipts(&self) -> &[Receipt] {
        &self.receipts
    }

    /// Executes the next transaction under an inspector and applies it.
    pub(crate) fn watch<I, T>(
        mut self,
        transaction: &Transaction,
        sender: Address,
        inspector: Bounded<I>,
        read: impl FnOnce(Watched<'_, 'a, I>) -> T,
    ) -> Result<(Self, T), TraceError>
    where
        I: Inspector<MachineContext<'a>>,
    {
        self.check_fit(transaction).map_err(NotExecuted::Refused)?;
        let prepared = machine_transaction(transaction, sender);
        let mut machine = self.machine.with_inspector(inspector);
        let outcome = machine
            .inspect_tx(prepared.clone())
            .map_err(|error| stopped(&machine.inspector, error))?;
        let answer = read(Watched {
            inspector: &mut machine.inspector.inner,
            transaction: &prepared,
            block: &machine.ctx.block,
            outcome: &outcome,
            before: Before::new(&mut machine.ctx.journaled_state.database),
        });
        self.machine = machine.with_inspector(());
        self.take_over(transaction, outcome)?;
        Ok((self, answer))
    }
}
