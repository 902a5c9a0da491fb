# SPDX-License-Identifier: MIT
"""`volley synth imu` and `volley eval steps`: known figures, selections, plots, refusals."""
import json
import os
import subprocess
import xml.dom.minidom

from harness import equal, run

PERSONS = {"person_2": 600, "person_3": 752, "person_4": 2862, "person_5": 683, "person_7": 2113,
           "person_8": 650}


def volley(t, *args, status=0):
    p = subprocess.run([t.volley, *args], capture_output=True, text=True)
    equal(p.returncode, status, f"exit status of {' '.join(args)}: {p.stderr}")
    return p


def near(got, want, room, what):
    assert abs(got - want) <= room, f"{what}: expected {want} +- {room}, got {got}"


def knows_the_baselines(t):
    """Chance and peaks as another implementation measured them on these recordings."""
    data = t.shared("data/steps")
    got = json.loads(volley(t, "eval", "steps", "--data", data, "--json").stdout)
    equal(got["recordings"], 15, "recordings")
    near(got["minutes"], 405831 / 80 / 60, 0.001, "minutes")
    equal({p["person"]: p["true"] for p in got["model"]["persons"]}, PERSONS, "true steps")
    chance, peaks = got["chance"]["pooled"], got["peaks"]["pooled"]
    for event, at_50, at_100 in (("start", 0.20, 0.39), ("end", 0.20, 0.37)):
        near(chance["f1"]["50"][event], at_50, 0.02, f"chance, {event}, 50 ms")
        near(chance["f1"]["100"][event], at_100, 0.03, f"chance, {event}, 100 ms")
    near(peaks["f1"]["100"]["start"], 0.934, 0.03, "peaks, start, 100 ms")
    near(peaks["f1"]["100"]["end"], 0.883, 0.03, "peaks, end, 100 ms")
    assert peaks["count_error"] < 0.04, peaks
    standing = sum(r["standing_s"] for r in got["model"]["recordings"])
    near(standing, 76747 / 80, 0.01, "seconds of standing")
    near(got["model"]["pooled"]["found"], sum(r["found"] for r in got["model"]["recordings"]), 0,
         "found")


def chooses_persons_and_draws(t):
    data = t.shared("data/steps")
    picture, folder = t.path("one.svg"), t.path("plots")
    got = volley(t, "eval", "steps", "--data", data, "--person", "person_5", "--plot", picture)
    assert "person_5" in got.stdout and "person_4" not in got.stdout, got.stdout
    text = open(picture, encoding="utf-8").read()
    xml.dom.minidom.parseString(text)
    assert "683 true" in text and len(text) < 200_000, len(text)
    volley(t, "eval", "steps", "--data", data, "--person", "person_7", "--plot", folder)
    equal(len([n for n in os.listdir(folder) if n.endswith(".svg")]), 5, "plots")
    volley(t, "eval", "steps", "--data", data, "--person", "person_8", "--plot", folder)
    equal(len(os.listdir(folder)), 6, "plots, with one more in a folder that is there")
    assert all(n.startswith(("person_7-", "person_8-")) for n in os.listdir(folder))
    wrong = volley(t, "eval", "steps", "--data", data, "--person", "person_9", status=1)
    assert "no person 'person_9' in it" in wrong.stderr, wrong.stderr


def synth(t, name, *args):
    """A recording and its truth in a folder of its own: the folder."""
    folder = t.path(name)
    os.makedirs(folder)
    volley(t, "synth", "imu", "--out", os.path.join(folder, "walk.csv"), "--truth",
           os.path.join(folder, "walk.steps.csv"), *args)
    return folder


def finds_the_steps_of_a_made_up_walk(t):
    """At any rate, with times that waver, with and without rotation; nothing while standing."""
    for name, args in (("as_trained", ()), ("dense", ("--rate", "200", "--jitter-ms", "1")),
                       ("sparse", ("--rate", "50")), ("no_gyro", ("--no-gyro",))):
        folder = synth(t, name, "--seconds", "120", "--seed", "3", *args)
        got = json.loads(volley(t, "eval", "steps", "--data", folder, "--json").stdout)["model"]
        pooled = got["pooled"]
        assert pooled["true"] > 150, pooled
        near(pooled["found"], pooled["true"], 0.1 * pooled["true"], f"{name}: steps")
        assert pooled["f1"]["100"]["start"] > 0.85, (name, pooled)
    folder = synth(t, "still", "--seconds", "120", "--activity", "stand")
    got = json.loads(volley(t, "eval", "steps", "--data", folder, "--json").stdout)["model"]
    equal(got["pooled"]["true"], 0, "steps while standing")
    near(got["pooled"]["standing_s"], 120, 0.001, "seconds of standing")
    assert got["pooled"]["found"] <= 2, got["pooled"]


