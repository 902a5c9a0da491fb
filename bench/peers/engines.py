# SPDX-License-Identifier: MIT
"""One engine with one model in a process of its own, driven through stdin and stdout.

    engines.py '{"engine": "ort", "model": ..., "inputs": [...], "threads": 1, "cpus": [0], ...}'

prints {"ready": ...} when the first answer is there, then answers each line of stdin:
{"seconds": 0.4} runs for about that long -> {"ns": [one call, ...]}; {"output": FILE} writes the
first output -> {}; {"end": 1} -> {"rss_kb": ...} and the end. Every engine is called through its C
interface by the same C loop (timer.c).
"""
import ctypes as c
import glob
import json
import math
import os
import sys
import time

SAMPLES_MAX = 1000
SAMPLE_NS = 200e3  # shorter calls are timed in groups of about this length

PTR = c.c_void_p


def status(field):
    """A figure of /proc/self/status in kB."""
    with open("/proc/self/status") as f:
        for line in f:
            if line.startswith(field + ":"):
                return int(line.split()[1])
    raise RuntimeError(f"no {field}")


def package(name, *parts):
    """The one file of an installed Python package that fits."""
    for root in sys.path:
        found = sorted(glob.glob(os.path.join(root, name, *parts)))
        if found:
            return found[-1]
    raise RuntimeError(f"no {'/'.join(parts)} in package {name}")


def read_inputs(spec):
    """[(shape, ctypes buffer)] of float32 inputs."""
    got = []
    for x in spec["inputs"]:
        with open(x["file"], "rb") as f:
            data = f.read()
        raw = c.create_string_buffer(len(data) + 128)
        start = (c.addressof(raw) + 63) // 64 * 64
        c.memmove(start, data, len(data))
        got.append((x["shape"], start, len(data), raw))
    return got


class Volley:
    class Tensor(c.Structure):
        _fields_ = [("dtype", c.c_int), ("rank", c.c_int), ("dim", c.c_int64 * 8), ("data", PTR),
                    ("bytes", c.c_size_t)]

    class Error(c.Structure):
        _fields_ = [("code", c.c_int), ("message", c.c_char * 512)]

    class ModelOptions(c.Structure):
        _fields_ = [("size", c.c_size_t), ("task", c.c_char_p), ("max_file_bytes", c.c_size_t),
                    ("max_memory_bytes", c.c_size_t), ("precision", c.c_char_p)]

    class SessionOptions(c.Structure):
        _fields_ = [("size", c.c_size_t), ("n_threads", c.c_uint),
                    ("max_picture_bytes", c.c_size_t), ("max_pixels", c.c_uint64)]

    def __init__(self, spec):
        self.lib = c.CDLL(spec["library"])
        self.error = self.Error()
        self.lib.volley_version.restype = c.c_char_p
        self.lib.volley_model_n_outputs.restype = c.c_size_t
        self.version = self.lib.volley_version().decode()

    def check(self, got):
        if got != 0:
            raise RuntimeError(self.error.message.decode())

    def load(self, spec, inputs):
        model, session = PTR(), PTR()
        options = self.ModelOptions(c.sizeof(self.ModelOptions), None, 0, 0,
                                    spec["precision"].encode())
        self.check(self.lib.volley_model_load(spec["model"].encode(), c.byref(options),
                                              c.byref(model), c.byref(self.error)))
        session_options = self.SessionOptions(c.sizeof(self.SessionOptions), spec["threads"], 0, 0)
        self.check(self.lib.volley_session_new(model, c.byref(session_options), c.byref(session),
                                               c.byref(self.error)))
        self.inputs = (self.Tensor * len(inputs))()
        for t, (shape, start, n_bytes, _) in zip(self.inputs, inputs):
            t.dtype, t.rank, t.data, t.bytes = 1, len(shape), start, n_bytes
            t.dim[:len(shape)] = shape
        self.outputs = (self.Tensor * self.lib.volley_model_n_outputs(model))()
        self.call = self.lib.volley_session_run
        self.args = [session.value, c.addressof(self.inputs), c.addressof(self.outputs),
                     c.addressof(self.error)]

    def explain(self, got):
        return self.error.message.decode()

    def output(self):
        return c.string_at(self.outputs[0].data, self.outputs[0].bytes)


