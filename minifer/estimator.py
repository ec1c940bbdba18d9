"""Networks in scikit-learn: what nolearn was to Lasagne.

A :class:`NetworkClassifier` is an estimator like any other: cross-validation, grid
search, pipelines and ``clone`` know what to do with it. scikit-learn is asked for here
alone (``pip install minifer[sklearn]``)::

    from sklearn.model_selection import GridSearchCV, GroupKFold
    from minifer import models
    from minifer.estimator import NetworkClassifier

    judge = NetworkClassifier(models.six_conv, epochs=10, random_state=0)
    search = GridSearchCV(judge, {"learning_rate": [.01, .03]}, cv=GroupKFold(5))
    search.fit(faces, names, groups=subjects)  # faces (N, 1, 48, 48)
"""

from __future__ import annotations

import contextlib
import inspect
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import layers, random
from ._types import Array
from .device.threads import allowed_threads
from .errors import BackendUnavailable, SettingError, ShapeError
from .progress import Progress
from .random import Stream
from .ranks import Ranks
from .training import Trainer
from .training.checkpoint import pack, unpack
from .training.schedules import Schedule, constant

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
except ImportError:  # the page of the reference can still be made
    class ClassifierMixin:  # type: ignore[no-redef]
        """What scikit-learn has, in its place."""

    class BaseEstimator:  # type: ignore[no-redef]
        """What says that scikit-learn is missing."""

        def __new__(cls, *args, **options):
            raise BackendUnavailable(
                f"{cls.__name__}: expected scikit-learn, got none. Install it: "
                "pip install minifer[sklearn].")

__all__ = ["NetworkClassifier"]

#: Options of the network's function stand behind these letters.
NETWORK = "network__"
#: minifer's one generator of first weights is borrowed, by one thread at a time.
_building = threading.Lock()


