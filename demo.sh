#!/bin/sh
# SPDX-License-Identifier: MIT
# ./demo.sh [MODEL.onnx PHOTO.jpg]: from a bare Debian to answers over HTTP. Starts a server on a
# free port of this machine. Without arguments it counts the steps of a made-up walk, whose steps
# are known, and finds a ball; it leaves volley-steps.svg and volley-demo.jpg in the current
# directory. With a detector and a photo it finds what is on the photo. BUILD=DIR: a build directory
# of yours instead of build-release.
set -eu
case $# in
0) model="" photo="" ;;
2)
    for f in "$1" "$2"; do
        [ -r "$f" ] || { echo "demo: cannot read '$f'" >&2; exit 1; }
    done
    model=$(realpath "$1") photo=$(realpath "$2")
    ;;
*)
    echo "usage: ./demo.sh [MODEL.onnx PHOTO.jpg]" >&2
    exit 1
    ;;
esac
out=$PWD
cd "$(dirname "$0")"
tools/bootstrap.sh build
build=${BUILD:-build-release}
if [ -n "${BUILD:-}" ]; then
    ninja -C "$build" >/dev/null
else
    tools/build.sh "$build" --buildtype=release -Dtests=disabled
fi
volley=$PWD/$build/src/cli/volley

tmp=$(mktemp -d)
: >"$tmp/log"
server=""
stop() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    wait
    rm -rf "$tmp"
}
trap stop EXIT
trap 'exit 1' INT TERM

"$volley" serve --models "${model:-examples/ball/ball.onnx}" --address 127.0.0.1 --port 0 \
    >"$tmp/log" 2>&1 &
server=$!
url=""
for _ in $(seq 300); do
    url=$(sed -n 's/.*\(http:[/][/]127\.0\.0\.1:[0-9]*\).*/\1/p' "$tmp/log" | head -n 1)
    [ -z "$url" ] || break
    kill -0 "$server" 2>/dev/null || { cat "$tmp/log" >&2; exit 1; }
    sleep 0.1
done
[ -n "$url" ] || { echo "demo: the server did not start" >&2; cat "$tmp/log" >&2; exit 1; }

# post FILE PATH ACCEPT OUT: the body of the answer goes to OUT.
post() {
    status=$(curl -sS -o "$4" -w '%{http_code}' -H "Accept: $3" \
        -H 'Content-Type: application/octet-stream' --data-binary "@$1" "$url$2")
    [ "$status" = 200 ] || { echo "demo: HTTP $status: $(cat "$4")" >&2; exit 1; }
}

# A walk that never was, so that its steps are known; through the server and the command line.
steps() {
    walk=$tmp/walk
    mkdir "$walk"
    "$volley" synth imu --seconds 60 --seed 7 --out "$walk/walk.csv" \
        --truth "$walk/walk.steps.csv" >/dev/null
    echo "demo: POST a made-up walk of 60 s to $url/v1/imu:detect"
    post "$walk/walk.csv" /v1/imu:detect application/json "$tmp/steps.json"
    python3 - "$tmp/steps.json" "$walk/walk.steps.csv" <<'PY'
import json
import sys
found = json.load(open(sys.argv[1]))
starts = [int(line.split(",")[0]) / 80 - 1 / 80 for line in open(sys.argv[2])]
seen = [e["t_ms"] / 1000 for e in found["events"] if e["type"] == "step.start"]
first = max(starts[0] - 1, 0)


def line(times):
    """7 s from a second before the first step, a character for 0.1 s."""
    cells = ["."] * 70
    for t in times:
        if 0 <= t - first < 7:
            cells[int((t - first) * 10)] = "|"
    return "".join(cells)


near = sum(any(abs(s - t) <= 0.1 for s in seen) for t in starts)
print(f"  true   {line(starts)}  {len(starts)} steps")
print(f"  found  {line(seen)}  {found['steps']} steps")
print(f"demo: {near} of {len(starts)} begin within 100 ms of where they do")
PY
    "$volley" steps "$walk/walk.csv" --json >"$tmp/steps-cli.json"
    echo >>"$tmp/steps.json"
    cmp "$tmp/steps.json" "$tmp/steps-cli.json"
    echo "demo: volley steps walk.csv --json says the same, byte for byte"
    "$volley" eval steps --data "$walk" --plot "$out/volley-steps.svg" >/dev/null 2>&1
    echo "demo: wrote $out/volley-steps.svg"
}

# boxes PHOTO
boxes() {
    echo "demo: POST $(basename "$1") to $url/v1/images:detect"
    post "$1" /v1/images:detect application/json "$tmp/answer.json"
    post "$1" /v1/images:detect image/jpeg "$out/volley-demo.jpg"
    python3 - "$tmp/answer.json" <<'PY'
import json
import sys
answer = json.load(open(sys.argv[1]))
found = answer["detections"]
for d in found:
    box = "  ".join(f"{v:7.1f}" for v in d["bbox"])
    print(f"  {d['class_name']:<16} {d['confidence']:.3f}   {box}")
print(f"demo: {len(found)} found (class, confidence, x1 y1 x2 y2)")
PY
    echo "demo: wrote $out/volley-demo.jpg"
}

[ -n "$model" ] || steps
boxes "${photo:-$PWD/examples/ball/ball.png}"
[ -n "$model" ] || echo "demo: with your own detector and photo: ./demo.sh MODEL.onnx PHOTO.jpg"