class Ort:
    """ONNX Runtime's C interface. Functions are found by their place in OrtApi, whose order is part
    of its binary interface (onnxruntime_c_api.h: new ones are only appended)."""
    PLACE = {"GetErrorMessage": 2, "CreateEnv": 3, "DisableTelemetryEvents": 6, "CreateSession": 7,
             "Run": 9, "CreateSessionOptions": 10, "SetSessionGraphOptimizationLevel": 23,
             "SetIntraOpNumThreads": 24, "SetInterOpNumThreads": 25, "SessionGetInputCount": 30,
             "SessionGetOutputCount": 31, "SessionGetInputName": 36, "SessionGetOutputName": 37,
             "CreateTensorWithDataAsOrtValue": 49, "GetTensorMutableData": 51,
             "GetTensorShapeElementCount": 64, "GetTensorTypeAndShape": 65,
             "CreateCpuMemoryInfo": 69, "GetAllocatorWithDefaultOptions": 78,
             "AddSessionConfigEntry": 130}
    API_VERSION = 16

    def __init__(self, spec):
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        lib = c.CDLL(package("onnxruntime", "capi", "libonnxruntime.so.*"))
        lib.OrtGetApiBase.restype = c.POINTER(PTR)
        base = lib.OrtGetApiBase()
        self.version = c.CFUNCTYPE(c.c_char_p)(base[1])().decode()
        api = c.CFUNCTYPE(c.POINTER(PTR), c.c_uint32)(base[0])(self.API_VERSION)
        self.table = {name: api[i] for name, i in self.PLACE.items()}
        self.env = PTR()
        self.do("CreateEnv", 3, b"bench", c.byref(self.env))
        self.do("DisableTelemetryEvents", self.env)

    def explain(self, got):
        return c.CFUNCTYPE(c.c_char_p, PTR)(self.table["GetErrorMessage"])(got).decode()

    def do(self, name, *args):
        types = [c.c_char_p if isinstance(a, bytes) else c.c_size_t if isinstance(a, int) else PTR
                 for a in args]
        got = c.CFUNCTYPE(PTR, *types)(self.table[name])(
            *[c.cast(a, PTR) if t is PTR else a for a, t in zip(args, types)])
        if got:
            raise RuntimeError(self.explain(got))

    def names(self, what, session):
        n, allocator = c.c_size_t(), PTR()
        self.do("GetAllocatorWithDefaultOptions", c.byref(allocator))
        self.do(f"SessionGet{what}Count", session, c.byref(n))
        names = (c.c_char_p * n.value)()
        for i in range(n.value):
            name = c.c_char_p()
            self.do(f"SessionGet{what}Name", session, i, allocator, c.byref(name))
            names[i] = name.value
        return names

    def load(self, spec, inputs):
        options, session, info = PTR(), PTR(), PTR()
        self.do("CreateSessionOptions", c.byref(options))
        self.do("SetSessionGraphOptimizationLevel", options, 99)
        self.do("SetIntraOpNumThreads", options, spec["threads"])
        self.do("SetInterOpNumThreads", options, 1)
        self.do("AddSessionConfigEntry", options, b"session.intra_op.allow_spinning",
                b"1" if spec.get("spin") else b"0")
        self.do("CreateSession", self.env, spec["model"].encode(), options, c.byref(session))
        self.do("CreateCpuMemoryInfo", 1, 0, c.byref(info))
        self.input_names = self.names("Input", session)
        self.output_names = self.names("Output", session)
        self.inputs = (PTR * len(inputs))()
        for i, (shape, start, n_bytes, _) in enumerate(inputs):
            value, dims = PTR(), (c.c_int64 * len(shape))(*shape)
            self.do("CreateTensorWithDataAsOrtValue", info, start, n_bytes, dims, len(shape), 1,
                    c.byref(value))
            self.inputs[i] = value.value
        self.outputs = (PTR * len(self.output_names))()  # made by the first run, used again after
        self.call = self.table["Run"]
        self.args = [session.value, 0, c.addressof(self.input_names), c.addressof(self.inputs),
                     len(inputs), c.addressof(self.output_names), len(self.output_names),
                     c.addressof(self.outputs)]

    def output(self):
        value, shape, n, data = PTR(self.outputs[0]), PTR(), c.c_size_t(), PTR()
        self.do("GetTensorTypeAndShape", value, c.byref(shape))
        self.do("GetTensorShapeElementCount", shape, c.byref(n))
        self.do("GetTensorMutableData", value, c.byref(data))
        return c.string_at(data.value, n.value * 4)


