//! What the pool is told at the start and whom it asks.

use crate::PoolError;
use alloy_primitives::{Address, B256, U256};
use medina_types::{ChainSpec, GasPolicy, RecoveredTransaction, limits};

/// Rules and bounds of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolConfig {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Gas limit of a block.
    pub gas_limit: u64,
    /// Who pays for gas; free gas has a credit.
    pub gas_policy: GasPolicy,
    /// Transactions held; [`limits::POOL_TRANSACTIONS_MAX`].
    pub transactions_max: usize,
    /// Bytes held; [`limits::POOL_BYTES_MAX`].
    pub bytes_max: usize,
    /// Whether genesis takes the private transactions of `GoQuorum`'s clients: their
    /// public form names no chain.
    pub quorum_compat: bool,
}

impl PoolConfig {
    /// The usual bounds with these rules.
    #[must_use]
    pub const fn new(chain_id: u64, gas_limit: u64, gas_policy: GasPolicy) -> Self {
        Self {
            chain_id,
            gas_limit,
            gas_policy,
            transactions_max: limits::POOL_TRANSACTIONS_MAX,
            bytes_max: limits::POOL_BYTES_MAX,
            quorum_compat: false,
        }
    }

    /// The usual bounds with a chain's rules.
    #[must_use]
    pub const fn of(spec: &ChainSpec) -> Self {
        Self::new(spec.chain_id, spec.gas_limit, spec.gas_policy)
    }
}

/// Accounts as they are at the head.
pub trait AccountView {
    /// Next nonce and balance of an account; zeros for one that does not exist.
    ///
    /// # Errors
    /// [`PoolError::State`] when the state cannot be read.
    fn nonce_and_balance(&self, address: Address) -> Result<(u64, U256), PoolError>;
}

/// A further question at the pool's door, such as permissions.
pub trait Admission: Send + Sync {
    /// Whether this transaction may wait here.
    ///
    /// # Errors
    /// A sentence for the sender.
    fn admit(&self, transaction: &RecoveredTransaction) -> Result<(), String>;
}

/// Which organisation an account belongs to.
pub trait OrganisationOf: Send + Sync {
    /// The organisation, `None` for an account without one.
    fn organisation(&self, account: Address) -> Option<B256>;
}

/// Where a transaction came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Our own RPC.
    Local,
    /// Another node.
    Peer,
}
