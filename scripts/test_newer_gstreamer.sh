#!/usr/bin/env bash
# The element tests, as built here, against a newer GStreamer: Debian's next release in a folder, entered by chroot.
# Needs root. The folder is kept (1.4 GB), so that only the first run takes minutes.
#
#   ROOT    the folder (default target/newer-gstreamer)
#   SUITE   Debian release to take it from (default forky)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/arguments.sh
take_nothing "$@"

root=${ROOT:-target/newer-gstreamer}
suite=${SUITE:-forky}
scripts/setup.sh --tests
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
[ "$(id -u)" -eq 0 ] || { echo "test_newer_gstreamer: chroot needs root: run it with sudo" >&2; exit 1; }

inside() { env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin CVMMAP_FFMPEG=/tests/ffmpeg DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"; }

scripts/lib/newer_gstreamer.sh "$root" "$suite"

mounted=()
leave() {
  local place
  for place in "${mounted[@]}"; do umount "$place"; done
}
trap leave EXIT
# The tests look for the project's files where it was built.
for place in /proc /dev /dev/shm "$PWD"; do
  mkdir -p "$root$place"
  mount --bind "$place" "$root$place"
  mounted=("$root$place" "${mounted[@]}")
done
mount -o remount,ro,bind "$root$PWD"

rm -rf "$root/tests"
mkdir -p "$root/tests"
cp -L target/peers/ffmpeg "$root/tests/ffmpeg"
cp "$(command -v nats-server)" "$root/usr/sbin/"
inside gst-launch-1.0 --version | tail -n +2 | head -n 1
failed=0
while read -r binary; do
  cp "$binary" "$(dirname "$binary")/libgstcvmmap.so" "$root/tests/"
  inside "/tests/$(basename "$binary")" --quiet || failed=$((failed + 1))
done < <(cargo test --workspace --features cvmmap-streamer/viewer --locked --no-run --message-format json 2>/dev/null |
  sed -n '/"package_id":"[^"]*\/gst-plugin-/s/.*"executable":"\([^"]*\)".*/\1/p')
[ "$failed" -eq 0 ] || { echo "test_newer_gstreamer: $failed test programs failed" >&2; exit 1; }
