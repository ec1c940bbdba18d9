"""Running averages of the weights: their formula, and what training does with them."""

import numpy as np
import pytest

from helpers import runs
from minifer import layers, updates
from minifer.errors import SettingError
from minifer.layers.param import Param
from minifer.training import Batches, EqualAverage, MovingAverage, Trainer
from minifer.training.averaging import renew_batch_norm
from minifer.weights.model_file import Model, load_model

X, Y = runs.pictures(50)
VALID = runs.pictures(20, seed=1)


def trained(folder=None, epochs=3, resume=False, seed=3, stop=None, **options):
    net = runs.network(seed, norm=True)
    trainer = Trainer(net, updates.adam, prepare=runs.STEPS, batch_size=16,
                      learning_rate=.01, **options)
    model = Model(net, runs.CLASSES, runs.STEPS.to_dict())
    result = trainer.fit(X, Y, valid=VALID, epochs=epochs, stop=stop, folder=folder,
                         resume=resume, model=model)
    return trainer, result


def test_the_average_follows_its_formula():
    rng = np.random.default_rng(0)
    params = [Param(rng.normal(size=shape), "p") for shape in [(3, 2), (4,)]]
    average = MovingAverage(params, .6)
    expected = [p.value.copy() for p in params]
    for t in range(1, 9):
        d = min(.6, (1 + t) / (10 + t))
        for i, param in enumerate(params):
            param.value[...] = rng.normal(size=param.shape)
            expected[i] = d * expected[i] + (1 - d) * param.value
        average.step()
    for value, one in zip(average.values, expected):
        np.testing.assert_allclose(value, one, rtol=1e-13)


def test_in_place_lends_the_values_and_gives_them_back_after_an_error():
    param = Param(np.ones(2, np.float32), "p")
    average = MovingAverage([param], .5)
    param.value[...] = 5
    with pytest.raises(ZeroDivisionError), average.in_place():
        assert param.value.tolist() == [1, 1]
        raise ZeroDivisionError
    assert param.value.tolist() == [5, 5] and average.values[0].tolist() == [1, 1]


@pytest.mark.parametrize("decay", [-.1, 1, float("nan"), "much", None])
def test_only_decays_are_taken(decay):
    with pytest.raises(SettingError, match="a decay from 0 to below 1"):
        MovingAverage([], decay)


def test_training_walks_as_without_and_ends_on_the_average(tmp_path):
    plain, result = trained()
    averaged, smooth = trained(tmp_path, average=.9)
    # The losses of training tell that the steps were the same ones.
    assert [row["train_loss"] for row in smooth.history] == [
        row["train_loss"] for row in result.history]
    params = layers.get_all_params(averaged.network)
    assert all((p.value == a).all() for p, a in zip(params, averaged.average.values))
    assert (runs.values(averaged.network) != runs.values(plain.network)).any()
    loss, accuracy = averaged.evaluate(*VALID)
    assert (loss, accuracy) == (smooth.history[-1]["valid_loss"],
                                smooth.history[-1]["valid_accuracy"])
    if smooth.best_epoch == 3:
        best = load_model(tmp_path / "model.npz").network
        assert (runs.values(best) == runs.values(averaged.network)).all()


@pytest.mark.parametrize("options", [{}, {"label_smoothing": .1}])
def test_a_run_goes_on_as_if_it_had_never_stopped(tmp_path, options):
    whole, _ = trained(epochs=4, average=.9, **options)
    trained(tmp_path, epochs=2, average=.9, **options)
    second, _ = trained(tmp_path, epochs=4, resume=True, seed=8, average=.9, **options)
    assert (runs.values(second.network) == runs.values(whole.network)).all()


def test_a_run_without_average_is_not_continued_with_one(tmp_path):
    trained(tmp_path, epochs=1)
    with pytest.raises(SettingError, match="average = None, got 0.9"):
        trained(tmp_path, epochs=2, resume=True, average=.9)


