#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles each header alone: check_headers.py CC... (the compiler's command line).

Room headers as gnu17; public ones (include/volley) as C99 and C++ too: users compile them.
"""
import concurrent.futures
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Vector headers are compiled for their instruction set, not for the default one: no -Wpsabi.
WARN = ["-Wall", "-Wextra", "-Wundef", "-Wstrict-prototypes", "-Werror", "-Wno-psabi",
        "-fsyntax-only"]
DIALECTS = {
    "gnu17": ["-xc", "-std=gnu17", "-D_GNU_SOURCE", f"-I{ROOT}/src", f"-I{ROOT}/include",
              "-isystem", f"{ROOT}/third_party/root/include"],
    "c99": ["-xc", "-std=c99", "-pedantic-errors", f"-I{ROOT}/include"],
    "c++11": ["-xc++", "-std=c++11", "-pedantic-errors", f"-I{ROOT}/include"],
}


def compile_alone(cc, header, dialect):
    warn = [w for w in WARN if dialect != "c++11" or w != "-Wstrict-prototypes"]
    # Twice: a guard that does not work, or a definition, shows. The typedef: C forbids empty files.
    text = f'#include "{header}"\n#include "{header}"\ntypedef int not_empty;\n'
    run = subprocess.run([*cc, *warn, *DIALECTS[dialect], "-"], input=text, text=True,
                         stderr=subprocess.PIPE, check=False)
    return header, dialect, run.returncode, run.stderr


def has_cxx(cc):
    """gcc can parse C++ only with its g++ package; clang always can."""
    run = subprocess.run([*cc, "-xc++", "-fsyntax-only", "-"], input="", text=True,
                         stderr=subprocess.DEVNULL, check=False)
    return run.returncode == 0


def main():
    cc = sys.argv[1:] or ["cc"]
    jobs = [(h.relative_to(ROOT / "src"), "gnu17") for h in (ROOT / "src").rglob("*.h")]
    dialects = ["gnu17", "c99"] + (["c++11"] if has_cxx(cc) else [])
    jobs += [(h.relative_to(ROOT / "include"), d) for h in (ROOT / "include").rglob("*.h")
             for d in dialects]
    print(f"1..{len(jobs)}")
    n_failed = 0
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        done = pool.map(lambda job: compile_alone(cc, *job), sorted(jobs))
        for number, (header, dialect, code, text) in enumerate(done, 1):
            print(f"{'not ' if code else ''}ok {number} - {header} as {dialect}")
            n_failed += code != 0
            for line in text.splitlines():
                print(f"# {line}")
    return 1 if n_failed or not jobs else 0


if __name__ == "__main__":
    sys.exit(main())
