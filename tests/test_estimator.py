"""The estimator: what scikit-learn asks of one, and that it is a Trainer inside."""

import copy
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed: "
                                      "pip install minifer[sklearn]")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import (GridSearchCV, GroupKFold, cross_val_predict,
                                     cross_val_score)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator
from threadpoolctl import threadpool_limits

from minifer import layers, models, nonlinearities, random, updates
from minifer.device.threads import Workers, allowed_threads
from minifer.estimator import NetworkClassifier
from minifer.regularization import l2, regularize_network_params
from minifer.training import Trainer


def dense(input_shape, num_classes, num_units=16, p=0.):
    """A network of vectors, or of small images."""
    network = layers.InputLayer((None, *input_shape))
    network = layers.DenseLayer(network, num_units, name="hidden")
    return layers.DenseLayer(layers.dropout(network, p), num_classes, name="output",
                             nonlinearity=nonlinearities.softmax)


def classifier(**options):
    return NetworkClassifier(**{"network_fn": dense, "epochs": 5, "learning_rate": .1,
                                       "batch_size": 10, "random_state": 0, **options})


@pytest.fixture(scope="module")
def data():
    """Small images (N, 1, 6, 6), words as labels, and people who are in several."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = rng.standard_normal((60, 1, 6, 6)) + 2 * rng.standard_normal((3, 1, 6, 6))[y]
    return X, np.array(["joy", "anger", "fear"])[y], np.arange(60) // 6


# --- scikit-learn's own checks ------------------------------------------------

#: Those of ``check_estimator``, for a network of as many inputs as there are.
CHECKS = list(estimator_checks_generator(classifier(batch_size=30)))
#: Excused: it takes ``network_options``, the ** of the constructor, for a parameter.
EXCUSED = {"check_do_not_raise_errors_in_init_or_set_params"}


def name_of(check):
    """The check's name, and what it was made with."""
    options = "-".join(map(str, getattr(check, "keywords", {}).values()))
    return f"{getattr(check, 'func', check).__name__}-{options}".rstrip("-")


@pytest.mark.parametrize("estimator, check", CHECKS,
                         ids=[name_of(check) for _, check in CHECKS])
def test_scikit_learns_checks(estimator, check):
    if name_of(check) in EXCUSED:
        with pytest.raises(TypeError, match="got 'network_options'"):
            check(estimator)
    else:
        check(estimator)


def test_a_network_of_one_shape_takes_rows_of_it(data):
    X, y, _ = data
    rows = X.reshape(60, -1)
    images = classifier(network_fn=dense, input_shape=(1, 6, 6)).fit(rows, y)
    assert layers.get_all_layers(images.network_)[0].shape == (None, 1, 6, 6)
    np.testing.assert_array_equal(images.predict_proba(rows),
                                  classifier().fit(X, y).predict_proba(X))
    with pytest.raises(ValueError, match="expected 36 numbers a row"):
        images.fit(rows[:, 1:], y)


# --- what it learns -----------------------------------------------------------

def test_it_learns_labels_of_any_kind(data):
    X, y, _ = data
    found = classifier().fit(X, y)
    assert found.classes_.tolist() == ["anger", "fear", "joy"]
    assert found.score(X, y) == 1 and set(found.predict(X)) == set(y)
    p = found.predict_proba(X)
    assert p.shape == (60, 3) and p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    assert [row["epoch"] for row in found.history_] == [1, 2, 3, 4, 5]
    numbers = classifier().fit(X, np.where(y == "joy", 7, -2))
    assert numbers.classes_.tolist() == [-2, 7]


def test_it_is_a_trainer_inside(data):
    """The same numbers as by hand, with the seed that the random state draws."""
    X, y, _ = data
    options = dict(average=.5, max_norm=1., label_smoothing=.1)
    found = classifier(network__p=.3, update=updates.adam, learning_rate=.01,
                       penalty=lambda n: 1e-3 * regularize_network_params(n, l2),
                       class_weight={"joy": 2., "fear": 1., "anger": .5},
                       **options).fit(X, y)
    seed = np.random.RandomState(0).randint(2 ** 31 - 1)
    random.set_rng(seed)
    network = dense((1, 6, 6), 3, p=.3)
    trainer = Trainer(network, updates.adam, .01, 10, seed, class_weights=[.5, 1., 2.],
                      penalty=1e-3 * regularize_network_params(network, l2), **options)
    trainer.fit(X.astype("float32"), np.unique(y, return_inverse=True)[1], epochs=5)
    np.testing.assert_allclose(found.predict_proba(X),
                               trainer.predict(X.astype("float32")), rtol=1e-5)


