//! The `medina` command.
fn main() {}
