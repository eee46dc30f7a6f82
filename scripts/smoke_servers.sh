#!/usr/bin/env bash
# A server of yours with what we publish: the clip goes to it in each of the three packagings, is played back by FFmpeg
# while it runs, decoded, counted and compared with what was sent. Skips, saying so, when no server is given.
#
#   --server URL     rtmp://HOST[:PORT]/APP or rtmps://…; the streams are URL/smoke-h264 and so on
#   --http-flv URL   where the server has them as HTTP-FLV, with %s for the stream's name: http://HOST:8080/live/%s.flv
#   --form FORM      h264, enhanced or domestic alone; may be given again
#   SRS_URL, ZLM_URL as --server, for SRS and ZLMediaKit (docs/smoke/), with SRS_HTTP_FLV and ZLM_HTTP_FLV
#   OUT              where recordings, logs and summary.json go (default target/smoke)
#   PROFILE          cargo profile to build and run (default release)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/arguments.sh
answer_help "$@"

names=() urls=() https=() forms=()
add_server() { names+=("$1"); urls+=("${2%/}"); https+=("$3"); }
[ -z "${SRS_URL-}" ] || add_server srs "$SRS_URL" "${SRS_HTTP_FLV-}"
[ -z "${ZLM_URL-}" ] || add_server zlmediakit "$ZLM_URL" "${ZLM_HTTP_FLV-}"
while [ $# -gt 0 ]; do
  case $1 in
    --server) [ -n "${2-}" ] || refuse "--server needs a URL"; add_server server "$2" ""; shift ;;
    --http-flv)
      [[ ${2-} == *%s* && ${#https[@]} -gt 0 ]] || refuse "--http-flv needs a URL with %s, after its --server"
      https[-1]=$2; shift ;;
    --form)
      case ${2-} in h264 | enhanced | domestic) forms+=("$2") ;; *) refuse "--form is h264, enhanced or domestic" ;; esac
      shift ;;
    *) refuse "unknown argument '$1'" ;;
  esac
  shift
done
[ "${#forms[@]}" -gt 0 ] || forms=(h264 enhanced domestic)
for url in "${urls[@]}"; do
  [[ $url =~ ^rtmps?://[^/]+/[^?]+$ ]] || refuse "a server is named rtmp://HOST[:PORT]/APP"
done
if [ "${#urls[@]}" -eq 0 ]; then
  echo "skipped: no server is given; name one with --server rtmp://HOST/APP, SRS_URL or ZLM_URL"
  exit 0
fi

out=$(realpath -m "${OUT:-target/smoke}")
row_seconds=90
rm -rf "$out"
mkdir -p "$out"
scripts/setup.sh --tests
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
. scripts/lib/pipeline.sh
. scripts/interop/chain.sh
. scripts/interop/verdict.sh
. scripts/interop/players.sh
. scripts/interop/relay.sh
build_programs

report_head
for index in "${!urls[@]}"; do
  for form in "${forms[@]}"; do
    dir=$out/$index-${names[index]}/$form stream=smoke-$form
    mkdir -p "$dir"
    outcome=no frames=0 sent=0 detail=""
    # shellcheck disable=SC2059
    watch_relay "${names[index]}" "$dir" "${urls[index]}/$stream" "$(printf "${https[index]}" "$stream")"
    end_all
  done
done
write_summary
echo "summary: $out/summary.json, $unexpected not as they should be"
if [ "$unexpected" -gt 0 ]; then
  echo "Are the last pictures of a row missing? A server that gathers before it writes keeps them: for SRS, set mw_latency 10"
  echo "in its play block (docs/smoke/srs.md). Is there nothing at all? See docs/caveats.md, RTMP."
fi
[ "$unexpected" -eq 0 ]
