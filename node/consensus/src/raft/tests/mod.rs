//! Stories of whole groups, and what a single engine must never do.

mod departures;
mod faults;
mod hostile;
mod members;
