# The peers, into target/peers. Each install_PEER does nothing when the peer is there, and fails with `detail` saying why.
# shellcheck shell=bash

peers=$PWD/target/peers
newer_gstreamer=${ROOT:-target/newer-gstreamer}

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

# need COMMAND PACKAGE...: installs the packages when there is no such command.
need() {
  command -v "$1" >/dev/null && return
  shift
  if [ -z "${lists_are_fresh-}" ]; then
    as_root apt-get -o DPkg::Lock::Timeout=300 update -qq || true
    lists_are_fresh=yes
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -qq -y --no-install-recommends \
    "$@" > "$out/apt.log" 2>&1 || { detail="apt-get cannot install $*: $(grep -m 1 '^E:' "$out/apt.log")"; return 1; }
}

# node_modules FOLDER PACKAGE@VERSION...
node_modules() {
  local folder=$peers/$1
  shift
  need node nodejs || return 1
  [ -f "$folder/installed" ] && [ "$(cat "$folder/installed")" = "$*" ] && return
  need npm npm || return 1
  mkdir -p "$folder"
  npm install --prefix "$folder" --no-audit --no-fund "$@" > "$out/npm.log" 2>&1 ||
    { detail="npm cannot install $*: $(grep -m 1 'ERR' "$out/npm.log")"; return 1; }
  echo "$*" > "$folder/installed"
}

install_ffmpeg_9() { scripts/setup.sh --tests || { detail="scripts/setup.sh --tests failed"; return 1; }; }
version_ffmpeg_9() { ffmpeg_version target/peers/ffmpeg; }
ffmpeg_version() { "$1" -version | sed -n '1s/^ffmpeg version \([^ ]*\).*/FFmpeg \1/p'; }

install_ffmpeg_5() {
  need ffmpeg ffmpeg || return 1
  case $(version_ffmpeg_5) in *" 5."*) ;; *) detail="this system's is $(version_ffmpeg_5)"; return 1 ;; esac
}
version_ffmpeg_5() { ffmpeg_version ffmpeg; }

install_node_media_server_4() { node_modules node-media-server-4 node-media-server@4.4.3; }
version_node_media_server_4() { cat "$peers/node-media-server-4/installed"; }

install_node_media_server_2() {
  # It binds every address, so that it gets a network of its own.
  [ "$(id -u)" -eq 0 ] || { detail="it binds every address, and giving it a network of its own takes root"; return 1; }
  unshare -n true 2>/dev/null || { detail="it binds every address, and network namespaces are not to be had here"; return 1; }
  node_modules node-media-server-2 node-media-server@2.7.4
}
version_node_media_server_2() { cat "$peers/node-media-server-2/installed"; }

install_nginx_rtmp() {
  local module=/usr/lib/nginx/modules/ngx_rtmp_module.so
  [ -f $module ] || need no-such-command nginx-light libnginx-mod-rtmp || return 1
  [ -f $module ] || { detail="$module is not there"; return 1; }
}
version_nginx_rtmp() { dpkg-query -W -f='libnginx-mod-rtmp ${Version}' libnginx-mod-rtmp; }

install_gstreamer_1_28() {
  [ "$(id -u)" -eq 0 ] || { detail="a newer GStreamer is entered by chroot, which takes root"; return 1; }
  [ -x "$newer_gstreamer/usr/bin/gst-launch-1.0" ] && return
  $with_gstreamer || { detail="not installed: --with-gstreamer fetches it (1.4 GB)"; return 1; }
  scripts/lib/newer_gstreamer.sh "$newer_gstreamer" > "$out/newer-gstreamer.log" 2>&1 ||
    { detail="it cannot be installed: see $out/newer-gstreamer.log"; return 1; }
}
version_gstreamer_1_28() { chroot "$newer_gstreamer" gst-launch-1.0 --version | sed -n 's/^GStreamer /GStreamer /p'; }

install_pyav() {
  local python=$peers/pyav/bin/python
  "$python" -c 'import av' 2>/dev/null && return
  python3 -m venv "$peers/pyav" && "$peers/pyav/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 ||
    { detail="pip cannot install av"; return 1; }
}
version_pyav() { "$peers/pyav/bin/python" -c 'import av; print("PyAV", av.__version__, "libavformat", ".".join(map(str, av.library_versions["libavformat"])))'; }

install_mpegts_js_firefox() {
  need firefox-esr firefox-esr || return 1
  node_modules browser mpegts.js@1.8.2 puppeteer-core@24.43.1
}
version_mpegts_js_firefox() { echo "$(firefox-esr --version), $(cut -d ' ' -f 1 "$peers/browser/installed")"; }
