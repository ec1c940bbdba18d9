"""What a training calls for each batch: a step, an evaluation, a prediction."""

from __future__ import annotations

from .. import layers, objectives
from ..compiled.functions import function
from ..expressions import Variable

__all__ = ["Functions"]


class Functions:
    """The functions of a training, made for batches and threads of certain numbers.

    Parameters
    ----------
    network : Layer
    update : function
        Called as ``update(loss, params, learning_rate=...)``.
    learning_rate : float
    class_weights : array (K,) or None
    penalty : expression or None

    Attributes
    ----------
    update : minifer.updates.Update
    train : function
        ``train(images, targets)`` takes a step and returns the mean loss.
    test : function
        Returns the sum of the losses, and how many are right.
    predict : function
        ``predict(images)`` returns probabilities.
    planned : dict or None
        For what they were made.
    """

    def __init__(self, network, update, learning_rate, class_weights, penalty):
        target = Variable("targets")
        self.loss = objectives.categorical_crossentropy(
            layers.get_output(network), target, class_weights).mean()
        if penalty is not None:
            self.loss = self.loss + penalty
        params = layers.get_all_params(network, trainable=True)
        self.update = update(self.loss, params, learning_rate=learning_rate)

        self.prediction = layers.get_output(network, deterministic=True)
        losses = objectives.categorical_crossentropy(
            self.prediction, target, class_weights)
        hits = objectives.categorical_accuracy(self.prediction, target)
        self.tested = [losses.sum(), hits.sum()]
        source = next(one for one in layers.get_all_layers(network)
                      if isinstance(one, layers.InputLayer))
        self.inputs, self.planned = [source.input_var, target], None

    def plan(self, part, **planned):
        """Make them, unless they are there already.

        Parameters
        ----------
        part : minifer.ranks.Part or None
        batch, threads : int
        precision : str
            As for :func:`minifer.function`.
        """
        if planned != self.planned:
            self.train = function(self.inputs, self.loss, self.update, part=part,
                                  **planned)
            self.test = function(self.inputs, self.tested, **planned)
            self.predict = function(self.inputs[:1], self.prediction, **planned)
            self.planned = planned
