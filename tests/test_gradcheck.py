"""The gradient check: passes what is right, refuses what is wrong."""

import numpy as np
import pytest

from helpers.faulty import FAULTS, faulty, random_network
from minifer.commands.gradcheck import layers as example_layers
from minifer import gradcheck, models, nonlinearities
from minifer.errors import NotFiniteError, SettingError, ShapeError
from minifer.layers import (BatchNormLayer, Conv2DLayer, DenseLayer, DropoutLayer,
                            ElemwiseSumLayer, EmbeddingLayer, InputLayer, Layer,
                            MaxPool2DLayer, NonlinearityLayer, Pool2DLayer, batch_norm,
                            get_all_params)
from minifer.layers.special import ActivatedLayer

IMAGES = InputLayer((None, 2, 7, 6))


def further_layers():
    """Options that the example leaves out."""
    x = IMAGES
    yield "conv without bias", Conv2DLayer(x, 2, 3, b=None)
    yield "conv one by one", Conv2DLayer(x, 2, 1, stride=(3, 2))
    yield "conv padded beyond the filter", Conv2DLayer(x, 2, (2, 3), pad=(3, 4),
                                                       nonlinearity=None)
    yield "conv strided same", Conv2DLayer(x, 2, (5, 3), stride=(2, 3), pad="same")
    yield "conv untied, strided", Conv2DLayer(x, 2, 3, stride=2, untie_biases=True)
    yield "max-pool stride > window", MaxPool2DLayer(x, 2, stride=3)
    yield "max-pool, overlapping border", MaxPool2DLayer(x, 3, 2, ignore_border=False)
    yield "mean of borders", Pool2DLayer(x, (3, 2), ignore_border=False,
                                         mode="average_inc_pad")
    yield "dense without bias", DenseLayer(x, 3, b=None)
    yield "dense with softmax", DenseLayer(x, 3, nonlinearity=nonlinearities.softmax)
    yield "dropout, not rescaled", DropoutLayer(x, rescale=False)
    yield "dropout of whole maps", DropoutLayer(x, shared_axes=(2, 3))
    yield "batch norm over all but one", BatchNormLayer(x, axes=(0, 1, 2))
    yield "batch norm per pixel", BatchNormLayer(x, axes=0)
    yield "batch norm without scale", BatchNormLayer(x, gamma=None)
    yield "batch norm without shift", BatchNormLayer(x, beta=None)
    yield "batch norm of dense", batch_norm(DenseLayer(x, 3))
    yield "scaled tanh", NonlinearityLayer(x, nonlinearities.ScaledTanH(0.5, 2.0))
    yield "very leaky", NonlinearityLayer(x, nonlinearities.very_leaky_rectify)


EVERY_LAYER = [pytest.param(layer, id=title)
               for make in (example_layers, further_layers) for title, layer in make()]


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("layer", EVERY_LAYER)
def test_every_layer_is_right(layer, deterministic):
    report = gradcheck.check(layer, deterministic=deterministic, tolerance=1e-6)
    assert report.ok, f"\n{report}"
    inputs = 0 if isinstance(layer, EmbeddingLayer) else 1
    assert len(report.rows) == inputs + len(get_all_params(layer, trainable=True))
    assert sum(row.kinks for row in report.rows) == 0


def test_the_headline_network_is_right():
    report = gradcheck.check(models.ck96(), batch=1, directions=1, elementwise_up_to=0,
                             elements=0)
    assert report.ok, f"\n{report}"
    assert [row.name for row in report.rows] == [
        "input input", "conv1.W", "conv1.b", "conv2.W", "conv2.b", "dense1.W",
        "dense1.b", "output.W", "output.b"]
    assert max(row.error for row in report.rows) < 1e-6
    assert report.rows[5].shape == (14112, 256) and report.rows[5].directional


# --- wrong layers -----------------------------------------------------------

