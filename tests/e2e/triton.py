# SPDX-License-Identifier: MIT
"""Triton's own Python client (tritonclient, HTTP) works against the server unchanged.

Without the client the test skips (python_with in harness.py). This file is both: the test, and,
with --client, the part that the Python which has the client runs.
"""
import os
import subprocess
import sys


def client(url):
    import numpy as np
    import tritonclient.http as http
    from tritonclient.utils import InferenceServerException

    c = http.InferenceServerClient(url)
    a = np.arange(16, dtype=np.int32).reshape(1, 16)
    b = np.full((1, 16), 7, dtype=np.int32)

    def inputs(binary=True):
        made = [http.InferInput(name, [1, 16], "INT32") for name in ("INPUT0", "INPUT1")]
        made[0].set_data_from_numpy(a, binary_data=binary)
        made[1].set_data_from_numpy(b, binary_data=not binary)
        return made

    def check(result):
        assert np.array_equal(result.as_numpy("OUTPUT0"), a + b)
        assert np.array_equal(result.as_numpy("OUTPUT1"), a - b)

    # health and metadata
    assert c.is_server_live() and c.is_server_ready()
    assert c.is_model_ready("simple") and c.is_model_ready("simple", "1")
    assert not c.is_model_ready("nobody") and not c.is_model_ready("broken")
    assert "binary_tensor_data" in c.get_server_metadata()["extensions"]
    meta = c.get_model_metadata("simple")
    assert meta["inputs"][0] == {"name": "INPUT0", "datatype": "INT32", "shape": [-1, 16]}
    config = c.get_model_config("simple")
    assert config["max_batch_size"] == 8 and config["input"][1]["dims"] == [16]

    # one output binary, one JSON; all outputs by default; with an id
    outputs = [http.InferRequestedOutput("OUTPUT0", binary_data=True),
               http.InferRequestedOutput("OUTPUT1", binary_data=False)]
    check(c.infer("simple", inputs(), outputs=outputs))
    check(c.infer("simple", inputs(binary=False)))
    result = c.infer("simple", inputs(), model_version="1", request_id="42",
                     query_params={"test_1": 1}, headers={"test": "1"}, timeout=60000000)
    assert result.get_response()["id"] == "42" and result.get_response()["model_version"] == "1"
    check(result)
    for algorithm in ("gzip", "deflate"):
        check(c.infer("simple", inputs(), request_compression_algorithm=algorithm,
                      response_compression_algorithm=algorithm))
    pending = [c.async_infer("simple", inputs()) for _ in range(10)]
    for p in pending:
        check(p.get_result())

    # the same bytes, kept and sent by hand
    body, length = http.InferenceServerClient.generate_request_body(inputs(), outputs=outputs)
    answer = c._post("v2/models/simple/infer", body,
                     {"Inference-Header-Content-Length": length} if length else {}, None)
    header = answer.get("Inference-Header-Content-Length")
    check(http.InferenceServerClient.parse_response_body(
        answer.read(), header_length=int(header) if header else None))

    # strings, by both ways, any bytes
    words = np.array([[b"", b"a", "\u00e9\u4e2d".encode(), b"x" * 1000]], dtype=np.object_)
    for binary in (True, False):
        x = http.InferInput("INPUT0", words.shape, "BYTES")
        x.set_data_from_numpy(words, binary_data=binary)
        out = [http.InferRequestedOutput("OUTPUT0", binary_data=binary)]
        got = c.infer("simple_identity", [x], outputs=out).as_numpy("OUTPUT0")
        got = [w if isinstance(w, bytes) else w.encode() for w in got.flatten()]
        assert got == list(words.flatten()), got

    # classification
    x = http.InferInput("images", [1, 3, 8, 8], "FP32")
    image = np.zeros((1, 3, 8, 8), dtype=np.float32)
    image[:, 2] = 1
    x.set_data_from_numpy(image)
    out = [http.InferRequestedOutput("scores", class_count=2)]
    assert c.infer("colour", [x], outputs=out).as_numpy("scores")[0] == b"1.000000:2:blue"

    # errors come as Triton's
    for model, made, text in (
            ("nobody", inputs(), "Request for unknown model: 'nobody' is not found"),
            ("simple", inputs()[:1], "expected 2 inputs but got 1 inputs for model 'simple'")):
        try:
            c.infer(model, made)
        except InferenceServerException as e:
            assert text in str(e), str(e)
        else:
            raise AssertionError(f"expected: {text}")
    c.close()


