//! Answers wallets and tools.
