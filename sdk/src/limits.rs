//! Every bound of this crate on one page, with its unit and its reason.
//!
//! Whatever comes from outside (files, HTTP bodies, RPC answers, keys) is read against one of
//! these; what happens at the bound is an error that names it.

/// Longest physical line of a readings file, in bytes: wide exports have a few hundred columns.
pub const CSV_LINE_BYTES_MAX: usize = 64 * 1024;
/// Largest readings file, in bytes: it is parsed in memory, because day/month order needs all of it.
pub const CSV_FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Most data rows of one readings file.
pub const CSV_ROWS_MAX: usize = 5_000_000;
/// Most readings of one file: about 130 bytes each while they are in memory.
pub const CSV_READINGS_MAX: usize = 5_000_000;
/// Most columns of one readings file.
pub const CSV_COLUMNS_MAX: usize = 512;
/// Broken rows that are named one by one; the rest is only counted.
pub const CSV_BAD_ROWS_NAMED_MAX: usize = 100;
/// A text column with more distinct values than this is prose, not a label.
pub const LABEL_VALUES_MAX: usize = 64;

/// Longest name of a property or label, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Longest value of a label, in bytes.
pub const LABEL_BYTES_MAX: usize = 128;
/// Most labels of one reading.
pub const LABELS_MAX: usize = 16;
/// Longest decimal value, in characters: sign, 60 digits, point and exponent.
pub const DECIMAL_CHARS_MAX: usize = 64;
/// Largest canonical record, in bytes: all labels at full length and escaped still fit.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;

/// Most readings in one anchored batch: a proof stays at 20 hashes, a batch in memory.
pub const BATCH_READINGS_MAX: usize = 1 << 20;
/// Most elements of a Merkle proof.
pub const PROOF_LENGTH_MAX: usize = 32;
/// Most items of a batched contract call (`registerMany`, `anchorMany`): the contracts' own limit.
pub const CONTRACT_BATCH_MAX: usize = 64;

/// Largest keystore file, in bytes; a V3 file has about 500.
pub const KEYSTORE_BYTES_MAX: u64 = 16 * 1024;
/// Most files a keystore directory is searched for.
pub const KEYSTORE_FILES_MAX: usize = 10_000;
/// Largest memory one scrypt derivation may ask for, in bytes: twice what geth's standard files need.
pub const SCRYPT_MEMORY_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Most PBKDF2 iterations of a keystore file: forty times the usual 262144.
pub const PBKDF2_ROUNDS_MAX: u64 = 10_485_760;

/// Largest gateway configuration file, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// Most listings one gateway serves.
pub const GATEWAY_LISTINGS_MAX: usize = 10_000;
/// Largest request body of the gateway, in bytes: a coupon with two signatures has about 1 KiB.
pub const GATEWAY_BODY_BYTES_MAX: usize = 16 * 1024;
/// Requests the gateway works on at once; more are answered 503.
pub const GATEWAY_REQUESTS_MAX: usize = 256;
/// Connections open at once; further ones wait in the system's queue.
pub const GATEWAY_CONNECTIONS_MAX: usize = 1_024;
/// How long a connection may be silent, in seconds; longer than any request may take.
pub const GATEWAY_IDLE_SECONDS_MAX: u64 = 75;
/// Longest time one request may take, in seconds.
pub const GATEWAY_REQUEST_SECONDS_MAX: u64 = 30;
/// Sessions open at once.
pub const GATEWAY_SESSIONS_MAX: usize = 10_000;
/// Sessions of one account at once; the oldest goes first.
pub const GATEWAY_SESSIONS_PER_ACCOUNT_MAX: usize = 8;
/// Answered challenges remembered until they expire, so that none works twice.
pub const GATEWAY_ANSWERED_MAX: usize = 50_000;
/// How long a challenge can be answered, in seconds.
pub const GATEWAY_CHALLENGE_SECONDS: u64 = 120;
/// How long a session lives, in seconds.
pub const GATEWAY_SESSION_SECONDS: u64 = 900;
/// How old the chain's answer to `hasAccess` may be, in milliseconds (contracts specification, 6).
pub const GATEWAY_ACCESS_AGE_MS_MAX: u64 = 10_000;
/// Readings on one page of the gateway.
pub const GATEWAY_PAGE_READINGS_MAX: usize = 500;
/// Bytes of records after which a page ends early: a thousand clients that do not take their page
/// hold half a gigabyte.
pub const GATEWAY_PAGE_RECORD_BYTES_MAX: usize = 512 * 1024;
/// Most bytes of one page the buyer reads: a full page of long records with their proofs.
pub const GATEWAY_PAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a closing gateway waits for requests in flight, in seconds.
pub const GATEWAY_SHUTDOWN_SECONDS_MAX: u64 = 5;
/// Hash trees kept in memory so that pages of one batch do not rebuild it.
pub const GATEWAY_TREES_CACHED_MAX: usize = 8;

