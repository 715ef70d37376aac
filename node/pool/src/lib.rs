//! Holds and orders waiting transactions.
