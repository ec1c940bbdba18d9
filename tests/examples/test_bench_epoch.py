"""The bench's whole epochs: what is timed, what is reported, and what is refused."""

import argparse
import json

import numpy as np
import pytest

from helpers import runs
from minifer.errors import DatasetError


@pytest.fixture(scope="module")
def epoch():
    """The part of the example as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(runs.EXAMPLES / "bench"))
        yield runs.example("bench/epoch")


@pytest.fixture(scope="module")
def faces(epoch, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("faces") / "faces.npz")
    epoch.write_faces(path, None, 22)
    return path


def contender(epoch, kind, config, faces, net="mlp"):
    """One that has been built, of 18 images in batches of up to 8."""
    args = argparse.Namespace(net=net, batch=8, threads=1, data=faces,
                              only=[*kind.kinds])
    made = kind(args, config, None)
    made.build()
    return made


def test_drawn_faces_repeat_themselves(faces):
    with np.load(faces) as arrays:
        assert arrays["images"].shape == (22, 1, 48, 48)
        assert arrays["images"].dtype == np.uint8 and arrays["images"].std() > 20
        assert set(arrays["labels"]) <= set(range(7))


def test_faces_of_a_folder_are_those_that_train(epoch, tmp_path):
    runs.write_fer(tmp_path / "fer", training=4, test=3)
    path = str(tmp_path / "faces.npz")
    epoch.write_faces(path, str(tmp_path / "fer"), None)
    with np.load(path) as arrays:
        assert len(arrays["images"]) == len(arrays["labels"]) == 7 * 4


def test_faces_that_nothing_can_learn_from_are_refused(epoch, tmp_path):
    runs.write_fer(tmp_path / "fer", training=1, test=1)
    with pytest.raises(DatasetError, match="expected two or more grey images of 48"):
        epoch.write_faces(str(tmp_path / "faces.npz"), str(tmp_path / "fer"), 1)


def test_an_epoch_trains_validates_and_saves(epoch, faces, monkeypatch):
    """And its steps alone are as many, of the same sizes."""
    made = contender(epoch, epoch.MiniferEpochs, "compiled", faces)
    sizes, steps = [], made.trainer.functions.train.queue
    monkeypatch.setattr(made.trainer.functions.train, "queue",
                        lambda x, y: sizes.append(len(x)) or steps(x, y))
    assert [len(one) for one in (made.faces, *made.valid)] == [18, 4, 4]
    before = made.trainer.predict(made.faces)
    assert min(made.epoch(1)["seconds"]) > 0 and sizes == [6, 6, 6]
    made.steps(1)
    assert sizes[3:] == sizes[:3]
    assert np.abs(made.trainer.predict(made.faces) - before).max() > 1e-4
    with np.load(made.folder + "/checkpoint.npz") as saved:
        assert saved.files


def test_pytorch_changes_images_as_much(epoch):
    """Its turned, shifted and zoomed images differ, and stay within their greys."""
    torch = pytest.importorskip("torch")
    x = torch.rand(6, 1, 48, 48) - 0.5
    one, other = epoch.changed(torch, x), epoch.changed(torch, x)
    assert one.shape == x.shape and one.abs().max() < 1
    assert (one - x).abs().mean() > .01 and (one - other).abs().mean() > .01


def test_pytorchs_epoch_runs(epoch, faces):
    pytest.importorskip("torch")
    made = contender(epoch, epoch.TorchEpochs, "channels_last, 1 worker", faces)
    assert made.epoch(1)["seconds"][0] > 0 and made.steps(1)["seconds"][0] > 0
    assert made.predict().shape == (8, 7)


def test_the_report_compares_epochs_and_steps(epoch):
    args = argparse.Namespace(net="six-bn", threads=2)

    def result(epochs, steps):
        return {"epoch": epochs, "steps": steps, "images": 100, "peak_mb": 50.2,
                "output_difference": 0.0}

    report = epoch.summarise(args, {
        ("minifer", "compiled", 64): result([1.1, 2.4, 1.1], [1.0, 2.0, 1.0]),
        ("torch", "channels_last, 1 worker", 64): result([4.0], [2.0]),
        ("torch", "channels_last, 2 workers", 64): result([2.2], [2.0])}, 3)
    assert report["epoch_ratio"] == 2
    assert [row["epoch_over_steps"] for row in report["rows"]] == [1.1, 2, 1.1]
    assert report["rows"][0]["epoch_images_per_s"] == pytest.approx(90.9)
    text = epoch.table(report)
    assert "epoch of six-bn: 100 images" in text and "epoch_ratio 2" in text
    assert "10.0%" in text and "100.0%" in text


def test_from_the_command_line(epoch, tmp_path):
    outcome = runs.process(
        runs.EXAMPLES / "bench" / "bench.py", "--epoch", "--net", "mlp", "--images", 10,
        "--batch", 4, "--rounds", 1, "--steps", 1, "--threads", 1, "--out",
        tmp_path / "bench.json", PYTHONPATH=str(runs.TESTS.parent))
    assert outcome.code == 0, outcome.err
    report = json.loads((tmp_path / "bench.json").read_text("utf-8"))
    row, = report["rows"]
    assert row["who"] == "minifer" and row["images"] == 8 and row["steps_s"] > 0
    assert "its steps alone" in outcome.out


@pytest.mark.parametrize("words, told", [
    (["--epoch", "--net", "ck96"], "six-bn"), (["--epoch", "--device", "emu"], "emu"),
    (["--epoch", "--only", "train"], "--only of epoch, steps"),
    (["--epoch", "--only", "epoch"], "an epoch and its steps"),
    (["--only", "epoch"], "--only of train, infer"), (["--images", 5], "with --epoch"),
    (["--data", "x"], "with --epoch"), (["--epoch", "--images", 1], "--images >= 2")])
def test_what_does_not_fit_together_is_refused(epoch, words, told):
    outcome = runs.command("bench/bench", *words)
    assert outcome.code == 2 and outcome.out == "" and told in outcome.err
