#!/usr/bin/env bash
# A newer GStreamer in a folder: Debian's next release, entered by chroot. Does nothing when it is there. Needs root.
#
#   newer_gstreamer.sh ROOT [SUITE]
set -euo pipefail

root=$1 suite=${2:-forky}
inside() { env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"; }

if [ ! -x "$root/usr/bin/gst-launch-1.0" ]; then
  command -v debootstrap >/dev/null || { apt-get update -qq; apt-get install -qq -y --no-install-recommends debootstrap >/dev/null; }
  mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources | head -n 1)
  debootstrap --variant=minbase "$suite" "$root" "$mirror" /usr/share/debootstrap/scripts/sid >/dev/null
  cp /etc/resolv.conf /etc/hosts "$root/etc/"
  inside apt-get -o Acquire::Check-Valid-Until=false update -qq
  inside apt-get install -qq -y --no-install-recommends gstreamer1.0-tools \
    gstreamer1.0-plugins-{base,good,bad,ugly} gstreamer1.0-libav >/dev/null
fi
# The other sides of the tests.
if [ ! -x "$root/usr/bin/ffprobe" ] || [ ! -x "$root/usr/bin/python3" ] || [ ! -x "$root/usr/bin/openssl" ]; then
  inside apt-get -o Acquire::Check-Valid-Until=false update -qq
  inside apt-get install -qq -y --no-install-recommends ffmpeg openssl python3 >/dev/null
fi