/// Most bytes an external signer's answer may have: a signature in hex has 132.
pub const EXTERNAL_ANSWER_BYTES_MAX: u64 = 4 * 1024;

/// How long the client waits for a receipt, in seconds.
pub const RECEIPT_SECONDS_MAX: u64 = 60;
/// Blocks one `eth_getLogs` of the client spans.
pub const LOG_RANGE_BLOCKS_MAX: u64 = 10_000;
/// Times a transaction is sent again with a fresh nonce after the node called its nonce wrong.
pub const NONCE_RETRIES_MAX: usize = 8;

/// Newest ballots that are listed: each takes one call, and they close after 30 days.
pub const BALLOTS_LISTED_MAX: u64 = 256;

/// Transactions of one account that the client remembers until they are included.
pub const TRANSACTIONS_REMEMBERED_MAX: usize = 1_024;
/// Seconds without a receipt after which the client looks what is in the way of a transaction.
pub const STUCK_SECONDS: u64 = 4;
/// Most that a replaced transaction's fee is raised above what it was first sent with: 2^this.
pub const FEE_DOUBLINGS_MAX: u32 = 10;
/// Holes in an account's nonces that are filled at once.
pub const NONCE_HOLES_MAX: u64 = 64;

/// Pause of a subscription between two looks for new blocks where the node does not tell, in
/// milliseconds.
pub const SUBSCRIPTION_PAUSE_MS: u64 = 200;
/// Longest pause of a subscription while the node does not answer, in milliseconds.
pub const SUBSCRIPTION_RETRY_MS_MAX: u64 = 5_000;
/// Longest a subscription trusts a link that says nothing, in milliseconds.
pub const SUBSCRIPTION_IDLE_MS: u64 = 10_000;
/// Pushed events that wait to be noticed; a link with more is made anew.
pub const PUSHES_WAITING_MAX: usize = 4_096;
/// Most transactions of one simulation: each next one runs all before it again.
pub const SIMULATED_TRANSACTIONS_MAX: usize = 64;
/// Largest file of a search index, in bytes: about 300 per listing and sensor.
pub const INDEX_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Most cells of one search by place: a circle of 500 km at the equator.
pub const PLACE_CELLS_MAX: usize = 40_000;

/// Most bytes of call data or init code of a private transaction: what nodes take.
pub const PRIVATE_DATA_BYTES_MAX: usize = 128 * 1024;
/// Most bytes of one answer of a node's private side: a full page of logs.
pub const PRIVATE_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long one request to a node's private side may take, in seconds: `priv_distributeTransaction` waits for other
/// members.
pub const PRIVATE_REQUEST_SECONDS_MAX: u64 = 60;
/// How long the client waits for the receipt of a private transaction, in seconds.
pub const PRIVATE_RECEIPT_SECONDS_MAX: u64 = 120;
/// Most groups and parties that are listed: each takes calls of its own.
pub const PRIVATE_GROUPS_LISTED_MAX: u64 = 1_024;
