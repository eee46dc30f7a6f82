#!/usr/bin/env bash
# Measures what the elements cost and prints one table; docs/performance.md says what each figure is.
#
#   scripts/bench.sh ingest [--quick] [--only SECTION]   what a frame costs; the machine should have nothing else to do
#   scripts/bench.sh muxer [--quick]                     what a tag costs, in instructions, whatever else the machine does
#
# The figures also go to target/bench/ingest.json or muxer.json.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1-}" in
  ingest) scripts/setup.sh ;;
  muxer) scripts/setup.sh --bench ;;
  *) echo "bench: say what to measure: scripts/bench.sh ingest|muxer [--quick]" >&2; exit 1 ;;
esac
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
cargo build --release --locked --quiet --package cvmmap-bench
exec target/release/cvmmap_bench "$@"
