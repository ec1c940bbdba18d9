"""Files that minifer 0.1.0 wrote, before its modules moved, open and go on.

``files/`` holds a model, ``np.savez`` of a network's values, a checkpoint after two of
four epochs, and what that version computed from them.
"""

import json
import pathlib
import shutil

import numpy as np
import pytest

from helpers.tolerances import assert_close
from minifer import layers, nonlinearities, updates
from minifer.errors import ResumeWarning
from minifer.training import Trainer, schedules
from minifer.weights import load_model, load_params

FILES = pathlib.Path(__file__).parent / "files"
EXPECTED = json.loads((FILES / "expected.json").read_text("utf-8"))
X = (np.arange(12 * 64) * 37 % 101 / 101).astype(np.float32).reshape(12, 1, 8, 8)
Y = np.arange(12) % 3


def network():
    net = layers.InputLayer((None, 1, 8, 8))
    net = layers.batch_norm(layers.Conv2DLayer(net, 4, 3))
    net = layers.MaxPool2DLayer(net, 2)
    net = layers.DropoutLayer(net, 0.25, name="drop")
    return layers.DenseLayer(net, 3, nonlinearity=nonlinearities.softmax)


def test_a_model_file_opens():
    model = load_model(str(FILES / "model.npz"))
    assert model.classes == ("anger", "fear", "happiness")
    assert_close(layers.get_output(model.network, X[:2], deterministic=True),
                 EXPECTED["model"], "reference", "float32", "the saved model")


def test_values_load_by_position():
    net = network()
    load_params(str(FILES / "values.npz"), net)
    assert_close(layers.get_output(net, X[:2], deterministic=True),
                 EXPECTED["values"], "reference", "float32", "the saved values")


def test_a_checkpoint_is_continued(tmp_path):
    shutil.copy(FILES / "checkpoint.npz", tmp_path)
    trainer = Trainer(network(), update=updates.adam, learning_rate=0.01, batch_size=5,
                      seed=3, schedule=schedules.quarters, flip=True)
    with pytest.warns(ResumeWarning, match="did not note"):
        result = trainer.fit(X, Y, valid=(X, Y), epochs=4, folder=str(tmp_path),
                             resume=True)
    assert_close([row["train_loss"] for row in result.history], EXPECTED["losses"],
                 "gradient", "float32", "the losses of four epochs")
