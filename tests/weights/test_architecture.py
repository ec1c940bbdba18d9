"""Networks as plain data: everything comes back as it was."""

import json

import numpy as np
import pytest

from minifer.commands.gradcheck import layers as example_layers
from helpers.layers import example_input
from minifer import models, nonlinearities
from minifer.errors import WeightsError
from minifer.layers import (ConcatLayer, DenseLayer, DropoutLayer, ElemwiseSumLayer,
                            InputLayer, Layer, NonlinearityLayer, get_all_layers,
                            get_all_param_values, get_all_params, get_output,
                            set_all_param_values)
from minifer.weights.architecture import from_dict, to_dict

EVERY_LAYER = [pytest.param(layer, id=title) for title, layer in example_layers()]


def through_json(network, **options):
    """What a file would bring back."""
    return from_dict(json.loads(json.dumps(to_dict(network))), **options)


class Half(Layer):
    """A layer of a user's own, with an option."""

    def __init__(self, incoming, factor=0.5, name=None):
        super().__init__(incoming, name)
        self.factor = factor

    def forward(self, x):
        return x * self.factor, ()

    def backward(self, dy, cache):
        return dy * self.factor, {}


class OwnNonlinearity:
    """A nonlinearity of a user's own, as the layers' error message allows."""

    def forward(self, x):
        return x, ()

    def backward(self, dy, cache):
        return dy


# --- there and back ---------------------------------------------------------

@pytest.mark.parametrize("network", EVERY_LAYER)
def test_a_rebuilt_network_computes_the_same(network):
    copy = through_json(network)
    assert json.dumps(to_dict(copy)) == json.dumps(to_dict(network))
    assert copy.output_shape == network.output_shape
    set_all_param_values(copy, get_all_param_values(network))
    x = example_input(network, 3)
    np.testing.assert_array_equal(get_output(copy, x, deterministic=True),
                                  get_output(network, x, deterministic=True))


def test_the_headline_network_comes_back():
    network = models.ck96()
    copy = through_json(network)
    assert [repr(layer) for layer in get_all_layers(copy)] == [
        repr(layer) for layer in get_all_layers(network)]
    assert [repr(p) for p in get_all_params(copy)] == [
        repr(p) for p in get_all_params(network)]
    assert copy.nonlinearity is nonlinearities.softmax


def test_parameters_are_not_part_of_it():
    network = DenseLayer(InputLayer((None, 3)), 2)
    copy = through_json(network)
    assert network.W.value.any() and not copy.W.value.any()
    assert copy.W is not network.W


def test_sharing_survives():
    first = DenseLayer(InputLayer((None, 3)), 3)
    network = DenseLayer(first, 3, W=first.W)
    copy = through_json(network)
    assert copy.W is copy.input_layer.W
    assert copy.b is not copy.input_layer.b
    assert len(get_all_params(copy)) == 3


def test_a_missing_bias_stays_missing():
    assert through_json(DenseLayer(InputLayer((None, 3)), 2, b=None)).b is None


def test_the_graph_survives():
    x = InputLayer((None, 3), name="x")
    h = DenseLayer(x, 3, name="h")
    copy = through_json(ElemwiseSumLayer([h, x, h], [1, 2, 3]))
    assert [layer.name for layer in copy.input_layers] == ["h", "x", "h"]
    assert copy.input_layers[0] is copy.input_layers[2]
    assert list(copy.coeffs) == [1, 2, 3]


def test_merging_layers_are_described_as_before_they_could_crop():
    x = InputLayer((None, 3, 5))
    for layer, options in ((ConcatLayer([x, x]), {"axis": 1}),
                           (ElemwiseSumLayer([x, x]), {"coeffs": [1.0, 1.0]})):
        description = to_dict(layer)["layers"][-1]
        assert description == {"type": type(layer).__name__, "name": None,
                               "incoming": [0, 0], **options}
    cropped = ConcatLayer([x, x], cropping=[None, None, "center"])
    assert through_json(cropped).cropping == cropped.cropping