class NetworkClassifier(ClassifierMixin, BaseEstimator):
    """A network as a classifier of scikit-learn.

    Parameters
    ----------
    network_fn : function
        Returns the output layer of a new network, (None, K), which ends in softmax. It
        is called by keyword with what it names among ``num_classes`` (K),
        ``input_shape`` (without the batch), and for square images ``size`` and
        ``channels``: :func:`minifer.models.six_conv` and its relatives as they are.
    input_shape : tuple of int, optional
        (C, H, W), say: what a row of X (N, F) becomes. Default: X is (N, C, H, W), or
        (N, F) for a network of vectors.
    epochs : int, default 20
        Passes over the data in ``fit``.
    batch_size, learning_rate, update, schedule, flip, augment, label_smoothing, mix, \
average, max_norm, prepare, device
        As for :class:`minifer.training.Trainer`.
    penalty : function, optional
        ``penalty(network)`` returns what is added to the loss, such as
        ``1e-4 * regularize_network_params(network, l2)``.
    class_weight : dict or 'balanced', optional
        Weight of each label in the loss, as elsewhere in scikit-learn.
    threads : int, optional
        Default: ``MINIFER_NUM_THREADS``, or a thread a core, but no more than BLAS may
        use: joblib limits that in its processes, so that ``n_jobs=2`` on two cores
        leaves one to each.
    verbose : bool, default False
        Whether to show the progress of each epoch.
    random_state : int, RandomState or None
        Seed of all that is random: first weights, order, dropout, mirroring.
    **network_options
        ``network__NAME`` is handed to ``network_fn`` as ``NAME``, and can be searched.

    Attributes
    ----------
    classes_ : array (K,)
        The labels, sorted; of any kind.
    network_ : Layer
        The trained network: ``minifer.weights.Model(fitted.network_, ...)`` saves it.
    history_ : list of dict
        ``epoch``, ``train_loss`` and more of each epoch; see
        :class:`minifer.training.Result`.
    n_features_in_ : int
        Length of X's second axis.

    Notes
    -----
    There is no ``sample_weight``: a batch's loss weighs classes, not images.

    A fitted classifier can be pickled and copied, if its functions can; it goes on
    learning where it was, with the state of its update rule.
    """

    def __init__(self, network_fn: Callable[..., layers.Layer], *,
                 input_shape: Sequence[int] | None = None, epochs: int = 20,
                 batch_size: int = 64, learning_rate: float = 0.01,
                 update: Callable[..., Any] | None = None,
                 schedule: Schedule = constant, class_weight: Any = None,
                 penalty: Callable[[layers.Layer], Any] | None = None,
                 flip: bool = False, augment: Callable[..., Any] | None = None,
                 label_smoothing: float = 0.0, mix: Callable[..., Any] | None = None,
                 average: float | None = None, max_norm: float | None = None,
                 prepare: Callable[..., Any] | None = None, device: str = "cpu",
                 threads: int | None = None, verbose: bool = False,
                 random_state: Any = None, **network_options: Any):
        self.network_fn, self.input_shape, self.epochs = network_fn, input_shape, epochs
        self.batch_size, self.learning_rate = batch_size, learning_rate
        self.update, self.schedule, self.class_weight = update, schedule, class_weight
        self.penalty, self.flip, self.augment = penalty, flip, augment
        self.label_smoothing, self.mix, self.average = label_smoothing, mix, average
        self.max_norm, self.prepare, self.device = max_norm, prepare, device
        self.threads, self.verbose, self.random_state = threads, verbose, random_state
        for name, value in network_options.items():
            if not name.startswith(NETWORK):
                raise TypeError(f"{type(self).__name__}: expected known parameters or "
                                f"{NETWORK}NAME, got {name!r}.")
            setattr(self, name, value)

    # --- parameters ---------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters by name, those of the network's function among them."""
        own = {name: value for name, value in vars(self).items()
               if name.startswith(NETWORK)}
        return super().get_params(deep) | own

    def set_params(self, **params: Any) -> NetworkClassifier:
        """Set parameters by name; returns the estimator."""
        for name in [name for name in params if name.startswith(NETWORK)]:
            setattr(self, name, params.pop(name))
        super().set_params(**params)
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True  # and of four axes
        return tags

    # --- learning -----------------------------------------------------------

    def fit(self, X: Array, y: Array) -> NetworkClassifier:
        """Train a new network.

        Parameters
        ----------
        X : array, shape (N, C, H, W) or (N, F)
            Numbers; bytes stay bytes until a batch is prepared.
        y : array, shape (N,)
            Labels of any kind.

        Returns
        -------
        NetworkClassifier

        Raises
        ------
        ValueError
            If data, labels or parameters do not fit; minifer's errors are such.
        NotFiniteError
            If the loss is not finite.
        """
        X, y = self._look_at(X, y, reset=True)
        self._begin(X, np.unique(y), y)
        return self._learn(X, y, self.epochs)

    def partial_fit(self, X: Array, y: Array,
                    classes: Array | None = None) -> NetworkClassifier:
        """Go on learning: one pass over some data, by the same update rule.

        Parameters
        ----------
        X, y
            As for :meth:`fit`.
        classes : array, optional
            All labels that there will be; needed at the first call.

        Returns
        -------
        NetworkClassifier
        """
        begins = not hasattr(self, "network_")
        X, y = self._look_at(X, y, reset=begins)
        if begins:
            if classes is None:
                raise SettingError("partial_fit: expected classes at the first call, "
                                   "all labels that there will be, got none.")
            if isinstance(self.class_weight, str):
                raise SettingError(
                    "class_weight: expected a dict with partial_fit, which does not "
                    f"see all labels, got {self.class_weight!r}.")
            self._begin(X, np.unique(classes), y)
        elif classes is not None and not np.array_equal(np.unique(classes),
                                                        self.classes_):
            raise SettingError(f"partial_fit: expected the classes of the first call, "
                               f"{self.classes_}, got {np.unique(classes)}.")
        return self._learn(X, y, 1)

    def _look_at(self, X, y, reset):
        """X as the network takes it, and labels."""
        from sklearn.utils.multiclass import check_classification_targets
        from sklearn.utils.validation import validate_data
        X, y = validate_data(self, X, y, reset=reset, **_ARRAYS)
        check_classification_targets(y)
        return self._shaped(X, reset), y

    def _shaped(self, X, reset=False):
        if self.input_shape is not None:
            shape = tuple(self.input_shape)
            if math.prod(shape) != math.prod(X.shape[1:]):
                raise ShapeError(
                    f"X: expected {math.prod(shape)} numbers a row for an input_shape "
                    f"of {shape}, got shape {X.shape}.")
            X = X.reshape(len(X), *shape)
        if not reset and X.shape[1:] != self._shape:
            raise ShapeError(f"X: expected rows of shape {self._shape} as in fit, got "
                             f"shape {X.shape}.")
        return X

    def _begin(self, X, classes, y):
        """A new network, and all that belongs to it."""
        from sklearn.utils import check_random_state
        from sklearn.utils.class_weight import compute_class_weight
        if not isinstance(self.epochs, (int, np.integer)) or self.epochs < 1:
            raise SettingError(f"epochs: expected a whole number >= 1, got "
                               f"{self.epochs!r}.")
        self.classes_, self._shape = classes, X.shape[1:]
        self._weights = None if self.class_weight is None else (
            compute_class_weight(self.class_weight, classes=classes, y=y))
        self._seed = int(check_random_state(self.random_state).randint(2 ** 31 - 1))
        self.network_ = self._build(len(classes))
        self.history_, self._calls, self._kept = [], 0, None
        self._trainer = self._open()

    def _build(self, num_classes):
        shape = self._shape
        offered = {"num_classes": num_classes, "input_shape": shape}
        if len(shape) == 3 and shape[1] == shape[2]:
            offered |= {"size": shape[1], "channels": shape[0]}
        if not callable(self.network_fn):
            raise SettingError("network_fn: expected a function that returns a "
                               f"network, got {self.network_fn!r}.")
        named = inspect.signature(self.network_fn).parameters
        chosen = {name: value for name, value in offered.items() if name in named}
        chosen |= {name.removeprefix(NETWORK): value for name, value
                   in vars(self).items() if name.startswith(NETWORK)}
        with _seeded(self._seed):
            network = self.network_fn(**chosen)
        shapes = [one.shape for one in layers.get_all_layers(network)
                  if isinstance(one, layers.InputLayer)] if (
                      isinstance(network, layers.Layer)) else []
        fits = len(shapes) == 1 and len(shapes[0]) == len(shape) + 1 and all(
            n in (None, have) for n, have in zip(shapes[0][1:], shape))
        if not fits or network.output_shape[1:] != (num_classes,):
            raise ShapeError(
                f"network_fn: expected a network from {shape} to {num_classes} "
                f"classes, got {network!r} of inputs {shapes}. Let it take input_shape "
                "or size, and num_classes.")
        return network

    def _open(self):
        """A Trainer of the network, where it stands."""
        ranks = Ranks()
        ranks.threads = self.threads or allowed_threads()
        trainer = Trainer(
            self.network_, update=self.update, learning_rate=self.learning_rate,
            batch_size=self.batch_size, seed=self._seed, schedule=self.schedule,
            class_weights=self._weights, prepare=self.prepare, device=self.device,
            penalty=self.penalty and self.penalty(self.network_), flip=self.flip,
            augment=self.augment, label_smoothing=self.label_smoothing, mix=self.mix,
            average=self.average, max_norm=self.max_norm, ranks=ranks)
        if self._kept is not None:
            unpack(self.network_, trainer.update, *self._kept)
            self._kept = None
        return trainer

    def _learn(self, X, y, epochs):
        places = np.searchsorted(self.classes_, y)
        known = places < len(self.classes_)
        known[known] = self.classes_[places[known]] == y[known]
        if not known.all():
            raise SettingError(f"y: expected labels among {self.classes_}, got "
                               f"{str(y[~known][0])!r}.")
        trainer = self._ready()
        if self._calls:  # another order than in the calls before
            trainer.order = Stream(self._seed, "shuffle", self._calls)
            trainer.mixing = Stream(self._seed, "mix", self._calls)
            if trainer.flip is not None:
                trainer.flip = Stream(self._seed, "augment", self._calls)
        result = trainer.fit(X, places, epochs=int(epochs),
                             progress=Progress() if self.verbose else None)
        done = len(self.history_)
        self.history_ += [row | {"epoch": row["epoch"] + done}
                          for row in result.history]
        self._calls += 1
        return self

    def _ready(self):
        """The Trainer; of a copy or a pickle it is made when it is needed."""
        if self._trainer is None:
            self._trainer = self._open()
        return self._trainer

    # --- judging ------------------------------------------------------------

    def predict_proba(self, X: Array) -> np.ndarray:
        """Probabilities (N, K), in the order of ``classes_``."""
        from sklearn.utils.validation import check_is_fitted, validate_data
        check_is_fitted(self, "network_")
        X = self._shaped(validate_data(self, X, reset=False, **_ARRAYS))
        return self._ready().predict(X)

    def predict(self, X: Array) -> np.ndarray:
        """The most probable label of each row, (N,)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    # --- copies -------------------------------------------------------------

    def __getstate__(self):
        state = dict(super().__getstate__())
        if state.get("network_") is not None:
            if state["_trainer"] is not None:  # its functions cannot be copied
                state["_kept"] = pack(self.network_, self._trainer.update)
                state["_trainer"] = None
            # In order, a layer is never further than a step from one that is known: a
            # deep network would be too deep for pickle.
            state["network_"] = layers.get_all_layers(self.network_)
        return state

    def __setstate__(self, state):
        state = dict(state)
        if state.get("network_") is not None:
            state["network_"] = state["network_"][-1]
        super().__setstate__(state)


#: How arrays are looked at: of any axes, floats in single precision, bytes as bytes.
_ARRAYS = {"allow_nd": True, "dtype": (np.float32, np.uint8)}


@contextlib.contextmanager
def _seeded(seed):
    """First weights from a seed, for a block; what the user had set comes back."""
    with _building:
        before = random.get_rng()
        random.set_rng(seed)
        try:
            yield
        finally:
            random.set_rng(before)
