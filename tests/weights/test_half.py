"""Model files of 16-bit floats."""

import numpy as np
import pytest

from helpers import runs
from minifer import layers
from minifer.errors import WeightsError
from minifer.weights.model_file import load_model, save_model


def test_half_precision_is_half_as_large_and_comes_back_as_floats(tmp_path):
    model = runs.model(runs.network(units=256))
    save_model(tmp_path / "whole.npz", model)
    save_model(tmp_path / "half.npz", model, dtype=np.float16)
    sizes = [(tmp_path / f"{name}.npz").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < .6 * sizes[1]
    back = layers.get_all_param_values(load_model(tmp_path / "half.npz").network)
    for ours, half in zip(layers.get_all_param_values(model.network), back):
        assert half.dtype == ours.dtype
        np.testing.assert_allclose(half, ours, rtol=1 / 2048, atol=1e-7)


def test_what_is_too_large_for_half_precision_is_refused(tmp_path):
    net = runs.network()
    net.b.set_value(np.array([0, 1e5, 0], np.float32))
    with pytest.raises(WeightsError, match="finite numbers of float16"):
        save_model(tmp_path / "half.npz", runs.model(net), dtype=np.float16)
    assert not list(tmp_path.iterdir())
