#!/usr/bin/env bash
# Sets up the image that submissions are graded in: Rust, and the lab with all of its dependencies.
# Gradescope runs it once, as root. Grading then works without a network.
set -euo pipefail

apt-get update
apt-get install -y --no-install-recommends build-essential ca-certificates curl git
rm -rf /var/lib/apt/lists/*

export RUSTUP_HOME=/opt/rust/rustup CARGO_HOME=/opt/rust/cargo
export PATH="$CARGO_HOME/bin:$PATH"
curl --proto '=https' --tlsv1.2 --silent --show-error --fail https://sh.rustup.rs |
    sh -s -- -y --no-modify-path --profile minimal --default-toolchain @RUST@

cd /autograder/source/lab
cargo build --locked --release --package course --bin course
# Builds the crates that all submissions share.
target/release/course grade ../lab --config ../course.toml --build-only --out target/first

# The user that submissions run as must not read the solution or the seeds.
chmod -R o= /autograder/source
