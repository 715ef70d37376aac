//! What test suites ask of a development network: `anvil_*`, `evm_*`,
//! `hardhat_*`, and accounts that the node signs for.
//!
//! Names and answers are those of Anvil and Hardhat. Nothing here is registered
//! unless the node comes with [`DevControls`], which `medina dev` alone makes.
//!
//! Changes of the state are blocks of their own here, with the time of the block
//! before: each state that can be read is that of a block whose root it has. So a
//! change raises the block number by one, which it does not elsewhere.

mod accounts;
mod controls;
mod quantity;
mod time_and_blocks;

pub(crate) use accounts::{send_transaction, settle};
pub use controls::{DevControls, DevError};

use alloy_primitives::{Address, B256, Bytes, U256};
use jsonrpsee::{
    server::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use medina_execution::{AccountEdit, StateEdit};
use medina_storage::StateReader as _;
use medina_types::limits;
use quantity::Quantity;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::{future::Future, sync::Arc};

use crate::{
    arguments::Arguments,
    context::Context,
    errors::{self, Answer, fault, invalid_params, server, unsupported},
    registry::Registry,
};

/// First byte of codes that no account can have (EIP-3541), but for delegations.
const RESERVED_CODE: u8 = 0xef;
/// What a delegation begins with (EIP-7702), and its length.
const DELEGATION: [u8; 3] = [RESERVED_CODE, 0x01, 0x00];
const DELEGATION_BYTES: usize = 23;

/// Registers everything if the node is one of a development network.
pub(crate) fn register(registry: &mut Registry, is_dev: bool) -> Result<(), RegisterMethodError> {
    if !is_dev {
        return Ok(());
    }
    accounts::register(registry)?;
    time_and_blocks::register(registry)?;
    for name in ["anvil_setBalance", "hardhat_setBalance"] {
        control(registry, name, set_balance)?;
    }
    for name in ["anvil_setNonce", "hardhat_setNonce", "evm_setAccountNonce"] {
        control(registry, name, set_nonce)?;
    }
    for name in ["anvil_setCode", "hardhat_setCode"] {
        control(registry, name, set_code)?;
    }
    for name in ["anvil_setStorageAt", "hardhat_setStorageAt"] {
        control(registry, name, set_storage)?;
    }
    for name in ["anvil_setCoinbase", "hardhat_setCoinbase"] {
        control(registry, name, set_coinbase)?;
    }
    for name in [
        "anvil_setNextBlockBaseFeePerGas",
        "hardhat_setNextBlockBaseFeePerGas",
    ] {
        control(registry, name, set_base_fee)?;
    }
    Ok(())
}

/// The controls; methods that need them are registered where they are.
pub(crate) fn controls(context: &Context) -> Answer<Arc<dyn DevControls>> {
    let controls = context.node.dev();
    controls.ok_or_else(|| unsupported("this is no development network"))
}

/// Registers a method that works on the network and answers when it is done.
pub(super) fn control<T, F>(
    registry: &mut Registry,
    name: &'static str,
    method: fn(Arc<Context>, Arguments) -> F,
) -> Result<(), RegisterMethodError>
where
    T: Serialize + 'static,
    F: Future<Output = Answer<T>> + Send + 'static,
{
    registry.module.register_async_method(
        name,
        move |params: Params<'static>, context, _| async move {
            let arguments = Arguments::of(&params)?;
            let answer: T = method(context, arguments).await?;
            let answer: Box<RawValue> = to_raw_value(&answer).map_err(fault)?;
            Ok::<_, ErrorObjectOwned>(answer)
        },
    )?;
    Ok(())
}

/// What a caller hears of a control that did nothing.
pub(super) fn failed(error: DevError) -> ErrorObjectOwned {
    match error {
        DevError::Refused(text) => invalid_params(text),
        DevError::Unsupported(text) => unsupported(text),
        DevError::TooLate(_) => server(error.to_string()),
    }
}

async fn edit(context: &Context, address: Address, change: AccountEdit) -> Answer<bool> {
    let edits = vec![StateEdit { address, change }];
    controls(context)?.edit(edits).await.map_err(failed)?;
    Ok(true)
}

async fn set_balance(context: Arc<Context>, mut arguments: Arguments) -> Answer<bool> {
    let address = arguments.required()?;
    let Quantity(balance) = arguments.required()?;
    edit(&context, address, AccountEdit::Balance(balance)).await
}

async fn set_nonce(context: Arc<Context>, mut arguments: Arguments) -> Answer<bool> {
    let address = arguments.required()?;
    let nonce = arguments.required::<Quantity>()?.saturated();
    if nonce == u64::MAX {
        return Err(invalid_params("EIP-2681: a nonce is less than 2^64 - 1"));
    }
    edit(&context, address, AccountEdit::Nonce(nonce)).await
}

async fn set_code(context: Arc<Context>, mut arguments: Arguments) -> Answer<bool> {
    let address = arguments.required()?;
    let code: Bytes = arguments.required()?;
    let is_delegation = code.starts_with(&DELEGATION) && code.len() == DELEGATION_BYTES;
    if code.first() == Some(&RESERVED_CODE) && !is_delegation {
        return Err(invalid_params("EIP-3541: no code begins with 0xef"));
    }
    if code.len() > limits::TRANSACTION_BYTES_MAX {
        return Err(invalid_params(
            "the code is larger than a transaction may be",
        ));
    }
    edit(&context, address, AccountEdit::Code(code)).await
}

async fn set_storage(context: Arc<Context>, mut arguments: Arguments) -> Answer<bool> {
    let address = arguments.required()?;
    let Quantity(key) = arguments.required()?;
    let value: B256 = arguments.required()?;
    let account = context.store().state().account(address);
    if account.map_err(errors::storage)?.is_none() {
        return Err(invalid_params(
            "an account that does not exist has no storage: set its code, nonce or balance first",
        ));
    }
    let value = U256::from_be_bytes(value.0);
    edit(&context, address, AccountEdit::Slot { key, value }).await
}

async fn set_coinbase(_context: Arc<Context>, _arguments: Arguments) -> Answer<bool> {
    Err(unsupported(
        "a block's beneficiary is the operator who proposed it; validators vote for nothing else",
    ))
}

async fn set_base_fee(context: Arc<Context>, mut arguments: Arguments) -> Answer<Option<()>> {
    let Quantity(fee) = arguments.required()?;
    let head = context.head();
    let next = medina_execution::next_base_fee(context.spec(), &head.header);
    if fee == U256::from(next) {
        return Ok(None);
    }
    Err(unsupported(format!(
        "the base fee follows from the blocks before and is {next} next; validators vote for nothing else"
    )))
}
