//! Stamps the commit into the programs' `--version`. A development build has none: each commit would build every program anew.

use std::{env, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = if is_release { head() } else { None };
    println!("cargo:rustc-env=CVMMAP_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

fn head() -> Option<String> {
    println!("cargo:rerun-if-changed=../../.git/HEAD");
    println!("cargo:rerun-if-changed=../../.git/refs/heads");
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.trim().to_owned())
}
