# The chain under test, once: the clip -> shared memory -> cvmmap_streamer -> a server, and players of its stream.
# shellcheck shell=bash

clip=media/bigbuckbunny_640x360.mp4
# Of the clip's 132 pictures. A busy machine drops some before they are encoded; what is compared is what went out.
min_frames=30
# A command that enters another network namespace, for servers that bind every address.
net=()

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# start LOG COMMAND...: in the background, bounded, ended with the script; sets started_pid.
start() {
  local log=$1
  shift
  # --foreground passes every signal on; without it the second is lost.
  "${net[@]}" timeout --foreground --signal=KILL "$row_seconds" "$@" > "$log" 2>&1 &
  started_pid=$!
  pids+=("$started_pid")
}

# await_listener PORT, await_client PORT: until there is one, at most 20 seconds.
await_listener() { await_socket "state listening sport = :$1"; }
await_client() { await_socket "state established dport = :$1"; }
await_socket() {
  local tries=0
  # shellcheck disable=SC2086
  until [ -n "$("${net[@]}" ss -tnH $1)" ]; do
    tries=$((tries + 1))
    [ $tries -lt 200 ] || return 1
    sleep 0.1
  done
}

streamer_flags() {
  case $1 in
    h264) echo "--codec h264" ;;
    *) echo "--codec h265 --rtmp-mode $1" ;;
  esac
}

# publish DIR FORM URL [FILE LATE_PLAYER...]: the clip, once. When FILE grows, LATE_PLAYER is started. `sent` is then the
# number of access units that went out; otherwise `detail` says what failed.
publish() {
  local dir=$1 form=$2 url=$3 file=${4-} target=interop-$$ code=0 producer streamer
  shift 3; [ $# -eq 0 ] || shift
  # shellcheck disable=SC2046
  "${net[@]}" timeout "$row_seconds" "$programs/cvmmap_streamer" --input-uri "cvmmap://$target" $(streamer_flags "$form") \
    --ingest-idle-timeout-ms 3000 --json --rtmp --rtmp-url "$url" > "$dir/streamer.json" 2> "$dir/streamer.log" &
  streamer=$!
  pids+=("$streamer")
  timeout "$row_seconds" gst-launch-1.0 filesrc location="$clip" ! decodebin ! videoconvert ! video/x-raw,format=BGR ! \
    cvmmapsink uri="cvmmap://$target" > "$dir/producer.log" 2>&1 &
  producer=$!
  pids+=("$producer")
  if [ $# -gt 0 ]; then
    await_growth "$file"
    "$@"
  fi
  # It ends when the producer has been silent for a while; the producer has then nothing left to do.
  wait "$streamer" || code=$?
  kill "$producer" 2>/dev/null || true
  wait "$producer" 2>/dev/null || true
  sent=$(sed -n 's/.*"sent":\([0-9]*\).*/\1/p' "$dir/streamer.json")
  [ $code -eq 0 ] && [ "${sent:-0}" -ge "$min_frames" ] && return
  detail="cvmmap_streamer exited with $code after ${sent:-0} frames: $(tail -n 1 "$dir/streamer.log")"
  return 1
}

size_of() { stat -c %s "$1" 2>/dev/null || echo 0; }

# Some keyframes into the clip; a relay that passes nothing on must not hold the row up.
await_growth() {
  local tries=0
  until [ "$(size_of "$1")" -gt 200000 ] || [ $tries -ge 30 ]; do
    tries=$((tries + 1))
    sleep 0.1
  done
}

# settle PID FILE: a player whose server keeps the connection open is told to end when nothing more comes.
settle() {
  local before=-1 now tries=0
  now=$(size_of "$2")
  while kill -0 "$1" 2>/dev/null && { [ "$now" -ne "$before" ] || { [ "$now" -eq 0 ] && [ $tries -lt 4 ]; }; }; do
    before=$now tries=$((tries + 1))
    sleep 1.5
    now=$(size_of "$2")
  done
  # FFmpeg ends its file at the first signal and a read that waits for the network at the second.
  for _ in 1 2 3; do
    kill -INT "$1" 2>/dev/null || break
    sleep 0.7
  done
  pkill -KILL -P "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}
