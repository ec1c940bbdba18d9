"""Every command of ``minifer`` meets bad input: one line, exit code 1 or 2.

:data:`WALK` has the rows: a command and its subcommand, then a kind of mistake and the
words that make it. The tests below say which kinds a command owes, by the options that
its own help names, so a new command without rows fails here.

Words in braces stand for what :func:`places` makes: ``{file}`` is a text, ``{empty}``
a folder, ``{gone}`` is nothing, ``{blocked}`` is where no folder can be, ``{archive}``
is an ``.npz`` and no model, ``{model}`` is one, ``{csv}`` a small FER2013, and
``{bad_csv}`` has a bad row.
"""

import re
import shutil

import numpy as np
import pytest

from helpers import runs
from minifer.commands import COMMANDS, GROUPS
from minifer.faces.images import write_png
from minifer.weights.model_file import save_model

CK = "--images {images} --labels {labels} --faces whole"
FER = "--data {csv} --out {out}"
TRAINING = {
    "unknown name": ("--device abacus", "'abacus'"),
    "wrong option value": ("--batch 0", "batch size: expected"),
    "wrong number": ("--lr x", "--lr: invalid float"),
    "wrong rule": ("--schedule sometimes", "schedule: expected"),
    "wrong seed": ("--seed -1", "seed: expected"),
    "wrong smoothing": ("--label-smoothing 1", "label smoothing: expected"),
    "wrong average": ("--average 1", "average: expected"),
    "wrong norm": ("--max-norm 0", "--max-norm: expected"),
    "wrong mixture": ("--mixup 0", "Mixup: expected"),
    "two mixtures": ("--mixup 1 --cutmix 1", "got both"),
    "missing weights": ("--weights {gone}", "gone: could not be read"),
    "folder for weights": ("--weights {empty}", "empty: could not be read"),
    "not a model": ("--weights {archive}", "archive.npz: ")}
NO_TABLE = {  # for what reads fer2013.csv or class folders
    "missing file": ("--data {gone} --out {out}", "gone: expected a CSV file"),
    "folder for file": ("--data {photos} --out {out}", "a folder for each class"),
    "empty folder": ("--data {empty} --out {out}", "a folder for each class"),
    "not a table": ("--data {file} --out {out}", "expected the columns"),
    "unwritable out": ("--data {csv} --out {blocked}", "can be written")}
NO_CK = {
    "missing file": ("--images {gone} --labels {labels} --out {out}", "found nothing"),
    "folder for file": ("--images {file} --labels {labels} --out {out}",
                        "found a file"),
    "empty folder": ("--images {empty} --labels {labels} --out {out}", "found none"),
    "labels missing": ("--images {images} --labels {gone} --out {out}",
                       "found nothing"),
    "labels empty": ("--images {images} --labels {empty} --out {out}", "none of 6"),
    "only images": ("--images {images} --out {out}", "--labels"),
    "unwritable out": (f"{CK} --out {{blocked}}", "can be written")}
NO_WORDS = {"nothing": ("", "required")}
JUDGING = {  # what eval and compare owe
    "missing file": ("--data {gone}", "gone: expected"),
    "empty folder": ("--data {empty}", "a folder for each class"),
    "not a table": ("--data {file}", "expected the columns"),
    "other classes": ("--data {csv}", "the model's classes"),
    "only images": ("--images {images}", "--labels"),
    "unknown name": ("--device abacus", "'abacus'"),
    "wrong option value": ("--part magic", "'magic'"),
    "unwritable out": ("--data {csv} --out {blocked}", "can be written")}
IN_USE = "classes: expected an empty folder or none"


def after(words, rows):
    """The same mistakes behind other words."""
    return {kind: (f"{words} {mistake}", says)
            for kind, (mistake, says) in rows.items()}