class OpenVino:
    HINTS = {"fp32": b"f32", "bf16": b"bf16", "int8": b"bf16"}  # what is not int8 in an int8 model

    def __init__(self, spec):
        self.lib = c.CDLL(package("openvino", "libs", "libopenvino_c.so.*"))
        self.lib.ov_get_last_err_msg.restype = c.c_char_p
        self.version = os.path.basename(glob.glob(os.path.join(os.path.dirname(os.path.dirname(
            os.path.dirname(package("openvino", "__init__.py")))), "site-packages",
            "openvino-*.dist-info"))[0])[len("openvino-"):-len(".dist-info")]

    def explain(self, got):
        return (self.lib.ov_get_last_err_msg() or b"error").decode()

    def do(self, name, *args):
        if getattr(self.lib, name)(*args) != 0:
            raise RuntimeError(self.explain(0))

    def load(self, spec, inputs):
        core, model, compiled, request = PTR(), PTR(), PTR(), PTR()
        properties = [b"PERFORMANCE_HINT", b"LATENCY", b"NUM_STREAMS", b"1",
                      b"INFERENCE_NUM_THREADS", str(spec["threads"]).encode(),
                      b"INFERENCE_PRECISION_HINT", self.HINTS[spec["precision"]]]
        self.do("ov_core_create", c.byref(core))
        self.do("ov_core_read_model", core, spec["model"].encode(), None, c.byref(model))
        self.do("ov_core_compile_model", core, model, b"CPU", c.c_size_t(len(properties)),
                c.byref(compiled), *[c.c_char_p(p) for p in properties])
        self.do("ov_compiled_model_create_infer_request", compiled, c.byref(request))
        for i, (_, start, n_bytes, _) in enumerate(inputs):
            tensor, data = PTR(), PTR()
            self.do("ov_infer_request_get_input_tensor_by_index", request, c.c_size_t(i),
                    c.byref(tensor))
            self.do("ov_tensor_data", tensor, c.byref(data))
            c.memmove(data, start, n_bytes)
        self.request = request
        self.call = self.lib.ov_infer_request_infer
        self.args = [request.value]

    def output(self):
        tensor, data, n = PTR(), PTR(), c.c_size_t()
        self.do("ov_infer_request_get_output_tensor_by_index", self.request, c.c_size_t(0),
                c.byref(tensor))
        self.do("ov_tensor_data", tensor, c.byref(data))
        self.do("ov_tensor_get_byte_size", tensor, c.byref(n))
        return c.string_at(data, n.value)


class Worker:
    def __init__(self, spec):
        os.sched_setaffinity(0, spec["cpus"])
        if spec["realtime"]:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        self.timer = c.CDLL(spec["timer"]).timer_run
        self.timer.restype = c.c_size_t
        self.inputs = read_inputs(spec)  # the engines borrow them
        with open("/proc/self/clear_refs", "w") as f:
            f.write("5")  # forget the peak of Python itself
        self.rss_before = status("VmRSS")
        self.engine = {"volley": Volley, "ort": Ort, "openvino": OpenVino}[spec["engine"]](spec)
        start = time.perf_counter()
        self.engine.load(spec, self.inputs)
        self.args = (c.c_size_t * 8)(*self.engine.args)
        self.run(1, 1)
        self.load_ms = (time.perf_counter() - start) * 1e3
        self.one_ns = min(self.run(3, 1))

    def run(self, n, group):
        ns = (c.c_double * n)()
        failed = self.timer(c.cast(self.engine.call, PTR), self.args, c.c_size_t(n),
                            c.c_size_t(group), ns)
        if failed:
            raise RuntimeError(self.engine.explain(failed))
        return list(ns)

    def run_for(self, seconds):
        """One group to warm the caches that others have used, then the samples."""
        group = max(1, math.ceil(SAMPLE_NS / self.one_ns))
        self.run(1, group)
        n = max(1, min(SAMPLES_MAX, round(seconds * 1e9 / self.one_ns / group)))
        ns = self.run(n, group)
        self.one_ns = sorted(ns)[n // 2]
        return ns


def main():
    spec = json.loads(sys.argv[1])
    worker = Worker(spec)
    print(json.dumps({"ready": True, "load_ms": worker.load_ms,
                      "version": worker.engine.version}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        answer = {}
        if "seconds" in order:
            answer["ns"] = worker.run_for(order["seconds"])
        if "output" in order:
            with open(order["output"], "wb") as f:
                f.write(worker.engine.output())
        if "end" in order:
            answer["rss_kb"] = status("VmHWM") - worker.rss_before
        print(json.dumps(answer), flush=True)
        if "end" in order:
            break
    os._exit(0)  # the rivals' libraries need not tidy up


if __name__ == "__main__":
    main()
