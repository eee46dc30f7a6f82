# Shared by the scripts that run the programs against each other: build them, start them, end them.
# shellcheck shell=bash

profile=${PROFILE:-release}
programs=target/$([ "$profile" = dev ] && echo debug || echo "$profile")
pids=()

# Ends what is still running, by its process id, whatever way the script ends.
end_all() {
  local pid
  for pid in "${pids[@]}"; do
    kill "$pid" 2>/dev/null || true
  done
  wait 2>/dev/null || true
  pids=()
}
trap end_all EXIT
trap 'exit 130' INT TERM

# What the scripts run, and what else cargo is told. BUILT says that all of it is there.
build_programs() {
  export GST_PLUGIN_PATH=$PWD/$programs
  [ -z "${BUILT-}" ] || return 0
  if ! command -v cargo >/dev/null && [ -f "$HOME/.cargo/env" ]; then . "$HOME/.cargo/env"; fi
  cargo build --locked --quiet --profile "$profile" --package cvmmap-streamer --package gst-plugin-cvmmap --package gst-plugin-flvhevc \
    --lib --bin cvmmap_streamer --bin rtp_receiver_tester --bin rtmp_stub_tester --bin picture_compare "$@"
}

# wait_for FILE TEXT: until a line of the file holds the text, at most 20 seconds.
wait_for() {
  local tries=0
  until grep -q -- "$2" "$1" 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 200 ] || return 1
    sleep 0.1
  done
}

# start_rtp_tester DIR CODEC DUMP: sets tester_pid and tester_port.
start_rtp_tester() {
  "$programs/rtp_receiver_tester" --port 0 --codec "$2" --expect-pt 96 --packet-threshold 100 --timeout-ms 30000 \
    --until-end --dump "$3" > "$1/tester.out" 2> "$1/tester.log" &
  tester_pid=$!
  pids+=("$tester_pid")
  await_port "$1/tester.log"
}

# start_rtmp_tester DIR MODE DUMP: sets tester_pid and tester_port.
start_rtmp_tester() {
  "$programs/rtmp_stub_tester" --listen-port 0 --mode "$2" --video-threshold 100 --timeout-ms 30000 \
    --until-end --dump "$1/received.flv" --dump-es "$3" > "$1/tester.out" 2> "$1/tester.log" &
  tester_pid=$!
  pids+=("$tester_pid")
  await_port "$1/tester.log"
}

await_port() {
  wait_for "$1" 'listening on' || return 1
  tester_port=$(sed -n 's/.*listening on [a-z]*:\/\/[^:]*:\([0-9]*\).*/\1/p' "$1" | head -n 1)
  [ -n "$tester_port" ]
}

# start_streamer DIR TARGET CODEC OUTPUT...: sets streamer_pid. Ends by itself when the producer has left.
start_streamer() {
  local dir=$1 target=$2 codec=$3
  shift 3
  "$programs/cvmmap_streamer" --input-uri "cvmmap://$target" --codec "$codec" --ingest-idle-timeout-ms 3000 --json "$@" \
    > "$dir/streamer.json" 2> "$dir/streamer.log" &
  streamer_pid=$!
  pids+=("$streamer_pid")
}

# play_clip DIR TARGET CLIP: a producer of the clip's pictures in real time. A clip of seconds that is not over in two
# minutes has failed.
play_clip() {
  timeout 120 gst-launch-1.0 filesrc location="$3" ! decodebin ! videoconvert ! video/x-raw,format=BGR ! cvmmapsink uri="cvmmap://$2" \
    > "$1/producer.log" 2>&1
}

# compare_pictures DIR SENT RECEIVED MIN_PSNR MIN_FRAMES: `detail` then holds the figures, or what differs.
compare_pictures() {
  if ! "$programs/picture_compare" --sent "$2" --received "$3" --min-psnr "$4" --min-frames "$5" \
    --contact-sheet "$1/pictures.png" > "$1/compare.out" 2> "$1/compare.log"; then
    detail="pictures differ: $(tail -n 1 "$1/compare.log")"
    return 1
  fi
  detail=$(sed -n 's/^\(received_frames\|sent_frames\|min_psnr_db\|mean_psnr_db\)=/\1 /p' "$1/compare.out" | paste -sd, | sed 's/_/ /g; s/,/, /g')
}