#: Command -> {kind of mistake: (words, what the line says)}.
WALK = {
    "train": {**NO_WORDS, "unknown name": ("dragons", "'dragons'")},
    "train ck": {
        **after(f"{CK} --out {{out}}", TRAINING), **NO_CK,
        "leaky folds": (f"{CK} --out {{out}} --folds 2 --split random", "--folds")},
    "train fer2013": {
        **after(f"{FER} --model mlp", TRAINING), **NO_TABLE,
        "strict": ("--data {bad_csv} --strict --out {out}", "bad.csv, line 30"),
        "strict folder": ("--data {half_bad} --strict --out {out}", "cut.png: "),
        "unknown network": (f"{FER} --model eleven", "'eleven'")},
    "train transfer": {
        **after(f"{FER} --model resnet18 --size 32", TRAINING), **NO_TABLE,
        "strict": ("--data {bad_csv} --strict --out {out}", "bad.csv, line 30"),
        "wrong size": (f"{FER} --model resnet18 --size 0", "a size from 1"),
        "unknown network": (f"{FER} --model eleven", "'eleven'")},
    "search": {
        **NO_TABLE,
        "unknown name": (f"{FER} --strategy prayer", "'prayer'"),
        "unknown option to search": (f"{FER} --space luck=1:2", "--luck"),
        "wrong option value": (f"{FER} --trials 0", "trials: expected"),
        "wrong range": (f"{FER} --space lr=2:1", "lr=2:1")},
    "export": {
        **NO_WORDS,
        "missing file": ("{gone} m.onnx", "gone: could not be read"),
        "not a model": ("{archive} m.onnx", "archive.npz: "),
        "other ending": ("{model} model.pickle", "expected a name that ends in"),
        "unwritable out": ("{model} {blocked}.onnx", "can be written")},
    "data": {**NO_WORDS, "unknown name": ("dragons", "'dragons'")},
    "data audit": {
        **NO_WORDS,
        "missing file": ("{gone}", "gone: expected a csv file or a folder"),
        "folder for file": ("{photos}", "a folder for each class"),
        "not a table": ("{file}", "expected the columns"),
        "empty folder": ("{empty}", "a folder for each class"),
        "labels missing": ("{images} {gone}", "gone: expected"),
        "labels empty": ("{images} {empty}", "none of 6"),
        "too many": ("{images} {labels} {labels}", "got 3"),
        "strict": ("{bad_csv} --strict", "bad.csv, line 30"),
        "strict folder": ("{half_bad} --strict", "cut.png: "),
        "a choice that is none": ("{csv} --faces haar", "face crops already"),
        "unknown name": ("{csv} --split magic", "'magic'"),
        "wrong option value": ("{csv} --split subject --seed -1", "seed: expected"),
        "unwritable out": ("{csv} --out {blocked}", "can be written")},
    "data faces": {
        **NO_WORDS,
        "missing file": ("{gone} --out {out}", "gone: expected a folder"),
        "folder for file": ("{photo} --out {out}", "expected a folder"),
        "empty folder": ("{empty} --out {out}", "found none among 0 files"),
        "no photos": ("{labels} --out {out}", "found none among 6 files"),
        "out inside": ("{photos} --out {photos}/faces", "expected a folder outside"),
        "unknown name": ("{photos} --out {out} --colour", "--colour"),
        "wrong option value": ("{photos} --out {out} --size 0", "size: expected"),
        "wrong number": ("{photos} --out {out} --size big", "--size: invalid int"),
        "strict": ("{photos} --strict --out {out}", "cut.png: "),
        "out in use": ("{photos} --out {classes}", IN_USE),
        "unwritable out": ("{photos} --out {blocked}", "can be written")},
    "data folders": {
        **NO_WORDS,
        "missing file": ("{gone} --out {out}", "gone: expected a CSV file"),
        "folder for file": ("{empty} --out {out}", "empty: expected a CSV file"),
        "not a table": ("{file} --out {out}", "expected the columns"),
        "strict": ("{bad_csv} --strict --out {out}", "bad.csv, line 30"),
        "unknown name": ("{csv} --out {out} --format=gif", "--format"),
        "out in use": ("{csv} --out {classes}", IN_USE),
        "unwritable out": ("{csv} --out {blocked}", "can be written")},
    "data soft": {
        **NO_WORDS, **NO_CK,
        "unknown name": (f"{CK} --out {{out}} --faces cat", "'cat'"),
        "wrong option value": (f"{CK} --out {{out}} --size 24 --test 2", "test: "),
        "wrong seed": (f"{CK} --out {{out}} --size 24 --seed -1", "seed: expected"),
        "wrong size": (f"{CK} --out {{out}} --size 0", "size: expected"),
        "out in use": (f"{CK} --out {{classes}}", IN_USE)},
    "predict": {
        **NO_WORDS,
        "missing file": ("{gone} --model {model}", "gone: no such file"),
        "folder for file": ("{photos} --model {empty}", "empty: could not be read"),
        "empty folder": ("{empty} --model {model}", "found none"),
        "no model": ("{photo} --model {gone}", "gone: could not be read"),
        "not a model": ("{photo} --model {archive}", "archive.npz: "),
        "not a photo": ("{file} --model {model}", "file.txt: "),
        "unknown name": ("{photo} --model {model} --device abacus", "'abacus'"),
        "wrong option value": ("{photo} --model {model} --every 0", "--every: "),
        "wrong number": ("{photo} --model {model} --smooth x", "--smooth: invalid"),
        "unwritable table": ("{photo} --model {model} --csv {blocked}", "be written"),
        "unwritable out": ("{photo} --model {model} --out {blocked}", "be written")},
    "webcam": {
        "no model": ("--model {gone}", "gone: could not be read"),
        "not a model": ("--model {archive}", "archive.npz: "),
        "no camera": ("--model {model} --camera 77", "camera 77: expected a camera"),
        "unknown name": ("--model {model} --device abacus", "'abacus'"),
        "wrong number": ("--model {model} --camera x", "--camera: invalid int")},
    "gui": {
        "unknown name": ("--device abacus", "'abacus'"),
        "wrong option value": ("--scale 0", "scale: expected"),
        "wrong number": ("--scale big", "--scale")},
    "check": {
        "unknown name": ("dragons", "'dragons'"),
        "missing file": ("conv {gone}", "gone: "),
        "folder for file": ("conv {empty}", "empty: "),
        "in use": ("conv --template {file}", "file.txt: "),
        "no name": ("--template {out}", "expected an exercise"),
        "wrong option value": ("conv {file} --limit 0", "limit"),
        "unwritable template": ("conv --template {blocked}", "could not be made")},
    "eval": {**NO_WORDS, **after("--model {model}", JUDGING),
             "no model": ("--model {gone}", "gone: could not be read"),
             "not a model": ("--model {archive}", "archive.npz: ")},
    "compare": {**NO_WORDS, **after("{model} {model}", JUDGING),
                "one model": ("{model}", "two models or more"),
                "not a model": ("{model} {archive}", "archive.npz: ")},
    "show": {**NO_WORDS, "unknown name": ("dragons", "'dragons'")},
    "show filters": {
        **NO_WORDS,
        "not a model": ("--model {archive} --out {out}.png", "archive.npz: "),
        "wrong option value": ("--model {model} --out {out}.png --layer 9", "--layer"),
        "no png": ("--model {model} --out {out}.gif", "ends in .png"),
        "unwritable out": ("--model {model} --out {blocked}.png", "written")},
    **{f"show {name}": {
        **NO_WORDS,
        "not a photo": ("{file} --model {model} --out {out}.png", "file.txt: "),
        "missing file": ("{gone} --model {model} --out {out}.png", "gone: "),
        "not a model": ("{photo} --model {archive} --out {out}.png", "archive.npz: "),
        "unknown name": ("{photo} --model {model} --device abacus", "'abacus'"),
        "no png": ("{photo} --model {model} --out {out}.gif", "ends in .png"),
        "unwritable out": ("{photo} --model {model} --out {blocked}.png", "written")}
       for name in ("activations", "saliency", "gradcam")},
    "show start": {
        **NO_WORDS, "unknown name": ("eleven", "'eleven'"),
        "missing file": ("mlp --data {gone}", "gone: expected a CSV file"),
        "folder for file": ("mlp --data {photos}", "a folder for each class"),
        "not a table": ("mlp --data {file}", "expected the columns"),
        "wrong option value": ("mlp --data {csv} --batch 0", "batch size: expected"),
        "wrong seed": ("mlp --data {csv} --seed -1", "seed: expected")},
    "gradcheck": {"unknown name": ("--device abacus", "'abacus'"),
                  "a word too many": ("all", "all")},
    "bench": {
        "unknown name": ("--net resnet", "'resnet'"),
        "wrong option value": ("--batch 0", "--batch"),
        "wrong number": ("--rounds x", "--rounds: invalid int"),
        "another rival": ("--against jax", "'jax'"),
        "missing file": ("--epoch --data {gone}", "gone: expected a CSV file"),
        "empty folder": ("--epoch --data {empty}", "a folder for each class")},
    "doctor": {"a word too many": ("please", "please")},
}

