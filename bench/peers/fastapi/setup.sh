#!/bin/sh
# SPDX-License-Identifier: MIT
# setup.sh [DIR]: what step_server.py and picture_server.py need, in a throw-away Python environment
# (default build-peers/fastapi of the source tree). Nothing of it is needed to build, test or run
# Volley.
set -eu
dir=${1:-$(cd "$(dirname "$0")" && pwd)/../../../build-peers/fastapi}
mkdir -p "$dir"
[ -x "$dir/venv/bin/python" ] || python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check --upgrade \
    fastapi 'uvicorn[standard]' onnxruntime numpy opencv-python-headless simplejpeg pillow \
    orjson
echo "$dir"