@pytest.mark.parametrize("nonlinearity", [
    nonlinearities.identity, nonlinearities.rectify, nonlinearities.softmax,
    nonlinearities.selu, nonlinearities.very_leaky_rectify])
def test_well_known_nonlinearities_stay_the_same_objects(nonlinearity):
    network = NonlinearityLayer(InputLayer((None, 3)), nonlinearity)
    assert through_json(network).nonlinearity is nonlinearity


@pytest.mark.parametrize("nonlinearity", [
    nonlinearities.LeakyRectify(0.2), nonlinearities.ScaledTanH(0.5, 2.0)])
def test_nonlinearities_with_options_of_ones_own(nonlinearity):
    copy = through_json(NonlinearityLayer(InputLayer((None, 3)), nonlinearity))
    assert repr(copy.nonlinearity) == repr(nonlinearity)


def test_noise_options_survive_and_the_stream_is_new():
    network = DropoutLayer(InputLayer((None, 3, 4)), 0.25, False, (1,), rng=3)
    copy = through_json(network)
    assert (copy.p, copy.rescale, copy.shared_axes) == (0.25, False, (1,))


def test_a_layer_of_ones_own_is_built_from_its_class():
    network = Half(InputLayer((None, 3)), factor=0.25, name="quarter")
    copy = through_json(network, custom_layers={"Half": Half})
    assert isinstance(copy, Half) and copy.factor == 0.25 and copy.name == "quarter"


def test_a_nonlinearity_that_cannot_be_stored_is_refused_with_its_layer():
    network = DenseLayer(InputLayer((None, 3)), 2, nonlinearity=OwnNonlinearity(),
                         name="mine")
    with pytest.raises(WeightsError, match="'mine'.*OwnNonlinearity"):
        to_dict(network)


# --- refusals ---------------------------------------------------------------

def test_an_unknown_layer_is_refused_with_the_remedy():
    description = to_dict(Half(InputLayer((None, 3))))
    with pytest.raises(WeightsError, match="got 'Half'.*custom_layers={'Half': Half}"):
        from_dict(description)


def test_a_layer_of_ones_own_that_has_minifers_name_is_refused_with_the_remedy():
    mine = type("ScaleLayer", (Half,), {})
    description = to_dict(mine(InputLayer((None, 3))))
    with pytest.raises(WeightsError, match="'scales'.*custom_layers={'ScaleL"):
        from_dict(description)
    assert type(from_dict(description, custom_layers={"ScaleLayer": mine})) is mine


@pytest.mark.parametrize("name, message", [
    ("os", "expected layers of minifer, got 'os'"), ("conv", "got 'conv'"),
    ("__name__", "got '__name__'"), ("get_output", "cannot be built")])
def test_only_layers_are_built(name, message):
    description = to_dict(InputLayer((None, 3)))
    description["layers"][0]["type"] = name
    with pytest.raises(WeightsError, match=message):
        from_dict(description)


@pytest.mark.parametrize("spoil", [
    lambda d: d.clear(), lambda d: d["layers"].clear(), lambda d: d.update(layers=None),
    lambda d: d["layers"][1].pop("type"), lambda d: d["layers"][1].pop("num_units"),
    lambda d: d["layers"][1].update(num_units=0),
    lambda d: d["layers"][1].update(num_units="many"),
    lambda d: d["layers"][1].update(incoming=[]),
    lambda d: d["layers"][1].update(incoming=[7]),
    lambda d: d["layers"][1].update(nonlinearity={"nonlinearity": "magic"}),
    lambda d: d["layers"][1].update(nonlinearity="rectify"),
    lambda d: d["layers"][0].update(shape=[None, -3]),
    lambda d: d["layers"][0].update(shape=3)])
def test_a_damaged_description_is_refused(spoil):
    description = to_dict(DenseLayer(InputLayer((None, 3)), 2))
    spoil(description)
    with pytest.raises(WeightsError, match="cannot be built .+ damaged"):
        from_dict(description)
