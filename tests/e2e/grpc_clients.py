# SPDX-License-Identifier: MIT
"""gRPC clients work against the server unchanged: Triton's Python client (tritonclient.grpc and its
aio twin), grpcio's health checking and reflection.

Without them the tests skip (python_with in harness.py). This file is both: the tests, and, with
--client URL PART, what the Python which has them runs.
"""
import os
import queue
import re
import subprocess
import sys
import urllib.request

NODE_PACKAGES = ["@grpc/grpc-js", "@grpc/proto-loader"]
PROBE = "import tritonclient.grpc.aio, grpc_health.v1.health, grpc_reflection.v1alpha"
BIG = 80 << 20  # of one message; clients and gRPC itself stop at 4 MiB unless told otherwise
PATIENCE = 60


# ---- what runs in the environment ----

def values():
    import numpy as np
    return np.arange(16, dtype=np.int32).reshape(1, 16), np.full((1, 16), 7, dtype=np.int32)


def simple_inputs(grpc):
    made = [grpc.InferInput(name, [1, 16], "INT32") for name in ("INPUT0", "INPUT1")]
    for tensor, data in zip(made, values()):
        tensor.set_data_from_numpy(data)
    return made


def check_simple(result):
    import numpy as np
    a, b = values()
    assert np.array_equal(result.as_numpy("OUTPUT0"), a + b)
    assert np.array_equal(result.as_numpy("OUTPUT1"), a - b)


def slow_inputs(grpc, rows=8):
    import numpy as np
    x = grpc.InferInput("x", [rows, 512], "FP32")
    x.set_data_from_numpy(np.ones((rows, 512), dtype=np.float32))
    return [x]


def expect_error(code, text, call):
    from tritonclient.utils import InferenceServerException
    try:
        call()
    except InferenceServerException as e:
        assert text in e.message(), e.message()
        assert e.status() in [f"StatusCode.{c}" for c in code.split("|")], e.status()
    else:
        raise AssertionError(f"expected {code}: {text}")


def client_metadata(url):
    import tritonclient.grpc as grpc

    with grpc.InferenceServerClient(url) as c:
        assert c.is_server_live() and c.is_server_ready()
        assert c.is_model_ready("simple") and c.is_model_ready("simple", "1")
        assert not c.is_model_ready("nobody") and not c.is_model_ready("broken")
        meta = c.get_server_metadata(as_json=True)
        assert meta["name"] == "volley" and "binary_tensor_data" in meta["extensions"]
        meta = c.get_model_metadata("simple", as_json=True)
        assert meta["inputs"][0] == {"name": "INPUT0", "datatype": "INT32", "shape": ["-1", "16"]}
        assert meta["versions"] == ["1"] and meta["platform"] == "onnxruntime_onnx"
        config = c.get_model_config("simple").config
        assert config.max_batch_size == 8 and list(config.input[1].dims) == [16]
        assert config.input[0].data_type == 8  # TYPE_INT32
        expect_error("NOT_FOUND", "Request for unknown model: 'nobody' is not found",
                     lambda: c.get_model_metadata("nobody"))


def client_infer(url):
    import numpy as np
    import tritonclient.grpc as grpc

    with grpc.InferenceServerClient(url) as c:
        check_simple(c.infer("simple", simple_inputs(grpc)))
        result = c.infer("simple", simple_inputs(grpc), model_version="1", request_id="42",
                         outputs=[grpc.InferRequestedOutput("OUTPUT1")], headers={"test": "1"},
                         parameters={"anything": "goes"}, timeout=60000000, priority=0)
        got = result.get_response()
        assert got.id == "42" and got.model_name == "simple" and got.model_version == "1"
        assert [o.name for o in got.outputs] == ["OUTPUT1"]
        assert np.array_equal(result.as_numpy("OUTPUT1"), values()[0] - values()[1])

        words = np.array([[b"", b"a", "\u00e9\u4e2d".encode(), b"x" * 1000]], dtype=np.object_)
        x = grpc.InferInput("INPUT0", words.shape, "BYTES")
        x.set_data_from_numpy(words)
        got = c.infer("simple_identity", [x]).as_numpy("OUTPUT0")
        assert np.array_equal(got, words), got

        x = grpc.InferInput("images", [1, 3, 8, 8], "FP32")
        image = np.zeros((1, 3, 8, 8), dtype=np.float32)
        image[:, 2] = 1
        x.set_data_from_numpy(image)
        out = [grpc.InferRequestedOutput("scores", class_count=2)]
        assert c.infer("colour", [x], outputs=out).as_numpy("scores")[0] == b"1.000000:2:blue"

        # errors come as Triton's
        expect_error("NOT_FOUND", "Request for unknown model: 'nobody' is not found",
                     lambda: c.infer("nobody", simple_inputs(grpc)))
        expect_error("INVALID_ARGUMENT", "expected 2 inputs but got 1 inputs for model 'simple'",
                     lambda: c.infer("simple", simple_inputs(grpc)[:1]))


