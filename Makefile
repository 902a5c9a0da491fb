# SPDX-License-Identifier: MIT
# The habits; each is a line that also works by hand. T=, S=: fuzz target and seconds.
T ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
S ?= 60
PREFIX ?= /usr/local

all:
	tools/bootstrap.sh build
	tools/build.sh build-release --buildtype=release --prefix=$(PREFIX) -Dtests=disabled

test:
	./test.sh

asan tsan:
	tools/sanitize.sh $@

neon:
	tools/qemu.sh

bench:
	bench/run.sh

fuzz:
	tools/fuzz.sh $(S) $(T)

lint:
	tools/lint.sh

format:
	tools/check_format.sh --fix

install: all
	meson install -C build-release --no-rebuild

.PHONY: all test asan tsan neon bench fuzz lint format install
