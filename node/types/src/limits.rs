//! Every bound of the node: name, unit, reason. What happens at a bound is said beside it.

use std::time::Duration;

/// Validators of a set; the certificate's bitmap has this many bits.
pub const VALIDATORS_MAX: usize = 128;

/// Bytes of one encoded transaction accepted by pool and RPC (geth's bound,
/// 4 slots of 32 KiB); larger ones are refused with an error.
pub const TRANSACTION_BYTES_MAX: usize = 128 * 1024;

/// Bytes of one encoded block; a proposer stops filling below it, a validator
/// refuses above it (EIP-7934 allows 10 MiB minus 2 MiB).
pub const BLOCK_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of a header's extra data (Ethereum's bound).
pub const EXTRA_DATA_BYTES_MAX: usize = 32;

/// Bytes of one consensus message: a round change carries a block and proofs.
/// A larger message costs its sender the connection.
pub const CONSENSUS_MESSAGE_BYTES_MAX: usize = BLOCK_BYTES_MAX + 1024 * 1024;

/// Bytes of any other direct message between peers.
pub const PEER_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of one gossiped batch of transactions.
pub const GOSSIP_BYTES_MAX: usize = 1024 * 1024;

/// Transaction hashes in one announcement or request.
pub const ANNOUNCED_HASHES_MAX: usize = 4096;

/// Blocks asked for in one sync request.
pub const SYNC_BLOCKS_MAX: u64 = 64;

/// Bytes after which an answer to a sync request is cut short.
pub const SYNC_RESPONSE_BYTES_MAX: usize = 12 * 1024 * 1024;

/// How far behind our head a peer's consensus messages are still answered
/// with the blocks it lacks, in heights; further behind, it syncs.
pub const CATCH_UP_HINT_HEIGHTS_MAX: u64 = 1;

/// Heights ahead of ours for which consensus messages are kept at all.
pub const FUTURE_HEIGHTS_MAX: u64 = 1;

/// Rounds of one height for which messages are kept per validator; an honest
/// node's later message replaces its earlier one beyond this.
pub const ROUNDS_KEPT_PER_VALIDATOR_MAX: usize = 8;

/// Bytes of buffered consensus messages for the next height per validator.
pub const FUTURE_MESSAGE_BYTES_PER_VALIDATOR_MAX: usize = 2 * BLOCK_BYTES_MAX;

/// Transactions in the pool; beyond it the cheapest newest are refused.
pub const POOL_TRANSACTIONS_MAX: usize = 50_000;

/// Bytes of all transactions in the pool.
pub const POOL_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Waiting transactions of one sender.
pub const POOL_TRANSACTIONS_PER_SENDER_MAX: usize = 4096;

/// How far a nonce may be ahead of the account's for the pool to keep it.
pub const POOL_NONCE_GAP_MAX: u64 = 4096;

/// Time after which a transaction that cannot run is dropped from the pool.
pub const POOL_QUEUED_LIFETIME: Duration = Duration::from_secs(3 * 60 * 60);

/// Price increase that replaces a waiting transaction, in percent (geth's 10).
pub const POOL_REPLACEMENT_BUMP_PERCENT: u128 = 10;

/// Peers connected at once.
pub const PEERS_MAX: usize = 256;

/// Messages per second accepted from one peer before it is disconnected
/// (averaged over ten seconds).
pub const PEER_MESSAGES_PER_SECOND_MAX: u32 = 5_000;

/// Bytes of one JSON-RPC request body (geth's 5 MiB).
pub const RPC_REQUEST_BYTES_MAX: u32 = 5 * 1024 * 1024;

/// Bytes of one JSON-RPC answer.
pub const RPC_RESPONSE_BYTES_MAX: u32 = 25 * 1024 * 1024;

/// Calls in one JSON-RPC batch (geth's 1,000).
pub const RPC_BATCH_MAX: u32 = 1_000;

/// Connections to the JSON-RPC server.
pub const RPC_CONNECTIONS_MAX: u32 = 500;

/// Subscriptions of one WebSocket connection.
pub const RPC_SUBSCRIPTIONS_PER_CONNECTION_MAX: u32 = 1_024;

/// Installed polling filters of the whole server; the least recently used goes.
pub const RPC_FILTERS_MAX: usize = 10_000;

/// Idle time after which a polling filter is dropped (geth's 5 minutes).
pub const RPC_FILTER_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Blocks one `eth_getLogs` may span.
pub const RPC_LOG_BLOCKS_MAX: u64 = 100_000;

/// Logs one `eth_getLogs` may return.
pub const RPC_LOGS_MAX: usize = 20_000;

/// Addresses, and topics per position, of a log filter.
pub const RPC_LOG_CRITERIA_MAX: usize = 1_000;

/// Gas of one `eth_call` or `eth_estimateGas`.
pub const RPC_CALL_GAS_MAX: u64 = 50_000_000;

/// Bytes of a genesis or configuration file.
pub const CONFIG_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Gas available to a permission question; more counts as failure.
pub const PERMISSION_CALL_GAS_MAX: u64 = 1_000_000;
