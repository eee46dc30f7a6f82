#!/usr/bin/env bash
# Everything that has to pass: format, lints, unit, element and end-to-end tests, and the acceptance rows.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/arguments.sh
take_nothing "$@"

scripts/setup.sh --tests
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"

step() { printf '\n== %s\n' "$*"; }

step "format and lints"
cargo fmt --all --check
# With the viewer's window, which is a feature of its own.
features=(--features cvmmap-streamer/viewer)
cargo clippy --workspace --all-targets "${features[@]}" --locked -- -D warnings

step "tests"
cargo build --workspace "${features[@]}" --locked
# They wait more than they compute, so more of them run than there are cores; nextest runs those of several executables at once.
if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --workspace "${features[@]}" --locked
  cargo test --workspace "${features[@]}" --locked --doc
else
  cargo test --workspace "${features[@]}" --locked --no-fail-fast -- --test-threads 4
fi

step "acceptance"
PROFILE=dev BUILT=yes scripts/acceptance_standalone.sh