def client_typed(url):
    """Typed contents, which the client library writes for nobody: by its protobuf classes."""
    import grpc
    from tritonclient.grpc import service_pb2 as pb, service_pb2_grpc

    with grpc.insecure_channel(url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = pb.ModelInferRequest(model_name="simple")
        for name in ("INPUT0", "INPUT1"):
            tensor = request.inputs.add(name=name, datatype="INT32", shape=[1, 16])
            tensor.contents.int_contents.extend(range(-8, 8))
        got = stub.ModelInfer(request)
        assert list(got.outputs[0].shape) == [1, 16]
        want = [2 * i for i in range(-8, 8)]
        raw = got.raw_output_contents[0]
        assert [int.from_bytes(raw[4 * i:4 * i + 4], "little", signed=True)
                for i in range(16)] == want
        request.inputs[0].contents.fp32_contents.append(1)
        try:
            stub.ModelInfer(request)
        except grpc.RpcError as e:
            assert e.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert "binary data was already supplied" in e.details(), e.details()
        else:
            raise AssertionError("two lists for one tensor were accepted")
        # a message that is none
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for bytes_, code in ((b"\xff\xff", grpc.StatusCode.INTERNAL),
                             (b"", grpc.StatusCode.NOT_FOUND)):
            try:
                call(bytes_)
            except grpc.RpcError as e:
                assert e.code() == code, e
            else:
                raise AssertionError("a bad message was accepted")
        try:
            channel.unary_unary("/inference.GRPCInferenceService/Nothing")(b"")
        except grpc.RpcError as e:
            assert e.code() == grpc.StatusCode.UNIMPLEMENTED
        else:
            raise AssertionError("a method that is not there was called")


def client_compression(url):
    import numpy as np
    import tritonclient.grpc as grpc

    with grpc.InferenceServerClient(url) as c:
        for algorithm in ("gzip", "deflate"):
            check_simple(c.infer("simple", simple_inputs(grpc), compression_algorithm=algorithm))
            words = np.array([[b"word" * 50000]], dtype=np.object_)
            x = grpc.InferInput("INPUT0", words.shape, "BYTES")
            x.set_data_from_numpy(words)
            got = c.infer("simple_identity", [x], compression_algorithm=algorithm)
            assert np.array_equal(got.as_numpy("OUTPUT0"), words)


def client_big(url):
    import numpy as np
    import tritonclient.grpc as grpc

    with grpc.InferenceServerClient(url) as c:
        data = np.random.default_rng(1).bytes(BIG)
        x = grpc.InferInput("INPUT0", [1, 1], "BYTES")
        x.set_data_from_numpy(np.array([[data]], dtype=np.object_))
        assert c.infer("simple_identity", [x]).as_numpy("OUTPUT0")[0][0] == data
        x.set_data_from_numpy(np.array([[bytes(BIG + (1 << 20))]], dtype=np.object_))
        expect_error("RESOURCE_EXHAUSTED", "", lambda: c.infer("simple_identity", [x]))
        check_simple(c.infer("simple", simple_inputs(grpc)))


def cancelled(url):
    """Requests of the model that were dropped before they ran."""
    with urllib.request.urlopen(f"http://{url}/metrics", timeout=PATIENCE) as answer:
        found = re.search(r'nv_inference_request_failure\{model="slow",version="1",'
                          r'reason="CANCELED"\} (\d+)', answer.read().decode())
    return int(found.group(1))


def client_deadline(url):
    import tritonclient.grpc as grpc

    def wait_behind_others(c):
        busy = [c.async_infer("slow", slow_inputs(grpc, 512), callback=lambda result, error: None)
                for _ in range(16)]
        # UNAVAILABLE: the server has seen before that it would be late.
        expect_error("DEADLINE_EXCEEDED|UNAVAILABLE", "",
                     lambda: c.infer("slow", slow_inputs(grpc), client_timeout=0.02))
        for b in busy:
            b.cancel()
        c.infer("slow", slow_inputs(grpc))

    before = cancelled(url)
    with grpc.InferenceServerClient(url) as c:
        for _ in range(10):   # on a busy machine all may have run, or none have come, by then
            wait_behind_others(c)
            if cancelled(url) > before:
                return
    raise AssertionError("what nobody waits for was run")


def client_async(url):
    import tritonclient.grpc as grpc

    got = queue.Queue()
    with grpc.InferenceServerClient(url) as c:
        for _ in range(20):
            c.async_infer("simple", simple_inputs(grpc),
                          callback=lambda result, error: got.put((result, error)))
        for _ in range(20):
            result, error = got.get(timeout=PATIENCE)
            assert error is None, error
            check_simple(result)


def client_stream(url):
    import tritonclient.grpc as grpc

    got = queue.Queue()
    with grpc.InferenceServerClient(url) as c:
        c.start_stream(callback=lambda result, error: got.put((result, error)))
        # answers in the order of the requests, though the first is the slowest by far
        c.async_stream_infer("slow", slow_inputs(grpc, 64), request_id="slow")
        for i in range(50):
            c.async_stream_infer("simple", simple_inputs(grpc), request_id=str(i),
                                 enable_empty_final_response=True)
        result, error = got.get(timeout=PATIENCE)
        assert error is None and result.get_response().id == "slow", error
        for i in range(50):
            result, error = got.get(timeout=PATIENCE)
            assert error is None, error
            check_simple(result)
            response = result.get_response()
            assert response.id == str(i), (response.id, i)
            assert response.parameters["triton_final_response"].bool_param
        # an error is an answer too, and the stream goes on
        c.async_stream_infer("simple", simple_inputs(grpc)[:1], request_id="bad")
        c.async_stream_infer("simple", simple_inputs(grpc), request_id="good")
        result, error = got.get(timeout=PATIENCE)
        assert "expected 2 inputs but got 1 inputs for model 'simple'" in error.message()
        result, error = got.get(timeout=PATIENCE)
        check_simple(result)
        c.stop_stream()
        # asked for, the first error is the status of the call
        c.start_stream(callback=lambda result, error: got.put((result, error)),
                       headers={"triton_grpc_error": "true"})
        c.async_stream_infer("nobody", simple_inputs(grpc))
        result, error = got.get(timeout=PATIENCE)
        assert "Request for unknown model: 'nobody' is not found" in error.message()
        assert error.status() == "StatusCode.NOT_FOUND", error.status()
        c.stop_stream()
        # cancelled with requests in work
        c.start_stream(callback=lambda result, error: got.put((result, error)))
        for _ in range(20):
            c.async_stream_infer("slow", slow_inputs(grpc, 64))
        c.stop_stream(cancel_requests=True)
        check_simple(c.infer("simple", simple_inputs(grpc)))


def client_aio(url):
    import asyncio
    import tritonclient.grpc.aio as aio

    async def stream(c):
        async def requests():
            for i in range(10):
                yield {"model_name": "simple", "inputs": simple_inputs(aio), "request_id": str(i)}
        ids = []
        async for result, error in c.stream_infer(requests()):
            assert error is None, error
            check_simple(result)
            ids.append(result.get_response().id)
        assert ids == [str(i) for i in range(10)], ids

    async def all_of_it():
        async with aio.InferenceServerClient(url) as c:
            assert await c.is_server_ready() and await c.is_model_ready("simple")
            results = await asyncio.gather(
                *[c.infer("simple", simple_inputs(aio)) for _ in range(20)])
            for r in results:
                check_simple(r)
            await stream(c)

    asyncio.run(all_of_it())


def client_shared_memory(url):
    import numpy as np
    import tritonclient.grpc as grpc
    import tritonclient.utils.shared_memory as shm

    a, b = values()
    region = shm.create_shared_memory_region("both", f"/volley-{os.getpid()}", 4 * a.nbytes)
    try:
        with grpc.InferenceServerClient(url) as c:
            shm.set_shared_memory_region(region, [a, b])
            c.register_system_shared_memory("both", f"/volley-{os.getpid()}", 4 * a.nbytes)
            status = c.get_system_shared_memory_status(as_json=True)["regions"]["both"]
            assert status == {"name": "both", "key": f"/volley-{os.getpid()}",
                              "byte_size": str(4 * a.nbytes)}, status
            inputs = [grpc.InferInput(name, [1, 16], "INT32") for name in ("INPUT0", "INPUT1")]
            outputs = [grpc.InferRequestedOutput(name) for name in ("OUTPUT0", "OUTPUT1")]
            for i, tensor in enumerate(inputs + outputs):
                tensor.set_shared_memory("both", a.nbytes, offset=i * a.nbytes)
            got = c.infer("simple", inputs, outputs=outputs).get_response()
            assert list(got.raw_output_contents) == [b"", b""]
            sums = shm.get_contents_as_numpy(region, np.int32, [4, 16])
            assert np.array_equal(sums[2:3], a + b) and np.array_equal(sums[3:4], a - b)
            # one output only is there, the other travels
            got = c.infer("simple", inputs, outputs=[outputs[0],
                                                     grpc.InferRequestedOutput("OUTPUT1")])
            assert np.array_equal(got.as_numpy("OUTPUT1"), a - b)
            inputs[0].set_shared_memory("nobody", a.nbytes)
            expect_error("NOT_FOUND", "nobody",
                         lambda: c.infer("simple", inputs))
            c.unregister_system_shared_memory("both")
            assert c.get_system_shared_memory_status(as_json=True) == {}
            expect_error("INVALID_ARGUMENT",
                         "failed to register CUDA shared memory region: 'x', GPUs not supported",
                         lambda: c.register_cuda_shared_memory("x", b"AAAA", 0, 16))
            assert c.get_cuda_shared_memory_status(as_json=True) == {}
            c.unregister_cuda_shared_memory()
    finally:
        shm.destroy_shared_memory_region(region)


def client_settings(url):
    import tritonclient.grpc as grpc

    with grpc.InferenceServerClient(url) as c:
        settings = c.get_trace_settings(as_json=True)["settings"]
        assert settings["trace_level"]["value"] == ["OFF"], settings
        settings = c.update_trace_settings(settings={"trace_rate": "7"}, as_json=True)["settings"]
        assert settings["trace_rate"]["value"] == ["7"], settings
        settings = c.update_trace_settings("simple", {"trace_count": ["5"]}, as_json=True)
        assert settings["settings"]["trace_count"]["value"] == ["5"], settings
        expect_error("NOT_FOUND", "nobody", lambda: c.get_trace_settings("nobody"))
        settings = c.get_log_settings(as_json=True)["settings"]
        assert settings["log_info"]["bool_param"] and settings["log_error"]["bool_param"], settings
        settings = c.update_log_settings({"log_verbose_level": 1, "log_info": False}, as_json=True)
        assert settings["settings"]["log_verbose_level"]["uint32_param"] == 1, settings
        assert settings["settings"]["log_info"] == {"bool_param": False}, settings
        c.update_log_settings({"log_verbose_level": 0, "log_info": True})
        expect_error("UNIMPLEMENTED", "log file location can not be updated",
                     lambda: c.update_log_settings({"log_file": "x"}))


def client_repository(url):
    import tritonclient.grpc as grpc
    from tritonclient.grpc import service_pb2 as pb

    with grpc.InferenceServerClient(url) as c:
        def states():
            return {(m.name, m.version): m.state for m in c.get_model_repository_index().models}

        assert states()[("simple", "")] == "" and not c.is_model_ready("simple"), states()
        c.load_model("simple")
        assert states()[("simple", "1")] == "READY" and c.is_model_ready("simple")
        check_simple(c.infer("simple", simple_inputs(grpc)))
        c.load_model("simple", config='{"max_batch_size": 4}')
        assert c.get_model_config("simple").config.max_batch_size == 4
        # a model that is only in the request
        with open(os.environ["VOLLEY_TEST_MODEL"], "rb") as f:
            model = f.read()
        c.load_model("uploaded", config='{"backend": "onnxruntime", "max_batch_size": 8}',
                     files={"file:1/model.onnx": model})
        check_simple(c.infer("uploaded", simple_inputs(grpc)))
        c.unload_model("simple", unload_dependents=True)
        assert not c.is_model_ready("simple") and c.is_model_ready("uploaded")
        expect_error("INTERNAL", "failed to load 'nobody'", lambda: c.load_model("nobody"))
        ready = c._client_stub.RepositoryIndex(pb.RepositoryIndexRequest(ready=True)).models
        assert [(m.name, m.version, m.state) for m in ready] == [("uploaded", "1", "READY")], ready


def client_repository_fixed(url):
    import tritonclient.grpc as grpc
    from tritonclient.grpc import service_pb2 as pb

    with grpc.InferenceServerClient(url) as c:
        expect_error("UNAVAILABLE", "explicit model load / unload is not allowed",
                     lambda: c.load_model("simple"))
        expect_error("UNAVAILABLE", "explicit model load / unload is not allowed",
                     lambda: c.unload_model("simple"))
        names = {m.name: m.state for m in c.get_model_repository_index().models}
        assert names["simple"] == "READY" and names["broken"] == "UNAVAILABLE", names
        for call, request in (("RepositoryIndex", pb.RepositoryIndexRequest()),
                              ("RepositoryModelLoad", pb.RepositoryModelLoadRequest())):
            request.repository_name = "other"
            try:
                getattr(c._client_stub, call)(request)
            except Exception as e:
                assert "'repository_name' specification is not supported" in e.details()
            else:
                raise AssertionError("another repository was accepted")


def client_tls(url):
    import grpc as core
    import tritonclient.grpc as grpc

    trusted = os.environ["VOLLEY_TEST_CERTIFICATE"]
    with grpc.InferenceServerClient(url, ssl=True, root_certificates=trusted) as c:
        check_simple(c.infer("simple", simple_inputs(grpc)))
    with core.insecure_channel(url) as channel:
        try:
            core.channel_ready_future(channel).result(timeout=2)
        except core.FutureTimeoutError:
            pass
        else:
            raise AssertionError("plaintext was spoken to")


def client_statistics(url):
    import tritonclient.grpc as grpc

    with grpc.InferenceServerClient(url) as c:
        before = c.get_inference_statistics("simple").model_stats[0]
        for _ in range(3):
            c.infer("simple", simple_inputs(grpc))
        after = c.get_inference_statistics("simple", "1").model_stats[0]
        assert after.name == "simple" and after.version == "1"
        assert after.inference_count - before.inference_count == 3, after
        assert after.inference_stats.success.count - before.inference_stats.success.count == 3
        assert after.inference_stats.compute_infer.ns > before.inference_stats.compute_infer.ns
        assert after.last_inference > 1600000000000  # milliseconds
        assert sum(b.batch_size * b.compute_infer.count
                   for b in after.batch_stats) == after.inference_count
        every = {(m.name, m.version) for m in c.get_inference_statistics().model_stats}
        assert {("simple", "1"), ("slow", "1")} <= every, every
        expect_error("NOT_FOUND", "nobody", lambda: c.get_inference_statistics("nobody"))


def client_health(url):
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(url) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        serving = health_pb2.HealthCheckResponse.SERVING
        for name in ("", "inference.GRPCInferenceService"):
            assert stub.Check(health_pb2.HealthCheckRequest(service=name)).status == serving
            watch = stub.Watch(health_pb2.HealthCheckRequest(service=name))
            assert next(watch).status == serving
            watch.cancel()
        try:
            stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
        except grpc.RpcError as e:
            assert e.code() == grpc.StatusCode.NOT_FOUND
        else:
            raise AssertionError("an unknown service is healthy")
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="nobody"))
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watch.cancel()


