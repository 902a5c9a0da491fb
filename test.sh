#!/bin/sh
# SPDX-License-Identifier: MIT
# ./test.sh [MESON_TEST_OPTION...]: from a bare Debian to the result of every suite. For example
#     ./test.sh --suite unit      ./test.sh --list
set -eu
cd "$(dirname "$0")"
tools/bootstrap.sh test
tools/build.sh build --buildtype=release --werror
exec meson test -C build --no-rebuild --print-errorlogs "$@"
