#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh: everything that PERF.md is made of, on this machine: Volley's own per-step figures, the
# comparison with the rivals, which it installs into build-peers/, the server beside the bare
# engine, and steps for many at once. Results: bench/results/.
# MODEL, INT8 (files, blanks between), PICTURE, STAGES (a 1080p JPEG): what to run; by default the
# test inputs in $VOLLEY_SHARED (../shared beside the sources).
set -eu
cd "$(dirname "$0")/.."
shared=${VOLLEY_SHARED:-../shared}
model=${MODEL:-$shared/models/yolov8n.onnx}
int8=${INT8-$shared/models/yolov8n_qdq_all.onnx}
picture=${PICTURE:-$shared/data/images/classic/bus.jpg}
stages=${STAGES:-$shared/data/images/hd/football_1920x1080.jpg}
name=$(date +%F)
volley=build-release/src/cli/volley
python=build-peers/venv/bin/python

tools/bootstrap.sh build
tools/build.sh build-release --buildtype=release -Dtests=disabled
bench/peers/setup.sh build-peers
mkdir -p bench/results
if [ -f "$model" ]; then
    for threads in 1 2; do
        "$volley" model bench "$model" --threads $threads
    done
    [ -f "$picture" ] || picture=
    # shellcheck disable=SC2046  # each file its own argument
    "$python" bench/peers/compare.py --model "$model" ${picture:+--picture "$picture"} \
        $(for f in $int8; do [ ! -f "$f" ] || echo --int8 "$f"; done) --stages "$stages" \
        --out "bench/results/$name"
else
    echo "skipped: no model '$model' (set MODEL)"
fi
"$python" bench/peers/compare.py --tiny --out "bench/results/$name-tiny"
tiny=build-peers/models
"$python" bench/load/serve.py --build build-release --tiny "$tiny/tiny_step_cnn_b1.onnx" \
    --tiny "$tiny/tiny_gru_b1.onnx" $([ ! -f "$model" ] || echo --model "$model") \
    --out "bench/results/$name-serve"
steps=$shared/models/step_detection.onnx
if [ -f "$steps" ]; then
    bench/peers/fastapi/setup.sh build-peers/fastapi
    bench/load/steps.py --build build-release --peer build-peers/fastapi --peer-model "$steps" \
        --out "bench/results/$name-steps"
else
    echo "skipped: no model '$steps' for the peer of steps (set VOLLEY_SHARED)"
fi
