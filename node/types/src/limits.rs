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

/// Connections to the JSON-RPC server from one address beyond loopback.
pub const RPC_CONNECTIONS_PER_ADDRESS_MAX: u32 = 100;

/// Calls per second of one JSON-RPC connection beyond loopback.
pub const RPC_REQUESTS_PER_SECOND_MAX: u32 = 1_000;

/// Time for the head of a JSON-RPC request; an idle connection is closed after it.
pub const RPC_HEADER_TIMEOUT: Duration = Duration::from_secs(60);

/// Time for the body of a JSON-RPC request (geth's read timeout).
pub const RPC_BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Time for which a JSON-RPC client may take no byte of what is sent to it.
pub const RPC_WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Time for which a subscriber's queue may be full; then its subscription ends.
pub const RPC_SLOW_SUBSCRIBER_TIMEOUT: Duration = Duration::from_secs(10);

/// Time of a trace whose caller names none (geth's bound).
pub const RPC_TRACE_TIME: Duration = Duration::from_secs(5);

/// Longest time that the caller of a trace may name.
pub const RPC_TRACE_TIME_MAX: Duration = Duration::from_secs(60);

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

/// Threads of the JSON-RPC server that read the store at once; further
/// requests wait.
pub const RPC_READERS_MAX: usize = 32;

/// Requests that wait for a thread of one lane; further ones are refused as busy.
pub const RPC_WAITING_MAX: usize = 4_096;

/// Blocks of one `eth_feeHistory` (geth's bound); more are cut to it.
pub const RPC_FEE_HISTORY_BLOCKS_MAX: u64 = 1_024;

/// Percentiles of one `eth_feeHistory` (geth's bound).
pub const RPC_FEE_PERCENTILES_MAX: usize = 100;

/// Storage slots of one `eth_getProof` (geth's bound).
pub const RPC_PROOF_SLOTS_MAX: usize = 1_024;

/// Hashes of pending transactions remembered for polling filters; a filter that
/// polls too seldom misses the oldest.
pub const RPC_PENDING_HASHES_MAX: usize = 16_384;

/// Longest time that `eth_sendRawTransactionSync` waits for a receipt.
pub const RPC_RECEIPT_WAIT_MAX: Duration = Duration::from_secs(60);

/// Messages that wait for one slow WebSocket reader; when they do for too long,
/// its subscriptions end.
pub const RPC_WEBSOCKET_MESSAGES_MAX: u32 = 1_024;

/// Analysed contract codes kept in memory (about 27 KB each at most); at the
/// bound the cache starts anew.
pub const CODE_CACHE_ENTRIES_MAX: usize = 512;

/// Peers whose links are remembered with their rates and cool-downs; beyond it
/// peers without a link are forgotten.
pub const PEERS_REMEMBERED_MAX: usize = 1_024;

/// Connections of one peer at once: both sides may dial at the same moment,
/// and a dead one may not be noticed yet.
pub const PEER_CONNECTIONS_MAX: u32 = 3;

/// Connections that are still shaking hands.
pub const PENDING_CONNECTIONS_MAX: u32 = 64;

/// Frames that wait to be written to one peer on one stream. A full consensus
/// queue costs the connection, a full bulk queue the message.
pub const PEER_QUEUE_FRAMES_MAX: usize = 8_192;

/// Bytes of consensus frames that wait to be written to one peer.
pub const PEER_CONSENSUS_QUEUE_BYTES_MAX: usize = 4 * CONSENSUS_MESSAGE_BYTES_MAX;

/// Bytes of all other frames that wait to be written to one peer.
pub const PEER_BULK_QUEUE_BYTES_MAX: usize = 4 * PEER_MESSAGE_BYTES_MAX;

/// Bytes of one peer's messages that the node has not looked at yet, per
/// stream; the stream is not read meanwhile.
pub const PEER_INBOUND_BYTES_MAX: usize = 2 * CONSENSUS_MESSAGE_BYTES_MAX;

