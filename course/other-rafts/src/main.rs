//! The `lab` command for the three Rafts: `cargo run --release -p other-rafts -- run 2A
//! --implementation per-follower`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tests::lab_main(&other_rafts::ALL)
}
