# SPDX-License-Identifier: MIT
"""`volley eval steps`: figures that are known, selections, plots, and what it refuses."""
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
    wrong = volley(t, "eval", "steps", "--data", data, "--person", "person_9", status=1)
    assert "no person 'person_9' in it" in wrong.stderr, wrong.stderr


def says_what_is_missing(t):
    assert "--data is required" in volley(t, "eval", "steps", status=2).stderr
    wrong = volley(t, "eval", "steps", "--data", t.path("nothing"), status=1).stderr
    assert "nothing'" in wrong, wrong
    os.mkdir(t.path("empty"))
    wrong = volley(t, "eval", "steps", "--data", t.path("empty"), status=1).stderr
    assert "no recordings: expected PERSON/NAME.csv in it" in wrong, wrong


run(knows_the_baselines, chooses_persons_and_draws, says_what_is_missing)
