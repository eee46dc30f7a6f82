#!/usr/bin/env bash
# The mandatory protocol and codec rows, with real programs only: a producer plays a real clip into shared memory,
# cvmmap_streamer publishes it, a tester receives and checks it, and what was received is decoded and compared with what
# was sent.
#
#   EVIDENCE_DIR   where evidence goes (default .sisyphus/evidence)
#   PROFILE        cargo profile to build and run (default release)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/arguments.sh
take_nothing "$@"
. scripts/lib/pipeline.sh

evidence=${EVIDENCE_DIR:-.sisyphus/evidence}
run_id=$(date -u +%Y%m%dT%H%M%SZ)
run_dir=$evidence/acceptance-$run_id
clip=media/bigbuckbunny_640x360.mp4
# Of the clip's 132 pictures; the first few pass before the streamer has found the producer.
min_frames=100
min_psnr=30

mkdir -p "$run_dir"
build_programs
passed=0 failed=0 rows=()

# row NAME CODEC PROTOCOL [RTMP_MODE [TESTER_MODE]]
row() {
  local name=$1 codec=$2 protocol=$3 rtmp_mode=${4-} tester_mode=${5-}
  local dir=$run_dir/$name status=fail
  mkdir -p "$dir"
  detail=""
  if run_row "$dir" "$name" "$codec" "$protocol" "$rtmp_mode" "$tester_mode"; then
    status=pass
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
  fi
  end_all
  printf '%-20s %s  %s\n' "$name" "$status" "$detail"
  rows+=("{\"name\":\"$name\",\"codec\":\"$codec\",\"protocol\":\"$protocol\",\"rtmp_mode\":\"$rtmp_mode\",\"status\":\"$status\",\"detail\":\"${detail//\"/\\\"}\",\"evidence\":\"$dir\"}")
}

# Runs one row; `detail` then holds its measured quality, or what failed.
run_row() {
  local dir=$1 name=$2 codec=$3 protocol=$4 rtmp_mode=$5 tester_mode=$6
  local target=acc-$$-${name:0:8} received=$dir/received.$codec code=0
  if [ "$protocol" = rtp ]; then
    start_rtp_tester "$dir" "$codec" "$received" || { detail="the RTP tester did not start"; return 1; }
    start_streamer "$dir" "$target" "$codec" --rtp --rtp-endpoint "127.0.0.1:$tester_port" --rtp-payload-type 96 \
      --rtp-sdp "$dir/stream.sdp"
  else
    start_rtmp_tester "$dir" "$tester_mode" "$received" || { detail="the RTMP tester did not start"; return 1; }
    start_streamer "$dir" "$target" "$codec" --rtmp --rtmp-url "rtmp://127.0.0.1:$tester_port/live/acceptance" \
      --rtmp-mode "$rtmp_mode"
  fi
  play_clip "$dir" "$target" "$clip" || { detail="the producer failed: see $dir/producer.log"; return 1; }
  wait "$streamer_pid" || code=$?
  [ $code -eq 0 ] || { detail="cvmmap_streamer exited with $code: $(tail -n 1 "$dir/streamer.log")"; return 1; }
  wait "$tester_pid" || code=$?
  [ $code -eq 0 ] || { detail="the tester exited with $code: $(tail -n 1 "$dir/tester.log")"; return 1; }
  compare_pictures "$dir" "$clip" "$received" "$min_psnr" "$min_frames"
}

row rtp_h264 h264 rtp
row rtp_h265 h265 rtp
row rtmp_h264_enhanced h264 rtmp enhanced h264
row rtmp_h265_enhanced h265 rtmp enhanced h265-enhanced
row rtmp_h265_domestic h265 rtmp domestic h265-domestic

total=$((passed + failed))
summary="total=$total pass=$passed fail=$failed skip=0"
commit=$(git rev-parse HEAD 2>/dev/null || echo unknown)
joined=$(IFS=,; echo "${rows[*]}")
printf '{"run_id":"%s","commit":"%s","total":%d,"pass":%d,"fail":%d,"skip":0,"rows":[%s]}\n' \
  "$run_id" "$commit" "$total" "$passed" "$failed" "$joined" > "$evidence/task-14-acceptance-summary.json"
cp "$evidence/task-14-acceptance-summary.json" "$run_dir/summary.json"
{
  echo "run_id=$run_id"
  echo "commit=$commit"
  echo "run_dir=$run_dir"
  echo "command=scripts/acceptance_standalone.sh"
  echo "$summary"
  echo "exit_code=$((failed > 0))"
} > "$evidence/task-14-acceptance.txt"
echo "evidence: $run_dir"
echo "$summary"
[ "$failed" -eq 0 ]
