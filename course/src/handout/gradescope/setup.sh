#!/usr/bin/env bash
# Makes the image that submissions are graded in: Rust, and the lab with all that it is built from.
# Gradescope runs it once, as root; later there is no need for a network.
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
# What the builds of all submissions have in common.
target/release/course grade ../lab --config ../course.toml --build-only --out target/first

# Whoever a submission runs as finds neither the solution nor the seeds here.
chmod -R o= /autograder/source
