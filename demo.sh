#!/bin/sh
# SPDX-License-Identifier: MIT
# ./demo.sh [MODEL.onnx PHOTO.jpg]: from a bare Debian to boxes on a photo, over HTTP. Starts a
# server on a free port of this machine, posts the photo, prints what was found, and writes it with
# the boxes drawn to volley-demo.jpg in the current directory.
set -eu
case $# in
0)
    echo "demo: give a detector and a photo to see your own, ./demo.sh MODEL.onnx PHOTO.jpg;" \
        "this is the built-in ball"
    model="" photo=""
    ;;
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
out=$PWD/volley-demo.jpg
cd "$(dirname "$0")"
tools/bootstrap.sh build
tools/build.sh build-release --buildtype=release -Dtests=disabled
model=${model:-$PWD/examples/ball/ball.onnx} photo=${photo:-$PWD/examples/ball/ball.png}

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

build-release/src/cli/volley serve --models "$model" --address 127.0.0.1 --port 0 \
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

# post ACCEPT OUT: the body of the answer goes to OUT.
post() {
    status=$(curl -sS -o "$2" -w '%{http_code}' -H "Accept: $1" \
        -H 'Content-Type: application/octet-stream' \
        --data-binary "@$photo" "$url/v1/images:detect")
    [ "$status" = 200 ] || { echo "demo: HTTP $status: $(cat "$2")" >&2; exit 1; }
}
echo "demo: POST $(basename "$photo") to $url/v1/images:detect"
post application/json "$tmp/answer.json"
post image/jpeg "$out"
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
echo "demo: wrote $out"
