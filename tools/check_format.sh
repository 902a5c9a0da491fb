#!/bin/sh
# SPDX-License-Identifier: MIT
# check_format.sh [--fix]: every C file is as clang-format 14 would write it. Other versions differ
# in small ways: with those the check is skipped (exit status 77), and so is --fix.
set -eu
cd "$(dirname "$0")/.."
for tool in clang-format-14 clang-format; do
    version=$($tool --version 2>/dev/null | sed 's/.*version \([0-9]*\).*/\1/') && break
done
if [ "$version" != 14 ]; then
    echo "skipped: clang-format 14 is not here (found: ${version:-none})"
    exit 77
fi
mode="--dry-run -Werror"
[ "${1:-}" != --fix ] || mode=-i
# shellcheck disable=SC2086,SC2046  # lists of words
if ! faults=$(find $(ls -d src include tests examples bench 2>/dev/null) -name '*.[ch]' \
    -exec "$tool" --style=file $mode {} + 2>&1); then
    echo "$faults" | sed -n 's/^\([^: ]*\):.*code should be clang-formatted.*/\1/p' | uniq -c
    echo "format: lines to change per file; make format does it"
    exit 1
fi
echo "format: no faults"
