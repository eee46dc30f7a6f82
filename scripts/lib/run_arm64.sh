#!/usr/bin/env bash
# Runs a program for arm64 in its root, in the directory that this one is started in. Cargo starts tests by it.
#
#   CPU=CPU run_arm64.sh ROOT PROGRAM ARGUMENT...
set -euo pipefail

root=$1
shift
settings=(
  HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
  "QEMU_CPU=$CPU" "GST_PLUGIN_PATH=${GST_PLUGIN_PATH-}" GST_REGISTRY=/var/cache/gstreamer-registry.bin
  CVMMAP_FFMPEG=/tests/ffmpeg
)
exec timeout 1800 env -i "${settings[@]}" chroot "$root" env -C "$PWD" "$@"
