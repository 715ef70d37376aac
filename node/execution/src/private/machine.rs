//! The machine of private transactions: Ethereum's rules, gas that costs nothing.

use super::PrivateExecutor;
use crate::{
    BlockState, CallEnvironment, ExecutionError,
    evm::{machine, machine_failure},
    transaction::RefusalContext,
};
use revm::{
    ExecuteEvm,
    context::{CfgEnv, TxEnv},
    context_interface::result::{EVMError, ResultAndState},
};

impl PrivateExecutor {
    /// Runs one transaction in a machine and answers the state with it: unchanged,
    /// the caller applies what came out. The inner error is a refusal.
    pub(super) fn transact<'a>(
        &self,
        state: BlockState<'a>,
        environment: CallEnvironment,
        mut transaction: TxEnv,
    ) -> (
        Result<Result<ResultAndState, String>, ExecutionError>,
        BlockState<'a>,
    ) {
        let chain_id = self.executor.spec.chain_id;
        transaction.chain_id = Some(chain_id);
        let rules = self
            .executor
            .rules_of(environment.number, environment.timestamp);
        let block = environment.to_block_env(&rules.blobs);
        let context = RefusalContext::of(&transaction, 0, environment.gas_limit, chain_id);
        let mut machine = machine(&rules, config(rules.block_config()), block, state, ());
        let outcome = match machine.transact(transaction) {
            Ok(outcome) => Ok(Ok(outcome)),
            Err(EVMError::Transaction(invalid)) => Ok(Err(context.explain(invalid).to_string())),
            Err(error) => Err(machine_failure(error)),
        };
        (outcome, machine.ctx.journaled_state.database)
    }
}

/// Gas costs nothing and has a limit of its own, not the block's.
fn config(mut config: CfgEnv) -> CfgEnv {
    config.disable_base_fee = true;
    config.disable_block_gas_limit = true;
    config.tx_gas_limit_cap = Some(u64::MAX);
    config
}