class WrongDense(DenseLayer):
    """A dense layer with one mistake in its backward pass."""

    def __init__(self, incoming, num_units, mistake):
        super().__init__(incoming, num_units, nonlinearity=nonlinearities.tanh)
        self.mistake = mistake

    def linear_backward(self, dz, cache, need_dx=True):
        dx, gradients = super().linear_backward(dz, cache, need_dx)
        if self.mistake == "sign of dx":
            dx = -dx
        elif self.mistake == "sign of dW":
            gradients[self.W] = -gradients[self.W]
        elif self.mistake == "transposed":
            gradients[self.W] = gradients[self.W].T
        elif self.mistake == "missing batch sum":
            gradients[self.b] = dz[0]
        elif self.mistake == "mean for sum":
            gradients[self.b] = dz.mean(axis=0)
        elif self.mistake == "one element":
            gradients[self.W][1, 2] *= 1.001
        return dx, gradients


@pytest.mark.parametrize("elementwise_up_to", [200, 0])
@pytest.mark.parametrize("mistake, where", [
    ("sign of dx", 0), ("sign of dW", 1), ("transposed", 1), ("missing batch sum", 2),
    ("mean for sum", 2), ("one element", 1)])
def test_a_wrong_layer_is_refused(mistake, where, elementwise_up_to):
    report = gradcheck.check(WrongDense(InputLayer((None, 4)), 4, mistake),
                             elementwise_up_to=elementwise_up_to)
    assert not report.ok
    assert [row.verdict for row in report.rows] == [
        "WRONG" if i == where else "ok" for i in range(3)]
    assert "WRONG" in str(report).splitlines()[1 + where]


def test_a_forgotten_gradient_is_refused():
    class Forgetful(DenseLayer):
        def linear_backward(self, dz, cache, need_dx=True):
            dx, gradients = super().linear_backward(dz, cache, need_dx)
            del gradients[self.b]
            return dx, gradients

    report = gradcheck.check(Forgetful(InputLayer((None, 3)), 2))
    assert [row.ok for row in report.rows] == [True, True, False]


def test_a_gradient_of_another_shape_is_refused():
    with pytest.raises(ShapeError, match=r"shape \(3, 2\) for 'W', got \(2, 3\)"):
        gradcheck.check(WrongDense(InputLayer((None, 3)), 2, "transposed"))


@pytest.mark.parametrize("fault", [None, *FAULTS])
@pytest.mark.parametrize("D, K", [(30, 10), (200, 30)])
def test_every_planted_fault_is_found(fault, D, K):
    report = gradcheck.check(faulty(fault, D, K), elements=3, directions=2,
                             elementwise_up_to=30)
    assert report.ok == (fault is None), f"\n{report}"


@pytest.mark.parametrize("fault, place", [
    (None, None), ("one element is off by a tenth of a typical one", "[13, 1]")])
def test_one_wrong_element_among_a_million_is_found_and_named(fault, place):
    """By directions alone; 20 elements at random would hardly meet it."""
    x = np.random.default_rng(1).standard_normal((2, 3000))
    layer = faulty(fault, 3000, 400)
    W = layer.W.value.astype(float)

    def loss():
        return float((dy * np.tanh(x @ W)).sum())

    dy = np.random.default_rng(2).standard_normal((2, 400))
    y = np.tanh(x @ W)
    dz = dy * (1 - y * y)
    dW = x.T @ dz
    if fault:
        FAULTS[fault](x, dz, None, dW, dz.sum(axis=0))
    report = gradcheck.compare(loss, {"W": (W, dW)}, directions=1, elements=0)
    assert report.ok == (fault is None), f"\n{report}"
    assert fault is None or report.rows[0].note == f"as at {place}"


@pytest.mark.parametrize("seed", range(12))
def test_no_right_network_is_called_wrong(seed):
    report = gradcheck.check(random_network(seed), elements=1, directions=1,
                             elementwise_up_to=8)
    assert report.ok, f"\n{report}"


