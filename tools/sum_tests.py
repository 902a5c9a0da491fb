#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""sum_tests.py STEP=STATUS[=BUILD_DIR]...: prints `N passed, N failed`; exit status 1 on failure.

Adds up the testlog.json of each build directory. A TAP test counts each of its points. A step whose
exit status is not 0 counts as one failed test if its log does not say more.
"""
import json
import pathlib
import re
import sys


def count(log):
    """(passed, failed) of one testlog.json."""
    passed = failed = 0
    for line in log.read_text().splitlines():
        test = json.loads(line)
        points = re.findall(r"^(not )?ok\b(?!.*# SKIP)", test.get("stdout") or "", re.M)
        bad = sum(1 for p in points if p)
        if test["result"] in ("OK", "EXPECTEDFAIL"):
            passed += len(points) or 1
        elif test["result"] != "SKIP":
            passed += len(points) - bad
            failed += bad or 1
    return passed, failed


def main():
    passed = failed = 0
    for arg in sys.argv[1:]:
        step, status, build = (arg.split("=") + [""])[:3]
        logs = sorted(pathlib.Path(build, "meson-logs").glob("testlog*.json")) if build else []
        ok, bad = count(logs[0]) if logs else (int(status == "0"), 0)
        if status != "0":
            bad = bad or 1
        print(f"{step}: {ok} passed, {bad} failed")
        passed += ok
        failed += bad
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
