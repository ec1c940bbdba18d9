"""A network eager and compiled: what predicting and learning give, to be compared."""

import minifer
from minifer import layers, objectives, updates

__all__ = ["both_ways"]


def both_ways(network, batches, rate, threads):
    """Predict and take a step for each batch, from the same weights in both modes.

    Parameters
    ----------
    network : Layer
    batches : list of arrays
    rate : float
        Of the steps.
    threads : int

    Returns
    -------
    eager, compiled : list of arrays
        Of each batch: predictions, loss, gradient of the input, all parameters.
    plans : list of Plan
        Of predicting and of the step, compiled.
    """
    y, params = layers.get_output(network), layers.get_all_params(network,
                                                                  trainable=True)
    start, found = layers.get_all_param_values(network), {}
    loss = objectives.squared_error(y, 0.5).sum()
    source = layers.get_all_layers(network)[0].input_var
    for mode in ("eager", "compiled"):
        layers.set_all_param_values(network, start)
        predict = minifer.function([source], y, mode=mode, threads=threads)
        step = minifer.function([source], [loss, minifer.grad(loss, source)],
                                updates.sgd(loss, params, rate), mode=mode,
                                threads=threads)
        found[mode] = []
        for x in batches:
            found[mode] += [predict(x), *step(x),
                            *layers.get_all_param_values(network)]
    return found["eager"], found["compiled"], [predict.plan, step.plan]
