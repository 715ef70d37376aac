//! What a caller pretends for one call: other accounts, another block.

use crate::{BlockState, CallEnvironment, ExecutionError, MedinaPrecompiles, state::StateFailure};
use alloy_primitives::{Address, B256, Bytes, U256};
use std::collections::{BTreeMap, BTreeSet};

/// Pretended values of one account; `None` leaves the real one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountOverride {
    /// Balance in wei.
    pub balance: Option<U256>,
    /// Nonce.
    pub nonce: Option<u64>,
    /// Runtime code.
    pub code: Option<Bytes>,
    /// The whole storage: every other slot is zero.
    pub state: Option<BTreeMap<B256, B256>>,
    /// Single slots; the others stay.
    pub state_diff: Option<BTreeMap<B256, B256>>,
    /// Where this precompile answers instead of at its own address.
    pub move_precompile_to: Option<Address>,
}

/// Why pretended accounts cannot be; texts are geth's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// Something that is no precompile was to be moved.
    #[error("account {0} is not a precompile")]
    NotAPrecompile(Address),
    /// A precompile was to be moved where an account is pretended.
    #[error("account {0} is already overridden")]
    AlreadyOverridden(Address),
    /// An account is pretended where a precompile was moved.
    #[error("account {0} has already been overridden by a precompile")]
    OverriddenByPrecompile(Address),
}

/// Where precompiles answer once these accounts are pretended: a pretended
/// account is none any more. `None` if nothing changes.
pub(crate) fn places_of_precompiles(
    precompiles: &MedinaPrecompiles,
    accounts: &StateOverrides,
) -> Result<Option<BTreeMap<Address, Address>>, OverrideError> {
    if accounts.is_empty() {
        return Ok(None);
    }
    let mut places = precompiles.in_place();
    let mut taken = BTreeSet::new();
    for (address, account) in accounts {
        if taken.contains(address) {
            return Err(OverrideError::OverriddenByPrecompile(*address));
        }
        let precompile = places.get(address).copied();
        if let Some(to) = account.move_precompile_to {
            let precompile = precompile.ok_or(OverrideError::NotAPrecompile(*address))?;
            if accounts.contains_key(&to) {
                return Err(OverrideError::AlreadyOverridden(to));
            }
            places.insert(to, precompile);
            taken.insert(to);
        }
        if precompile.is_some() {
            places.remove(address);
        }
    }
    Ok(Some(places))
}

/// Pretended accounts by address.
pub type StateOverrides = BTreeMap<Address, AccountOverride>;

/// Pretended values of the block; `None` leaves the real one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockOverrides {
    /// Number.
    pub number: Option<u64>,
    /// Time, seconds.
    pub time: Option<u64>,
    /// Gas limit.
    pub gas_limit: Option<u64>,
    /// Beneficiary.
    pub fee_recipient: Option<Address>,
    /// `PREVRANDAO`.
    pub prev_randao: Option<B256>,
    /// Base fee, wei per gas.
    pub base_fee_per_gas: Option<u64>,
    /// Hashes of blocks by number.
    pub block_hash: BTreeMap<u64, B256>,
}

impl BlockOverrides {
    /// The environment with everything pretended put in.
    #[must_use]
    pub fn apply_to(&self, environment: CallEnvironment) -> CallEnvironment {
        CallEnvironment {
            number: self.number.unwrap_or(environment.number),
            timestamp: self.time.unwrap_or(environment.timestamp),
            beneficiary: self.fee_recipient.unwrap_or(environment.beneficiary),
            gas_limit: self.gas_limit.unwrap_or(environment.gas_limit),
            base_fee: self.base_fee_per_gas.unwrap_or(environment.base_fee),
            prevrandao: self.prev_randao.unwrap_or(environment.prevrandao),
            ..environment
        }
    }
}

/// Puts pretended accounts and block hashes on top of a state.
pub(crate) fn pretend(
    state: &mut BlockState<'_>,
    accounts: &StateOverrides,
    block: &BlockOverrides,
) -> Result<(), ExecutionError> {
    pretend_accounts(state, accounts)?;
    for (number, hash) in &block.block_hash {
        state.set_block_hash(*number, *hash);
    }
    Ok(())
}

/// Puts pretended accounts on top of a state.
pub(crate) fn pretend_accounts(
    state: &mut BlockState<'_>,
    accounts: &StateOverrides,
) -> Result<(), ExecutionError> {
    for (address, account) in accounts {
        pretend_account(state, *address, account)?;
    }
    Ok(())
}

fn pretend_account(
    state: &mut BlockState<'_>,
    address: Address,
    pretended: &AccountOverride,
) -> Result<(), StateFailure> {
    let code_hash = match &pretended.code {
        Some(code) if code.is_empty() => Some(alloy_primitives::KECCAK256_EMPTY),
        Some(code) => Some(state.remember_code(code.clone())),
        None => None,
    };
    state.change_account(address, |account| {
        account.balance = pretended.balance.unwrap_or(account.balance);
        account.nonce = pretended.nonce.unwrap_or(account.nonce);
        account.code_hash = code_hash.unwrap_or(account.code_hash);
    })?;
    if pretended.state.is_some() {
        state.wipe_storage(address)?;
    }
    let slots = pretended
        .state
        .iter()
        .chain(&pretended.state_diff)
        .flatten();
    for (key, value) in slots {
        state.set_slot(address, (*key).into(), (*value).into())?;
    }
    Ok(())
}
