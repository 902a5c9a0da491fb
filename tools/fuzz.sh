#!/bin/sh
# SPDX-License-Identifier: MIT
# fuzz.sh SECONDS TARGET...: each target that long, under ASan and UBSan. New inputs go to
# build-fuzz/corpus/TARGET, a crash to build-fuzz/TARGET-*; what is worth keeping goes to
# tests/fuzz/corpus/TARGET by hand.
set -eu
cd "$(dirname "$0")/.."
seconds=$1
shift
tools/bootstrap.sh test
export CC=clang
tools/build.sh build-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false
for target in "$@"; do
    echo "== fuzz_$target, $seconds s"
    mkdir -p "build-fuzz/corpus/$target"
    ASAN_OPTIONS=allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        setarch -R "build-fuzz/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="build-fuzz/$target-" \
        "build-fuzz/corpus/$target" "tests/fuzz/corpus/$target"
done
