"""Networks of minifer.models elsewhere; tests/helpers/onnx_models.py has the rest."""

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx", reason="it is not installed: pip install minifer[onnx]")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from helpers import onnx_models  # noqa: E402
from minifer import layers  # noqa: E402
from minifer.foreign.onnx.writing.model import to_onnx  # noqa: E402


@pytest.mark.parametrize("name", ["pretrained", "r1", "small_resnet", "nin_cifar10"])
def test_the_same_in_onnx_runtime_in_minifer_and_in_opencv(name):
    row = onnx_models.differences(name)
    assert max(row[where] for where in ("ONNX Runtime", "read back", "OpenCV")) < 1e-5


@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize("mode", ["max", "average_inc_pad", "average_exc_pad"])
def test_pools_in_opencv(mode, pad):
    """It reads AveragePool, and leaves the padding out whatever the graph says."""
    network = layers.Pool2DLayer(layers.InputLayer((None, 2, 7, 8)), 3, 2, pad=pad,
                                 mode=mode)
    x = np.random.default_rng(0).normal(size=(3, 2, 7, 8)).astype(np.float32)
    found = onnx_models.in_opencv(to_onnx(network).SerializeToString(), x)
    np.testing.assert_allclose(found, layers.get_output(network, x), rtol=1e-5,
                               atol=1e-6)


@pytest.mark.skipif(cv2.__version__ < "4.11", reason="OpenCV 4.10 refuses all LSTMs")
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("only_return_final", [False, True])
def test_long_short_term_memory_in_opencv(backwards, only_return_final):
    """It takes the last step of a reverse LSTM for its last state."""
    network = layers.LSTMLayer(
        layers.InputLayer((None, 4, 3)), 5, peepholes=False, backwards=backwards,
        only_return_final=only_return_final)
    x = np.random.default_rng(0).normal(size=(1, 4, 3)).astype(np.float32)
    found = onnx_models.in_opencv(to_onnx(network).SerializeToString(), x)
    np.testing.assert_allclose(found, layers.get_output(network, x), rtol=1e-5,
                               atol=1e-6)
