"""minifer export: a model for another program."""

import numpy as np
import pytest

from helpers import runs
from minifer import layers
from minifer.weights.model_file import load_model, save_model

pytest.importorskip("onnx", reason="it is not installed: pip install minifer[onnx]")


@pytest.fixture
def model(tmp_path):
    save_model(tmp_path / "model.npz", runs.model(runs.network(), protocol="as told"))
    return tmp_path / "model.npz"


def test_onnx(model, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="it is not installed")
    target = tmp_path / "new" / "model.onnx"
    outcome = runs.minifer("export", model, target)
    assert outcome.code == 0 and "It takes numbers" in outcome.out
    session = runtime.InferenceSession(target, providers=["CPUExecutionProvider"])
    network = load_model(model).network
    x = np.random.default_rng(0).normal(size=(2, *layers.get_all_layers(network)[
        0].shape[1:])).astype(np.float32)
    found, = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(found, layers.get_output(
        network, x, deterministic=True), atol=1e-5)
    assert session.get_modelmeta().custom_metadata_map["notes"] == (
        '{"protocol": "as told"}')


def test_onnx_with_preprocessing(model, tmp_path):
    outcome = runs.minifer("export", model, tmp_path / "m.ONNX", "--preprocessing")
    assert outcome.code == 0 and "It takes pixels" in outcome.out


def test_what_has_no_form_leaves_no_file(tmp_path):
    x = layers.InputLayer((None, 1, 8, 8))
    dense = layers.DenseLayer(x, 4)
    network = layers.DenseLayer(layers.InverseLayer(dense, dense, name="back"), 3)
    save_model(tmp_path / "model.npz", runs.model(network))
    outcome = runs.minifer("export", tmp_path / "model.npz", tmp_path / "m.onnx")
    assert outcome.code == 2 and "InverseLayer 'back': expected" in outcome.err
    assert len(outcome.err.splitlines()) == 1 and not (tmp_path / "m.onnx").exists()
