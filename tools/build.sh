#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh DIR [MESON_OPTION...]: configures DIR when it is new, or was not configured with these
# options here, then builds it.
set -eu
cd "$(dirname "$0")/.."
dir=$1
shift
if [ ! -f "$dir/build.ninja" ]; then
    echo "build: configuring and compiling in $dir/" >&2
    meson setup "$dir" "$@" >"$dir.log" 2>&1 || {
        cat "$dir.log" >&2
        rm -rf "$dir" "$dir.log"
        exit 1
    }
    mv "$dir.log" "$dir/setup.log"
    echo "$*" >"$dir/setup.opts"
elif [ "$(cat "$dir/setup.opts" 2>/dev/null)" != "$*" ]; then
    echo "build: $dir/ anew with $*" >&2
    meson setup --reconfigure "$dir" "$@" >"$dir/setup.log" 2>&1 || {
        cat "$dir/setup.log" >&2
        exit 1
    }
    echo "$*" >"$dir/setup.opts"
fi
ninja -C "$dir" >"$dir/ninja.log" 2>&1 || {
    cat "$dir/ninja.log" >&2
    exit 1
}