def test_it_works_on_a_device_as_on_the_cpu():
    def values(device):
        net = runs.network(norm=True)
        Trainer(net, updates.adam, prepare=runs.STEPS, batch_size=16, device=device,
                average=.9).fit(X[:32], Y[:32], epochs=2)
        return np.concatenate([p.get_value().ravel()
                               for p in layers.get_all_params(net)])
    np.testing.assert_allclose(values("emu"), values("cpu"), rtol=1e-4, atol=1e-6)


# --- an equal mean over the last epochs -------------------------------------

def test_the_mean_over_epochs_is_theirs():
    param = Param(np.zeros(3), "p")
    average, seen = EqualAverage([param], .5), []
    rng = np.random.default_rng(0)
    for epoch in range(1, 8):
        param.value[...] = rng.normal(size=3)
        average.step()
        seen.append(param.value.copy())
        is_mean = average.end_epoch(epoch, 7)
        # 7 epochs, half of them: 4, 5, 6, 7
        expected = seen[-1] if epoch <= 4 else np.mean(seen[3:], axis=0)
        np.testing.assert_allclose(average.values[0], expected, rtol=1e-12)
        assert is_mean == (epoch > 4)


def test_batch_norm_sees_the_weights_anew():
    net = runs.network(3, norm=True)
    norm, = (one for one in layers.get_all_layers(net)
             if isinstance(one, layers.BatchNormLayer))
    weights = [p.value.copy() for p in layers.get_all_params(net, trainable=True)]
    norm.mean.value[...], norm.inv_std.value[...] = 7, 9
    batches = Batches(X, Y, "cpu", 10, runs.STEPS)
    renew_batch_norm(net, batches)
    assert norm.alpha == .1
    below = layers.get_output(norm.input_layer, runs.STEPS(X), deterministic=True)
    axes = (0, *range(2, below.ndim))
    np.testing.assert_allclose(norm.mean.value, below.mean(axes), rtol=1e-4, atol=1e-6)
    parts = [below[part] for part in np.split(
        np.random.default_rng(0).permutation(50), 5)]
    variance = np.mean([part.var(axes) for part in parts], axis=0)
    np.testing.assert_allclose(norm.inv_std.value ** -2, variance + norm.epsilon,
                               rtol=1e-4)
    assert all((p.value == w).all() for p, w in zip(
        layers.get_all_params(net, trainable=True), weights))


def test_training_ends_on_the_mean_over_epochs(tmp_path):
    plain, result = trained(epochs=4)
    averaged, smooth = trained(tmp_path, epochs=4, swa=.5)
    assert [row["train_loss"] for row in smooth.history] == [
        row["train_loss"] for row in result.history]
    assert [row["valid_loss"] for row in smooth.history[:3]] == [
        row["valid_loss"] for row in result.history[:3]]
    assert smooth.history[3]["valid_loss"] != result.history[3]["valid_loss"]
    assert averaged.evaluate(*VALID)[0] == smooth.history[-1]["valid_loss"]
    # It goes on where it stopped, with as many epochs as it was meant to have.
    with pytest.raises(SettingError, match="schedule_epochs"):
        trained(tmp_path, epochs=6, resume=True, swa=.5)


def test_a_mean_over_epochs_goes_on_as_if_it_had_never_stopped(tmp_path):
    whole, _ = trained(epochs=4, swa=.75)
    stop = lambda history: len(history) >= 3  # noqa: E731
    half, _ = trained(tmp_path, epochs=4, swa=.75, stop=stop)
    second, _ = trained(tmp_path, epochs=4, resume=True, seed=8, swa=.75)
    assert (runs.values(second.network) == runs.values(whole.network)).all()


@pytest.mark.parametrize("options, message", [
    ({"swa": 0}, "above 0, up to 1"), ({"swa": 1.5}, "above 0, up to 1"),
    ({"swa": .5, "average": .9}, "got both"),
    ({"swa": .5, "epochs": None}, "Give epochs")])
def test_means_over_epochs_that_cannot_be(options, message):
    with pytest.raises(SettingError, match=message):
        trained(**options)
