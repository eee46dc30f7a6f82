#!/usr/bin/env bash
# Everything that has to pass: format, lints, unit, element and end-to-end tests, and the acceptance rows.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh --tests
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"

step() { printf '\n== %s\n' "$*"; }

step "format and lints"
cargo fmt --all --check
cargo clippy --workspace --all-targets --locked -- -D warnings

step "tests"
cargo build --workspace --locked
cargo test --workspace --locked --no-fail-fast

step "acceptance"
scripts/acceptance_standalone.sh
