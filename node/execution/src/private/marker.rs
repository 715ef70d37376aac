//! The precompile that a privacy marker calls, and how markers are recognised.
//!
//! A marker's input is a digest and a tag, 32 bytes each; the precompile takes
//! exactly that, answers nothing and changes nothing. What is not 64 bytes, or comes
//! with value, fails: a marker that succeeded is well-formed, and no wei gets stuck.
//!
//! Gas: [`MARKER_GAS`], always. It stands for what members do beside the chain, a
//! look-up in their own index; the payload is delivered and stored elsewhere.

use alloy_consensus::TxReceipt;
use alloy_primitives::Bytes;
use medina_types::{ChainSpec, HeaderRules, MARKER_BYTES, Marker, Receipt, Transaction};
use revm::{
    interpreter::CallInputs,
    precompile::{PrecompileHalt, PrecompileOutput},
};

/// Name of the contract that knows private groups.
pub const PRIVATE_GROUPS: &str = "privateGroups";

/// Whether a chain has the precompile: where genesis has the contract of private groups, so that
/// blocks of a chain made without it are executed as they were.
#[must_use]
pub fn has_marker(spec: &ChainSpec) -> bool {
    spec.header_rules == HeaderRules::Medina && spec.contracts.contains_key(PRIVATE_GROUPS)
}

/// Gas of the precompile, whatever its input.
pub const MARKER_GAS: u64 = 3_000;

/// The marker that a transaction of a public block is, given its receipt: only what
/// was sent to the precompile itself and succeeded.
#[must_use]
pub fn is_marker(transaction: &Transaction, receipt: &Receipt) -> Option<Marker> {
    Marker::of(transaction, receipt.status())
}

/// What a call to the precompile comes to.
pub(crate) fn run(input: &[u8], inputs: &CallInputs) -> PrecompileOutput {
    let halt = |reason| PrecompileOutput::halt(reason, inputs.reservoir);
    if inputs.gas_limit < MARKER_GAS {
        return halt(PrecompileHalt::OutOfGas);
    }
    if input.len() != MARKER_BYTES {
        let reason = "a privacy marker's input is a digest and a tag, 64 bytes";
        return halt(PrecompileHalt::other_static(reason));
    }
    if !inputs.value.get().is_zero() {
        let reason = "a privacy marker carries no value";
        return halt(PrecompileHalt::other_static(reason));
    }
    PrecompileOutput::new(MARKER_GAS, Bytes::new(), inputs.reservoir)
}
