#!/usr/bin/env bash
# Runs four cameras in one streamer for hours, with RTP, RTMP, rotating recordings and NATS, while producers and RTMP servers are
# killed at random and the configuration is read again. At the end, memory has grown by 5 MiB at most, no descriptor and no thread
# is left over, every receiver has got something in the last second, and every finished recording is whole. Exit code 0 when all of
# that holds; the report goes to stdout.
#
#   scripts/soak.sh --hours H    (0.15, nine minutes, is the shortest that says something)
#
# CVMMAP_BIN names the folder of the programs [default: target/release, else target/debug].
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/arguments.sh
answer_help "$@"
[ $# -eq 2 ] && [ "$1" = --hours ] || refuse "give --hours H"
[[ $2 =~ ^[0-9]+(\.[0-9]+)?$ ]] || refuse "'$2' is no number of hours"

programs=${CVMMAP_BIN-}
for folder in target/release target/debug; do
  [ -n "$programs" ] || { [ -x "$folder/cvmmap_streamer" ] && programs=$folder; }
done
[ -n "$programs" ] || refuse "there is no cvmmap_streamer; run cargo build --release --workspace"
python=target/peers/venv/bin/python
[ -x "$python" ] || refuse "there is no $python; run scripts/setup.sh --tests"
exec "$python" scripts/lib/soak.py "$programs" "$2"
