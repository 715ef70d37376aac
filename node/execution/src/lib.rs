//! Turns a block or call into its result.
