"""Samples on disk: stored once, split by subject, mixed by shares, never a pickle."""

import dataclasses
import os
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.checking import RANDOM_SHAPES
from minifer.data import (SOFT_CLASSES, Dataset, SplitDataset, join, load_samples, ramp,
                          save_samples)
from minifer.data.readers import samples as samples_file
from minifer.errors import DatasetError, LeakageWarning, OutputError, SettingError


def made_up(people=10, frames=5, side=8, prefix="S", seed=0):
    """Every person shows three emotions, each in a ramp."""
    rng = np.random.default_rng(seed)
    columns = {"targets": [], "subjects": [], "sequences": []}
    for person in range(people):
        for emotion in ("anger", "fear", "surprise"):
            columns["targets"] += list(ramp(frames, emotion))
            columns["subjects"] += [f"{prefix}{person:03d}"] * frames
            columns["sequences"] += [f"{prefix}{person:03d}_{emotion}"] * frames
    targets = np.array(columns["targets"])
    images = rng.integers(0, 256, (len(targets), 1, side, side), dtype=np.uint8)
    return SplitDataset(images, targets.argmax(axis=1), SOFT_CLASSES,
                        columns["subjects"], columns["sequences"],
                        [str(i) for i in range(len(images))], targets=targets)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    root = tmp_path_factory.mktemp("samples")
    ck, google = made_up(), made_up(prefix="G", seed=1)
    google = google.subset(np.arange(60))
    return root, ck, google, save_samples(ck, root / "ck"), save_samples(
        google, root / "google")


def rows_of(data):
    """Everything that must survive, an entry a sample, in any order."""
    return sorted((image.tobytes(), target.tobytes(), str(subject), str(sequence))
                  for image, target, subject, sequence in zip(
                      data.images, data.targets, data.subjects, data.sequences))


def test_samples_come_back_and_are_split_by_subject(stored):
    root, ck, google, ck_counts, google_counts = stored
    train, test = load_samples(root)
    assert rows_of(train) + rows_of(test) != []
    assert sorted(rows_of(train) + rows_of(test)) == sorted(
        rows_of(ck) + rows_of(google))
    assert ck_counts == (120, 30) and google_counts == (45, 15)
    assert len(train) == 165 and len(test) == 45
    assert not set(train.subjects) & set(test.subjects)
    assert set(train.usage) == {"train"} and set(test.usage) == {"test"}
    assert sum(name.endswith(".npy") for name in os.listdir(root / "ck")) == 120
    assert len(os.listdir(root / "ck" / "test")) == 30


def test_no_sample_is_a_pickle(stored):
    path = next((stored[0] / "ck").glob("*.npy"))
    record = np.load(path, allow_pickle=False)
    assert record["image"].shape == (8, 8) and record["target"].shape == (8,)


@pytest.mark.parametrize("ck, google, counts", [
    (1, 1, (120, 45)), (0.5, 1, (60, 45)), (0, 1, (0, 45)), (1, 0.2, (120, 9)),
    (0.1, 0.1, (12, 4))])
def test_the_two_fractions(stored, ck, google, counts):
    train, test = load_samples(stored[0], google_train_split=google, ck_train_split=ck)
    from_ck = np.char.startswith(train.subjects, "S")
    assert (from_ck.sum(), (~from_ck).sum()) == counts
    assert len(test) == 45  # the same for every mixture


def test_shares_are_seeded_and_grow(stored):
    draws = {(share, seed): set(load_samples(stored[0], ck_train_split=share, seed=seed,
                                             google_train_split=1 - share)[0].paths)
             for share in (0.2, 0.6) for seed in (0, 0, 1)}
    ck = {key: {path for path in paths if "/ck/" in path}
          for key, paths in draws.items()}
    assert ck[0.2, 0] < ck[0.6, 0] and len(ck[0.2, 0]) == 24
    assert ck[0.6, 0] != ck[0.6, 1]
    again, _ = load_samples(stored[0], ck_train_split=0.2, google_train_split=0.8)
    assert set(again.paths) == draws[0.2, 0]


def test_the_split_is_repeatable(tmp_path):
    data = made_up(people=6, frames=2, side=2)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        save_samples(data, tmp_path / name, seed=seed)
    tests = [sorted(os.listdir(tmp_path / name / "test")) for name in "abc"]
    assert tests[0] == tests[1] != tests[2]


