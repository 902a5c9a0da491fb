#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_tidy.py BUILD_DIR: clang-tidy over the sources of that build, but for what the build makes.

A source that passed is remembered by the hash of its preprocessed text, in BUILD_DIR/tidy/.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def tidy(build, version, entry):
    """(source, what clang-tidy complains about or "")."""
    source = entry["file"]
    words = shlex.split(entry["command"])
    out = words.index("-o")
    del words[out:out + 2]
    words.remove("-c")
    text = subprocess.run([*words, "-E", "-D__clang_analyzer__"], cwd=build, capture_output=True,
                          check=True).stdout
    key = hashlib.sha256(version + text).hexdigest()
    passed = build / "tidy" / key
    if passed.exists():
        return source, ""
    run = subprocess.run(["clang-tidy", "-p", build, "--quiet", source], cwd=build, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if run.returncode == 0:
        passed.touch()
        return source, ""
    faults = [s for s in run.stdout.splitlines() if ": error: " in s]
    return source, "\n".join(faults) or "clang-tidy failed"


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    (build / "tidy").mkdir(exist_ok=True)
    version = subprocess.run(["clang-tidy", "--version"], stdout=subprocess.PIPE, check=True).stdout
    version += (ROOT / ".clang-tidy").read_bytes()
    commands = json.loads((build / "compile_commands.json").read_text())
    entries = {e["file"]: e for e in commands
               if build not in (build / e["file"]).resolve().parents}
    n_failed = 0
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for source, text in pool.map(lambda e: tidy(build, version, e), entries.values()):
            if text:
                n_failed += 1
                print(text)
    print(f"tidy: {len(entries)} files, {n_failed} with faults")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