def test_a_gradient_is_proportional_to_what_comes_from_above():
    report = gradcheck.check(faulty("small upstream gradients are dropped", 5, 6))
    assert [row.note for row in report.rows] == ["", *2 * [
        "not proportional to the upstream gradient"]]


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_errors_are_relative_to_what_is_checked(scale):
    x, a = np.linspace(0.5, 1, 300), scale * np.linspace(-1, 1, 300)

    def loss():
        return float((a * x ** 2).sum())

    for right, elementwise in ((1, 0), (1, 300), (1.001, 0), (1.001, 300)):
        report = gradcheck.compare(loss, {"x": (x, 2 * right * a * x)},
                                   elementwise_up_to=elementwise)
        assert report.ok == (right == 1), f"\n{report}"


def test_a_gradient_of_nan_and_a_loss_of_nan():
    x = np.ones(300)
    for up_to in (0, 300):
        for spoilt in (np.full(300, np.nan), np.where(np.arange(300) == 7, np.nan, 1)):
            assert not gradcheck.compare(lambda: float(x.sum()), {"x": (x, spoilt)},
                                         elementwise_up_to=up_to).ok
    with pytest.raises(NotFiniteError, match="expected a finite loss, got nan"):
        gradcheck.compare(lambda: float("nan"), {"x": (x, x)})


def test_a_loss_that_is_never_twice_the_same_is_refused():
    x, rng = np.ones(3), np.random.default_rng(0)
    with pytest.raises(SettingError, match="expected the same loss twice"):
        gradcheck.compare(lambda: float(x.sum() + rng.normal()), {"x": (x, x * 9)})


def test_biases_under_dead_rectifiers_are_settled():
    """Where all inputs are 0 a bias of 0 is at the kink; shifted, it is not."""
    image = InputLayer((None, 2, 6, 6))
    layer = Conv2DLayer(image, 3, 3, name="conv")
    x = np.zeros((2, 2, 6, 6))
    x[:, :, 0, 0] = 1
    report = gradcheck.check(layer, x)
    assert report.ok and report.rows[2].name == "conv.b", f"\n{report}"
    assert (layer.b.get_value() == 0).all()


# --- kinks ------------------------------------------------------------------

def test_a_rectifier_at_exactly_0_is_known_as_a_kink():
    layer = NonlinearityLayer(InputLayer((None, 4)))
    report = gradcheck.check(layer, np.array([[1.0, 0.0, -1.0, 2.0]]))
    assert report.ok and report.rows[0].kinks == 1
    assert report.rows[0].verdict == "ok (1 at a kink)"


def test_a_tied_maximum_is_known_as_a_kink():
    layer = MaxPool2DLayer(InputLayer((None, 1, 2, 4)), 2)
    x = np.array([[[[3.0, 3.0, 1.0, 2.0], [0.0, -1.0, 4.0, 0.5]]]])
    report = gradcheck.check(layer, x)
    assert report.ok and report.rows[0].kinks == 2


def test_where_most_is_kinks_nothing_can_be_said():
    report = gradcheck.check(NonlinearityLayer(InputLayer((None, 4))), np.zeros((1, 4)))
    assert not report.ok
    assert report.rows[0].verdict == "UNDECIDED (4 at a kink)"


def test_a_slope_outside_the_kink_is_wrong():
    def loss():
        return float(np.abs(x).sum())

    x = np.zeros(3)
    rows = gradcheck.compare(loss, {"between": (x, np.full(3, 0.5)),
                                    "outside": (x, np.full(3, 1.5))}).rows
    assert [row.verdict for row in rows] == ["UNDECIDED (3 at a kink)", "WRONG"]


# --- what is left behind ----------------------------------------------------

class Fragile(Layer):
    """A layer that fails at its n-th pass."""

    def __init__(self, incoming, passes):
        super().__init__(incoming)
        self.passes = passes

    def forward(self, x):
        self.passes -= 1
        if self.passes < 0:
            raise ZeroDivisionError
        return x, ()

    def backward(self, dy, cache):
        return dy, {}


