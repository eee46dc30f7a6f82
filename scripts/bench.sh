#!/usr/bin/env bash
# Measures what the elements cost and prints one table; docs/performance.md says what each figure is.
#
#   scripts/bench.sh ingest [--quick] [--only SECTION]
#   scripts/bench.sh passthrough [--quick]
#
# The figures also go to target/bench/, as JSON. The machine should have nothing else to do.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1-}" in
  ingest | passthrough) ;;
  *)
    echo "bench: say what to measure: scripts/bench.sh ingest or passthrough [--quick]" >&2
    exit 1
    ;;
esac
scripts/setup.sh
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
cargo build --release --locked --quiet --package cvmmap-bench --package cvmmap-streamer
exec target/release/cvmmap_bench "$@"
