#!/usr/bin/env bash
# Measures what the elements cost and prints one table; docs/performance.md says what each figure is.
#
#   scripts/bench.sh ingest [--quick] [--only SECTION]   what a frame costs on its way into a pipeline
#   scripts/bench.sh muxer [--quick]                     what a tag costs, in instructions, whatever else the machine does
#   scripts/bench.sh passthrough [--quick]               what a stream costs that is not encoded
#   scripts/bench.sh many [--quick]                      twenty cameras in one process, beside a process for each
#   scripts/bench.sh sizes [--quick]                     what a camera takes, by its size and codec
#   scripts/bench.sh latency [--quick] [--only ROW]      from capture to decoded picture, beside ffmpeg
#   scripts/bench.sh viewers [--quick]                   what those who watch by WebRTC cost, and that the encoder does not notice
#   scripts/bench.sh webrtc [--quick] [--only SIZE]      the same beside GStreamer's webrtcbin, and what they see
#   scripts/bench.sh recordings [--quick] [--only ROW]   how fast recordings are converted, beside ffmpeg
#
# The figures also go to target/bench/, as JSON. The machine should have nothing else to do.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/arguments.sh
answer_help "$@"

for argument in "${@:2}"; do
  case $argument in --quick | --only | [!-]*) ;; *) refuse "unknown argument '$argument'" ;; esac
done
case "${1-}" in
  ingest | passthrough | many | sizes | viewers) scripts/setup.sh ;;
  muxer | webrtc) scripts/setup.sh --bench ;;
  latency | recordings) scripts/setup.sh --tests ;;
  *) refuse "say what to measure: ingest, muxer, passthrough, many, sizes, latency, viewers, webrtc or recordings" ;;
esac
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
cargo build --release --locked --quiet --package cvmmap-bench --package cvmmap-streamer --package gst-plugin-cvmmap --lib --bin cvmmap_bench --bin cvmmap_streamer \
  --bin rtp_receiver_tester --bin rtmp_stub_tester --bin zed_svo_to_mp4 --bin zed_svo_grid_to_mp4 --bin zed_batch_svo_to_mp4
exec target/release/cvmmap_bench "$@"
