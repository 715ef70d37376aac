//! What can go wrong: a transaction does not fit, a block is invalid, or we are broken.
//!
//! The three are kept apart because different people can do something about
//! them: the sender, the proposer, and the operator of this node.

use crate::OverrideError;
use alloy_primitives::{Address, B64, B256, Bloom, Bytes, U256};
use medina_storage::StorageError;

/// Why this node could not execute something that may well be valid.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError {
    /// The store did not answer.
    #[error("cannot read the state: {0}")]
    State(#[from] StorageError),
    /// The caller's idea of the chain is old: execution works on the head only.
    #[error("block {parent} is not the head of this node, which is {head}")]
    ParentIsNotHead {
        /// Hash of the block to build on.
        parent: B256,
        /// Hash of the head.
        head: B256,
    },
    /// Whoever proposes must be an operator of the height's validator set.
    #[error("{0} is not the operator account of a validator of the next height")]
    NotAnOperator(Address),
    /// Extra data does not fit into a header.
    #[error("extra data of {got} bytes, limit {max}")]
    ExtraDataTooLong {
        /// Bytes given.
        got: usize,
        /// The bound.
        max: usize,
    },
    /// A contract that Osaka's rules call after the last transaction is missing in genesis.
    #[error("system contract {name} has no code at {address}; genesis must predeploy it")]
    SystemContractMissing {
        /// Its EIP.
        name: &'static str,
        /// Where it must be.
        address: Address,
    },
    /// A system call ended otherwise than in success.
    #[error("system contract {name} failed: {reason}")]
    SystemCallFailed {
        /// Its EIP.
        name: &'static str,
        /// How it ended.
        reason: String,
    },
    /// A deposit contract logged something that is no deposit (EIP-6110).
    #[error("deposit log of {0} bytes does not have EIP-6110's layout")]
    MalformedDeposit(usize),
    /// The interpreter refused to go on; a bug of ours or of a library.
    #[error("the virtual machine stopped: {0}")]
    Machine(String),
    /// A call or simulation that could not become a transaction at all.
    #[error(transparent)]
    Refused(#[from] TransactionRefused),
    /// Accounts were pretended that cannot be.
    #[error(transparent)]
    Override(#[from] OverrideError),
    /// Gas was to be estimated for something that reverts.
    #[error("execution reverted{}", revert_text(.data))]
    Reverted {
        /// What the contract said.
        data: Bytes,
    },
    /// Gas was to be estimated for something that fails with any amount of gas.
    #[error("{reason}")]
    Halted {
        /// Why.
        reason: String,
    },
    /// Gas was to be estimated for something that needs more than is allowed.
    #[error("gas required exceeds allowance ({allowance})")]
    GasAllowanceExceeded {
        /// The most that was tried.
        allowance: u64,
    },
}

/// Text behind "execution reverted": the reason if the data is `Error(string)`.
fn revert_text(data: &Bytes) -> String {
    revert_reason(data)
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default()
}

/// Decodes `Error(string)`, what Solidity's `require` and `revert` produce, or
/// names the cause of a `Panic(uint256)`.
#[must_use]
pub fn revert_reason(data: &[u8]) -> Option<String> {
    const ERROR_SELECTOR: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
    const PANIC_SELECTOR: [u8; 4] = [0x4e, 0x48, 0x7b, 0x71];
    let (selector, body) = data.split_first_chunk::<4>()?;
    if *selector == PANIC_SELECTOR && body.len() == 32 {
        return Some(format!("panic code {:#x}", U256::from_be_slice(body)));
    }
    if *selector != ERROR_SELECTOR {
        return None;
    }
    let offset = usize::try_from(U256::from_be_slice(body.get(..32)?)).ok()?;
    let tail = body.get(offset..)?;
    let length = usize::try_from(U256::from_be_slice(tail.get(..32)?)).ok()?;
    let text = tail.get(32..)?.get(..length)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// Why a transaction cannot be part of a block. Texts are geth's where it has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionRefused {
    /// Already used; it can never be executed.
    #[error("nonce too low: address {sender}, tx: {nonce} state: {expected}")]
    NonceTooLow {
        /// Who signed.
        sender: Address,
        /// Nonce of the transaction.
        nonce: u64,
        /// Nonce of the account.
        expected: u64,
    },
    /// An earlier transaction of this sender is missing.
    #[error("nonce too high: address {sender}, tx: {nonce} state: {expected}")]
    NonceTooHigh {
        /// Who signed.
        sender: Address,
        /// Nonce of the transaction.
        nonce: u64,
        /// Nonce of the account.
        expected: u64,
    },
    /// The account cannot use another nonce.
    #[error("nonce has max value: address {0}")]
    NonceExhausted(Address),
    /// Gas at its highest price, and value, exceed the balance.
    #[error("insufficient funds for gas * price + value: address {sender} have {have} want {want}")]
    InsufficientFunds {
        /// Who signed.
        sender: Address,
        /// Balance.
        have: U256,
        /// Highest cost.
        want: U256,
    },
    /// Gas limit below what the transaction costs before it runs.
    #[error("intrinsic gas too low: have {have}, want {want}")]
    IntrinsicGasTooLow {
        /// Gas limit.
        have: u64,
        /// Intrinsic gas.
        want: u64,
    },
    /// Gas limit below EIP-7623's floor for call data.
    #[error("insufficient gas for floor data gas cost: have {have}, want {want}")]
    FloorDataGas {
        /// Gas limit.
        have: u64,
        /// The floor.
        want: u64,
    },
    /// Offered price does not reach the block's base fee.
    #[error(
        "max fee per gas less than block base fee: address {sender}, maxFeePerGas: {max_fee}, baseFee: {base_fee}"
    )]
    FeeBelowBaseFee {
        /// Who signed.
        sender: Address,
        /// Highest price offered.
        max_fee: u128,
        /// Base fee of the block.
        base_fee: u64,
    },
    /// EIP-1559 forbids a tip above the whole price.
    #[error("max priority fee per gas higher than max fee per gas: address {0}")]
    TipAboveFee(Address),
    /// More gas than is left in the block.
    #[error("exceeds block gas limit: transaction wants {wanted}, the block has {left} left")]
    ExceedsBlockGas {
        /// Gas limit of the transaction.
        wanted: u64,
        /// Gas left.
        left: u64,
    },
    /// EIP-7825.
    #[error("transaction gas limit too high (cap: {cap}, tx: {wanted})")]
    GasLimitAboveCap {
        /// Gas limit of the transaction.
        wanted: u64,
        /// The cap.
        cap: u64,
    },
    /// EIP-3607.
    #[error("sender not an eoa: address {0} has code")]
    SenderHasCode(Address),
    /// EIP-4844 transactions have no place on this chain.
    #[error("transaction type not supported: blob transactions (type 3) are refused on this chain")]
    Blob,
    /// Signed for another chain.
    #[error("invalid chain id for signer: have {have:?} want {want}")]
    WrongChain {
        /// Chain id of the transaction.
        have: Option<u64>,
        /// Ours.
        want: u64,
    },
    /// The `Permissioning` contract refuses it, or says nothing and genesis does not list the sender.
    #[error("transaction not permitted: sender {0}")]
    NotPermitted(Address),
    /// EIP-3860.
    #[error("max initcode size exceeded: code size {got}, limit {max}")]
    InitCodeTooLarge {
        /// Bytes given.
        got: usize,
        /// The bound.
        max: usize,
    },
    /// Any other rule, in the words of the virtual machine.
    #[error("{0}")]
    Other(String),
}

