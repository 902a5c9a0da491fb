#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Size and habit gates that a formatter does not know. Exit status 1 when one is broken.

All files: width, tabs, trailing blanks. C files: SPDX line, file and function length, own header
first, header guard, banned calls.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WIDTH = 100
FILE_LINES = {".c": 800, ".h": 400}
FUNCTION_LINES = 100  # code lines: blank and comment lines do not count

# path:function -> why it may be longer than FUNCTION_LINES
LONG_FUNCTIONS = {}
# path -> why it may be longer than FILE_LINES
LONG_FILES = {}

# pattern, message, and the files that may (a prefix; None: nobody)
BANNED = [
    (r"(strcpy|strcat|strncpy|strncat|sprintf|vsprintf|gets|strtok|atoi|atol|atof|alloca)\s*\(",
     "unbounded or unchecked: use vly_buf, snprintf or vly_str_to_*", None),
    (r"(malloc|calloc|realloc|reallocarray|aligned_alloc|posix_memalign|strdup|strndup|free)\s*\(",
     "heap use goes through vly_alloc and vly_free", ("src/base/mem.c", "tests/", "examples/")),
    (r"(exit|_exit|quick_exit)\s*\(", "only main() ends the process",
     ("src/cli/main.c", "tests/", "examples/")),
    (r"abort\s*\(", "VLY_ASSERT for programmer errors", ("src/base/assert.c", "tests/")),
    (r"(setlocale|system|popen|rand|srand)\s*\(", "process-wide state or a shell", ("tests/",)),
    (r"(?<!__asm__ )volatile\b", "use <stdatomic.h>", ("tests/",)),
]
BANNED = [(re.compile(r"(?<![\w.>])" + p), m, ok or ()) for p, m, ok in BANNED]
MARK = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def without_text(source):
    """The source with comments and string contents blanked, line breaks kept."""
    def blank(m):
        s = m.group(0)
        return s if s.startswith('"') and len(s) == 2 else re.sub(r"[^\n]", " ", s)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', blank, source,
                  flags=re.S)


def functions(code):
    """(name, first line, code lines) of each function: a body is { to } in the first column."""
    lines = code.split("\n")
    start = None
    for i, line in enumerate(lines):
        if line == "{":
            start = i
        elif line == "}" and start is not None:
            head = " ".join(lines[max(0, start - 8):start])
            names = re.findall(r"(\w+)\s*\(", re.split(r"[;}]", head)[-1])
            names = [n for n in names if n != "__attribute__"]
            body = sum(1 for b in lines[start:i + 1] if b.strip())
            yield (names[0] if names else "?"), start + 1, body
            start = None


def check_c(name, source):
    code = without_text(source)
    lines = source.split("\n")
    path = pathlib.PurePath(name)
    if lines[0] != "/* SPDX-License-Identifier: MIT */":
        yield 1, "first line is not the SPDX line"
    if len(lines) - 1 > FILE_LINES[path.suffix] and name not in LONG_FILES:
        yield 1, f"{len(lines) - 1} lines, at most {FILE_LINES[path.suffix]}"
    for fn, line, n in functions(code):
        if n > FUNCTION_LINES and f"{name}:{fn}" not in LONG_FUNCTIONS:
            yield line, f"{fn}() has {n} code lines, at most {FUNCTION_LINES}"
    for number, line in enumerate(code.split("\n"), 1):
        for pattern, message, allowed in BANNED:
            m = pattern.search(line)
            if m and not name.startswith(tuple(allowed)):
                yield number, f"{m.group(1) if m.groups() else m.group(0).strip(' (')}: {message}"
    if path.suffix == ".h":
        guard = r"#ifndef ((VLY_|VOLLEY_)?(\w+_)?" + path.stem.upper() + r"_H)\n#define \1\n"
        if not re.search(guard, source):
            yield 1, f"no header guard VLY_..._{path.stem.upper()}_H"
    elif name.startswith("src/") and (ROOT / path.with_suffix(".h")).exists():
        own = str(path.with_suffix(".h")).removeprefix("src/")
        first = re.search(r'#include\s*["<]([^">]+)', source)
        if first and first.group(1) != own:
            yield 1, f'own header "{own}" is not included first'


def check_text(name, source):
    if not source.endswith("\n") or source.endswith("\n\n"):
        yield 1, "does not end in one newline"
    for number, line in enumerate(source.split("\n"), 1):
        if len(line) > WIDTH:
            yield number, f"{len(line)} columns, at most {WIDTH}"
        if "\t" in line and not name.endswith("Makefile"):
            yield number, "tab"
        if line != line.rstrip():
            yield number, "trailing blank"
        if MARK.search(line) and name != "tools/check_style.py":
            yield number, "mark for later: do it now, or write an issue"


def main():
    n_files = n_faults = 0
    patterns = ["include/**/*.h", "src/**/*.[ch]", "tests/**/*.[ch]", "examples/**/*.[ch]",
                "bench/**/*.[ch]", "tools/**/*.py", "tools/**/*.sh", "tests/**/*.py",
                "tests/**/*.sh", "**/meson.build", "*.sh", "Makefile", ".ci/run"]
    files = sorted({f for p in patterns for f in ROOT.glob(p)
                    if not f.relative_to(ROOT).parts[0].startswith("build")
                    and "third_party/root" not in str(f)})
    for f in files:
        name = str(f.relative_to(ROOT))
        source = f.read_text()
        faults = list(check_text(name, source))
        if f.suffix in (".c", ".h"):
            faults += check_c(name, source)
        for line, what in faults:
            print(f"{name}:{line}: {what}")
        n_files += 1
        n_faults += len(faults)
    print(f"style: {n_files} files, {n_faults} faults")
    return 1 if n_faults or not n_files else 0


if __name__ == "__main__":
    sys.exit(main())
