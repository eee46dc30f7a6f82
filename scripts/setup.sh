#!/usr/bin/env bash
# Installs what building, running, testing (with --tests), looking at the page in a browser
# (with --with-browser), and counting instructions and comparing with webrtcbin (with --bench) need on Debian or Ubuntu.
# Does nothing when all is there.
#
#   scripts/setup.sh [--tests | --with-browser | --bench]
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/arguments.sh
answer_help "$@"

say() { printf 'setup: %s\n' "$*" >&2; }

packages=(
  ca-certificates curl git g++ make pkg-config
  libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstrtspserver-1.0-dev
  gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
  gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav glib-networking
)
tests=false
browser=false
[ $# -le 1 ] || refuse "unknown argument '$2'"
case "${1-}" in
  "") ;;
  --tests) tests=true; packages+=(
    ffmpeg iproute2 nats-server openssl procps protobuf-compiler python3-venv stunnel4 xxd
    # A screen for the viewer's window.
    libegl1 libgl1-mesa-dri libx11-xcb1 libxcursor1 libxi6 libxkbcommon-x11-0 xdotool xvfb
  ) ;;
  --with-browser) browser=true; packages+=(chromium firefox-esr fonts-dejavu-core)
    # Others' packages of Node bring npm with them, and Debian's cannot stand beside them.
    command -v node >/dev/null || packages+=(nodejs)
    command -v npm >/dev/null || packages+=(npm) ;;
  --bench) packages+=(valgrind
    # WebRTC by GStreamer's own element.
    gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice python3-gst-1.0) ;;
  *) refuse "unknown argument '$1'" ;;
esac

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done
as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
if [ "${#missing[@]}" -gt 0 ]; then
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi

# A Rust that was installed a moment ago is not on this shell's PATH yet.
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
if ! command -v cargo >/dev/null; then
  say "there is no Rust here: installing the stable toolchain through rustup into $HOME/.cargo"
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --no-modify-path
fi

# Debian's ffmpeg knows neither form of H.265 in FLV; the one in this wheel reads both.
if $tests && [ ! -x target/peers/ffmpeg ]; then
  say "fetching an ffmpeg that knows H.265 in FLV into target/peers"
  mkdir -p target/peers
  python3 -m venv target/peers/venv
  target/peers/venv/bin/pip install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1
  binary=$(target/peers/venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
  ln -sf "$binary" target/peers/ffmpeg
fi

# Debian's prometheus, without its service, which would listen on all addresses.
if $tests && [ ! -x target/peers/promtool ]; then
  say "fetching prometheus and promtool into target/peers"
  unpacked=$(mktemp -d)
  "${as_root[@]}" apt-get update -qq
  (cd "$unpacked" && apt-get -o APT::Sandbox::User=root download -qq prometheus >/dev/null && dpkg-deb -x prometheus_*.deb .)
  mkdir -p target/peers
  cp "$unpacked"/usr/bin/prometheus "$unpacked"/usr/bin/promtool target/peers/
  rm -r "$unpacked"
fi

# What other people read recordings with.
if $tests && ! target/peers/venv/bin/python -c 'import mcap, mcap_protobuf' 2>/dev/null; then
  say "fetching Python's mcap into target/peers"
  target/peers/venv/bin/python -m pip install --quiet --disable-pip-version-check mcap==1.6.0 mcap-protobuf-support==0.6.0
fi

# Somebody else on NATS; the messages are of the protobuf package that came with mcap.
if $tests && ! target/peers/venv/bin/python -c 'import nats, google.protobuf' 2>/dev/null; then
  say "fetching Python's nats-py into target/peers"
  target/peers/venv/bin/python -m pip install --quiet --disable-pip-version-check nats-py==2.16.0
fi

# A client of Foxglove and other WebSockets, and Foxglove's own schemas.
if $tests && ! target/peers/venv/bin/python -c 'import websockets, foxglove_schemas_protobuf' 2>/dev/null; then
  say "fetching Python's websockets and foxglove-schemas-protobuf into target/peers"
  target/peers/venv/bin/python -m pip install --quiet --disable-pip-version-check websockets==17.4 foxglove-schemas-protobuf==0.4.0
fi

# A producer in Python, as README has it.
if $tests && ! target/peers/venv/bin/python -c 'import numpy, zmq' 2>/dev/null; then
  say "fetching Python's numpy and pyzmq into target/peers"
  target/peers/venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 pyzmq==27.3.0
fi

# A player of WebRTC.
if $tests && ! target/peers/venv/bin/python -c 'import aiortc' 2>/dev/null; then
  say "fetching Python's aiortc into target/peers"
  target/peers/venv/bin/python -m pip install --quiet --disable-pip-version-check aiortc==1.16.0
fi

# Drives the browser; it brings none of its own. And what Foxglove's window is a client with.
if $browser && [ ! -d target/peers/browser/node_modules/@foxglove/ws-protocol ]; then
  say "fetching playwright-core, @foxglove/ws-protocol and ws into target/peers/browser"
  mkdir -p target/peers/browser
  npm install --silent --no-audit --no-fund --prefix target/peers/browser \
    playwright-core@1.65.1 @foxglove/ws-protocol@0.8.0 ws@8.23.0 >/dev/null
fi
