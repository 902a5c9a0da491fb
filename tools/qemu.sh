#!/bin/sh
# SPDX-License-Identifier: MIT
# qemu.sh [MESON_TEST_OPTION...]: the tests of base and dsp, cross-built for 64-bit ARM and run by
# qemu. Exit status 77, with the reason, where there is nothing to run: no such packages, or a
# machine on which ./test.sh does it natively.
set -eu
cd "$(dirname "$0")/.."
if [ "$(uname -m)" = aarch64 ]; then
    echo "qemu: skipped: on this machine ./test.sh runs the NEON kernels natively" >&2
    exit 77
fi
tools/bootstrap.sh neon || {
    echo "qemu: skipped: no cross compiler, qemu or cmocka for arm64 from apt" >&2
    exit 77
}
cat >third_party/aarch64/paths.ini <<INI
[properties]
sys_root = '$PWD/third_party/aarch64'
pkg_config_libdir = '$PWD/third_party/aarch64/usr/lib/aarch64-linux-gnu/pkgconfig'
INI
tools/build.sh build-aarch64 --werror -Dparts=kernels --cross-file tools/cross/aarch64.ini \
    --cross-file third_party/aarch64/paths.ini
exec meson test -C build-aarch64 --no-rebuild --print-errorlogs --timeout-multiplier 5 "$@"