@pytest.mark.parametrize("passes", [0, 1, 5, 10 ** 6])
def test_all_is_as_before_even_after_an_error(passes):
    dropout = DropoutLayer(batch_norm(DenseLayer(InputLayer((None, 3)), 4)))
    network = DenseLayer(Fragile(dropout, passes), 2)
    dropout.stream.step = 5
    params = get_all_params(network)
    arrays = [p.value for p in params]
    values = [p.get_value() for p in params]
    x = np.ones((4, 3), np.float32)
    if passes < 100:
        with pytest.raises(ZeroDivisionError):
            gradcheck.check(network, x)
    else:
        gradcheck.check(network, x)
    assert dropout.stream.step == 5
    np.testing.assert_array_equal(x, 1)
    for param, array, value in zip(params, arrays, values):
        assert param.value is array and param.dtype == "float32"
        np.testing.assert_array_equal(param.value, value)


def test_compare_restores_its_arrays():
    x = np.arange(3.0)

    def loss():
        if x[2] != 2:
            raise ZeroDivisionError
        return float((x ** 2).sum())

    with pytest.raises(ZeroDivisionError):
        gradcheck.compare(loss, {"x": (x, 2 * x)})
    np.testing.assert_array_equal(x, [0, 1, 2])


# --- compare and the report -------------------------------------------------

def test_compare_takes_any_function():
    x, y = np.array([0.5, -1.5]), np.array([2.0, 3.0])

    def loss():
        return float((x * y ** 2).sum())

    right = {"x": (x, y ** 2), "y": (y, 2 * x * y)}
    assert gradcheck.compare(loss, right).ok
    assert gradcheck.compare(loss, right, elementwise_up_to=0).ok
    assert not gradcheck.compare(loss, {"x": (x, None)}).ok  # None claims 0
    assert gradcheck.compare(lambda: 1.0, {"x": (x, None)}).ok


def test_compare_refuses_float32():
    x = np.ones(3, np.float32)
    with pytest.raises(SettingError, match="expected float64 for 'x', got float32"):
        gradcheck.compare(lambda: float(x.sum()), {"x": (x, np.ones(3))})


def test_the_tolerance_decides():
    network = WrongDense(InputLayer((None, 4)), 4, "one element")  # 0.1 % off
    assert gradcheck.check(network, tolerance=1e-2).ok
    assert not gradcheck.check(network, tolerance=1e-4).ok


def test_the_report_is_a_table():
    lines = str(gradcheck.check(DenseLayer(InputLayer((None, 3)), 2, name="d"))
                ).splitlines()
    assert lines[0].split() == ["parameter", "shape", "probes", "largest", "error",
                                "verdict"]
    assert [line.split()[0] for line in lines[1:]] == ["input", "d.W", "d.b"]
    assert "6 elements" in lines[2] and lines[2].endswith("ok")


def test_params_of_one_name_are_told_apart():
    x = InputLayer((None, 3))
    network = DenseLayer(DenseLayer(x, 3), 2)
    assert [row.name for row in gradcheck.check(network).rows] == [
        "input", "W", "b", "W (2)", "b (2)"]


def test_several_outputs_and_inputs():
    x, y = InputLayer((None, 3), name="x"), InputLayer((2, 3), name="y")
    h = DenseLayer(x, 3, nonlinearity=nonlinearities.tanh)
    total = ElemwiseSumLayer([h, y])
    report = gradcheck.check([h, total], batch=2)
    assert report.ok and [row.name for row in report.rows] == [
        "input x", "input y", "W", "b"]


def test_a_layer_of_ones_own_is_checked_like_any_other():
    class Cubed(ActivatedLayer):
        def linear_forward(self, x):
            return x ** 3, (x,)

        def linear_backward(self, dz, cache, need_dx=True):
            (x,) = cache
            return 3 * x ** 2 * dz, {}

    assert gradcheck.check(Cubed(IMAGES, nonlinearity=nonlinearities.tanh)).ok
