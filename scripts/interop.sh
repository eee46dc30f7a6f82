#!/usr/bin/env bash
# Other people's servers and players with what we publish: a real clip goes through shared memory and cvmmap_streamer to
# each of them, in each of the three packagings, and what comes out is decoded and compared with what was sent. Installs
# the peers into target/peers. A row that differs from scripts/interop/expected.tsv, for better or worse, is a failure.
#
#   --only PEER        this peer alone; may be given again
#   --list             name the peers and end
#   --with-gstreamer   fetch a newer GStreamer when it is not there (1.4 GB, see scripts/test_newer_gstreamer.sh)
#   OUT                where recordings, logs and summary.json go (default target/interop)
#   PROFILE            cargo profile to build and run (default release)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/arguments.sh
answer_help "$@"

all=(ffmpeg-9 node-media-server-4 node-media-server-2 nginx-rtmp ffmpeg-5 gstreamer-1.28 pyav mpegts.js-firefox)
forms=(h264 enhanced domestic)
wanted=() with_gstreamer=false
while [ $# -gt 0 ]; do
  case $1 in
    --only)
      [[ " ${all[*]} " == *" ${2-} "* ]] || refuse "--only takes one of: ${all[*]}"
      wanted+=("$2"); shift ;;
    --list) printf '%s\n' "${all[@]}"; exit ;;
    --with-gstreamer) with_gstreamer=true ;;
    *) refuse "unknown argument '$1'" ;;
  esac
  shift
done
[ "${#wanted[@]}" -gt 0 ] || wanted=("${all[@]}")

out=$(realpath -m "${OUT:-target/interop}")
# Nothing that a row starts lives longer.
row_seconds=90
rm -rf "$out"
mkdir -p "$out"
scripts/setup.sh --tests
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
. scripts/lib/pipeline.sh
. scripts/interop/chain.sh
. scripts/interop/verdict.sh
. scripts/interop/install.sh
. scripts/interop/servers.sh
. scripts/interop/players.sh
. scripts/interop/relay.sh
build_programs

# Ends what a row has started, and its network.
end_row() { end_all; net=(); }

# A server that takes the stream and gives nothing away: FFmpeg, listening.
row_listens() {
  local port dir=$1
  port=$(free_port)
  recording=$dir/received.$(elementary)
  start "$dir/ffmpeg.log" target/peers/ffmpeg -nostdin -v error -listen 1 -timeout 30 \
    -i "rtmp://127.0.0.1:$port/live/clip" -map 0:v -c copy -flush_packets 1 -y "$recording"
  await_listener "$port" || { detail="FFmpeg does not listen"; return 1; }
  publish "$dir" "$form" "rtmp://127.0.0.1:$port/live/clip" || return 1
  settle "$started_pid" "$recording"
  judge_file "$recording" "$sent"
}

# A server that relays.
rows_relay() {
  local server=$1 dir=$2
  if "start_$server" "$dir"; then
    watch_relay "$peer" "$dir" "$rtmp/clip" "${http:+$http/clip.flv}"
  else
    outcome=failed detail="the server does not start: $(tail -n 1 "$dir/server.log")"
    report "$peer" rtmp "$form"
  fi
}

# A player of HTTP-FLV, which node-media-server 4 relays.
row_plays() {
  local player=$1 dir=$2 pid watched
  start_node_media_server_4 "$dir" || { detail="the relay does not start: $(tail -n 1 "$dir/server.log")"; return 1; }
  recording="" count_file=""
  "play_$player" "$dir" "$http/clip.flv"
  pid=$player_pid watched=${recording:-$count_file}
  await_client "$(port_of "$http")" || { detail="the player asks for nothing"; return 1; }
  publish "$dir" "$form" "$rtmp/clip" || return 1
  settle "$pid" "$watched"
  if [ -n "$recording" ]; then
    judge_file "$recording" "$sent"
  else
    frames=$(cat "$count_file" 2>/dev/null || echo 0)
    judge_count "$sent" "$([ "$player" = mpegts_js_firefox ] && echo live)"
  fi
}

report_head
for peer in "${wanted[@]}"; do
  name=${peer//[-.]/_}
  version="" detail=""
  if ! "install_$name"; then
    for form in "${forms[@]}"; do outcome=skipped frames=0 sent=0; report "$peer" - "$form"; done
    continue
  fi
  version=$("version_$name")
  for form in "${forms[@]}"; do
    dir=$out/$peer/$form
    mkdir -p "$dir"
    outcome=no frames=0 sent=0 detail=""
    case $peer in
      ffmpeg-9) row_listens "$dir" || outcome=failed; report "$peer" listens "$form" ;;
      node-media-server-* | nginx-rtmp) rows_relay "$name" "$dir" ;;
      *) row_plays "$name" "$dir" || outcome=failed; report "$peer" http-flv "$form" ;;
    esac
    end_row
  done
done

write_summary
echo "summary: $out/summary.json, $unexpected unexpected"
[ "$unexpected" -eq 0 ]
