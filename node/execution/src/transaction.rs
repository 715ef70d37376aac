//! A signed transaction in the machine's form, and the machine's refusals in ours.

use crate::{
    ExecutionError, TransactionRefused,
    evm::{MachineError, machine_failure},
};
use alloy_consensus::{Transaction as _, Typed2718};
use alloy_primitives::{Address, B256};
use medina_types::Transaction;
use revm::{
    context::TxEnv,
    context_interface::{
        either::Either,
        result::{EVMError, InvalidTransaction},
    },
    primitives::eip3860,
};

/// EIP-2718 type of blob transactions.
pub(crate) const BLOB_TRANSACTION_TYPE: u8 = 3;

/// The machine's form of a signed transaction.
pub(crate) fn machine_transaction(transaction: &Transaction, sender: Address) -> TxEnv {
    let authorizations = transaction.authorization_list().unwrap_or_default();
    TxEnv {
        tx_type: transaction.ty(),
        caller: sender,
        gas_limit: transaction.gas_limit(),
        gas_price: transaction.max_fee_per_gas(),
        kind: transaction.kind(),
        value: transaction.value(),
        data: transaction.input().clone(),
        nonce: transaction.nonce(),
        chain_id: transaction.chain_id(),
        access_list: transaction.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: transaction.max_priority_fee_per_gas(),
        blob_hashes: transaction
            .blob_versioned_hashes()
            .map(<[B256]>::to_vec)
            .unwrap_or_default(),
        max_fee_per_blob_gas: transaction.max_fee_per_blob_gas().unwrap_or(0),
        authorization_list: authorizations.iter().cloned().map(Either::Left).collect(),
    }
}

/// Where a refusal happened; the machine's errors do not say all of it.
pub(crate) struct RefusalContext {
    pub(crate) sender: Address,
    pub(crate) max_fee: u128,
    pub(crate) base_fee: u64,
    pub(crate) gas_limit: u64,
    pub(crate) block_gas_limit: u64,
    pub(crate) input_bytes: usize,
    pub(crate) transaction_chain_id: Option<u64>,
    pub(crate) chain_id: u64,
}

impl RefusalContext {
    pub(crate) fn of(
        transaction: &TxEnv,
        base_fee: u64,
        block_gas_limit: u64,
        chain_id: u64,
    ) -> Self {
        Self {
            sender: transaction.caller,
            max_fee: transaction.gas_price,
            base_fee,
            gas_limit: transaction.gas_limit,
            block_gas_limit,
            input_bytes: transaction.data.len(),
            transaction_chain_id: transaction.chain_id,
            chain_id,
        }
    }

    /// A machine's error in our words, whether the transaction's fault or ours.
    pub(crate) fn failure(&self, error: MachineError) -> ExecutionError {
        match error {
            EVMError::Transaction(invalid) => self.explain(invalid).into(),
            other => machine_failure(other),
        }
    }

    /// Puts a machine's refusal into our words.
    pub(crate) fn explain(&self, invalid: InvalidTransaction) -> TransactionRefused {
        use InvalidTransaction as Invalid;
        use TransactionRefused as Refused;
        let sender = self.sender;
        match invalid {
            Invalid::NonceTooLow { tx, state } => Refused::NonceTooLow {
                sender,
                nonce: tx,
                expected: state,
            },
            Invalid::NonceTooHigh { tx, state } => Refused::NonceTooHigh {
                sender,
                nonce: tx,
                expected: state,
            },
            Invalid::NonceOverflowInTransaction => Refused::NonceExhausted(sender),
            Invalid::LackOfFundForMaxFee { fee, balance } => Refused::InsufficientFunds {
                sender,
                have: *balance,
                want: *fee,
            },
            Invalid::CallGasCostMoreThanGasLimit {
                initial_gas,
                gas_limit,
            } => Refused::IntrinsicGasTooLow {
                have: gas_limit,
                want: initial_gas,
            },
            Invalid::GasFloorMoreThanGasLimit {
                gas_floor,
                gas_limit,
            } => Refused::FloorDataGas {
                have: gas_limit,
                want: gas_floor,
            },
            Invalid::GasPriceLessThanBasefee => Refused::FeeBelowBaseFee {
                sender,
                max_fee: self.max_fee,
                base_fee: self.base_fee,
            },
            Invalid::PriorityFeeGreaterThanMaxFee => Refused::TipAboveFee(sender),
            Invalid::CallerGasLimitMoreThanBlock => Refused::ExceedsBlockGas {
                wanted: self.gas_limit,
                left: self.block_gas_limit,
            },
            Invalid::TxGasLimitGreaterThanCap { gas_limit, cap } => Refused::GasLimitAboveCap {
                wanted: gas_limit,
                cap,
            },
            Invalid::RejectCallerWithCode => Refused::SenderHasCode(sender),
            Invalid::CreateInitCodeSizeLimit => Refused::InitCodeTooLarge {
                got: self.input_bytes,
                max: eip3860::MAX_INITCODE_SIZE,
            },
            Invalid::InvalidChainId | Invalid::MissingChainId => Refused::WrongChain {
                have: self.transaction_chain_id,
                want: self.chain_id,
            },
            other => Refused::Other(other.to_string()),
        }
    }
}
