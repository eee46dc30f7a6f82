# A server that relays: one player is there before the publisher, one comes later, and one takes HTTP-FLV.
# shellcheck shell=bash

# port_of URL
port_of() {
  local authority=${1#*://}
  authority=${authority%%/*}
  case $authority in
    *:*) echo "${authority##*:}" ;;
    *) case $1 in rtmp:*) echo 1935 ;; rtmps:* | https:*) echo 443 ;; *) echo 80 ;; esac ;;
  esac
}

# watch_relay PEER DIR RTMP_URL HTTP_FLV_URL: publishes once and reports a row for each way out. HTTP_FLV_URL may be empty.
watch_relay() {
  local peer=$1 dir=$2 url=$3 http_url=$4 tags early late late_pid http_file http_pid="" passed
  play_tags "$dir" "$url"
  tags=$recording early=$player_pid late=$dir/late.$(elementary)
  await_client "$(port_of "$url")" || true
  if [ -n "$http_url" ]; then
    play_ffmpeg_9 "$dir" "$http_url"
    http_file=$recording http_pid=$player_pid
    await_client "$(port_of "$http_url")" || true
  fi
  publish "$dir" "$form" "$url" "$tags" play_late "$dir" "$url" || { outcome=failed; report "$peer" rtmp "$form"; return; }
  settle "$early" "$tags"
  settle "$late_pid" "$late"
  [ -z "$http_pid" ] || settle "$http_pid" "$http_file"

  passed=$(flv_form "$tags" || echo "$form")
  judge_file "$tags" "$sent"; name_form "$passed"; report "$peer" rtmp "$form"
  judge_file "$late" "$sent" late; name_form "$passed"; report "$peer" rtmp-late "$form"
  if [ -n "$http_pid" ]; then
    judge_file "$http_file" "$sent"; name_form "$passed"; report "$peer" http-flv "$form"
  fi
}

# A stream that is well, in another packaging than it was published in.
name_form() { if [ "$outcome" = yes ] && [ "$1" != "$form" ]; then outcome=as-$1; fi; }
