#!/bin/sh
# SPDX-License-Identifier: MIT
# sanitize.sh asan|tsan [MESON_TEST_OPTION...]: every suite, built by clang under AddressSanitizer +
# UndefinedBehaviorSanitizer; or the suites where threads meet, under ThreadSanitizer. Debug
# information is for the lines of a report. -O0 is the half of the compiler's time under asan, where
# tests mostly wait; under tsan, which watches each load, tests would take longer than that saves.
set -eu
cd "$(dirname "$0")/.."
kind=$1
shift
case $kind in
asan) sanitizers=address,undefined level=0 ;;
tsan) sanitizers=thread level=1 ;;
*) echo "expected asan or tsan, got '$kind'" >&2; exit 1 ;;
esac
tools/bootstrap.sh test
# A test asks for impossible sizes and expects NULL.
export ASAN_OPTIONS=allocator_may_return_null=1:abort_on_error=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=allocator_may_return_null=1:halt_on_error=1:second_deadlock_stack=1
TSAN_OPTIONS=$TSAN_OPTIONS:suppressions=$PWD/tools/tsan.supp
export CC=clang
tools/build.sh "build-$kind" --werror -Db_sanitize="$sanitizers" -Db_lundef=false \
    -Doptimization=$level -Dc_args=-gline-tables-only
# setarch -R: older sanitizer runtimes cannot live with the address randomisation of newer kernels.
exec meson test -C "build-$kind" --no-rebuild --print-errorlogs --timeout-multiplier 10 \
    --no-suite style --wrapper 'setarch -R' "$@"
