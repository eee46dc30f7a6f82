#!/usr/bin/env bash
# The main job in front of your eyes: a producer plays a real clip into shared memory, cvmmap_streamer publishes it as RTP
# and RTMP and to a browser, where one is installed, and what is received is compared with what was sent. Installs and
# builds what is missing first.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/arguments.sh
take_nothing "$@"

scripts/setup.sh
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
. scripts/lib/pipeline.sh

clip=media/bigbuckbunny_640x360.mp4
out=target/quickstart
target=quickstart
rm -rf "$out"
failed=0

# check TEXT COMMAND...: one line that says whether the command succeeds; its own words may be in `detail`.
check() {
  local text=$1 mark=ok
  shift
  detail=""
  "$@" || { mark=FAILED; failed=$((failed + 1)); }
  printf '  %-6s %s%s\n' "$mark" "$text" "${detail:+: $detail}"
}

echo "building the release programs (a few minutes the first time)"
build_programs

# stream CODEC RTMP_MODE TESTER_MODE: the clip through shared memory and out both ways at once.
stream() {
  local codec=$1 rtmp_mode=$2 tester_mode=$3 dir=$out/$1-$2
  mkdir -p "$dir/rtp" "$dir/rtmp"
  printf '\n%s: clip -> shared memory -> cvmmap_streamer -> RTP and RTMP (%s)\n' "$codec" "$rtmp_mode"

  check "RTP receiver listens" start_rtp_tester "$dir/rtp" "$codec" "$dir/rtp/received.$codec"
  local rtp_pid=$tester_pid rtp_port=$tester_port
  check "RTMP server listens" start_rtmp_tester "$dir/rtmp" "$tester_mode" "$dir/rtmp/received.$codec"
  local rtmp_pid=$tester_pid rtmp_port=$tester_port
  start_streamer "$dir" "$target" "$codec" \
    --rtp --rtp-endpoint "127.0.0.1:$rtp_port" --rtp-payload-type 96 --rtp-sdp "$dir/stream.sdp" \
    --rtmp --rtmp-url "rtmp://127.0.0.1:$rtmp_port/live/quickstart" --rtmp-mode "$rtmp_mode"
  check "producer played the clip at its own pace" play_clip "$dir" "$target" "$clip"
  check "streamer ended when the producer had left" ended_well "$streamer_pid" "$dir/streamer.log"
  check "RTP stream is sound" ended_well "$rtp_pid" "$dir/rtp/tester.log"
  check "RTMP stream is sound" ended_well "$rtmp_pid" "$dir/rtmp/tester.log"
  check "RTP shows what was sent" compare_pictures "$dir/rtp" "$clip" "$dir/rtp/received.$codec" 30 100
  check "RTMP shows what was sent" compare_pictures "$dir/rtmp" "$clip" "$dir/rtmp/received.$codec" 30 100
}

# ended_well PID LOG
ended_well() {
  wait "$1" && return
  detail=$(tail -n 1 "$2")
  return 1
}

stream h264 enhanced h264
stream h265 enhanced h265-enhanced

# show_in_browser: the clip off the page that the streamer serves.
show_in_browser() {
  local dir=$out/browser port=$((20000 + RANDOM % 10000))
  mkdir -p "$dir"
  printf '\nclip -> shared memory -> cvmmap_streamer -> WebRTC -> Chromium\n'
  node scripts/lib/save_shown.mjs "$PWD/target/peers/browser/node_modules/playwright-core" "$(command -v chromium)" \
    "http://127.0.0.1:$port" "$target" "$dir" 40 25 > "$dir/browser.log" 2>&1 &
  local browser_pid=$!
  pids+=("$browser_pid")
  check "a browser is there" wait_for "$dir/browser.log" ready
  start_streamer "$dir" "$target" h264 --http "127.0.0.1:$port"
  check "producer played the clip at its own pace" play_clip "$dir" "$target" "$clip"
  check "browser showed pictures" ended_well "$browser_pid" "$dir/browser.log"
  check "streamer ended when the producer had left" ended_well "$streamer_pid" "$dir/streamer.log"
  check "a browser shows what was sent" compare_pictures "$dir" "$clip" "$dir/shown.y4m" 30 40
}
if command -v chromium >/dev/null && command -v node >/dev/null && [ -d target/peers/browser/node_modules/playwright-core ]; then
  show_in_browser
else
  printf '\nno Chromium is asked: scripts/setup.sh --with-browser installs it\n'
fi

sheet=$out/contact_sheet.png
cp "$out/h265-enhanced/rtmp/pictures.png" "$sheet" 2>/dev/null || true
echo
if [ "$failed" -gt 0 ]; then
  echo "$failed checks FAILED; logs are in $out"
  exit 1
fi
cat <<EOF
All is well. $sheet shows received pictures below the sent ones.

What to type next:
  export GST_PLUGIN_PATH=$PWD/$programs
  # a camera, and its picture in a window:
  gst-launch-1.0 videotestsrc is-live=true pattern=ball ! video/x-raw,format=BGR,width=1280,height=720 ! cvmmapsink uri=cvmmap://cam0 &
  gst-launch-1.0 cvmmapsrc uri=cvmmap://cam0 ! videoconvert ! autovideosink
  # the same to an RTMP server:
  $programs/cvmmap_streamer --input-uri cvmmap://cam0 --codec h264 --rtmp --rtmp-url rtmp://SERVER/live/cam0
  # every flag:
  $programs/cvmmap_streamer --help
  # a camera in your browser, with depth: run this, and open http://127.0.0.1:8080/
  $programs/cvmmap_streamer --input-mode dummy --dummy-frames 0 --dummy-depth --codec h264 --http 127.0.0.1:8080
EOF
