"""Training: the loop against an independent one, the best epoch, the stop rules."""

import itertools

import numpy as np
import pytest

from helpers import runs
from helpers.tolerances import assert_close
from minifer import config, layers, nonlinearities, updates
from minifer.errors import LabelError, NotFiniteError, SettingError, ShapeError
from minifer.regularization import l2, regularize_network_params
from minifer.training import schedules, stopping
from minifer.training.checkpoint import peek
from minifer.training.trainer import Trainer
from minifer.weights.model_file import load_model, read_arrays

COLUMNS = "epoch train_loss valid_loss valid_accuracy seconds learning_rate".split()


def inputs(n=12, seed=0):
    images, labels = runs.pictures(n, seed)
    return runs.STEPS(images), labels


def linear():
    """One dense layer of fixed weights: what softmax regression trains."""
    W = np.random.default_rng(5).normal(0, 0.1, (64, 3))
    return layers.DenseLayer((layers.InputLayer((None, 1, 8, 8), name="input")), 3,
                             W=W, nonlinearity=nonlinearities.softmax, name="output")


# --- the same numbers as a loop written down from the formulas ---------------

def cross_entropy(x, targets, W, b, weights):
    """Losses (N,) and the gradient of their mean with respect to the logits."""
    z = x @ W + b
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    t = targets * weights
    return -(t * log_p).sum(axis=1), (
        np.exp(log_p) * t.sum(axis=1, keepdims=True) - t) / len(x)


def softmax_regression(x, targets, order, batch, rates, momentum, weights, decay):
    """Train one dense layer in float64; ``rates`` has one value a mini-batch."""
    with config.use_floatX("float64"):
        net = linear()
    W, b = net.W.get_value(), net.b.get_value()
    speed = [np.zeros_like(W), np.zeros_like(b)]
    losses, rates = [], iter(rates)
    for epoch_order in order:
        total = 0.0
        for start in range(0, len(x), batch):
            chosen = epoch_order[start:start + batch]
            loss, dz = cross_entropy(x[chosen], targets[chosen], W, b, weights)
            total += loss.sum() + len(chosen) * decay * (W * W).sum()
            rate = next(rates)
            gradients = x[chosen].T @ dz + 2 * decay * W, dz.sum(axis=0)
            for p, g, v in zip((W, b), gradients, speed):
                v *= momentum
                v -= rate * g
                p += momentum * v - rate * g
        losses.append(total / len(x))
    return W, b, losses


@pytest.mark.parametrize("batch", [12, 5, 1])
@pytest.mark.parametrize("change", [
    {}, {"soft": True}, {"weights": [1.0, 3.0, 0.5]},
    {"soft": True, "weights": [2.0, 1.0, 0.1]}, {"decay": 0.03},
    {"schedule": schedules.inverse_time(0.2)}, {"schedule": schedules.step(2, 0.5)},
    {"schedule": schedules.cosine}, {"momentum": 0.0}],
    ids=lambda change: "+".join(change) or "plain")
