//! Ethereum's own system contracts, which genesis predeploys.
//!
//! EIP-2935 keeps parent hashes, EIP-4788 beacon roots (always zero here),
//! EIP-7002 and EIP-7251 queue requests that are hashed into the header and
//! otherwise ignored on Medina.

use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_primitives::{Address, Bytes};

/// Caller of every system call.
pub use alloy_eips::eip4788::SYSTEM_ADDRESS;

/// A contract that genesis must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemContract {
    /// The EIP that demands it.
    pub name: &'static str,
    /// Where it must be.
    pub address: Address,
    /// Its nonce: EIP-161 starts contracts at one.
    pub nonce: u64,
    /// Its runtime code.
    pub code: Bytes,
}

/// The four system contracts of Osaka.
#[must_use]
pub fn system_contracts() -> [SystemContract; 4] {
    let contract = |name, address, code: &Bytes| SystemContract {
        name,
        address,
        nonce: 1,
        code: code.clone(),
    };
    [
        contract(
            PARENT_HASHES.name,
            PARENT_HASHES.address,
            &eip2935::HISTORY_STORAGE_CODE,
        ),
        contract(
            BEACON_ROOTS.name,
            BEACON_ROOTS.address,
            &eip4788::BEACON_ROOTS_CODE,
        ),
        contract(
            WITHDRAWALS.name,
            WITHDRAWALS.address,
            &eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_CODE,
        ),
        contract(
            CONSOLIDATIONS.name,
            CONSOLIDATIONS.address,
            &eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_CODE,
        ),
    ]
}

/// Which contract a system call goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemTarget {
    pub(crate) name: &'static str,
    pub(crate) address: Address,
}

pub(crate) const PARENT_HASHES: SystemTarget = SystemTarget {
    name: "EIP-2935",
    address: eip2935::HISTORY_STORAGE_ADDRESS,
};
pub(crate) const BEACON_ROOTS: SystemTarget = SystemTarget {
    name: "EIP-4788",
    address: eip4788::BEACON_ROOTS_ADDRESS,
};
pub(crate) const WITHDRAWALS: SystemTarget = SystemTarget {
    name: "EIP-7002",
    address: eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
};
pub(crate) const CONSOLIDATIONS: SystemTarget = SystemTarget {
    name: "EIP-7251",
    address: eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
};
