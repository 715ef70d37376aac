//! `eth_getLogs`.

use alloy_rpc_types_eth::Log;
use jsonrpsee::server::RegisterMethodError;

use crate::{
    arguments::Arguments, context::Context, errors::Answer, log_filter::LogFilter,
    registry::Registry,
};

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.scan("eth_getLogs", get_logs)
}

pub(crate) fn get_logs(context: &Context, arguments: &mut Arguments) -> Answer<Vec<Log>> {
    context.logs(&LogFilter::read(arguments.given()?)?)
}
