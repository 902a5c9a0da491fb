# SPDX-License-Identifier: MIT
"""The usual way to serve a step model: FastAPI, uvicorn and ONNX Runtime, one reading a request.

    STEP_MODEL=step_detection.onnx uvicorn step_server:app --loop uvloop --http httptools

What bench/load/steps.py and compare_fastapi.py compare the server with; no part of the product. It
does what the guide's service does for each reading and nothing beside: parses it, runs the model
[1, 6] -> [1, 3], and answers with what it says, and on the WebSocket with the session's counts. One
thread runs the model: with more, a net this small is slower.

/fast is the same without what costs most, the checks of pydantic and the slow JSON; /ws/packets
takes many readings a message, as floats, and runs them as one batch: what an expert would do who
may change the clients.
"""
import json
import os
import uuid

import numpy
import onnxruntime
import orjson
from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from pydantic import BaseModel

FIELDS = ("accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z")


class Reading(BaseModel):
    accel_x: float
    accel_y: float
    accel_z: float
    gyro_x: float
    gyro_y: float
    gyro_z: float


def load():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(os.environ["STEP_MODEL"], options,
                                           providers=["CPUExecutionProvider"])
    return session, session.get_inputs()[0].name


app = FastAPI()
session, input_name = load()


def predict(values):
    x = numpy.array([values], dtype=numpy.float32)
    return session.run(None, {input_name: x})[0][0].tolist()


@app.post("/detect_step_async")
async def detect(reading: Reading):
    return {"prediction": predict([reading.accel_x, reading.accel_y, reading.accel_z,
                                   reading.gyro_x, reading.gyro_y, reading.gyro_z])}


@app.post("/fast")
async def fast(request: Request):
    message = orjson.loads(await request.body())
    return Response(orjson.dumps({"prediction": predict([message[f] for f in FIELDS])}),
                    media_type="application/json")


@app.websocket("/ws/packets")
async def packets(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            x = numpy.frombuffer(await socket.receive_bytes(), numpy.float32).reshape(-1, 6)
            await socket.send_bytes(session.run(None, {input_name: x})[0].tobytes())
    except WebSocketDisconnect:
        pass


@app.websocket("/ws/realtime")
async def realtime(socket: WebSocket, user_id: str = ""):
    await socket.accept()
    name, n_readings, n_steps = str(uuid.uuid4()), 0, 0
    await socket.send_text(json.dumps({"type": "session_started", "session_id": name,
                                       "user_id": user_id}))
    try:
        while True:
            message = json.loads(await socket.receive_text())
            none, start, end = predict([message[f] for f in FIELDS])
            is_step = none < max(start, end)
            n_readings += 1
            n_steps += is_step
            await socket.send_text(json.dumps({
                "type": "step_detection", "session_id": name, "user_id": user_id,
                "step_detected": is_step,
                "prediction": {"start_probability": start, "end_probability": end,
                               "no_step_probability": none},
                "total_steps": n_steps, "total_predictions": n_readings}))
    except WebSocketDisconnect:
        pass