/// Why a block is invalid: the first rule that it breaks, with what the rule
/// demands and what was found.
#[derive(Debug, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "fields are always `expected` by the rule and `found` in the block"
)]
pub enum InvalidBlock {
    /// Does not extend the parent.
    #[error("parent hash: expected {expected}, found {found}")]
    ParentHash { expected: B256, found: B256 },
    /// Not the parent's number plus one.
    #[error("number: expected {expected}, found {found}")]
    Number { expected: u64, found: u64 },
    /// Time runs backwards.
    #[error("timestamp: expected at least {expected}, found {found}")]
    Timestamp { expected: u64, found: u64 },
    /// Not the limit that the rules demand.
    #[error("gas limit: expected {expected}, found {found}")]
    GasLimit { expected: u64, found: u64 },
    /// Longer than Ethereum allows.
    #[error("extra data: expected at most {expected} bytes, found {found}")]
    ExtraData { expected: usize, found: usize },
    /// There is no proof of work here.
    #[error("difficulty: expected {expected}, found {found}")]
    Difficulty { expected: U256, found: U256 },
    /// There is no proof of work here.
    #[error("nonce: expected {expected}, found {found}")]
    Nonce { expected: B64, found: B64 },
    /// There are no ommers here.
    #[error("ommers hash: expected {expected}, found {found}")]
    OmmersHash { expected: B256, found: B256 },
    /// There are no ommers here.
    #[error("ommers: expected {expected}, found {found}")]
    Ommers { expected: usize, found: usize },
    /// Blocks pay an operator of their height's validator set.
    #[error(
        "beneficiary: expected an operator of the validator set of {expected} validators, found {found}"
    )]
    Beneficiary { expected: usize, found: Address },
    /// `prevrandao` is keccak(parent hash, number).
    #[error("prevrandao: expected {expected}, found {found}")]
    Prevrandao { expected: B256, found: B256 },
    /// Not the base fee that follows from the parent.
    #[error("base fee: expected {expected}, found {found:?}")]
    BaseFee { expected: u64, found: Option<u64> },
    /// Present, and the root of the body's list, which is empty on our chains.
    #[error("withdrawals root: expected {expected}, found {found:?}")]
    WithdrawalsRoot { expected: B256, found: Option<B256> },
    /// Present, and empty.
    #[error("withdrawals: expected an empty list ({expected} entries), found {found:?} entries")]
    Withdrawals {
        expected: usize,
        found: Option<usize>,
    },
    /// Not what the transactions use; there are no blobs on our chains.
    #[error("blob gas used: expected {expected}, found {found:?}")]
    BlobGasUsed { expected: u64, found: Option<u64> },
    /// More blobs than a block may carry.
    #[error("blob gas: expected at most {expected}, found {found}")]
    TooManyBlobs { expected: u64, found: u64 },
    /// Not the excess that follows from the parent; zero without blobs.
    #[error("excess blob gas: expected {expected}, found {found:?}")]
    ExcessBlobGas { expected: u64, found: Option<u64> },
    /// There is no beacon chain here.
    #[error("parent beacon block root: expected {expected:?}, found {found:?}")]
    ParentBeaconRoot {
        expected: Option<B256>,
        found: Option<B256>,
    },
    /// Fields of hard forks behind Osaka.
    #[error("field {field} belongs to a later fork: expected none, found {found}")]
    FutureField { field: &'static str, found: String },
    /// Larger than a block may be.
    #[error("block size: expected at most {expected} bytes, found {found}")]
    Size { expected: usize, found: usize },
    /// Header and body disagree.
    #[error("transactions root: expected {expected}, found {found}")]
    TransactionsRoot { expected: B256, found: B256 },
    /// Blob transactions have no place on this chain.
    #[error("transaction {index} is of type {found}: expected a type up to 4 other than 3")]
    BlobTransaction { index: usize, found: u8 },
    /// Nobody signed it.
    #[error("transaction {index} ({hash}) has no valid signature")]
    Signature { index: usize, hash: B256 },
    /// One of its transactions may not be there.
    #[error("transaction {index} ({hash}): {reason}")]
    Transaction {
        index: usize,
        hash: B256,
        reason: Box<TransactionRefused>,
    },
    /// Execution used another amount.
    #[error("gas used: expected {expected}, found {found}")]
    GasUsed { expected: u64, found: u64 },
    /// Execution produced other receipts.
    #[error("receipts root: expected {expected}, found {found}")]
    ReceiptsRoot { expected: B256, found: B256 },
    /// Execution produced other logs.
    #[error("logs bloom: expected {expected}, found {found}")]
    LogsBloom {
        expected: Box<Bloom>,
        found: Box<Bloom>,
    },
    /// Execution produced other requests.
    #[error("requests hash: expected {expected:?}, found {found:?}")]
    RequestsHash {
        expected: Option<B256>,
        found: Option<B256>,
    },
    /// Execution produced another state.
    #[error("state root: expected {expected}, found {found}")]
    StateRoot { expected: B256, found: B256 },
    /// Execution could not be finished: a system contract, or a fault of ours.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
}

impl InvalidBlock {
    /// True when the block is not to blame: this node could not check it.
    #[must_use]
    pub fn is_our_fault(&self) -> bool {
        use ExecutionError::{Machine, ParentIsNotHead, State};
        matches!(
            self,
            Self::Execution(State(_) | ParentIsNotHead { .. } | Machine(_))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn solidity_reasons_are_read() {
        let mut data = vec![0x08, 0xc3, 0x79, 0xa0];
        data.extend(U256::from(32).to_be_bytes::<32>());
        data.extend(U256::from(3).to_be_bytes::<32>());
        data.extend(b"no!");
        data.extend([0; 29]);
        assert_eq!(revert_reason(&data), Some("no!".to_owned()));
        let error = ExecutionError::Reverted { data: data.into() };
        assert_eq!(error.to_string(), "execution reverted: no!");
    }

    proptest! {
        #[test]
        fn any_revert_data_is_survived(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = revert_reason(&data);
            let mut with_selector = vec![0x08, 0xc3, 0x79, 0xa0];
            with_selector.extend(&data);
            let _ = revert_reason(&with_selector);
        }
    }
}
