# SPDX-License-Identifier: MIT
"""`volley steps`: known walks in every form of a recording, what it says of them, its refusals."""
import csv
import io
import json
import os
import subprocess
import xml.dom.minidom

from harness import equal, run

KINDS = ("standing", "walking", "stairs_up", "stairs_down")
GRAVITY = 9.80665


def volley(t, *args, status=0, stdin=None):
    p = subprocess.run([t.volley, *args], capture_output=True, input=stdin)
    equal(p.returncode, status, f"exit status of {' '.join(args)}: {p.stderr.decode()}")
    return p.stdout.decode(), p.stderr.decode()


def steps(t, *args, stdin=None):
    return json.loads(volley(t, "steps", "--json", *args, stdin=stdin)[0])


def synth(t, name, *args):
    """A walk that is known: path, rows (header first), and [first, last] reading of each step."""
    path, truth = t.path(name + ".csv"), t.path(name + ".steps.csv")
    volley(t, "synth", "imu", "--out", path, "--truth", truth, *args)
    with open(path, encoding="ascii") as f:
        rows = list(csv.reader(f))
    with open(truth, encoding="ascii") as f:
        return path, rows, [[int(v) for v in line.split(",")] for line in f if line[0].isdigit()]


def write(t, name, rows, separator=","):
    path = t.path(name)
    with open(path, "w", encoding="ascii") as f:
        f.writelines(separator.join(row) + "\n" for row in rows)
    return path


def scaled(rows, columns, factor):
    """The rows (without header) with some columns times a factor."""
    return [[f"{float(v) * factor:.7g}" if i in columns else v for i, v in enumerate(row)]
            for row in rows[1:]]


def close(got, want, share, what):
    assert abs(got - want) <= share * want, f"{what}: expected {want} within {share:.0%}, got {got}"


def check_order(events):
    """start, end, start ...; a step that was given up leaves a start alone."""
    before = {"step": 0, "type": "step.end", "t_ms": -1e9}
    for e in events:
        assert e["t_ms"] >= before["t_ms"], (before, e)
        if e["type"] == "step.end":
            equal((before["type"], e["step"]), ("step.start", before["step"]), f"before {e}")
        assert 0 < e["confidence"] <= 1 and e["known_ms"] >= e["t_ms"], e
        assert e["activity"] in KINDS, e
        before = e


def counts_known_walks(t):
    for seed in range(1, 7):
        path, rows, truth = synth(t, f"walk{seed}", "--seed", str(seed), "--seconds", "100")
        got = steps(t, path)
        close(got["steps"], len(truth), 0.05, f"steps of seed {seed}")
        equal(got["samples"], len(rows) - 1, "samples")
        check_order(got["events"])
        ends = [e["t_ms"] for e in got["events"] if e["type"] == "step.end"]
        equal(len(ends), got["steps"], "ends")
        true_ends = [(last - 1) * 12.5 for _, last in truth]
        hits = sum(any(abs(e - x) <= 100 for e in ends) for x in true_ends)
        assert hits >= 0.9 * len(truth), f"seed {seed}: {hits} of {len(truth)} within 100 ms"
        equal(round(sum(got["activity_s"].values()), 6), got["samples"] / 80, "seconds of all")
        assert 80 < got["cadence"] < 140, got["cadence"]


def any_rate_will_do(t):
    for rate in (25, 50, 100, 200, 500):
        path, _, truth = synth(t, f"rate{rate}", "--seed", "2", "--rate", str(rate))
        got = steps(t, path)
        close(got["steps"], len(truth), 0.06, f"steps at {rate} Hz")
        close(got["input"]["rate_hz"], rate, 0.001, "rate")
        assert "rate" in got["input"]["guessed"] and got["gaps"] == 0, got["input"]