/// Network events that wait for the node, per urgency; then streams are not
/// read, and gossip and block requests are dropped.
pub const NETWORK_EVENTS_MAX: usize = 1_024;

/// Orders to the network that wait; further gossip is dropped.
pub const NETWORK_COMMANDS_MAX: usize = 1_024;

/// How long a peer that sent something malformed or too much is not let in.
pub const PEER_COOLDOWN: Duration = Duration::from_secs(30);

/// Time in which a new connection must have said who it is and where it stands.
pub const PEER_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// First delay before a lost peer is dialled again; it doubles up to the largest.
pub const REDIAL_DELAY_MIN: Duration = Duration::from_millis(200);

/// Largest delay before a lost peer is dialled again. When links come back, the
/// next block waits for the dials that make a quorum, so this must stay well below
/// a base timeout; the price is one or two dials per second and lost peer.
pub const REDIAL_DELAY_MAX: Duration = Duration::from_millis(800);

/// Block requests of one peer that are worked on at once.
pub const SYNC_REQUESTS_PER_PEER_MAX: usize = 4;

/// Time for one block request and its answer.
pub const SYNC_REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes of one answer to a block request: the answer is cut before the block that
/// would pass [`SYNC_RESPONSE_BYTES_MAX`] together with its senders, unless it is the
/// first; certificates come on top. The shortest transactions, of about twelve bytes,
/// are shorter than their senders.
pub const SYNC_ANSWER_BYTES_MAX: usize =
    SYNC_RESPONSE_BYTES_MAX + 3 * BLOCK_BYTES_MAX + 1024 * 1024;

/// Buckets of gas credit kept in memory; full ones are dropped first, and at the
/// bound a stranger draws on the shared bucket alone.
pub const GAS_CREDIT_BUCKETS_MAX: usize = 65_536;

/// Blocks with receipts that the JSON-RPC server keeps decoded.
pub const RPC_BLOCKS_CACHED_MAX: usize = 16;

/// Bytes of one request between parties of private groups: an envelope with its
/// wrapped keys, or a signed statement. A larger one is not read.
pub const PRIVATE_REQUEST_BYTES_MAX: usize = 512 * 1024;

/// Bytes of one answer to such a request: an envelope or a chunk of a snapshot.
pub const PRIVATE_ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Requests of one peer about private groups that are worked on at once.
pub const PRIVATE_REQUESTS_PER_PEER_MAX: usize = 16;

/// Requests of one peer about private groups per second, averaged over ten
/// seconds; further ones get no answer. The peer keeps its link: its votes count.
pub const PRIVATE_REQUESTS_PER_SECOND_MAX: u32 = 500;

/// Requests about private groups that wait for the node; further ones get no answer.
pub const PRIVATE_REQUESTS_WAITING_MAX: usize = 128;

/// Time for one request about private groups and its answer.
pub const PRIVATE_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a private transaction's data.
pub const PRIVATE_DATA_BYTES_MAX: usize = 128 * 1024;

/// Bytes of an encoded private transaction: its data and less than 200 bytes beside it.
pub const PRIVATE_TRANSACTION_BYTES_MAX: usize = PRIVATE_DATA_BYTES_MAX + 256;

/// Gas limit of one private transaction where the configuration names none.
pub const PRIVATE_GAS_MAX: u64 = 10_000_000;

/// Groups of which one node keeps states; further ones are refused by name.
pub const PRIVATE_GROUPS_MAX: usize = 256;

/// Group stores open at once; the one that nobody used for longest is closed first.
pub const PRIVATE_STORES_OPEN_MAX: usize = 32;

/// Bytes of output, revert data included, that a private receipt keeps.
pub const PRIVATE_OUTPUT_BYTES_MAX: usize = 32 * 1024;

/// Bytes of a chunk of a private state's snapshot: a code or a slot more at most.
pub const PRIVATE_SNAPSHOT_CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// Private transactions of one group that are executed and committed at once; those of
/// a public block that has more are committed in pieces.
pub const PRIVATE_ITEMS_PER_COMMIT_MAX: usize = 64;
