# SPDX-License-Identifier: MIT
"""/metrics is valid, and good style where the names are ours (Triton's names are what they are)."""
import shutil
import subprocess

from harness import Skip, equal, png, run, simple_inputs


def metrics_pass_promtool(t):
    promtool = shutil.which("promtool")
    if promtool is None:
        raise Skip("no promtool (apt: prometheus)")
    with t.serve() as s:
        equal(s.infer("simple", simple_inputs([1] * 16, [2] * 16)).status, 200)
        equal(s.ask("POST", "/v1/images:detect", png(8, 8, (1, 2, 3))).status, 200)
        equal(s.infer("simple", []).status, 400)
        text = s.get("/metrics").body
    p = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True)
    said = (p.stdout + p.stderr).decode().splitlines()
    assert p.returncode in (0, 3), f"not valid: {said}"
    equal([line for line in said if not line.startswith("nv_")], [], "remarks on our names")


run(metrics_pass_promtool)