def every_form_says_the_same(t):
    """Separators, units, order of columns, header or none, pipe or file."""
    path, rows, _ = synth(t, "forms", "--seed", "4")
    want = steps(t, path)
    with open(path, "rb") as f:
        equal(steps(t, "-", stdin=f.read()), want, "from a pipe")
    tsv = steps(t, write(t, "forms.tsv", rows, "\t"))
    equal(tsv["events"], want["events"], "events of the TSV")
    bare = ["--columns", "time,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z,-"]
    got = steps(t, write(t, "bare.csv", rows[1:]), *bare)
    equal(got["events"], want["events"], "events without header")
    turned = write(t, "turned.csv", [[r[6], r[5], r[4], r[3], r[2], r[1], r[0]] for r in rows])
    equal(steps(t, turned)["events"], want["events"], "events of turned columns")
    in_g = write(t, "g.csv", [rows[0]] + scaled(rows, (1, 2, 3), 1 / GRAVITY))
    got = steps(t, in_g)
    equal((got["input"]["acc_unit"], got["steps"]), ("g", want["steps"]), "in g, guessed")
    degrees = write(t, "degrees.csv", [rows[0]] + scaled(rows, (4, 5, 6), 57.29578))
    got = steps(t, degrees, "--gyro-unit", "deg/s")
    equal((got["input"]["gyro_unit"], got["steps"]), ("deg/s", want["steps"]), "in degrees")
    ms = write(t, "ms.csv", [rows[0]] + scaled(rows, (0,), 1000))
    got = steps(t, ms, "--time-unit", "ms")
    equal(got["events"], want["events"], "events with times in ms")
    untimed = write(t, "untimed.csv", [r[1:7] for r in rows])
    got = steps(t, untimed, "--rate", "80")
    equal(got["events"], want["events"], "events by the rate")
    equal(got["input"]["is_rate_assumed"], False, "rate given")
    got = steps(t, untimed)
    equal((got["events"], got["input"]["is_rate_assumed"]), (want["events"], True), "80 Hz assumed")


def drops_nothing_in_silence(t):
    path, rows, _ = synth(t, "faults", "--seed", "3", "--faults", "12", "--jitter-ms", "3")
    got = steps(t, path)
    equal(got["input"]["rows"], len(rows) - 1, "rows")
    out = got["left_out"]
    left_out = {k: out[k]["n"] for k in ("not_a_number", "not_finite", "out_of_range")}
    equal(left_out, {"not_a_number": 2, "not_finite": 2, "out_of_range": 2}, "left out")
    equal((out["duplicates"], out["out_of_order"], got["gaps"]), (2, 2, 2), "times")
    equal(got["samples"] + sum(left_out.values()), len(rows) - 1, "samples and what was left out")
    text = volley(t, "steps", path)[0]
    line = next(i + 2 for i, r in enumerate(rows[1:]) if "nan" in r)
    equal(out["not_finite"]["first_line"], line, "line of the first nan")
    for part in (f"2 not finite (first: line {line})", "2 out of order", "2 that part"):
        assert part in text, f"expected {part!r} in {text}"


def warns_of_what_is_unlike(t):
    path, rows, truth = synth(t, "still", "--seed", "5", "--no-gyro")
    got = steps(t, path)
    assert any("no gyroscope" in w for w in got["warnings"]), got["warnings"]
    close(got["steps"], len(truth), 0.15, "steps without gyroscope")
    text = volley(t, "steps", path)[0]
    assert "warning      no gyroscope" in text, text
    acc = [[float(v) for v in r[1:4]] for r in rows[1:]]
    mean = [sum(a[i] for a in acc) / len(acc) for i in range(3)]
    linear = write(t, "linear.csv", [["time", "acc_x", "acc_y", "acc_z"]] + [
        [r[0]] + [f"{0.2 * (v - m):.5f}" for v, m in zip(a, mean)]
        for r, a in zip(rows[1:], acc)])
    out, err = volley(t, "steps", linear, "--acc-unit", "m/s2")
    assert "gravity" in out + err, out + err


