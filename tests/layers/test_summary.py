"""The table of a network: what its layers cost, counted by hand and by other ways."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from minifer import config, init, models
from minifer.commands.gradcheck import layers as every_layer
from minifer.layers import (BatchNormLayer, ConcatLayer, Conv1DLayer, Conv2DLayer,
                            Conv3DLayer, CustomRecurrentLayer, DenseLayer,
                            DilatedConv2DLayer, DropoutLayer, ElemwiseSumLayer,
                            EmbeddingLayer, ExpressionLayer, GRULayer, InputLayer,
                            InverseLayer, LSTMLayer, Layer, LocallyConnected2DLayer,
                            MaxPool2DLayer, NINLayer, NonlinearityLayer,
                            RecurrentLayer, ReshapeLayer, TransposedConv2DLayer,
                            TransposedConv3DLayer, freeze, get_output, summary)
from minifer.layers.summaries.summary import _peak

ONES = dict(W=init.Constant(1.), b=None, nonlinearity=None)


def last(layer, input_shapes=None):
    return summary(layer, input_shapes).rows[-1]


def image(*shape):
    return InputLayer((None, *shape), name="input")


def test_a_network_counted_by_hand():
    network = Conv2DLayer(image(3, 10, 8), 4, (3, 5), pad="same", name="conv")
    network = BatchNormLayer(network, name="bn")
    network = MaxPool2DLayer(network, 2, name="pool")
    network = DenseLayer(DropoutLayer(network, name="drop"), 6, name="fc")
    found = summary(network)
    assert [(row.name, row.shape, row.parameters) for row in found.rows] == [
        ("input", (3, 10, 8), 0), ("conv", (4, 10, 8), 4 * 3 * 15 + 4),
        ("bn", (4, 10, 8), 16), ("pool", (4, 5, 4), 0), ("drop", (4, 5, 4), 0),
        ("fc", (6,), 80 * 6 + 6)]
    conv, dense = 2 * 4 * 3 * 15 * 80, 2 * 80 * 6
    assert [row.mflop for row in found.rows] == pytest.approx(
        [0, conv / 1e6, 0, 0, 0, dense / 1e6])
    assert found.mflop == pytest.approx((conv + dense) / 1e6)
    sizes = [960, 1280, 1280, 320, 320, 24]
    assert [row.nbytes for row in found.rows] == sizes
    assert found.output_bytes == sum(sizes)
    assert found.peak_bytes == 2560  # conv and bn at once
    assert (found.parameters, found.trainable, found.parameter_bytes) == (
        686, 686 - 8, 4 * 686)
    assert found.unknown == []


@pytest.mark.parametrize("layer", [
    lambda: Conv1DLayer(image(2, 9), 3, 4, stride=2, **ONES),
    lambda: Conv2DLayer(image(4, 7, 9), 6, (3, 2), stride=(1, 2), num_groups=2, **ONES),
    lambda: Conv3DLayer(image(2, 4, 5, 6), 3, (2, 3, 2), **ONES),
    lambda: DilatedConv2DLayer(image(2, 9, 8), 3, (2, 3), dilation=(3, 2), **ONES),
    lambda: TransposedConv2DLayer(image(2, 4, 3), 3, 3, stride=2, **ONES),
    lambda: TransposedConv3DLayer(image(2, 2, 3, 2), 3, 2, **ONES),
    lambda: LocallyConnected2DLayer(image(2, 6, 5), 3, 3, pad="valid", **ONES),
    lambda: LocallyConnected2DLayer(image(3, 6, 5), 3, 3, pad="valid", channelwise=True,
                                    **ONES),
    lambda: NINLayer(image(3, 4, 5), 2, **ONES),
    lambda: DenseLayer(image(3, 4, 5), 7, **ONES),
    lambda: DenseLayer(image(6, 5), 4, num_leading_axes=2, **ONES)])
def test_products_are_the_meetings_of_a_weight_and_a_number(layer):
    """Where all are 1, the sum of the output counts them."""
    layer = layer()
    x = np.ones((1, *layer.input_shape[1:]))
    assert last(layer).mflop * 1e6 == pytest.approx(2 * get_output(layer, x).sum())


def test_padded_zeros_count():
    padded = Conv2DLayer(image(2, 6, 6), 3, 3, pad=2, stride=2)
    whole = Conv2DLayer(image(2, 10, 10), 3, 3, stride=2)
    assert last(padded).mflop == last(whole).mflop == 2 * 3 * 2 * 9 * 16 / 1e6


def test_recurrent_layers_count_each_step():
    films = InputLayer((None, 5, 3))
    assert last(LSTMLayer(films, 4)).mflop == 2 * 5 * 4 * (3 * 4 + 4 * 4) / 1e6
    assert last(GRULayer(films, 4)).mflop == 2 * 5 * 3 * (3 * 4 + 4 * 4) / 1e6
    assert last(RecurrentLayer(films, 4)).mflop == 2 * 5 * (3 * 4 + 4 * 4) / 1e6
    seen = Conv2DLayer(image(1, 5, 6), 3, 3, pad="same")
    kept = Conv2DLayer(image(3, 5, 6), 3, 3, pad="same")
    images = InputLayer((None, 7, 1, 5, 6))
    assert last(CustomRecurrentLayer(images, seen, kept)).mflop == (
        2 * 7 * 30 * (27 + 81) / 1e6)


def test_layers_without_weights_cost_nothing():
    words = InputLayer((None, 5))
    assert last(EmbeddingLayer(words, 10, 3)).mflop == 0
    assert last(NonlinearityLayer(image(3))).mflop == 0


def test_an_inverse_costs_what_its_layer_does():
    conv = Conv2DLayer(image(2, 8, 8), 3, 3, pad="same")
    *_, there, back = summary(InverseLayer(conv, conv)).rows
    assert there.mflop == back.mflop > 0


def test_an_image_may_become_several_rows():
    """A layer that moves an axis into the batch's works on more rows for each image."""
    rows = ReshapeLayer(image(5, 6), (-1, 6))
    assert last(DenseLayer(rows, 2)).mflop == 2 * 5 * 6 * 2 / 1e6
    assert last(DenseLayer(rows, 2)).nbytes == 4 * 5 * 2


