# SPDX-License-Identifier: MIT
"""/metrics is valid, and good style where the names are ours (Triton's names are what they are)."""
import shutil
import subprocess

from harness import Skip, equal, png, run, simple_inputs


GUIDES = ("model_inference_duration", "batch_size_histogram", "queue_size_gauge",
          "error_rate_percent", "cpu_utilization_percent", "process_cpu_usage_percent")


def check(t, *args):
    """Remarks of promtool on what such a server shows after some requests, good and bad."""
    promtool = shutil.which("promtool")
    if promtool is None:
        raise Skip("no promtool (apt: prometheus)")
    with t.serve(*args) as s:
        equal(s.infer("simple", simple_inputs([1] * 16, [2] * 16)).status, 200)
        equal(s.ask("POST", "/v1/images:detect", png(8, 8, (1, 2, 3))).status, 200)
        equal(s.infer("simple", []).status, 400)
        equal(s.get("/nowhere").status, 404)
        text = s.get("/metrics").body
    p = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True)
    said = (p.stdout + p.stderr).decode().splitlines()
    assert p.returncode in (0, 3), f"not valid: {said}"
    return said


def our_names_are_without_remark(t):
    equal(check(t, "--set", "metrics.names=volley"), [])


def of_all_names_only_those_of_others_have_remarks(t):
    said = check(t, "--set", "metrics.summaries=true")
    equal([line for line in said if not line.startswith(("nv_", *GUIDES))], [])


run(our_names_are_without_remark, of_all_names_only_those_of_others_have_remarks)
