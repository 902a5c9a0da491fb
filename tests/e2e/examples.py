# SPDX-License-Identifier: MIT
"""What Triton's client examples do, with its unmodified Python client over HTTP: health and
metadata, inference with asyncio (http.aio), strings, system shared memory. Sequences are in
triton.py, control of models in repository.py, gRPC in grpc_clients.py.

This file is both: the tests, and, with --client URL PART, what the environment's Python runs.
"""
import os
import subprocess
import sys


# ---- what runs in the environment ----

def values():
    import numpy as np
    return np.arange(16, dtype=np.int32).reshape(1, 16), np.ones((1, 16), dtype=np.int32)


def simple_inputs(http, binary):
    made = [http.InferInput(name, [1, 16], "INT32") for name in ("INPUT0", "INPUT1")]
    for tensor, data in zip(made, values()):
        tensor.set_data_from_numpy(data, binary_data=binary)
    return made


def check_simple(result):
    import numpy as np
    a, b = values()
    assert np.array_equal(result.as_numpy("OUTPUT0"), a + b)
    assert np.array_equal(result.as_numpy("OUTPUT1"), a - b)


def expect_error(text, call):
    from tritonclient.utils import InferenceServerException
    try:
        call()
    except InferenceServerException as e:
        assert text in str(e), str(e)
    else:
        raise AssertionError(f"expected: {text}")


def client_health_metadata(url):  # simple_http_health_metadata.py
    import tritonclient.http as http

    with http.InferenceServerClient(url) as c:
        assert c.is_server_live() and c.is_server_ready() and c.is_model_ready("simple")
        assert set(c.get_server_metadata()) == {"name", "version", "extensions"}
        meta = c.get_model_metadata("simple", query_params={"test_1": 1, "test_2": 2})
        assert meta["name"] == "simple" and meta["outputs"][1]["name"] == "OUTPUT1"
        expect_error("Request for unknown model: 'wrong_model_name' is not found",
                     lambda: c.get_model_metadata("wrong_model_name"))


def client_aio(url):  # simple_http_aio_infer_client.py
    import asyncio

    import tritonclient.http.aio as http

    async def main():
        async with http.InferenceServerClient(url) as c:
            assert await c.is_server_live() and await c.is_model_ready("simple")
            assert (await c.get_model_metadata("simple"))["name"] == "simple"
            outputs = [http.InferRequestedOutput("OUTPUT0", binary_data=True),
                       http.InferRequestedOutput("OUTPUT1", binary_data=False)]
            for binary in (True, False):
                check_simple(await c.infer("simple", simple_inputs(http, binary), outputs=outputs,
                                           request_id="7", headers={"test": "1"}))
            many = [c.infer("simple", simple_inputs(http, True)) for _ in range(40)]
            for result in await asyncio.gather(*many):
                check_simple(result)
            for algorithm in ("gzip", "deflate"):
                check_simple(await c.infer("simple", simple_inputs(http, True),
                                           request_compression_algorithm=algorithm,
                                           response_compression_algorithm=algorithm))

    asyncio.run(main())


def client_string(url):  # simple_http_string_infer_client.py
    import numpy as np
    import tritonclient.http as http

    words = np.array([[str(i).encode() for i in range(16)]], dtype=np.object_)
    with http.InferenceServerClient(url) as c:
        for binary in (True, False):
            x = http.InferInput("INPUT0", [1, 16], "BYTES")
            x.set_data_from_numpy(words, binary_data=binary)
            got = c.infer("simple_identity", [x]).as_numpy("OUTPUT0")
            assert [int(w) for w in got[0]] == list(range(16)), got


def client_shm(url):  # simple_http_shm_client.py
    import numpy as np
    import tritonclient.http as http
    import tritonclient.utils.shared_memory as shm

    a, b = values()
    n = a.nbytes
    name = f"volley_examples_{os.getpid()}"
    into = shm.create_shared_memory_region("input_data", f"/{name}_in", 2 * n)
    out = shm.create_shared_memory_region("output_data", f"/{name}_out", 2 * n)
    try:
        with http.InferenceServerClient(url) as c:
            c.unregister_system_shared_memory()
            c.register_system_shared_memory("output_data", f"/{name}_out", 2 * n)
            c.register_system_shared_memory("input_data", f"/{name}_in", 2 * n)
            inputs = [http.InferInput("INPUT0", [1, 16], "INT32"),
                      http.InferInput("INPUT1", [1, 16], "INT32")]
            inputs[0].set_shared_memory("input_data", n)
            inputs[1].set_shared_memory("input_data", n, offset=n)
            outputs = [http.InferRequestedOutput("OUTPUT0", binary_data=True),
                       http.InferRequestedOutput("OUTPUT1", binary_data=False)]
            outputs[0].set_shared_memory("output_data", n)
            outputs[1].set_shared_memory("output_data", n, offset=n)
            for i in range(3):  # what is in the region counts, not what was when it was named
                shm.set_shared_memory_region(into, [a + i, b])
                result = c.infer("simple", inputs, outputs=outputs)
                for k, want in enumerate((a + i + b, a + i - b)):
                    meta = result.get_output(f"OUTPUT{k}")
                    got = shm.get_contents_as_numpy(out, np.int32, meta["shape"], k * n)
                    assert np.array_equal(got, want), got
            names = [region["name"] for region in c.get_system_shared_memory_status()]
            assert sorted(names) == ["input_data", "output_data"], names
            inputs[0].set_shared_memory("input_data", n + 4)
            expect_error("'INPUT0'", lambda: c.infer("simple", inputs, outputs=outputs))
            inputs[0].set_shared_memory("input_data", n, offset=2 * n - 4)
            expect_error("Invalid offset + byte size for shared memory region: 'input_data'",
                         lambda: c.infer("simple", inputs, outputs=outputs))
            c.unregister_system_shared_memory("input_data")
            c.unregister_system_shared_memory()
            assert c.get_system_shared_memory_status() == []
            inputs[0].set_shared_memory("input_data", n)
            expect_error("Unable to find shared memory region: 'input_data'",
                         lambda: c.infer("simple", inputs))
    finally:
        shm.destroy_shared_memory_region(into)
        shm.destroy_shared_memory_region(out)


# ---- tests ----

def run_parts(t, parts, *args):
    from harness import equal, python_with

    python = python_with("import tritonclient.http.aio")
    with t.serve(*args) as s:
        for part in parts:
            p = subprocess.run([python, os.path.abspath(__file__), "--client",
                                f"127.0.0.1:{s.port}", part], capture_output=True, text=True,
                               timeout=300)
            equal(p.returncode, 0, f"{part}: {p.stdout}{p.stderr}")
        equal(s.stop(), 0, "exit status")


def simple_examples_work(t):
    run_parts(t, ["health_metadata", "aio", "string"])


def shared_memory_example_works(t):
    run_parts(t, ["shm"], "--set", "http.allow_client_shm=true")


if sys.argv[1] == "--client":
    globals()["client_" + sys.argv[3]](sys.argv[2])
else:
    from harness import run
    run(simple_examples_work, shared_memory_example_works)