def test_the_batch_is_no_matter():
    def network(batch):
        return DenseLayer(Conv2DLayer(InputLayer((batch, 1, 6, 6)), 2, 3), 3)

    free, fixed = summary(network(None)), summary(network(16))
    assert [row.mflop for row in free.rows] == [row.mflop for row in fixed.rows]
    assert free.output_bytes == fixed.output_bytes
    assert free.rows[1].shape == fixed.rows[1].shape == (2, 4, 4)


class MyLayer(Layer):
    """One whose cost cannot be known."""

    def forward(self, x):
        return x, ()

    def backward(self, dy, cache):
        return dy, {}


class MyConv(Conv2DLayer):
    """It may compute anything."""

    def linear_forward(self, x):
        return super().linear_forward(x)


def test_what_is_not_known_is_said():
    mine = MyLayer(image(1, 6, 6), name="mine")
    other = ExpressionLayer(MyConv(mine, 2, 3, name="conv"), lambda x: 2 * x, name="f")
    found = summary(DenseLayer(other, 3, name="fc"))
    assert [row.mflop is None for row in found.rows] == [False, True, True, True, False]
    assert "not known, and in no sum: mine, conv, f" in str(found)


def test_open_lengths_can_be_given():
    network = Conv2DLayer(InputLayer((None, 1, None, None)), 2, 3)
    assert (last(network).mflop, last(network).nbytes) == (None, None)
    assert "2×?×?" in str(summary(network))
    row = last(network, (None, 1, 6, 6))
    assert (row.mflop, row.nbytes) == (2 * 2 * 9 * 16 / 1e6, 4 * 2 * 16)


def test_a_shared_parameter_counts_once():
    first = DenseLayer(image(4), 4, name="a")
    second = DenseLayer(first, 4, W=first.W, b=first.b, name="b")
    found = summary(second)
    assert [row.parameters for row in found.rows] == [0, 20, 0]
    assert found.parameters == 20 and found.parameter_bytes == 80


def test_tied_weights_are_those_that_they_are_made_of():
    first = DenseLayer(image(4), 3, name="a")
    second = DenseLayer(first, 4, W=first.W.T, b=None, name="b")
    found = summary(second)
    assert [row.parameters for row in found.rows] == [0, 15, 0]
    assert found.parameter_bytes == 60 and found.rows[2].mflop == 24 / 1e6


def test_double_precision_takes_double_memory():
    with config.use_floatX("float64"):
        network = DenseLayer(image(4), 3)
    assert summary(network).output_bytes == 56 and summary(network).parameter_bytes == (
        120)


def test_several_outputs_and_what_is_frozen():
    body = DenseLayer(image(4), 3, name="body")
    heads = [DenseLayer(body, 2, name="left"), DenseLayer(body, 1, name="right")]
    freeze(body)
    found = summary(heads)
    assert found.trainable == found.parameters - 15 == 12
    assert [row.below for row in found.rows] == [(), (0,), (1,), (1,)]
    lines = str(found).splitlines()
    assert "reads" in lines[0] and " 1 " in lines[4] and "12 of them" in lines[5]


def test_a_layer_may_stand_on_a_shape_alone():
    assert last(DenseLayer((None, 4), 3)).mflop == 24 / 1e6
    assert summary(ConcatLayer([(None, 2), (None, 3)])).rows[0].shape == (5,)


def test_published_counts():
    """ResNet-18 takes 1.814 billion multiply-adds (torchvision's own note)."""
    found = summary(models.resnet18())
    assert found.mflop / 2e3 == pytest.approx(1.814, abs=5e-4)
    assert found.trainable == 11_689_512  # torchvision's count


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.lists(st.integers(0, 8), min_size=1,
                                                      max_size=3)),
                min_size=1, max_size=9))
def test_the_peak_is_the_most_that_is_still_read(drawn):
    """Against its definition, for random graphs."""
    layers = [InputLayer((None, 2))]
    for size, places in drawn:
        below = [layers[place % len(layers)] for place in places]
        total = ElemwiseSumLayer([DenseLayer(one, size) for one in below])
        layers.append(total)
    found = summary(layers[-1])
    rows, outputs = found.rows, [len(found.rows) - 1]
    most = max(sum(row.nbytes for row in rows[:now + 1] if row.number == now
                   or row.number in outputs
                   or any(row.number in one.below for one in rows[now:]))
               for now in range(len(rows)))
    assert _peak(rows, outputs) == found.peak_bytes == most


def test_every_layer_has_a_line_and_a_place_in_the_drawing():
    for name, network in every_layer():
        found = summary(network)
        lines = str(found).splitlines()
        assert len(lines) == 1 + len(found.rows) + len(found.notes), name
        assert found.to_svg().count("<rect") <= len(found.rows)
        assert name.startswith("ExpressionLayer") or not found.unknown, name
