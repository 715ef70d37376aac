//! The rules of QBFT, one sentence per test. `fixture` speaks for the other
//! validators; every one of them has a real key.

mod agreement;
mod fixture;
mod hostile;
mod justification;
mod restart;
mod rounds;