def test_the_loop_gives_what_the_formulas_give(change, batch):
    epochs, rate = 4, 0.1
    x, labels = inputs()
    x = x.astype(float)
    targets = labels
    if "soft" in change:
        targets = np.random.default_rng(1).dirichlet([1, 1, 1], len(x))
    weights, decay = change.get("weights"), change.get("decay", 0)
    schedule = change.get("schedule", schedules.constant)
    momentum = change.get("momentum", 0.9)
    with config.use_floatX("float64"):
        net = linear()
    trainer = Trainer(
        net, learning_rate=rate, batch_size=batch, seed=2, schedule=schedule,
        class_weights=weights, last_batch="keep",
        update=lambda *given, **more: updates.nesterov_momentum(
            *given, momentum=momentum, **more),
        penalty=decay * regularize_network_params(net, l2) if decay else None)
    order = [trainer.order.generator(epoch).permutation(len(x))
             for epoch in range(epochs)]
    result = trainer.fit(x, targets, epochs=epochs)

    batches = -(-len(x) // batch)
    rates = [schedule(rate, i, i // batches, epochs) for i in range(epochs * batches)]
    W, b, losses = softmax_regression(
        x.reshape(len(x), -1), targets if "soft" in change else np.eye(3)[targets],
        order, batch, rates, momentum, np.array(weights or [1, 1, 1]), decay)
    got = np.array([row["train_loss"] for row in result.history])
    assert_close(got, losses, "reference", "float64", "losses")
    assert_close(net.W.value, W, "reference", "float64", "W")
    assert_close(net.b.value, b, "reference", "float64", "b")
    used = [row["learning_rate"] for row in result.history]
    assert used == rates[batches - 1::batches]


@pytest.mark.parametrize("batch, sizes, last", [
    (5, [5, 5, 2], "keep"), (5, [4, 4, 4], None), (11, [6, 6], "deal"),
    (12, [12], None), (100, [12], None), (1, [1] * 12, None)])
def test_every_epoch_takes_every_sample_once_in_another_order(batch, sizes, last):
    x, labels = inputs()
    x[:, 0, 0, 0] = np.arange(12)
    seen = []

    def note(images):
        seen.append(images[:, 0, 0, 0].astype(int).tolist())
        return images

    Trainer(linear(), batch_size=batch, prepare=note, last_batch=last).fit(
        x, labels, epochs=2)
    epochs = seen[:len(sizes)], seen[len(sizes):]
    orders = [list(itertools.chain(*epoch)) for epoch in epochs]
    for epoch, order in zip(epochs, orders):
        assert [len(part) for part in epoch] == sizes
        assert sorted(order) == list(range(12))
    assert orders[0] != orders[1]
    assert orders[0] != list(range(12))


def test_the_loss_falls_and_the_pictures_are_learnt():
    result, _ = runs.train(None, 25)
    losses = [row["train_loss"] for row in result.history]
    assert losses[-1] < losses[0] / 2
    assert result.history[-1]["valid_accuracy"] == 1.0


def test_the_history_has_a_row_an_epoch():
    result, _ = runs.train(None, 3)
    assert [list(row) for row in result.history] == [COLUMNS] * 3
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    assert all(type(row[key]) is float for row in result.history for key in COLUMNS[1:])


def test_without_validation_its_columns_are_none():
    result = Trainer(linear()).fit(*inputs(), epochs=2)
    assert [list(row) for row in result.history] == [COLUMNS] * 2
    assert {(row["valid_loss"], row["valid_accuracy"]) for row in result.history} == {
        (None, None)}
    assert result.best_epoch == 2


def test_validation_is_deterministic_and_means_what_it_says():
    net = runs.network(norm=True)
    trainer = Trainer(net, batch_size=5, learning_rate=0.05)
    x, labels = inputs(13, seed=1)
    result = trainer.fit(*inputs(), valid=(x, labels), epochs=2)
    p = trainer.predict(x)
    assert p.shape == (13, 3)
    last = result.history[-1]
    assert last["valid_accuracy"] == (p.argmax(axis=1) == labels).mean()
    assert_close(last["valid_loss"], -np.log(p[np.arange(13), labels]).mean(),
                 "reference", "float32", "valid_loss")
    assert trainer.evaluate(x, labels) == (last["valid_loss"], last["valid_accuracy"])


def test_validation_does_not_touch_training():
    def train(**more):
        net = runs.network(norm=True)
        Trainer(net, batch_size=5).fit(*inputs(), epochs=3, **more)
        return runs.values(net)

    assert np.array_equal(train(), train(valid=inputs(9, seed=1)))


def test_one_seed_gives_the_same_run_another_gives_another():
    first, first_net = runs.train(None, 3)
    again, again_net = runs.train(None, 3)
    other, other_net = runs.train(None, 3, seed=4)
    assert runs.rows(first.history) == runs.rows(again.history)
    assert np.array_equal(runs.values(first_net), runs.values(again_net))
    assert runs.rows(first.history) != runs.rows(other.history)
    assert not np.array_equal(runs.values(first_net), runs.values(other_net))


# --- the best epoch ----------------------------------------------------------

@pytest.mark.parametrize("valid, best", [
    ([(.9, .5), (.8, .7), (.7, .6)], 2),      # the accuracy decides, not the loss
    ([(.9, .5), (.8, .5), (.85, .5)], 2),     # a tie: the lower loss
    ([(.9, .5), (.9, .5), (.9, .5)], 1),      # a complete tie: the first
    ([(.1, .5), (.9, .6), (.2, .6)], 3),
    ([(.1, .9), (.1, .1), (.1, .1)], 1)])
def test_the_best_epoch_is_kept_beside_the_last(tmp_path, monkeypatch, valid, best):
    net, after = runs.network(), []
    trainer = Trainer(net, batch_size=4)
    script = iter(valid)

    def evaluate(batches, see=None):
        after.append(layers.get_all_param_values(net))
        return next(script)

    monkeypatch.setattr(trainer, "_evaluate", evaluate)
    result = trainer.fit(*inputs(), valid=inputs(), epochs=3, folder=tmp_path,
                         model=runs.model(net))
    assert result.best_epoch == best
    kept = layers.get_all_param_values(load_model(tmp_path / "model.npz").network)
    last, _ = read_arrays(tmp_path / "checkpoint.npz")
    for i, value in enumerate(kept):
        assert np.array_equal(value, after[best - 1][i])
        assert np.array_equal(last[f"param_{i}"], after[2][i])
    assert not np.array_equal(after[0][0], after[2][0])


def test_without_a_model_only_the_checkpoint_is_written(tmp_path):
    Trainer(linear()).fit(*inputs(), epochs=1, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]


# --- when to stop ------------------------------------------------------------

def losses(*train, valid=None):
    return [{"train_loss": a, "valid_loss": b}
            for a, b in zip(train, valid or [None] * len(train))]


@pytest.mark.parametrize("rule, history, stops", [
    (stopping.after(2), losses(3, 2), True),
    (stopping.after(3), losses(3, 2), False),
    (stopping.settled(), losses(0.5), False),
    (stopping.settled(), losses(0.5, 0.49995), True),
    (stopping.settled(), losses(0.49995, 0.5), True),
    (stopping.settled(), losses(0.5, 0.4998), False),
    (stopping.settled(), losses(0.5, 0.5, 0.4), False),    # the last two count
    (stopping.settled(), losses(0.5, 0.4, 0.4), True),
    (stopping.settled(), losses(0.5, 0.4, 0.5), False),
    (stopping.settled(0.25), losses(0.5, 0.25), True),     # "at most"
    (stopping.settled(), losses(0.5, 0.3, valid=[1, 1]), False),
    (stopping.patience(2), losses(3, 2, 2.5), False),
    (stopping.patience(2), losses(3, 2, 2.5, 2.5), True),
    (stopping.patience(2), losses(3, 2, 2.5, 1), False),
    (stopping.patience(2), losses(3, 2, 2, 2), True),      # equal is not better
    (stopping.patience(1), losses(3, 2, 1, valid=[1, 2, 3]), True),
    (stopping.patience(1), losses(1, 2, 3, valid=[3, 2, 1]), False)])
def test_stop_rules(rule, history, stops):
    assert rule(history) is stops


def test_without_epochs_and_rule_training_ends_when_the_loss_settles():
    result = Trainer(linear(), learning_rate=0.5).fit(*inputs())
    steps = np.abs(np.diff([row["train_loss"] for row in result.history]))
    assert steps[-1] <= 0.0001
    assert (steps[:-1] > 0.0001).all() and len(steps) > 3


@pytest.mark.parametrize("epochs, stop_at, length", [
    (3, 5, 3), (5, 3, 3), (None, 4, 4)])
def test_of_epochs_and_rule_the_first_counts(epochs, stop_at, length):
    result = Trainer(linear()).fit(*inputs(), epochs=epochs,
                                   stop=lambda history: len(history) >= stop_at)
    assert len(result.history) == length


# --- wrong use ---------------------------------------------------------------

@pytest.mark.parametrize("options, message", [
    ({"batch_size": 0}, "batch size: expected .* got 0"),
    ({"batch_size": -4}, "batch size"),
    ({"batch_size": 2.5}, "batch size"),
    ({"learning_rate": 0}, "learning rate: expected .* got 0"),
    ({"learning_rate": -0.1}, "learning rate"),
    ({"learning_rate": float("nan")}, "learning rate"),
    ({"learning_rate": float("inf")}, "learning rate"),
    ({"seed": -1}, "seed")])
def test_settings_out_of_range(options, message):
    with pytest.raises(SettingError, match=message):
        Trainer(linear(), **options)


@pytest.mark.parametrize("epochs", [0, -1])
def test_no_epochs_is_an_error(epochs):
    with pytest.raises(SettingError, match="epochs"):
        Trainer(linear()).fit(*inputs(), epochs=epochs)


def test_a_patience_of_no_epochs_is_an_error():
    with pytest.raises(SettingError, match="patience"):
        stopping.patience(0)


@pytest.mark.parametrize("schedule", [schedules.quarters, schedules.cosine])
def test_a_schedule_that_needs_an_end_says_so(schedule):
    with pytest.raises(SettingError, match="epochs"):
        Trainer(linear(), schedule=schedule).fit(*inputs())


X, LABELS = inputs()


@pytest.mark.parametrize("images, labels", [
    (X, LABELS[:11]), (X[:11], LABELS), (X[:0], LABELS[:0]),
    (X[..., :4], LABELS),                        # another size
    (X, LABELS + 1), (X, LABELS - 1),            # out of range
    (X, LABELS.astype(float)), (X, np.full((12, 4), .25)), (X, LABELS.astype(str))],
    ids=["fewer labels", "fewer images", "nothing", "size", "label 3", "label -1",
         "floats", "4 classes", "text"])
def test_images_and_labels_must_fit(images, labels):
    net = linear()
    before = runs.values(net)
    with pytest.raises((ShapeError, LabelError)):
        Trainer(net).fit(images, labels, epochs=1)
    assert np.array_equal(runs.values(net), before)


@pytest.mark.parametrize("valid", [
    (X, LABELS[:7]), (X[:7], LABELS), (X[:0], LABELS[:0])],
    ids=["fewer labels", "fewer images", "nothing"])
def test_validation_images_and_labels_must_fit(valid):
    with pytest.raises(ShapeError):
        Trainer(linear(), batch_size=4).fit(*inputs(), valid=valid, epochs=1)


# --- what is not finite ------------------------------------------------------

def fit_with_nan(net, folder=None):
    """Two good epochs, then NaN in the second batch; return the values before it."""
    images, labels = inputs()
    before = []

    def prepare(batch):
        before.append(runs.values(net))
        return batch if len(before) < 8 else np.full_like(batch, np.nan)

    with pytest.raises(NotFiniteError, match=r"input .*'input'.*NaN"):
        Trainer(net, batch_size=4, prepare=prepare).fit(
            images, labels, epochs=5, folder=folder, model=runs.model(net))
    return before[-1], before[6]


@pytest.mark.parametrize("norm", [False, True], ids=["plain", "batch norm"])
def test_nan_in_an_image_names_the_input_and_changes_nothing(norm):
    net = runs.network(norm=norm)
    before, _ = fit_with_nan(net)
    assert np.array_equal(runs.values(net), before)


def test_the_checkpoint_of_the_epoch_before_a_nan_stands(tmp_path):
    net = runs.network()
    _, after_two_epochs = fit_with_nan(net, tmp_path)
    arrays, _ = read_arrays(tmp_path / "checkpoint.npz")
    kept = np.concatenate([arrays[f"param_{i}"].ravel()
                           for i in range(len(layers.get_all_params(net)))])
    assert np.array_equal(kept, after_two_epochs)
    assert peek(tmp_path / "checkpoint.npz")["epoch"] == 2


@pytest.mark.parametrize("layer", ["conv", "hidden", "output"])
@pytest.mark.parametrize("weight, what", [(3e38, "output of"), (np.inf, "parameter")])
def test_what_overflows_is_named(layer, weight, what):
    """As after an exploding step: the first layer in trouble, not the loss."""
    net = runs.network()
    found, = (one for one in layers.get_all_layers(net) if one.name == layer)
    found.W.value[...] = weight
    with pytest.raises(NotFiniteError, match=rf"{what}.*'{layer}'.*ower the learning"):
        Trainer(net, batch_size=4).fit(np.full((4, 1, 8, 8), 9.0, np.float32),
                                       np.zeros(4, int), epochs=1)


def test_an_exploding_rate_says_it_once():
    """NumPy's own warnings would only repeat it in other words."""
    with pytest.raises(NotFiniteError, match="layer.*ower the learning rate"):
        Trainer(runs.network(), learning_rate=1e20, batch_size=4).fit(
            *inputs(), epochs=20)


@pytest.mark.parametrize("valid", [None, inputs(6)], ids=["alone", "validated"])
def test_weights_that_are_not_finite_are_never_saved(tmp_path, valid):
    """The only step of an epoch spoils them: the next loss would be the first sign."""
    net = runs.network()
    with np.errstate(over="ignore", invalid="ignore"):
        with pytest.raises(NotFiniteError, match="layer"):
            Trainer(net, learning_rate=1e60).fit(
                *inputs(), valid=valid, epochs=3, folder=tmp_path,
                model=runs.model(net))
    for path in tmp_path.glob("*.npz"):
        arrays, _ = read_arrays(path)
        assert all(np.isfinite(value).all() for value in arrays.values()), path.name


def test_nan_among_the_validation_images_is_found():
    x, labels = inputs(6)
    x[4, 0, 2, 2] = np.nan
    with pytest.raises(NotFiniteError, match="validation"):
        Trainer(runs.network()).fit(*inputs(), valid=(x, labels), epochs=1)
