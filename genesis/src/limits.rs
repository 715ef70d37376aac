//! Bounds of a genesis file: name, unit, reason. Beyond one, the file is refused by field.

use std::ops::RangeInclusive;

/// Characters of a chain's name.
pub(crate) const NAME_CHARACTERS_MAX: usize = 64;

/// Bytes of a predeployed contract's code. EIP-170's bound holds for
/// deployment only; genesis files of other chains go above it, so this is twice that.
pub(crate) const CODE_BYTES_MAX: usize = 48 * 1024;

/// Predeployed contracts with a name.
pub(crate) const CONTRACTS_MAX: usize = 256;

/// Admitted nodes that are no validators.
pub(crate) const NODES_MAX: usize = 4096;

/// Accounts that may transact while the `Permissioning` contract gives no answer.
pub(crate) const ACCOUNTS_LISTED_MAX: usize = 4096;

/// Gas limit of a block: Ethereum's least, and a bound under which gas sums
/// over any number of blocks that will ever exist fit 64 bits.
pub(crate) const GAS_LIMIT_RANGE: RangeInclusive<u64> = 5_000..=1_000_000_000_000;

/// Gas of one private transaction: enough for a small one, and few seconds of work.
pub(crate) const PRIVATE_GAS_RANGE: RangeInclusive<u64> = 100_000..=1_000_000_000;

/// Timeouts and intervals of consensus in milliseconds: up to ten minutes.
pub(crate) const TIMEOUT_MS_RANGE: RangeInclusive<u64> = 1..=600_000;

/// Heartbeat in seconds: up to a day.
pub(crate) const EMPTY_BLOCK_PERIOD_S_RANGE: RangeInclusive<u64> = 1..=86_400;

/// Clock tolerance in seconds: up to an hour.
pub(crate) const CLOCK_TOLERANCE_S_RANGE: RangeInclusive<u64> = 0..=3_600;

/// Block times in seconds: beyond the year 5000 somebody gave milliseconds.
pub(crate) const TIMESTAMP_S_RANGE: RangeInclusive<u64> = 0..=100_000_000_000;

/// Chain ids: EIP-2294's bound divided so that `chain id * 2 + 36` fits 64 bits.
pub(crate) const CHAIN_ID_RANGE: RangeInclusive<u64> = 1..=9_223_372_036_854_775_771;

/// Wei that an account or the reward may hold: 2^128, so that sums of all
/// accounts stay far below 2^256.
pub(crate) const WEI_BITS_MAX: usize = 128;

/// Blobs of a block, and how slowly their price moves: Ethereum's largest is
/// some 20 million, and a product of two such numbers and a blob's gas fits 64 bits.
pub(crate) const BLOB_PARAMETER_MAX: u64 = 1_000_000_000;
