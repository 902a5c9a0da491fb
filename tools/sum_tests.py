#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""sum_tests.py STEP=STATUS[=BUILD_DIR]...: prints `N passed, N failed`; exit status 1 on failure.
   sum_tests.py --again BUILD_DIR STATUS: the failed tests of a run of this exit status (that is
their number, unless it did not come to its end) that may have a second one.

Adds up the testlog.json of each build directory. A TAP test counts each of its points, and says
what each failed one printed, and why one was skipped. A step whose exit status is not 0 counts as
one failed test if its logs do not say more.

End-to-end tests are many processes on a machine that others use, too, twenty times slower under a
sanitizer. Those that fail may run a second time, alone, and that counts; it is printed that they
did. Failures of other suites, more than three, or where a sanitizer spoke or a test crashed or did
not end, are final. A test in which a sanitizer spoke has failed, whatever it came to.
"""
import json
import pathlib
import re
import sys

POINT = re.compile(r"^(not )?ok\b(?!.*# SKIP)")
SKIPPED = re.compile(r"^ok \d+ - (.*) # SKIP ?(.*)", re.M)
FINAL = re.compile(r"Sanitizer|runtime error:")
SUITES = ("volley:e2e ", "volley:web ")
AGAIN_MAX = 3
FIRST = "first-run.json"


def read(log):
    """What each test of a testlog.json came to, by name."""
    tests = map(json.loads, log.read_text().splitlines())
    return {test["name"].split(" / ")[-1]: test for test in tests}


def logs_of(build):
    return sorted(pathlib.Path(build, "meson-logs").glob("testlog*.json")) if build else []


def said(test):
    return (test.get("stdout") or "") + (test.get("stderr") or "")


def is_failure(test):
    return test["result"] not in ("OK", "EXPECTEDFAIL", "SKIP") or bool(FINAL.search(said(test)))


def failures(test):
    """Each failed point with the comments before it."""
    comments = []
    for line in (test.get("stdout") or "").splitlines():
        if line.startswith("#"):
            comments.append(line)
        elif POINT.match(line):
            if line.startswith("not"):
                yield "\n".join(comments + [line])
            comments = []


def count(test):
    """(passed, failed) points of one test."""
    points = [m for m in map(POINT.match, (test.get("stdout") or "").splitlines()) if m]
    bad = sum(1 for m in points if m.group(1))
    if not is_failure(test):
        return (0, 0) if test["result"] == "SKIP" else (len(points) or 1, 0)
    return len(points) - bad, bad or 1


def may_run_again(test):
    return (test["name"].startswith(SUITES) and test["result"] == "ERROR" and any(failures(test))
            and not FINAL.search(said(test)))


def again(build, status):
    for log in logs_of(build)[:1]:
        failed = {name: test for name, test in read(log).items() if is_failure(test)}
        if status == len(failed) <= AGAIN_MAX and all(map(may_run_again, failed.values())):
            log.rename(pathlib.Path(build, "meson-logs", FIRST))
            print(" ".join(failed))


def tests_of(build):
    """The tests of a build directory; those with a second run by that one."""
    tests = {}
    first = pathlib.Path(build, "meson-logs", FIRST)
    for log in ([first] if build and first.exists() else []) + logs_of(build)[:1]:
        for name, test in read(log).items():
            if name in tests:
                print(f"{name} failed beside other tests, and ran again alone:")
                print("\n".join(failures(tests[name])))
            tests[name] = test
    return tests


def main():
    if sys.argv[1] == "--again":
        again(sys.argv[2], int(sys.argv[3]))
        return 0
    passed = failed = 0
    for arg in sys.argv[1:]:
        step, status, build = (arg.split("=") + [""])[:3]
        tests = tests_of(build)
        for name, test in tests.items():
            if is_failure(test):
                print(f"{name}: {test['result']}", *failures(test), sep="\n")
            for point, why in SKIPPED.findall(test.get("stdout") or ""):
                print(f"{step}: {name}: {point} skipped: {why}")
        counts = [count(test) for test in tests.values()] or [(int(status == "0"), 0)]
        ok, bad = map(sum, zip(*counts))
        if status != "0":
            bad = bad or 1
        print(f"{step}: {ok} passed, {bad} failed")
        passed += ok
        failed += bad
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
