"""Whole networks on a device: what the CPU gives, step by step and file by file."""

import numpy as np
import pytest

import minifer
from helpers import runs
from helpers.devices import DEVICES
from minifer.commands.gradcheck import layers as example_layers
from minifer import gradcheck, layers, models, objectives, tensor, updates
from minifer.device import arrays
from minifer.device.arrays import device_of, to_device
from minifer.device.emuarray import EmuArray
from minifer.errors import NotFiniteError
from minifer.faces.preprocessing import Preprocessing
from minifer.predict.predictor import Predictor
from minifer.training.trainer import Trainer
from minifer.weights.model_file import Model, load_model, save_model

STEPS = {"float32": 1e-4, "float64": 1e-10}  # largest relative difference of losses


def trained(build, x, y, device, steps, rule=updates.nesterov_momentum, **options):
    """Losses of some steps, and the parameters after them."""
    minifer.random.set_rng(3)
    network = build()
    layers.seed_noise(network, 5)
    targets = tensor.ivector("y")
    loss = objectives.categorical_crossentropy(
        layers.get_output(network), targets).mean()
    params = layers.get_all_params(network, trainable=True)
    source = layers.get_all_layers(network)[0].input_var
    train = minifer.function([source, targets], loss,
                             rule(loss, params, learning_rate=0.05), device=device,
                             **options)
    return ([train(x, y) for _ in range(steps)], layers.get_all_param_values(network),
            network)


def small():
    """Everything the systems are made of, on 9×8 pictures."""
    net = layers.InputLayer((None, 2, 9, 8), tensor.tensor4("x"))
    net = layers.batch_norm(layers.Conv2DLayer(net, 5, 3, pad=1))
    net = layers.MaxPool2DLayer(net, 2, ignore_border=False)
    net = layers.Conv2DLayer(net, 6, (3, 2), flip_filters=False)
    net = layers.DropoutLayer(net, .2)
    net = layers.concat([layers.GlobalPoolLayer(net),
                         layers.FlattenLayer(layers.Pool2DLayer(
                             net, 2, stride=1, mode="average_exc_pad"))])
    net = layers.DenseLayer(layers.DropoutLayer(net), 7,
                            nonlinearity=minifer.nonlinearities.elu)
    return layers.DenseLayer(net, 3, nonlinearity=minifer.nonlinearities.softmax)


def batch(n, shape, classes, dtype):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, *shape)).astype(dtype), rng.integers(0, classes, n)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_twenty_steps_are_those_of_the_cpu(device, dtype):
    """The same masks, the same losses, the same weights."""
    with minifer.config.use_floatX(dtype):
        x, y = batch(6, (2, 9, 8), 3, dtype)
        losses, values, _ = trained(small, x, y, "cpu", 20, mode="eager")
        found, there, network = trained(small, x, y, device, 20)
    assert all(p.device == device for p in layers.get_all_params(network))
    np.testing.assert_allclose(found, losses, rtol=STEPS[dtype])
    for a, b in zip(there, values):
        np.testing.assert_allclose(a, b, rtol=0, atol=10 * STEPS[dtype])
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("device", DEVICES)
def test_the_headline_network_trains(device, tmp_path):
    x, y = batch(2, (1, 96, 96), 7, "float32")
    losses, values, _ = trained(models.ck96, x / 10, y, "cpu", 3)
    # Layer by layer; tests/compiled/test_plan_gpu.py has it planned.
    found, there, network = trained(models.ck96, x / 10, y, device, 3, mode="eager")
    np.testing.assert_allclose(found, losses, rtol=1e-5)
    for a, b in zip(there, values):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
    # The file is the same file, and opens on any machine.
    classes = tuple("abcdefg")
    save_model(tmp_path / "m.npz", Model(network, classes, Preprocessing().to_dict()))
    opened = load_model(tmp_path / "m.npz").network
    assert all(p.device == "cpu" for p in layers.get_all_params(opened))
    for a, b in zip(layers.get_all_param_values(opened), there):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("title, network", [
    pytest.param(*case, id=case[0]) for case in example_layers()])
def test_gradients_on_the_device_are_right(device, title, network):
    report = gradcheck.check(network, device=device, batch=2, directions=2,
                             elementwise_up_to=40, elements=0)
    assert report.ok, f"{title}\n{report}"
    assert all(p.device == "cpu" for p in layers.get_all_params(network))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_step_that_is_not_finite_changes_nothing(device, bad):
    x, y = batch(4, (2, 9, 8), 3, "float32")
    _, _, network = trained(small, x, y, device, 1)
    targets = tensor.ivector("y")
    loss = objectives.categorical_crossentropy(
        layers.get_output(network), targets).mean()
    params = layers.get_all_params(network, trainable=True)
    train = minifer.function([layers.get_all_layers(network)[0].input_var, targets],
                             loss, updates.adam(loss, params))
    before = layers.get_all_param_values(network)
    x[1, 0, 3, 3] = bad
    with pytest.raises(NotFiniteError, match="the input of layer <InputLayer"):
        train(x, y)
    for a, b in zip(layers.get_all_param_values(network), before):
        assert np.array_equal(a, b)
    # Queued, the fault is said at the next check; later batches change nothing.
    train.queue(x, y)
    train.queue(np.zeros_like(x), y)
    with pytest.raises(NotFiniteError, match="a loss or gradient was not finite"):
        train.check()
    for param, old in zip(params, [p for p, t in zip(
            before, layers.get_all_params(network)) if t in params]):
        assert np.array_equal(param.get_value(), old)
    train.check()


