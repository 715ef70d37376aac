//! Why a transaction may not wait here, in geth's words.

use alloy_primitives::{Address, U256};
use medina_types::limits::POOL_REPLACEMENT_BUMP_PERCENT;

/// Why the pool refused a transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// EIP-4844: Medina carries no blobs.
    #[error("transaction type not supported: blob transactions (type 3) are refused on this chain")]
    Blob,
    /// Larger than any transaction may be.
    #[error("oversized data: transaction size {got}, limit {max}")]
    Oversized {
        /// Bytes given.
        got: usize,
        /// The bound.
        max: usize,
    },
    /// EIP-3860.
    #[error("max initcode size exceeded: code size {got}, limit {max}")]
    InitcodeTooLarge {
        /// Bytes given.
        got: usize,
        /// The bound.
        max: usize,
    },
    /// No block could hold it.
    #[error("exceeds block gas limit: gas {got}, limit {max}")]
    ExceedsBlockGasLimit {
        /// Gas asked for.
        got: u64,
        /// The block's.
        max: u64,
    },
    /// EIP-7825.
    #[error("transaction gas limit too high (cap: {max}, tx: {got})")]
    GasLimitTooHigh {
        /// Gas asked for.
        got: u64,
        /// The cap.
        max: u64,
    },
    /// The tip would exceed the whole fee.
    #[error(
        "max priority fee per gas higher than max fee per gas: maxPriorityFeePerGas {tip}, maxFeePerGas {fee}"
    )]
    TipAboveFee {
        /// The tip.
        tip: u128,
        /// The fee.
        fee: u128,
    },
    /// Signed for another chain.
    #[error("invalid chain id for signer: have {have} want {want}")]
    WrongChain {
        /// The transaction's.
        have: u64,
        /// Ours.
        want: u64,
    },
    /// Signed for no chain at all.
    #[error("only replay-protected (EIP-155) transactions allowed over RPC")]
    NotReplayProtected,
    /// Not even its bytes can be paid.
    #[error("intrinsic gas too low: gas {got}, minimum needed {needed}")]
    IntrinsicGasTooLow {
        /// Gas given.
        got: u64,
        /// Gas needed.
        needed: u64,
    },
    /// EIP-7623.
    #[error("insufficient gas for floor data gas cost: gas {got}, minimum needed {needed}")]
    FloorGasTooLow {
        /// Gas given.
        got: u64,
        /// Gas needed.
        needed: u64,
    },
    /// EIP-7702.
    #[error("EIP-7702 transaction with empty auth list")]
    EmptyAuthorizationList,
    /// EIP-2681.
    #[error("nonce has max value: {0}")]
    NonceMax(u64),
    /// The account has used this nonce.
    #[error("nonce too low: next nonce {next}, tx nonce {got}")]
    NonceTooLow {
        /// The account's next.
        next: u64,
        /// The transaction's.
        got: u64,
    },
    /// Too many nonces are missing before this one.
    #[error("nonce too high: next nonce {next}, tx nonce {got}, at most {gap} ahead")]
    NonceTooHigh {
        /// The account's next.
        next: u64,
        /// The transaction's.
        got: u64,
        /// How far ahead it may be.
        gap: u64,
    },
    /// EIP-1559.
    #[error(
        "max fee per gas less than block base fee: address {address}, maxFeePerGas: {fee}, baseFee: {base_fee}"
    )]
    FeeBelowBaseFee {
        /// The sender.
        address: Address,
        /// The transaction's fee.
        fee: u128,
        /// The next block's base fee.
        base_fee: u64,
    },
    /// The account cannot pay for this one.
    #[error(
        "insufficient funds for gas * price + value: address {address} have {balance} want {cost}"
    )]
    InsufficientFunds {
        /// The sender.
        address: Address,
        /// What it has.
        balance: U256,
        /// What the transaction may cost.
        cost: U256,
    },
    /// The account cannot pay for this one and those that wait before it.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, queued cost {queued}, tx cost {cost}"
    )]
    InsufficientFundsForAll {
        /// What the sender has.
        balance: U256,
        /// What its other transactions may cost.
        queued: U256,
        /// What this one may cost.
        cost: U256,
    },
    /// It is here already.
    #[error("already known")]
    AlreadyKnown,
    /// Another transaction with this nonce pays nearly as much.
    #[error(
        "replacement transaction underpriced: fee and tip must rise by {POOL_REPLACEMENT_BUMP_PERCENT} %"
    )]
    ReplacementUnderpriced,
    /// The sender has as many here as it may.
    #[error("account limit exceeded: {max} transactions of {address} wait already")]
    AccountLimit {
        /// The sender.
        address: Address,
        /// The bound.
        max: usize,
    },
    /// The pool holds better ones.
    #[error("txpool is full")]
    Full,
    /// More gas than the sender's credit ever holds.
    #[error("gas {got} exceeds the gas credit of {max}: gas is free here and limited per account")]
    ExceedsGasCredit {
        /// Gas asked for.
        got: u64,
        /// Capacity of the credit.
        max: u64,
    },
    /// Permissions say no.
    #[error("transaction not permitted: {0}")]
    NotPermitted(String),
    /// The node cannot read its state.
    #[error("cannot read the state: {0}")]
    State(String),
}
