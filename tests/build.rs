//! Records how the tests are compiled, so that stored results can name it.

use std::process::Command;

fn main() {
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(compiler).arg("--version").output();
    let version = version.map(|output| output.stdout).unwrap_or_default();
    println!("cargo::rustc-env=LAB_COMPILER={}", String::from_utf8_lossy(&version).trim());
    let profile = std::env::var("PROFILE").unwrap_or_default();
    println!("cargo::rustc-env=LAB_PROFILE={profile}");
    println!("cargo::rerun-if-changed=build.rs");
}
