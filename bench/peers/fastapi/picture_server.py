# SPDX-License-Identifier: MIT
"""The usual way to serve a detector: FastAPI, uvicorn and ONNX Runtime, a picture a request.

    PICTURE_MODEL=yolov8n.onnx uvicorn picture_server:app --loop uvloop --http httptools

What bench/load/compare_fastapi.py compares the server with; no part of the product. Written to be
fast: the body is the picture itself (no form), decoded by libjpeg-turbo, resized by OpenCV, boxes
suppressed with numpy, JSON by orjson. What differs between machines is a setting:

    PICTURE_THREADS  of ONNX Runtime for one picture (default 1)
    PICTURE_AT_ONCE  pictures at once in a worker's thread pool; 0 (default): on the loop itself
    PICTURE_DECODER  simplejpeg (default), opencv or pillow
"""
import ast
import asyncio
import concurrent.futures
import io
import os

import cv2
import numpy
import onnxruntime
import orjson
import simplejpeg
from fastapi import FastAPI, HTTPException, Request, Response
from PIL import Image

SIZE, CONFIDENCE, OVERLAP, BOXES_MAX = 640, 0.25, 0.45, 300
AT_ONCE = int(os.environ.get("PICTURE_AT_ONCE", "0"))
DECODER = os.environ.get("PICTURE_DECODER", "simplejpeg")
cv2.setNumThreads(0)


def load():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("PICTURE_THREADS", "1"))
    options.inter_op_num_threads = 1
    if AT_ONCE > 1:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(os.environ["PICTURE_MODEL"], options,
                                           providers=["CPUExecutionProvider"])
    names = session.get_modelmeta().custom_metadata_map.get("names")
    return session, session.get_inputs()[0].name, ast.literal_eval(names) if names else {}


app = FastAPI()
session, input_name, names = load()
pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE) if AT_ONCE > 0 else None


def decode(data):
    """RGB, height x width x 3."""
    if DECODER == "simplejpeg" and data[:2] == b"\xff\xd8":
        return simplejpeg.decode_jpeg(data, "RGB")
    if DECODER == "pillow":
        return numpy.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    picture = cv2.imdecode(numpy.frombuffer(data, numpy.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("not a picture")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def letterbox(picture):
    height, width = picture.shape[:2]
    scale = min(SIZE / height, SIZE / width)
    w, h = round(width * scale), round(height * scale)
    left, top = (SIZE - w) // 2, (SIZE - h) // 2
    canvas = numpy.full((SIZE, SIZE, 3), 114, numpy.uint8)
    canvas[top:top + h, left:left + w] = cv2.resize(picture, (w, h),
                                                    interpolation=cv2.INTER_LINEAR)
    x = cv2.dnn.blobFromImage(canvas, 1 / 255.0)
    return x, scale, left, top


def suppress(boxes, scores, classes):
    """Greedy, class by class: boxes of different classes are moved apart first."""
    moved = boxes + (classes * 4096.0)[:, None]
    area = (moved[:, 2] - moved[:, 0]) * (moved[:, 3] - moved[:, 1])
    order, keep = scores.argsort()[::-1], []
    while order.size > 0 and len(keep) < BOXES_MAX:
        i, rest = order[0], order[1:]
        keep.append(i)
        low = numpy.maximum(moved[i, :2], moved[rest, :2])
        high = numpy.minimum(moved[i, 2:], moved[rest, 2:])
        common = numpy.prod(numpy.maximum(high - low, 0), axis=1)
        order = rest[common <= OVERLAP * (area[i] + area[rest] - common)]
    return keep


def detect(data):
    picture = decode(data)
    x, scale, left, top = letterbox(picture)
    rows = session.run(None, {input_name: x})[0][0]  # 84 x 8400
    best = rows[4:].max(axis=0)
    chosen = numpy.flatnonzero(best > CONFIDENCE)
    rows, scores = rows[:, chosen], best[chosen]
    classes = rows[4:].argmax(axis=0)
    centre, half = rows[:2].T, rows[2:4].T / 2
    boxes = (numpy.concatenate([centre - half, centre + half], axis=1)
             - numpy.array([left, top, left, top], numpy.float32)) / scale
    height, width = picture.shape[:2]
    boxes = boxes.clip(0, [width, height, width, height])
    keep = suppress(boxes, scores, classes)
    found = [{"label": names.get(int(classes[i]), str(classes[i])), "class_id": int(classes[i]),
              "confidence": float(scores[i]), "box": boxes[i].tolist()} for i in keep]
    answer = {"width": width, "height": height, "detections": found}
    return orjson.dumps(answer)


@app.post("/detect")
async def detect_one(request: Request):
    data = await request.body()
    try:
        if pool is None:
            answer = detect(data)
        else:
            answer = await asyncio.get_running_loop().run_in_executor(pool, detect, data)
    except ValueError as why:
        raise HTTPException(415, str(why)) from None
    return Response(answer, media_type="application/json")