def composed(url):
    """Sequences and ensembles."""
    import numpy as np
    import tritonclient.http as http
    from tritonclient.utils import InferenceServerException

    c = http.InferenceServerClient(url, concurrency=4)

    def total(x, sequence, start=False, end=False):
        made = http.InferInput("X", [1, 1], "FP32")
        made.set_data_from_numpy(np.array([[x]], dtype=np.float32))
        return c.infer("total", [made], sequence_id=sequence, sequence_start=start,
                       sequence_end=end)

    def expect_error(text, call):
        try:
            call()
        except InferenceServerException as e:
            assert text in str(e), str(e)
        else:
            raise AssertionError(f"expected: {text}")

    # as Triton's simple_http_sequence_sync_client: two sequences side by side
    meta = c.get_model_metadata("total")
    assert [i["name"] for i in meta["inputs"]] == ["X"], meta
    assert [o["name"] for o in meta["outputs"]] == ["SUM", "STARTED"], meta
    values = [11, 7, 5, 3, 2, 0, 1]
    sums = {1001: 0, "walker": 0}
    for i, v in enumerate(values):
        for sequence, sign in ((1001, 1), ("walker", -1)):
            result = total(sign * v, sequence, i == 0, i == len(values) - 1)
            sums[sequence] += sign * v
            assert result.as_numpy("SUM")[0][0] == sums[sequence], (sequence, i)
            assert result.as_numpy("STARTED")[0][0] == (i == 0)
    expect_error("inference request for sequence 1001 to model 'total' must specify the START flag "
                 "on the first request of the sequence", lambda: total(1, 1001))
    expect_error("inference request for sequence walker to model 'total' must specify the START",
                 lambda: total(1, "walker", end=True))
    expect_error("inference request to model 'total' must specify a non-zero or non-empty "
                 "correlation ID", lambda: total(1, 0, start=True))
    total(5, 7, start=True)
    assert total(1, 7, start=True).as_numpy("SUM")[0][0] == 1  # begun anew
    assert total(1, 7, end=True).as_numpy("SUM")[0][0] == 2

    # an ensemble with two branches and a built-in step
    assert c.get_model_metadata("both")["platform"] == "ensemble"
    x = np.array([[1, 10], [100, -3]], dtype=np.float32)

    def ask(model, data):
        return c.infer(model, [make_in(http, data)])

    result = ask("both", x)
    assert np.array_equal(result.as_numpy("TWICE"), x * 2)
    assert np.allclose(result.as_numpy("OUT"), (3 * (x + 1) + 2 * x) / 4)
    pending = [c.async_infer("both", [make_in(http, x)]) for _ in range(20)]
    for p in pending:
        assert np.array_equal(p.get_result().as_numpy("TWICE"), x * 2)
    assert not c.is_model_ready("orphan")
    expect_error("ensemble orphan contains models that are not available or ambiguous: nobody",
                 lambda: ask("orphan", x))
    expect_error("inference request batch-size must be <= 4 for 'both'",
                 lambda: ask("both", np.zeros((5, 2), dtype=np.float32)))
    c.close()


def make_in(http, data):
    made = http.InferInput("IN", list(data.shape), "FP32")
    made.set_data_from_numpy(data)
    return made


def run_client(t, mode, **serve):
    from harness import equal, python_with

    python = python_with("import tritonclient.http.aio")
    with t.serve(**serve) as s:
        p = subprocess.run([python, os.path.abspath(__file__), mode, f"127.0.0.1:{s.port}"],
                           capture_output=True, text=True, timeout=300)
        equal(p.returncode, 0, p.stdout + p.stderr)
        equal(s.stop(), 0, "exit status")


def tritonclient_works(t):
    run_client(t, "--client")


def explains_what_is_composed(t):
    from harness import equal

    models = t.path("explained")
    os.mkdir(models)
    subprocess.run([sys.argv[2], models, "composed"], check=True)
    with t.serve(models=models) as s:
        def explain(name):
            return s.get(f"/v1/models/{name}/explain").json()

        equal(explain("both")["execution"]["mode"], "ensemble")
        equal([step["model"] for step in explain("both")["steps"]], ["plus", "twice", "vote"])
        equal(explain("vote")["execution"]["mode"], "step")
        equal(explain("plus")["instances"]["running"], 0)
        equal(s.stop(), 0, "exit status")


def sequences_and_ensembles(t):
    models = t.path("composed")
    os.mkdir(models)
    subprocess.run([sys.argv[2], models, "composed"], check=True)
    run_client(t, "--composed", models=models)


if sys.argv[1] == "--client":
    client(sys.argv[2])
elif sys.argv[1] == "--composed":
    composed(sys.argv[2])
else:
    from harness import run
    run(tritonclient_works, sequences_and_ensembles, explains_what_is_composed)