def test_a_folder_in_use_is_left_alone(tmp_path):
    data = made_up(people=3, frames=2, side=2)
    (tmp_path / "ck").mkdir()
    (tmp_path / "ck" / "mine.txt").write_text("mine")
    with pytest.raises(DatasetError, match="expected an empty folder or none"):
        save_samples(data, tmp_path / "ck")
    assert os.listdir(tmp_path / "ck") == ["mine.txt"]
    (tmp_path / "ck" / "mine.txt").unlink()
    save_samples(data, f"{tmp_path}/ck/", test=0.4)
    assert os.listdir(tmp_path) == ["ck"]


def test_an_interrupted_store_leaves_nothing(tmp_path, monkeypatch):
    written = []

    def write_three(path, data):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path)
        with open(path, "wb") as file:
            file.write(data)

    monkeypatch.setattr(samples_file, "write_bytes", write_three)
    with pytest.raises(KeyboardInterrupt):
        save_samples(made_up(people=3, frames=2, side=2), tmp_path / "ck", test=0.4)
    assert len(written) == 3 and os.listdir(tmp_path) == []


def test_what_storing_refuses(tmp_path):
    data = made_up(people=3, frames=2, side=2)
    for share in (0, 1, -0.2, "a", float("nan")):
        with pytest.raises(SettingError, match="test: expected a share above 0"):
            save_samples(data, tmp_path / "ck", test=share)
    with pytest.raises(SettingError, match="seed"):
        save_samples(data, tmp_path / "ck", seed=-1)
    other = SplitDataset(data.images, [0] * 18, ("a", "b"), data.subjects,
                         data.sequences, data.paths)
    with pytest.raises(DatasetError, match="expected the classes neutral, .* got a, b"):
        save_samples(other, tmp_path / "ck")
    with pytest.raises(DatasetError, match="has 1 subject, a split into 2 parts"):
        save_samples(data.subset(np.arange(6)), tmp_path / "ck")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file: expected a folder that can be"):
        save_samples(data, tmp_path / "file" / "ck", test=0.4)
    assert os.listdir(tmp_path) == ["file"]


def test_what_loading_refuses(tmp_path, stored):
    with pytest.raises(DatasetError, match="folders ck or google with samples, found"):
        load_samples(tmp_path)
    for name in ("google_train_split", "ck_train_split"):
        for share in (-0.1, 1.1, "a", None, float("nan")):
            with pytest.raises(SettingError, match=f"{name}: expected a share from 0"):
                load_samples(stored[0], **{name: share})
    with pytest.raises(SettingError, match="nothing to train on"):
        load_samples(stored[0], 0, 0)
    shutil.copytree(stored[0] / "ck", tmp_path / "ck")
    train, _ = load_samples(tmp_path)  # one set alone is enough
    assert len(train) == 120
    shutil.rmtree(tmp_path / "ck" / "test")
    with pytest.raises(DatasetError, match="test: expected a folder"):
        load_samples(tmp_path)
    (tmp_path / "ck" / "test").mkdir()
    with pytest.raises(DatasetError, match="expected .npy samples, found none"):
        load_samples(tmp_path)