def shape_of(message):
    """Its descriptor, without the JSON names that are only sometimes there."""
    from google.protobuf.descriptor_pb2 import DescriptorProto
    proto = DescriptorProto()
    message.CopyToProto(proto)
    todo = [proto]
    while todo:
        m = todo.pop()
        for f in m.field:
            f.ClearField("json_name")
        todo += m.nested_type
    return proto


def client_reflection(url):
    """What reflection says is what tritonclient was built from."""
    import grpc
    from google.protobuf.descriptor_pool import DescriptorPool
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
        ProtoReflectionDescriptorDatabase)
    from tritonclient.grpc import model_config_pb2, service_pb2

    with grpc.insecure_channel(url) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        services = set(database.get_services())
        assert {"inference.GRPCInferenceService", "grpc.health.v1.Health",
                "grpc.reflection.v1.ServerReflection"} <= services, services
        pool = DescriptorPool(database)
        for module in (service_pb2, model_config_pb2):
            for message in module.DESCRIPTOR.message_types_by_name.values():
                got = pool.FindMessageTypeByName(message.full_name)
                assert shape_of(got) == shape_of(message), message.full_name
        ours = pool.FindServiceByName("inference.GRPCInferenceService")
        theirs = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
        assert ([(m.name, m.input_type.full_name, m.output_type.full_name) for m in ours.methods]
                == [(m.name, m.input_type.full_name, m.output_type.full_name)
                    for m in theirs.methods])
        for name in services:
            pool.FindServiceByName(name)
        try:
            pool.FindMessageTypeByName("inference.Nothing")
        except KeyError:
            pass
        else:
            raise AssertionError("a message that is not there was found")


