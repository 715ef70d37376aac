//! Wallet, typed market client and gateway library.
