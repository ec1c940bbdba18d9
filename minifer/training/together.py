"""What ranks see to before they train, and while they do: that they are alike."""

import contextlib

import numpy as np

from .. import layers
from .._version import __version__
from ..files import digest, lock_folder
from .checkpoint import pack, unpack

__all__ = ["NoBatches", "agree", "agree_on_weights", "hand_out", "in_common",
           "judged_here", "locked"]


class NoBatches:
    """The batches of a rank that has no part of some images."""

    def in_order(self):
        """Go through them."""
        return iter(())


def judged_here(ranks, network, n):
    """Where the images begin and end, of ``n``, that this rank predicts.

    Where an image's prediction depends on others in its batch, rank 0 takes all, in
    the batches of one rank alone.
    """
    if any(isinstance(one, layers.StandardizationLayer) and 0 in one.axes
           for one in layers.get_all_layers(network)):
        return (0, n) if ranks.writes else (n, n)
    return ranks.part(n)


def agree(ranks, facts, progress):
    """Refuse ranks that differ in what they were given, or in their versions."""
    ranks.agree({"version of minifer": __version__, "version of NumPy": np.__version__,
                 "network speed": ranks.gbits, **facts})
    if ranks.any(ranks.crowded):
        progress.line("a machine has fewer cores than ranks: they wait for each other. "
                      "Start one for each core, at most.")


def hand_out(ranks, network, update):
    """Give all ranks the state of network and update rule that rank 0 has."""
    if ranks.size > 1:
        unpack(network, update, *ranks.lead(lambda: pack(network, update)))
    agree_on_weights(ranks, network)


def agree_on_weights(ranks, network, train=None):
    """See that all ranks have the same weights, bit for bit.

    Those that ``train``, the function that changes them, holds in one memory for all
    ranks need not be read.
    """
    exchange = train and train.exchange
    held = exchange.held if exchange else ()
    if ranks.size > 1:
        ranks.agree({"weights": digest(*(
            param.get_value() for param in layers.get_all_params(network)
            if param not in held))})


def in_common(train, average):
    """For a block, let ranks on one machine hold the parameters in common."""
    return train.sharing_memory("" if average.setting is None else (
        "an average takes their place after each epoch"))


@contextlib.contextmanager
def locked(ranks, folder):
    """Hold rank 0's folder for a block, if it is not None; others need not name it.

    Yields
    ------
    str or None
        The folder.
    """
    with contextlib.ExitStack() as stack:
        yield ranks.lead(lambda: None if folder is None else
                         stack.enter_context(lock_folder(folder)))
