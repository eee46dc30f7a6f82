#!/usr/bin/env bash
# The protocol crate and both plugins for arm64: cross-built, then tested in a Debian for arm64 that QEMU runs. All their tests
# with the fuzz corpora, the conversions once more by a newer processor, and frames from cvmmapsink to cvmmapsrc. It shows what
# does not build, crashes or computes something else there. It shows neither how fast a real one is nor in which order that
# makes stores visible: QEMU keeps this machine's order (cvmmap/src/header_first_model.rs is about that).
# Needs root. The root is kept (1.6 GB), as is what is built, so that later runs begin with the tests.
#
#   ROOT    the Debian (default target/arm64)
#   SUITE   its release (default this system's)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/arguments.sh
take_nothing "$@"

root=$(realpath -m "${ROOT:-target/arm64}")
scripts/setup.sh --tests
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
[ "$(id -u)" -eq 0 ] || { echo "test_arm64: chroot needs root: run it with sudo" >&2; exit 1; }
. /etc/os-release
suite=${SUITE:-$VERSION_CODENAME}
missing=()
for package in debootstrap g++-aarch64-linux-gnu qemu-user-static; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi
rustup --quiet target add aarch64-unknown-linux-gnu

# Parts of the names of tests that QEMU cannot run.
left_out=(
  # What it takes to translate instructions counts as the process's memory.
  all_of_them_in_turns_cost_no_memory
)

mounted=()
registration=
producer=
leave() {
  local place
  [ -z "$producer" ] || kill "$producer" 2>/dev/null || true
  [ -z "$registration" ] || echo -1 > "$registration"
  for place in "${mounted[@]}"; do umount "$place"; done
}
trap leave EXIT
# bind PLACE: shows a folder of this machine in the root.
bind() {
  mkdir -p "$root$1"
  mount --bind "$1" "$root$1"
  mounted=("$root$1" "${mounted[@]}")
}

# The kernel starts QEMU for programs of arm64, the children of tests too. F: it finds QEMU in every root.
kinds=/proc/sys/fs/binfmt_misc
if [ ! -e "$kinds/register" ]; then
  mount -t binfmt_misc binfmt_misc "$kinds"
  mounted=("$kinds")
fi
if ! grep -qs '^flags: .*F' "$kinds/qemu-aarch64"; then
  registration=$kinds/cvmmap-aarch64
  # What a run that was killed has left.
  [ ! -e "$registration" ] || echo -1 > "$registration"
  magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
  mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
  printf '%s' ":cvmmap-aarch64:M::$magic:$mask:/usr/bin/qemu-aarch64-static:F" > "$kinds/register"
fi
scripts/lib/arm64_root.sh "$root" "$suite"

for place in /proc /dev /dev/shm "$PWD"; do bind "$place"; done
# The tests' peers need no emulation: they are programs of this machine, with its libraries.
for place in /lib64 "/usr/lib/$(uname -m)-linux-gnu"; do bind "$place"; done
mkdir -p "$root/tests"
cp -L target/peers/ffmpeg "$root/tests/ffmpeg"
cp "$(command -v nats-server)" "$root/usr/sbin/"

libraries=$root/usr/lib/aarch64-linux-gnu
export PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_SYSROOT_DIR=$root
export PKG_CONFIG_LIBDIR=$libraries/pkgconfig:$root/usr/share/pkgconfig
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# Its C library too: the root's linker script names it by a path that begins at the root.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-Clink-arg=--sysroot=$root -Clink-arg=-Wl,-rpath-link,$libraries"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$PWD/scripts/lib/run_arm64.sh $root"
cross=(--target aarch64-unknown-linux-gnu --target-dir target/arm64-build --locked)
crates=(-p cvmmap -p gst-plugin-cvmmap -p gst-plugin-flvhevc)
cargo build --quiet "${crates[@]}" --lib --examples "${cross[@]}"

log=$(mktemp)
failed=0
# run_tests CPU ARGUMENT...: runs tests on a processor, and lets through what is worth reading.
run_tests() {
  export CPU=$1
  shift
  cargo test --no-fail-fast "${cross[@]}" "$@" -- --test-threads 2 "${left_out[@]/#/--skip=}" 2>&1 | tee -a "$log" |
    grep -v '^test .*\.\.\. \(ok\|ignored.*\)$' || failed=1
}
# The oldest processor of a Jetson: NEON, and nothing that came later. The corpora of fuzz/ are among the tests.
run_tests cortex-a57 "${crates[@]}" --lib --tests
# The conversions choose other instructions on a newer one.
run_tests cortex-a76 -p gst-plugin-cvmmap --lib --test planar

# A frame from one process to another, by somebody else's program.
folder=$(mktemp -d "$root/tmp/frame.XXXXXX")
inside=${folder#"$root"}
export GST_PLUGIN_PATH=$PWD/target/arm64-build/aarch64-unknown-linux-gnu/debug
launch=(scripts/lib/run_arm64.sh "$root" gst-launch-1.0 -q)
picture=video/x-raw,format=BGRA,width=640,height=360,framerate=10/1
"${launch[@]}" videotestsrc num-buffers=1 pattern=colors ! "$picture" ! filesink location="$inside/sent"
"${launch[@]}" videotestsrc is-live=true pattern=colors ! "$picture" ! cvmmapsink uri="cvmmap://arm64@$inside" 'nats-url=""' &
producer=$!
timeout 120 "${launch[@]}" cvmmapsrc uri="cvmmap://arm64@$inside" 'nats-url=""' max-frames=3 ! multifilesink location="$inside/%d" || failed=1
kill "$producer"
wait "$producer" || true
producer=
frames=0
for frame in 0 1 2; do
  if cmp "$folder/sent" "$folder/$frame"; then frames=$((frames + 1)); else failed=1; fi
done
rm -r "$folder"

awk -v frames="$frames" -v names="${#left_out[@]}" '
  /^test result:/ { passed += $4; failed += $6; ignored += $8; left_out += $12 }
  END { printf "test_arm64: %d tests passed, %d failed, %d ignored here as everywhere, %d left out, %d of 3 frames arrived whole\n",
    passed, failed, ignored, left_out, frames }' "$log"
rm "$log"
exit "$failed"