def client_drain(url):
    """Keeps calls open until the server ends them; says when they are."""
    import grpc as core
    import tritonclient.grpc as grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    got = queue.Queue()
    with grpc.InferenceServerClient(url) as c, core.insecure_channel(url) as channel:
        c.start_stream(callback=lambda result, error: got.put((result, error)))
        c.async_stream_infer("simple", simple_inputs(grpc))
        check_simple(got.get(timeout=PATIENCE)[0])
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        print("open", flush=True)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        error = got.get(timeout=PATIENCE)[1]
        assert error.status() == "StatusCode.UNAVAILABLE", error.status()
        c.stop_stream()


# ---- the tests ----

def run_parts(t, parts, *args, **environment):
    from harness import equal, python_with

    python = python_with(PROBE)
    with t.serve(*args) as s:
        for part in parts:
            p = subprocess.run([python, os.path.abspath(__file__), "--client",
                                f"127.0.0.1:{s.port}", part], capture_output=True, text=True,
                               timeout=300, env={**os.environ, **environment})
            equal(p.returncode, 0, f"{part}: {p.stdout}{p.stderr}")
        s.signal()
        equal(s.wait(), 0, "exit status")


def tritonclient_works(t):
    run_parts(t, ["metadata", "infer", "typed", "statistics", "async", "aio", "compression",
                  "deadline"])