def test_the_random_state_seeds_everything(data):
    X, y, _ = data
    options = dict(network__p=.5, flip=True, epochs=2)
    first, second, other = (
        classifier(random_state=seed, **options).fit(X, y).predict_proba(X)
        for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert abs(first - other).max() > 1e-3
    state = np.random.RandomState(3)
    np.testing.assert_array_equal(
        first, classifier(random_state=state, **options).fit(X, y).predict_proba(X))


def test_what_the_user_had_seeded_stays(data):
    random.set_rng(5)
    first = random.get_rng().uniform()
    random.set_rng(5)
    classifier(epochs=1).fit(*data[:2])
    assert random.get_rng().uniform() == first


def test_balanced_weights(data):
    X, y, _ = data
    keep = (y != "joy") | (np.arange(60) < 12)
    found = classifier(class_weight="balanced").fit(X[keep], y[keep])
    counts = [(y[keep] == label).sum() for label in found.classes_]
    np.testing.assert_allclose(found._weights, keep.sum() / 3 / np.array(counts))


def test_bytes_stay_bytes(data):
    X, y, _ = data
    pixels = np.clip(X * 20 + 128, 0, 255).astype(np.uint8)
    options = dict(learning_rate=1e-4)
    np.testing.assert_allclose(
        classifier(**options).fit(pixels, y).predict_proba(pixels),
        classifier(**options).fit(pixels.astype(float), y).predict_proba(pixels),
        rtol=1e-5)


def test_minifers_networks_are_taken_as_they_are():
    X = np.random.default_rng(0).standard_normal((8, 1, 16, 16)).astype("float32")
    y = list("abababab")
    found = NetworkClassifier(models.six_conv, epochs=1, random_state=0).fit(X, y)
    assert layers.get_all_layers(found.network_)[0].shape == (None, 1, 16, 16)
    assert found.predict_proba(X).shape == (8, 2)


# --- scikit-learn's tools -----------------------------------------------------

def test_parameters_of_the_network_are_parameters():
    one = classifier(network__num_units=4)
    assert one.get_params()["network__num_units"] == 4
    assert clone(one).get_params() == one.get_params()
    one.set_params(network__num_units=8, network__p=.5, epochs=2)
    assert (one.network__num_units, one.network__p, one.epochs) == (8, .5, 2)
    with pytest.raises(ValueError, match="Invalid parameter 'num_units'"):
        one.set_params(num_units=3)
    with pytest.raises(TypeError, match="network__NAME, got 'num_units'"):
        classifier(num_units=3)


def test_grid_search_by_groups_in_two_processes(data):
    X, y, people = data
    grid = {"network__num_units": [16], "learning_rate": [1e-6, .1]}
    found, alone = (GridSearchCV(classifier(), grid, cv=GroupKFold(2), n_jobs=jobs,
                                 error_score="raise").fit(X, y, groups=people)
                    for jobs in (2, None))
    assert found.best_params_["learning_rate"] == .1 and found.best_score_ > .9
    np.testing.assert_allclose(found.cv_results_["mean_test_score"],
                               alone.cv_results_["mean_test_score"])
    assert found.predict(X[:2]).shape == (2,)


def test_cross_validation_in_a_pipeline(data):
    X, y, people = data
    judge = make_pipeline(StandardScaler(), classifier(input_shape=(1, 6, 6)))
    rows = 100 * X.reshape(60, -1)
    scores = cross_val_score(judge, rows, y, cv=GroupKFold(5), groups=people)
    assert scores.mean() > .9
    p = cross_val_predict(judge, rows, y, cv=3, method="predict_proba")
    assert p.shape == (60, 3)


def test_threads_train_side_by_side(data):
    """Each from its own seed, though first weights come from one generator."""
    from joblib import Parallel, delayed
    X, y, _ = data

    def trained(seed):
        return classifier(random_state=seed, threads=1).fit(X, y).predict_proba(X)

    seeds = range(6)
    together = Parallel(n_jobs=3, backend="threading")(map(delayed(trained), seeds))
    for seed, p in zip(seeds, together):
        np.testing.assert_array_equal(p, trained(seed))


def test_no_more_threads_than_blas_may_use(monkeypatch):
    monkeypatch.delenv("MINIFER_NUM_THREADS", raising=False)
    with threadpool_limits(1, user_api="blas"):
        assert allowed_threads() == 1
    before = allowed_threads()
    with Workers(2).blas_alone():  # minifer's own limit is none
        assert allowed_threads() == before
    monkeypatch.setenv("MINIFER_NUM_THREADS", "3")
    with threadpool_limits(1, user_api="blas"):
        assert allowed_threads() == 3


# --- going on -----------------------------------------------------------------

def test_partial_fit_goes_on(data):
    X, y, _ = data
    found = classifier(update=updates.adam, learning_rate=.01)
    for start in (0, 20, 40, 0, 20, 40):
        part = slice(start, start + 20)
        found.partial_fit(X[part], y[part], classes=["joy", "fear", "anger"])
    assert found.score(X, y) > .9 and len(found.history_) == 6
    assert found._trainer.update.state["t"] == 12
    with pytest.raises(ValueError, match="expected labels among .* got 'rage'"):
        found.partial_fit(X[:1], ["rage"])
    with pytest.raises(ValueError, match="expected the classes of the first call"):
        found.partial_fit(X[:1], ["joy"], classes=["joy", "rage"])


def test_partial_fit_takes_another_order_each_time(data):
    X, y, _ = data
    two, again = (classifier(learning_rate=.001).partial_fit(
        X, y, classes=np.unique(y)) for _ in range(2))
    two.partial_fit(X, y)
    again._calls = 0
    again.partial_fit(X, y)
    assert abs(two.predict_proba(X) - again.predict_proba(X)).max() > 1e-6


@pytest.mark.parametrize("copied", [copy.deepcopy,
                                    lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_judge_alike_and_learn_on_alike(data, copied):
    X, y, _ = data
    found = classifier(update=updates.adam, learning_rate=.01, network__p=.5)
    found.partial_fit(X, y, classes=np.unique(y))
    twin = copied(found)
    np.testing.assert_array_equal(twin.predict_proba(X), found.predict_proba(X))
    again = copied(copied(copied(found)))  # one that was never used
    for one in (found, twin, again):
        one.partial_fit(X, y)
    for one in (twin, again):
        np.testing.assert_allclose(one.predict_proba(X), found.predict_proba(X),
                                   rtol=1e-6)


def test_a_deep_network_can_be_pickled():
    def deep(input_shape, num_classes):
        network = layers.InputLayer((None, *input_shape))
        for _ in range(600):
            network = layers.NonlinearityLayer(network)
        return layers.DenseLayer(network, num_classes,
                                 nonlinearity=nonlinearities.softmax)

    found = NetworkClassifier(deep, epochs=1).fit(np.eye(4), [0, 1, 0, 1])
    found.network_fn = None  # it is of this test alone
    assert pickle.loads(pickle.dumps(found)).predict(np.eye(4)).shape == (4,)


# --- refused ------------------------------------------------------------------

@pytest.mark.parametrize("options, said", [
    ({"epochs": 0}, "epochs: expected a whole number >= 1"),
    ({"network_fn": "six_conv"}, "network_fn: expected a function"),
    ({"network_fn": lambda num_classes: 7}, "expected a network from"),
    ({"network_fn": lambda input_shape: dense(input_shape, 5)}, "to 3 classes"),
    ({"network_fn": lambda num_classes: dense((2, 6, 6), num_classes)}, "from "),
    ({"batch_size": 0}, "batch size: expected"),
    ({"learning_rate": -1}, "learning rate: expected"),
    ({"device": "moon"}, "device"),
    ({"class_weight": {"rage": 2}}, "not in class_weight")])
def test_what_does_not_fit_is_refused_early(data, options, said):
    with pytest.raises(ValueError, match=said):
        classifier(**options).fit(*data[:2])


def test_partial_fit_needs_to_know_all_labels(data):
    X, y, _ = data
    with pytest.raises(ValueError, match="expected classes at the first call"):
        classifier().partial_fit(X, y)
    with pytest.raises(ValueError, match="class_weight: expected a dict"):
        classifier(class_weight="balanced").partial_fit(X, y, classes=np.unique(y))


def test_judging_comes_after_fitting_and_takes_the_same_shape(data):
    X, y, _ = data
    with pytest.raises(NotFittedError):
        classifier().predict(X)
    found = classifier(epochs=1).fit(X, y)
    with pytest.raises(ValueError, match=r"expected rows of shape \(1, 6, 6\)"):
        found.predict(X[..., 1:])
