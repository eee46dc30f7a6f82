# Players by other people. play_PLAYER DIR URL: starts one and sets player_pid, and `recording` or `count_file` to what it
# writes: the video as received, or the number of pictures that it decoded.
# shellcheck shell=bash

recording="" count_file=""

# The name ending of raw access units, which are whole whenever the writer is ended.
elementary() { [ "$form" = h264 ] && echo h264 || echo h265; }

# The tags as they come: so the packaging is seen as well.
play_tags() {
  recording=$1/tags.flv
  start "$1/tags.log" target/peers/ffmpeg -nostdin -v error -f data -i "$2" -map 0 -c copy -flush_packets 1 -f data \
    -y "$recording"
  player_pid=$started_pid
}

play_ffmpeg_9() { ffmpeg_player target/peers/ffmpeg "$1/ffmpeg-9" "$2"; }
play_ffmpeg_5() { ffmpeg_player ffmpeg "$1/ffmpeg-5" "$2"; }
play_late() { ffmpeg_player target/peers/ffmpeg "$1/late" "$2"; late_pid=$player_pid; }
# A server that announces sound has FFmpeg look for it, for five seconds if not told otherwise.
ffmpeg_player() {
  recording=$2.$(elementary)
  start "$2.log" "$1" -nostdin -v error -analyzeduration 1000000 -i "$3" -map 0:v -c copy -flush_packets 1 -y "$recording"
  player_pid=$started_pid
}

play_gstreamer_1_28() {
  local codec
  codec=$(elementary)
  recording=$1/received.$codec
  : > "$recording"
  start "$1/gst.log" chroot "$newer_gstreamer" gst-launch-1.0 -q souphttpsrc is-live=true location="$2" ! flvdemux ! \
    ${codec}parse config-interval=-1 ! video/x-$codec,stream-format=byte-stream ! fdsink fd=3 3> "$recording"
  player_pid=$started_pid
}

play_pyav() {
  count_file=$1/count
  start "$1/pyav.log" "$peers/pyav/bin/python" scripts/interop/pyav_play.py "$2" "$count_file"
  player_pid=$started_pid
}

play_mpegts_js_firefox() {
  count_file=$1/count
  start "$1/browser.log" env NODE_PATH="$peers/browser/node_modules" node scripts/interop/mpegts_play.js "$2" \
    "$(command -v firefox-esr)" "$peers/browser/node_modules/mpegts.js/dist/mpegts.js" "$count_file" "$1"
  player_pid=$started_pid
}
