# SPDX-License-Identifier: MIT
"""The OpenAPI document is valid, and what it gives as examples works.

The validator is openapi-spec-validator; without it that test skips.
"""
import json
import os
import subprocess
import sys

PROBE = """
import json, sys
from openapi_spec_validator import validate
validate(json.load(sys.stdin))
"""


def document_is_valid(t):
    python = python_with("import openapi_spec_validator")
    with t.serve() as s:
        text = s.get("/openapi.json").body.decode()
    p = subprocess.run([python, "-c", PROBE], input=text, capture_output=True, text=True)
    equal(p.returncode, 0, p.stdout + p.stderr)
    p = subprocess.run([python, "-c", PROBE], input=text.replace('"responses"', '"answers"', 1),
                       capture_output=True, text=True)
    assert p.returncode != 0, "a document without responses passes"


def resolve(document, node):
    while "$ref" in node:
        at = document
        for key in node["$ref"].split("/")[1:]:
            at = at[key]
        node = at
    return node


def path_of(document, path, operation):
    """The path with the examples of its parameters; None when one has none."""
    for parameter in operation.get("parameters", []):
        parameter = resolve(document, parameter)
        if parameter["in"] == "path":
            if "example" not in parameter:
                return None
            path = path.replace("{%s}" % parameter["name"], parameter["example"])
    return path


def examples_work(t):
    """Requests with the examples as bodies are answered 200, and as the answer's example says."""
    n = 0
    with t.serve() as s:
        document = s.get("/openapi.json").json()
        for path, item in document["paths"].items():
            for method, operation in item.items():
                content = operation.get("requestBody", {}).get("content", {})
                example = content.get("application/json", {}).get("example")
                target = path_of(document, path, operation)
                if example is None or target is None:
                    continue
                answer = s.ask(method.upper(), target, json.dumps(example),
                               {"Content-Type": "application/json"})
                equal(answer.status, 200, f"{method} {target}: {answer.body}")
                said = operation["responses"]["200"].get("content", {}).get("application/json", {})
                if "example" in said:
                    equal(answer.json(), said["example"], f"{method} {target}")
                n += 1
    assert n >= 4, n


def gets_work(t):
    """Every GET whose parameters have examples is answered as the document says."""
    n = 0
    with t.serve("--store", t.path("sessions.db")) as s:
        document = s.get("/openapi.json").json()
        for path, item in document["paths"].items():
            operation = item.get("get")
            target = operation and path_of(document, path, operation)
            if not target or path in ("/v1/stream", "/ws/realtime") or "sharedmemory" in path:
                continue
            answer = s.get(target)
            equal(answer.status, 200, f"GET {target}: {answer.body}")
            types = operation["responses"]["200"].get("content", {})
            if types:
                got = answer.headers["content-type"].split(";")[0]
                assert got in types, (target, got)
            else:
                equal(answer.body, b"", target)
            n += 1
    assert n >= 12, n


from harness import equal, python_with, run  # noqa: E402
run(document_is_valid, examples_work, gets_work)
