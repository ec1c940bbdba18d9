"""Foreign arrays into networks: layouts by definition, and all or nothing."""

import numpy as np
import pytest

from minifer import layers, models, nonlinearities
from minifer.errors import SettingError, WeightsError
from minifer.weights.foreign import load_keras_params, load_torch_params

RNG = np.random.default_rng(0)
#: How a library names (weight, bias) and the four arrays of batch norm.
WORDS = {"torch": (".", ["weight", "bias"],
                   ["weight", "bias", "running_mean", "running_var"]),
         "keras": ("/", ["kernel", "bias"],
                   ["gamma", "beta", "moving_mean", "moving_variance"]),
         "keras 3": ("/", "01", "0123")}
LOAD = {"torch": load_torch_params, "keras": load_keras_params,
        "keras 3": load_keras_params}


def network(flip_filters=False, norm_behind=False, **conv):
    """Images 2×4×5, 3 filters of 2×3 (to 3×3×3), batch norm, 6 units, 2 units."""
    net = layers.InputLayer((None, 2, 4, 5))
    net = layers.Conv2DLayer(net, 3, (2, 3), name="conv", flip_filters=flip_filters,
                             **conv)
    net = layers.BatchNormLayer(net, epsilon=1e-2, name="norm")
    net = layers.DropoutLayer(layers.FlattenLayer(net), p=.5)
    if norm_behind:
        net = layers.BatchNormLayer(net, name="flat_norm")
    net = layers.DenseLayer(net, 6, name="dense")
    return layers.DenseLayer(net, 2, nonlinearity=nonlinearities.softmax, name="fc")


def foreign(library, norm_behind=False):
    """Arrays for :func:`network`, as a library would save them."""
    dot, (weight, bias), norm = WORDS[library]
    turned = library == "torch"
    shapes = {f"conv{dot}{weight}": (3, 2, 2, 3) if turned else (2, 3, 2, 3),
              f"conv{dot}{bias}": (3,), **{f"norm{dot}{one}": (3,) for one in norm},
              f"dense{dot}{weight}": (6, 27) if turned else (27, 6),
              f"dense{dot}{bias}": (6,),
              f"fc{dot}{weight}": (2, 6) if turned else (6, 2), f"fc{dot}{bias}": (2,)}
    if norm_behind:
        shapes.update({f"flat_norm{dot}{one}": (27,) for one in norm})
    return {name: RNG.uniform(.5, 2, size=shape) for name, shape in shapes.items()}


def by_definition(library, arrays, images):
    """The network's output in loops, in the library's own layout; images (N,C,H,W)."""
    dot, (weight, bias), (gamma, beta, mean, variance) = WORDS[library]
    W = arrays[f"conv{dot}{weight}"]
    W = W if library == "torch" else W.transpose(3, 2, 0, 1)
    z = np.zeros((len(images), 3, 3, 3))
    for n, f, i, j in np.ndindex(*z.shape):
        window = images[n, :, i:i + 2, j:j + 3]
        z[n, f, i, j] = (window * W[f]).sum() + arrays[f"conv{dot}{bias}"][f]
    z = np.maximum(z, 0)
    of = {one: arrays[f"norm{dot}{one}"].reshape(3, 1, 1)
          for one in (gamma, beta, mean, variance)}
    z = (z - of[mean]) / np.sqrt(of[variance] + 1e-2) * of[gamma] + of[beta]
    z = z if library == "torch" else z.transpose(0, 2, 3, 1)
    z = z.reshape(len(z), -1)
    if f"flat_norm{dot}{gamma}" in arrays:
        of = {one: arrays[f"flat_norm{dot}{one}"]
              for one in (gamma, beta, mean, variance)}
        z = (z - of[mean]) / np.sqrt(of[variance] + 1e-4) * of[gamma] + of[beta]
    for name, last in (("dense", lambda z: np.maximum(z, 0)), ("fc", lambda z: z)):
        W = arrays[f"{name}{dot}{weight}"]
        z = last(z @ (W.T if library == "torch" else W) + arrays[f"{name}{dot}{bias}"])
    return z


@pytest.mark.parametrize("norm_behind", [False, True])
@pytest.mark.parametrize("flip_filters", [False, True])
@pytest.mark.parametrize("library", LOAD)
def test_a_loaded_network_computes_what_the_other_library_does(
        library, flip_filters, norm_behind):
    net = network(flip_filters, norm_behind)
    arrays = foreign(library, norm_behind)
    # Around 0, so that logits stay small enough to compare closely.
    for name in arrays:
        if arrays[name].ndim > 1:
            arrays[name] -= 1.25
    LOAD[library](arrays, net)
    images = RNG.normal(size=(3, 2, 4, 5))
    ours, _ = layers.forward(net, images.astype(np.float32), deterministic=True,
                             logits=True)
    np.testing.assert_allclose(ours, by_definition(library, arrays, images),
                               rtol=1e-4, atol=1e-4)


