#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh DIR [MESON_OPTION...]: configures DIR when it is new, or was configured here with other
# options, then builds it.
set -eu
cd "$(dirname "$0")/.."
dir=$1
shift
# meson would keep what is no longer asked for
if [ -f "$dir/setup.opts" ] && [ "$(cat "$dir/setup.opts")" != "$*" ]; then
    rm -rf "$dir"
fi
if [ ! -f "$dir/build.ninja" ]; then
    echo "build: configuring and compiling in $dir/" >&2
    meson setup "$dir" "$@" >"$dir.log" 2>&1 || {
        cat "$dir.log" >&2
        rm -rf "$dir" "$dir.log"
        exit 1
    }
    mv "$dir.log" "$dir/setup.log"
    echo "$*" >"$dir/setup.opts"
fi
ninja -C "$dir" >"$dir/ninja.log" 2>&1 || {
    cat "$dir/ninja.log" >&2
    exit 1
}
