# What a player made of a stream, and whether that was to be expected.
# shellcheck shell=bash

# flv_form FILE: the packaging of the first video tag. Source: Adobe Flash Video File Format 10.1, E.4; Enhanced RTMP v1.
flv_form() {
  local at=13 tries=0 bytes
  while [ $tries -lt 16 ]; do
    read -r -a bytes < <(od -A n -t u1 -j $at -N 16 -w16 "$1" 2>/dev/null) || return 1
    [ "${#bytes[@]}" -eq 16 ] || return 1
    if [ "${bytes[0]}" -eq 9 ]; then
      case $((bytes[11])) in
        144) echo enhanced ;;
        23) echo h264 ;;
        28) echo domestic ;;
        *) echo "unknown (first byte ${bytes[11]})" ;;
      esac
      return
    fi
    at=$((at + 15 + (bytes[1] << 16) + (bytes[2] << 8) + bytes[3]))
    tries=$((tries + 1))
  done
  return 1
}

# judge_file FILE SENT [late]: decodes a recording. Sets outcome, frames and detail.
judge_file() {
  local file=$1 sent=$2 late=${3-} complaints
  outcome=no frames=0 detail="nothing came"
  [ -s "$file" ] || return 0
  frames=$(target/peers/ffmpeg -nostdin -v error -progress pipe:1 -i "$file" -map 0:v -fps_mode passthrough -f null - \
    2> "$file.decode" | sed -n 's/^frame= *//p' | tail -n 1) || true
  frames=${frames:-0}
  complaints=$(head -n 1 "$file.decode")
  judge_count "$sent" "$late"
  [ "$outcome" = yes ] || { [ -z "$complaints" ] || detail="$detail: ${complaints##*] }"; return 0; }
  if [ -n "$complaints" ]; then
    outcome=damaged detail="$frames frames, but: $complaints"
    return
  fi
  if [ "${file##*.}" = flv ]; then
    # The GStreamer of the comparison may know no H.265 in FLV.
    target/peers/ffmpeg -nostdin -v error -i "$file" -map 0:v -c copy -y "$file.mkv"
    file=$file.mkv
  fi
  if ! "$programs/picture_compare" --sent "$clip" --received "$file" --min-frames "$frames" > "$file.compare" 2>&1; then
    outcome=damaged detail="pictures differ: $(tail -n 1 "$file.compare")"
  else
    detail="$detail, mean PSNR $(sed -n 's/^mean_psnr_db=//p' "$file.compare") dB"
  fi
}

# A live player in a browser shows a picture when the next ones are there; at the end nothing follows.
held_back_max=10

# judge_count SENT [late|live]: by the number in `frames` alone.
judge_count() {
  local sent=$1 late=${2-}
  if [ "$frames" -eq 0 ]; then
    outcome=no detail="no picture decodes"
  elif [ "$frames" -eq "$sent" ]; then
    outcome=yes detail="$frames of $sent frames"
  elif [ "$late" = live ] && [ $((sent - frames)) -le $held_back_max ]; then
    outcome=yes detail="$frames of $sent frames, the last ones held back"
  elif [ "$late" = late ] && [ "$frames" -lt "$sent" ]; then
    outcome=yes detail="$frames of $sent frames, from where it joined"
  else
    outcome=damaged detail="$frames of $sent frames"
  fi
}

expected_outcome() {
  local column=4
  case $3 in h264) column=3 ;; domestic) column=5 ;; esac
  awk -F '\t' -v peer="$1" -v way="$2" -v column=$column '$1 == peer && $2 == way { print $column }' \
    scripts/interop/expected.tsv
}

json_text() { local text=${1//\\/\\\\}; text=${text//\"/\\\"}; printf '"%s"' "${text//[$'\n\r\t']/ }"; }

row_format='%-20s %-10s %-9s %-12s %s%s\n'
# shellcheck disable=SC2059
report_head() { printf "$row_format" peer way form outcome "" ""; }

rows=() unexpected=0
# report PEER WAY FORM: the row of what is in outcome, frames, sent and detail. A peer of which nothing is written down
# has to pass everything on.
report() {
  local peer=$1 way=$2 form=$3 expected mark=""
  expected=$(expected_outcome "$peer" "$way" "$form")
  expected=${expected:-yes}
  if [ "$outcome" != skipped ] && [ "$outcome" != "$expected" ]; then
    mark="  UNEXPECTED (expected: $expected)"
    unexpected=$((unexpected + 1))
  fi
  # shellcheck disable=SC2059
  printf "$row_format" "$peer" "$way" "$form" "$outcome" "$detail" "$mark"
  rows+=("{\"peer\":$(json_text "$peer"),\"version\":$(json_text "${version-}"),\"way\":\"$way\",\"form\":\"$form\",\"outcome\":\"$outcome\",\"expected\":\"$expected\",\"sent\":${sent:-0},\"frames\":${frames:-0},\"detail\":$(json_text "$detail")}")
}

write_summary() {
  local commit joined
  commit=$(git rev-parse HEAD 2>/dev/null || echo unknown)
  joined=$(IFS=,; echo "${rows[*]}")
  printf '{"date":"%s","commit":"%s","unexpected":%d,"rows":[%s]}\n' \
    "$(date -u +%FT%TZ)" "$commit" "$unexpected" "$joined" > "$out/summary.json"
}
