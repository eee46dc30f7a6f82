#!/usr/bin/env bash
# A Debian for arm64 in a folder, with what the plugins are built and tested with. Does nothing when it is there. Needs root,
# and a kernel that runs its programs.
#
#   arm64_root.sh ROOT SUITE
set -euo pipefail

root=$1 suite=$2
[ -e "$root/complete" ] && exit
inside() { env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"; }

rm -rf --one-file-system "$root"
mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources | head -n 1)
debootstrap --arch=arm64 --variant=minbase "$suite" "$root" "$mirror" >/dev/null
cp /etc/resolv.conf /etc/hosts "$root/etc/"
inside apt-get -o Acquire::Check-Valid-Until=false update -qq
inside apt-get install -qq -y --no-install-recommends --download-only \
  libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev gstreamer1.0-tools \
  gstreamer1.0-plugins-{base,good,bad,ugly} gstreamer1.0-libav glib-networking \
  ffmpeg openssl procps python3-minimal >/dev/null
# Unpacked by this machine: emulated, it takes twenty times as long. What the packages would set up, nothing here needs, but for
# libraries that have several makers.
for package in "$root"/var/cache/apt/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -C "$root" -x --keep-directory-symlink
done
printf '/usr/lib/aarch64-linux-gnu/%s\n' blas lapack > "$root/etc/ld.so.conf.d/several-makers.conf"
inside ldconfig
inside apt-get clean
touch "$root/complete"