class Bomb:
    """Unpickling it makes a folder: harmless, but seen."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def record(image="u1", side=(8, 8), vector=8, target=None, subject="S1"):
    kind = [("image", image, side), ("target", "<f4", (vector,)),
            ("subject", "<U9"), ("sequence", "<U9")]
    target = np.eye(vector)[1] if target is None else target
    return np.array((np.zeros(side), target, subject, "q"), kind)


@pytest.mark.parametrize("content, message", [
    (record(image="f4"), "got an image"), (record(side=(8, 6)), "got an image"),
    (record(side=(64,)), "got an image"), (record(vector=7), "and a vector"),
    (record(side=(9, 9)), r"expected an image \(8, 8\) as in"),
    (record(target=np.full(8, .5)), "not shares with sum 1"),
    (record(target=[np.nan] * 8), "not shares with sum 1"),
    (np.zeros((8, 8), np.uint8), r"an array of shape \(8, 8\)"),
    (np.zeros(3, record().dtype), r"an array of shape \(3,\)"),
    (record()["image"], "array of shape"),
])
def test_samples_of_another_kind(tmp_path, stored, content, message):
    shutil.copytree(stored[0] / "ck", tmp_path / "ck")
    np.save(tmp_path / "ck" / "zz.npy", content, allow_pickle=False)
    with pytest.raises(DatasetError, match=f"zz.npy: .*{message}") as error:
        load_samples(tmp_path)
    assert "\n" not in str(error.value)


def test_a_pickle_is_refused_unread(tmp_path, stored):
    shutil.copytree(stored[0] / "ck", tmp_path / "ck")
    bomb = np.array([Bomb(tmp_path / "exploded")], dtype=object)
    np.save(tmp_path / "ck" / "test" / "zz.npy", bomb, allow_pickle=True)
    with pytest.raises(DatasetError, match="zz.npy: .*pickled objects, which could r"):
        load_samples(tmp_path)
    assert not (tmp_path / "exploded").exists()
    np.load(tmp_path / "ck" / "test" / "zz.npy", allow_pickle=True)
    assert (tmp_path / "exploded").exists()  # so it was a real one


@settings(RANDOM_SHAPES, max_examples=200)
@given(st.data())
def test_a_damaged_sample_is_refused_or_read_never_a_crash(tmp_path_factory, stored,
                                                           data):
    whole = next((stored[0] / "ck").glob("*.npy")).read_bytes()
    path = tmp_path_factory.getbasetemp() / "damaged.npy"
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 3))):
        damaged[data.draw(st.integers(0, 200))] = data.draw(
            st.sampled_from(b"\0\xff()[]{}',<|OVUf18 \n\"#"))
    path.write_bytes(damaged)
    try:
        samples_file._unpack(str(path))
    except DatasetError as error:
        assert "damaged.npy: expected a sample" in str(error)


def test_letters_that_are_none_are_refused(tmp_path):
    """Text is stored as four bytes a letter, which need not be one."""
    content = record(subject="S1")
    for number in 0x110000, 0xd800:
        letters = content.tobytes().replace(b"S\0\0\0", number.to_bytes(4, "little"))
        np.save(tmp_path / "s.npy", np.frombuffer(letters, content.dtype)[0])
        with pytest.raises(DatasetError, match="s.npy: expected a sample"):
            samples_file._unpack(str(tmp_path / "s.npy"))


@pytest.mark.parametrize("length", [0, 3, 8, 60, 200, -1])
def test_a_cut_sample_is_refused(tmp_path, stored, length):
    whole = next((stored[0] / "ck").glob("*.npy")).read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:length])
    with pytest.raises(DatasetError, match="cut.npy: expected a sample"):
        samples_file._unpack(str(tmp_path / "cut.npy"))


def test_a_subject_on_both_sides_is_told(tmp_path, stored):
    shutil.copytree(stored[0] / "ck", tmp_path / "ck")
    path = next((tmp_path / "ck").glob("*.npy"))
    shutil.copy(path, tmp_path / "ck" / "test" / "copy.npy")
    with pytest.warns(LeakageWarning, match="ck: 1 subjects are in training and in"):
        load_samples(tmp_path)


# --- put together ------------------------------------------------------------

def test_data_sets_are_joined_one_behind_the_other():
    one, two = made_up(people=2), made_up(people=1, prefix="G", seed=1)
    both = join([one, two])
    assert len(both) == 45 and both.classes == SOFT_CLASSES
    assert rows_of(both.subset(np.arange(30))) == rows_of(one)
    assert rows_of(both.subset(np.arange(30, 45))) == rows_of(two)


def test_joining_keeps_parts_and_notes(stored):
    train, test = load_samples(stored[0])
    both = join((train, test))
    assert len(both.part("train")) == len(train) and len(both.part("test")) == len(test)
    noted = dataclasses.replace(train, notes={"no_face": ["a.png"]})
    assert join([noted, test]).notes == {"no_face": ["a.png"]}


def test_data_sets_without_parts_are_joined_too():
    split = made_up(people=1)
    plain = Dataset(split.images, split.labels, split.classes, split.subjects,
                    split.sequences, split.paths)
    for pair in ([plain, plain], [split, plain]):
        both = join(pair)
        assert type(both) is Dataset and len(both) == 2 * len(split)


OTHER = SplitDataset(np.zeros((1, 1, 8, 8), np.uint8), [0], ("a",), *[["b"]] * 3)


@pytest.mark.parametrize("others", [
    [], [made_up(1), made_up(1, side=9)], [made_up(1), OTHER]],
    ids=["none", "size", "classes"])
def test_what_does_not_belong_together_is_not_joined(others):
    with pytest.raises(DatasetError, match="same classes and size"):
        join(others)
