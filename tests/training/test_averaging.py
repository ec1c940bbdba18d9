"""Running averages of the weights: their formula, and what training does with them."""

import numpy as np
import pytest

from helpers import runs
from minifer import layers, updates
from minifer.errors import SettingError
from minifer.layers.param import Param
from minifer.training import MovingAverage, Trainer
from minifer.weights.model_file import Model, load_model

X, Y = runs.pictures(50)
VALID = runs.pictures(20, seed=1)


def trained(folder=None, epochs=3, resume=False, seed=3, **options):
    net = runs.network(seed, norm=True)
    trainer = Trainer(net, updates.adam, prepare=runs.STEPS, batch_size=16,
                      learning_rate=.01, **options)
    result = trainer.fit(X, Y, valid=VALID, epochs=epochs, folder=folder, resume=resume,
                         model=Model(net, runs.CLASSES, runs.STEPS.to_dict()))
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
