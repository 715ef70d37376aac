//! Transactions without signatures that matter, accounts in a map, and the
//! stories told with them.

mod flood;
mod invariants;
mod order;
mod rules;

use crate::{AccountView, AddOutcome, BlockUpdate, Origin, Pool, PoolConfig, PoolError};
use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use medina_types::{
    GasCreditParameters, GasPolicy, Height, MeteredGas, RecoveredTransaction, Transaction,
};
use parking_lot::Mutex;
use std::collections::BTreeMap;

pub(crate) const CHAIN_ID: u64 = 77;
pub(crate) const GAS_LIMIT: u64 = 30_000_000;
pub(crate) const ETHER: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

pub(crate) fn account(number: u64) -> Address {
    Address::left_padding_from(&(number + 1).to_be_bytes())
}

/// One transaction, described by what the pool looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) sender: u64,
    pub(crate) nonce: u64,
    pub(crate) tip: u128,
    pub(crate) fee: u128,
    pub(crate) gas: u64,
    pub(crate) value: U256,
}

pub(crate) fn transfer(sender: u64, nonce: u64) -> Spec {
    Spec {
        sender,
        nonce,
        tip: 0,
        fee: 0,
        gas: 21_000,
        value: U256::ZERO,
    }
}

impl Spec {
    pub(crate) fn tip(self, tip: u128) -> Self {
        Self {
            tip,
            fee: self.fee.max(tip),
            ..self
        }
    }

    pub(crate) fn fee(self, fee: u128) -> Self {
        Self { fee, ..self }
    }

    pub(crate) fn value(self, value: U256) -> Self {
        Self { value, ..self }
    }

    pub(crate) fn gas(self, gas: u64) -> Self {
        Self { gas, ..self }
    }

    pub(crate) fn unsigned(self) -> TxEip1559 {
        TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: self.nonce,
            gas_limit: self.gas,
            max_fee_per_gas: self.fee,
            max_priority_fee_per_gas: self.tip,
            to: TxKind::Call(account(999)),
            value: self.value,
            access_list: Default::default(),
            input: Bytes::new(),
        }
    }

    pub(crate) fn build(self) -> RecoveredTransaction {
        recovered(self.sender, self.unsigned())
    }
}

/// Joins a transaction with a sender; the signature only makes hashes differ.
pub(crate) fn recovered<T>(sender: u64, transaction: T) -> RecoveredTransaction
where
    T: SignableTransaction<Signature>,
    Transaction: From<alloy_consensus::Signed<T>>,
{
    let signature = Signature::new(U256::from(sender + 1), U256::from(1), false);
    let signed = transaction.into_signed(signature);
    RecoveredTransaction::new_unchecked(signed.into(), account(sender))
}

/// Accounts of the head: nonce 0 and one ether unless said otherwise.
#[derive(Default)]
pub(crate) struct Accounts(Mutex<BTreeMap<Address, (u64, U256)>>);

impl Accounts {
    pub(crate) fn set(&self, number: u64, nonce: u64, balance: U256) {
        self.0.lock().insert(account(number), (nonce, balance));
    }

    pub(crate) fn get(&self, address: Address) -> (u64, U256) {
        self.0.lock().get(&address).copied().unwrap_or((0, ETHER))
    }
}

impl AccountView for Accounts {
    fn nonce_and_balance(&self, address: Address) -> Result<(u64, U256), PoolError> {
        Ok(self.get(address))
    }
}

pub(crate) fn plenty() -> GasPolicy {
    GasPolicy::Free(GasCreditParameters {
        capacity_gas: GAS_LIMIT,
        refill_gas_per_s: GAS_LIMIT,
        shared_capacity_gas: 100 * GAS_LIMIT,
        shared_refill_gas_per_s: 100 * GAS_LIMIT,
    })
}

pub(crate) fn metered(base_fee: u64) -> GasPolicy {
    GasPolicy::Metered(MeteredGas {
        initial_base_fee: base_fee,
        treasury: Address::ZERO,
        treasury_share_bps: 0,
    })
}

pub(crate) fn pool() -> Pool {
    Pool::new(PoolConfig::new(CHAIN_ID, GAS_LIMIT, plenty()))
}

pub(crate) fn add(pool: &Pool, accounts: &Accounts, spec: Spec) -> Result<AddOutcome, PoolError> {
    pool.add(accounts, spec.build(), 0, Origin::Local)
}

/// (sender, nonce) in the order in which a builder is offered them.
pub(crate) fn offered(pool: &Pool, base_fee: u64, now_ms: u64) -> Vec<(Address, u64)> {
    use alloy_consensus::Transaction as _;
    let offers = pool.best(base_fee, now_ms);
    offers
        .map(|offer| (offer.sender(), offer.transaction().nonce()))
        .collect()
}

pub(crate) fn block<'a>(
    included: &'a [crate::IncludedTransaction],
    changed: &'a [Address],
) -> BlockUpdate<'a> {
    BlockUpdate {
        height: Height(1),
        base_fee: 0,
        included,
        changed,
    }
}
