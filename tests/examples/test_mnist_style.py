"""examples/mnist_style.py: Lasagne's loop, whole, on a few drawn faces."""

import ast

import numpy as np
import pytest

from helpers import runs
from minifer import layers


@pytest.fixture(scope="module")
def script():
    return runs.example("mnist_style")


def test_it_learns_and_its_weights_can_be_loaded(script, tmp_path, capsys):
    right = script.main(epochs=12, subjects=15, out=str(tmp_path))
    *_, last, test, saved = capsys.readouterr().out.splitlines()
    assert last.startswith("epoch 12 of 12") and "accuracy" in test
    assert saved == f"{tmp_path / 'model.npz'} holds the weights."
    assert right > 0.6  # by chance a third
    losses = float(last.split("training loss ")[1].split(",")[0])
    assert losses < 0.8  # log(3) = 1.1 at the beginning
    with np.load(tmp_path / "model.npz") as file:
        values = [file[f"arr_{i}"] for i in range(len(file.files))]
    network = script.build_network(None)
    layers.set_all_param_values(network, values)
    assert len(values) == 8


def test_minibatches_hold_every_image_once(script):
    x, y = np.arange(10.), np.arange(10)
    plain = list(script.iterate_minibatches(x, y, 4))
    assert [len(labels) for _, labels in plain] == [4, 4, 2]
    mixed = list(script.iterate_minibatches(x, y, 4, np.random.default_rng(0)))
    for batches in plain, mixed:
        images, labels = (np.concatenate(one) for one in zip(*batches))
        assert np.array_equal(images, labels) and sorted(labels) == list(range(10))
    assert not np.array_equal(np.concatenate([one for _, one in mixed]), y)


def test_the_three_imports_are_a_lasagne_script_s():
    tree = ast.parse((runs.EXAMPLES / "mnist_style.py").read_text("utf-8"))
    names = {(one.name, one.asname) for node in tree.body
             if isinstance(node, ast.Import) for one in node.names}
    assert names >= {("minifer", "lasagne"), ("minifer", "theano"),
                     ("minifer.tensor", "T")}
