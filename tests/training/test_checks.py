"""What cannot be trained on is refused in a line, before the work begins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import runs
from helpers.checking import RANDOM_SHAPES
from minifer import function, layers, nonlinearities, objectives, tensor, updates
from minifer.errors import (LabelError, MiniferError, NotFiniteError, SettingError,
                            ShapeError)
from minifer.training import schedules
from minifer.training.checks import check_targets
from minifer.training.trainer import Trainer

IMAGES, LABELS = runs.pictures(12)
THIRDS = np.full((12, 3), 1 / 3, "float32")


def linear():
    return layers.DenseLayer(layers.InputLayer((None, 1, 8, 8)), 3,
                             nonlinearity=nonlinearities.softmax)


def changed(row, value, shares=THIRDS):
    shares = shares.copy()
    shares[row] = value
    return shares


BAD = {
    "negative": (changed(4, [-.5, .5, 1]), "row 4 is .-0.5, 0.5, 1"),
    "sum 2": (changed(4, [.5, .5, 1]), "row 4 is .0.5, 0.5, 1.0.. Divide"),
    "sum 0": (changed(4, 0), "row 4 is .0.0, 0.0"),
    "NaN": (changed(4, np.nan), "row 4 is .nan"),
    "infinite": (changed(4, [np.inf, 0, 0]), "row 4"),
    "columns": (THIRDS[:, :2], "the network's 3 classes, got 2 columns"),
    "class 3": (np.where(LABELS == 2, 3, LABELS), "class numbers 0 to 2, got 3"),
    "class -1": (LABELS - 1, "class numbers 0 to 2, got -1"),
    "floats": (LABELS.astype(float), "whole numbers .N,. or shares"),
    "text": (LABELS.astype(str), "whole numbers"),
    "truth": (LABELS == 1, "whole numbers"),
    "objects": (LABELS.astype(object), "whole numbers"),
    "whole shares": (np.eye(3, dtype=int)[LABELS], "whole numbers")}


@pytest.mark.parametrize("labels, message", BAD.values(), ids=BAD)
@pytest.mark.parametrize("where", ["training", "validation", "evaluation"])
def test_labels_that_are_none(tmp_path, labels, message, where):
    trainer, good = Trainer(linear()), (IMAGES, LABELS)
    before = runs.values(trainer.network)
    with pytest.raises(LabelError, match=message):
        if where == "training":
            trainer.fit(IMAGES, labels, epochs=1, folder=tmp_path)
        elif where == "validation":
            trainer.fit(*good, valid=(IMAGES, labels), epochs=1, folder=tmp_path)
        else:
            trainer.evaluate(IMAGES, labels)
    assert np.array_equal(runs.values(trainer.network), before)
    assert not list(tmp_path.iterdir())


@RANDOM_SHAPES
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from("efd"), st.integers(0, 99))
def test_shares_of_any_precision_are_right(n, classes, dtype, seed):
    shares = np.random.default_rng(seed).dirichlet(np.ones(classes), n)
    check_targets(shares.astype(dtype), classes)
    check_targets(shares.argmax(axis=1), classes)


def test_validation_images_of_another_shape_are_known_before_the_first_epoch():
    with pytest.raises(ShapeError, match="validation images .1, 8, 8. .*got .1, 8, 4"):
        Trainer(linear()).fit(IMAGES, LABELS, valid=(IMAGES[..., :4], LABELS), epochs=1)


# --- batches -----------------------------------------------------------------

@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("mode", ["compiled", "eager"])
def test_from_a_batch_without_an_image_nothing_is_learnt(norm, mode):
    net, y = runs.network(norm=norm), tensor.ivector("y")
    x = tensor.tensor4("x")
    nothing = np.zeros((0, 1, 8, 8), "float32")
    output = layers.get_output(net, x)
    loss = objectives.categorical_crossentropy(output, y).mean()
    update = updates.adam(loss, layers.get_all_params(net, trainable=True))
    train = function([x, y], loss, update, mode=mode)
    predict = function([x], layers.get_output(net, x, deterministic=True), mode=mode)
    before = runs.values(net)
    for there in (predict(nothing), layers.get_output(net, nothing),
                  layers.forward(net, nothing)[0]):
        assert there.shape == (0, 3) and there.dtype == "float32"
    for call in (lambda: train(nothing, LABELS[:0]),
                 lambda: Trainer(net).predict(nothing),
                 lambda: Trainer(net).evaluate(nothing, LABELS[:0])):
        with pytest.raises(ShapeError, match="one or more|one image or more|at least"):
            call()
    assert np.array_equal(runs.values(net), before)


@pytest.mark.parametrize("name", ["batch", "threads"])
@pytest.mark.parametrize("number", [0, -1, 2.5, "8", True])
def test_a_plan_for_no_number_is_refused(name, number):
    x = tensor.matrix("x")
    net = layers.DenseLayer(layers.InputLayer((None, 2), x), 2)
    with pytest.raises(SettingError, match=f"{name} as a whole number >= 1, got"):
        function([x], layers.get_output(net), **{name: number})


@pytest.mark.parametrize("device", ["cpu", "emu"])
def test_a_batch_larger_than_the_data_plans_for_what_is_there(device):
    trainer = Trainer(runs.network(), batch_size=10**9, device=device,
                      prepare=runs.STEPS)
    trainer.fit(*runs.pictures(30), valid=runs.pictures(40), epochs=1)
    assert trainer.functions.train.plan.batch == trainer.functions.test.plan.batch == 40
    other = Trainer(runs.network(), batch_size=10**9, prepare=runs.STEPS, device=device)
    small = other.predict(IMAGES[:5])
    assert other.functions.predict.plan.batch == 5
    assert other.predict(IMAGES).shape == (12, 3)
    np.testing.assert_allclose(other.predict(IMAGES)[:5], small, rtol=1e-5)
    everything = [Trainer(runs.network(), batch_size=size, prepare=runs.STEPS)
                  for size in (30, 10**9)]
    for one in everything:
        one.fit(*runs.pictures(30), epochs=2)
    assert np.array_equal(*(runs.values(one.network) for one in everything))


# --- weights and rates -------------------------------------------------------

@pytest.mark.parametrize("weights, error", [
    ([1, np.nan, 1], NotFiniteError), ([1, np.inf, 1], NotFiniteError),
    ([1, -1, 1], SettingError), ([0, 0, 0], SettingError), ([1, 1], ShapeError),
    ([[1, 1, 1]], ShapeError), (["a", "b", "c"], ShapeError), (2.0, ShapeError)])
def test_class_weights_that_are_none(weights, error):
    with pytest.raises(error, match="class weight"):
        Trainer(linear(), class_weights=weights).fit(IMAGES, LABELS, epochs=1)
    with pytest.raises(error, match="class weight"):
        objectives.categorical_crossentropy(THIRDS, LABELS, weights)


def test_a_class_may_weigh_nothing():
    Trainer(linear(), class_weights=[1, 0, 2]).fit(IMAGES, LABELS, epochs=1)


RULES = [(name, option, value) for name, option in [
    ("sgd", "learning_rate"), ("momentum", "learning_rate"), ("momentum", "momentum"),
    ("nesterov_momentum", "momentum"), ("adagrad", "epsilon"), ("rmsprop", "rho"),
    ("adadelta", "rho"), ("adam", "learning_rate"), ("adam", "beta1"),
    ("adam", "beta2"), ("adam", "epsilon"), ("amsgrad", "beta2"), ("adamax", "beta1"),
    ("adamw", "weight_decay")] for value in (-.1, np.nan, "0.5", None)]


@pytest.mark.parametrize("name, option, value", RULES)
def test_rates_of_rules_out_of_range(name, option, value):
    params = layers.get_all_params(linear())
    options = {"learning_rate": .1} | {option: value}
    with pytest.raises(SettingError, match="expected a number of 0 or more"):
        getattr(updates, name)(params, **options)


@pytest.mark.parametrize("rate", [-1e-9, np.nan, np.inf])
def test_a_schedule_that_gives_no_rate(rate):
    trainer = Trainer(linear(), schedule=lambda *where: rate)
    before = runs.values(trainer.network)
    with pytest.raises(SettingError, match="schedule: .*in epoch 1"):
        trainer.fit(IMAGES, LABELS, epochs=1)
    assert np.array_equal(runs.values(trainer.network), before)
    with pytest.raises(SettingError, match="factor"):
        schedules.step(2, rate)


@pytest.mark.parametrize("options", [
    ["--batch", "0"], ["--batch", "-3"], ["--lr", "-1"], ["--lr", "nan"],
    ["--lr", "0"], ["--epochs", "0"], ["--seed", "-1"], ["--schedule", "step:0"],
    ["--schedule", "quarters", "--stop", "settled"], ["--stop", "patience:0"],
    ["--rotation", "-1"], ["--zoom", "2"], ["--erase", "-0.5"], ["--erase", "nan"],
    ["--last-batch", "lose"], ["--folds", "1"], ["--last", "0"], ["--neutral", "-1"],
    ["--last", "0.8", "--neutral", "0.5"]], ids=" ".join)
def test_the_command_line_refuses_them_before_any_face_is_drawn(tmp_path, options):
    out = tmp_path / "out"
    done = runs.minifer("train", "ck", "--out", out, *options)
    assert done.code == 2 and len(done.err.splitlines()) == 1 and not done.out
    assert not out.exists()


def test_all_of_them_are_errors_of_ours():
    for kind in (LabelError, NotFiniteError, SettingError, ShapeError):
        assert issubclass(kind, MiniferError)
