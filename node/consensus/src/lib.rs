//! Decides the next block: QBFT as a state machine of inputs and outputs.
