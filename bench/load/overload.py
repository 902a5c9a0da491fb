#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Overload: what a server does that is asked for several times what it can do.

  overload.py VOLLEY MODEL.onnx PICTURE [--seconds 60] [--times 5] [--deadline-ms 500]
              [--set NAME=VALUE ...] [--realtime]

Starts `volley serve` with queue.max_wait_ms at the deadline, finds its capacity by a closed loop,
then sends so many times that at a constant rate (`volley load`, open loop), then a closed loop
again. Prints what the accepted and the refused requests waited, the server's memory, and what it
does a second after the overload. Exits 1 when one of these is missed: accepted p99 within twice
the deadline; refused p99 within 5 ms; memory within 256 MiB of what it was; 90 % of the capacity
again.

Client and server share the machine: the client's part is in every figure, and `lateness_ms` says
what the client itself was late by. With --realtime (root) the client runs before everything else,
so that what it sees late is the server's, and the server before all but the client.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import threading

from serve import go_first  # beside this file

REFUSED_MS = 5
GROWTH_BYTES = 256 << 20


def run_at_once():
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def start(a):
    settings = [f"--set={s}" for s in (f"queue.max_wait_ms={a.deadline_ms}", *a.set)]
    p = subprocess.Popen([a.volley, "serve", "--models", a.model, "--port", "0", *settings],
                         stdout=subprocess.PIPE, text=True,
                         preexec_fn=go_first if a.realtime else None)
    for line in p.stdout:
        found = re.match(r"listening on (http://\S+)", line)
        if found:
            return p, found.group(1)
    sys.exit("the server did not start")


def load(a, url, *args):
    command = [a.volley, "load", url, "--picture", a.picture, "--unique", "--quiet", "--json",
               "--no-check", *args]
    p = subprocess.run(command, stdout=subprocess.PIPE, text=True,
                       preexec_fn=run_at_once if a.realtime else None)
    if p.returncode not in (0, 4):
        sys.exit(f"{' '.join(command)}: exit status {p.returncode}")
    return json.loads(p.stdout)


def rss(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def watch(pid, peak, stop):
    while not stop.wait(0.05):
        peak[0] = max(peak[0], rss(pid))


def measure(a):
    server, url = start(a)
    stop = threading.Event()
    try:
        closed = ["--closed", "-c", "4", "--warmup", "1s"]
        capacity = load(a, url, *closed, "-d", "5s")["ok_per_s"]
        before = rss(server.pid)
        peak = [before]
        watcher = threading.Thread(target=watch, args=(server.pid, peak, stop))
        watcher.start()
        rate = a.times * capacity
        over = load(a, url, "--rate", f"{rate:.1f}", "-d", f"{a.seconds}s", "-c", "200")
        # The first second after it counts: no warm-up.
        after = load(a, url, "--closed", "-c", "4", "--warmup", "0s", "-d", "1s")["ok_per_s"]
        stop.set()
        watcher.join()
    finally:
        stop.set()
        server.terminate()
        server.wait()
    return capacity, rate, before, peak[0], over, after


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("volley")
    p.add_argument("model")
    p.add_argument("picture")
    p.add_argument("--seconds", type=int, default=60)
    p.add_argument("--times", type=float, default=5)
    p.add_argument("--deadline-ms", type=int, default=500)
    p.add_argument("--set", action="append", default=[])
    p.add_argument("--realtime", action="store_true",
                   help="figures of an idle machine on a busy one; root")
    a = p.parse_args()
    capacity, rate, before, peak, over, after = measure(a)
    accepted, refused = over["latency_ms"], over["refused_ms"]
    print(f"capacity {capacity:.1f}/s, sent {rate:.1f}/s for {a.seconds} s: {over['ok']} accepted, "
          f"{over['refused']} refused, {over['failed'] + over['timeout']} failed")
    print(f"statuses of the others: {over['statuses']}")
    print(f"the client was late by p99 {over['lateness_ms']['p99']:.2f} ms")
    rows = [
        ("accepted p99, ms", accepted["p99"], 2 * a.deadline_ms, accepted["p99"] <=
         2 * a.deadline_ms),
        ("refused p50, ms", refused["p50"], REFUSED_MS, refused["p50"] <= REFUSED_MS),
        ("refused p99, ms", refused["p99"], REFUSED_MS, refused["p99"] <= REFUSED_MS),
        ("memory grew by, MiB", (peak - before) / 2**20, GROWTH_BYTES / 2**20,
         peak - before <= GROWTH_BYTES),
        ("first second after, /s", after, 0.9 * capacity, after >= 0.9 * capacity),
        ("failed", over["failed"] + over["timeout"], 0, over["failed"] + over["timeout"] == 0),
    ]
    for name, got, bound, ok in rows:
        print(f"{name:24} {got:10.2f}   bound {bound:8.1f}   {'ok' if ok else 'MISSED'}")
    sys.exit(0 if all(row[3] for row in rows) else 1)


main()
