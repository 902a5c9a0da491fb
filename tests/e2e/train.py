# SPDX-License-Identifier: MIT
"""`volley train steps` on made-up walkers: it learns, and is resumed to the bit."""
import json
import os
import signal
import subprocess

from harness import equal, run


def volley(t, *args, status=0):
    p = subprocess.run([t.volley, *args], capture_output=True, text=True)
    equal(p.returncode, status, f"exit status of {' '.join(args)}: {p.stderr}")
    return p


def walkers(t):
    """Three persons, each with three minutes of walking and standing."""
    folder = t.path("walkers")
    if os.path.isdir(folder):
        return folder
    for i in (1, 2, 3):
        person = os.path.join(folder, f"person_{i}")
        os.makedirs(person)
        volley(t, "synth", "imu", "--seconds", "180", "--seed", str(i), "--activity", "stand,walk",
               "--out", os.path.join(person, "walk.csv"),
               "--truth", os.path.join(person, "walk.steps.csv"))
    return folder


def read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


def train(t, out, *args):
    return volley(t, "train", "steps", "--data", walkers(t), "--out", t.path(out), *args)


def resumes_to_the_bit(t):
    """Killed after some epochs and resumed, on another number of threads: the same file."""
    args = ["--epochs", "8", "--hold-out", "person_3"]
    train(t, "whole", "--threads", "1", *args)
    kept = t.path("kept")
    command = [t.volley, "train", "steps", "--data", walkers(t), "--out", t.path("resumed"),
               "--threads", "2", "--checkpoint", kept, "--resume", *args]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          text=True) as p:
        for line in p.stderr:
            if line.startswith("epoch 3 "):
                p.send_signal(signal.SIGKILL)
                break
        p.stderr.read()
        p.wait()
    assert os.path.exists(kept), "no checkpoint"
    again = train(t, "resumed", "--threads", "2", "--checkpoint", kept, "--resume", *args)
    assert "epoch 1 of" not in again.stderr and "epoch 8 of 8" in again.stderr, again.stderr
    equal(read(t.path("resumed"), "steps.onnx"), read(t.path("whole"), "steps.onnx"), "the model")
    other = volley(t, "train", "steps", "--data", walkers(t), "--out", t.path("x"), "--checkpoint",
                   kept, "--resume", "--epochs", "9", status=1)
    assert "of another training" in other.stderr, other.stderr


def learns(t):
    """Some two hundred batches are enough for walkers that are so much alike."""
    got = train(t, "learned", "--epochs", "100", "--hold-out", "person_2", "--json")
    person = json.loads(got.stdout)["persons"]["person_2"]
    assert person["f1"]["100"]["start"] > 0.8, person
    assert person["delay_ms"]["max"] <= 250, person
    model = os.path.join(t.path("learned"), "steps.onnx")
    judged = json.loads(volley(t, "eval", "steps", "--data", walkers(t), "--person", "person_2",
                               "--model", model, "--json").stdout)["model"]["pooled"]
    for ms in ("50", "100"):
        for event in ("start", "end"):
            assert abs(judged["f1"][ms][event] - person["f1"][ms][event]) < 0.02, (judged, person)
    card = read(t.path("learned"), "card.md").decode()
    assert "SIMUL" in card and "--hold-out person_2" in card, card
    assert read(t.path("learned"), "curves.svg").startswith(b"<svg"), "curves"


def tunes_what_was_pruned(t):
    """Zeros stay, the rest moves; with a rate of its own it is no worse than before."""
    train(t, "dense", "--epochs", "4", "--hold-out", "person_1")
    model, pruned = os.path.join(t.path("dense"), "steps.onnx"), t.path("pruned.onnx")
    volley(t, "model", "prune", model, "--sparsity", "0.5", "-o", pruned)
    train(t, "tuned", "--epochs", "2", "--hold-out", "person_1", "--from", pruned, "--keep-zeros")
    again = t.path("again.onnx")
    got = volley(t, "model", "prune", os.path.join(t.path("tuned"), "steps.onnx"), "--sparsity",
                 "0.5", "--json", "-o", again)
    figures = json.loads(got.stdout)
    equal(figures["zeros"], figures["weights"] // 2, "zeros")
    tuned = read(t.path("tuned"), "steps.onnx")
    assert tuned != read(pruned), "nothing was learned"
    # what is 0 in one is 0 in the other: pruning once more changes no weight
    equal(read(again).count(bytes(4)), tuned.count(bytes(4)), "zero words")
    wrong = volley(t, "train", "steps", "--data", walkers(t), "--out", t.path("z"), "--keep-zeros",
                   status=1)
    assert "needs --from" in wrong.stderr, wrong.stderr


def leaves_one_out(t):
    got = volley(t, "train", "steps", "--data", walkers(t), "--leave-one-out", "--epochs", "2")
    for row in ("person_1", "person_2", "person_3", "mean", "pooled"):
        assert f"| {row} |" in got.stdout, got.stdout
    assert "net 6 of 6" in got.stderr, got.stderr


def says_what_is_wrong(t):
    data = ["train", "steps", "--data", walkers(t), "--out", t.path("y")]
    for args, text in ((["--epochs", "0"], "--epochs"), (["--hold-out", "nobody"], "no person"),
                       (["--look-ahead-ms", "10"], "--look-ahead-ms"),
                       (["--resume"], "needs --checkpoint")):
        assert text in volley(t, *data, *args, status=1).stderr, args
    equal(volley(t, "train", "steps", status=2).stdout, "", "output without --data")
    empty = t.path("empty")
    os.makedirs(empty)
    volley(t, "train", "steps", "--data", empty, "--out", t.path("y"), status=1)


run(resumes_to_the_bit, learns, tunes_what_was_pruned, leaves_one_out, says_what_is_wrong)
