#!/bin/sh
# SPDX-License-Identifier: MIT
# lint.sh [COMMIT]: layers, style, format, then clang-tidy on every source that changed since it
# last passed, itself or a header that it includes; with COMMIT, since that only.
set -eu
cd "$(dirname "$0")/.."
tools/bootstrap.sh test
export CC=clang
[ -f build-tidy/build.ninja ] || meson setup build-tidy >/dev/null
ninja -C build-tidy build.ninja >/dev/null
failed=0
tools/check_layers.py || failed=1
tools/check_style.py || failed=1
tools/check_format.sh || [ $? -eq 77 ] || failed=1
tools/check_tidy.py build-tidy "$@" || failed=1
exit $failed