def values(net):
    return layers.get_all_param_values(net)


def unchanged(net, before):
    return all(np.array_equal(*pair) for pair in zip(values(net), before, strict=True))


@pytest.mark.parametrize("library", LOAD)
def test_all_problems_stand_in_one_line_and_nothing_is_set(library):
    net, arrays = network(), foreign(library)
    dot, (weight, bias), norm = WORDS[library]
    before = values(net)
    del arrays[f"fc{dot}{bias}"]
    arrays[f"conv{dot}{weight}"] = np.ones((3, 2, 9, 3))
    arrays[f"dense{dot}{bias}"][2] = np.nan
    arrays[f"norm{dot}{norm[3]}"][0] = -1
    arrays[f"head{dot}{weight}"] = np.ones(3)
    with pytest.raises(WeightsError, match="^[^\n]+$") as caught:
        LOAD[library](arrays, net)
    shape = "(3, 2, 2, 3)" if library == "torch" else "(2, 3, 2, 3)"
    missing = f"fc{dot}bias"
    for text in (f"1 missing ({missing})", f"1 of no layer (head{dot}{weight})",
                 f"1 of another shape (conv{dot}{weight}: expected numbers {shape}, "
                 "got float64 (3, 2, 9, 3))",
                 f"2 not finite or of negative variance (norm{dot}{norm[3]}, "
                 f"dense{dot}{bias})", "Nothing was set"):
        assert text in str(caught.value)
    assert unchanged(net, before)


def test_of_many_names_a_few_are_shown():
    with pytest.raises(WeightsError, match=r"10 missing \(conv.weight, conv.bias, "
                                           r"norm.weight, …\)"):
        load_torch_params({}, network())


@pytest.mark.parametrize("wrong", [np.ones((6, 2), complex), np.full((6, 2), "a"),
                                   np.full((6, 2), None)])
def test_arrays_that_are_no_real_numbers_are_refused(wrong):
    net, arrays = network(), foreign("keras")
    arrays["fc/kernel"] = wrong
    before = values(net)
    with pytest.raises(WeightsError, match="fc/kernel: expected numbers"):
        load_keras_params(arrays, net)
    assert unchanged(net, before)


def test_a_number_too_large_for_float32_is_not_finite():
    net, arrays = network(), foreign("torch")
    arrays["fc.bias"][0] = 1e300
    with pytest.raises(WeightsError, match=r"not finite .*\(fc.bias\)"):
        load_torch_params(arrays, net)


@pytest.mark.parametrize("library", LOAD)
def test_a_new_head_is_left_out_by_name(library):
    net, arrays = network(), foreign(library)
    dot, (weight, bias), _ = WORDS[library]
    head = net.W.get_value()
    arrays[f"fc{dot}{weight}"] = np.ones((1000, 6))
    LOAD[library](arrays, net, skip=("fc",))
    assert np.array_equal(net.W.value, head)
    del arrays[f"fc{dot}{weight}"], arrays[f"fc{dot}{bias}"]
    net = network()
    LOAD[library](arrays, net, skip="fc")
    assert np.array_equal(net.input_layer.b.value,
                          arrays[f"dense{dot}{bias}"].astype(np.float32))


def test_skip_takes_all_that_lies_below_a_name_and_not_its_namesakes():
    net = models.resnet((1, 1), width=2, num_classes=3, size=32)
    before = {p.name: p.get_value() for p in layers.get_all_params(net)}
    arrays = torch_arrays(net)
    arrays = {name: array for name, array in arrays.items()
              if not name.startswith("layer2.")}
    load_torch_params(arrays, net, skip=["layer2"])
    for param in layers.get_all_params(net):
        kept = np.array_equal(param.value, before[param.name])
        assert kept == param.name.startswith("layer2.")
    with pytest.raises(SettingError, match="'layer'"):
        load_torch_params(arrays, net, skip=["layer"])


def torch_arrays(net):
    """Random arrays under torchvision's names, for a network of minifer.models."""
    arrays, words = {}, {"W": "weight", "b": "bias", "gamma": "weight", "beta": "bias",
                         "mean": "running_mean", "inv_std": "running_var"}
    for param in layers.get_all_params(net):
        layer, _, last = param.name.rpartition(".")
        array = RNG.uniform(.5, 2, size=param.shape)
        arrays[f"{layer}.{words[last]}"] = array.T if layer == "fc" else array
    return arrays


def test_a_name_of_many_lines_is_shown_on_one():
    arrays = {**foreign("torch"), "a\nb" * 200: np.ones(1)}
    with pytest.raises(WeightsError, match="^[^\n]{,500}$"):
        load_torch_params(arrays, network())