def prints_what_was_asked_for(t):
    path, _, _ = synth(t, "print", "--seed", "6", "--seconds", "30")
    got = steps(t, path)
    out = volley(t, "steps", path)[0]
    assert f"{got['steps']} steps in 30.0 s" in out, out
    assert "step.start" not in out
    listed = volley(t, "steps", path, "--events")[0]
    equal(listed.count("step.start") + listed.count("step.end"), len(got["events"]), "rows")
    table = list(csv.DictReader(io.StringIO(volley(t, "steps", path, "--csv")[0])))
    equal([(r["type"], int(r["step"]), float(r["t_ms"]), r["activity"]) for r in table],
          [(e["type"], e["step"], e["t_ms"], e["activity"]) for e in got["events"]], "CSV")
    picture = t.path("print.svg")
    volley(t, "steps", path, "--plot", picture)
    xml.dom.minidom.parse(picture)
    model = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(
        os.path.abspath(__file__)))), "models", "steps", "steps.onnx")
    other = steps(t, path, "--model", model)
    equal(other.pop("model"), model[:63], "name")
    equal(other, {k: v for k, v in got.items() if k != "model"}, "the same model from its file")


def takes_several(t):
    a, b = (synth(t, name, "--seconds", "20")[0] for name in ("a", "b,c"))
    got = steps(t, a, b)["results"]
    equal(got, [steps(t, a), steps(t, b)], "results")
    rows = list(csv.DictReader(io.StringIO(volley(t, "steps", "--csv", a, b)[0])))
    equal({r["file"] for r in rows}, {a, b}, "files")
    missing = t.path("missing.csv")
    out, err = volley(t, "steps", a, missing, b, status=1)
    assert f"'{missing}': No such file" in err, err
    equal(out.count(" steps in "), 2, "the others are read")
    folder = t.path("plots")
    os.mkdir(folder)
    volley(t, "steps", a, b, "--plot", folder)
    equal(sorted(os.listdir(folder)), ["a.csv.svg", "b,c.csv.svg"], "plots")
    os.mkdir(t.path("other"))
    os.link(a, t.path("other/a.csv"))
    err = volley(t, "steps", a, b, t.path("other/a.csv"), "--plot", folder, status=2)[1]
    assert "one file" in err, err
    volley(t, "steps", a, b, t.path("other/a.csv"))


def fails_when_nobody_gets_what_it_prints(t):
    path, _, _ = synth(t, "full", "--seconds", "5")
    for args in (("steps", path), ("steps", path, "--json"), ("synth", "imu", "--seconds", "5")):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([t.volley, *args], stdout=full, stderr=subprocess.PIPE)
        equal(done.returncode, 1, args)
        assert b"cannot write to standard output" in done.stderr, done.stderr
        equal(done.stderr.count(b"\n"), 1, "lines")


def refuses(t):
    path = synth(t, "refuse", "--seconds", "5")[0]
    empty, text = write(t, "empty.csv", []), write(t, "text.csv", [["no", "recording"]] * 30)
    for args, status, said in (
            ((empty,), 1, "empty.csv"),
            ((text,), 1, "text.csv"),
            ((t.path(""),), 1, "directory"),
            ((path, "--acc-unit", "furlong"), 1, "furlong"),
            ((path, "--columns", "time,acc_x"), 1, "acc_y"),
            ((path, "--model", path), 1, "model"),
            ((path, "--look-ahead-ms", "10"), 1, "look-ahead: expected at least"),
            ((path, "--look-ahead-ms", "-2"), 1, "look-ahead: expected at least"),
            ((path, "--json", "--csv"), 2, "exclude each other"),
            ((path, "--rate", "-5"), 2, "--rate must be positive"),
            ((path, path, "--plot", t.path("one.svg")), 2, "must name a directory"),
            ((), 2, "volley steps")):
        err = volley(t, "steps", *args, status=status)[1]
        assert said in err, f"{args}: expected {said!r} in {err!r}"


def counts_a_real_walk(t):
    path = t.shared("data/steps/raw/person_5/ClippedawindaRecording_20230217123216.csv")
    got = steps(t, path)
    equal(got["samples"], 35055, "samples")
    close(got["steps"], 683, 0.03, "steps")
    check_order(got["events"])


run(counts_known_walks, any_rate_will_do, every_form_says_the_same, drops_nothing_in_silence,
    warns_of_what_is_unlike, prints_what_was_asked_for, takes_several,
    fails_when_nobody_gets_what_it_prints, refuses, counts_a_real_walk)
