"""Networks of minifer.models elsewhere; tests/helpers/onnx_models.py has the rest."""

import pytest

pytest.importorskip("onnx", reason="it is not installed: pip install minifer[onnx]")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from helpers import onnx_models  # noqa: E402


@pytest.mark.parametrize("name", ["pretrained", "r1", "small_resnet", "nin_cifar10"])
def test_the_same_in_onnx_runtime_in_minifer_and_in_opencv(name):
    row = onnx_models.differences(name)
    assert max(row[where] for where in ("ONNX Runtime", "read back", "OpenCV")) < 1e-5
