//! Names what every crate talks about: heights, blocks, certificates, validator
//! sets, the chain spec as plain data, wire forms and every limit.
//!
//! Nothing here performs input or output. Everything that can arrive from a
//! socket or a disk is decoded with a bound and an error, never a panic.

mod block;
mod certificate;
mod chain_spec;
mod fork_schedule;
mod keys;
pub mod limits;
mod numbers;
mod private_transaction;
mod schedule;
mod state_changes;
mod validators;
pub mod wire;

pub use block::{
    Block, BlockDecodeError, Receipt, RecoveredBlock, RecoveredTransaction, SealedBlock,
    Transaction, TransactionDecodeError,
};
pub use certificate::{Certificate, CertificateError, commit_message};
pub use chain_spec::{
    ChainSpec, ConsensusEngine, ConsensusParameters, ContractDirectory, ED25519_PRECOMPILE,
    GasCreditParameters, GasPolicy, HeaderRules, MeteredGas, PermissionLists, PermissionMode,
};
pub use fork_schedule::{FORKS_BY_BLOCK, Fork, ForkRules, ForkSchedule, ForkScheduleError};
pub use keys::{KeyError, NodePublicKey, NodeSecretKey, NodeSignature};
pub use numbers::{Height, Round};
pub use private_transaction::{
    CompatTransaction, MARKER_ADDRESS, MARKER_BYTES, Marker, PRIVATE_DOMAIN_NAME,
    PRIVATE_DOMAIN_VERSION, PRIVATE_TRANSACTION_TYPE, PrivacyMode, PrivateTransaction,
    PrivateTransactionError, SignedPrivateTransaction, compat_handle, domain_separator,
};
pub use schedule::{HeightContext, ProposerSchedule};
pub use state_changes::{AccountChange, AccountState, StateChanges, StorageChange};
pub use validators::{Validator, ValidatorSet, ValidatorSetError};
