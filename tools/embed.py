#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a C source of a file: embed.py IN OUT NAME defines `const char NAME[]`, with a NUL at
its end, and `const size_t NAME_len`."""
import pathlib
import sys


def literal(line):
    plain = set(range(32, 127)) - set(b'"\\?')
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in line) + '"'


def main(source, target, name):
    text = pathlib.Path(source).read_bytes()
    lines = "\n    ".join(map(literal, text.splitlines(keepends=True)))
    pathlib.Path(target).write_text(
        f"#include <stddef.h>\n\nextern const char {name}[];\nextern const size_t {name}_len;\n\n"
        f"const char {name}[] =\n    {lines};\nconst size_t {name}_len = sizeof({name}) - 1;\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
