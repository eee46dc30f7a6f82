#!/usr/bin/env bash
# Measures what the elements cost and prints one table; docs/performance.md says what each figure is.
#
#   scripts/bench.sh ingest [--quick] [--only SECTION]      from a producer into a pipeline
#   scripts/bench.sh latency [--quick] [--only ROW]         from capture to decoded picture, beside ffmpeg
#
# The figures also go to target/bench/. The machine should have nothing else to do.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1-}" in
  ingest) scripts/setup.sh ;;
  latency) scripts/setup.sh --tests ;;
  *) echo "bench: say what to measure: scripts/bench.sh ingest|latency [--quick]" >&2; exit 1 ;;
esac
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
cargo build --release --locked --quiet --package cvmmap-bench --package cvmmap-streamer
exec target/release/cvmmap_bench "$@"