def fitted(device, folder=None, epochs=2, resume=False, trainer=None):
    images, labels = runs.pictures(30)
    trainer = trainer or Trainer(runs.network(norm=True), batch_size=8, seed=1,
                                 prepare=runs.STEPS, device=device)
    result = trainer.fit(images, labels, valid=(images[:9], labels[:9]), epochs=epochs,
                         folder=folder, resume=resume)
    return trainer, result


@pytest.mark.parametrize("device", DEVICES)
def test_training_is_that_of_the_cpu(device):
    """Same seed: same order, same masks, same history."""
    (one, here), (two, there) = fitted("cpu"), fitted(device)
    for a, b in zip(here.history, there.history):
        for key in ("train_loss", "valid_loss", "valid_accuracy"):
            assert b[key] == pytest.approx(a[key], rel=1e-4), key
    images, _ = runs.pictures(30)
    np.testing.assert_allclose(two.predict(images), one.predict(images), atol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("first, second", [("there", "there"), ("there", "cpu"),
                                           ("cpu", "there")])
def test_a_run_continues_on_any_device(device, first, second, tmp_path):
    first, second = (device if d == "there" else d for d in (first, second))
    whole, _ = fitted(first, epochs=2)
    fitted(first, tmp_path, epochs=1)
    resumed, _ = fitted(second, tmp_path, epochs=2, resume=True)
    for a, b in zip(layers.get_all_param_values(whole.network),
                    layers.get_all_param_values(resumed.network)):
        if first == second:
            assert np.array_equal(a, b)
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4)


def test_the_loop_does_not_wait_for_the_device(monkeypatch):
    """Nothing is fetched between batches: a GPU would stand idle meanwhile."""
    images, labels = (to_device(a, "emu") for a in runs.pictures(16))
    trainer, _ = fitted("emu", epochs=1)
    for name in ("get", "__float__", "__bool__", "__int__"):
        def fetched(self, name=name):
            raise AssertionError(f"{name} waits for the device")
        monkeypatch.setattr(EmuArray, name, fetched)
    for _ in range(3):
        loss = trainer.functions.train.queue(runs.STEPS(images), labels)
    monkeypatch.undo()
    assert np.isfinite(float(loss))


@pytest.mark.parametrize("device", DEVICES)
def test_outputs_come_back_to_where_the_inputs_are(device):
    x, _ = batch(3, (2, 9, 8), 3, "float32")
    minifer.random.set_rng(0)
    network = small()
    here = layers.get_output(network, x, deterministic=True)
    assert layers.move_to(network, device) == device
    there = layers.get_output(network, x, deterministic=True)
    assert device_of(there) == "cpu"
    np.testing.assert_allclose(there, here, atol=1e-5)
    kept = layers.get_output(network, to_device(x, device), deterministic=True)
    assert device_of(kept) == device and np.array_equal(arrays.to_host(kept), there)


@pytest.mark.parametrize("device", DEVICES)
def test_a_model_predicts_on_the_device(device):
    model = Model(models.ck96(), tuple("abcdefg"), Preprocessing().to_dict())
    crops = np.random.default_rng(1).integers(0, 256, (2, 1, 96, 96)).astype(np.uint8)
    here = Predictor(model).saturations(crops)
    there = Predictor(model, device).saturations(crops)
    for a, b in zip(here, there):
        assert a.keys() == b.keys()
        np.testing.assert_allclose(list(b.values()), list(a.values()), atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_penalties_and_soft_targets(device):
    x, y = batch(5, (2, 9, 8), 3, "float64")
    soft = np.random.default_rng(4).dirichlet(np.ones(3), 5)
    found = []
    for place in ("cpu", device):
        with minifer.config.use_floatX("float64"):
            minifer.random.set_rng(3)
            network = small()
        layers.seed_noise(network, 5)
        targets = tensor.matrix("t")
        prediction = layers.get_output(network)
        loss = objectives.categorical_crossentropy(
            prediction, targets, np.array([1.0, 2.0, 0.5])).mean()
        loss = loss + 1e-3 * minifer.regularization.regularize_network_params(
            network, minifer.regularization.l2)
        params = layers.get_all_params(network, trainable=True)
        step = updates.adam(loss, params)
        step.max_total_norm = 0.5
        train = minifer.function([layers.get_all_layers(network)[0].input_var, targets],
                                 loss, step, device=place)
        found.append([train(x, soft) for _ in range(4)])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-10)