@pytest.mark.parametrize("wrong", ["resnet50.pth", [np.ones(3)]])
def test_a_path_or_a_list_is_no_dict_of_arrays(wrong):
    with pytest.raises(WeightsError, match="Read the file first"):
        load_torch_params(wrong, network())


def test_a_misspelt_skip_is_an_error():
    with pytest.raises(SettingError, match="'head', which neither side has"):
        load_torch_params(foreign("torch"), network(), skip=("head",))
    with pytest.raises(SettingError, match="Perhaps you meant 'dense'"):
        load_torch_params(foreign("torch"), network(), skip=("dens",))


def test_a_bias_that_the_layer_has_not_is_an_error():
    with pytest.raises(WeightsError, match=r"1 of no layer \(conv.bias\)"):
        load_torch_params(foreign("torch"), network(b=None))
    with pytest.raises(WeightsError, match=r"1 of no layer \(conv/1\)"):
        load_keras_params(foreign("keras 3"), network(b=None))


def test_keras_counts_only_the_arrays_that_there_are():
    """Batch norm without gamma (scale=False): 0 is beta, 1 the mean, 2 the variance."""
    norm = layers.BatchNormLayer((None, 3), gamma=None, epsilon=1., name="norm")
    load_keras_params({"norm/0": np.ones(3), "norm/1": np.full(3, 2),
                       "norm/2": np.full(3, 3)}, norm)
    assert norm.beta.value[0] == 1 and norm.mean.value[0] == 2
    assert norm.inv_std.value[0] == .5


def test_num_batches_tracked_is_left_out():
    arrays = {**foreign("torch"), "norm.num_batches_tracked": np.array(3)}
    load_torch_params(arrays, network())
    assert "norm.num_batches_tracked" in arrays


def test_frozen_batch_norm_is_loaded_too():
    net, arrays = network(), foreign("torch")
    layers.freeze(net)
    load_torch_params(arrays, net)
    norm = next(one for one in layers.get_all_layers(net) if one.name == "norm")
    np.testing.assert_allclose(
        norm.inv_std.value, 1 / np.sqrt(arrays["norm.running_var"] + 1e-2), rtol=1e-6)


@pytest.mark.parametrize("names", [("a", None), ("a", "a")])
def test_layers_need_names_of_their_own(names):
    net = layers.InputLayer((None, 3))
    for name in names:
        net = layers.DenseLayer(net, 3, name=name)
    with pytest.raises(WeightsError, match="a name of its own"):
        load_torch_params({}, net)


class ScaleLayer(layers.Layer):
    """A layer that neither library knows."""

    def __init__(self, incoming, name=None):
        super().__init__(incoming, name)
        shape = self.input_shape[1:]
        self.W = self.add_param(np.ones(shape), shape, "W")

    def forward(self, x):
        return x * self.W.value, ()

    def backward(self, dy, cache):
        return dy, {}


@pytest.mark.parametrize("library", LOAD)
def test_a_layer_of_ones_own_must_be_left_out(library):
    net = ScaleLayer(network(), name="scale")
    with pytest.raises(WeightsError, match="got <ScaleLayer 'scale'"):
        LOAD[library](foreign(library), net)
    LOAD[library](foreign(library), net, skip=("scale",))
    assert net.W.value.tolist() == [1, 1]


def test_keras_order_behind_joined_images_is_not_guessed():
    one = layers.FlattenLayer(layers.InputLayer((None, 2, 2, 2)))
    net = layers.DenseLayer(layers.ConcatLayer([one, one]), 2, name="fc")
    with pytest.raises(WeightsError, match="Keras may order otherwise"):
        load_keras_params({}, net)


def test_a_dense_layer_flattens_images_in_keras_order_too():
    net = layers.DenseLayer(layers.InputLayer((None, 2, 3, 4)), 5, name="fc")
    kernel = RNG.normal(size=(3, 4, 2, 5))
    load_keras_params({"fc/kernel": kernel.reshape(24, 5), "fc/bias": np.zeros(5)}, net)
    ours = net.W.value.reshape(2, 3, 4, 5)
    assert np.array_equal(ours, kernel.transpose(2, 0, 1, 3).astype(np.float32))


def test_behind_the_mean_of_each_map_nothing_changes_places():
    net = layers.GlobalPoolLayer(layers.InputLayer((None, 2, 3, 4)))
    net = layers.DenseLayer(layers.DropoutLayer(net), 5, name="fc")
    kernel = RNG.normal(size=(2, 5)).astype(np.float32)
    load_keras_params({"fc/kernel": kernel, "fc/bias": np.zeros(5)}, net)
    assert np.array_equal(net.W.value, kernel)
