//! Keeps blocks, state and the consensus record, one atomic batch per block.
