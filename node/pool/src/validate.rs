//! Checks that need no state. The order is geth's, so that a transaction with
//! two faults is refused for the same one.

use crate::{
    PoolConfig, PoolError,
    intrinsic::{floor_gas, intrinsic_gas, is_blob},
};
use alloy_consensus::Transaction as _;
use medina_types::{RecoveredTransaction, Transaction, compat_handle, limits};

/// EIP-3860: twice the largest code of EIP-170.
const INITCODE_BYTES_MAX: usize = 2 * 24_576;

/// EIP-7825.
const TRANSACTION_GAS_MAX: u64 = 1 << 24;

/// Checks everything that holds whatever the state.
pub(crate) fn check(
    config: &PoolConfig,
    recovered: &RecoveredTransaction,
) -> Result<(), PoolError> {
    let transaction = recovered.transaction();
    if is_blob(transaction) {
        return Err(PoolError::Blob);
    }
    check_size(recovered)?;
    check_gas_limit(config, transaction)?;
    check_fees(transaction)?;
    check_chain(config, transaction)?;
    check_gas(transaction)?;
    if transaction.is_eip7702() && transaction.authorization_list().is_none_or(<[_]>::is_empty) {
        return Err(PoolError::EmptyAuthorizationList);
    }
    match transaction.nonce() {
        u64::MAX => Err(PoolError::NonceMax(u64::MAX)),
        _ => Ok(()),
    }
}

fn check_size(recovered: &RecoveredTransaction) -> Result<(), PoolError> {
    let (got, max) = (recovered.encoded_length(), limits::TRANSACTION_BYTES_MAX);
    if got > max {
        return Err(PoolError::Oversized { got, max });
    }
    let (got, max) = (recovered.transaction().input().len(), INITCODE_BYTES_MAX);
    if recovered.transaction().is_create() && got > max {
        return Err(PoolError::InitcodeTooLarge { got, max });
    }
    Ok(())
}

fn check_gas_limit(config: &PoolConfig, transaction: &Transaction) -> Result<(), PoolError> {
    let got = transaction.gas_limit();
    if got > config.gas_limit {
        return Err(PoolError::ExceedsBlockGasLimit {
            got,
            max: config.gas_limit,
        });
    }
    if got > TRANSACTION_GAS_MAX {
        return Err(PoolError::GasLimitTooHigh {
            got,
            max: TRANSACTION_GAS_MAX,
        });
    }
    Ok(())
}

fn check_fees(transaction: &Transaction) -> Result<(), PoolError> {
    let fee = transaction.max_fee_per_gas();
    match transaction.max_priority_fee_per_gas() {
        Some(tip) if tip > fee => Err(PoolError::TipAboveFee { tip, fee }),
        _ => Ok(()),
    }
}

fn check_chain(config: &PoolConfig, transaction: &Transaction) -> Result<(), PoolError> {
    let want = config.chain_id;
    match transaction.chain_id() {
        None if config.quorum_compat && compat_handle(transaction).is_some() => Ok(()),
        None => Err(PoolError::NotReplayProtected),
        Some(have) if have != want => Err(PoolError::WrongChain { have, want }),
        Some(_) => Ok(()),
    }
}

fn check_gas(transaction: &Transaction) -> Result<(), PoolError> {
    let got = transaction.gas_limit();
    let needed = intrinsic_gas(transaction);
    if got < needed {
        return Err(PoolError::IntrinsicGasTooLow { got, needed });
    }
    let needed = floor_gas(transaction);
    if got < needed {
        return Err(PoolError::FloorGasTooLow { got, needed });
    }
    Ok(())
}
