//! The `web3` namespace.

use alloy_primitives::{B256, Bytes, keccak256};
use jsonrpsee::server::RegisterMethodError;

use crate::{arguments::Arguments, context::Context, errors::Answer, registry::Registry};

pub(crate) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.quick("web3_clientVersion", |context, _| {
        Ok(match context.node.dev() {
            // Helpers of test suites go by the beginning of the name.
            Some(_) => format!("anvil-compatible/{}", client_version()),
            None => client_version(),
        })
    })?;
    registry.quick("web3_sha3", sha3)
}

/// Name, version and platform, as other clients write them.
pub(crate) fn client_version() -> String {
    let (system, processor) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("Medina/v{}/{system}-{processor}", env!("CARGO_PKG_VERSION"))
}

fn sha3(_: &Context, arguments: &mut Arguments) -> Answer<B256> {
    Ok(keccak256(arguments.required::<Bytes>()?))
}
