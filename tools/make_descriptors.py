#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles src/api/proto/ with protoc into src/api/grpc_descriptors.c.

make_descriptors.py           writes the table
make_descriptors.py --check   fails when the table is not what protoc makes now; 77 without protoc
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROTO = ROOT / "src/api/proto"
TABLE = ROOT / "src/api/grpc_descriptors.c"
WIDTH = 94

HEAD = """/* SPDX-License-Identifier: MIT */
/* Made by tools/make_descriptors.py from proto/: a FileDescriptorSet. Do not edit. */
/* clang-format off */
#include "api/grpc_descriptors.h"

static const char set[] =
"""
TAIL = """;

vly_str vly_grpc_descriptors(void)
{
    return (vly_str){set, sizeof(set) - 1};
}
"""


def compile_set():
    files = sorted(str(p.relative_to(PROTO)) for p in PROTO.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as d:
        out = os.path.join(d, "set")
        subprocess.run(["protoc", "-I.", "--descriptor_set_out=" + out, *files], cwd=PROTO,
                       check=True)
        return pathlib.Path(out).read_bytes()


def literal(data):
    """Lines of C string literals; a byte that is not plain text has three octal digits."""
    line = ""
    for byte in data:
        plain = 0x20 <= byte < 0x7f and chr(byte) not in '"\\?'
        token = chr(byte) if plain else f"\\{byte:03o}"
        if len(line) + len(token) > WIDTH:
            yield line
            line = ""
        line += token
    yield line


def main():
    if shutil.which("protoc") is None:
        print("skipped: protoc is not here (apt package protobuf-compiler)")
        return 77
    lines = "\n".join(f'    "{line}"' for line in literal(compile_set()))
    text = HEAD + lines + TAIL
    if "--check" not in sys.argv[1:]:
        TABLE.write_text(text)
    elif TABLE.read_text() != text:
        print("src/api/grpc_descriptors.c is not made from src/api/proto: "
              "run tools/make_descriptors.py")
        return 1
    return 0


sys.exit(main())