#: What the help says -> the mistake that must have a row.
OWED = {"--out FOLDER": "unwritable out", "--out OUT": "unwritable out",
        "--out FILE.png": "unwritable out",
        "--model FILE": "not a model", "--weights WEIGHTS": "not a model",
        "--data DATA": "missing file", "--data PATH": "missing file",
        "--device": "unknown name", "--seed": "wrong option value",
        "PATH": "missing file", "--images": "empty folder"}

ROWS = {f"{command}: {kind}": (f"{command} {words}", says)
        for command, rows in WALK.items() for kind, (words, says) in rows.items()}


def leaves():
    """All commands, and in place of one with subcommands those."""
    for name in COMMANDS:
        # usage: minifer data [-h] {audit,faces} ...
        kinds = re.match(rf"usage: minifer {name} \[-h\] {{([\w,-]+)}}",
                         runs.minifer(name, "--help").out)
        yield from (f"{name} {kind}" for kind in kinds[1].split(",")) if kinds else [
            name]


LEAVES = list(leaves())


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """What the words in braces stand for."""
    folder = tmp_path_factory.mktemp("walk")
    images, labels = runs.write_ck(folder, subjects=3, side=24)
    for name in ("empty", "photos", "classes/train/happy"):
        (folder / name).mkdir(parents=True)
    (folder / "file.txt").write_text("Dear reader")
    noise = np.random.default_rng(0).integers(0, 256, (28, 48, 48)).astype(np.uint8)
    write_png(folder / "photos" / "noise.png", noise[0])
    write_png(folder / "classes" / "train" / "happy" / "a.png", noise[0])
    shutil.copytree(folder / "classes", folder / "half_bad")
    for place in ("photos", "half_bad/train/happy"):
        (folder / place / "cut.png").write_bytes(b"\x89PNG")
    usages = ["Training"] * 14 + ["PublicTest"] * 7 + ["PrivateTest"] * 7
    rows = [f"{k % 7},{' '.join(map(str, image.ravel()))},{usage}"
            for k, (image, usage) in enumerate(zip(noise, usages))]
    (folder / "f.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]))
    (folder / "bad.csv").write_text("\n".join(["emotion,pixels,Usage", *rows,
                                               "9,1 2,Training"]))
    np.savez(folder / "archive.npz", np.zeros(3))
    save_model(folder / "model.npz", runs.model(runs.network()))
    return {"file": folder / "file.txt", "empty": folder / "empty",
            "gone": folder / "gone", "photo": folder / "photos" / "noise.png",
            "photos": folder / "photos", "classes": folder / "classes",
            "csv": folder / "f.csv", "bad_csv": folder / "bad.csv",
            "half_bad": folder / "half_bad", "archive": folder / "archive.npz",
            "model": folder / "model.npz",
            "images": images, "labels": labels,
            "out": folder / "out", "blocked": folder / "file.txt" / "out"}


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """Nothing of the user's is read or written."""
    monkeypatch.setenv("MINIFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("words, says", ROWS.values(), ids=ROWS)
def test_a_mistake_gets_one_line(words, says, places):
    outcome = runs.minifer(*words.format(**places).split())
    lines = [line for line in outcome.err.splitlines()
             if not re.match(r"[a-z ]+: \d+/\d+$", line)]  # but progress
    assert outcome.code in (1, 2), outcome
    assert len(lines) == 1 and "error: " in lines[0], outcome.err
    assert says in lines[0]
    assert "Traceback" not in outcome.err + outcome.out
    assert not places["out"].exists() or not any(places["out"].iterdir())


@pytest.mark.parametrize("command", LEAVES)
def test_every_command_has_rows_for_what_it_takes(command):
    assert command in WALK, f"tests/commands/test_walk.py: no rows for {command}"
    help_text = runs.minifer(*command.split(), "--help").out
    owed = {kind for words, kind in OWED.items() if words in help_text}
    assert owed <= set(WALK[command])


@pytest.mark.parametrize("command", LEAVES)
def test_every_command_explains_itself_and_refuses_unknown_options(command):
    outcome = runs.minifer(*command.split(), "--help")
    assert outcome.code == 0 and outcome.err == ""
    assert outcome.out.startswith("usage: ") and len(outcome.out.splitlines()) > 5
    outcome = runs.minifer(*command.split(), "--no-such-option")
    assert outcome.code == 2 and outcome.out == ""
    assert len(outcome.err.splitlines()) == 1 and "See --help." in outcome.err


def test_no_row_is_for_a_command_that_is_gone():
    assert {command.split()[0] for command in WALK} == set(COMMANDS)


def test_every_command_is_in_one_group_and_in_the_help():
    grouped = [name for names in GROUPS.values() for name in names]
    assert len(grouped) == len(set(grouped)) and set(COMMANDS) <= set(grouped)
    text = runs.minifer("--help").out
    for name, says in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(says)}$", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 88


@pytest.mark.parametrize("words", [(), ("--no-such",), ("dragons",), ("train-ck",)])
def test_no_command(words):
    outcome = runs.minifer(*words)
    assert outcome.code == 2 and outcome.out == ""
    line, = outcome.err.splitlines()
    assert line.startswith("minifer: error: ")
