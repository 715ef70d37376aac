//! What a new chain looks like unless somebody says otherwise.

use medina_types::GasCreditParameters;

/// Chain id of generated networks. Not 31337 or 1337, so that a wallet keeps
/// this chain apart from other local chains.
pub const CHAIN_ID: u64 = 20_262;

/// Name of generated networks.
pub const CHAIN_NAME: &str = "Medina";

/// First port: RPC of node 0.
pub const BASE_PORT: u16 = 8545;

/// Ports from one node to the next.
pub const PORTS_PER_NODE: u16 = 10;

/// Gas limit of a block: five such blocks' worth of work fit one second of two cores.
pub const GAS_LIMIT: u64 = 60_000_000;

/// Whole coins (1e18 wei) of each funded account.
pub const COINS_PER_ACCOUNT: u64 = 10_000;

/// Gas that the chain can include per second: a block every 100 ms.
const CHAIN_GAS_PER_S: u64 = GAS_LIMIT * 10;

/// Gas credit where gas is free. One account alone gets a quarter of what the
/// chain can do and all accounts without an organisation four fifths, so that
/// no flood from fresh accounts takes the rest from organisations. Each may
/// save up four seconds of it.
pub const GAS_CREDIT: GasCreditParameters = GasCreditParameters {
    capacity_gas: CHAIN_GAS_PER_S,
    refill_gas_per_s: CHAIN_GAS_PER_S / 4,
    shared_capacity_gas: CHAIN_GAS_PER_S / 5 * 16,
    shared_refill_gas_per_s: CHAIN_GAS_PER_S / 5 * 4,
};
