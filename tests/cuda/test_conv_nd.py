"""Convolution in groups, dilated, transposed, of one to three axes, on a device."""

import numpy as np
import pytest

from helpers import reference_windows
from helpers.checking import check_op, normal
from helpers.devices import DEVICES, on_device
from minifer.cuda import depthwise, unfold
from minifer.device.arrays import to_device, to_host
from minifer.errors import KernelError
from minifer.ops import by_columns, unfold as host
from minifer.ops.conv_nd import (conv_backward, conv_forward, transposed_conv_backward,
                                 transposed_conv_forward)

pytestmark = pytest.mark.parametrize("device", DEVICES)


@pytest.mark.parametrize("x_shape, W_shape, options", [
    pytest.param((2, 2, 9), (3, 2, 2), dict(stride=(3,), pad=(2,)), id="one axis"),
    pytest.param((1, 2, 4, 5, 6), (2, 2, 2, 3, 2), dict(
        stride=(2, 1, 3), pad=(1, 0, 2), dilation=(1, 2, 1)), id="three axes"),
    pytest.param((2, 4, 5, 6), (6, 2, 3, 2), dict(groups=2, pad=(1, 0)), id="groups"),
    pytest.param((2, 3, 9, 6), (6, 1, 3, 2), dict(groups=3, pad=(1, 0), stride=(2, 1)),
                 id="depthwise"),
    pytest.param((1, 2, 6, 3, 4), (2, 1, 2, 2, 3), dict(
        groups=2, pad=(1, 1, 0), dilation=(2, 1, 1)), id="depthwise, three axes"),
    pytest.param((1, 1, 8, 5), (6, 1, 3, 3), {}, id="one channel, many filters"),
    pytest.param((1, 2, 8, 9), (3, 2, 3, 2), dict(dilation=(2, 3), stride=(2, 1)),
                 id="dilated"),
    pytest.param((2, 4, 4, 3), (6, 2, 1, 1), dict(groups=2), id="one pixel"),
    pytest.param((3, 2, 13, 11), (2, 2, 3, 3), dict(pad=(1, 1)), id="several blocks")])
def test_conv(x_shape, W_shape, options, device):
    check_op(*on_device(conv_forward, conv_backward, device),
             [normal(x_shape, 1), normal(W_shape, 2), normal(W_shape[:1], 3)],
             reference_windows.conv_nd, **options)


@pytest.mark.parametrize("x_shape, W_shape, options", [
    pytest.param((2, 2, 4, 3), (2, 2, 3, 4), dict(stride=(2, 3), crop=(1, 2)),
                 id="plain"),
    pytest.param((1, 2, 4, 3), (2, 2, 3, 3), dict(
        stride=(3, 2), crop=(1, 0), output_size=(12, 8)), id="larger output"),
    pytest.param((1, 4, 2, 3, 2), (4, 2, 2, 2, 1), dict(groups=2), id="three axes"),
    pytest.param((2, 3, 5, 3), (3, 1, 3, 2), dict(groups=3, stride=(2, 1)),
                 id="depthwise")])
def test_transposed(x_shape, W_shape, options, device):
    F = W_shape[1] * options.get("groups", 1)
    check_op(*on_device(transposed_conv_forward, transposed_conv_backward, device),
             [normal(x_shape, 1), normal(W_shape, 2), normal((F,), 3)],
             reference_windows.transposed_conv_nd, **options)


def test_columns_are_those_of_the_host(device):
    geometry = host.Geometry((2, 3), (2, 1), (1, 0), (1, 2))
    x = normal((3, 2, 6, 7), 1)
    counts = geometry.counts(x.shape[2:])
    columns = unfold.unfold(to_device(x, device), geometry, counts)
    np.testing.assert_array_equal(to_host(columns), host.unfold(x, geometry, counts))
    back, dx = np.empty_like(x), to_device(x, device)
    host.fold(to_host(columns), geometry, back)
    unfold.fold(columns, geometry, dx)
    np.testing.assert_allclose(to_host(dx), back, rtol=1e-12)


def test_a_batch_may_be_worked_on_in_parts(device, monkeypatch):
    monkeypatch.setattr(by_columns, "DEVICE_BYTES", 2000)
    check_op(*on_device(conv_forward, conv_backward, device),
             [normal((5, 4, 4, 3), 1), normal((2, 2, 2, 3), 2), None],
             reference_windows.conv_nd, groups=2)


def test_what_does_not_fit_is_refused(device):
    geometry = host.Geometry((2, 2), (1, 1), (0, 0), (1, 1))
    x, W = (to_device(normal(shape), device) for shape in ((1, 2, 4, 4), (2, 1, 2, 2)))
    with pytest.raises(KernelError, match="depthwise_input_gradient: expected dy of"):
        depthwise.input_gradient(x, W, geometry, (2, 2, 5, 5))
    with pytest.raises(KernelError, match="kernel fold: expected dx contiguous"):
        columns = unfold.unfold(x, geometry, (3, 3))
        unfold.fold(columns, geometry, x.transpose(0, 1, 3, 2))
