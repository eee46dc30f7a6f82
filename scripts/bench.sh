#!/usr/bin/env bash
# Measures what the elements cost and prints one table; docs/performance.md says what each figure is.
#
#   scripts/bench.sh ingest [--quick] [--only SECTION]
#
# The figures also go to target/bench/ingest.json. The machine should have nothing else to do.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1-}" != ingest ]; then
  echo "bench: say what to measure: scripts/bench.sh ingest [--quick]" >&2
  exit 1
fi
scripts/setup.sh
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
cargo build --release --locked --quiet --package cvmmap-bench
exec target/release/cvmmap_bench "$@"
