#!/bin/sh
# SPDX-License-Identifier: MIT
# setup.sh [DIR]: the rivals, in a throw-away Python environment (default build-peers/ of the source
# tree). Nothing of it is needed to build, test or run Volley.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-$here/../../build-peers}
mkdir -p "$dir"
[ -x "$dir/venv/bin/python" ] || python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check --upgrade \
    onnxruntime openvino onnx numpy pillow
"${CC:-cc}" -O2 -Wall -Wextra -shared -fPIC -o "$dir/libtimer.so" "$here/timer.c"
echo "$dir"
