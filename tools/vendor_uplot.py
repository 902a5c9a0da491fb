#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""uPlot, the charts of the page /performance: the files of web/vendor/, as they were released.

  vendor_uplot.py          are the committed files those of the release? (no network)
  vendor_uplot.py fetch    get the release again, by `npm pack`, and put its files there
"""
import hashlib
import pathlib
import subprocess
import sys
import tarfile
import tempfile

PACKAGE = "uplot@1.6.32"
PACKAGE_SHA256 = "4b8a8191e425658e3ea8c8c1314b0fc679c861ee3a1af2b20c7b16ba50b5133d"
FILES = {  # in the package: here, sha256
    "package/dist/uPlot.esm.js": (
        "uPlot.esm.js", "5dd9b3281aa64b461b42d9945f6adb2649d346502b12281a9ae0d46599a80eba"),
    "package/dist/uPlot.min.css": (
        "uPlot.min.css", "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04"),
    "package/LICENSE": (
        "uPlot.LICENSE", "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd"),
}
VENDOR = pathlib.Path(__file__).resolve().parent.parent / "web" / "vendor"


def check(data, sha256, name):
    got = hashlib.sha256(data).hexdigest()
    if got != sha256:
        sys.exit(f"{name}: expected sha256 {sha256}, got {got}")


def fetch():
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=directory, check=True,
                       stdout=subprocess.DEVNULL)
        package, = pathlib.Path(directory).iterdir()
        check(package.read_bytes(), PACKAGE_SHA256, PACKAGE)
        with tarfile.open(package) as tar:
            for member, (name, _) in FILES.items():
                (VENDOR / name).write_bytes(tar.extractfile(member).read())


def main(args):
    if args == ["fetch"]:
        fetch()
    elif args:
        sys.exit(__doc__)
    for name, sha256 in FILES.values():
        check((VENDOR / name).read_bytes(), sha256, f"web/vendor/{name}")
    print(f"{PACKAGE}: {len(FILES)} files as released")


if __name__ == "__main__":
    main(sys.argv[1:])
