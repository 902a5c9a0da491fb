#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the table of api/pages.h of files: embed_pages.py OUT FILE..., each under its own name."""
import hashlib
import pathlib
import sys
import zlib

from embed import literal

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".json": "application/json",
         ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def entry(path):
    data = path.read_bytes()
    lines = "\n     ".join(map(literal, data.splitlines(keepends=True)))
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)  # a gzip member, without a time
    packed = packer.compress(data) + packer.flush()
    members = "\n     ".join(literal(packed[i:i + 64]) for i in range(0, len(packed), 64))
    tag = hashlib.sha256(data).hexdigest()[:16]
    return (f'    {{"{path.name}", "{TYPES[path.suffix]}", "W/\\"{tag}\\"", {len(data)},\n'
            f"     {lines},\n     {len(packed)},\n     {members}}},\n")


def main(target, *sources):
    entries = "".join(entry(pathlib.Path(s)) for s in sources)
    pathlib.Path(target).write_text(
        '#include "api/pages.h"\n\n#include "base/assert.h"\n\n'
        f"const vly_page vly_pages[] = {{\n{entries}}};\n"
        "const size_t vly_n_pages = VLY_COUNT(vly_pages);\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
