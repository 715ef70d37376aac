//! The rules of QBFT, one sentence per test. `fixture` speaks for the other
//! validators; every one of them has a real key.

mod agreement;
mod cluster;
mod fixture;
mod hostile;
mod justification;
mod limits;
mod links;
mod restart;
mod rounds;
mod sets;
