//! Reads, checks and makes chain specs.
//!
//! A genesis file is Ethereum's usual JSON plus a `medina` section. It is
//! self-contained: the predeployed contracts stand in `alloc`, so that loading
//! deploys nothing; it only asks `Permissioning` for its validators, which must
//! be those of the file. Reading goes in two steps: [`GenesisFile`] is what is typed,
//! field by field with errors that name the field; [`LoadedGenesis`] is what it
//! means, with state root and genesis hash. [`ForeignGenesis`] is a file of geth or
//! Besu, of which a new network can be made. [`generate_network`] writes the
//! folder of a network, [`add_node`] extends it.

pub mod defaults;
mod error;
mod field;
mod foreign;
mod genesis_file;
mod limits;
mod loaded;
mod medina_section;
mod network;
mod network_files;
mod new_chain;
mod predeploy;
mod test_accounts;

pub use error::{GenesisError, NetworkError};
pub use foreign::ForeignGenesis;
pub use genesis_file::{GenesisFile, osaka_config};
pub use loaded::{LoadedGenesis, load};
pub use medina_section::{MedinaSection, PrivateBounds, SECTION_VERSION};
pub use network::{GeneratedNetwork, GeneratedNode, NetworkOptions, add_node, generate_network};
pub use network_files::{
    CONFIG_FILE, GENESIS_FILE, KEY_FILE, ListedNode, NETWORK_FILE, NodeList, NodePorts,
    OPERATOR_KEY_FILE,
};
pub use new_chain::{ChainOptions, GovernanceDelays, new_chain, new_chain_with};
pub use test_accounts::{TEST_ACCOUNTS, TEST_MNEMONIC, TestAccount, test_account, test_addresses};
