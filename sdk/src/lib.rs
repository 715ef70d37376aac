//! Wallet, typed market client and gateway library.
//!
//! What a person or program outside the nodes needs to sell and buy data on a Medina chain.
//! Nothing here depends on a node: the chain is reached by JSON-RPC, its contracts by their ABI.
//!
//! | Module | Job |
//! |---|---|
//! | [`wallet`] | accounts, mnemonics, keystore files, signatures |
//! | [`readings`] | observed values from CSV files or this machine, and their canonical bytes |
//! | [`merkle`] | leaves, trees and proofs as `DataAnchor` verifies them |
//! | [`device`] | keys of sensors and what they sign |
//! | [`document`] | hashes of documents that nobody can guess |
//! | [`companion`] | the seller's database: encrypted readings, salts, batches, erasure |
//! | [`gateway`] | the seller's HTTP door |
//! | [`client`] | transactions and queries of the market; the buyer's side of the gateway |
//! | [`private`] | contracts among some organisations only: groups, signing, the node's private side |
//! | [`sealed`] | datasets sealed for the judge, and the proof of a wrong chunk |
//! | [`trust_math`] | the contracts' formulas of trust, bit by bit |
//! | [`amount`], [`moment`], [`place`] | tokens, durations, moments and places as people write them |
//! | [`url`] | URLs in texts, without the tokens that they carry |
//! | [`limits`] | every bound |

pub mod amount;
pub mod client;
pub mod companion;
pub mod device;
pub mod document;
pub mod gateway;
pub mod limits;
pub mod merkle;
pub mod moment;
pub mod place;
pub mod private;
pub mod readings;
pub mod sealed;
pub mod trust_math;
pub mod url;
pub mod wallet;
