//! `eth_createAccessList`: which accounts and slots a call touches.

use crate::{CallEnvironment, CallOutcome, CallRequest, ExecutionError, Executor};
use alloy_eips::eip2930::AccessList;
use medina_storage::StateReader;
use revm_inspectors::access_list::AccessListInspector;

/// Runs after which a list that still changes is answered as it is: a contract
/// can make its way depend on gas, and gas depends on the list.
const ROUNDS_MAX: usize = 16;

/// An access list and what the call comes to with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessListOutcome {
    /// Accounts and slots, sorted; caller, callee and precompiles left out.
    pub access_list: AccessList,
    /// The call with that list.
    pub outcome: CallOutcome,
}

impl Executor {
    /// Finds the access list of a call: repeats it with the list of the former
    /// run until nothing is added.
    ///
    /// # Errors
    /// As [`Executor::call`]. A call that fails has a list, too.
    pub fn create_access_list(
        &self,
        state: &dyn StateReader,
        environment: CallEnvironment,
        request: &CallRequest,
    ) -> Result<AccessListOutcome, ExecutionError> {
        let mut request = request.clone();
        let mut access_list = request.access_list.take().unwrap_or_default();
        for _ in 0..ROUNDS_MAX {
            request.access_list = Some(access_list.clone());
            let inspector = AccessListInspector::new(access_list.clone());
            let (outcome, inspector) =
                self.inspect_call(state, environment, &request, inspector)?;
            let found = inspector.into_access_list();
            if found == access_list {
                return Ok(AccessListOutcome {
                    access_list,
                    outcome,
                });
            }
            access_list = found;
        }
        request.access_list = Some(access_list.clone());
        let outcome = self.call(state, environment, &request)?;
        Ok(AccessListOutcome {
            access_list,
            outcome,
        })
    }
}
