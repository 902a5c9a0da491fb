#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check_abi.sh SOURCE_ROOT BUILD_ROOT SANITIZERS CC...: libvolley as its users meet it. TAP.
#  1 it exports exactly the symbols of tests/abi/symbols.txt
#  2 the public headers compile alone as C99 and as C++
#  3 examples/detect.c builds against the installed library, shared and static, and runs
set -eu
src=$1 build=$2 sanitize=$3
shift 3
cc=$* # words: ccache cc
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

echo 1..5
n=0
report() { # report STATUS NAME
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else
        echo "not ok $n - $2"
        sed 's/^/# /' "$tmp/log"
    fi
}

nm -D --defined-only "$build/src/lib/libvolley.so" | awk '$2 ~ /[TDBR]/ {print $3}' |
    grep -v '^__asan\|^__tsan\|^__ubsan\|^__odr' | sort >"$tmp/symbols"
diff "$src/tests/abi/symbols.txt" "$tmp/symbols" >"$tmp/log" 2>&1 && s=0 || s=$?
report $s "exported symbols are those of tests/abi/symbols.txt"

s=0
for h in "$src"/include/volley/*.h; do
    printf '#include "%s"\nint alone;\n' "$h" >"$tmp/alone.c"
    flags="-pedantic -Wall -Wextra -Werror -I $src/include -fsyntax-only"
    $cc -std=c99 $flags "$tmp/alone.c" || s=1
    if command -v c++ >/dev/null; then
        c++ -x c++ $flags "$tmp/alone.c" || s=1
    fi
done >"$tmp/log" 2>&1
report $s "public headers compile alone as C99 and C++"

DESTDIR=$tmp/root meson install -C "$build" --no-rebuild --quiet >"$tmp/log" 2>&1 && s=0 || s=$?
report $s "meson install"

pc=$(find "$tmp/root" -name volley.pc)
libdir=$(dirname "$(find "$tmp/root" -name libvolley.so)")
export PKG_CONFIG_PATH="${pc%/*}"
prefix=$(pkg-config --variable=prefix volley)
[ "$sanitize" = none ] && sanitize= || sanitize=-fsanitize=$sanitize
# shellcheck disable=SC2046,SC2086  # lists of flags
$cc -std=c99 -pedantic -Wall -Wextra -Werror $sanitize "$src/examples/detect.c" \
    $(pkg-config --define-variable=prefix="$tmp/root$prefix" --cflags --libs volley) \
    -o "$tmp/detect" >"$tmp/log" 2>&1 && s=0 || s=$?
report $s "examples/detect.c builds against the installed library"

s=0
LD_LIBRARY_PATH=$libdir "$tmp/detect" >"$tmp/log" 2>&1 || s=$?
[ "$s" -eq 2 ] && s=0 || s=1 # no arguments: usage
model=${VOLLEY_SHARED:-$src/../shared}/models/yolov8n.onnx
photo=${VOLLEY_SHARED:-$src/../shared}/data/images/classic/bus.jpg
if [ $s -eq 0 ] && [ -f "$model" ]; then
    LD_LIBRARY_PATH=$libdir "$tmp/detect" "$model" "$photo" >"$tmp/log" 2>&1 || s=1
    [ "$(grep -c '^person' "$tmp/log")" -eq 4 ] && [ "$(grep -c '^bus' "$tmp/log")" -eq 1 ] || s=1
else
    echo "# no shared/models/yolov8n.onnx: the example was built, not tried on a photo"
fi
report $s "the example runs"