def streams_work(t):
    run_parts(t, ["stream", "aio"])


def big_messages_pass(t):
    run_parts(t, ["big"], "--set", f"http.max_body_bytes={BIG + (1 << 16)}")


def open_calls_do_not_hold_up_the_end(t):
    from harness import equal, python_with

    python = python_with(PROBE)
    with t.serve("--set", "drain_timeout_ms=20000") as s:
        p = subprocess.Popen([python, os.path.abspath(__file__), "--client", f"127.0.0.1:{s.port}",
                              "drain"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        equal(p.stdout.readline(), "open\n")
        equal(s.stop(), 0, "exit status of the server")
        out, err = p.communicate(timeout=PATIENCE)
        equal(p.returncode, 0, out + err)


def settings_work(t):
    run_parts(t, ["settings"])


def shared_memory_works(t):
    run_parts(t, ["shared_memory"], "--allow-client-shm")


def repository_works(t):
    run_parts(t, ["repository_fixed"])
    run_parts(t, ["repository"], "--model-control", "explicit",
              VOLLEY_TEST_MODEL=os.path.join(t.models, "simple", "1", "model.onnx"))


def tls_works(t):
    from harness import Certificate

    certificate = Certificate(t, "localhost")
    run_parts(t, ["tls"], *certificate.settings(), VOLLEY_TEST_CERTIFICATE=certificate.path)


def node_works(t):
    """@grpc/grpc-js, by the .proto files that reflection hands out."""
    from harness import CLIENTS, SOURCE, Skip, equal

    modules = os.path.join(CLIENTS, "node-grpc")
    if not os.path.exists(os.path.join(modules, "node_modules", "@grpc", "proto-loader")):
        try:
            os.makedirs(modules, exist_ok=True)
            p = subprocess.run(["npm", "install", "--no-audit", "--no-fund", *NODE_PACKAGES],
                               cwd=modules, capture_output=True, text=True, timeout=300)
        except (OSError, subprocess.TimeoutExpired) as e:
            raise Skip(f"no npm: {e}")
        if p.returncode != 0:
            raise Skip(f"cannot install {', '.join(NODE_PACKAGES)}: {p.stderr.strip()[-200:]}")
    with t.serve() as s:
        p = subprocess.run(["node", os.path.join(SOURCE, "tests", "e2e", "grpc_client.js"),
                            os.path.join(modules, "node_modules"),
                            os.path.join(SOURCE, "src", "api", "proto"), f"127.0.0.1:{s.port}"],
                           capture_output=True, text=True, timeout=300)
        equal(p.returncode, 0, p.stdout + p.stderr)


def health_and_reflection_work(t):
    run_parts(t, ["health", "reflection"])


if sys.argv[1] == "--client":
    globals()["client_" + sys.argv[3]](sys.argv[2])
else:
    from harness import run
    run(tritonclient_works, streams_work, big_messages_pass,
        open_calls_do_not_hold_up_the_end, settings_work,
        shared_memory_works, repository_works, health_and_reflection_work, tls_works, node_works)
