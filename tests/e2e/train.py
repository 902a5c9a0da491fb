# SPDX-License-Identifier: MIT
"""`volley train steps` on made-up walkers: it learns, and is resumed to the bit."""
import json
import os
import shutil
import signal
import struct
import subprocess

from harness import IS_SANITIZED, equal, run

SECONDS = 60 if IS_SANITIZED else 180  # of each person


def volley(t, *args, status=0):
    p = subprocess.run([t.volley, *args], capture_output=True, text=True)
    equal(p.returncode, status, f"exit status of {' '.join(args)}: {p.stderr}")
    return p


def walkers(t):
    """Three persons, walking and standing."""
    folder = t.path("walkers")
    if os.path.isdir(folder):
        return folder
    for i in (1, 2, 3):
        person = os.path.join(folder, f"person_{i}")
        os.makedirs(person)
        volley(t, "synth", "imu", "--seconds", str(SECONDS), "--seed", str(i), "--activity",
               "stand,walk", "--out", os.path.join(person, "walk.csv"),
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


def sum_of(data):
    """FNV-1a, 64 bits."""
    ret = 0xcbf29ce484222325
    for byte in data:
        ret = (ret ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return struct.pack("<Q", ret)


HEAD, FIGURES = 56, 32  # bytes of a checkpoint: before the figures of its epochs, of each of these


def refuses_a_wrong_checkpoint(t):
    """With a sum that is right: an epoch less than its steps say, parameters that are no numbers;
    and a good one, for other readings."""
    kept, data = t.path("good"), t.path("changed")
    shutil.copytree(walkers(t), data)
    args = ["train", "steps", "--data", data, "--out", t.path("r"), "--hold-out", "person_3",
            "--epochs", "2", "--checkpoint", kept]
    volley(t, *args)
    good = read(kept)[:-8]
    less = good[:44] + struct.pack("<I", 1) + good[48:HEAD] + good[HEAD + FIGURES:]
    no_number = good[:-4] + struct.pack("<f", float("nan"))
    for body, text in ((less, "steps are not 1 epochs"), (no_number, "is no number")):
        with open(kept, "wb") as f:
            f.write(body + sum_of(body))
        assert text in volley(t, *args, "--resume", status=1).stderr, text
    with open(kept, "wb") as f:
        f.write(good + sum_of(good))
    volley(t, *args, "--resume")
    change_readings(os.path.join(data, "person_1", "walk.csv"))
    assert "of another training" in volley(t, *args, "--resume", status=1).stderr


def change_readings(path):
    """As many as before: the last 100 swap their x and y of the acceleration."""
    with open(path, encoding="ascii") as f:
        lines = f.read().splitlines()
    x, y = (lines[0].split(",").index(name) for name in ("acc_x", "acc_y"))
    for i in range(len(lines) - 100, len(lines)):
        cells = lines[i].split(",")
        cells[x], cells[y] = cells[y], cells[x]
        lines[i] = ",".join(cells)
    with open(path, "w", encoding="ascii") as f:
        f.write("\n".join(lines) + "\n")


def never_sees_who_is_held_out(t):
    """Other readings of that person: the same net. Of somebody else: another net."""
    data, models = t.path("held"), []
    shutil.copytree(walkers(t), data)
    for changed in (None, "person_3", "person_1"):
        if changed is not None:
            change_readings(os.path.join(data, changed, "walk.csv"))
        out = t.path(f"held_{changed}")
        volley(t, "train", "steps", "--data", data, "--out", out, "--hold-out", "person_3",
               "--epochs", "2")
        models.append(read(out, "steps.onnx"))
    equal(models[1], models[0], "the model, with other readings of person_3")
    assert models[2] != models[0], "the readings of person_1 change nothing"


def learns(t):
    """Some two hundred batches are enough for walkers that are so much alike. Under a sanitizer a
    few are made, which teach nothing."""
    got = train(t, "learned", "--epochs", "5" if IS_SANITIZED else "100", "--hold-out", "person_2",
                "--json")
    person = json.loads(got.stdout)["persons"]["person_2"]
    if not IS_SANITIZED:
        assert person["f1"]["100"]["start"] > 0.8, person
        assert person["delay_ms"]["max"] <= 250, person
    model = os.path.join(t.path("learned"), "steps.onnx")
    judged = json.loads(volley(t, "eval", "steps", "--data", walkers(t), "--person", "person_2",
                               "--model", model, "--json").stdout)["model"]["pooled"]
    for ms in ("50", "100"):
        for event in ("start", "end"):
            assert abs(judged["f1"][ms][event] - person["f1"][ms][event]) < 0.02, (judged, person)
    card = read(t.path("learned"), "card.md").decode()
    assert "recordings: not stated" in card and "--hold-out person_2" in card, card
    assert f"from 2 persons, 2 recordings, {SECONDS / 30:.1f} minutes" in card, card
    assert b"recordings: not stated" in read(model), "the licence that the model names"
    assert "F1 of person_2 " in got.stderr, got.stderr
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


def names_whose_the_recordings_are(t):
    """And trains on two persons, whom nobody can be left out of."""
    data = t.path("two")
    for person in ("person_1", "person_2"):
        shutil.copytree(os.path.join(walkers(t), person), os.path.join(data, person))
    got = volley(t, "train", "steps", "--data", data, "--out", t.path("credit"), "--epochs", "1",
                 "--credit", "made up, CC0")
    assert "not measured on strangers" in got.stderr, got.stderr
    assert "F1 of the persons it learns from " in got.stderr, got.stderr
    card = read(t.path("credit"), "card.md").decode()
    assert "recordings: made up, CC0." in card and "left out" not in card, card
    assert b"made up, CC0" in read(t.path("credit"), "steps.onnx"), "the licence in the model"
    alone = volley(t, "train", "steps", "--data", data, "--leave-one-out", "--epochs", "1",
                   status=1)
    assert "expected 3 to 16 persons, got 2" in alone.stderr, alone.stderr
    assert "epoch" not in alone.stderr and "net 1" not in alone.stderr, alone.stderr


def leaves_one_out(t):
    args = ["train", "steps", "--data", walkers(t), "--leave-one-out", "--epochs", "2"]
    got, alone = volley(t, *args, "--threads", "2"), volley(t, *args, "--threads", "1")
    equal(alone.stdout, got.stdout, "the table, with one thread and with two")
    for row in ("person_1", "person_2", "person_3", "mean", "pooled"):
        assert f"| {row} |" in got.stdout, got.stdout
    assert "net 6 of 6" in got.stderr, got.stderr


def says_what_is_wrong(t):
    data = ["train", "steps", "--data", walkers(t), "--out", t.path("y")]
    for args, text in ((["--epochs", "0"], "--epochs"), (["--hold-out", "nobody"], "no person"),
                       (["--look-ahead-ms", "37"], "expected 38 to 1000"),
                       (["--look-ahead-ms", "1001"], "expected 38 to 1000"),
                       (["--look-ahead-ms", str(2**63 - 1)], "expected 38 to 1000"),
                       (["--from", "x.onnx", "--look-ahead-ms", "100"], "exclude each other"),
                       (["--checkpoint", "c", "--leave-one-out"], "exclude each other"),
                       (["--resume"], "needs --checkpoint")):
        assert text in volley(t, *data, *args, status=1).stderr, args
    late = volley(t, "train", "steps", "--data", walkers(t), "--out", "/proc/self", "--epochs", "1",
                  "--hold-out", "person_1", status=1)
    assert "/proc/self" in late.stderr and "epoch" not in late.stderr, late.stderr
    with open("/dev/full", "w", encoding="ascii") as full:
        lost = subprocess.run([t.volley, *data, "--epochs", "1", "--hold-out", "person_1"],
                              stdout=full, stderr=subprocess.PIPE, check=False)
    equal(lost.returncode, 1, "exit status when the figures cannot be written")
    equal(volley(t, "train", "steps", status=2).stdout, "", "output without --data")
    empty = t.path("empty")
    os.makedirs(empty)
    volley(t, "train", "steps", "--data", empty, "--out", t.path("y"), status=1)


run(resumes_to_the_bit, refuses_a_wrong_checkpoint, never_sees_who_is_held_out, learns,
    tunes_what_was_pruned, names_whose_the_recordings_are, leaves_one_out, says_what_is_wrong)