def makes_recordings(t):
    def made(*args):
        return volley(t, "synth", "imu", "--seconds", "10", *args).stdout
    equal(made(), made(), "two recordings of one seed")
    assert made() != made("--seed", "2")
    lines = made("--rate", "50", "--no-gyro").splitlines()
    equal(lines[0], "time,acc_x,acc_y,acc_z,activity", "header")
    equal(len(lines), 501, "lines")
    equal([float(v.split(",")[0]) for v in lines[1:4]], [0, 0.02, 0.04], "times")
    # in turn: 40 rows fewer, one more, two swapped, nan, an empty cell, a value out of range
    lines = made("--faults", "6").splitlines()
    equal(len(lines), 801 - 40 + 1, "lines with faults")
    times = [float(v.split(",")[0]) for v in lines[1:]]
    steps = [b - a for a, b in zip(times, times[1:])]
    equal((sum(s == 0 for s in steps), sum(s < 0 for s in steps), sum(s > 0.4 for s in steps)),
          (1, 1, 1), "doubled, swapped, lost")
    cells = [v.split(",")[1] for v in lines[1:]]
    equal([cells.count(v) for v in ("nan", "", "99999")], [1, 1, 1], "bad values")
    for wrong, message in ((("--activity", "swim"), "expected stand, walk, up or down, got 'swim'"),
                           (("--rate", "10"), "rate: expected 20 .. 500 Hz, got 10"),
                           (("--faults", "-1"), "--faults: expected 0 .. 1000, got -1"),
                           (("--out", "/nowhere/x.csv"), "'/nowhere/x.csv': No such file")):
        got = volley(t, "synth", "imu", *wrong, status=1)
        assert message in got.stderr, got.stderr


def says_whom_a_model_knows(t):
    """A net of one epoch is worth nothing, but its file names whom it learned from."""
    for seed, person in enumerate(("ann", "bob", "cy")):
        synth(t, f"persons/{person}", "--seconds", "30", "--seed", str(seed))
    volley(t, "train", "steps", "--data", t.path("persons"), "--epochs", "1", "--hold-out", "cy",
           "--out", t.path("trained"))
    model = ("--data", t.path("persons"), "--model", t.path("trained/steps.onnx"))
    got = volley(t, "eval", "steps", *model).stdout
    assert "note: the model was trained on 2 of these persons" in got, got
    got = volley(t, "eval", "steps", *model, "--person", "cy").stdout
    assert "note:" not in got, got
    got = json.loads(volley(t, "eval", "steps", *model, "--person", "bob", "--json").stdout)
    equal(got["persons_known_to_model"], 1, "persons that the model knows")


def refuses_recordings_with_holes(t):
    folder = synth(t, "holes", "--seconds", "20", "--faults", "6")
    wrong = volley(t, "eval", "steps", "--data", folder, status=1).stderr
    assert "walk.csv': line " in wrong and "none may be left out" in wrong, wrong


def fails_when_nobody_gets_the_figures(t):
    synth(t, "full/person", "--seconds", "10")
    for args in ((), ("--json",)):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([t.volley, "eval", "steps", "--data", t.path("full"), *args],
                                  stdout=full, stderr=subprocess.PIPE)
        equal(done.returncode, 1, args)
        assert b"cannot write to standard output" in done.stderr, done.stderr
    for ms, status in (("4294967295", 0), ("-2", 1), ("100", 1)):
        volley(t, "eval", "steps", "--data", t.path("full"), "--look-ahead-ms", ms, status=status)


def says_what_is_missing(t):
    assert "--data is required" in volley(t, "eval", "steps", status=2).stderr
    wrong = volley(t, "eval", "steps", "--data", t.path("nothing"), status=1).stderr
    assert "nothing'" in wrong, wrong
    os.mkdir(t.path("empty"))
    wrong = volley(t, "eval", "steps", "--data", t.path("empty"), status=1).stderr
    assert "no recordings: expected PERSON/NAME.csv in it" in wrong, wrong


run(knows_the_baselines, chooses_persons_and_draws, finds_the_steps_of_a_made_up_walk,
    makes_recordings, says_whom_a_model_knows, refuses_recordings_with_holes,
    fails_when_nobody_gets_the_figures, says_what_is_missing)
