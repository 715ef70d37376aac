//! Public state is read-only: what one private transaction may have changed.

use crate::{BlockState, CallStatus, ExecutionError};
use alloy_primitives::{Address, KECCAK256_EMPTY};
use medina_types::AccountState;
use revm::state::{Account, AccountInfo, EvmState};

/// What failed transactions say.
pub(super) const READ_ONLY: &str = "public state is read-only here";

/// Who may be changed how.
pub(super) struct Permitted<'a> {
    /// The sender, whose nonce grows by one.
    pub(super) sender: Address,
    /// Whether an account is a contract of the group.
    pub(super) is_private: &'a dyn Fn(Address) -> Result<bool, ExecutionError>,
}

/// The public account that a transaction would have changed, the one of the lowest
/// address; `None` if it left all of them alone. `state` is the state before it.
pub(super) fn public_write(
    state: &mut BlockState<'_>,
    changes: &EvmState,
    permitted: &Permitted<'_>,
) -> Result<Option<Address>, ExecutionError> {
    let mut touched: Vec<_> = changes
        .iter()
        .filter(|(_, account)| account.is_touched())
        .collect();
    touched.sort_unstable_by_key(|(address, _)| **address);
    for (address, account) in touched {
        let before = state.account(*address)?.unwrap_or_default();
        if !is_permitted(*address, &before, account, permitted)? {
            return Ok(Some(*address));
        }
    }
    Ok(None)
}

fn is_permitted(
    address: Address,
    before: &AccountState,
    account: &Account,
    permitted: &Permitted<'_>,
) -> Result<bool, ExecutionError> {
    // No wei moves in private, whoever has it.
    if account.info.balance != before.balance && !is_born_and_gone(account) {
        return Ok(false);
    }
    // Only the sender and private contracts create, so what is created is private.
    if account.is_created() || (permitted.is_private)(address)? {
        return Ok(true);
    }
    let writes = account.storage.values().any(|slot| slot.is_changed());
    if writes || account.is_selfdestructed() || code_of(&account.info) != before.code_hash {
        return Ok(false);
    }
    let added = u64::from(address == permitted.sender);
    Ok(account.info.nonce == before.nonce + added)
}

/// Created and destroyed by the same transaction; its balance went elsewhere, which
/// is seen there.
fn is_born_and_gone(account: &Account) -> bool {
    account.is_created() && account.is_selfdestructed()
}

/// The machine writes a zero hash for accounts that it never loaded code for.
fn code_of(info: &AccountInfo) -> alloy_primitives::B256 {
    if info.code_hash.is_zero() {
        KECCAK256_EMPTY
    } else {
        info.code_hash
    }
}

/// How a call ended that would have changed public state.
pub(super) fn read_only_status(address: Address) -> CallStatus {
    CallStatus::Halt {
        reason: format!("{READ_ONLY}: {address}"),
        is_out_of_gas: false,
    }
}
