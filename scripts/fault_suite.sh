#!/usr/bin/env bash
# Breaks what cvmmap_streamer depends on, one thing after the other, and looks at what comes out; docs/fault_suite.md says
# what each scenario proves.
#
#   scripts/fault_suite.sh [--mode baseline|degraded] [--only SCENARIO] [--list]
#
#   EVIDENCE_DIR   where evidence goes (default .sisyphus/evidence)
#   PROFILE        cargo profile to build and run (default release)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/arguments.sh
answer_help "$@"
for argument; do
  case $argument in --mode | --only | --list | [!-]*) ;; *) refuse "unknown argument '$argument'" ;; esac
done
. scripts/lib/pipeline.sh

build_programs --package cvmmap-faults --bin fault_suite
exec "$programs/fault_suite" --evidence "${EVIDENCE_DIR:-.sisyphus/evidence}" "$@"
