//! The nine stories of the market, each by people who only have a terminal (and an SDK where a
//! cheat needs more than the terminal lets them do), on networks of four validators.
//!
//! | Story | Network | Why |
//! |---|---|---|
//! | 1 month, 4 federation, 5 consent, 6 refused access, 7 incident | `medina dev --validators 4` | months, days and hours pass: its controls move the clock of all four validators |
//! | 2 units, 3 sealed dataset, 8 bad seller | four `medina node run` processes | nothing has to pass |
//! | 9 no rights | four `medina node run` processes, permissions enforced | a fifth node knocks at them |
//!
//! One network lives at a time. Every story ends with the four validators at one head and state.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is the report"
)]

#[path = "stories/abi.rs"]
mod abi;
#[path = "stories/consent.rs"]
mod consent;
#[path = "stories/denied.rs"]
mod denied;
#[path = "stories/federation.rs"]
mod federation;
#[path = "stories/incident.rs"]
mod incident;
#[path = "stories/month.rs"]
mod month;
#[path = "stories/no_rights.rs"]
mod no_rights;
#[path = "stories/nonces.rs"]
mod nonces;
#[path = "stories/reputation.rs"]
mod reputation;
#[path = "stories/restart.rs"]
mod restart;
#[path = "stories/sealed.rs"]
mod sealed;
#[path = "stories/town.rs"]
mod town;
#[path = "stories/units.rs"]
mod units;
