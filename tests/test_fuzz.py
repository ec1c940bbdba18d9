"""The fuzzer and the load test see what they look for, and damage as they mean to."""

import contextlib
import hashlib
import io
import json
import random
import re
import subprocess
import sys
import zipfile
import zlib
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from fuzz import formats, load, mutations
from helpers.runs import TESTS, environment
from helpers.torch_bytes import write
from minifer.faces.images import encode_png

SEEDS = range(30)


def script(path, *words):
    """Run a script to its end; its exit code and what it printed."""
    done = subprocess.run([sys.executable, str(TESTS / path), *words], text=True,
                          capture_output=True, timeout=120, env=environment())
    return done.returncode, done.stdout, done.stderr


def counts(table):
    """Reader -> column -> number."""
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")]
                        for line in table.splitlines() if line.startswith("|")]
    return {row[0]: dict(zip(header[1:], map(int, row[1:]))) for row in rows}


# --- what is looked for is seen ------------------------------------------------

def test_planted_faults_are_seen_and_rerun():
    code, out, err = script("helpers/planted_readers.py", "--cases", "14", "--seconds",
                            "2", "--memory", "64")
    assert code == 1, err
    found = {name: {column for column, n in row.items() if n and column != "tried"}
             for name, row in counts(out).items()}
    same = ("clear", "vague", "numbers", "structure", "outside", "wrong", "traceback",
            "hang", "memory", "crash")
    assert {name: found[name] for name in same} == {name: {name} for name in same}
    assert found["two lines"] == {"vague"} and found["noise"] == {"clear", "noise"}
    assert found["exit"] == {"traceback"} and found["no memory"] == {"memory"}
    words = re.search(r'--only "(wrong)" --case (\d+)', out)
    code, out, _ = script("helpers/planted_readers.py", "--only", words[1], "--case",
                          words[2])
    assert (code, out.splitlines()[:2]) == (1, ["verdict: wrong", "text: NaN"])


def test_readers_go_through():
    words = [word for name in ("safetensors", "PNG", "CK+ emotion", "drawn faces")
             for word in ("--only", name)]
    code, out, err = script("fuzz", "--cases", "24", *words)
    assert code == 0, out + err
    rows = counts(out)
    assert rows["all"]["tried"] == 24 and rows["all"]["clear"] > 5
    assert all(row["tried"] == sum(n for name, n in row.items()
                                   if name not in ("tried", "noise"))
               for row in rows.values())


def test_load_compares_every_answer():
    code, out, err = script("fuzz/load.py", "--seconds", "1", "--processes", "2",
                            "--threads", "2")
    answers, _, wrong, errors, hanging, died = map(int, re.search(
        r"\n\| (\d[^\n]*) \|\n", out)[1].replace(",", "").split(" | "))
    assert answers > 4 and (wrong, errors, hanging, died) == (0, 0, 0, 0), out + err


def test_load_sees_wrong_answers_and_errors(tmp_path):
    load.make(tmp_path)
    heard = []
    load.work(tmp_path, {"1 crops": "other", "no question": ""}, .3, 2, 0,
              SimpleNamespace(send=heard.append))
    (counts, wrong, errors, hanging, marks), = heard
    assert wrong["1 crops"] == counts["1 crops"] > 0 == hanging and len(marks) == 4
    assert set(errors) == {"no question: KeyError: 'no question'"}
    args = SimpleNamespace(processes=1, threads=2, seconds=.3, command="")
    for bad in (heard, [None]):
        assert load.report(bad, 2, args)[1] is False
    fine = counts, Counter(), [], 0, [(100, 100)] * 3 + [(100, 105)]
    grown = *fine[:4], [(100, 100)] * 3 + [(100, 130)]
    assert load.report([fine], 2, args)[1] and not load.report([grown], 2, args)[1]


# --- damage reaches the reader ------------------------------------------------

def valid_archive():
    file = io.BytesIO()
    np.savez(file, np.arange(6.).reshape(2, 3), np.arange(4))
    return file.getvalue()


def test_the_same_seed_damages_alike(monkeypatch):
    monkeypatch.setattr(formats, "BOMB", 1)
    data = valid_archive()
    one, same = [[formats.damage(random.Random(seed), data, "zip") for seed in SEEDS]
                 for _ in range(2)]
    assert one == same and len(set(one)) > len(SEEDS) // 2


def test_checksums_of_archives_are_right_again(monkeypatch):
    monkeypatch.setattr(formats, "BOMB", 1)
    whole = []
    for seed in SEEDS:
        try:
            with zipfile.ZipFile(io.BytesIO(
                    formats.archive(random.Random(seed), valid_archive()))) as file:
                whole.append(file.testzip() is None)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
            whole.append(False)  # headers that lie, on purpose
    assert np.mean(whole) > .7


def test_checksums_of_png_files_are_right_again():
    data = encode_png(np.full((30, 40), 7, np.uint8))
    for seed in SEEDS:
        new = formats.png(random.Random(seed), data)
        at = 8
        while at < len(new):
            length = int.from_bytes(new[at:at + 4], "big")
            content, end = new[at + 4:at + 8 + length], at + 8 + length
            assert zlib.crc32(content) == int.from_bytes(new[end:end + 4], "big")
            at = end + 4


@pytest.mark.parametrize("change, total, rest", [
    (formats.summed_behind, np.s_[-32:], np.s_[:-32]),
    (formats.summed_before, np.s_[:32], np.s_[32:])])
def test_sums_are_right_again(change, total, rest):
    file = io.BytesIO()
    np.save(file, np.arange(9))
    for seed in SEEDS:
        new = change(random.Random(seed), bytes(32) * (rest.start == 32)
                     + file.getvalue() + bytes(32) * (rest.start is None))
        assert hashlib.sha256(new[rest]).digest() == new[total]


def test_instructions_of_a_pickle_are_exchanged_whole(tmp_path):
    data = write(tmp_path / "x", {"a": np.ones(3, "<f4")}, "legacy").read_bytes()
    assert len({formats.legacy(random.Random(seed), data) for seed in SEEDS}) > 10


def test_json_is_retyped():
    whole = {"a": [1, "x"], "b": {}}
    texts = [mutations.json_text(random.Random(seed), json.dumps(whole).encode())
             for seed in SEEDS]
    kinds = set()
    for text in texts:
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            value = json.loads(text)
            kinds.add(type(value["a"] if "a" in dict(value) else value))
    assert len(kinds) > 3 and len(set(texts)) > 15
