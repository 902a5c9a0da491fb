# SPDX-License-Identifier: MIT
"""What a result must say of the place where it was made."""
import datetime
import os
import subprocess

FEATURES = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def describe():
    fields = {}
    with open("/proc/cpuinfo") as f:
        for line in f:
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags", "").split()
    return {"cpu": fields.get("model name", "?"), "cores": len(os.sched_getaffinity(0)),
            "features": [x for x in FEATURES if x in flags], "kernel": os.uname().release,
            "date": datetime.date.today().isoformat(), "load_before": os.getloadavg()[0]}


def commit(root):
    got = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty", "--exclude=*"],
                         capture_output=True, text=True)
    return got.stdout.strip() or "?"
