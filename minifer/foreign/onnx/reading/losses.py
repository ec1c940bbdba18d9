"""Losses, of graphs that hold their training's."""

from __future__ import annotations

from ....layers import NonlinearityLayer
from ....nonlinearities import LogSoftmax

__all__ = ["TABLE"]


def label_loss(graph, node, log_p):
    """The loss of logarithms of probabilities."""
    given = [log_p, graph.layer(node, 1, whole=True)]
    if node.has(2):
        given.append(graph.layer(node, 2))
    return graph.function(node, "label_loss", given, {
        "ignore": node.get("ignore_index"),
        "reduction": node.get("reduction", "mean")})


def negative_log(graph, node):
    """The same of logarithms that the graph has computed."""
    return label_loss(graph, node, graph.layer(node, 0))


def cross_entropy(graph, node):
    """The same of scores; the logarithms are a second output."""
    log_p = NonlinearityLayer(graph.layer(node, 0), LogSoftmax(1))
    return [label_loss(graph, node, log_p), log_p]


TABLE = {"NegativeLogLikelihoodLoss": negative_log,
         "SoftmaxCrossEntropyLoss": cross_entropy}
