#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves the levels of ARCHITECTURE.md: a room includes itself and rooms of lower level, no others.

Prints file:line of each include that breaks the rule; exit status 1 when there is one.
"""
import pathlib
import re
import sys

LEVELS = {
    "base": 0, "sys": 1, "dsp": 2, "codec": 2, "tensor": 3, "net": 3, "engine": 4, "prep": 4,
    "cache": 4, "store": 4, "load": 4, "tasks": 5, "optim": 5, "sched": 6, "train": 6, "lib": 7,
    "api": 7, "cli": 8,
}
INCLUDE = re.compile(r'\s*#\s*include\s*(["<])([^">]+)')


def fault(root, path, line):
    """What is wrong with this line of this file, or None."""
    m = INCLUDE.match(line)
    if not m:
        return None
    quote, target = m.groups()
    room = path.relative_to(root / "src").parts[0]
    other = target.split("/")[0]
    if room not in LEVELS:
        return f"unknown room '{room}': expected one of {', '.join(LEVELS)}"
    if quote == "<":
        return f"<{target}> is ours: use quotes" if (root / "src" / target).exists() else None
    if target.startswith("volley/"):
        known = room in ("lib", "cli") or target == "volley/version.h"
        return None if known else "only lib and cli know the public headers"
    if not (root / "src" / target).exists():
        return None if other == "generated" else f"no src/{target}: includes name room/file.h"
    if other != room and LEVELS.get(other, 99) >= LEVELS[room]:
        return f"{room} (level {LEVELS[room]}) includes {target} (level {LEVELS.get(other)})"
    return None


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    faults = n_files = 0
    for path in sorted((root / "src").rglob("*.[ch]")):
        n_files += 1
        for number, line in enumerate(path.read_text().splitlines(), 1):
            what = fault(root, path, line)
            if what:
                faults += 1
                print(f"{path.relative_to(root)}:{number}: {what}")
    print(f"layers: {n_files} files, {faults} faults")
    return 1 if faults or not n_files else 0


if __name__ == "__main__":
    sys.exit(main())
