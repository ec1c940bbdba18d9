"""Functions from expressions: what ``theano.function`` was."""

import numpy as np

from .errors import NotFiniteError, SettingError
from .expressions import Expression, NetworkRun, Variable, evaluate, gradients

__all__ = ["Function", "function"]


def function(inputs, outputs, updates=None):
    """Make a callable from variables, expressions and an update rule.

    Parameters
    ----------
    inputs : list of Variable
        In the order in which the callable takes their values.
    outputs : Expression or list of Expression
        What it returns.
    updates : Update, optional
        Made from a loss: ``updates.nesterov_momentum(loss, params, ...)``.
        Each call then takes one step.

    Returns
    -------
    Function

    Examples
    --------
    >>> import numpy as np
    >>> import minifer
    >>> from minifer import layers, objectives, tensor, updates
    >>> x, y = tensor.matrix("x"), tensor.ivector("y")
    >>> net = layers.DenseLayer(layers.InputLayer((None, 2), x), 2,
    ...                         nonlinearity=minifer.nonlinearities.softmax)
    >>> loss = objectives.categorical_crossentropy(layers.get_output(net), y).mean()
    >>> params = layers.get_all_params(net, trainable=True)
    >>> train = function([x, y], loss, updates.sgd(loss, params, learning_rate=1.))
    >>> losses = [train(np.eye(2, dtype="float32"), np.array([0, 1])) for _ in range(9)]
    >>> losses[-1] < losses[0]
    True
    """
    return Function(inputs, outputs, updates)


class Function:
    """See :func:`function`; calling it evaluates the outputs."""

    def __init__(self, inputs, outputs, updates=None):
        self.inputs, self.updates = list(inputs), updates
        self.single = isinstance(outputs, Expression)
        self.outputs = [outputs] if self.single else list(outputs)
        for variable in self.inputs:
            if not isinstance(variable, Variable):
                raise SettingError(
                    f"function: expected variables as inputs, got {variable!r}. "
                    "Make them with minifer.tensor.")
        if updates is not None and updates.loss is None:
            raise SettingError(
                "function: expected updates made from a loss, such as "
                "updates.sgd(loss, params, learning_rate=0.1).")

    def __call__(self, *values):
        """Evaluate the outputs, and take a step if there are updates.

        Parameters
        ----------
        *values : arrays
            One for each input variable.

        Returns
        -------
        float or array, or a list of them
            Scalars come as Python floats.

        Raises
        ------
        NotFiniteError
            If the loss is not finite. No parameter has been changed then.
        """
        given = self._bind(values)
        wanted = self.outputs + ([self.updates.loss] if self.updates else [])
        done = evaluate(wanted, given)
        if self.updates is not None:
            self._step(done)
        results = [self._plain(done[o][0]) for o in self.outputs]
        return results[0] if self.single else results

    def _bind(self, values):
        if len(values) != len(self.inputs):
            raise SettingError(
                f"function: expected {len(self.inputs)} values, got {len(values)}.")
        given = {}
        for variable, value in zip(self.inputs, values):
            value = np.asarray(value)
            if variable.ndim is not None and value.ndim not in (variable.ndim, 2):
                raise SettingError(
                    f"function: expected {variable.ndim} axes for "
                    f"{variable.name!r}, got shape {value.shape}.")
            given[variable] = value
        return given

    def _step(self, done):
        loss = self.updates.loss
        if not np.isfinite(done[loss][0]):
            raise NotFiniteError(_blame(done))
        found = gradients(loss, done)
        missing = [p for p in self.updates.params if p not in found]
        if missing:
            raise SettingError(
                f"updates: the loss does not depend on '{missing[0].name}'. Leave "
                "it out of the params, or check the loss.")
        self.updates(found)

    @staticmethod
    def _plain(value):
        value = np.asarray(value)
        return float(value) if value.ndim == 0 else value


def _blame(done):
    """Say where the first value that is not finite stands."""
    for node, (_, tape) in done.items():
        if not isinstance(node, NetworkRun):
            continue
        for layer in tape.order:
            place = repr(layer)
            for param in layer.params:
                if not np.isfinite(param.value).all():
                    return (f"training: parameter '{param.name or 'W'}' of layer "
                            f"{place} is not finite. Lower the learning rate.")
            if not np.isfinite(tape.values[layer]).all():
                what = "input" if layer in tape.given else "output"
                return (f"training: the {what} of layer {place} is not finite. "
                        + ("Check the images for NaN." if what == "input" else
                           "Lower the learning rate or scale the input."))
    return ("training: the loss is not finite although every layer's output is. "
            "Check the targets and class weights.")
