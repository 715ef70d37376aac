//! Moves messages between admitted peers.
